---Names of things: what they are made of, and what a template makes of a line's parameters.
local document = require "iot.provisioning.document"

local thing_name = {}

local max_characters = 128

---What is wrong with a name.
---@param name string
---@return string? format  of a message about it, with the name as its argument
function thing_name.fault(name)
  if name == "" then return "the thing name is empty" end
  if document.exceeds(name, max_characters) then
    return "the thing name %s is longer than " .. max_characters .. " characters"
  end
  if not name:find "^[a-zA-Z0-9:_%-]+$" then
    return "the thing name %s has characters other than a-z, A-Z, 0-9, ':', '_' and '-'"
  end
end

local function reference(name, declared)
  local parameter = declared[name]
  if not parameter then return nil end
  return function(object)
    local value = object[name]
    if value == nil then value = parameter.default end
    return type(value) == "string" and value or nil
  end
end

local function joined(parts, separator)
  return function(object)
    local texts = {}
    for i, part in ipairs(parts) do
      texts[i] = part(object)
      if not texts[i] then return nil end
    end
    return table.concat(texts, separator)
  end
end

local function join(arguments, declared)
  local separator, list = arguments[1], arguments[2]
  if type(separator) ~= "string" or type(list) ~= "table" then return nil end
  local parts = {}
  for i, value in ipairs(list) do
    parts[i] = thing_name.resolver(value, declared)
    if not parts[i] then return nil end
  end
  return joined(parts, separator)
end

---How a line gives the name of a thing.
---@param value any  the ThingName of a template: a text, a Ref, or a Fn::Join of such
---@param declared table<string, iot.provisioning.Parameter>
---@return (fun(object: table): string?)? resolve  the name, of a line's parameters; nil for what they do not tell
function thing_name.resolver(value, declared)
  if type(value) == "string" then return function() return value end end
  if type(value) ~= "table" then return nil end
  if type(value.Ref) == "string" then return reference(value.Ref, declared) end
  if type(value["Fn::Join"]) == "table" then return join(value["Fn::Join"], declared) end
end

return thing_name
