-- No secret in what a failure says: not in its message, nowhere in its detail, not in a client's text,
-- whatever the service or a proxy sends back.
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local PASSWORD = "PASSWORD-OF-THE-PROXY"

local sim, raw, secrets

local function credentials(changes)
  local record = {}
  for name, value in pairs(sim.temporary_credentials) do record[name] = value end
  for name, value in pairs(changes or {}) do record[name] = value or nil end
  return record
end

local function assert_silent(...)
  local texts = failures.texts { ... }
  assert.is_true(#texts > 1)
  for _, text in ipairs(texts) do
    for name, secret in pairs(secrets) do
      assert.is_nil(text:find(secret, 1, true), name .. " in: " .. text)
    end
  end
end

-- A call that must fail, with the keys of a role where the options do not say otherwise.
local function assert_fails_silently(options)
  local all = sim:options { credentials = sim.temporary_credentials }
  for name, value in pairs(options or {}) do all[name] = value end
  local client, message, detail = iot.new(all)
  local text = tostring(client)
  if client then
    local result
    result, message, detail = client:describe_thing_registration_task { taskId = "full" }
    assert.is_nil(result)
    text = text .. tostring(client) .. tostring(client.endpoint) .. tostring(client.credentials_source)
    client:close()
  end
  assert.equal("string", type(message))
  assert_silent(message, detail, text)
  return message, detail
end

local function proxy(host) return { proxy = "http://user:" .. PASSWORD .. "@" .. host } end

describe("no secret is told", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "full", status = "Completed" }
    raw = raw_server.start(sim)
    secrets = { ["the secret key"] = sim.temporary_credentials.secret_access_key,
      ["the session token"] = sim.temporary_credentials.session_token, ["the password"] = PASSWORD }
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)
  before_each(function()
    environment.replace()
    sim:clear()
  end)
  after_each(environment.restore)

  it("where it was used", function()
    local client = assert(iot.new(sim:options { credentials = sim.temporary_credentials }))
    local task = assert(client:describe_thing_registration_task { taskId = "full" })
    assert_silent(task, tostring(client), client.endpoint, client.region, client.credentials_source)
    client:close()
    local sent
    for _, header in ipairs(sim:journal()[1].headers) do sent = sent or header[2] == secrets["the session token"] end
    assert.is_true(sent)
    for _, header in ipairs(sim:journal()[1].headers) do
      assert.is_nil(header[2]:find(secrets["the secret key"], 1, true))
    end
  end)

  local OPTIONS = {
    { "for a wrong region", function() return { region = "eu-west-1" } end },
    { "for a wrong key", function() return { credentials = credentials { access_key_id = "ASIAUNKNOWN" } } end },
    { "for a missing token", function() return { credentials = credentials { session_token = false } } end },
    { "for a signature with a wrong secret, though the answer quotes what was signed",
      function() return { credentials = credentials { secret_access_key = "wrong" } } end },
    { "for no secret", function() return { credentials = credentials { secret_access_key = false } } end },
    { "for an empty key", function() return { credentials = credentials { access_key_id = "" } } end },
    { "for a key that is no text", function() return { credentials = credentials { access_key_id = 7 } } end },
    { "for a key with a line end",
      function() return { credentials = credentials { access_key_id = "AKID\r\nX: 1" } } end },
    { "for a token with a line end",
      function()
        return { credentials = credentials { session_token = secrets["the session token"] .. "\r\nX: 1" } }
      end },
    { "for a provider whose record is wrong",
      function() return { credentials = function() return credentials { secret_access_key = false } end } end },
    { "for a port that nobody listens to", function() return { endpoint = "https://127.0.0.1:1" } end },
    { "for a wrong certificate", function() return { endpoint = sim.wrong_host_endpoint } end },
    { "for a TLS of the past", function() return { endpoint = sim.old_tls_endpoint } end },
    { "for a silent server", function() return { endpoint = raw.silent, read_timeout = 0.1 } end },
    { "for an endless reply", function() return { endpoint = raw.endless_head } end },
    { "for a CA bundle that is none", function() return { ca_bundle = "README.md" } end },
    { "for an endpoint with a password",
      function() return { endpoint = "https://user:" .. PASSWORD .. "@localhost" } end },
    { "for an endpoint with a password and more wrong",
      function() return { endpoint = "https://user:" .. PASSWORD .. "@localhost:port/#" } end },
    { "for a proxy that does not listen", function() return proxy "127.0.0.1:1" end },
    { "for a proxy that refuses", function() return proxy((raw.refusing_proxy:gsub("^http://", ""))) end },
    { "for a proxy that is no URL", function() return proxy "[bad" end },
    { "for a proxy with a wrong port", function() return proxy "127.0.0.1:port" end },
    { "for a proxy of an unknown kind",
      function() return { proxy = "gopher://user:" .. PASSWORD .. "@127.0.0.1" } end },
  }
  for _, case in ipairs(OPTIONS) do
    it(case[1], function() assert_fails_silently(case[2]()) end)
  end

  -- Answers that quote the request, as debugging proxies and some error pages do. %s is the token.
  local QUOTING = {
    { "in a message", 403, '{"message":"X-Amz-Security-Token: %s"}' },
    { "in a message, twice", 403, '{"message":"%s %s"}' },
    { "in a message, at the end of an excerpt", 403, '{"message":"' .. ("x"):rep(480) .. '%s"}' },
    { "in a code", 403, '{"code":"%s","message":"no"}' },
    { "in a text", 400, "bad request\r\nX-Amz-Security-Token: %s\r\n" },
    { "in a page", 503, "<html><pre>X-Amz-Security-Token: %s</pre></html>" },
    { "in a page, far behind", 502, "<html>" .. ("x"):rep(400) .. "%s" .. ("x"):rep(400) },
    { "in JSON that is no object", 400, '["%s"]' },
    { "in JSON cut short", 400, '{"message":"%s' },
    { "in a success that is no JSON", 200, "GET / HTTP/1.1 X-Amz-Security-Token: %s" },
    { "in a success cut short", 200, '{"token":"%s' },
    { "in a success with a member of a wrong type", 200, '{"successCount":"x","message":"%s"}' },
  }
  for _, case in ipairs(QUOTING) do
    it("that is quoted " .. case[1], function()
      local body = case[3]:gsub("%%s", (secrets["the session token"]:gsub("%%", "%%%%")))
      sim:fault { kind = "reply", status = case[2], body = body }
      local _, detail = assert_fails_silently()
      assert.equal(case[2], detail.status)
    end)
  end

  for _, name in ipairs { "X-Amzn-ErrorType", "x-amzn-RequestId" } do
    it("that is quoted in the header " .. name, function()
      sim:fault { kind = "reply", status = 400, headers = { [name] = secrets["the session token"] }, body = "{}" }
      assert_fails_silently()
    end)
  end

  it("that is quoted in a reason phrase, or in what is no HTTP", function()
    for _, form in ipairs { "HTTP/1.1 503 %s\r\nContent-Length: 6\r\n\r\n<html>", "%s\r\n", "HTTP/1.1 %s\r\n\r\n" } do
      for _, endpoint in ipairs { sim.endpoint, sim.plain_endpoint } do
        sim:fault { kind = "raw", body = form:format(secrets["the session token"]) }
        assert_fails_silently { endpoint = endpoint }
      end
    end
  end)

  it("for what the environment lacks", function()
    for _, names in ipairs {
      { AWS_SECRET_ACCESS_KEY = "the secret key", AWS_SESSION_TOKEN = "the session token" },
      { AWS_ACCESS_KEY_ID = "the session token" },
    } do
      local variables = { AWS_REGION = sim.region }
      for name, secret in pairs(names) do variables[name] = secrets[secret] end
      environment.replace(variables)
      local client = assert(iot.new())
      local result, message, detail = client:describe_thing_registration_task { taskId = "full" }
      assert.is_nil(result)
      assert.equal("credentials", detail.kind)
      assert_silent(message, detail, tostring(client))
      client:close()
    end
  end)

  it("by an error that is raised", function()
    local token = secrets["the session token"]
    for _, misuse in ipairs {
      function() return (iot.new { region = sim.region, credentials = token }) end,
      function() return (iot.new { region = sim.region, credentials = credentials(), session_token = token }) end,
      function()
        local client = assert(iot.new(sim:options { credentials = sim.temporary_credentials }))
        client:close()
        return (client:describe_thing_registration_task { taskId = "full" })
      end,
      function()
        local client = assert(iot.new(sim:options { credentials = sim.temporary_credentials }))
        client.region = token
      end,
      function()
        local client = assert(iot.new(sim:options { credentials = sim.temporary_credentials }))
        return (client:describe_thing_registration_task({ taskId = "full" }, { timeout = token }))
      end,
    } do
      local ok, message = pcall(misuse)
      assert.is_false(ok)
      assert_silent(message, "and")
    end
  end)
end)
