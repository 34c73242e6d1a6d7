-- Which provider gives the credentials of a client, and what is seen of it: the order, what is passed
-- over and what ends the search, the source and the user agent, events, the retry of what has expired.
local chain = require "iot.credentials.chain"
local environment = require "spec.support.environment"
local errors = require "iot.errors"
local failures = require "spec.support.failures"
local fake_http = require "spec.support.fake_http"
local files = require "spec.support.files"
local home = require "spec.support.home"
local iot = require "iot"
local support = require "spec.support.sts"

local DESCRIBE = "describe_thing_registration_task"
local ID, SECRET, TOKEN = "AKIDEXAMPLE", "SECRET-KEY-OF-THE-SPEC", "SESSION-TOKEN-OF-THE-SPEC"
local SECRETS = { SECRET, TOKEN, support.SECRET, support.TOKEN }
local EXPIRES = "2030-01-31T12:00:00Z"

local directory, token_file

before_each(function()
  directory, token_file = home.new(), files.temporary()
  files.write(token_file, "WEB-IDENTITY-TOKEN")
end)

after_each(function()
  environment.restore()
  home.remove(directory)
  os.remove(token_file)
end)

-- Helpers ------------------------------------------------------------------------------------

local function merge(...)
  local all = {}
  for _, part in ipairs { ... } do
    for key, value in pairs(part) do all[key] = value end
  end
  return all
end

local function record(fields)
  return merge({ access_key_id = ID, secret_access_key = SECRET, session_token = TOKEN }, fields or {})
end

local function assert_no_secret(...)
  for _, text in ipairs(failures.texts { ... }) do
    for _, secret in ipairs(SECRETS) do assert.is_nil(text:find(secret, 1, true), text) end
  end
end

local function assert_words(message, words)
  for _, word in ipairs(words) do
    assert.is_truthy(message:find(word, 1, true), ("%q has no %q"):format(message, word))
  end
end

-- The order ----------------------------------------------------------------------------------

-- Makers that say when they are asked: `plan` is a list of { name, step, ... }. A step is "made" for a
-- provider that gives a record; else { "make" or "fetch", message, code }, where it fails.
local function makers_of(plan, asked)
  local makers = {}
  for i, entry in ipairs(plan) do
    local name, step = entry[1], entry[2]
    makers[i] = { name = name, make = function()
      asked[#asked + 1] = "make " .. name
      if step[1] == "make" then return nil, step[2], step[3] end
      return { name = name, fetch = function(deadline)
        asked[#asked + 1] = ("fetch %s %s"):format(name, deadline)
        if step[1] == "fetch" then return nil, step[2], step[3] end
        return record()
      end }
    end }
  end
  return makers
end

local GOOD = { "made" }
local function absent(stage) return { stage, "it is not set up", "NoCredentials" } end

describe("the search", function()
  -- What it is, the plan, what is asked in order, and the outcome: the winner's name, or words of the
  -- message and the code.
  local CASES = {
    { "ends with the first that has credentials, and makes no other",
      { { "a", GOOD }, { "b", GOOD } }, { "make a", "fetch a 7" }, "a" },
    { "passes over what is not set up, and what has none",
      { { "a", absent "make" }, { "b", absent "fetch" }, { "c", GOOD } },
      { "make a", "make b", "fetch b 7", "make c", "fetch c 7" }, "c" },
    { "ends with what is set up wrongly",
      { { "a", absent "make" }, { "b", { "make", "half a key", "InvalidCredentials" } }, { "c", GOOD } },
      { "make a", "make b" }, nil, { "b: half a key" }, "InvalidCredentials" },
    { "ends with what is set up, but fails",
      { { "a", { "fetch", "no answer", "CredentialsFailed" } }, { "b", GOOD } },
      { "make a", "fetch a 7" }, nil, { "a: no answer" }, "CredentialsFailed" },
    { "ends at an interrupt, which is no failure of what was asked",
      { { "a", { "fetch", "a signal came", "Interrupted" } }, { "b", GOOD } },
      { "make a", "fetch a 7" }, nil, { "interrupted: a: a signal came" }, "Interrupted" },
    { "ends with what fails without a code",
      { { "a", { "fetch", "no answer" } }, { "b", GOOD } },
      { "make a", "fetch a 7" }, nil, { "a: no answer" }, "CredentialsFailed" },
    { "says of each why it has none",
      { { "a", absent "make" }, { "b", { "fetch", "no role is attached", "NoCredentials" } } },
      { "make a", "make b", "fetch b 7" }, nil,
      { "no credentials were found", "a: it is not set up; b: no role is attached" }, "NoCredentials" },
    { "says so when there is no reason",
      { { "a", { "make", nil, "NoCredentials" } } }, { "make a" }, nil, { "a: no reason" }, "NoCredentials" },
  }

  for _, case in ipairs(CASES) do
    it(case[1], function()
      local asked = {}
      local found, provider, code = chain.fetch(makers_of(case[2], asked), 7)
      assert.same(case[3], asked)
      if case[4] then
        assert.same(record(), found)
        assert.equal(case[4], provider.name)
      else
        assert.is_nil(found)
        assert_words(provider, case[5])
        assert.equal(case[6], code)
      end
    end)
  end

  local function names(...)
    local list = {}
    for i, maker in ipairs(assert(chain.makers(...))) do list[i] = maker.name end
    return table.concat(list, " ")
  end

  it("has an order that depends on the options", function()
    assert.equal("environment profile web_identity container imds", names({}, nil, false))
    assert.equal("device", names({ device = {} }, nil, false))
    assert.equal("static", names({}, record(), false))
    assert.equal("function", names({}, function() end, false))
    assert.is_nil(names({}, nil, true):match "environment")
    assert.equal("profile", names({}, nil, true):match "^%S+")
  end)

  it("makes no provider before it is its turn", function()
    environment.replace()
    for _, maker in ipairs(assert(chain.makers({ profiles = { profiles = {}, name = "default" } }, nil, false))) do
      assert.equal("function", type(maker.make))
    end
  end)
end)

-- Through a client ---------------------------------------------------------------------------

local IMDS = "http://169.254.169.254/latest/"
local ROLES = IMDS .. "meta-data/iam/security-credentials-extended/"
local KEYS = ('{"Code":"Success","AccessKeyId":"%s","SecretAccessKey":"%s","Token":"%s","Expiration":"%s"}'):format(
  ID, SECRET, TOKEN, EXPIRES)
local STS = "POST https://sts.eu-west-1.amazonaws.com/"

local INSTANCE = {
  ["PUT " .. IMDS .. "api/token"] = { body = "IMDS-TOKEN", headers = {
    ["x-aws-ec2-metadata-token-ttl-seconds"] = "21600" } },
  ["GET " .. ROLES] = "role",
  ["GET " .. ROLES .. "role"] = KEYS,
}
local NO_INSTANCE = { ["PUT " .. IMDS .. "api/token"] = fake_http.failure("ConnectionFailed", "nobody is there") }
local CONTAINER = { ["GET http://169.254.170.2/keys"] = KEYS }

local ENVIRONMENT_KEYS = { AWS_ACCESS_KEY_ID = ID, AWS_SECRET_ACCESS_KEY = SECRET }
local PROFILE_KEYS = ("aws_access_key_id = PROFILE\naws_secret_access_key = %s\n"):format(SECRET)
local function web_identity_variables()
  return { AWS_ROLE_ARN = support.ROLE, AWS_WEB_IDENTITY_TOKEN_FILE = token_file }
end

-- A client and what became of one call of it. `setting` has the `config` and `credentials` files, the
-- `variables`, the `answers` of servers, the `output` of a program and the `options` of iot.new; `send`
-- answers the operation.
local function call(setting, send)
  local http = fake_http.new(setting.answers or NO_INSTANCE)
  local outcome = { http = http, runtime = http.runtime, events = {} }
  if setting.output then
    function http.runtime.run() return { status = 0, signal = 0, errors = "", output = setting.output } end
  end
  if send then
    function http.runtime.send(_, _, _, attempt)
      table.insert(http.runtime.sent, { attempt = merge(attempt) }) -- as it is now
      return send(#http.runtime.sent, http.runtime)
    end
  end
  home.write(directory, { config = setting.config or "", credentials = setting.credentials or "" })
  environment.replace(merge({ HOME = directory }, setting.variables or {}))
  outcome.client = assert(iot.new(merge({
    region = "eu-west-1", runtime = http.runtime,
    on_event = function(event) table.insert(outcome.events, event) end,
  }, setting.options or {})))
  outcome.result, outcome.message, outcome.detail = outcome.client[DESCRIBE](outcome.client, { taskId = "task" })
  assert_no_secret(outcome.message, outcome.detail, outcome.events, outcome.client)
  return outcome
end

-- Besides the one of the retry mode.
local function features_of(outcome)
  local features = outcome.runtime.sent[1].attempt.user_agent:match " m/E,?(%S*)"
  return features ~= "" and features or nil
end

local SOURCE = "[default]\nrole_arn = " .. support.ROLE .. "\nsource_profile = keys\n[profile keys]\n" .. PROFILE_KEYS

-- What wins, the setting (or a function that makes it), the source, the user agent's features.
local WINNERS = {
  { "the keys of the environment",
    { variables = ENVIRONMENT_KEYS, credentials = "[default]\n" .. PROFILE_KEYS }, "environment", "g" },
  { "the keys of the environment, though AWS_PROFILE names a profile",
    { variables = merge(ENVIRONMENT_KEYS, { AWS_PROFILE = "named" }), credentials = "[named]\n" .. PROFILE_KEYS },
    "environment", "g" },
  { "the keys of a profile",
    function()
      return { variables = web_identity_variables(), credentials = "[default]\n" .. PROFILE_KEYS }
    end, "profile", "n" },
  { "the profile that the option names, whatever the environment has",
    { variables = ENVIRONMENT_KEYS, credentials = "[named]\n" .. PROFILE_KEYS, options = { profile = "named" } },
    "profile", "n" },
  { "a profile's program, whose ids are a list",
    { config = "[default]\ncredential_process = program\n", output = '{"Version":1,' .. KEYS:sub(2) }, "profile",
      "v,w" },
  { "a role of a profile, with the ids of all steps",
    { config = SOURCE, answers = { [STS] = support.success "AssumeRole" } }, "profile", "n,o,i" },
  { "a web identity, before the container",
    function()
      return {
        variables = merge(web_identity_variables(), { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" }),
        answers = { [STS] = support.success "AssumeRoleWithWebIdentity" },
      }
    end, "web_identity", "h,k" },
  { "the container, before the instance",
    { variables = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" }, answers = merge(CONTAINER, INSTANCE) },
    "container", "z" },
  { "the instance", { answers = INSTANCE }, "imds", "0" },
  { "a profile's instance, with the id of the way there",
    { config = "[default]\nrole_arn = " .. support.ROLE .. "\ncredential_source = Ec2InstanceMetadata\n",
      answers = merge(INSTANCE, { [STS] = support.success "AssumeRole" }) }, "profile", "0,p,i" },
  { "a record", { variables = ENVIRONMENT_KEYS, options = { credentials = record() } }, "static", "e" },
  { "a function", { variables = ENVIRONMENT_KEYS, options = { credentials = record } }, "function", "e" },
  { "a record, with the id of a custom endpoint",
    { options = { credentials = record(), endpoint = "https://iot.example" } }, "static", "N,e" },
  { "a device's certificate, whatever the environment has",
    function()
      return {
        variables = ENVIRONMENT_KEYS, options = { device = {
          endpoint = "device.example", role_alias = "alias", certificate = token_file, key = token_file } },
        answers = { ["GET https://device.example/role-aliases/alias/credentials"] =
          ('{"credentials":{"accessKeyId":"%s","secretAccessKey":"%s","sessionToken":"%s","expiration":"%s"}}')
            :format(ID, SECRET, TOKEN, EXPIRES) },
      }
    end, "device", nil },
}

describe("a client's credentials come from", function()
  for _, case in ipairs(WINNERS) do
    it(case[1], function()
      local setting = type(case[2]) == "function" and case[2]() or case[2]
      local outcome = call(setting)
      assert.is_table(outcome.result, outcome.message)
      assert.equal(case[3], outcome.client.credentials_source)
      assert.equal(case[4], features_of(outcome))
      assert.equal(1, #outcome.runtime.sent)
      assert.equal(case[3], outcome.events[1].credentials_source)
    end)
  end

  it("the winner for good, which is asked alone when they are due", function()
    local variables = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" }
    local outcome = call { variables = variables, answers = CONTAINER }
    environment.replace(merge({ HOME = directory }, ENVIRONMENT_KEYS)) -- others would have some by now
    outcome.runtime.wall = 1896091200 - 10
    assert(outcome.client[DESCRIBE](outcome.client, { taskId = "task" }))
    assert.equal("container", outcome.client.credentials_source)
    assert.same({ "GET http://169.254.170.2/keys", "GET http://169.254.170.2/keys" }, outcome.http:calls())
  end)

  it("the old ones when the source hangs while they are still valid, and the call has time left", function()
    local keys = "GET http://169.254.170.2/keys"
    local outcome = call {
      variables = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" }, options = { timeout = 5 },
      answers = { [keys] = { KEYS, { delay = 1000 } } },
    }
    outcome.runtime.wall = 1896091200 - 240
    local task, message = outcome.client[DESCRIBE](outcome.client, { taskId = "task" })
    assert.is_table(task, message)
    assert.is_true(outcome.runtime.sent[2].attempt.timeout > 0)
  end)

  it("whoever has some later, when there were none", function()
    local outcome = call {}
    assert.is_nil(outcome.client.credentials_source)
    environment.replace(merge({ HOME = directory }, ENVIRONMENT_KEYS))
    assert(outcome.client[DESCRIBE](outcome.client, { taskId = "task" }))
    assert.equal("environment", outcome.client.credentials_source)
  end)
end)

describe("a client without credentials", function()
  local function assert_refused(code, words, outcome)
    failures.check({ kind = errors.codes[code].kind, code = code,
      operation = DESCRIBE, attempts = 0, retryable = false },
      outcome.result, outcome.message, outcome.detail)
    assert_words(outcome.message, words)
    assert.equal(0, #outcome.runtime.sent)
    assert.equal(0, #outcome.events)
    assert.is_nil(outcome.client.credentials_source)
  end

  it("says of each provider why it had none", function()
    assert_refused("NoCredentials", {
      "no credentials were found", "environment: AWS_ACCESS_KEY_ID and", "profile: ",
      "web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set", "container: ",
      "AWS_CONTAINER_CREDENTIALS_FULL_URI", "imds: ", "169.254.169.254",
    }, call {})
  end)

  it("asks no instance that is switched off", function()
    local outcome = call { variables = { AWS_EC2_METADATA_DISABLED = "true" } }
    assert_refused("NoCredentials", { "imds: AWS_EC2_METADATA_DISABLED is true" }, outcome)
    assert.same({}, outcome.http:calls())
  end)

  -- What is wrong, the setting, the code, words of the message.
  local WRONG = {
    { "half a key pair in the environment", { variables = { AWS_ACCESS_KEY_ID = ID }, answers = INSTANCE },
      "InvalidCredentials", { "environment: ", "AWS_SECRET_ACCESS_KEY is not" } },
    { "an expiration that is no time", { variables = merge(ENVIRONMENT_KEYS, { AWS_CREDENTIAL_EXPIRATION = "soon" }),
      answers = INSTANCE }, "InvalidCredentials", { "environment: ", "AWS_CREDENTIAL_EXPIRATION" } },
    { "a role without a source",
      { config = "[default]\nrole_arn = " .. support.ROLE .. "\n", answers = INSTANCE }, "InvalidProfile",
      { "profile: ", "source_profile" } },
    { "a token file without a role", { variables = { AWS_WEB_IDENTITY_TOKEN_FILE = "/nowhere" }, answers = INSTANCE },
      "InvalidCredentials", { "web_identity: ", "AWS_ROLE_ARN is not" } },
    { "a container that refuses",
      { variables = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" },
        answers = merge(INSTANCE, { ["GET http://169.254.170.2/keys"] = { status = 403 } }) },
      "CredentialsFailed", { "container: ", "403" } },
    { "a role that may not be assumed",
      { config = SOURCE, answers = merge(INSTANCE, { [STS] = support.refusal(403, "AccessDenied", "not you") }) },
      "CredentialsFailed", { "profile: ", "AccessDenied" } },
    { "a profile of the option that has none, the environment's keys or not",
      { config = "[profile named]\nregion = eu-west-1\n", options = { profile = "named" },
        variables = ENVIRONMENT_KEYS }, "NoCredentials", { "profile: ", "named" } },
  }

  for _, case in ipairs(WRONG) do
    it(("ends its search at %s"):format(case[1]), function()
      assert_refused(case[3], case[4], call(case[2]))
    end)
  end
end)

-- Interrupts ---------------------------------------------------------------------------------

describe("an interrupt while credentials are found", function()
  local INTERRUPTED = fake_http.failure("Interrupted", "a signal ended the waiting")
  local IN_CONTAINER = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/keys" }

  local CASES = {
    { "of an instance", { answers = { ["PUT " .. IMDS .. "api/token"] = INTERRUPTED } } },
    { "of a container", { variables = IN_CONTAINER,
      answers = merge(INSTANCE, { ["GET http://169.254.170.2/keys"] = INTERRUPTED }) } },
    { "of a role", { config = SOURCE, answers = merge(INSTANCE, { [STS] = INTERRUPTED }) } },
  }

  for _, case in ipairs(CASES) do
    it(("%s ends the call, with no other request"):format(case[1]), function()
      local outcome = call(case[2])
      failures.check({ kind = "transport", code = "Interrupted", attempts = 0, retryable = false,
        message = "a signal ended the waiting" }, outcome.result, outcome.message, outcome.detail)
      assert.equal(1, #outcome.http.requests)
      assert.equal(0, #outcome.runtime.sent)
      assert.is_nil(outcome.client.credentials_source)
    end)
  end

  it("ends the call though the old ones are still valid, and the next call renews them", function()
    local keys = "GET http://169.254.170.2/keys"
    local outcome = call { variables = IN_CONTAINER, answers = { [keys] = { KEYS, INTERRUPTED, KEYS } } }
    local client = outcome.client
    outcome.runtime.wall = 1896091200 - 240
    local task, _, detail = client[DESCRIBE](client, { taskId = "task" })
    assert.is_nil(task)
    assert.equal("Interrupted", detail.code)
    assert.equal(1, #outcome.runtime.sent)
    assert(client[DESCRIBE](client, { taskId = "task" }))
    assert.equal(3, #outcome.http.requests)
  end)
end)

-- Events and what has expired ----------------------------------------------------------------

local function refusal(code, status)
  return nil, "the service's words", { kind = "service", code = code, status = status or 403, request_id = "id" }
end

-- A function of the option that counts: each record has an id of its own.
local function counting()
  local count = 0
  return function()
    count = count + 1
    return record { access_key_id = "ID" .. count, expiration = 4e9 }
  end
end

describe("an event", function()
  it("tells of an attempt that went well", function()
    local outcome = call({ options = { credentials = record() } }, function(_, runtime)
      runtime.clock = runtime.clock + 0.25
      return {}
    end)
    local event = outcome.events[1]
    assert.equal(1, #outcome.events)
    assert.is_true(event.status == nil or event.status == 200)
    event.status = nil
    assert.same({ operation = DESCRIBE, attempt = 1, duration = 0.25, delay = 0, credentials_source = "static" },
      event)
  end)

  it("tells of an attempt that the service refused", function()
    local outcome = call({ options = { credentials = record() } }, function()
      return refusal("ResourceNotFoundException", 404)
    end)
    assert.same({ { operation = DESCRIBE, attempt = 1, status = 404, code = "ResourceNotFoundException",
      duration = 0, delay = 0, credentials_source = "static" } }, outcome.events)
  end)

  it("tells of an attempt without an answer", function()
    local options = { credentials = record(), retry = { max_attempts = 1 } }
    local outcome = call({ options = options }, function()
      return nil, "no connection could be made", { code = "ConnectionFailed" }
    end)
    assert.same({ { operation = DESCRIBE, attempt = 1, code = "ConnectionFailed", duration = 0, delay = 0,
      credentials_source = "static" } }, outcome.events)
  end)

  it("is a table of its own for each attempt", function()
    local outcome = call({ options = { credentials = counting() } }, function(number)
      if number == 1 then return refusal "ExpiredTokenException" end
      return {}
    end)
    assert.equal(2, #outcome.events)
    assert.equal(1, outcome.events[1].attempt)
    assert.equal("ExpiredTokenException", outcome.events[1].code)
    assert.equal(2, outcome.events[2].attempt)
    assert.is_nil(outcome.events[2].code)
  end)
end)

describe("a reply that the credentials have expired", function()
  local function ids(outcome)
    local list = {}
    for i, sent in ipairs(outcome.runtime.sent) do list[i] = sent.attempt.credentials.access_key_id end
    return table.concat(list, " ")
  end

  for _, code in ipairs { "ExpiredTokenException", "ExpiredToken" } do
    it(("(%s) has them renewed, and the call sent again"):format(code), function()
      local outcome = call({ options = { credentials = counting() } }, function(number)
        if number == 1 then return refusal(code) end
        return { taskId = "task" }
      end)
      assert.is_table(outcome.result, outcome.message)
      assert.equal("ID1 ID2", ids(outcome))
      local first, second = outcome.runtime.sent[1].attempt, outcome.runtime.sent[2].attempt
      assert.equal(first.invocation_id, second.invocation_id)
      assert.equal(1, first.number)
      assert.equal(2, second.number)
      assert.is_true(second.max_attempts >= 2)
      assert(outcome.client[DESCRIBE](outcome.client, { taskId = "task" }))
      assert.equal("ID1 ID2 ID2", ids(outcome))
    end)
  end

  it("is believed after the second", function()
    local outcome = call({ options = { credentials = counting() } }, function()
      return refusal "ExpiredTokenException"
    end)
    failures.check({ kind = "service", code = "ExpiredTokenException", attempts = 2, status = 403 },
      outcome.result, outcome.message, outcome.detail)
    assert.equal("ID1 ID2", ids(outcome))
  end)

  it("is final for a record, which cannot be renewed", function()
    local outcome = call({ options = { credentials = record() } }, function()
      return refusal "ExpiredTokenException"
    end)
    failures.check({ kind = "service", code = "ExpiredTokenException", attempts = 1 },
      outcome.result, outcome.message, outcome.detail)
  end)

  it("ends the call when they cannot be renewed", function()
    local answers = { record { expiration = 4e9 } }
    local outcome = call({ options = { credentials = function()
      return table.remove(answers, 1), "the vault is sealed"
    end } }, function() return refusal "ExpiredTokenException" end)
    failures.check({ kind = "credentials", code = "CredentialsFailed", attempts = 1, message = "the vault is sealed" },
      outcome.result, outcome.message, outcome.detail)
    assert.equal(1, #outcome.runtime.sent)
  end)

  it("does not outlast the time of the call", function()
    local outcome = call({ options = { credentials = counting(), timeout = 5 } }, function(_, runtime)
      runtime.clock = runtime.clock + 5
      return refusal "ExpiredTokenException"
    end)
    failures.check({ attempts = 1 }, outcome.result, outcome.message, outcome.detail)
    assert.equal(1, #outcome.runtime.sent)
  end)

  it("is no other refusal", function()
    for _, code in ipairs { "UnrecognizedClientException", "InvalidSignatureException", "RequestExpired",
      "TokenExpiredToken" } do
      local outcome = call({ options = { credentials = counting() } }, function() return refusal(code) end)
      failures.check({ code = code, attempts = 1 }, outcome.result, outcome.message, outcome.detail)
    end
  end)
end)
