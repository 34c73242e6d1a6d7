-- The AWS IoT Core credential provider: credentials for a device's certificate, which nginx has checked
-- (reference 7.11).

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local keys = require "simulator.keys"

local function answer(call)
  local thing = call.request:header("x-amzn-iot-thingname")
  if not call.request.certified then
    return answers.refusal("ForbiddenException", "The certificate is not known")
  elseif thing and thing ~= accounts.device.thing_name then
    return answers.refusal("ForbiddenException", "The thing is not attached to the certificate")
  elseif call.labels.alias ~= accounts.device.role_alias then
    return answers.refusal("ResourceNotFoundException", "Role alias does not exist")
  end
  local key = keys.issue(call.now)
  return answers.success {
    credentials = {
      accessKeyId = key.access_key_id,
      secretAccessKey = key.secret_access_key,
      sessionToken = key.session_token,
      expiration = keys.time(key.expires_at),
    },
  }
end

return {
  { name = "device", method = "GET", path = "/role-aliases/{alias}/credentials", answer = answer },
}
