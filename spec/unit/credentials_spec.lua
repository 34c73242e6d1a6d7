-- Where credentials come from, what they must be, and what is said when there are none.
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"

local ID, SECRET, TOKEN = "AKIDEXAMPLE", "SECRET-KEY-OF-THE-SPEC", "SESSION-TOKEN-OF-THE-SPEC"
local DESCRIBE = "describe_thing_registration_task"
local FIELDS = { "access_key_id", "secret_access_key", "session_token", "expiration", "account_id" }

local unpack = rawget(_G, "unpack") or rawget(table, "unpack")

before_each(function() environment.replace() end)
after_each(environment.restore)

-- Helpers ------------------------------------------------------------------------------------

local function record(extra)
  local all = { access_key_id = ID, secret_access_key = SECRET }
  for name, value in pairs(extra or {}) do all[name] = value end
  return all
end

local function without(name)
  local all = record()
  all[name] = nil
  return all
end

local function set_variables(variables)
  local all = { AWS_REGION = "us-east-1" }
  for name, text in pairs(variables or {}) do all[name] = text end
  environment.replace(all)
end

-- The outcome of a call with these credentials, and the runtime that was to send it. The runtime
-- signs, as one that sends does.
local function describe_with(credentials, variables)
  local runtime = environment.runtime(function(native, operation, params, attempt)
    local request, message, facts = native:prepare(operation, params, attempt)
    if not request then return nil, message, facts end
    return { request = request }
  end)
  set_variables(variables)
  local outcome = { runtime = runtime }
  outcome.client, outcome.message, outcome.detail = iot.new { credentials = credentials, runtime = runtime }
  if outcome.client then
    outcome.result, outcome.message, outcome.detail = outcome.client[DESCRIBE](outcome.client, { taskId = "task" })
  end
  return outcome
end

local function sent_credentials(outcome)
  assert.is_table(outcome.result, outcome.message)
  assert.equal(1, #outcome.runtime.sent)
  return outcome.runtime.sent[1].attempt.credentials
end

local function assert_record(expected, actual)
  for _, name in ipairs(FIELDS) do assert.equal(expected[name], actual[name], name) end
end

local function assert_no_secret(...)
  for _, text in ipairs(failures.texts { ... }) do
    for _, secret in ipairs { SECRET, TOKEN } do assert.is_nil(text:find(secret, 1, true), text) end
  end
end

-- The client was not made, or its call failed before any request was complete.
local function assert_refused(code, named, outcome)
  failures.check({ kind = "credentials", code = code, retryable = false, message = named },
    outcome.result, outcome.message, outcome.detail)
  assert_no_secret(outcome.message, outcome.detail)
  if outcome.client then
    assert.equal(DESCRIBE, outcome.detail.operation)
    assert.equal(0, outcome.detail.attempts)
  end
end

-- A function that answers these values and counts its calls.
local function provider(...)
  local values, count = { ... }, select("#", ...)
  local calls = { count = 0 }
  return function()
    calls.count = calls.count + 1
    return unpack(values, 1, count)
  end, calls
end

-- The environment ----------------------------------------------------------------------------

describe("credentials of the environment", function()
  local KEYS = { AWS_ACCESS_KEY_ID = ID, AWS_SECRET_ACCESS_KEY = SECRET }

  local function keys(extra)
    local all = {}
    for name, text in pairs(KEYS) do all[name] = text end
    for name, text in pairs(extra) do all[name] = text end
    return all
  end

  -- What they are, variables, record.
  local GOOD = {
    { "a key and its secret", keys {}, record() },
    { "a key, its secret and a token", keys { AWS_SESSION_TOKEN = TOKEN }, record { session_token = TOKEN } },
    { "a token of the old name", keys { AWS_SECURITY_TOKEN = TOKEN }, record { session_token = TOKEN } },
    { "an empty token, which is none", keys { AWS_SESSION_TOKEN = "" }, record() },
    { "an account", keys { AWS_ACCOUNT_ID = "123456789012" }, record { account_id = "123456789012" } },
    { "an empty account, which is none", keys { AWS_ACCOUNT_ID = "" }, record() },
    { "an expiration", keys { AWS_CREDENTIAL_EXPIRATION = "2040-01-02T03:04:05Z" },
      record { expiration = 2209086245 } },
    { "an empty expiration, which is none", keys { AWS_CREDENTIAL_EXPIRATION = "" }, record() },
  }

  for _, case in ipairs(GOOD) do
    it("are " .. case[1], function()
      local outcome = describe_with(nil, case[2])
      assert_record(case[3], sent_credentials(outcome))
      assert.equal("environment", outcome.client.credentials_source)
    end)
  end

  -- What is wrong, variables, what the message says (in lower case).
  local NONE = {
    { "nothing is set", {} },
    { "all is empty", { AWS_ACCESS_KEY_ID = "", AWS_SECRET_ACCESS_KEY = "", AWS_SESSION_TOKEN = "" } },
    { "there is a token alone", { AWS_SESSION_TOKEN = TOKEN } },
    { "there is an account alone", { AWS_ACCOUNT_ID = "123456789012" } },
  }

  for _, case in ipairs(NONE) do
    it(("are not found when %s, and the message says what to set"):format(case[1]), function()
      local outcome = describe_with(nil, case[2])
      assert_refused("NoCredentials", { "environment", "aws_access_key_id", "aws_secret_access_key" }, outcome)
      assert.equal(0, #outcome.runtime.sent)
      assert.is_nil(outcome.client.credentials_source)
    end)
  end

  local PARTIAL = {
    { "a key without a secret", { AWS_ACCESS_KEY_ID = ID }, "aws_secret_access_key is not" },
    { "a key with an empty secret", { AWS_ACCESS_KEY_ID = ID, AWS_SECRET_ACCESS_KEY = "" },
      "aws_secret_access_key is not" },
    { "a secret without a key", { AWS_SECRET_ACCESS_KEY = SECRET }, "aws_access_key_id is not" },
    { "a secret with an empty key", { AWS_ACCESS_KEY_ID = "", AWS_SECRET_ACCESS_KEY = SECRET },
      "aws_access_key_id is not" },
    { "a key and a token", { AWS_ACCESS_KEY_ID = ID, AWS_SESSION_TOKEN = TOKEN }, "aws_secret_access_key is not" },
  }

  for _, case in ipairs(PARTIAL) do
    it("are refused when there is " .. case[1], function()
      local outcome = describe_with(nil, case[2])
      assert_refused("InvalidCredentials", case[3], outcome)
      assert.equal(0, #outcome.runtime.sent)
    end)
  end

  it("are looked for again after there were none", function()
    local outcome = describe_with(nil, {})
    assert.is_nil(outcome.result)
    set_variables(KEYS)
    assert.is_table(outcome.client[DESCRIBE](outcome.client, { taskId = "task" }))
    assert.equal("environment", outcome.client.credentials_source)
  end)

  it("are not looked at when the option gives some", function()
    for _, variables in ipairs { KEYS, { AWS_ACCESS_KEY_ID = "OTHER" } } do
      assert_record(record { access_key_id = "OWN" },
        sent_credentials(describe_with(record { access_key_id = "OWN" }, variables)))
    end
    assert_refused("InvalidCredentials", "secret_access_key", describe_with(without "secret_access_key", KEYS))
    assert_refused("NoCredentials", "gone", describe_with(provider(nil, "gone"), KEYS))
  end)
end)

-- Records ------------------------------------------------------------------------------------

-- A record is given as it is, or by a function.
local FORMS = {
  { "a record", function(value) return value end },
  { "a function's record", function(value) return (provider(value)) end },
}

for _, form in ipairs(FORMS) do
  local title, give = form[1], form[2]

  describe(title, function()
    local FULL = { session_token = TOKEN, expiration = 4102444800.5, account_id = "123456789012" }

    it("is used whole", function()
      for _, extra in ipairs { {}, FULL, { session_token = TOKEN }, { expiration = 4102444800 } } do
        assert_record(record(extra), sent_credentials(describe_with(give(record(extra)))))
      end
    end)

    it("is not changed, nor looked at again after the call began", function()
      local given = record(FULL)
      local outcome = describe_with(give(given))
      assert.same(record(FULL), given)
      local sent = sent_credentials(outcome)
      given.access_key_id = "CHANGED"
      assert.equal(ID, sent.access_key_id)
    end)

    it("puts its token into the request, if it has one", function()
      local request = describe_with(give(record { session_token = TOKEN })).result.request
      assert.is_truthy(request:find("\r\nX-Amz-Security-Token: " .. TOKEN .. "\r\n", 1, true))
      for _, extra in ipairs { {}, { session_token = "" } } do
        request = describe_with(give(record(extra))).result.request
        assert.is_nil(request:lower():find("security-token", 1, true))
      end
      assert_no_secret((request:gsub(TOKEN, "")))
    end)

    it("is refused when a key is missing or empty", function()
      for _, name in ipairs { "access_key_id", "secret_access_key" } do
        assert_refused("InvalidCredentials", name, describe_with(give(without(name))))
        assert_refused("InvalidCredentials", name, describe_with(give(record { [name] = "" })))
      end
      assert_refused("InvalidCredentials", "access_key", describe_with(give {}))
    end)

    it("is refused under the names of another library", function()
      for _, given in ipairs {
        { accessKeyId = ID, secretAccessKey = SECRET },
        { AccessKeyId = ID, SecretAccessKey = SECRET, SessionToken = TOKEN },
        { access_key = ID, secret_key = SECRET },
        { ID, SECRET, TOKEN },
      } do
        assert_refused("InvalidCredentials", "access_key", describe_with(give(given)))
      end
    end)

    it("is refused when a field has another type", function()
      local WRONG = {
        access_key_id = { 5, true, {} },
        secret_access_key = { 5, true, { SECRET } },
        session_token = { 5, true, { TOKEN } },
        expiration = { "2040-01-02T03:04:05Z", "4102444800", true, {} },
        account_id = { 123456789012, true, {} },
      }
      for name, values in pairs(WRONG) do
        for _, value in ipairs(values) do
          assert_refused("InvalidCredentials", name, describe_with(give(record { [name] = value })))
        end
      end
    end)

    it("is refused when it would break a header line", function()
      for _, text in ipairs { "\n", "\r", "\r\nX-Evil: 1", "\n X", "\0", "a\nb" } do
        for name, words in pairs { access_key_id = "access[_ ]key[_ ]id", session_token = "session[_ ]token" } do
          assert_refused("InvalidCredentials", words, describe_with(give(record { [name] = TOKEN .. text })))
        end
      end
    end)
  end)
end

describe("keys of the environment", function()
  it("are refused when they would break a header line", function()
    for _, text in ipairs { "\n", "\r\nX-Evil: 1" } do
      assert_refused("InvalidCredentials", "access[_ ]key[_ ]id",
        describe_with(nil, { AWS_ACCESS_KEY_ID = ID .. text, AWS_SECRET_ACCESS_KEY = SECRET }))
      assert_refused("InvalidCredentials", "session[_ ]token", describe_with(nil, {
        AWS_ACCESS_KEY_ID = ID, AWS_SECRET_ACCESS_KEY = SECRET, AWS_SESSION_TOKEN = TOKEN .. text,
      }))
    end
  end)
end)

describe("a record that cannot be used", function()
  it("keeps the client from being made", function()
    for _, given in ipairs {
      {}, without "secret_access_key", without "access_key_id", record { secret_access_key = "" },
      record { access_key_id = "" }, record { access_key_id = 5 }, record { expiration = "soon" },
    } do
      local outcome = describe_with(given)
      assert.is_nil(outcome.client)
      assert_refused("InvalidCredentials", {}, outcome)
    end
  end)
end)

-- Functions ----------------------------------------------------------------------------------

describe("a function", function()
  it("may have nothing, and say why", function()
    local outcome = describe_with(provider(nil, "the vault is sealed"))
    assert_refused("NoCredentials", "the vault is sealed", outcome)
    assert.equal(0, #outcome.runtime.sent)
    assert.is_nil(outcome.client.credentials_source)
  end)

  it("may have nothing, and not say why", function()
    for _, fn in ipairs { function() end, function() return nil end, function() return nil, nil, {} end } do
      assert_refused("NoCredentials", "credentials", describe_with(fn))
    end
  end)

  it("may say why in anything but text", function()
    for _, reason in ipairs { 5, true, {}, setmetatable({}, { __tostring = function() return "sealed" end }) } do
      assert_refused("NoCredentials", "credentials", describe_with(provider(nil, reason)))
    end
  end)

  it("is refused when it answers something else", function()
    for _, value in ipairs { SECRET, 5, true, print } do
      assert_refused("InvalidCredentials", type(value), describe_with(provider(value)))
    end
    assert_refused("InvalidCredentials", "boolean", describe_with(provider(false)))
  end)

  -- A provider may yield, and what yields is never called under pcall (Lua 5.1 could not). So an
  -- error of the caller's own function reaches the caller, as it would through table.sort.
  it("may raise, and what it raises arrives as it is", function()
    for _, raised in ipairs { { reason = "a table" }, "a text without a position" } do
      local fails = true
      local runtime = environment.runtime()
      local client = assert(iot.new {
        region = "us-east-1",
        runtime = runtime,
        credentials = function()
          if fails then error(raised, 0) end
          return record()
        end,
      })
      local ok, value = pcall(client[DESCRIBE], client, { taskId = "task" })
      assert.is_false(ok)
      assert.is_true(rawequal(raised, value))
      assert.equal(0, #runtime.sent)
      fails = false
      assert.is_table(client[DESCRIBE](client, { taskId = "task" }))
    end
  end)

  it("is asked again after it had nothing", function()
    local answers = { false, record() }
    local outcome = describe_with(function() return table.remove(answers, 1) or nil end)
    assert.is_nil(outcome.result)
    assert.is_table(outcome.client[DESCRIBE](outcome.client, { taskId = "task" }))
    assert.equal("string", type(outcome.client.credentials_source))
  end)

  it("is not asked before the first call", function()
    local fn, calls = provider(record())
    local client = assert(iot.new { region = "us-east-1", credentials = fn, runtime = environment.runtime() })
    assert.equal(0, calls.count)
    assert.is_table(client[DESCRIBE](client, { taskId = "task" }))
    assert.equal(1, calls.count)
  end)

  it("is not asked for a call that can only go wrong", function()
    local fn, calls = provider(nil, "must not be seen")
    local client = assert(iot.new { region = "us-east-1", credentials = fn, runtime = environment.runtime() })
    for _, params in ipairs {
      {}, { taskId = "" }, { taskId = "." }, { taskId = ".." }, { taskId = 5 }, { taskId = "\255" },
      { taskId = "task", taskID = "task" }, { "task" },
    } do
      failures.check({ kind = "validation", code = "InvalidParameter", operation = DESCRIBE, attempts = 0 },
        client[DESCRIBE](client, params))
    end
    assert.is_false(pcall(client[DESCRIBE], client, "task"))
    assert.is_false(pcall(client[DESCRIBE], client, { taskId = "task" }, { timeout = -1 }))
    assert.equal(0, calls.count)
  end)
end)
