-- One request as it came over the wire: nothing decoded, nothing joined, nothing dropped.

local cjson = require "cjson.safe"
local uri = require "simulator.uri"

local M = {}
M.__index = M

local function parse_head(raw)
  local headers = {}
  for line in raw:gmatch("([^\r\n]+)\r?\n") do
    local name, value = line:match("^([^:%s]+):[ \t]*(.-)[ \t]*$")
    if name then
      headers[#headers + 1] = { name, value }
    end
  end
  return headers
end

-- Reads the current request, body included. When *unreadable* is true nginx has refused it, and
-- what there is of it is taken.
function M.read(unreadable)
  local body = ""
  if not unreadable then
    ngx.req.read_body()
    body = ngx.req.get_body_data() or ""
  end
  local target = ngx.var.request_uri or ""
  local known, head = false, nil
  if target ~= "" then -- else there was no line of a request, and old versions of the module crash
    known, head = pcall(ngx.req.raw_header, true)
  end
  local path, query = target:match("^([^?]*)%??(.*)$")
  return setmetatable({
    method = ngx.req.get_method(),
    uri = target,
    path = path,
    query = query,
    headers = known and head and parse_head(head) or {},
    body = body,
    connection = tonumber(ngx.var.connection),
    tls = ngx.var.ssl_protocol,
    certified = ngx.var.ssl_client_verify == "SUCCESS",
  }, M)
end

-- The URL that it was sent to, without the query.
function M:url()
  return (self.tls and "https://" or "http://") .. (self:header("host") or "") .. self.path
end

-- The parameters of the query, decoded; of a name that comes twice, the first. A plus sign is a space.
function M:parameters()
  local parameters = {}
  for pair in self.query:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = uri.decode((name:gsub("%+", " "))), uri.decode((value:gsub("%+", " ")))
    parameters[name] = parameters[name] or value
  end
  return parameters
end

-- The members of the body, null ones left out; nil when it is no JSON object.
function M:members()
  local document = cjson.decode(self.body == "" and "{}" or self.body)
  if type(document) ~= "table" or document[1] ~= nil then
    return nil
  end
  local members = {}
  for name, value in pairs(document) do
    if value ~= cjson.null then
      members[name] = value
    end
  end
  return members
end

-- The value of a header, several of one name joined with a comma; nil when there is none.
function M:header(wanted)
  local values = {}
  for _, header in ipairs(self.headers) do
    if header[1]:lower() == wanted then
      values[#values + 1] = header[2]
    end
  end
  return values[1] and table.concat(values, ",")
end

return M
