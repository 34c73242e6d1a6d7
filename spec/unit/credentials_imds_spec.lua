-- Credentials and region of an EC2 instance's metadata service, against answers from a table.
local imds = require "iot.credentials.imds"
local environment = require "spec.support.environment"
local fake_http = require "spec.support.fake_http"
local failures = require "spec.support.failures"

local BASE = "http://169.254.169.254"
local PUT = "PUT " .. BASE .. "/latest/api/token"
local EXTENDED = "GET " .. BASE .. "/latest/meta-data/iam/security-credentials-extended/"
local LEGACY = "GET " .. BASE .. "/latest/meta-data/iam/security-credentials/"
local REGION = "GET " .. BASE .. "/latest/meta-data/placement/region"
local SESSION, SECRET, TOKEN = "IMDS-SESSION-TOKEN==", "SECRET-OF-THE-ROLE", "TOKEN-OF-THE-ROLE"
local KEYS = '{"Code":"Success","LastUpdated":"2030-01-31T06:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE",'
  .. '"SecretAccessKey":"' .. SECRET .. '","Token":"' .. TOKEN .. '","Expiration":"2030-01-31T12:00:00Z"'
local HTML = { headers = { ["content-type"] = "text/html" }, body = "<!DOCTYPE html><html>Log in</html>" }
local NOT_FOUND = { status = 404, body = "<html>404</html>" }

before_each(function() environment.replace() end)
after_each(environment.restore)

-- What an instance answers that has the extended API; `changes` replace or, with false, take away.
local function instance(changes)
  local answers = {
    [PUT] = { body = SESSION, headers = { ["x-aws-ec2-metadata-token-ttl-seconds"] = "21600" } },
    [EXTENDED] = "app-role\n",
    [EXTENDED .. "app-role"] = KEYS .. ',"AccountId":"123456789012"}',
    [REGION] = "eu-west-1",
  }
  for name, answer in pairs(changes or {}) do answers[name] = answer or nil end
  return fake_http.new(answers)
end

local function without_extended(changes)
  local all = {
    [EXTENDED] = NOT_FOUND, [EXTENDED .. "app-role"] = NOT_FOUND,
    [LEGACY] = "app-role", [LEGACY .. "app-role"] = KEYS .. "}",
  }
  for name, answer in pairs(changes or {}) do all[name] = answer end
  return instance(all)
end

local function provider_of(http, context)
  local all = { runtime = http.runtime }
  for name, value in pairs(context or {}) do all[name] = value end
  return assert(imds.new(all))
end

local function profile(properties)
  return { profile = properties, profiles = { name = "prod", profiles = { prod = properties } } }
end

local function assert_failure(code, words, result, message, actual)
  assert.is_nil(result)
  assert.is_string(message)
  for _, word in ipairs(type(words) == "table" and words or { words }) do
    assert.is_truthy(message:find(word, 1, true), ("%q has no %q"):format(message, word))
  end
  assert.equal(code, actual, message)
  assert.is_true(failures.is_printable(message), message)
  for _, secret in ipairs { SESSION, SECRET, TOKEN } do assert.is_nil(message:find(secret, 1, true), message) end
end

describe("the metadata service", function()
  it("gives a token, the name of the role, and its credentials", function()
    local http = instance()
    local provider = provider_of(http)
    assert.equal("imds", provider.name)
    assert.equal("0", provider.feature)
    assert.same({
      access_key_id = "ASIAEXAMPLE", secret_access_key = SECRET, session_token = TOKEN,
      expiration = 1896091200, account_id = "123456789012", stale_allowed = true,
    }, provider.fetch())
    assert.same({ PUT, EXTENDED, EXTENDED .. "app-role" }, http:calls())
    assert.equal("21600", http:header(1, "x-aws-ec2-metadata-token-ttl-seconds"))
    assert.equal(SESSION, http:header(2, "x-aws-ec2-metadata-token"))
    assert.equal(SESSION, http:header(3, "x-aws-ec2-metadata-token"))
  end)

  it("is asked without a proxy, and with short time limits", function()
    local http = instance()
    provider_of(http, { proxy = "http://proxy:3128", connect_timeout = 30 }).fetch()
    for _, request in ipairs(http.requests) do
      assert.equal("", request.proxy)
      assert.equal(1, request.timeout)
      assert.equal(1, request.connect_timeout)
    end
  end)

  it("is asked by the legacy path where there is no extended one, and then for good", function()
    local http = without_extended()
    local provider = provider_of(http)
    local record = provider.fetch()
    assert.equal("ASIAEXAMPLE", record.access_key_id)
    assert.is_nil(record.account_id)
    assert.is_truthy(provider.fetch())
    assert.same({ PUT, EXTENDED, LEGACY, LEGACY .. "app-role", LEGACY, LEGACY .. "app-role" }, http:calls())
  end)

  it("is asked by the legacy path when only the extended keys are missing, or a filter refuses them", function()
    for _, answers in ipairs { { [EXTENDED] = "app-role" }, { [EXTENDED] = { status = 403 } } } do
      assert.is_truthy(provider_of(without_extended(answers)).fetch())
    end
  end)

  it("tells the role anew at each fetch", function()
    local http = instance { [EXTENDED] = { "app-role", "new-role" }, [EXTENDED .. "new-role"] = KEYS .. "}" }
    local provider = provider_of(http)
    assert.is_truthy(provider.fetch())
    assert.is_truthy(provider.fetch())
    assert.equal(EXTENDED .. "new-role", http:calls()[5])
  end)

  it("is asked for a fixed role when one is named", function()
    environment.replace { AWS_EC2_INSTANCE_PROFILE_NAME = "app-role" }
    local http = without_extended()
    assert.is_truthy(provider_of(http).fetch())
    assert.same({ PUT, EXTENDED .. "app-role", LEGACY .. "app-role" }, http:calls())

    environment.replace()
    http = instance()
    assert.is_truthy(provider_of(http, profile { ec2_instance_profile_name = "app-role" }).fetch())
    assert.same({ PUT, EXTENDED .. "app-role" }, http:calls())
  end)

  it("may give credentials that are past their end", function()
    local http = without_extended { [LEGACY .. "app-role"] = KEYS:gsub("2030%-01%-31T12", "2001-01-01T12") .. "}" }
    assert.is_true(assert(provider_of(http).fetch()).stale_allowed)
  end)
end)

describe("the session of the metadata service", function()
  it("is kept until shortly before its end", function()
    local http = instance()
    local provider = provider_of(http)
    provider.fetch()
    http.runtime.clock = http.runtime.clock + 21600 - 121
    provider.fetch()
    assert.equal(1, http.counts[PUT])
    http.runtime.clock = http.runtime.clock + 2
    provider.fetch()
    assert.equal(2, http.counts[PUT])
  end)

  it("ends when the service says so", function()
    local http = instance {
      [PUT] = { body = SESSION, headers = { ["x-aws-ec2-metadata-token-ttl-seconds"] = "180" } } }
    local provider = provider_of(http)
    provider.fetch()
    http.runtime.clock = http.runtime.clock + 61
    provider.fetch()
    assert.equal(2, http.counts[PUT])
  end)

  it("is replaced once when the service does not know it any more", function()
    local http = instance { [PUT] = { SESSION, "SECOND" }, [EXTENDED] = { { status = 401 }, "app-role" } }
    assert.is_truthy(provider_of(http).fetch())
    assert.same({ PUT, EXTENDED, PUT, EXTENDED, EXTENDED .. "app-role" }, http:calls())
    assert.equal("SECOND", http:header(4, "x-aws-ec2-metadata-token"))
  end)

  it("is given up when a new one is refused, too", function()
    local http = instance { [EXTENDED] = { status = 401 } }
    assert_failure("CredentialsFailed", "HTTP status 401", provider_of(http).fetch())
    assert.same({ PUT, EXTENDED, PUT, EXTENDED }, http:calls())
  end)
end)

describe("without a metadata service", function()
  local ABSENT = {
    ["nobody listens"] = fake_http.failure("ConnectionFailed", "no connection could be made: refused"),
    ["nothing comes back"] = { delay = 60 },
    ["the name is not known"] = fake_http.failure("NameResolutionFailed", "the host name was not found"),
    ["the connection breaks"] = fake_http.failure("ConnectionLost", "the connection ended"),
    ["a server knows no tokens"] = { status = 405 },
    ["another cloud answers"] = NOT_FOUND,
  }
  for why, answer in pairs(ABSENT) do
    it("there are no credentials, after a second at most, when " .. why, function()
      local http = instance { [PUT] = answer }
      local started = http.runtime.clock
      assert_failure("NoCredentials", BASE, provider_of(http).fetch())
      assert_failure("NoCredentials", BASE, imds.region { runtime = instance({ [PUT] = answer }).runtime })
      assert.is_true(http.runtime.clock - started <= 1)
      assert.same({ PUT }, http:calls())
    end)
  end

  it("there are no credentials when no role is attached, until one is", function()
    local http = without_extended { [LEGACY] = { NOT_FOUND, "app-role" } }
    local provider = provider_of(http)
    assert_failure("NoCredentials", "no IAM role is attached", provider.fetch())
    assert.is_truthy(provider.fetch())
  end)

  it("one that gave a token before has failed", function()
    local http = instance { [PUT] = { SESSION, { delay = 5 } } }
    local provider = provider_of(http)
    assert.is_truthy(provider.fetch())
    http.runtime.clock = http.runtime.clock + 30000
    assert_failure("CredentialsFailed", "cannot be asked", provider.fetch())
  end)

  it("nothing is sent when there is no time", function()
    local http = instance()
    assert_failure("CredentialsFailed", "no time", provider_of(http).fetch(http.runtime.clock))
    assert.same({}, http:calls())
  end)

  it("the deadline is kept", function()
    local http = instance { [EXTENDED] = { delay = 5 } }
    assert_failure("CredentialsFailed", "time limit", provider_of(http).fetch(http.runtime.clock + 0.25))
    assert.equal(0.25, http.requests[2].timeout)
  end)
end)

describe("a metadata service that is broken", function()
  -- What it answers, and what the message says of it.
  local BROKEN = {
    { "500 to the token", { [PUT] = { status = 500 } }, { "/latest/api/token", "HTTP status 500" } },
    { "400 to the token", { [PUT] = { status = 400 } }, "HTTP status 400" },
    { "403 to the token", { [PUT] = { status = 403 } }, { "turned off", "403" } },
    { "a page as the token", { [PUT] = HTML }, "no token" },
    { "an empty token", { [PUT] = "" }, "no token" },
    { "a redirect", { [PUT] = { status = 302 } }, "redirects are not followed" },
    { "a bad certificate", { [PUT] = fake_http.failure("CertificateInvalid", "the certificate was not accepted") },
      "certificate" },
    { "500 to the role", { [EXTENDED] = { status = 500 } }, "HTTP status 500" },
    { "a page as the role", { [EXTENDED] = HTML }, "no role name" },
    { "dots as the role", { [EXTENDED] = ".." }, "no role name" },
    { "503 to the keys", { [EXTENDED .. "app-role"] = { status = 503, body = '{"message":"busy"}' } },
      { "503", "busy" } },
    { "a page as the keys", { [EXTENDED .. "app-role"] = HTML }, { "page", "proxy" } },
    { "no JSON", { [EXTENDED .. "app-role"] = "never mind" }, "no JSON" },
    { "a list", { [EXTENDED .. "app-role"] = "[]" }, "no JSON" },
    { "silence", { [EXTENDED .. "app-role"] = { delay = 60 } }, { "cannot be asked", "time limit" } },
    { "a flood", { [EXTENDED .. "app-role"] = ("x"):rep(70000) }, "64 KiB" },
    { "half the keys", { [EXTENDED .. "app-role"] = KEYS:gsub('"SecretAccessKey":"[^"]*",', "") .. "}" },
      "SecretAccessKey" },
    { "no session token", { [EXTENDED .. "app-role"] = KEYS:gsub('"Token":"[^"]*",', "") .. "}" }, "Token" },
    { "no expiration", { [EXTENDED .. "app-role"] = KEYS:gsub(',"Expiration":"[^"]*"', "") .. "}" }, "Expiration" },
    { "a wrong expiration", { [EXTENDED .. "app-role"] = KEYS:gsub("2030%-01%-31T12", "soon") .. "}" }, "Expiration" },
    { "an error", { [EXTENDED .. "app-role"] = '{"Code":"Failed","Message":"not\\nnow ' .. SESSION .. '"}' },
      { "Failed", "now ***" } },
    { "a role that does not trust EC2", { [EXTENDED .. "app-role"] = '{"Code":"AssumeRoleUnauthorizedAccess"}' },
      "ec2.amazonaws.com" },
    { "no word for the fixed role", { [EXTENDED .. "app-role"] = NOT_FOUND, [LEGACY .. "app-role"] = NOT_FOUND },
      "AWS_EC2_INSTANCE_PROFILE_NAME", "app-role" }, -- with the variable set to this
  }
  for _, case in ipairs(BROKEN) do
    it("has failed with " .. case[1], function()
      environment.replace { AWS_EC2_INSTANCE_PROFILE_NAME = case[4] }
      assert_failure("CredentialsFailed", case[3], provider_of(instance(case[2])).fetch())
    end)
  end

  it("is asked again as often as wanted", function()
    environment.replace { AWS_METADATA_SERVICE_NUM_ATTEMPTS = "3", AWS_METADATA_SERVICE_TIMEOUT = "2.5" }
    local lost = fake_http.failure("ConnectionLost", "the connection ended")
    local http = instance { [PUT] = { lost, { status = 500 }, SESSION } }
    assert.is_truthy(provider_of(http).fetch())
    assert.equal(3, http.counts[PUT])
    assert.equal(2.5, http.requests[1].timeout)

    http = instance { [PUT] = { status = 500 } }
    assert_failure("CredentialsFailed", "500", provider_of(http).fetch())
    assert.equal(3, http.counts[PUT])
  end)
end)

describe("an interrupt", function()
  it("ends the asking of the metadata service, at any of its requests", function()
    environment.replace { AWS_METADATA_SERVICE_NUM_ATTEMPTS = "3" }
    for count, name in ipairs { PUT, EXTENDED, EXTENDED .. "app-role" } do
      local http = instance { [name] = fake_http.failure("Interrupted", "a signal ended the waiting") }
      assert_failure("Interrupted", "a signal ended the waiting", provider_of(http).fetch())
      assert.equal(count, #http.requests)
    end
  end)

  it("ends the asking for the region", function()
    local http = instance { [PUT] = fake_http.failure("Interrupted", "a signal ended the waiting") }
    assert_failure("Interrupted", "a signal ended the waiting", imds.region { runtime = http.runtime })
    assert.equal(1, #http.requests)
  end)
end)

describe("the settings of the metadata service", function()
  it("turn it off", function()
    for _, text in ipairs { "true", "TRUE" } do
      environment.replace { AWS_EC2_METADATA_DISABLED = text }
      local http = instance()
      assert_failure("NoCredentials", "AWS_EC2_METADATA_DISABLED is true", imds.new { runtime = http.runtime })
      assert_failure("NoCredentials", "AWS_EC2_METADATA_DISABLED is true", imds.region { runtime = http.runtime })
      assert.same({}, http:calls())
    end
    environment.replace()
    local context = profile { disable_ec2_metadata = "true" }
    assert_failure("NoCredentials", "disable_ec2_metadata", imds.new(context))
    environment.replace { AWS_EC2_METADATA_DISABLED = "false" }
    assert.is_truthy(imds.new(context))
  end)

  it("may give it a base path", function()
    environment.replace { AWS_EC2_METADATA_SERVICE_ENDPOINT = "https://mock.example:1338/imds/" }
    local http = fake_http.new { ["PUT https://mock.example:1338/imds/latest/api/token"] = { status = 500 } }
    assert.is_nil(provider_of(http).fetch())
    assert.equal(1, #http.requests)
  end)

  local WRONG = {
    AWS_EC2_METADATA_DISABLED = { "perhaps" },
    AWS_EC2_METADATA_SERVICE_ENDPOINT = { "169.254.169.254", "ftp://a", "http://", "http://a:b@c", "http://a?b",
      "http://a#b", "http://a:99999", "http://a b", "http://[::1", "http://a\\b" },
    AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE = { "IPv5", "ip\27v4" },
    AWS_EC2_INSTANCE_PROFILE_NAME = { " ", "a/b", "..", "a b" },
    AWS_METADATA_SERVICE_TIMEOUT = { "soon", "0", "-1", "1e999" },
    AWS_METADATA_SERVICE_NUM_ATTEMPTS = { "often", "0", "1.5" },
  }
  for name, values in pairs(WRONG) do
    it("are checked: " .. name, function()
      for _, value in ipairs(values) do
        environment.replace { [name] = value }
        assert_failure("InvalidConfiguration", name, imds.new { runtime = environment.runtime() })
        assert_failure("InvalidConfiguration", name, imds.region { runtime = environment.runtime() })
      end
    end)
  end

  it("are named with their profile when they come from there", function()
    assert_failure("InvalidConfiguration", { "ec2_metadata_service_endpoint_mode", "prod" },
      imds.new(profile { ec2_metadata_service_endpoint_mode = "none" }))
    assert_failure("InvalidConfiguration", { "ec2_instance_profile_name", "prod" },
      imds.new(profile { ec2_instance_profile_name = "" }))
  end)
end)

describe("the region of an instance", function()
  it("is told by the metadata service", function()
    local http = instance { [REGION] = "eu-west-1\n" }
    assert.equal("eu-west-1", imds.region { runtime = http.runtime })
    assert.same({ PUT, REGION }, http:calls())
  end)

  it("must look like one", function()
    for _, answer in ipairs { HTML, "", NOT_FOUND, { status = 500 }, "a.b", ("x"):rep(64) } do
      local http = instance { [REGION] = answer }
      assert_failure("CredentialsFailed", "placement/region", imds.region { runtime = http.runtime })
    end
  end)
end)
