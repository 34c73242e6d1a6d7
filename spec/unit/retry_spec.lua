-- The policy of retries, on a clock of its own: the tables of reference 5.1 and 5.3, deadlines, and many runs
-- on one policy.
local retry = require "iot.retry"
local failures = require "spec.support.failures"
local scheduler = require "spec.support.scheduler"
local rig = require "spec.support.retry_rig"

local NOISE, CASES, row, meet = rig.NOISE, rig.CASES, rig.row, rig.meet
local sequence, play, policy_of, assert_too_late = rig.sequence, rig.play, rig.policy_of, rig.assert_too_late

-- The parameters -----------------------------------------------------------------------------

describe("the parameters of retries", function()
  local PARAMETERS = {
    ["2.0"] = {
      max_attempts = 3, capacity = 500, max_backoff = 20, transient_scale = 1, throttling_scale = 1,
      transient_cost = 5, throttling_cost = 5, timeout_cost = 10,
    },
    ["2.1"] = {
      max_attempts = 3, capacity = 500, max_backoff = 20, transient_scale = 0.05, throttling_scale = 1,
      transient_cost = 14, throttling_cost = 5, timeout_cost = 14,
    },
  }
  for name, wanted in pairs(PARAMETERS) do
    it("are those of the reference: " .. name, function()
      for field, value in pairs(wanted) do assert.equal(value, retry.parameters[name][field], field) end
    end)
  end
end)

-- One call on a policy of its own ------------------------------------------------------------

describe("one call", function()
  for _, case in ipairs(CASES) do
    it("follows the reference: " .. case[1], function()
      local policy, runtime = policy_of(case[2])
      play(policy, runtime, case[3])
    end)
  end

  -- Jitter: a part of the backoff, the cap applied before.
  for _, r in ipairs { 0, 0.25, 0.5, 0.75 } do
    it(("waits the part %s of the longest delay"):format(r), function()
      local policy, runtime = policy_of { r = r, max_attempts = 12 }
      play(policy, runtime, { { 500, delay = r * 0.05 }, { 500, delay = r * 0.1 }, { 400, delay = r * 4 }, { 200 } })
      policy, runtime = policy_of { r = r, max_attempts = 8 }
      play(policy, runtime, {
        { 400, delay = r * 1 }, { 400, delay = r * 2 }, { 400, delay = r * 4 }, { 400, delay = r * 8 },
        { 400, delay = r * 16 }, { 400, delay = r * 20 }, { 200 } })
      policy, runtime = policy_of { r = r }
      play(policy, runtime, {
        { 500, retry_after = 60, delay = r * 0.05 + 5 }, { 400, retry_after = 60, delay = r * 2 + 5 }, { 200 } })
      policy, runtime = policy_of { r = r, row = "2.0" }
      play(policy, runtime, { { 500, delay = r * 1 }, { 500, delay = r * 2 }, { 200 } })
    end)
  end

  it("asks for a new random number before each retry", function()
    local policy, runtime = policy_of { max_attempts = 4 }
    local numbers = { 0.9, 0.1, 0.5 }
    function runtime.random() return table.remove(numbers, 1) end
    play(policy, runtime, {
      { 400, delay = 0.9 }, { 400, delay = 0.2 }, { 400, delay = 2 }, { 400 } })
  end)

  it("shows each attempt its number, the limit and the seconds slept before it", function()
    local policy = policy_of {}
    local seen, attempts = {}, {}
    local fail = sequence(500, 400, 200)
    policy:run(nil, function(attempt)
      attempt.mark = attempt.mark or "kept"
      table.insert(attempts, attempt)
      table.insert(seen, { attempt.number, attempt.max_attempts, attempt.delay, attempt.mark })
      return fail()
    end)
    assert.same({ { 1, 3, 0, "kept" }, { 2, 3, 0.05, "kept" }, { 3, 3, 2, "kept" } }, seen)
    assert.equal(attempts[1], attempts[2])
    assert.equal(attempts[1], attempts[3])
    policy:run(nil, function(attempt)
      assert.is_nil(attempt.mark)
      assert.same({ 1, 0 }, { attempt.number, attempt.delay })
      return {}
    end)
  end)

  it("hands on the arguments to each attempt, and the results of the last", function()
    local policy = policy_of {}
    local arguments, fail = {}, sequence(500, 500)
    local function count(...) return select("#", ...), { ... } end
    local results, values = count(policy:run(nil, function(attempt, ...)
      table.insert(arguments, { select("#", ...), ... })
      if attempt.number < 3 then return fail() end
      return "a", nil, 3, nil
    end, 1, nil, "x", nil))
    assert.same({ { 4, 1, nil, "x" }, { 4, 1, nil, "x" }, { 4, 1, nil, "x" } }, arguments)
    assert.equal(4, results)
    assert.same({ "a", nil, 3 }, values)
  end)

  it("ends at a failure that has no detail, which says nothing about another attempt", function()
    for _, detail in ipairs { "retryable", false, 5 } do
      local policy = policy_of {}
      local calls = 0
      local result, message, third = policy:run(nil, function()
        calls = calls + 1
        return nil, "message", detail or nil
      end)
      assert.same({ 1, 500 }, { calls, policy.quota })
      assert.same({ nil, "message", detail or nil }, { result, message, third })
    end
    local policy = policy_of {}
    assert.equal(0, select("#", policy:run(nil, function() end)))
  end)

  it("leaves an error that is raised as it is, and the policy usable", function()
    local policy, runtime = policy_of {}
    local raised = {}
    local calls, fail = 0, sequence(500)
    local ok, value = pcall(policy.run, policy, nil, function()
      calls = calls + 1
      if calls == 2 then error(raised) end
      return fail()
    end)
    assert.same({ false, 2 }, { ok, calls })
    assert.equal(raised, value)
    play(policy, runtime, { { 500, delay = 0.05 }, { 200 } })
  end)

  for _, value in ipairs { true, "nothing" } do
    it("goes on after a sleep that returns " .. tostring(value), function()
      local policy, runtime = policy_of {}
      local sleep = runtime.sleep
      function runtime.sleep(seconds)
        sleep(seconds)
        if value == true then return true end
      end
      play(policy, runtime, { { 500, delay = 0.05 }, { 200 } })
    end)
  end

  it("makes no further attempt after a sleep that was interrupted", function()
    local policy, runtime = policy_of { max_attempts = 5 }
    local calls = 0
    function runtime.sleep() return false end
    local result, message, detail = policy:run(nil, function()
      calls = calls + 1
      return meet(500, { attempts = calls })
    end)
    assert.equal(1, calls)
    -- Not retryable, lest what stands above it go on in its place.
    failures.check({ kind = "transport", code = "Interrupted", retryable = false, attempts = 1 },
      result, message, detail)
  end)
end)

-- Calls on one policy ------------------------------------------------------------------------

describe("calls on one policy", function()
  it("share the bucket, and return what they took last", function()
    local policy, runtime = policy_of { changes = { capacity = 30 }, max_attempts = 5 }
    play(policy, runtime, { { 500, quota = 16, delay = 0.05 }, { 502, quota = 2, delay = 0.1 }, { 200, quota = 16 } })
    play(policy, runtime, { { 500, quota = 2, delay = 0.05 }, { 200, quota = 16 } })
    play(policy, runtime, { { 404, quota = 16 } })
  end)

  it("fill it by one for a success at once, up to the capacity", function()
    local policy, runtime = policy_of {}
    play(policy, runtime, { { 500, delay = 0.05 }, { 500, delay = 0.1 }, { 500, quota = 472 } })
    for quota = 473, 500 do play(policy, runtime, { { 200, quota = quota } }) end
    play(policy, runtime, { { 200, quota = 500 } })
  end)

  it("return the cost of the last failure, whatever the ones before were", function()
    local policy, runtime = policy_of {}
    play(policy, runtime, { { 500, quota = 486, delay = 0.05 }, { 400, quota = 481, delay = 2 }, { 200, quota = 486 } })
    play(policy, runtime, { { 400, quota = 481, delay = 1 }, { 500, quota = 467, delay = 0.1 }, { 200, quota = 481 } })
  end)

  it("never return more than there is room for", function()
    local tasks = scheduler.new()
    local policy = retry.new {
      runtime = tasks.runtime, mode = "standard", max_attempts = 3, parameters = row("2.1", { capacity = 20 }),
    }
    local fail = sequence(500)
    tasks:spawn(function()
      return policy:run(nil, function(attempt)
        if attempt.number == 1 then return fail() end
        tasks.runtime.sleep(1)
        return {}
      end)
    end)
    for _ = 1, 10 do -- meanwhile
      tasks:spawn(function()
        tasks.runtime.sleep(0.5)
        return policy:run(nil, function() return {} end)
      end)
    end
    tasks:run()
    assert.equal(20, policy.quota)
  end)

  it("stop retrying while the service is down, and recover when it is back", function()
    local policy, runtime = policy_of { changes = { capacity = 42 } }
    play(policy, runtime, { { 500, delay = 0.05 }, { 500, delay = 0.1 }, { 500, quota = 14 } })
    play(policy, runtime, { { 500, delay = 0.05 }, { 500, quota = 0, exceeded = true } })
    for _ = 1, 5 do play(policy, runtime, { { 500, quota = 0, exceeded = true } }) end
    for quota = 1, 14 do play(policy, runtime, { { 200, quota = quota } }) end
    play(policy, runtime, { { 500, quota = 0, delay = 0.05 }, { 200, quota = 14 } })
  end)

  it("have nothing to do with those on another", function()
    local first, runtime = policy_of {}
    local second = policy_of {}
    play(first, runtime, { { 500, delay = 0.05 }, { 500, delay = 0.1 }, { 500, quota = 472 } })
    assert.equal(500, second.quota)
    assert.is_nil(rawget(retry.parameters["2.1"], "quota"))
  end)

  it("go on beside each other in coroutines, each with its own attempts and its own refund", function()
    local tasks = scheduler.new()
    local runtime = tasks.runtime
    function runtime.random() return 1 end
    local policy = retry.new {
      runtime = runtime, mode = "standard", max_attempts = 5, parameters = row("2.1", { capacity = 30 }),
    }
    local log, start = {}, runtime.clock
    local function call(name, seconds, ...)
      local outcome = sequence(...)
      tasks:spawn(function()
        return policy:run(nil, function(attempt)
          runtime.sleep(seconds)
          table.insert(log, ("%.3f %s%d %d"):format(runtime.clock - start, name, attempt.number, policy.quota))
          return outcome()
        end)
      end)
    end
    call("A", 0.01, 500, 500)
    call("B", 0.02, 500, 200)
    call("C", 0.2, 400, 200)
    local ended = tasks:run()
    -- Time, call and attempt, quota when the answer comes.
    assert.same({
      "0.010 A1 30", "0.020 B1 16", "0.070 A2 2", "0.090 B2 2", "0.200 C1 16", "1.400 C2 11",
    }, log)
    assert.equal(16, policy.quota)
    for _, task in ipairs(ended) do assert.is_nil(task.raised) end
    assert.is_nil(ended[1][1])
    assert.same({ true, 2 }, { ended[1][3].quota_exceeded, ended[1][3].attempts })
    assert.same({ { status = 200 }, { status = 200 } }, { ended[2][1], ended[3][1] })
  end)
end)

-- Deadlines ----------------------------------------------------------------------------------

describe("a deadline", function()
  -- A run with so many seconds of time; returns what it returned, the details that it met, and the runtime.
  local function run(seconds, settings, ...)
    local policy, runtime = policy_of(settings)
    local outcome, details = sequence(...), {}
    local results = { policy:run(runtime.clock + seconds, function(attempt)
      local result, message, detail = outcome()
      if detail then
        detail.attempts, detail.operation = attempt.number, "describe_thing_registration_task"
        table.insert(details, detail)
      end
      return result, message, detail
    end) }
    return results, details, runtime
  end

  it("ends the run where the delay would pass it, without a sleep", function()
    local results, details, runtime = run(0.04, {}, 500)
    assert_too_late(1, details[1], results[1], results[2], results[3])
    assert.equal("describe_thing_registration_task", results[3].operation)
    assert.equal(0, runtime.slept)
  end)

  it("does so in the middle of the attempts", function()
    local results, details, runtime = run(0.1, { max_attempts = 5 }, 500, 502)
    assert_too_late(2, details[2], results[1], results[2], results[3])
    assert.equal(502, results[3].cause.status)
    assert.near(0.05, runtime.slept, NOISE)
  end)

  it("leaves no time for an attempt that would begin just then", function()
    local results, details, runtime = run(1, {}, 400)
    assert_too_late(1, details[1], results[1], results[2], results[3])
    assert.equal(0, runtime.slept)
  end)

  it("leaves those alone that begin before it", function()
    local results = run(1.001, {}, 400, 200)
    assert.same({ status = 200 }, results[1])
    results = run(3600, {}, 400, 400, 200)
    assert.same({ status = 200 }, results[1])
  end)

  it("counts the delay that the server asked for", function()
    local results, details = run(1.4, {}, { 500, retry_after = 1.5 })
    assert_too_late(1, details[1], results[1], results[2], results[3])
  end)

  it("counts the time that the attempts take", function()
    local policy, runtime = policy_of {}
    local calls = 0
    local result, message, detail = policy:run(runtime.clock + 10, function()
      calls, runtime.clock = calls + 1, runtime.clock + 9.96
      return meet(500, { attempts = 1 })
    end)
    assert.equal(1, calls)
    assert_too_late(1, detail.cause, result, message, detail)
    assert.equal(500, detail.cause.status)
  end)

  it("returns a failure that was a time-out itself as it is", function()
    local results, details, runtime = run(0.04, {}, "timeout")
    assert.is_nil(results[1])
    assert.equal(details[1], results[3])
    assert.is_nil(results[3].cause)
    assert.equal(0, runtime.slept)
  end)

  -- Where a program fails with one and the same table, that must not become its own cause.
  it("leaves a detail without a loop", function()
    local policy = policy_of {}
    local shared = { code = "Timeout", retryable = true, throttled = false }
    local _, _, detail = policy:run(nil, function() return nil, "again", shared end)
    assert.equal(shared, detail)
    assert.not_equal(shared, detail.cause)
  end)

  it("does not cover up a failure that is final", function()
    for _, case in ipairs { { {}, 404 }, { { max_attempts = 1 }, 500 } } do
      local results, details = run(0.01, case[1], case[2])
      assert.equal(case[2], results[3].status)
      assert.equal(details[1], results[3])
    end
    local results = run(0.01, { changes = { capacity = 0 } }, 500)
    assert.same({ 500, true }, { results[3].status, results[3].quota_exceeded })
  end)

  it("lets no attempt begin that has passed", function()
    for _, seconds in ipairs { 0, -1 } do
      local policy, runtime = policy_of {}
      local result, message, detail = policy:run(runtime.clock + seconds, function() error "an attempt" end)
      assert_too_late(0, nil, result, message, detail)
    end
  end)
end)
