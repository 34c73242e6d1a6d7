---Environment variables.
local variables = {}

---The first of some variables that is set. An empty one counts as unset (reference 6.1).
---@param ... string  names
---@return string? value
---@return string? name
function variables.get(...)
  for _, name in ipairs { ... } do
    local value = os.getenv(name)
    if value and value ~= "" then return value, name end
  end
end

---What to add to a message about something that variables could have told.
---@return string  "" where they are seen
function variables.note()
  return require("iot.runtime.nginx.environment").note()
end

---The user's home directory (reference 6.1).
---@return string?
function variables.home()
  local folder = variables.get("HOME", "USERPROFILE")
  local drive, path = variables.get("HOMEDRIVE"), variables.get("HOMEPATH")
  return folder or drive and path and drive .. path or nil
end

return variables
