-- lua/iot/xml.lua: what is accepted, written once more as plainly as can be, reads the same.
local promises = require "spec.fuzz.promises"
local xml = require "iot.xml"

local must = promises.must

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&#62;", ["\r"] = "&#xD;", ["]"] = "&#x5d;" }

local function write(element, parts)
  parts[#parts + 1] = "<" .. element.name .. " a='1'>"
  parts[#parts + 1] = element.text:gsub("[&<>\r%]]", escapes)
  for _, child in ipairs(element.children) do write(child, parts) end
  parts[#parts + 1] = "</" .. element.name .. ">"
  return parts
end

-- How deep an element goes; its parts are looked at.
local function depth_of(element, is_utf8)
  local deepest = 0
  must(element.name:find "^[%a_][%w_.:-]*$", "a name is one", element.name)
  must(not is_utf8 or promises.is_utf8(element.text), "a text of UTF-8 is UTF-8", element.text)
  must(not element.text:find "[%z\1-\8\11\12\14-\31]", "a text has no control character", element.text)
  for _, child in ipairs(element.children) do
    deepest = math.max(deepest, depth_of(child, is_utf8))
    local text = xml.text(element, child.name)
    must(text == nil or #child.children > 0 or type(text) == "string", "a path leads to a text")
  end
  return deepest + 1
end

return function(input)
  local root, message = xml.parse(input)
  if not root then
    promises.must_be_message(message)
    return must(message:find "^it " and #message < 80 and not message:find "[^\32-\126]", "the message quotes", message)
  end
  must(#input <= 65536, "it is not too large")
  must(depth_of(root, promises.is_utf8(input)) <= 16, "it is not too deep")
  local text = table.concat(write(root, {}))
  if #text > 65536 then return end
  local again, wrong = xml.parse(text)
  must(again, "what is written is read", wrong, text)
  must(promises.text_of(again) == promises.text_of(root), "what is read again is the same", text)
end
