-- What the specs of iot.sign and iot.presign share: inputs, and a look into the results.
local iot = require "iot"
local assert = require "luassert"
local http_message = require "spec.support.http_message"

local SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
local TIME, STAMP = 1440938160, "20150830T123600Z" -- the same
local HOST = "https://iot.us-east-1.amazonaws.com"
local EMPTY_PAYLOAD = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

local function credentials(extra)
  local record = { access_key_id = "AKIDEXAMPLE", secret_access_key = SECRET }
  for key, value in pairs(extra or {}) do record[key] = value end
  return record
end

local function options(extra)
  local all = { credentials = credentials(), region = "us-east-1", service = "iot", time = TIME }
  for key, value in pairs(extra or {}) do all[key] = value end
  return all
end

local function presign_options(extra)
  local all = options(extra)
  all.expires_in = all.expires_in or 3600
  return all
end

local MAKE_OPTIONS = { sign = options, presign = presign_options }

local function get(path, headers)
  return { method = "GET", url = HOST .. (path or "/"), headers = headers }
end

-- A canonical request in its six parts, by name.
local function parts(signed)
  local method, path, query, headers, names, payload =
    signed.canonical_request:match "^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.-)\n\n([^\n]*)\n([^\n]*)$"
  return { method = method, path = path, query = query, headers = headers, names = names, payload = payload }
end

local function sign(request, extra)
  local signed = assert(iot.sign(request, options(extra)))
  return parts(signed), signed
end

local function presign(request, extra)
  local signed = assert(iot.presign(request, presign_options(extra)))
  return parts(signed), signed
end

-- The canonical header lines that say something of the given headers.
local function given_lines(canonical)
  local lines = {}
  for line in canonical.headers:gmatch "[^\n]+" do
    if not line:find "^host:" and not line:find "^x%-amz%-date:" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

-- All values of the signed request's headers of one name.
local function header(signed, name)
  return http_message.by_name(signed.headers)[name:lower()] or {}
end

-- The query of a presigned URL, decoded, each name once.
local function url_parameters(signed)
  local _, _, query = http_message.split_url(signed.url)
  local found = {}
  for parameter in query:gmatch "[^&]+" do
    local name, value = parameter:match "^([^=]*)=(.*)$"
    name = http_message.decode(name)
    assert.is_nil(found[name], name .. " comes twice in " .. signed.url)
    found[name] = http_message.decode(value)
  end
  return found
end

-- The query without the parameters of the given names, as sorted text.
local function query_without(url, ...)
  local _, _, query = http_message.split_url(url)
  local dropped, kept = {}, {}
  for _, name in ipairs { ... } do dropped[name] = true end
  for _, parameter in ipairs(http_message.parameters(query)) do
    if not dropped[parameter:match "^[^=]*"] then kept[#kept + 1] = parameter end
  end
  return table.concat(kept, "&")
end

-- All text that a failure lets out.
local function failure_text(message, detail)
  local said = { tostring(message), tostring(detail) }
  for key, value in pairs(type(detail) == "table" and detail or {}) do
    said[#said + 1] = tostring(key) .. "=" .. tostring(value)
  end
  return table.concat(said, "\n")
end

local function assert_failure(code, result, message, detail)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal("table", type(detail))
  assert.equal("string", type(tostring(detail)))
  if code then assert.equal(code, detail.code) end
  assert.is_nil(failure_text(message, detail):find(SECRET, 1, true))
end

local function assert_invalid(result, message, detail)
  assert_failure("InvalidParameter", result, message, detail)
  assert.equal("validation", detail.kind)
end

local function assert_bad_credentials(result, message, detail)
  assert_failure("InvalidCredentials", result, message, detail)
  assert.equal("credentials", detail.kind)
end

-- iot.sign or iot.presign. Not by a tail call, which would take this file off the stack.
local function call(form, request, given)
  local signed, message, detail = iot[form](request, given)
  return signed, message, detail
end

-- Whether a message names an argument or field: by its place, its name or the words of its name.
local function assert_named(name, message)
  local said = message:lower():gsub("_", " ")
  local place = ({ request = "bad argument #1", options = "bad argument #2" })[name]
  assert.is_truthy(said:find((name:lower():gsub("_", " ")), 1, true) or place and said:find(place, 1, true),
    ("%q names no %s"):format(message, name))
end

-- Misuse raises at the line that misused, which is in this file, and says what was misused.
local function assert_misuse(name, form, request, given)
  local ok, message = pcall(call, form, request, given)
  assert.is_false(ok, "did not raise")
  assert.equal("string", type(message))
  assert.matches("^[^:]*support/signing%.lua:%d+: ", message)
  assert_named(name, message)
  assert.is_nil(message:find(SECRET, 1, true))
end

-- For what may be called misuse or a bad value with equal right: refused all the same, by name.
local function assert_refused(name, form, request, given)
  local ok, result, message, detail = pcall(call, form, request, given)
  if not ok then return assert_misuse(name, form, request, given) end
  assert_failure(nil, result, message, detail)
  assert_named(name, message)
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = copy(inner) end
  return out
end

return {
  SECRET = SECRET,
  TIME = TIME,
  STAMP = STAMP,
  HOST = HOST,
  EMPTY_PAYLOAD = EMPTY_PAYLOAD,
  MAKE_OPTIONS = MAKE_OPTIONS,
  credentials = credentials,
  options = options,
  presign_options = presign_options,
  get = get,
  parts = parts,
  sign = sign,
  presign = presign,
  given_lines = given_lines,
  header = header,
  url_parameters = url_parameters,
  query_without = query_without,
  failure_text = failure_text,
  assert_failure = assert_failure,
  assert_invalid = assert_invalid,
  assert_bad_credentials = assert_bad_credentials,
  call = call,
  assert_named = assert_named,
  assert_misuse = assert_misuse,
  assert_refused = assert_refused,
  copy = copy,
}
