-- The list of codes, and how a failure is put together.
local core = require "iot.core"
local errors = require "iot.errors"
local files = require "spec.support.files"
local failures = require "spec.support.failures"

local KINDS = {
  validation = true, configuration = true, credentials = true, transport = true, timeout = true,
  response = true, service = true, waiter = true,
}

local function pack(...) return { n = select("#", ...), ... } end

-- The codes -----------------------------------------------------------------------------------

describe("the codes", function()
  it("cover every status of the core", function()
    local names = core.status_names()
    assert.is_true(#names > 2)
    for _, name in ipairs(names) do
      if name == "Ok" or name == "OutOfMemory" then -- no failure, and one that raises
        assert.is_nil(errors.codes[name])
      else
        assert.is_table(errors.codes[name], name)
      end
    end
  end)

  -- Code, kind, whether another attempt may succeed.
  local PROMISED = {
    { "InvalidParameter", "validation", false },
    { "MissingRegion", "configuration", false },
    { "InvalidRegion", "configuration", false },
    { "InvalidEndpoint", "configuration", false },
    { "InvalidConfiguration", "configuration", false },
    { "InvalidCABundle", "configuration", false },
    { "NoCredentials", "credentials", false },
    { "InvalidCredentials", "credentials", false },
    { "NameResolutionFailed", "transport", true },
    { "ConnectionFailed", "transport", true },
    { "ConnectionLost", "transport", true },
    { "TLSHandshakeFailed", "transport", true },
    { "CertificateInvalid", "transport", false },
    { "Timeout", "timeout", true },
    { "MalformedResponse", "response", false },
  }

  for _, case in ipairs(PROMISED) do
    local code, kind, retryable = case[1], case[2], case[3]
    it(("have %s, of kind %s"):format(code, kind), function()
      assert.is_table(errors.codes[code])
      assert.equal(kind, errors.codes[code].kind)
      assert.equal(retryable, errors.codes[code].retryable)
    end)
  end

  for code, entry in pairs(errors.codes) do
    it("are complete: " .. code, function()
      assert.matches("^%u%a+$", code)
      assert.is_true(KINDS[entry.kind], tostring(entry.kind) .. " is no kind")
      assert.are_not.equal("service", entry.kind)
      assert.equal("string", type(entry.meaning))
      assert.is_true(#entry.meaning > 0 and failures.is_printable(entry.meaning))
      assert.equal("boolean", type(entry.retryable))
      if entry.kind == "validation" or entry.kind == "configuration" or entry.kind == "credentials" then
        assert.is_false(entry.retryable)
      end
    end)

    it("are in the manual: " .. code, function()
      local manual = assert(files.read "README.md")
      -- With its kind, in one line of the table of codes.
      assert.is_truthy(manual:find("`" .. code .. "`", 1, true), "README.md lacks " .. code)
      local row = manual:match("\n(|[^\n|]*`" .. code .. "`[^\n]*)\n")
      assert.is_truthy(row and row:find("`" .. entry.kind .. "`", 1, true), code .. " has another kind there")
      assert.is_truthy(row:find(entry.retryable and "| yes |" or "| no |", 1, true), row)
    end)
  end

  it("are all that the manual lists", function()
    local manual = assert(files.read "README.md")
    local listed = 0
    for code, kind in manual:gmatch "\n| *`(%u%a+)` *| *`(%l+)` *|" do
      listed = listed + 1
      assert.is_table(errors.codes[code], code)
      assert.equal(errors.codes[code].kind, kind)
    end
    local count = 0
    for _ in pairs(errors.codes) do count = count + 1 end
    assert.equal(count, listed)
  end)
end)

-- A failure -----------------------------------------------------------------------------------

describe("a failure", function()
  it("is nil, a message and a detail", function()
    local triple = pack(errors.fail({ code = "Timeout" }, "what happened"))
    assert.equal(3, triple.n)
    local message, detail = failures.check(
      { kind = "timeout", code = "Timeout", retryable = true, throttled = false }, triple[1], triple[2], triple[3])
    assert.is_truthy(message:find("what happened", 1, true))
    assert.equal(message, detail.message)
  end)

  it("has the kind of its code", function()
    for code, entry in pairs(errors.codes) do
      local expected = { kind = entry.kind, code = code, retryable = entry.retryable, throttled = false }
      local message = failures.check(expected, errors.fail({ code = code }, "what happened"))
      assert.is_truthy(message:find("what happened", 1, true))
    end
  end)

  it("keeps what is known of it", function()
    local facts = {
      code = "MalformedResponse", operation = "describe_thing_registration_task", status = 200,
      request_id = "id-of-the-request", attempts = 3, body = "<html>",
    }
    local expected = {}
    for name, value in pairs(facts) do expected[name] = value end
    failures.check(expected, errors.fail(facts, "it is no JSON object"))
  end)

  it("is complete when it is printed alone", function()
    -- Facts, message, what must be found.
    for _, case in ipairs {
      { { code = "MissingRegion" }, "no region is known", { "no region is known" } },
      { { code = "InvalidParameter", operation = "some_operation" }, "taskId is required",
        { "some_operation", "taskId is required" } },
      { { code = "MalformedResponse", operation = "some_operation", status = 200, request_id = "the-id" },
        "it is no JSON object", { "some_operation", "it is no JSON object", "200", "the-id" } },
      { { kind = "service", code = "ResourceNotFoundException", operation = "some_operation", status = 404,
          request_id = "the-id" }, "No such task",
        { "some_operation", "ResourceNotFoundException", "No such task", "404", "the-id" } },
      { { kind = "service", code = "ThrottlingException", status = 400 }, "", { "ThrottlingException", "400" } },
      { { kind = "service", code = "403", status = 403, request_id = "the-id" }, "Forbidden",
        { "403", "Forbidden", "the-id" } },
      { { kind = "service", code = "503", operation = "some_operation", status = 503 }, "",
        { "some_operation", "503" } },
    } do
      local message = failures.check({}, errors.fail(case[1], case[2]))
      for _, part in ipairs(case[3]) do assert.is_truthy(message:find(part, 1, true), message) end
      -- Where words are missing, nothing points at them.
      assert.is_nil(message:find "[:,]%s*$" or message:find "[:,]%s*%(" or message:find "  ", message)
    end
  end)

  it("does not name a code twice", function()
    for _, case in ipairs {
      { { kind = "service", code = "500", status = 500 }, "" },
      { { kind = "service", code = "ResourceNotFoundException", status = 404 }, "No such task" },
    } do
      local code = case[1].code
      local _, message = errors.fail(case[1], case[2])
      local _, count = message:gsub(code, "")
      assert.equal(1, count, message)
    end
  end)

  it("works with assert", function()
    -- The one of Lua, which raises what it is given; in a spec `assert` is another.
    local plain_assert = rawget(_G, "assert")
    local _, message, detail = errors.fail({ code = "MissingRegion" }, "no region is known")
    local ok, raised = pcall(plain_assert, nil, message, detail)
    assert.is_false(ok)
    assert.equal(message, raised)
  end)

  it("shows its detail as the message", function()
    local _, message, detail = errors.fail({ code = "ConnectionFailed", operation = "some_operation" }, "refused")
    assert.equal(message, tostring(detail))
    assert.equal("see: " .. message, "see: " .. tostring(detail))
  end)
end)

-- Errors of the service -----------------------------------------------------------------------

describe("an error of the service", function()
  local THROTTLING = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
    "PriorRequestNotComplete", "EC2ThrottledException",
  }
  -- Code, status, retryable, throttled.
  local CASES = {
    { "InvalidRequestException", 400, false, false },
    { "UnauthorizedException", 401, false, false },
    { "ResourceNotFoundException", 404, false, false },
    { "InvalidSignatureException", 403, false, false },
    { "InternalFailureException", 500, true, false },
    { "InternalFailureException", 502, true, false },
    { "RequestTimeout", 400, true, false },
    { "RequestTimeoutException", 408, true, false },
    { "SomethingNew", 400, false, false },
    { "SomethingNew", 429, true, true },
    { "SomethingNew", 503, true, false },
    { "300", 300, false, false },
    { "400", 400, false, false },
    { "403", 403, false, false },
    { "429", 429, true, true },
    { "500", 500, true, false },
    { "501", 501, false, false },
    { "502", 502, true, false },
    { "503", 503, true, false },
    { "504", 504, true, false },
    { "505", 505, false, false },
    { "throttlingexception", 400, false, false },
    -- A code of our own that the service happens to have too.
    { "Timeout", 400, false, false },
    { "ConnectionFailed", 400, false, false },
  }
  for _, code in ipairs(THROTTLING) do
    for _, status in ipairs { 400, 429, 503 } do CASES[#CASES + 1] = { code, status, true, true } end
  end

  for _, case in ipairs(CASES) do
    local code, status, retryable, throttled = case[1], case[2], case[3], case[4]
    local words = (retryable and "may be retried" or "is final") .. (throttled and ", slowly" or "")

    it(("%s: %s with status %d"):format(words, code, status), function()
      failures.check(
        { kind = "service", code = code, status = status, retryable = retryable, throttled = throttled },
        errors.fail({ kind = "service", code = code, status = status }, "what happened"))
    end)
  end
end)
