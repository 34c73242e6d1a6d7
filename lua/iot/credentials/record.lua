---The record that every provider gives.
local record = {}

local fields = {
  access_key_id = "string", secret_access_key = "string", session_token = "string",
  expiration = "number", account_id = "string",
}

---A copy of the known fields. The reason never quotes a value: it may be a secret in a wrong place.
---@param value any
---@return iot.Credentials?
---@return string? message  which field has the wrong type
function record.copy(value)
  if type(value) ~= "table" then return nil, "a table expected, got " .. type(value) end
  local copy = {}
  for name, wanted in pairs(fields) do
    local field = value[name]
    if field ~= nil and type(field) ~= wanted then
      return nil, ("%s must be a %s, got %s"):format(name, wanted, type(field))
    end
    copy[name] = field
  end
  return copy
end

return record
