--- Requests of the operations as bytes, without a network, and what the library refuses to write.
local core = require "iot.core"
local assert = require "luassert"
local failures = require "spec.support.failures"
local http_message = require "spec.support.http_message"

local M = {
  ACCESS_KEY_ID = "AKIDEXAMPLE",
  SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  TIME = 1440938160,
  STAMP = "20150830T123600Z", -- the same
  SCOPE = "20150830/us-east-1/iot/aws4_request",
  HOST = "iot.us-east-1.amazonaws.com",
}

--- A copy of a table, changed.
function M.with(base, changes)
  local copy = {}
  for name, value in pairs(base) do copy[name] = value end
  for name, value in pairs(changes or {}) do copy[name] = value end
  return copy
end

function M.native_client(endpoint)
  return assert(core.client { endpoint = endpoint or "https://" .. M.HOST, region = "us-east-1" })
end

M.shared = M.native_client()

function M.attempt(changes)
  return M.with({
    credentials = { access_key_id = M.ACCESS_KEY_ID, secret_access_key = M.SECRET },
    time = M.TIME,
    timeout = 10,
    user_agent = "spec/1",
    invocation_id = "00000000-0000-4000-8000-000000000000",
    number = 1,
    max_attempts = 1,
  }, changes)
end

--- The parts of a request, its headers by name, each of which comes once, and its bytes.
function M.prepare(operation, params, changes, native)
  local bytes = assert((native or M.shared):prepare(operation, params, M.attempt(changes)))
  local request, headers = http_message.parse(bytes), {}
  for name, values in pairs(http_message.by_name(request.headers)) do
    assert.equal(1, #values, name .. " comes more than once")
    headers[name] = values[1]:match "^ (.*)$"
    assert.equal("string", type(headers[name]), name)
  end
  return request, headers, bytes
end

function M.authorization(headers)
  local key, scope, names, signature = headers.authorization:match(
    "^AWS4%-HMAC%-SHA256 Credential=([^/]*)/([^,]*), SignedHeaders=([^,]*), Signature=(%x+)$")
  assert.equal("string", type(signature), headers.authorization)
  return { key = key, scope = scope, names = names, signature = signature }
end

--- Refused alike before credentials are looked for and when the request is written, in one short line.
---@param named string|string[]  what the message says
function M.assert_invalid(named, operation, params)
  for _, answer in ipairs {
    { M.shared:validate(operation, params) },
    { M.shared:prepare(operation, params, M.attempt()) },
  } do
    assert.is_nil(answer[1])
    assert.equal("string", type(answer[2]))
    for _, word in ipairs(type(named) == "table" and named or { named }) do
      assert.is_truthy(answer[2]:find(word, 1, true), ("%q does not name %s"):format(answer[2], word))
    end
    assert.is_true(failures.is_printable(answer[2]), ("%q is not one printable line"):format(answer[2]))
    assert.is_true(#answer[2] < 400)
    assert.equal("InvalidParameter", answer[3].code)
  end
end

-- What is wrong with any string. The kinds of bad UTF-8 are those of RFC 3629.
M.NOT_UTF8 = {
  { "a lone continuation byte", "a\128b" },
  { "a byte that UTF-8 never has", "a\255" },
  { "an overlong slash", "\192\175" },
  { "an overlong NUL of two bytes", "\192\128" },
  { "an overlong form of three bytes", "\224\128\175" },
  { "an overlong form of four bytes", "\240\128\128\175" },
  { "a surrogate", "\237\160\128" },
  { "a pair of surrogates", "\237\160\189\237\184\128" },
  { "a character beyond U+10FFFF", "\244\144\128\128" },
  { "a form of five bytes", "\248\136\128\128\128" },
  { "a character of two bytes cut short", "abc\195" },
  { "a character of three bytes cut short", "abc\226\128" },
  { "a character of four bytes cut short", "abc\240\159\152" },
  { "a character cut short by another", "\226\128a" },
  { "Latin-1", "caf\233" },
}

M.NOT_STRINGS = { { "a number", 7 }, { "a boolean", true }, { "false", false }, { "a table", {} },
  { "a function", print } }

return M
