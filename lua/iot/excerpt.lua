---What others wrote, made fit for a message: no secret, no control character, one line, not long.
local excerpt = {}

-- Well-formed UTF-8 (RFC 3629), white space apart; without the control characters of ISO 8859 (C2 80 to C2 9F), and
-- without what is not seen but moves or hides what is: U+061C, U+200B to U+200F, U+2028 to U+202E, U+2060 to
-- U+206F, U+FEFF.
local printable = {
  "^[\33-\126]+()", "^\194[\160-\191]()", "^[\195-\215\217-\223][\128-\191]()", "^\216[\128-\155\157-\191]()",
  "^\226\128[\128-\138\144-\167\175-\191]()", "^\226\129[\128-\159\176-\191]()", "^\226[\130-\191][\128-\191]()",
  "^\239\187[\128-\190]()", "^\239[\128-\186\188-\191][\128-\191]()",
  "^\224[\160-\191][\128-\191]()", "^[\225\227-\236\238][\128-\191][\128-\191]()", "^\237[\128-\159][\128-\191]()",
  "^\240[\144-\191][\128-\191][\128-\191]()", "^[\241-\243][\128-\191][\128-\191][\128-\191]()",
  "^\244[\128-\143][\128-\191][\128-\191]()",
}

local function end_of_printable(text, at)
  for _, form in ipairs(printable) do
    local behind = text:match(form, at)
    if behind then return behind end
  end
end

---Without the white space at both ends; in linear time, whatever the text.
---@param text string
---@return string
function excerpt.trim(text)
  return text:find("%S") and text:match("^%s*(.*%S)") or ""
end

---The text with "***" in the place of each secret, which others may quote without the white space
---around it.
---@param text string
---@param secrets string[]  those shorter than 4 bytes are passed over: they are parts of words
---@return string
function excerpt.redact(text, secrets)
  for _, secret in ipairs(secrets) do
    secret = excerpt.trim(secret)
    local parts, at = {}, 1
    local first, last = text:find(secret, at, true)
    while first and #secret >= 4 do
      parts[#parts + 1] = text:sub(at, first - 1)
      at = last + 1
      first, last = text:find(secret, at, true)
    end
    parts[#parts + 1] = text:sub(at)
    text = table.concat(parts, "***")
  end
  return text
end

---The text with a space in the place of each byte that cannot be printed.
---@param text string
---@return string
function excerpt.printable(text)
  if not text:find("[^\32-\126]") then return text end
  local parts, at = {}, 1
  while at <= #text do
    local behind = end_of_printable(text, at)
    parts[#parts + 1] = behind and text:sub(at, behind - 1) or " "
    at = behind or at + 1
  end
  return table.concat(parts)
end

-- How far to look for as many printable bytes: others may go on for ever.
local function end_of_search(text, limit)
  return math.min(#text, 16 * limit + 4096)
end

---One line: what cannot be printed, and every run of white space, becomes one space.
---@param text string
---@param limit integer  bytes; what is longer is cut, and ends with "..."
---@return string
function excerpt.line(text, limit)
  local words, at, word_start = {}, 1, nil
  local last = end_of_search(text, limit)
  while at <= last do
    local behind = end_of_printable(text, at)
    if behind then
      word_start = word_start or at
    elseif word_start then
      words[#words + 1] = text:sub(word_start, at - 1)
      word_start = nil
    end
    at = behind or at + 1
  end
  if word_start then words[#words + 1] = text:sub(word_start, at - 1) end
  local line = table.concat(words, " ")
  if #line <= limit then return at > #text and line or line .. "..." end
  while limit > 0 and line:find("^[\128-\191]", limit + 1) do limit = limit - 1 end -- within a character
  return line:sub(1, limit) .. "..."
end

return excerpt
