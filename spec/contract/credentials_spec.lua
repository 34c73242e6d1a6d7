-- Every provider of credentials from end to end: it finds its source, the source gives temporary
-- credentials, and the service accepts what is signed with them; then again when they have expired.
-- More of that is in credentials_renewal_spec.lua, what goes wrong in credentials_failures_spec.lua, and
-- what must stay secret in credentials_secrets_spec.lua.
local core = require "iot.core"
local credentials_rig = require "spec.support.credentials_rig"
local sources = require "spec.support.credentials_sources"
local simulator = require "spec.support.simulator"

local sim, rig

describe("credentials", function()
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

  local function names_and_key(client)
    local names, key = rig:trace(client)
    return { names, key }
  end

  -- What a client without options describes with; and the key of the request.
  local function source_and_key(options)
    local client = rig:client(options)
    assert(rig:describe(client))
    return client.credentials_source, rig:last_key()
  end

  -- Every provider -----------------------------------------------------------------------------

  for _, case in ipairs(sources) do
    it("come from " .. case.what .. ", and again when they have expired", function()
      local seconds, again = case.seconds or 3600, case.again or case.first
      local client = rig:client(case.use(rig))
      assert.is_nil(client.credentials_source)

      local names, first, entry = rig:trace(client)
      assert.same(case.first, names)
      assert.equal(case.source, client.credentials_source)
      assert.matches("^ASIA", first)
      assert.matches(" m/E,N" .. (case.features and "," .. case.features or "") .. " cfg/",
        credentials_rig.header(entry, "User-Agent"))

      rig:advance(seconds - 400) -- there is time
      assert.same({ {}, first }, names_and_key(client))

      rig:advance(250) -- the last minutes
      local second, third
      names, second = rig:trace(client)
      assert.same(again, names)
      assert.same({ {}, second }, names_and_key(client))

      rig:advance(3 * seconds) -- long after
      names, third = rig:trace(client)
      assert.same(again, names)
      assert.is_true(first ~= second and second ~= third)
      assert.equal(case.source, client.credentials_source)
      for _, event in ipairs(rig.events) do assert.same({ 200 }, { event.status, event.code }) end
    end)
  end

  it("come from the environment, which is read again when they have expired", function()
    local static, keys = sim.temporary_credentials, sim.credentials
    rig:variables { AWS_ACCESS_KEY_ID = static.access_key_id, AWS_SECRET_ACCESS_KEY = static.secret_access_key,
      AWS_SESSION_TOKEN = static.session_token,
      AWS_CREDENTIAL_EXPIRATION = credentials_rig.time(rig.runtime.now() + 3600) }
    local client = rig:client()
    assert(rig:describe(client))
    assert.equal("environment", client.credentials_source)
    assert.equal(static.access_key_id, rig:last_key())
    rig:advance(3500)
    rig:variables { AWS_ACCESS_KEY_ID = keys.access_key_id, AWS_SECRET_ACCESS_KEY = keys.secret_access_key }
    assert(rig:describe(client))
    assert.equal(keys.access_key_id, rig:last_key())
  end)

  it("come from the keys of a profile, of either file", function()
    for _, name in ipairs { ".aws/config", ".aws/credentials" } do
      rig:config ""
      rig:write(name, rig:user_profile "default" .. "region = us-east-1\n")
      rig:variables { AWS_REGION = false }
      assert.same({ "profile", sim.credentials.access_key_id }, { source_and_key() })
    end
  end)

  it("come from the option, whatever else there is", function()
    rig:use_container()
    rig:config(rig:user_profile "default")
    assert.same({ "static", sim.temporary_credentials.access_key_id },
      { source_and_key { credentials = sim.temporary_credentials } })
    assert.equal(0, rig:count "container")
  end)

  it("come from a user's function, which is asked again in time", function()
    local asked = 0
    local function provide()
      asked = asked + 1
      local response = assert(core.request { url = sim.container_uri, timeout = 5,
        headers = { { "Authorization", sim.container_token } } })
      local document = core.decode_json(response.body)
      return { access_key_id = document.AccessKeyId, secret_access_key = document.SecretAccessKey,
        session_token = document.Token, expiration = core.parse_time(document.Expiration) }
    end
    local client = rig:client { credentials = provide }
    for _ = 1, 3 do assert(rig:describe(client)) end
    assert.same({ 1, "function" }, { asked, client.credentials_source })
    rig:advance(3500)
    assert(rig:describe(client))
    assert.equal(2, asked)
  end)

  -- The chain ----------------------------------------------------------------------------------

  it("are looked for in their order", function()
    local user = sim.credentials
    local all = {
      AWS_ACCESS_KEY_ID = user.access_key_id, AWS_SECRET_ACCESS_KEY = user.secret_access_key,
      AWS_ROLE_ARN = sim.role_arn, AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("token", sim.web_identity_token),
      AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri,
      AWS_CONTAINER_AUTHORIZATION_TOKEN = sim.container_token,
      AWS_EC2_METADATA_SERVICE_ENDPOINT = sim.imds_endpoint,
    }
    local function assert_source(source, options)
      rig:variables(all)
      assert.equal(source, (source_and_key(options)))
    end
    rig:config(rig:user_profile "default")
    assert_source("environment")
    assert_source("profile", { profile = "default" })
    all.AWS_SECRET_ACCESS_KEY, all.AWS_ACCESS_KEY_ID = "", nil
    assert_source("profile")
    rig:config "[default]\nregion = us-east-1\n"
    assert_source("web_identity")
    all.AWS_WEB_IDENTITY_TOKEN_FILE = nil
    assert_source("container")
    all.AWS_CONTAINER_CREDENTIALS_FULL_URI = nil
    assert_source("imds")
  end)

  it("are those of the profile that is named", function()
    local prod = rig:role_profile("source_profile = default"):gsub("default", "profile prod", 1)
    rig:config(rig:user_profile "default" .. prod)
    assert.equal(sim.credentials.access_key_id, (select(2, source_and_key())))
    assert.matches("^ASIA", (select(2, source_and_key { profile = "prod" })))
    rig:variables { AWS_PROFILE = "prod" }
    assert.matches("^ASIA", (select(2, source_and_key())))
  end)

  it("of a role are signed for with those of the step before", function()
    rig:config(rig:role_profile "source_profile = middle" .. rig:user_profile "profile user" .. [[
      duration_seconds = 900
      [profile middle]
      role_arn = arn:aws:iam::123456789012:role/Auditor
      external_id = factory/7
      role_session_name = line-3
      duration_seconds = 900
      source_profile = user
    ]])
    local client = rig:client()
    assert(rig:describe(client))
    local signers = rig:key_ids "sts"
    assert.equal(sim.credentials.access_key_id, signers[1])
    assert.matches("^ASIA", signers[2])
    assert.not_equal(signers[2], rig:last_key())
    local journal = sim:journal()
    assert.matches("RoleSessionName=line%-3", journal[1].body)
    assert.matches("DurationSeconds=900", journal[1].body)
    assert.matches("ExternalId=factory%%2F7", journal[1].body)
  end)

  it("of a role that wants an MFA code ask for one each time", function()
    rig:config(rig:user_profile "default" .. [[
      role_arn = arn:aws:iam::123456789012:role/Operator
      mfa_serial = arn:aws:iam::123456789012:mfa/ada
      source_profile = default
    ]])
    local asked = {}
    local client = rig:client {
      mfa_code = function(serial)
        asked[#asked + 1] = serial
        return "314159"
      end,
    }
    for _ = 1, 2 do assert(rig:describe(client)) end
    assert.same({ "arn:aws:iam::123456789012:mfa/ada" }, asked)
    rig:advance(3500)
    assert(rig:describe(client))
    assert.equal(2, #asked)
  end)
end)
