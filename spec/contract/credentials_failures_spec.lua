-- Sources of credentials that are set up wrongly, or that do not work: none raises, none hangs, each
-- failure says what to do.
local core = require "iot.core"
local child = require "spec.support.child"
local cases = require "spec.support.credentials_failures"
local credentials_rig = require "spec.support.credentials_rig"
local failures = require "spec.support.failures"
local simulator = require "spec.support.simulator"

local sim, rig

local KINDS = { ProfileNotFound = "configuration", InvalidProfile = "configuration",
  InvalidConfiguration = "configuration", Timeout = "timeout" }

describe("credentials fail", function()
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

  local function try(options, call)
    local client, message, detail = rig:new_client(options)
    if not client then return nil, message, detail end
    local result
    result, message, detail = rig:describe(client, call)
    assert.is_nil(client.credentials_source)
    return result, message, detail
  end

  local function check(case)
    local code, patterns, use = case[2], case[3], case[4]
    local options, call = use(rig)
    local started = core.monotonic()
    local result, message, detail = try(options, call)
    local seconds = core.monotonic() - started
    failures.check({ kind = KINDS[code] or "credentials", code = code, message = patterns,
      retryable = code == "Timeout" }, result, message, detail)
    assert.is_true((detail.attempts or 0) == 0, message)
    assert.equal(0, rig:count(credentials_rig.DESCRIBE))
    assert.is_true(seconds >= (case.least or 0) and seconds < (case.seconds or 2),
      ("it took %.3f s"):format(seconds))
  end

  for _, case in ipairs(cases) do
    it("for " .. case[1], function() check(case) end)
  end

  it("with all the reasons where nothing is set up", function()
    local message = select(2, try())
    for _, reason in ipairs { "environment: aws_access_key_id", "profile: ",
      "web_identity: aws_web_identity_token_file", "container: ", "imds: " } do
      assert.is_truthy(message:lower():find(reason, 1, true), message)
    end
    assert.matches("no credentials were found", message)
  end)

  it("so in a process of its own, in less than two seconds", function()
    local started = core.monotonic()
    local output = child.output([[
      local result, message, detail = require("iot").describe_thing_registration_task { taskId = "full" }
      assert(result == nil and message == tostring(detail))
      print(detail.kind, detail.code, message)
    ]], { HOME = rig.home, AWS_REGION = sim.region, AWS_ENDPOINT_URL_IOT = sim.endpoint,
      AWS_EC2_METADATA_SERVICE_ENDPOINT = credentials_rig.NOBODY })
    assert.is_true(core.monotonic() - started < 2)
    assert.matches("^credentials\tNoCredentials\t", output)
    for _, name in ipairs { "environment", "profile", "web_identity", "container", "imds" } do
      assert.matches(name .. ": ", output)
    end
  end)

  -- On the main thread the host raises; LuaJIT has one hook for all coroutines, and so raises in any.
  if not rawget(_G, "jit") then
    it("at once when a signal comes in a coroutine, which ends by values", function()
      rig:config "[default]\ncredential_process = sleep 60\n"
      local output = child.output([[
        local since = require("spec.support.interrupt").arrange(0.3)
        local ended, reason = pcall(coroutine.wrap(function()
          local result, _, detail = require("iot").describe_thing_registration_task { taskId = "full" }
          assert(since() < 1)
          print(result, detail.kind, detail.code, detail.attempts)
        end))
        print(ended, reason)
      ]], { HOME = rig.home, AWS_REGION = sim.region, AWS_ENDPOINT_URL_IOT = sim.endpoint,
        AWS_EC2_METADATA_SERVICE_ENDPOINT = credentials_rig.NOBODY }, { timeout = 25 })
      assert.matches("^nil\ttransport\tInterrupted\t0\n", output)
      assert.equal(0, rig:count(credentials_rig.DESCRIBE))
    end)
  end

  it("at the provider that is set up, whatever comes after it", function()
    rig:config "[default]\ncredential_process = false\n"
    rig:use_container()
    local _, message = try()
    assert.matches("profile: ", message)
    assert.not_matches("container", message)
    assert.equal(0, rig:count "container")
  end)

  it("no more once the cause is gone", function()
    local client = rig:client { timeout = 5 }
    assert.is_nil((rig:describe(client)))
    rig:use_container()
    assert(rig:describe(client))
    assert.equal("container", client.credentials_source)
  end)
end)
