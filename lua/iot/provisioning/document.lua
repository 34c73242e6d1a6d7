---JSON documents from others: read whole, with what an ordinary reader lets pass told as a problem.
local core = require "iot.core"

local document = {}

local byte_order_mark = "\239\187\191"

---How many characters a text in UTF-8 has.
---@param text string
---@return integer
function document.characters(text)
  return (select(2, text:gsub("[^\128-\191]", "")))
end

---Whether a text has more characters than that.
---@param text string
---@param limit integer
---@return boolean
function document.exceeds(text, limit)
  return #text > limit and document.characters(text) > limit
end

---Whether a value that was read is an object, or an empty array, which reads the same.
---@param value any
---@return boolean
function document.is_object(value)
  return type(value) == "table" and type(next(value)) ~= "number"
end

local kinds = { string = "a string", number = "a number", boolean = "a boolean", userdata = "null" }

---What a value that was read is, in words.
---@param value any
---@return string
function document.kind(value)
  if type(value) ~= "table" then return kinds[type(value)] end
  if next(value) == nil then return "an object or an array" end
  return document.is_object(value) and "an object" or "an array"
end

---@param object table
---@return string[]
function document.sorted_names(object)
  local names = {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Why a text was not read.
local function tell(report, text, message)
  if not text:find "[^ \t\r\n]" then
    report:add(report.line and "BlankLine" or "InvalidJSON", nil, report.line and "it is blank" or "it is empty")
  elseif not core.is_utf8(text) then
    report:add("InvalidUTF8", nil, "it is not valid UTF-8")
  else
    report:add("InvalidJSON", nil, "it is not valid JSON: " .. message:gsub("%%", "%%%%"))
  end
end

---Read the object that a text holds. Nulls in it are a userdata.
---@param text string
---@param report iot.provisioning.Report  is told why not
---@return table? object
function document.read(text, report)
  local value, message = core.decode_value(text)
  if value == nil and text:sub(1, #byte_order_mark) == byte_order_mark then
    report:add("ByteOrderMark", nil, "it begins with a byte order mark")
    text = text:sub(#byte_order_mark + 1)
    value, message = core.decode_value(text)
  end
  if value == nil then return tell(report, text, message) end
  if text:find "^[ \t\r\n]*{" then return value end
  report:add("NotAnObject", nil, "it is " .. (type(value) == "table" and "an array" or document.kind(value))
    .. ", not a JSON object")
end

return document
