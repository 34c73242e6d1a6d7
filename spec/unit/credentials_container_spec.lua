-- Credentials of a container, against answers from a table.
local container = require "iot.credentials.container"
local environment = require "spec.support.environment"
local fake_http = require "spec.support.fake_http"
local failures = require "spec.support.failures"
local files = require "spec.support.files"

local ECS = "http://169.254.170.2"
local SECRET, TOKEN, AUTHORIZATION = "SECRET-OF-THE-TASK", "TOKEN-OF-THE-TASK", "AUTHORIZATION-OF-THE-TASK"
local BODY = '{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"' .. SECRET .. '","Token":"' .. TOKEN
  .. '","Expiration":"2030-01-31T12:00:00Z","AccountId":"123456789012","RoleArn":"arn:aws:iam::1:role/r"}'
local RECORD = {
  access_key_id = "ASIAEXAMPLE", secret_access_key = SECRET, session_token = TOKEN, expiration = 1896091200,
  account_id = "123456789012",
}
local FULL, RELATIVE = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
local HEADER, HEADER_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

after_each(environment.restore)

-- A provider of the relative URI "/creds", and what it asks.
local function task(answer, variables, context)
  local all = { [RELATIVE] = "/creds" }
  for name, value in pairs(variables or {}) do all[name] = value end
  environment.replace(all)
  local http = fake_http.new { ["GET " .. ECS .. "/creds"] = answer or BODY }
  local given = { runtime = http.runtime }
  for name, value in pairs(context or {}) do given[name] = value end
  return assert(container.new(given)), http
end

local function new_for(variables, resolve)
  environment.replace(variables)
  local http = fake_http.new(setmetatable({}, { __index = function() return BODY end }))
  http.runtime.resolve = resolve
  local provider, message, code = container.new { runtime = http.runtime }
  return provider, message, code, http
end

local function assert_failure(code, words, result, message, actual)
  assert.is_nil(result)
  assert.is_string(message)
  for _, word in ipairs(type(words) == "table" and words or { words }) do
    assert.is_truthy(message:find(word, 1, true), ("%q has no %q"):format(message, word))
  end
  assert.equal(code, actual, message)
  assert.is_true(failures.is_printable(message), message)
  for _, secret in ipairs { SECRET, TOKEN, AUTHORIZATION } do
    assert.is_nil(message:find(secret, 1, true), message)
  end
end

describe("a container", function()
  it("gives credentials", function()
    local provider, http = task()
    assert.equal("container", provider.name)
    assert.equal("z", provider.feature)
    assert.same(RECORD, provider.fetch())
    assert.same({ "GET " .. ECS .. "/creds" }, http:calls())
    assert.equal("application/json", http:header(1, "Accept"))
    assert.is_nil(http:header(1, "Authorization"))
  end)

  it("is asked without a proxy, and within bounds", function()
    local provider, http = task(nil, nil, { proxy = "http://proxy:3128", ca_bundle = "/ca.pem" })
    provider.fetch()
    local request = http.requests[1]
    assert.equal("", request.proxy)
    assert.equal("/ca.pem", request.ca_bundle)
    assert.equal(2, request.connect_timeout)
    assert.is_true(request.timeout <= 10)
  end)

  it("may write the names of its answer in any case", function()
    local provider = task '{"accesskeyid":"a","SECRETACCESSKEY":"b","token":"c","expiration":"2030-01-31T12:00:00Z"}'
    assert.same({ access_key_id = "a", secret_access_key = "b", session_token = "c", expiration = 1896091200 },
      provider.fetch())
    provider = task '{"ACCESSKEYID":"wrong","AccessKeyId":"a","secretAccessKey":"b"}'
    assert.same({ access_key_id = "a", secret_access_key = "b" }, provider.fetch())
  end)

  it("is not set up without its variables", function()
    assert_failure("NoCredentials", { FULL, RELATIVE }, new_for {})
    assert_failure("NoCredentials", { FULL, RELATIVE }, new_for { [FULL] = "", [RELATIVE] = "" })
  end)
end)

describe("the URI of a container", function()
  local ALLOWED = {
    "https://anywhere.example/a?b=c", "HTTPS://anywhere.example/", "http://localhost/", "http://LOCALHOST:1/",
    "http://127.0.0.1", "http://127.255.0.9:8080/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]:80/",
    "http://169.254.170.2/", "http://169.254.170.23/", "http://[FD00:EC2::23]/",
  }
  for _, uri in ipairs(ALLOWED) do
    it("may be " .. uri, function()
      local provider, message, _, http = new_for { [FULL] = uri }
      assert.is_truthy(provider, message)
      assert.same(RECORD, provider.fetch())
      assert.same({ "GET " .. uri }, http:calls())
    end)
  end

  local REFUSED = {
    "http://169.254.169.254/", "http://10.0.0.1/", "http://1270.0.0.1/", "http://127.0.0.256/", "http://127.1/",
    "http://0177.0.0.1/", "http://127.0.0.01/", "http://2130706433/", "http://0x7f000001/", "http://[::2]/",
    "http://[fd00:ec2::254]/", "http://[::ffff:127.0.0.1]/", "http://localhost.example/", "http://localhost./",
    "http://example.com/", "http://127.0.0.1.example.com/", "http://169.254.170.2.example/",
  }
  for _, uri in ipairs(REFUSED) do
    it("may not be " .. uri, function()
      assert_failure("InvalidConfiguration", { FULL, "169.254.170.23", "https" }, new_for { [FULL] = uri })
    end)
  end

  local WRONG = {
    "/creds", "creds", "ftp://localhost/", "http://", "http:///creds", "http://localhost@evil.example/",
    "http://localhost:0/", "http://localhost:x/", "http://localhost/#a", "http://localhost\\@evil.example/",
    "http://localhost/a b", "http://loc\nalhost/", "http://[::1/", "https://",
  }
  for _, uri in ipairs(WRONG) do
    it(("must be a good one: %q"):format(uri):gsub("\n", "n"), function()
      assert_failure("InvalidConfiguration", FULL, new_for { [FULL] = uri })
    end)
  end

  it("must start with / where it is relative", function()
    for _, uri in ipairs { "creds", "@evil.example/", ".evil.example/", ":80/", "/a b", "/a#b", "/a\r\nb" } do
      assert_failure("InvalidConfiguration", RELATIVE, new_for { [RELATIVE] = uri })
    end
  end)

  it("is never quoted with its query", function()
    local _, message = new_for { [FULL] = "http://example.com/?token=" .. AUTHORIZATION }
    assert.is_nil(message:find(AUTHORIZATION, 1, true))
  end)

  it("may name a host that is only at allowed addresses", function()
    local asked = {}
    local provider, message, _, http = new_for({ [FULL] = "http://pods.local:8080/creds" }, function(host)
      asked[#asked + 1] = host
      return { "127.0.0.1", "::1", "[FD00:ec2::23]", "169.254.170.23" }
    end)
    assert.is_truthy(provider, message)
    assert.same({}, asked)
    assert.same(RECORD, provider.fetch())
    assert.same({ "pods.local" }, asked)
    assert.same({ "GET http://pods.local:8080/creds" }, http:calls())
  end)

  it("may not name a host with another address, or none", function()
    for _, addresses in ipairs { { "127.0.0.1", "10.0.0.1" }, { "::2" }, { "127.1" }, {} } do
      local provider, _, _, http = new_for({ [FULL] = "http://pods.local/" }, function() return addresses end)
      assert_failure("CredentialsFailed", { FULL, "pods.local" }, provider.fetch())
      assert.same({}, http:calls())
    end
    local provider = new_for({ [FULL] = "http://pods.local/" }, function() return nil, "no answer" end)
    assert_failure("CredentialsFailed", "no answer", provider.fetch())
  end)

  it("is not looked up for an address or for https", function()
    local function never() error "looked up" end
    assert_failure("InvalidConfiguration", "::2", new_for({ [FULL] = "http://[::2]/" }, never))
    assert.is_truthy(new_for({ [FULL] = "https://example.com/" }, never).fetch())
  end)
end)

describe("the token of a container", function()
  local path
  before_each(function() path = files.temporary() end)
  after_each(function() os.remove(path) end)

  it("is sent as it is", function()
    local provider, http = task(nil, { [HEADER] = "Basic " .. AUTHORIZATION .. " " })
    assert.same(RECORD, provider.fetch())
    assert.equal("Basic " .. AUTHORIZATION .. " ", http:header(1, "Authorization"))
  end)

  it("comes from the file first, which is read each time", function()
    files.write(path, "first")
    local provider, http = task(nil, { [HEADER] = "variable", [HEADER_FILE] = path })
    provider.fetch()
    files.write(path, "second")
    provider.fetch()
    assert.equal("first", http:header(1, "Authorization"))
    assert.equal("second", http:header(2, "Authorization"))
  end)

  it("is read again for another attempt", function()
    files.write(path, "first")
    local provider, http = task({ function()
      files.write(path, "second")
      return { status = 500 }
    end, BODY }, { [HEADER_FILE] = path })
    assert.same(RECORD, provider.fetch())
    assert.equal("second", http:header(2, "Authorization"))
  end)

  it("must be one line", function()
    for _, text in ipairs { AUTHORIZATION .. "\n", AUTHORIZATION .. "\r\nX: y", "\r", AUTHORIZATION .. "\0" } do
      files.write(path, text)
      local provider, http = task(nil, { [HEADER_FILE] = path })
      assert_failure("CredentialsFailed", HEADER_FILE, provider.fetch())
      assert.same({}, http:calls())
      provider, http = task(nil, { [HEADER] = text })
      assert_failure("CredentialsFailed", HEADER, provider.fetch())
      assert.same({}, http:calls())
    end
  end)

  it("must be there and readable where a file is named", function()
    for _, name in ipairs { path, path .. ".absent", "/" } do
      local provider, http = task(nil, { [HEADER] = "variable", [HEADER_FILE] = name })
      assert_failure("CredentialsFailed", { HEADER_FILE, name }, provider.fetch())
      assert.same({}, http:calls())
    end
    files.write(path, ("x"):rep(70000))
    assert_failure("CredentialsFailed", "larger than", task(nil, { [HEADER_FILE] = path }).fetch())
  end)
end)

describe("a container that does not answer well", function()
  -- What it answers, what the message says, how often it is asked.
  local CASES = {
    { "500", { status = 500 }, "HTTP status 500", 3 },
    { "429", { status = 429 }, "HTTP status 429", 3 },
    { "no connection", fake_http.failure("ConnectionFailed", "no connection could be made"), "no connection", 3 },
    { "silence", { delay = 60 }, "time limit", 3 },
    { "a page", "<html>Log in</html>", "page", 3 },
    { "half an answer", '{"AccessKeyId":"a', "no JSON", 3 },
    { "no secret key", '{"AccessKeyId":"a","SecretAccessKey":""}', "SecretAccessKey", 3 },
    { "a secret key that is no text", '{"AccessKeyId":"a","SecretAccessKey":{}}', "SecretAccessKey", 3 },
    { "a wrong expiration", (BODY:gsub("2030", "in 2030")), "Expiration", 3 },
    { "a flood", ("x"):rep(70000), "64 KiB", 3 },
    { "a refusal", { status = 400, body = '{"code":"NoId","message":"no\\nid for ' .. AUTHORIZATION .. '"}' },
      { "400", "NoId", "no id for ***" }, 1 },
    { "a refusal without words", { status = 401, body = "no" }, "HTTP status 401", 1 },
    { "a redirect", { status = 302, headers = { location = "http://evil.example/" } }, "redirect", 1 },
    { "501, which will not pass", { status = 501 }, "HTTP status 501", 1 },
    { "408, which will not pass", { status = 408 }, "HTTP status 408", 1 },
    { "a runtime that cannot ask", fake_http.failure("InvalidConfiguration", "an option cannot be used"),
      "an option cannot be used", 1 },
    { "a bad certificate", fake_http.failure("CertificateInvalid", "the certificate was not accepted"),
      "certificate", 1 },
  }
  for _, case in ipairs(CASES) do
    it(("is asked %d times and has failed, with %s"):format(case[4], case[1]), function()
      local provider, http = task(case[2], { [HEADER] = AUTHORIZATION })
      assert_failure("CredentialsFailed", case[3], provider.fetch())
      assert.equal(case[4], #http.requests)
      assert.same(case[4] == 3 and { 0.5, 0.5 } or {}, http.slept)
    end)
  end

  it("may recover", function()
    local provider, http = task { fake_http.failure("ConnectionLost", "gone"), "{", BODY }
    assert.same(RECORD, provider.fetch())
    assert.same({ 0.5, 0.5 }, http.slept)
  end)

  it("is left alone for up to a second between two tries", function()
    local provider, http = task { status = 503 }
    function http.runtime.random() return 1 - 2 ^ -53 end
    assert_failure("CredentialsFailed", "503", provider.fetch())
    for i = 1, 2 do assert.is_true(http.slept[i] > 0.9 and http.slept[i] < 1) end
  end)

  it("is asked once a fetch when it has failed for long, and more often again after it has recovered", function()
    local provider, http = task { status = 500 }
    for _ = 1, 100 do assert_failure("CredentialsFailed", "500", provider.fetch()) end
    local before = #http.requests
    assert_failure("CredentialsFailed", "500", provider.fetch())
    assert.equal(before + 1, #http.requests)

    local answer
    provider, http = task(function() return answer end)
    answer = { status = 500 }
    for _ = 1, 100 do provider.fetch() end
    answer = { body = BODY }
    for _ = 1, 30 do assert.same(RECORD, provider.fetch()) end
    answer = { status = 500 }
    before = #http.requests
    provider.fetch()
    assert.equal(before + 3, #http.requests)
  end)

  it("is not asked again after an interrupt, of the request or of the wait for another", function()
    local provider, http = task(fake_http.failure("Interrupted", "a signal ended the waiting"))
    assert_failure("Interrupted", "a signal ended the waiting", provider.fetch())
    assert.equal(1, #http.requests)

    provider, http = task { status = 500 }
    function http.runtime.sleep() return false end
    assert_failure("Interrupted", { "interrupted", "HTTP status 500" }, provider.fetch())
    assert.equal(1, #http.requests)
  end)

  it("is asked again when it wants to be, within five seconds of the usual time", function()
    -- Status, headers, the first wait.
    for _, case in ipairs {
      { 503, { ["retry-after"] = "2" }, 2 }, { 429, { ["retry-after"] = "3600" }, 5.5 },
      { 500, { ["x-amz-retry-after"] = "1500" }, 1.5 }, { 500, { ["retry-after"] = "2" }, 0.5 },
    } do
      local provider, http = task { { status = case[1], headers = case[2] }, BODY }
      assert.same(RECORD, provider.fetch())
      assert.same({ case[3] }, http.slept)
    end
  end)

  it("does not hold up a call beyond its deadline", function()
    local provider, http = task { status = 500 }
    local started = http.runtime.clock
    assert_failure("CredentialsFailed", "500", provider.fetch(started + 0.8))
    assert.equal(2, #http.requests)
    assert.is_true(http.runtime.clock <= started + 0.8)

    provider, http = task { delay = 60 }
    started = http.runtime.clock
    assert_failure("CredentialsFailed", "time limit", provider.fetch(started + 3))
    assert.equal(started + 3, http.runtime.clock)

    provider, http = task()
    assert_failure("CredentialsFailed", "no time", provider.fetch(http.runtime.clock))
    assert.same({}, http:calls())
  end)
end)
