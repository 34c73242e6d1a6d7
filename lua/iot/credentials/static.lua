---Credentials that the caller gives: a record, or a function that returns one.
local records = require "iot.credentials.record"

local static = {}

local feature = "e" -- of the user agent (reference 8.1)

local function complete_copy(record)
  local copy, message = records.copy(record)
  if not copy then return nil, message end
  for _, name in ipairs { "access_key_id", "secret_access_key" } do
    if (copy[name] or "") == "" then return nil, name .. " is missing" end
  end
  return copy
end

---A provider of the record, which is copied and never renewed.
---@param record iot.Credentials
---@return iot.Provider? provider
---@return string? message
function static.from_record(record)
  local copy, message = complete_copy(record)
  if not copy then return nil, message end
  return { name = "static", feature = feature, fixed = true, fetch = function() return copy end }
end

---A provider of what the function returns: a record, or nil and a message. One without an expiration
---is not kept: the function is asked for each call. Who has given credentials is set up, so that having
---none later is a failure.
---@param provide fun(): iot.Credentials?, string?
---@return iot.Provider
function static.from_function(provide)
  local provider = { name = "function", feature = feature, always = true }
  local missing = "NoCredentials"
  function provider.fetch()
    local record, message = provide()
    if record == nil then
      return nil, tostring(message or "the provider gave no reason"), missing
    end
    local copy, reason = complete_copy(record)
    if not copy then return nil, reason, "InvalidCredentials" end
    provider.always, missing = copy.expiration == nil, "CredentialsFailed"
    return copy
  end
  return provider
end

return static
