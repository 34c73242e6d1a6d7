--- Failures of the library as specs see them: the triple, and every text in it.
local assert = require "luassert"

local M = {}

--- Whether a text may be printed on a terminal as it is: one line of UTF-8 without control characters.
---@param text string
---@return boolean
function M.is_printable(text)
  local at = 1
  while at <= #text do
    local behind = text:match("^[\32-\126]()", at) or text:match("^[\194-\223][\128-\191]()", at)
      or text:match("^[\224-\239][\128-\191][\128-\191]()", at)
      or text:match("^[\240-\244][\128-\191][\128-\191][\128-\191]()", at)
    if not behind then return false end
    at = behind
  end
  return not text:find "\194[\128-\159]" -- the control characters of ISO 8859
end

--- Every text in a value: strings, keys and values of tables at any depth, and what `tostring` makes
--- of what has a `__tostring`.
---@param value any
---@param found? string[]
---@return string[]
function M.texts(value, found)
  found = found or {}
  local seen = {}
  local function visit(inner)
    if type(inner) == "string" or type(inner) == "number" then
      found[#found + 1] = tostring(inner)
    elseif (type(inner) == "table" or type(inner) == "userdata") and not seen[inner] then
      seen[inner] = true
      found[#found + 1] = tostring(inner)
      if type(inner) == "table" then
        for key, field in pairs(inner) do
          visit(key)
          visit(field)
        end
      end
    end
  end
  visit(value)
  return found
end

--- Hold a failure against what was expected of it, and against what holds for every failure.
---@param expected table  fields of the detail, `false` for none; `message`: a Lua pattern, or a list of
---such, in lower case, to be found in the message's lower-case form
---@param result any
---@param message any
---@param detail any
---@return string message
---@return table detail
function M.check(expected, result, message, detail)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal("table", type(detail), message)
  assert.equal(message, tostring(detail))
  assert.is_true(#message > 0 and #message <= 2048, message)
  assert.is_true(M.is_printable(message), ("%q is not one printable line"):format(message))
  for _, name in ipairs { "kind", "code" } do
    assert.equal("string", type(detail[name]), message)
  end
  assert.equal("boolean", type(detail.retryable), message)
  assert.equal("boolean", type(detail.throttled), message)

  local names = {}
  for name in pairs(expected) do names[#names + 1] = name end
  table.sort(names) -- "code" first
  for _, name in ipairs(names) do
    local value, actual = expected[name], detail[name]
    if value == false and actual == nil then actual = false end
    if name ~= "message" then assert.equal(value, actual, ("%s of: %s"):format(name, message)) end
  end
  local patterns = expected.message or {}
  for _, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    assert.is_truthy(message:lower():find(pattern), ("%q has no %q"):format(message, pattern))
  end
  return message, detail
end

return M
