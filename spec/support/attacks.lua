--- Texts that attackers try, and what must hold of everything that they reach: see spec/contract/attacks_spec.lua and
--- those beside it.
local assert = require "luassert"

local M = {}

--- Names and texts. Each is tried in the place of every text that someone gives.
M.texts = {
  { "a header behind a line end", "a\r\nX-Evil: 1" },
  { "a request behind a line end", "a HTTP/1.1\r\nHost: evil\r\n\r\nGET /evil" },
  { "a line feed", "a\nX-Evil: 1" },
  { "a carriage return", "a\rX-Evil: 1" },
  { "a folded line", "a\r\n X-Evil: 1" },
  { "a NUL", "a\0b" },
  { "an escape sequence", "a\27[2J\27]0;evil\7" },
  { "a control character", "a\1\8\127b" },
  { "a control character of ISO 8859", "a\194\1552J" },
  { "a mark that turns text around", "a\226\128\174b\226\129\166c" },
  { "a query", "a?evil=1&b" },
  { "a fragment", "a#evil" },
  { "another path", "a/../../evil" },
  { "the folder above", ".." },
  { "an escaped folder above", "%2e%2e/evil" },
  { "a user name", "user@evil.example" },
  { "another host", "//evil.example/" },
  { "spaces", " a  b " },
  { "characters beyond ASCII", "\195\169\226\130\172\240\159\152\128" },
  { "what is no UTF-8", "a\255\192\128" },
  { "a pattern and a format", "%s%d%n%1(.-)" },
  { "a very long text", ("x"):rep(100000) },
}

--- Those of them that differ in kind, where each costs some requests.
M.few = {}
for i, attack in ipairs(M.texts) do
  local name = attack[1]
  if i == 1 or name:find "NUL" or name:find "escape" or name:find "query" or name:find "another" or name:find "above$"
    or name:find "user" or name:find "UTF" or name:find "very long" then
    M.few[#M.few + 1] = attack
  end
end

--- One line that does no harm to a terminal: no control characters, no marks that turn or hide text, only UTF-8.
function M.assert_harmless(text)
  assert.equal("string", type(text))
  local plain = text:gsub("[\194-\244][\128-\191]+", function(character)
    local hidden = character:find "^\194[\128-\159]" or character:find "^\216\156" or character:find "^\239\187\191"
      or character:find "^\226\128[\139-\143\168-\174]" or character:find "^\226\129[\160-\175]"
    return hidden and "HIDDEN" .. character:byte(1, 1) or ""
  end)
  local at = plain:find "[^\32-\126]"
  if at or plain:find "HIDDEN" then error(("not harmless: %q"):format(text:sub(1, 400)), 2) end
end

--- That a failure is one of the library's: a harmless line and a detail with a code of which that is true, too.
function M.assert_clear_failure(message, detail)
  M.assert_harmless(message)
  assert.is_true(#message > 10 and #message < 6000)
  M.assert_harmless(detail.code)
  M.assert_harmless(detail.kind)
  if detail.body then M.assert_harmless(detail.body) end
end

local USUAL = {
  ["accept"] = true, ["amz-sdk-invocation-id"] = true, ["amz-sdk-request"] = true, ["authorization"] = true,
  ["content-length"] = true, ["content-type"] = true, ["host"] = true, ["user-agent"] = true, ["x-amz-date"] = true,
  ["x-amz-security-token"] = true, ["x-amzn-trace-id"] = true, ["x-amz-sso_bearer_token"] = true,
  ["x-aws-ec2-metadata-token"] = true, ["x-aws-ec2-metadata-token-ttl-seconds"] = true,
  ["x-amzn-iot-thingname"] = true, ["dpop"] = true,
}

--- That a request of the journal has the headers that requests have, each once, each one line of printable bytes.
function M.assert_usual_headers(entry)
  local seen = {}
  for _, header in ipairs(entry.headers) do
    local name = header[1]:lower()
    if not USUAL[name] or seen[name] then error("the header " .. name .. " was sent: " .. header[2], 2) end
    seen[name] = true
    assert.is_nil(header[2]:find "[%z\1-\31\127]", name)
  end
end

return M
