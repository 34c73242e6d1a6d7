---Credentials from AWS_ACCESS_KEY_ID and its relatives (reference 7.3).
local core = require "iot.core"
local variables = require "iot.config.variables"

local environment = {}

-- The variables are read anew each time: a long-lived program may renew them.
local function fetch()
  local access_key_id = variables.get("AWS_ACCESS_KEY_ID")
  local secret_access_key = variables.get("AWS_SECRET_ACCESS_KEY")
  if not access_key_id and not secret_access_key then
    return nil, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set", "NoCredentials"
  elseif not secret_access_key then
    return nil, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not", "InvalidCredentials"
  elseif not access_key_id then
    return nil, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not", "InvalidCredentials"
  end
  local text = variables.get("AWS_CREDENTIAL_EXPIRATION")
  local expiration = text and core.parse_time(text)
  if text and not expiration then
    return nil, "AWS_CREDENTIAL_EXPIRATION is no time such as 2030-01-31T12:00:00Z",
      "InvalidCredentials"
  end
  return {
    access_key_id = access_key_id,
    secret_access_key = secret_access_key,
    session_token = variables.get("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    expiration = expiration,
    account_id = variables.get("AWS_ACCOUNT_ID"),
  }
end

---@return iot.Provider? provider
---@return string? reason
---@return "NoCredentials"|"InvalidCredentials"|nil code
function environment.new()
  local record, message, code = fetch()
  if not record then return nil, message, code end
  return { name = "environment", feature = "g", fetch = fetch } -- its id of reference 8.1
end

return environment
