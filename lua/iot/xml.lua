---A reader of the small XML documents that STS and S3 answer with; strict, because they come from outside.
---
---It knows elements, attributes (which it drops), text, comments, CDATA and the entities that every
---document has. A document type is refused, so that no entity can be defined, let alone expanded. The
---position only moves forward, nothing recurses, and size and depth are limited.
local xml = {}

local max_size, max_depth = 65536, 16

local entities = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

---@class iot.xml.Element
---@field name string  as written, with a prefix if there is one
---@field text string  what stands directly in it
---@field children iot.xml.Element[]

local function is_character(code)
  return code == 9 or code == 10 or code == 13 or code >= 0x20 and code <= 0xD7FF
    or code >= 0xE000 and code <= 0xFFFD or code >= 0x10000 and code <= 0x10FFFF
end

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  local bytes, first = "", 0xC0
  local room = 0x20 -- what the first byte holds
  while code >= room do
    bytes = string.char(0x80 + code % 0x40) .. bytes
    code = math.floor(code / 0x40)
    if code < room then break end
    room, first = room / 2, first + room
  end
  return string.char(first + code) .. bytes
end

-- The text of a reference without "&" and ";", nil when there is no such character.
local function expand(name)
  local digits, base = name:match("^#(%d+)$"), 10
  if not digits then digits, base = name:match("^#x(%x+)$"), 16 end
  if not digits then return entities[name] end
  local code = #digits <= 10 and tonumber(digits, base)
  return code and is_character(code) and utf8(code) or nil
end

-- What no part of a document may hold.
local function has_control(text)
  return text:find("[%z\1-\8\11\12\14-\31]") ~= nil
end

-- In one pass: what an expansion yields is not read again.
local function decode(text)
  if has_control(text) then return nil, "a control character" end
  local bad = false
  local decoded = text:gsub("&([^;]*)(;?)", function(name, semicolon)
    local expansion = semicolon == ";" and expand(name)
    bad = bad or not expansion
    return expansion or ""
  end)
  if bad then return nil, "an unknown entity" end
  return decoded
end

-- The position behind the attributes that start at `at`; nil when one is malformed.
local function skip_attributes(text, at)
  local names = {}
  while true do
    local name, quote, value_start = text:match("^%s+([%a_:][%w_.:-]*)%s*=%s*(['\"])()", at)
    if not name then return at end
    local value_end = text:find(quote, value_start, true)
    if not value_end or names[name] then return nil end
    local value = text:sub(value_start, value_end - 1)
    if value:find("<", 1, true) or not decode(value) then return nil end
    names[name] = true
    at = value_end + 1
  end
end

-- Each reader below takes the state, consumes one thing at state.at and returns nil or what is wrong.

local function read_text(state)
  local stop = state.text:find("<", state.at, true) or #state.text + 1
  local raw = state.text:sub(state.at, stop - 1)
  state.at = stop
  local element = state.open[#state.open]
  if not element then return raw:find("%S") and "text outside of the root element" or nil end
  local decoded, wrong = decode(raw)
  if not decoded then return wrong end
  element.pieces[#element.pieces + 1] = decoded
end

local function read_verbatim(state, opening, closing)
  local start = state.at + #opening
  local first, last = state.text:find(closing, start, true)
  if not first then return "a comment or a CDATA section without an end" end
  state.at = last + 1
  local text = state.text:sub(start, first - 1)
  if has_control(text) then return "a control character" end
  if opening == "<!--" then return nil end
  local element = state.open[#state.open]
  if not element then return "text outside of the root element" end
  element.pieces[#element.pieces + 1] = text
end

local function close_element(state, name)
  local element = table.remove(state.open)
  if not element or element.name ~= name then return "an end tag that closes nothing" end
  element.text, element.pieces = table.concat(element.pieces), nil
end

local function read_end_tag(state)
  local name, behind = state.text:match("^</([%a_][%w_.:-]*)%s*>()", state.at)
  if not name then return "a malformed end tag" end
  state.at = behind
  return close_element(state, name)
end

local function read_start_tag(state)
  local name, attributes = state.text:match("^<([%a_][%w_.:-]*)()", state.at)
  local after = name and skip_attributes(state.text, attributes)
  local slash, behind
  if after then slash, behind = state.text:match("^%s*(/?)>()", after) end
  if not behind then return "a malformed tag" end
  if #state.open == max_depth then return "elements nested too deeply" end
  local element = { name = name, pieces = {}, children = {} }
  local parent = state.open[#state.open]
  if parent then
    parent.children[#parent.children + 1] = element
  elseif state.root then
    return "a second root element"
  else
    state.root = element
  end
  state.open[#state.open + 1] = element
  state.at = behind
  if slash == "/" then return close_element(state, name) end
end

local function read_next(state)
  local function starts_with(word) return state.text:sub(state.at, state.at + #word - 1) == word end
  if not starts_with("<") then return read_text(state) end
  if starts_with("</") then return read_end_tag(state) end
  if starts_with("<!--") then return read_verbatim(state, "<!--", "-->") end
  if starts_with("<![CDATA[") then return read_verbatim(state, "<![CDATA[", "]]>") end
  if starts_with("<!") then return "a document type, which is not accepted" end
  if starts_with("<?") then return "a processing instruction" end
  return read_start_tag(state)
end

-- Behind a byte order mark and the declaration, which are allowed at the very beginning only.
local function start_of(text)
  local at = text:match("^\239\187\191()") or 1
  return text:match("^<%?xml%s[^<>?]*%?>()", at) or at
end

---Read a whole document.
---@param text string
---@return iot.xml.Element? root
---@return string? message  what is wrong, and where; it quotes nothing, for that might be secret
function xml.parse(text)
  if #text > max_size then return nil, "it is larger than " .. max_size .. " bytes" end
  local state = { text = text, at = start_of(text), open = {} }
  while state.at <= #text do
    local at = state.at
    local wrong = read_next(state)
    if wrong then return nil, ("it has %s at byte %d"):format(wrong, at) end
  end
  if not state.root then return nil, "it has no element" end
  if #state.open > 0 then return nil, "it ends within an element" end
  return state.root
end

---The text of the element that a path of names leads to. What is there twice, or has elements of its
---own, has no text: nothing of it is to be guessed.
---@param element iot.xml.Element?
---@param ... string  names of elements, each a child of the one before
---@return string?
function xml.text(element, ...)
  for _, name in ipairs { ... } do
    local found
    for _, child in ipairs(element and element.children or {}) do
      if child.name == name then
        if found then return nil end
        found = child
      end
    end
    element = found
  end
  return element and #element.children == 0 and element.text or nil
end

return xml
