-- Credentials for a device's certificate, against answers from a table.
local device = require "iot.credentials.device"
local options = require "iot.config.options"
local fake_http = require "spec.support.fake_http"
local failures = require "spec.support.failures"
local files = require "spec.support.files"

local HOST = "c2sample.credentials.iot.eu-west-1.amazonaws.com"
local URL = "https://" .. HOST .. "/role-aliases/gateway/credentials"
local SECRET, TOKEN = "SECRET-OF-THE-DEVICE", "TOKEN-OF-THE-DEVICE"
local BODY = '{"credentials":{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"' .. SECRET .. '","sessionToken":"'
  .. TOKEN .. '","expiration":"2030-01-31T12:00:00Z"}}'

local certificate, key

setup(function() certificate, key = files.temporary(), files.temporary() end)
teardown(function()
  os.remove(certificate)
  os.remove(key)
end)

-- Good options with changes; false takes one away.
local function given(changes)
  local all = { endpoint = HOST, role_alias = "gateway", certificate = certificate, key = key }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

local function fetch(answer, changes, context, url)
  local http = fake_http.new { ["GET " .. (url or URL)] = answer or BODY }
  local all = { runtime = http.runtime }
  for name, value in pairs(context or {}) do all[name] = value end
  local provider = assert(device.from_options(given(changes), all))
  local record, message, code = provider.fetch(all.deadline and http.runtime.clock + all.deadline)
  return http, record, message, code
end

local function assert_failure(code, words, result, message, actual)
  assert.is_nil(result)
  assert.is_string(message)
  for _, word in ipairs(type(words) == "table" and words or { words }) do
    assert.is_truthy(message:find(word, 1, true), ("%q has no %q"):format(message, word))
  end
  assert.equal(code, actual, message)
  assert.is_true(failures.is_printable(message), message)
  for _, secret in ipairs { SECRET, TOKEN } do assert.is_nil(message:find(secret, 1, true), message) end
end

local function assert_failed(words, _, record, message, code)
  assert_failure("CredentialsFailed", words, record, message, code)
end

describe("a device's certificate", function()
  it("gives credentials", function()
    local http, record = fetch()
    assert.same({ access_key_id = "ASIAEXAMPLE", secret_access_key = SECRET, session_token = TOKEN,
      expiration = 1896091200 }, record)
    assert.same({ "GET " .. URL }, http:calls())
    assert.equal(certificate, http.requests[1].client_certificate)
    assert.equal(key, http.requests[1].client_key)
    assert.is_nil(http:header(1, "x-amzn-iot-thingname"))
    assert.is_nil(http:header(1, "Authorization"))
  end)

  it("gives them without an expiration, too", function()
    local _, record = fetch((BODY:gsub(',"expiration":"[^"]*"', "")))
    assert.is_table(record)
    assert.is_nil(record.expiration)
  end)

  it("is sent with the name of the thing", function()
    local http = fetch(nil, { thing_name = "gate:way_1-a" })
    assert.equal("gate:way_1-a", http:header(1, "x-amzn-iot-thingname"))
  end)

  it("goes to the endpoint in any of its spellings", function()
    for _, endpoint in ipairs { HOST, "https://" .. HOST, "https://" .. HOST .. "/", "HTTPS://" .. HOST } do
      local _, record = fetch(nil, { endpoint = endpoint })
      assert.is_table(record)
    end
    local _, record = fetch(nil, { endpoint = "localhost:8443" }, nil,
      "https://localhost:8443/role-aliases/gateway/credentials")
    assert.is_table(record)
  end)

  it("asks for a role alias of any name", function()
    local _, record = fetch(nil, { role_alias = "a/b=c@d ?" }, nil,
      "https://" .. HOST .. "/role-aliases/a%2Fb%3Dc%40d%20%3F/credentials")
    assert.is_table(record)
  end)

  it("is used with the client's proxy, CAs and time limits, or CAs of its own", function()
    local http = fetch(nil, nil, { proxy = "http://proxy:3128", ca_bundle = "/client.pem", connect_timeout = 7 })
    local request = http.requests[1]
    assert.equal("http://proxy:3128", request.proxy)
    assert.equal("/client.pem", request.ca_bundle)
    assert.equal(7, request.connect_timeout)
    http = fetch(nil, { ca_bundle = "/root.pem" }, { ca_bundle = "/client.pem" })
    assert.equal("/root.pem", http.requests[1].ca_bundle)
    assert.is_true(http.requests[1].timeout <= 20)
    http = fetch(nil, nil, { deadline = 1.5 })
    assert.equal(1.5, http.requests[1].timeout)
  end)

  it("is an option like others", function()
    local all = given { thing_name = "t", ca_bundle = "c" }
    assert.same(all, options.check("new", all, device.schema, 1))
    local http = fake_http.new { ["GET " .. URL] = BODY }
    local provider = assert(device.new { runtime = http.runtime, device = given() })
    assert.equal("device", provider.name)
    assert.is_table(provider.fetch())
    assert_failure("NoCredentials", "device", device.new { runtime = http.runtime })
  end)
end)

describe("the options of a device", function()
  local PEM = "-----BEGIN PRIVATE KEY-----\n" .. SECRET .. "\n-----END PRIVATE KEY-----\n"
  local WRONG = {
    endpoint = { false, "", 5, "http://" .. HOST, "ftp://" .. HOST, HOST .. "/path", "https://u:p@" .. HOST, "a b",
      HOST .. "?a", "a:b:c" },
    role_alias = { false, "", 5, "..", ("x"):rep(129) },
    certificate = { false, "", 5, PEM },
    key = { false, "", 5, PEM, "a\nb" },
    thing_name = { "", 5, "a b", "a\r\nX: y", ("x"):rep(129) },
    ca_bundle = { 5 },
  }
  for name, values in pairs(WRONG) do
    it("are checked: " .. name, function()
      for _, value in ipairs(values) do
        assert_failure("InvalidConfiguration", "device." .. name, device.from_options(given { [name] = value }))
      end
    end)
  end

  it("are a table, which is not kept", function()
    assert_failure("InvalidConfiguration", "a table", device.from_options "device")
    local all = given()
    local http = fake_http.new { ["GET " .. URL] = BODY }
    local provider = assert(device.from_options(all, { runtime = http.runtime }))
    all.role_alias = "other"
    assert.is_table(provider.fetch())
  end)
end)

describe("a device that gets no credentials", function()
  it("is told what to check when it is refused", function()
    assert_failed({ "403", "Access Denied", "iot:AssumeRoleWithCertificate", "gateway", "credentials.iot.amazonaws.com",
      "device.thing_name" }, fetch { status = 403, body = '{"message":"Access Denied"}' })
    assert_failed({ "403", "the thing pump is attached" }, fetch({ status = 403 }, { thing_name = "pump" }))
    assert_failed({ "404", "role alias gateway", HOST }, fetch { status = 404, body = '{"message":"not found"}' })
  end)

  local CASES = {
    { "400", { status = 400 }, { "400", "iot:CredentialProvider" } },
    { "a redirect", { status = 301 }, { "301", "redirect" } },
    { "500", { status = 500, body = "<html>" }, { "500", "later" } },
    { "429", { status = 429 }, { "429", "later" } },
    { "501", { status = 501 }, { "501", "iot:CredentialProvider" } },
    { "a page", "<html>Log in</html>", "page" },
    { "no JSON", "never mind", "no JSON" },
    { "an empty object", "{}", "AccessKeyId" },
    { "no object inside", '{"credentials":"none"}', "AccessKeyId" },
    { "no secret key", (BODY:gsub('"secretAccessKey":"[^"]*",', "")), "SecretAccessKey" },
    { "no session token", (BODY:gsub('"sessionToken":"[^"]*",', "")), "sessionToken" },
    { "a wrong expiration", (BODY:gsub("2030", "in 2030")), "Expiration" },
    { "17 KiB", BODY .. (" "):rep(17000), "16 KiB" },
    { "silence", { delay = 60 }, "time limit" },
    { "no such host", fake_http.failure("NameResolutionFailed", "the host name was not found"), "device.endpoint" },
    { "a bad server certificate", fake_http.failure("CertificateInvalid", "not accepted"), "Amazon Root CA" },
    { "a refused handshake", fake_http.failure("TLSHandshakeFailed", "alert"), "registered and active" },
    { "a certificate refused after the handshake", fake_http.failure("ConnectionLost", "alert"),
      "registered and active" },
    { "no key that fits", fake_http.failure("InvalidConfiguration", "an option cannot be used"), "belong together" },
  }
  for _, case in ipairs(CASES) do
    it("is told why, with " .. case[1], function()
      local http, record, message, code = fetch(case[2])
      assert_failure("CredentialsFailed", case[3], record, message, code)
      assert.equal(1, #http.requests)
    end)
  end

  it("takes an answer of nearly 16 KiB", function()
    local _, record = fetch(BODY .. (" "):rep(16000))
    assert.is_table(record)
  end)

  it("is told which file cannot be read", function()
    for _, name in ipairs { "certificate", "key" } do
      local http, record, message, code = fetch(nil, { [name] = "/nonexistent/device.pem" })
      assert_failure("CredentialsFailed", { "device." .. name, "/nonexistent/device.pem" }, record, message, code)
      assert.same({}, http:calls())
    end
  end)

  it("has not been refused when an interrupt ended the request", function()
    local http, record, message, code = fetch(fake_http.failure("Interrupted", "a signal ended the waiting"))
    assert_failure("Interrupted", "a signal ended the waiting", record, message, code)
    assert.equal(1, #http.requests)
  end)

  it("is not asked when there is no time", function()
    local http, record, message, code = fetch(nil, nil, { deadline = 0 })
    assert_failure("CredentialsFailed", "no time", record, message, code)
    assert.same({}, http:calls())
  end)
end)
