-- What the scenarios have in common: what they make clients and requests of.
local core = require "iot.core"

local tools = {
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", session_token = ("t"):rep(90) },
  describe = "describe_thing_registration_task",
  template = '{"Parameters":{"Name":{"Type":"String"},"Serial":{"Type":"String"}},"Resources":{"thing":'
    .. '{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"},'
    .. '"AttributePayload":{"serial":{"Ref":"Serial"}}}}}}',
}

function tools.attempt()
  return {
    credentials = tools.credentials, timeout = 5, user_agent = "torture", invocation_id = "id", trace_id = "trace",
    number = 1, max_attempts = 2, ttl = 1516267086, time = 1516267086,
  }
end

function tools.options(place, endpoint)
  return {
    region = "us-east-1", credentials = tools.credentials, endpoint = endpoint or place.plain,
    ca_bundle = place.ca_bundle,
    proxy = "", connect_timeout = 3, read_timeout = 3, timeout = 5, retry = { max_attempts = 1 },
  }
end

function tools.native(place, endpoint)
  return core.client {
    endpoint = endpoint or place.plain, region = "us-east-1", ca_bundle = place.ca_bundle, proxy = "",
    connect_timeout = 3, read_timeout = 3,
  }
end

function tools.request(place, path, more)
  local all = { url = place.plain .. path, timeout = 5, connect_timeout = 3, read_timeout = 3, proxy = "" }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

function tools.close(it) it:close() end

-- A failure that is due is the result.
function tools.due(code, result, message, detail)
  if result == nil and detail and detail.code == code then
    return { message, detail.status, detail.request_id, detail.body, detail.kind }
  end
  return result, message, detail
end

---A list of scenarios, and what adds one to it.
function tools.list()
  local scenarios = {}
  return scenarios, function(name, body)
    body.name = name
    scenarios[#scenarios + 1] = body
  end
end

return tools
