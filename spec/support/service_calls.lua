--- Requests to a simulator that are made by hand: signed by iot.sign, sent by iot.core.
--
--   local calls = service_calls.new(sim)
--   local answer = calls.get("/thing-registration-tasks", { maxResults = 5 })
--   local answer = calls.post("/things", { templateBody = "{}" })
--
-- An answer is a record { status, headers, body, document }: the headers' names are in lower case, and document
-- is what the body says where it is JSON.
local core = require "iot.core"
local iot = require "iot"
local json = require "spec.support.json"

local M = {}

local function escape(text)
  return (tostring(text):gsub("[^A-Za-z0-9%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- A list of pairs, or a map, as a query.
local function query_of(values)
  local parts = {}
  for name, value in pairs(values) do parts[#parts + 1] = escape(name) .. "=" .. escape(value) end
  table.sort(parts)
  return parts[1] and "?" .. table.concat(parts, "&") or ""
end

---@param sim table  of spec.support.simulator
function M.new(sim)
  local calls = { escape = escape }

  --- A request as it is: a table for core.request, of which only `url` must be given.
  function calls.send(request)
    local whole = { timeout = 20, connect_timeout = 5, ca_bundle = sim.ca_bundle, proxy = "" }
    for name, value in pairs(request) do whole[name] = value end
    local reply = assert(core.request(whole))
    local found, document = pcall(json.decode, reply.body)
    reply.document = found and document or nil
    return reply
  end

  --- A signed request to a path, which is encoded already.
  function calls.sign(method, path, body)
    local url = sim.endpoint .. path
    local headers = body and { { "Content-Type", "application/json" } } or {}
    local signed = iot.sign({ method = method, url = url, headers = headers, body = body },
      { credentials = sim.credentials, region = sim.region, service = "iot" })
    return calls.send { method = method, url = url, headers = signed.headers, body = body }
  end

  function calls.get(path, query)
    return calls.sign("GET", path .. query_of(query or {}))
  end

  function calls.put(path)
    return calls.sign("PUT", path)
  end

  ---@param document table|string  a table, or what goes out as it is
  function calls.post(path, document)
    return calls.sign("POST", path, type(document) == "string" and document or json.encode(document))
  end

  return calls
end

return M
