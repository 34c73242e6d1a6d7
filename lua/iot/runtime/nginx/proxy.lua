---Proxies of HTTP: which one a request goes through, and what it says to it.
local core = require "iot.core"
local variables = require "iot.config.variables"

local ngx = rawget(_G, "ngx")

local proxies = {}

local default_port = 1080 -- as libcurl has it
local salt = tostring(core.uuid()) -- no dictionary of passwords tells which one a pool's name was made of

---@class iot.nginx.Proxy
---@field host string
---@field port integer
---@field authorization string  header line for the proxy, or ""
---@field identity string  what tells it from others, for the name of a pool

local function refuse(message)
  return nil, "the proxy cannot be used: " .. message, { code = "InvalidConfiguration" }
end

local function decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Messages do not quote the URL: it may have a password.
local function parse(url)
  local scheme, rest = url:match "^([%a][%w+.-]*)://(.*)$"
  if scheme and scheme:lower() ~= "http" then return refuse "inside nginx one of http:// alone can" end
  local authority, behind = (rest or url):match "^([^/?#]*)(.*)$"
  if behind:find("@", 1, true) then return refuse "an @ stands behind its host: encode what is in the password" end
  local user_info, address = authority:match "^(.*)@([^@]*)$"
  address = address or authority
  local host, port = address:match "^(%[[%x.]*:[%x:.]*%]):?(%d*)$"
  if not host then host, port = address:match "^([^:%[%]%s%c]+):?(%d*)$" end
  port = port == "" and default_port or tonumber(port)
  if not host or port < 1 or port > 65535 then return refuse "it is no URL of a proxy" end
  local proxy = { host = host, port = port, authorization = "", identity = host .. ":" .. port }
  if user_info then
    local user, password = user_info:match "^([^:]*):?(.*)$"
    local pair = decode(user) .. ":" .. decode(password)
    if pair:find "%c" then return refuse "its user or password holds a control character" end
    proxy.authorization = "Proxy-Authorization: Basic " .. ngx.encode_base64(pair) .. "\r\n"
    proxy.identity = tostring(core.sha256(salt .. pair)) .. "@" .. proxy.identity
  end
  return proxy
end

-- Names in no_proxy stand for what is below them, too.
local function is_excepted(host)
  host = host:gsub("[%[%]]", ""):lower()
  for name in (variables.get("no_proxy", "NO_PROXY") or ""):lower():gmatch "[^,%s]+" do
    local excepted = name:gsub("^%.", ""):gsub("[%[%]]", "")
    if excepted == "*" or host == excepted or host:sub(-#excepted - 1) == "." .. excepted then return true end
  end
  return false
end

-- As libcurl reads them; HTTP_PROXY, which in CGI is a header of the request, is none.
local function from_environment(target)
  local specific = target.https and variables.get("https_proxy", "HTTPS_PROXY") or nil
  if not target.https then specific = variables.get "http_proxy" end
  return specific or variables.get("all_proxy", "ALL_PROXY")
end

---The proxy for a target; nil alone: none.
---@param target iot.nginx.Target
---@param option string?  URL, "" for none; nil: as the environment says, of which nginx shows what `env` names
---@return iot.nginx.Proxy?
---@return string? message
---@return table? facts
function proxies.find(target, option)
  local url = option or from_environment(target)
  if not url or url == "" or is_excepted(target.host) then return nil end
  return parse(url)
end

local function origin_of(target)
  return ("%s:%d"):format(target.host, target.port)
end

---The request for a tunnel to a target (RFC 9110 section 9.3.6).
---@param proxy iot.nginx.Proxy
---@param target iot.nginx.Target
---@return string
function proxies.connect_request(proxy, target)
  local origin = origin_of(target)
  return ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"):format(origin, origin, proxy.authorization)
end

---A request as a proxy that is to send it on takes it (RFC 9112 section 3.2.2).
---@param proxy iot.nginx.Proxy
---@param target iot.nginx.Target
---@param bytes string
---@return string
function proxies.forwarded(proxy, target, bytes)
  local method, rest_of_line, rest = bytes:match "^(%S+) ([^\r\n]*\r\n)(.*)$"
  return method .. " http://" .. origin_of(target) .. rest_of_line .. proxy.authorization .. rest
end

return proxies
