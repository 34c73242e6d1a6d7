---What others wrote, made fit for a message: no secret, no control character, one line, not long.
local excerpt = {}

-- Of UTF-8, white space apart; without the control characters of ISO 8859 (C2 80 to C2 9F).
local printable = {
  "^[\33-\126]+()", "^\194[\160-\191]()", "^[\195-\223][\128-\191]()",
  "^[\224-\239][\128-\191][\128-\191]()", "^[\240-\244][\128-\191][\128-\191][\128-\191]()",
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

---One line: what cannot be printed, and every run of white space, becomes one space.
---@param text string
---@param limit integer  bytes; what is longer is cut, and ends with "..."
---@return string
function excerpt.line(text, limit)
  local words, at, word_start = {}, 1, nil
  while at <= #text do
    local behind = end_of_printable(text, at)
    if behind then
      word_start = word_start or at
    elseif word_start then
      words[#words + 1] = text:sub(word_start, at - 1)
      word_start = nil
    end
    at = behind or at + 1
  end
  if word_start then words[#words + 1] = text:sub(word_start) end
  local line = table.concat(words, " ")
  if #line <= limit then return line end
  while limit > 0 and line:find("^[\128-\191]", limit + 1) do limit = limit - 1 end -- within a character
  return line:sub(1, limit) .. "..."
end

return excerpt
