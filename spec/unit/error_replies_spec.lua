-- What a reply of failure means: code, words, ids, and whether another attempt may succeed. Expected
-- outcomes are those of the project's reference of AWS client behaviour (4.1 to 4.4, 5.2), not of the code.
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local replies = require "spec.support.replies"

local assert_service, parse, call = replies.assert_service, replies.parse, replies.call

before_each(function() environment.replace() end)
after_each(environment.restore)

local function coded(code) return { ["X-Amzn-ErrorType"] = code } end

-- The code -----------------------------------------------------------------------------------

describe("the code of an error", function()
  local FORMS = {
    "FooError", "FooError:http://internal.example.com/x/", "a.b.c#FooError", "a.b.c#FooError:http://x/",
    " FooError ", "FooError: ",
  }
  for _, form in ipairs(FORMS) do
    it(("is FooError in %q"):format(form), function()
      assert_service({ code = "FooError" }, { status = 400, headers = coded(form), body = "{}" })
      for _, member in ipairs { "code", "Code", "__type" } do
        local text = ('{"%s":"%s","message":"why"}'):format(member, form)
        assert_service({ code = "FooError", message = "why" }, { status = 400, body = text })
      end
    end)
  end

  -- What it comes from: headers, body, code.
  local SOURCES = {
    { "the header before the body", coded "A", '{"__type":"B","code":"C"}', "A" },
    { "the header, whatever the case of its name", { ["x-amzn-errortype"] = "A" }, '{"code":"C"}', "A" },
    { "the header, however much its name is shouted", { ["X-AMZN-ERRORTYPE"] = "A" }, "", "A" },
    { "the header beside a body that is no JSON", coded "A", "<html>", "A" },
    { "the member `code` before `__type`", nil, '{"__type":"B","code":"C"}', "C" },
    { "the member `Code` before `__type`", nil, '{"__type":"B","Code":"C"}', "C" },
    { "the member `__type`", nil, '{"__type":"B","message":"m"}', "B" },
    { "the body when the header is empty", coded "", '{"code":"C"}', "C" },
    { "`__type` when `code` is null", nil, '{"code":null,"__type":"B"}', "B" },
    { "`__type` when `code` is a number", nil, '{"code":42,"__type":"B"}', "B" },
    { "`__type` when `code` is an object", nil, '{"code":{"code":"X"},"__type":"B"}', "B" },
    { "`__type` when `code` is empty", nil, '{"code":"","__type":"B"}', "B" },
    { "the status when nothing has it", nil, '{"message":"Forbidden"}', "400" },
    { "the status when `__type` is nested", nil, '{"error":{"__type":"B","code":"C"},"list":[{"code":"D"}]}', "400" },
    { "the status when `__type` is no string", nil, '{"__type":["B"]}', "400" },
    { "the status when nothing is left of it", coded ":http://x/", '{"__type":"a.b#"}', "400" },
    { "the status without a body", nil, "", "400" },
  }
  for _, case in ipairs(SOURCES) do
    it("is from " .. case[1], function()
      assert_service({ code = case[4] }, { status = 400, headers = case[2], body = case[3] })
    end)
  end

  it("cannot harm a terminal, nor fill it", function()
    for _, code in ipairs { "Foo\27[31mError", "Foo\255Error", ("x"):rep(5000), "Foo\194\155Error" } do
      local result, message, detail = call { status = 400, headers = coded(code), body = "{}" }
      assert.is_nil(result)
      assert.is_true(failures.is_printable(detail.code), detail.code)
      assert.is_true(failures.is_printable(message), message)
      assert.is_true(#detail.code <= 1024)
    end
  end)
end)

-- Words and ids ------------------------------------------------------------------------------

describe("the message of an error", function()
  local MESSAGES = {
    { "is `message`", '{"message":"m","Message":"M","errorMessage":"e"}', "m" },
    { "is `Message`", '{"Message":"M","errorMessage":"e"}', "M" },
    { "is `errorMessage`", '{"errorMessage":"e"}', "e" },
    { "may be null", '{"message":null}', "" },
    { "may be missing", "{}", "" },
    { "may be empty", '{"message":""}', "" },
    { "is not one of a member", '{"error":{"message":"m"}}', "" },
    { "may be of any script", '{"message":"caf\195\169 \\ud83d\\ude00"}', "caf\195\169 \240\159\152\128" },
  }
  for _, case in ipairs(MESSAGES) do
    it(case[1], function()
      local reply = { status = 400, headers = coded "FooError", body = case[2] }
      local _, own = parse(reply)
      assert.equal(case[3], own)
      local message = assert_service({ code = "FooError" }, reply)
      assert.matches(case[3], message, 1, true)
    end)
  end

  it("is nothing that breaks when it is no string", function()
    for _, value in ipairs { "7", "true", "{}", '["m"]' } do
      assert_service({ code = "FooError" },
        { status = 400, headers = coded "FooError", body = '{"message":' .. value .. "}" })
    end
  end)

  it("can stand alone: operation, code, words, status and request id", function()
    local message, detail = assert_service({ code = "ResourceNotFoundException", request_id = "id-7" }, {
      status = 404, headers = { ["X-Amzn-ErrorType"] = "ResourceNotFoundException", ["x-amzn-RequestId"] = "id-7" },
      body = '{"message":"Task abc does not exist."}',
    })
    for _, part in ipairs {
      "describe_thing_registration_task", "ResourceNotFoundException", "Task abc does not exist.", "404", "id-7",
    } do
      assert.matches(part, message, 1, true)
    end
    assert.is_nil(detail.body)
  end)

  it("says something when the service says nothing", function()
    for _, status in ipairs { 300, 400, 403, 500, 599 } do
      local message = assert_service({ code = tostring(status) }, { status = status })
      assert.matches(tostring(status), message, 1, true)
      assert.is_true(#message > #("describe_thing_registration_task: (HTTP status 400)"), message)
    end
  end)

  it("is one printable line, whatever the service sends", function()
    for _, text in ipairs { "a\\nb\\r\\nc", "\\u001b[31mred\\u001b[0m", "\\u0000", "a\\u009bb", ("x"):rep(100000) } do
      assert_service({ code = "FooError" },
        { status = 400, headers = coded "FooError", body = '{"message":"' .. text .. '"}' })
    end
  end)
end)

describe("the id of a request", function()
  local IDS = {
    { { ["x-amzn-RequestId"] = "a" }, "a" },
    { { ["X-AMZN-REQUESTID"] = "a" }, "a" },
    { { ["x-amz-request-id"] = "b" }, "b" },
    { { ["x-amz-request-id"] = "b", ["x-amzn-requestid"] = "a" }, "a" },
    { { ["x-amz-id-2"] = "c" }, false },
    { { ["x-amzn-RequestId"] = "" }, false },
    { nil, false },
  }
  for index, case in ipairs(IDS) do
    it(("is the service's (%d)"):format(index), function()
      assert_service({ code = "400", request_id = case[2] }, { status = 400, headers = case[1], body = "{}" })
      replies.assert_failure({ code = "MalformedResponse", request_id = case[2] }, { headers = case[1], body = "[]" })
    end)
  end

  it("cannot harm a terminal, nor fill it", function()
    for _, id in ipairs { "a\27[31m", "a\255", ("x"):rep(5000) } do
      local _, detail = assert_service({ code = "400" }, { status = 400, headers = { ["x-amzn-RequestId"] = id } })
      assert.is_true(failures.is_printable(detail.request_id))
      assert.is_true(#detail.request_id <= 1024)
    end
  end)
end)

-- Bodies that are no error document: reference 4.4, row by row ---------------------------------

describe("an error", function()
  local HTML = "<html>\r\n<head><title>503</title></head>\r\n</html>"
  -- Status, body, headers, code, the service's words, excerpt.
  local ROWS = {
    { "of HTML", 503, HTML, nil, "503", "Service Unavailable", true },
    { "of a document type", 503, "<!DOCTYPE html>" .. HTML, nil, "503", "Service Unavailable", true },
    { "of HTML in upper case", 503, HTML:upper(), nil, "503", "Service Unavailable", true },
    { "of HTML behind spaces", 503, " \r\n" .. HTML, nil, "503", "Service Unavailable", true },
    { "of HTML, and a code in the header", 503, HTML, coded "FooError", "FooError", "Service Unavailable", true },
    { "of HTML from a gateway", 502, HTML, nil, "502", "Bad Gateway", true },
    { "of XML", 500, '<?xml version="1.0"?><Error/>', nil, "500", "Internal Server Error", true },
    { "of nothing, of the server", 500, "", nil, "500", "Internal Server Error", false },
    { "of spaces, of the server", 500, " \r\n\t", nil, "500", "Internal Server Error", false },
    { "of nothing, of the client", 400, "", nil, "400", "", false },
    { "of text", 400, "  what is\tthis?\r\n", nil, "400", "what is this?", true },
    { "of text, and a code in the header", 403, "no", coded "A", "A", "no", true },
    { "of an array", 400, "[1]", nil, "400", "", true },
    { "of a string", 400, '"s"', nil, "400", "", true },
    { "of null", 400, "null", nil, "400", "", true },
    { "of an array, and a code in the header", 400, "[1]", coded "A", "A", "", true },
    { "of an object cut short", 400, '{"message":"m', nil, "400", "", true },
    { "of invalid UTF-8", 400, "caf\233 \255", nil, "400", "", true },
    { "of an object of invalid UTF-8", 403, '{"message":"caf\233"}', coded "A", "A", "", true },
    { "of an object without a code", 403, '{"message":"Forbidden"}', nil, "403", "Forbidden", false },
    { "of two codes and a header", 400, '{"__type":"B","code":"C"}', coded "A", "A", "", false },
    { "of a status that is no success", 300, "", nil, "300", nil, false },
    { "of a redirect", 302, "", { Location = "https://example.com/" }, "302", nil, false },
    { "of an object nested without end", 400, ('{"x":'):rep(2000) .. "1" .. ("}"):rep(2000), nil, "400", "", true },
  }
  for _, row in ipairs(ROWS) do
    it(row[1] .. " is understood as far as it can be", function()
      local reply = { status = row[2], body = row[3], headers = row[4] }
      local _, own = parse(reply)
      if row[6] then assert.equal(row[6], own) end
      local message, detail = assert_service({ code = row[5] }, reply)
      assert.matches(row[6] or "", message, 1, true)
      assert.equal(row[7], detail.body ~= nil)
      if row[7] then
        assert.is_true(failures.is_printable(detail.body))
        assert.equal(row[3]:match "%w+", detail.body:match "%w+")
      end
    end)
  end

  it("has the server's own reason phrase, or the registered one", function()
    local message = assert_service({ code = "503" }, { status = 503, reason = "Down for Tea", body = HTML })
    assert.matches("Down for Tea", message, 1, true)
    message = assert_service({ code = "503" }, { status = 503, reason = "", body = HTML })
    assert.matches("Service Unavailable", message, 1, true)
  end)

  it("shows an excerpt that is bounded, printable and marks what is not text", function()
    local bytes = {}
    for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
    for _, body in ipairs { "x" .. table.concat(bytes), ("<p>"):rep(100000), ("\195\169"):rep(5000), "\27[2J<",
      "a" .. ("\240\159\152\128"):rep(5000), ("\255"):rep(5000), "<\194\155\194\133>" } do
      for _, status in ipairs { 200, 400, 503 } do
        local _, _, detail = call { status = status, body = body }
        assert.equal("string", type(detail.body))
        assert.is_true(#detail.body > 0 and #detail.body <= 1024)
        assert.is_true(failures.is_printable(detail.body), ("%q"):format(detail.body))
      end
    end
    local _, _, detail = call { status = 400, body = "caf\233!" }
    assert.equal("caf\239\191\189!", detail.body)
  end)

  it("is not hidden by a success before it", function()
    assert.equal("t", parse({ body = '{"taskId":"t"}' }).taskId)
    local result, _, facts = parse { status = 500 }
    assert.is_nil(result)
    assert.equal("500", facts.code)
    assert.is_nil(facts.request_id)
  end)
end)

-- Another attempt: reference 5.2 -----------------------------------------------------------------

describe("an error is worth another attempt", function()
  local THROTTLING = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
    "PriorRequestNotComplete", "EC2ThrottledException",
  }
  for _, code in ipairs(THROTTLING) do
    it("and throttled: " .. code, function()
      for _, status in ipairs { 400, 429, 503 } do
        local form = status == 400 and "com.amazonaws.iot#" .. code .. ":http://x/" or code
        assert_service({ code = code, retryable = true, throttled = true },
          { status = status, headers = coded(form), body = '{"message":"Rate exceeded"}' })
      end
      assert_service({ code = code, retryable = true, throttled = true },
        { status = 400, body = '{"__type":"' .. code .. '"}' })
    end)
  end

  for _, code in ipairs { "RequestTimeout", "RequestTimeoutException" } do
    it("for its code: " .. code, function()
      assert_service({ code = code, retryable = true, throttled = false }, { status = 400, headers = coded(code) })
    end)
  end

  for _, status in ipairs { 500, 502, 503, 504 } do
    it("for its status: " .. status, function()
      for _, code in ipairs { "FooError", "InternalFailureException", "ServiceUnavailableException" } do
        assert_service({ code = code, retryable = true, throttled = false }, { status = status, headers = coded(code) })
      end
      assert_service({ code = tostring(status), retryable = true, throttled = false },
        { status = status, body = "<html>" })
    end)
  end

  it("for its status, as throttled: 429", function()
    for _, code in ipairs { "FooError", "429" } do
      assert_service({ code = code, retryable = true, throttled = true },
        { status = 429, headers = code ~= "429" and coded(code) or nil })
    end
  end)
end)

describe("an error is not worth another attempt", function()
  for _, case in ipairs {
    { 400, "InvalidRequestException" }, { 401, "UnauthorizedException" }, { 404, "ResourceNotFoundException" },
    { 403, "UnrecognizedClientException" }, { 403, "SignatureDoesNotMatch" }, { 403, "AccessDeniedException" },
    { 403, "MissingAuthenticationTokenException" }, { 403, "IncompleteSignatureException" },
    { 403, "ExpiredTokenException" }, { 403, "ForbiddenException" }, { 409, "ConflictingResourceUpdateException" },
    { 400, "ResourceRegistrationFailureException" }, { 400, "IDPCommunicationError" }, { 400, "throttlingexception" },
    { 400, "NotThrottlingException" }, { 408, "FooError" }, { 501, "FooError" }, { 505, "FooError" },
    { 509, "FooError" },
  } do
    it(("for its code: %d %s"):format(case[1], case[2]), function()
      assert_service({ code = case[2], retryable = false, throttled = false },
        { status = case[1], headers = coded(case[2]) })
    end)
  end

  for _, status in ipairs { 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 409, 413, 501, 505, 599 } do
    it("for its status: " .. status, function()
      assert_service({ code = tostring(status), retryable = false, throttled = false },
        { status = status, body = "no" })
    end)
  end
end)
