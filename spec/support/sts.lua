--- What the specs of credential providers share: a context over a runtime that records its requests and
--- answers from a list, the answers of STS, and a look into what was sent that shares no code with the library.
local assert = require "luassert"
local digest = require "spec.support.digest"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local http_message = require "spec.support.http_message"

local M = {}

M.ID, M.SECRET, M.TOKEN = "ASIAROLE", "SECRET-KEY-OF-THE-ROLE", "TOKEN+/=OF&THE<ROLE>"
M.EXPIRATION, M.EXPIRES = "2030-01-31T12:00:00Z", 1896091200 -- the same
M.ACCOUNT, M.ROLE = "123456789012", "arn:aws:iam::123456789012:role/name"
M.SECRETS = { M.SECRET, M.TOKEN }

--- The record that `M.success` holds.
function M.record()
  return { access_key_id = M.ID, secret_access_key = M.SECRET, session_token = M.TOKEN, expiration = M.EXPIRES,
    account_id = M.ACCOUNT }
end

local function escaped(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&#x3E;" }))
end

--- An answer of success.
---@param action string
---@param changes? table<string, string|false>  members of Credentials, escaped; false: none
function M.success(action, changes)
  local members = { AccessKeyId = M.ID, SecretAccessKey = M.SECRET, SessionToken = escaped(M.TOKEN),
    Expiration = M.EXPIRATION }
  for name, value in pairs(changes or {}) do members[name] = value end
  local lines = {}
  for name, value in pairs(members) do
    if value then lines[#lines + 1] = ("        <%s>%s</%s>\n"):format(name, value, name) end
  end
  return { status = 200, headers = {}, body = ([[
<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <%sResult>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::%s:assumed-role/name/session</Arn>
      <AssumedRoleId>AROAEXAMPLE:session</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
%s    </Credentials>
  </%sResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</%sResponse>
]]):format(action, action, M.ACCOUNT, table.concat(lines), action, action) }
end

--- An error document.
function M.refusal(status, code, message)
  return { status = status, headers = {}, body = ([[<?xml version="1.0" encoding="UTF-8"?>
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>
  <RequestId>4d4aa2a2-0000-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>]]):format(code, escaped(message)) }
end

--- The failure of a request, as the core reports it.
function M.failure(code)
  return { failed = "no luck with the connection", code = code }
end

--- A context, whose runtime has `requests`, what it was asked to send, and `naps`, how long it slept.
---@param answers? table[]  responses and failures, one for each request; a function is called with the request
---@param extra? table<string, any>  more fields of the context
function M.context(answers, extra)
  local runtime = environment.runtime()
  runtime.requests, runtime.naps = {}, {}
  function runtime.random() return 0.5 end
  local sleep = runtime.sleep
  function runtime.sleep(seconds)
    table.insert(runtime.naps, seconds)
    sleep(seconds)
  end
  function runtime.request(request)
    table.insert(runtime.requests, request)
    local answer = assert((answers or {})[#runtime.requests], "a request too many")
    if type(answer) == "function" then answer = answer(request) end
    if answer.failed then return nil, answer.failed, { code = answer.code } end
    return answer
  end
  local context = {
    runtime = runtime, region = "eu-west-1", connect_timeout = 3.1, ca_bundle = "/ca", proxy = "",
    endpoint_for = function(service) return ("https://%s.eu-west-1.amazonaws.com"):format(service) end,
  }
  for name, value in pairs(extra or {}) do context[name] = value end
  return context
end

--- The fields of a form, each there once.
function M.fields(request)
  local fields = {}
  for name, value in request.body:gmatch "([^&=]*)=([^&]*)" do
    assert.is_nil(fields[name], name)
    assert.is_nil(value:find "[^A-Za-z0-9_.~%%-]", value)
    fields[name] = http_message.decode(value)
  end
  return fields
end

--- Compute the signature of a request anew, by the rules alone, and hold the sent one against it.
---@param request table  as `runtime.request` got it
---@param credentials iot.Credentials  that must have signed it
---@param region string
function M.assert_signed(request, credentials, region)
  local sent = http_message.by_name(request.headers)
  assert.is_nil(sent.host, "the runtime adds the Host header")
  local origin, path = http_message.split_url(request.url)
  local values = { host = origin:match "^%a+://(.*)$" }
  for name, list in pairs(sent) do
    assert.equal(1, #list, name)
    values[name] = list[1]
  end
  assert.equal(credentials.session_token, values["x-amz-security-token"])

  local id, scope, names, signature = values.authorization:match(
    "^AWS4%-HMAC%-SHA256 Credential=([^/]+)/(%S+), SignedHeaders=(%S+), Signature=(%x+)$")
  assert.equal(credentials.access_key_id, id)
  local stamp = values["x-amz-date"]
  assert.equal(("%s/%s/sts/aws4_request"):format(stamp:sub(1, 8), region), scope)
  local lines, signed = {}, {}
  for name in names:gmatch "[^;]+" do
    signed[name] = true
    lines[#lines + 1] = name .. ":" .. values[name] .. "\n"
  end
  for _, name in ipairs { "host", "x-amz-date", "content-type" } do assert.is_true(signed[name], name) end
  assert.equal(credentials.session_token ~= nil, signed["x-amz-security-token"] == true)

  local canonical = table.concat({ request.method, path == "" and "/" or path, "", table.concat(lines), names,
    digest.sha256(request.body) }, "\n")
  assert.equal(digest.signature(credentials.secret_access_key,
    table.concat({ "AWS4-HMAC-SHA256", stamp, scope, digest.sha256(canonical) }, "\n")), signature)
end

--- Hold a failure of a provider, or of its making, against what was expected.
---@param expected { code: string, message: string|string[] }  patterns for the message, in lower case
function M.assert_failure(expected, result, message, code)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(expected.code, code, message)
  assert.is_true(#message > 0 and #message <= 1024, message)
  assert.is_true(failures.is_printable(message), ("%q is not one printable line"):format(message))
  local patterns = expected.message or {}
  for _, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    assert.is_truthy(message:lower():find(pattern), ("%q has no %q"):format(message, pattern))
  end
  for _, secret in ipairs(M.SECRETS) do assert.is_nil(message:find(secret, 1, true), message) end
  return message
end

return M
