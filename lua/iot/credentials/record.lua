---The record that every provider gives.
local record = {}

local fields = {
  access_key_id = "string", secret_access_key = "string", session_token = "string",
  expiration = "number", account_id = "string",
}

---Whether a value is a record. The reason never quotes it: it may be a secret in a wrong place.
---@param value any
---@return boolean
---@return string? message  which field has the wrong type
function record.check(value)
  if type(value) ~= "table" then return false, "a table expected, got " .. type(value) end
  for name, wanted in pairs(fields) do
    local field = value[name]
    if field ~= nil and type(field) ~= wanted then
      return false, ("%s must be a %s, got %s"):format(name, wanted, type(field))
    end
  end
  return true
end

---A copy of the known fields.
---@param value any
---@return iot.Credentials?
---@return string? message  as of `check`
function record.copy(value)
  local good, message = record.check(value)
  if not good then return nil, message end
  local copy = {}
  for name in pairs(fields) do copy[name] = value[name] end
  return copy
end

return record
