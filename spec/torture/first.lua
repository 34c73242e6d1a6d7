-- The first use of the library, all that it loads included: what the torture calls in a state of its own. Gives
-- "right", or "failed: " and a code.
local template = '{"Parameters":{},"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}}}'

return function()
  local iot = require "iot"
  local function failed(detail) return "failed: " .. tostring(detail and detail.code) end
  local client, _, detail = iot.new {
    region = "us-east-1", credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" },
    endpoint = os.getenv "TORTURE_TLS", ca_bundle = os.getenv "TORTURE_FOLDER" .. "/certificate.pem", proxy = "",
    connect_timeout = 3, timeout = 5, retry = { max_attempts = 1 },
  }
  if not client then return failed(detail) end
  local results, failures = iot.map({ "task" }, function(id)
    return client:describe_thing_registration_task { taskId = id }
  end)
  client:close()
  if failures[1] and failures[1].raised then error(failures[1].error, 0) end
  if failures[1] then return failed(failures[1].detail) end
  local checked
  checked, _, detail = iot.check_provisioning(template, "{}\n")
  if not checked then return failed(detail) end
  return results[1].successCount == 4 and checked.problems and "right" or "wrong"
end
