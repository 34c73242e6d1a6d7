-- Credentials that end in the middle of a run of calls: tokens and keys are renewed in time, once, and
-- what is still good stays in use. See credentials_spec.lua for the same of every provider.
local blocking = require "iot.runtime.blocking"
local core = require "iot.core"
local command = require "spec.support.command"
local credentials_rig = require "spec.support.credentials_rig"
local files = require "spec.support.files"
local scheduler = require "spec.support.scheduler"
local simulator = require "spec.support.simulator"

local DESCRIBE, LOGIN_SESSION = credentials_rig.DESCRIBE, credentials_rig.LOGIN_SESSION

local sim, rig

describe("credentials in a run of calls", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "full", status = "Completed" }
  end)
  teardown(function() sim:stop() end)
  before_each(function() rig = credentials_rig.new(sim) end)
  after_each(function() rig:remove() end)

  -- Tokens -------------------------------------------------------------------------------------

  it("of an SSO session whose token ends get a new one, which is written back", function()
    local path = rig:write_sso_token("dev", { expiresAt = credentials_rig.time(rig.runtime.now() + 100),
      unknown = "kept" })
    rig:config(rig:sso_profile "default")
    assert(rig:describe(rig:client()))
    assert.same({ "oidc", "sso", DESCRIBE }, rig:operations())

    local written = rig:read(path)
    assert.not_equal(sim.sso.access_token, written.accessToken)
    assert.not_equal(sim.sso.refresh_token, written.refreshToken)
    assert.same({ sim.sso.client_id, sim.sso.client_secret, "kept" },
      { written.clientId, written.clientSecret, written.unknown })
    local left = core.parse_time(written.expiresAt) - rig.runtime.now()
    assert.is_true(left > 3500 and left <= 3600)
    assert.equal("600\n", command.run({ "stat", "-c", "%a", rig.home .. "/" .. path }).stdout)

    -- Another process finds it, and the refresh token in it is good for the next one.
    sim:clear()
    local other = rig:client()
    assert(rig:describe(other))
    assert.same({ "sso", DESCRIBE }, rig:operations())
    rig:advance(3550)
    sim:clear()
    assert(rig:describe(other))
    assert.same({ "oidc", "sso", DESCRIBE }, rig:operations())
    assert.not_equal(written.refreshToken, rig:read(path).refreshToken)
  end)

  it("of aws login are written back when they are renewed", function()
    local path = rig:write_login_token(LOGIN_SESSION)
    rig:config("[default]\nlogin_session = " .. LOGIN_SESSION)
    rig:advance(800)
    assert(rig:describe(rig:client()))
    local written = rig:read(path)
    assert.equal(rig:last_key(), written.accessToken.accessKeyId)
    assert.equal(sim.account_id, written.accessToken.accountId)
    assert.not_equal(sim.login.refresh_token, written.refreshToken)
    assert.equal(sim.login.dpop_key, written.dpopKey)
    rig:advance(800)
    assert(rig:describe(rig:client()))
    assert.same({ "signin", DESCRIBE, "signin", DESCRIBE }, rig:operations())
  end)

  it("of a pod and of a container are asked for with the token of the moment", function()
    local variables = { AWS_ROLE_ARN = sim.role_arn, AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("pod", "the first token") }
    local client
    local function fails_then_works(path, token)
      client = rig:client()
      assert.is_nil((rig:describe(client)))
      files.write(rig.home .. "/" .. path, token)
      assert(rig:describe(client))
    end
    rig:variables(variables)
    fails_then_works("pod", sim.web_identity_token)
    rig:use_container { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = rig:write("container", "the first token") }
    fails_then_works("container", sim.container_token)
  end)

  -- Refresh ------------------------------------------------------------------------------------

  it("that the service calls expired are renewed once, and the call is made again", function()
    rig:use_container()
    local client = rig:client()
    assert(rig:describe(client))
    local first = rig:last_key()
    sim:expire()
    sim:clear()
    assert(rig:describe(client))
    assert.same({ DESCRIBE, "container", DESCRIBE }, rig:operations())
    local ids = rig:key_ids(DESCRIBE)
    assert.equal(first, ids[1])
    assert.not_equal(first, ids[2])
    local journal = sim:journal()
    assert.equal("ExpiredTokenException", journal[1].code)
    assert.matches("attempt=2; max=3$", credentials_rig.header(journal[3], "amz-sdk-request"))
    assert.equal(credentials_rig.header(journal[1], "amz-sdk-invocation-id"),
      credentials_rig.header(journal[3], "amz-sdk-invocation-id"))
    local last = rig.events[#rig.events]
    assert.same({ 2, 200, "container" }, { last.attempt, last.status, last.credentials_source })
    assert.equal("ExpiredTokenException", rig.events[#rig.events - 1].code)
  end)

  it("assume a role on a machine whose clock is wrong, and keep what they learn of the time", function()
    for _, seconds in ipairs { -3600, 1800 } do
      rig:config(rig:role_profile "source_profile = u" .. rig:user_profile "profile u")
      rig.runtime.now = function() return core.now() + rig.offset + seconds end
      local client = rig:client()
      assert.same({ "sts", "sts" }, (rig:trace(client)))
      assert.same({}, (rig:trace(client)))
      assert.equal(1, rig.events[#rig.events].attempt)
    end
  end)

  it("that the service calls expired twice end the call", function()
    rig:use_container()
    sim:fault { kind = "reply", status = 403, headers = { ["X-Amzn-ErrorType"] = "ExpiredTokenException" },
      body = '{"message":"The security token included in the request is expired"}', operation = DESCRIBE, times = 9 }
    local result, message, detail = rig:describe(rig:client())
    assert.is_nil(result, message)
    assert.same({ "service", "ExpiredTokenException", 403, 2 },
      { detail.kind, detail.code, detail.status, detail.attempts })
    assert.same({ "container", DESCRIBE, "container", DESCRIBE }, rig:operations())
  end)

  it("that cannot be renewed are not tried twice", function()
    local result, _, detail = rig:describe(rig:client { credentials = sim.expired_credentials })
    assert.is_nil(result)
    assert.same({ "ExpiredTokenException", 1 }, { detail.code, detail.attempts })
  end)

  it("are used while they are valid though their source fails, and no longer", function()
    rig:use_container()
    local client = rig:client { timeout = 0.5 }
    assert(rig:describe(client))
    sim:fault { kind = "reply", status = 400, body = '{"code":"Sick","message":"come back later"}',
      operation = "container", times = 99 }
    rig:advance(3400)
    for _ = 1, 3 do assert(rig:describe(client)) end
    assert.equal(2, rig:count "container") -- it backs off
    rig:advance(150)
    assert(rig:describe(client)) -- less than a minute before the end
    rig:advance(100)
    local result, message, detail = rig:describe(client)
    assert.is_nil(result)
    assert.same({ "credentials", "CredentialsFailed" }, { detail.kind, detail.code })
    assert.matches("Sick", message)
    sim:clear()
    rig:advance(2)
    assert(rig:describe(client))
  end)

  it("of an instance are used on while its metadata service is out of order", function()
    rig:use_imds()
    sim:settings { grace_seconds = 86400 }
    local client = rig:client()
    assert(rig:describe(client))
    local key = rig:last_key()
    for _, fault in ipairs {
      { kind = "reply", status = 500, operation = "imds", times = 99 },
      { kind = "close", operation = "imds", times = 99 },
    } do
      sim:fault(fault)
      rig:advance(7200)
      assert(rig:describe(client))
      assert.equal(key, rig:last_key())
      sim:clear()
    end
    -- It hands out expired ones on purpose, too.
    sim:settings { credential_seconds = -600 }
    rig:advance(3600)
    for _ = 1, 2 do assert(rig:describe(client)) end
    assert.not_equal(key, rig:last_key())
    assert.equal(1, rig:count "imds.role")
  end)

  it("of an instance come again when its session token is not known any more", function()
    rig:use_imds()
    local client = rig:client()
    rig:trace(client)
    rig:advance(3500)
    sim:fault { kind = "reply", status = 401, operation = "imds.roles" }
    assert.same({ "imds.roles", "imds.token", "imds.roles", "imds.role" }, (rig:trace(client)))
  end)

  it("are fetched once for a hundred calls that find none, and once for a hundred that find old ones", function()
    rig:use_container()
    local calls = scheduler.new { answer = core.request }
    calls.runtime.send, calls.runtime.wall = blocking.send, core.now()
    local client = rig:client { runtime = calls.runtime }
    for round = 1, 2 do
      for _ = 1, 100 do calls:spawn(function() return rig:describe(client) end) end
      for _, call in ipairs(calls:run()) do assert.equal("full", call[1] and call[1].taskId, call.raised or call[2]) end
      assert.equal(round, rig:count "container")
      sim:settings { clock = 7200 }
      calls.runtime.wall, calls.runtime.clock = core.now() + 7200, calls.runtime.clock + 7200
    end
    assert.equal(200, rig:count(DESCRIBE))
  end)
end)
