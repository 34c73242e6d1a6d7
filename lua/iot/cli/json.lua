---JSON as the command writes it: members in a fixed order, valid UTF-8 whatever came, and nothing that a
---terminal would obey. (The library's own codec, which writes the texts, knows neither order nor an empty list.)
local core = require "iot.core"
local excerpt = require "iot.excerpt"

local json = {}

local Object, List, Text = {}, {}, {}

-- What JSON does not mind, but a terminal may obey or hide: ASCII's last control character, those of UTF-8 that are not
-- ASCII's, and the marks that change the direction of text or cannot be seen (as in iot.excerpt).
local function escape(character)
  local lead, second, third = character:byte(1, 3)
  local code = lead
  if third then
    code = lead % 16 * 4096 + second % 64 * 64 + third % 64
  elseif second then
    code = lead % 32 * 64 + second % 64
  end
  return ("\\u%04x"):format(code)
end

local hidden = {
  "\127", "\194[\128-\159]", "\216\156", "\226\128[\139-\143]", "\226\128[\168-\174]", "\226\129[\160-\175]",
  "\239\187\191",
}

local function escape_hidden(text)
  if not text:find "[\127-\255]" then return text end
  for _, form in ipairs(hidden) do text = text:gsub(form, escape) end
  return text
end

-- Characters of UTF-8 beyond ASCII; no surrogates, nothing longer than it need be.
local characters = {
  "^[\194-\223][\128-\191]()", "^\224[\160-\191][\128-\191]()", "^[\225-\236\238\239][\128-\191][\128-\191]()",
  "^\237[\128-\159][\128-\191]()", "^\240[\144-\191][\128-\191][\128-\191]()",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]()", "^\244[\128-\143][\128-\191][\128-\191]()",
}

local function end_of_character(text, at)
  for _, form in ipairs(characters) do
    local behind = text:match(form, at)
    if behind then return behind end
  end
end

-- With U+FFFD in the place of each byte that belongs to no character.
local function valid_utf8(text)
  local parts, from, at = {}, 1, text:find "[\128-\255]"
  while at do
    local behind = end_of_character(text, at)
    if not behind then
      parts[#parts + 1] = text:sub(from, at - 1)
      parts[#parts + 1] = "\239\191\189"
      from = at + 1
    end
    at = text:find("[\128-\255]", behind or from)
  end
  if from == 1 then return text end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

-- The codec escapes each slash, which is of no use here.
local unescaped = { ["\\/"] = "/" }

local function encode_string(text)
  local list = core.encode_json { core.is_utf8(text) and text or valid_utf8(text) }
  return escape_hidden((list:sub(2, -2):gsub("\\.", unescaped)))
end

-- Whole numbers without a fraction; others with as many digits as tell them from their neighbours.
local function encode_number(number)
  if number ~= number or number == math.huge or number == -math.huge then return "null" end
  if number == math.floor(number) and math.abs(number) < 2 ^ 53 then return ("%.0f"):format(number) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(number)
    if tonumber(text) == number then return text end
  end
end

---An object whose members come in this order, those that are nil left out, and after them all others, sorted.
---@param order string[]
---@param members table<string, any>
function json.object(order, members)
  return setmetatable({ order = order, members = members }, Object)
end

---A list, which may be empty.
---@param items any[]
function json.list(items)
  return setmetatable({ items = items }, List)
end

-- Whether what a lenient reader took for an object is one to all readers: no control characters in its strings, no
-- numbers such as "-.5" and "1.".
local function is_strict(text)
  local bare = text:gsub('\\["\\/bfnrtu]', ""):gsub('"[^"\1-\31]*"', " ")
  if not bare:find "^{.*}$" or bare:find('"', 1, true) then return false end
  for token in bare:gmatch "[^%s{}%[%]:,]+" do
    local number = token:gsub("^%-?%d+", "0"):gsub("^0%.%d+", "0"):gsub("^0[eE][+-]?%d+$", "0")
    if number ~= "0" and token ~= "true" and token ~= "false" and token ~= "null" then return false end
  end
  return true
end

---An object that was read of a text, to be written as it stands there, with its order, nulls and numbers, or
---nearly so where not everyone could read it.
---@param text string  one line
---@param object table  what the library read of it
function json.object_of_text(text, object)
  text = excerpt.trim(text)
  return is_strict(text) and setmetatable({ text = text }, Text) or object
end

local encode

local function encode_members(names, members)
  local parts = {}
  for _, name in ipairs(names) do
    if members[name] ~= nil then parts[#parts + 1] = encode_string(name) .. ":" .. encode(members[name]) end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_object(order, members)
  local names, rest, known = {}, {}, {}
  for i, name in ipairs(order) do names[i], known[name] = name, true end
  for name in pairs(members) do
    if type(name) == "string" and not known[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do names[#names + 1] = name end
  return encode_members(names, members)
end

local function encode_list(items)
  local parts = {}
  for i, item in ipairs(items) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_table(value)
  local class = getmetatable(value)
  if class == Text then return escape_hidden(valid_utf8(value.text)) end
  if class == Object then return encode_object(value.order, value.members) end
  if class == List then return encode_list(value.items) end
  if value[1] ~= nil then return encode_list(value) end
  return encode_object({}, value)
end

function encode(value)
  if type(value) == "string" then return encode_string(value) end
  if type(value) == "number" then return encode_number(value) end
  if type(value) == "table" then return encode_table(value) end
  return tostring(value)
end

---@param value string|number|boolean|table  a plain table is a list when it has items, else an object with its
---members sorted
---@return string text  one line, without its end
function json.encode(value)
  return encode(value)
end

return json
