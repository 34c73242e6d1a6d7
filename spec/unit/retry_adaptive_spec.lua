-- The adaptive mode of retries (reference 5.4), on a clock of its own.
local rate_limiter = require "iot.rate_limiter"
local retry = require "iot.retry"
local failures = require "spec.support.failures"
local scheduler = require "spec.support.scheduler"
local rig = require "spec.support.retry_rig"

local NOISE, OUTCOMES, CASES, row = rig.NOISE, rig.OUTCOMES, rig.CASES, rig.row
local meet, sequence, play, policy_of = rig.meet, rig.sequence, rig.play, rig.policy_of
local assert_too_late = rig.assert_too_late

describe("adaptive mode", function()
  -- What the limiter was told, and at which second.
  local function spy(policy, start)
    local log, update = {}, policy.limiter.update
    function policy.limiter.update(limiter, time, throttled)
      table.insert(log, { time - start, throttled })
      return update(limiter, time, throttled)
    end
    return log
  end

  -- One whose limiter has been enabled at this moment, and has half a token a second.
  local function throttled_policy(settings)
    settings = settings or {}
    settings.mode = "adaptive"
    local policy, runtime = policy_of(settings)
    policy.limiter:update(runtime.clock, true)
    return policy, runtime
  end

  it("has a limiter, which standard mode has not", function()
    local policy, runtime = policy_of { mode = "adaptive" }
    assert.is_nil((policy_of {}).limiter)
    assert.equal(getmetatable(rate_limiter.new(0)), getmetatable(policy.limiter))
    assert.is_false(policy.limiter.enabled)
    assert.equal(runtime.clock, policy.limiter.t_fail)
  end)

  it("is standard mode as long as nobody is throttled", function()
    for _, case in ipairs(CASES) do
      local throttles = false
      for _, step in ipairs(case[3]) do
        local facts = OUTCOMES[step[1]]
        throttles = throttles or facts and (facts.status == 400 or facts.status == 429 or step[1] == "slow_down")
      end
      if not throttles then
        local settings = { mode = "adaptive" }
        for name, value in pairs(case[2]) do settings[name] = value end
        local policy, runtime = policy_of(settings)
        play(policy, runtime, case[3])
      end
    end
  end)

  it("tells the limiter of every attempt, those without a reply too", function()
    local policy, runtime = policy_of { mode = "adaptive", max_attempts = 5 }
    local log = spy(policy, runtime.clock)
    local outcome = sequence(500, "lost", "timeout", 404)
    policy:run(nil, function()
      runtime.clock = runtime.clock + 1
      return outcome()
    end)
    policy:run(nil, function() return {} end)
    policy:run(nil, function() return meet(400) end)
    local seconds, throttled = {}, {}
    for index, entry in ipairs(log) do seconds[index], throttled[index] = entry[1], entry[2] or false end
    assert.same({ false, false, false, false, false, true }, { throttled[1], throttled[2], throttled[3], throttled[4],
      throttled[5], throttled[6] })
    -- A second each, then the backoffs of 0.05, 0.1 and 0.2.
    for index, second in ipairs { 1, 2.05, 3.15, 4.35, 4.35, 4.35 } do
      assert.near(second, seconds[index], NOISE)
    end
  end)

  it("tells it of throttling whether or not another attempt follows", function()
    local policy, runtime = policy_of { mode = "adaptive", max_attempts = 1 }
    policy:run(nil, function() return meet(429) end)
    assert.is_true(policy.limiter.enabled)
    assert.equal(0, runtime.slept)
  end)

  it("delays the first attempt when there is no token", function()
    local policy, runtime = throttled_policy()
    local start, begun = runtime.clock, nil
    assert(policy:run(nil, function(attempt)
      begun = runtime.clock - start
      assert.near(2, attempt.delay, NOISE)
      assert.equal(1, attempt.number)
      return {}
    end))
    assert.near(2, begun, NOISE)
    assert.equal(500, policy.quota)
  end)

  it("takes one token for each attempt, whatever came before it", function()
    local policy, runtime = throttled_policy { max_attempts = 4 }
    policy.limiter.update = function() end -- half a token a second for ever
    runtime.clock = runtime.clock + 2
    local start, begun, outcome = runtime.clock, {}, sequence(500, "timeout", 500, 200)
    assert(policy:run(nil, function()
      table.insert(begun, runtime.clock - start)
      return outcome()
    end))
    -- The backoffs of 0.05, 0.1 and 0.2 pass while the next token is due.
    for index, second in ipairs { 0, 2, 4, 6 } do assert.near(second, begun[index], 1e-8) end
  end)

  it("waits the backoff, and then for what is left until there is a token", function()
    local policy, runtime = policy_of { mode = "adaptive" }
    local start, begun, delays, outcome = runtime.clock, {}, {}, sequence(400, 400, 200)
    assert(policy:run(nil, function(attempt)
      table.insert(begun, runtime.clock - start)
      table.insert(delays, attempt.delay)
      return outcome()
    end))
    -- Throttled at 0: half a token a second, 1 s of backoff and 1 s more. Throttled at 2, where
    -- 0.8 * 2 / 2 was measured, and the lesser 0.5 filled: the backoff of 2 s brings the token.
    for index, second in ipairs { 0, 2, 4 } do
      assert.near(second, begun[index], 1e-8)
      assert.near(index == 1 and 0 or 2, delays[index], 1e-8)
    end
    assert.equal(500 - 5 - 5 + 5, policy.quota)
  end)

  it("does not get around the quota", function()
    local policy, runtime = policy_of { mode = "adaptive", changes = { capacity = 5 } }
    local outcome, calls = sequence(400, 400), 0
    local _, _, detail = policy:run(nil, function()
      calls = calls + 1
      return outcome()
    end)
    assert.same({ 2, true, 0 }, { calls, detail.quota_exceeded, policy.quota })
    assert.near(2, runtime.slept, 1e-8)
  end)

  it("does not wait for a token beyond the deadline", function()
    for _, seconds in ipairs { 1, 2 } do
      local policy, runtime = throttled_policy()
      local start = runtime.clock
      local result, message, detail = policy:run(start + seconds, function() error "an attempt" end)
      assert_too_late(0, nil, result, message, detail)
      assert.is_true(runtime.clock <= start + seconds)
    end
  end)

  it("does not do so before another attempt either", function()
    local policy, runtime = policy_of { mode = "adaptive" }
    local start, calls, last = runtime.clock, 0, nil
    local result, message, detail = policy:run(start + 1.5, function()
      calls = calls + 1
      local a, b, c = meet(400, { attempts = 1 })
      last = c
      return a, b, c
    end)
    assert.equal(1, calls)
    assert_too_late(1, last, result, message, detail)
    assert.is_true(runtime.clock <= start + 1.5)
  end)

  it("makes no attempt after a wait for a token that was interrupted", function()
    local policy, runtime = throttled_policy()
    function runtime.sleep() return false end
    local result, message, detail = policy:run(nil, function() error "an attempt" end)
    failures.check({ kind = "transport", code = "Interrupted", retryable = false, attempts = 0 },
      result, message, detail)
  end)

  it("gives the tokens to one coroutine after the other", function()
    local tasks = scheduler.new()
    local runtime = tasks.runtime
    local policy = retry.new { runtime = runtime, mode = "adaptive", max_attempts = 3, parameters = row "2.1" }
    policy.limiter:update(runtime.clock, true)
    policy.limiter.update = function() end
    local start, begun = runtime.clock, {}
    for _ = 1, 10 do
      tasks:spawn(function()
        return policy:run(nil, function()
          table.insert(begun, runtime.clock - start)
          return {}
        end)
      end)
    end
    for _, task in ipairs(tasks:run()) do assert.is_nil(task.raised) end
    for index = 1, 10 do assert.near(2 * index, begun[index], 1e-6) end
  end)
end)
