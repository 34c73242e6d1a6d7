---Checks of arguments: misuse of the interface raises, at the caller's level, and names the culprit.
local options = {}

---What a value of an option must be: a name of `type()`, or a list of such names.
---@alias iot.Schema table<string, string|string[]>

local function names(wanted)
  return type(wanted) == "table" and table.concat(wanted, " or ") or wanted
end

local function fits(value, wanted)
  if type(wanted) == "string" then return type(value) == wanted end
  for _, name in ipairs(wanted) do
    if type(value) == name then return true end
  end
  return false
end

---Raise unless the argument `name` is of the type `wanted`.
---@param callee string  the function that was called, for the message
---@param name string
---@param value any
---@param wanted string
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
function options.check_argument(callee, name, value, wanted, level)
  if type(value) ~= wanted then
    error(("bad argument '%s' to '%s' (%s expected, got %s)"):format(
      name, callee, wanted, type(value)), level + 1)
  end
end

local function index(value, name) return value[name] end

---Whether a value has a method of this name; of any value. Raises where memory is short, for then nobody knows.
---@param value any
---@param name string
---@return boolean
function options.has_method(value, name)
  local ok, method = pcall(index, value, name)
  if not ok and method == "not enough memory" then error(method, 0) end
  return ok and type(method) == "function"
end

---@param given table
---@return table  another with the same fields
function options.copy(given)
  local copy = {}
  for key, value in pairs(given) do copy[key] = value end
  return copy
end

---Raise for an option of an unknown key or a wrong type.
---@param callee string  the function that was called, for the message
---@param given table|nil
---@param schema iot.Schema
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
---@param noun string?  what a key is called; "option"
function options.verify(callee, given, schema, level, noun)
  noun = noun or "option"
  for key, value in pairs(given or {}) do
    local wanted = schema[key]
    if not wanted then
      error(("unknown %s '%s' to '%s'"):format(noun, tostring(key), callee), level + 1)
    elseif not fits(value, wanted) then
      error(("bad %s '%s' to '%s' (%s expected, got %s)"):format(
        noun, key, callee, names(wanted), type(value)), level + 1)
    end
  end
end

---The same; returns a copy of the options.
---@param callee string
---@param given table|nil
---@param schema iot.Schema
---@param level integer
---@param noun string?
---@return table copy
function options.check(callee, given, schema, level, noun)
  options.verify(callee, given, schema, level + 1, noun)
  return options.copy(given or {})
end

---Raise unless a duration is a positive number of seconds that is finite.
---@param callee string
---@param name string
---@param seconds number|nil
---@param level integer
function options.check_duration(callee, name, seconds, level)
  if seconds ~= nil and not (seconds > 0 and seconds < math.huge) then
    error(("bad option '%s' to '%s' (a positive number of seconds expected)"):format(name, callee),
      level + 1)
  end
end

---Raise unless a table has the functions that are expected of it.
---@param callee string
---@param name string  of the option
---@param value table?
---@param wanted string[]
---@param level integer
function options.check_functions(callee, name, value, wanted, level)
  for _, key in ipairs(value and wanted or {}) do
    if type(value[key]) ~= "function" then
      error(("bad option '%s' to '%s' (it has no function '%s')"):format(name, callee, key), level + 1)
    end
  end
end

---Raise unless a number of things is a whole one, from 1 on.
---@param callee string
---@param name string
---@param count number|nil
---@param level integer
---@param noun string?  what a key is called; "option"
function options.check_count(callee, name, count, level, noun)
  if count ~= nil and not (count >= 1 and count < 2 ^ 31 and count % 1 == 0) then
    error(("bad %s '%s' to '%s' (a whole number from 1 expected)"):format(noun or "option", name, callee),
      level + 1)
  end
end

return options
