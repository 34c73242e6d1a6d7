-- The policy of retries, on a clock of its own: the tables of reference 5.1 and 5.3, deadlines, adaptive
-- mode, many runs on one policy, and iot.retry.
local errors = require "iot.errors"
local rate_limiter = require "iot.rate_limiter"
local retry = require "iot.retry"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local scheduler = require "spec.support.scheduler"

-- Helpers ------------------------------------------------------------------------------------

-- Seconds: what adding up on a clock that stands at 5000 may cost.
local NOISE = 1e-11

local function new_runtime(r)
  local runtime = environment.runtime()
  runtime.slept = 0
  local sleep = runtime.sleep
  function runtime.sleep(seconds)
    assert.is_true(seconds >= 0)
    runtime.slept = runtime.slept + seconds
    return sleep(seconds)
  end
  function runtime.random() return r or 1 end
  -- It may be set while one waits.
  function runtime.now() error "the policy has no business with the time of day" end
  return runtime
end

local function row(name, changes)
  return setmetatable(changes or {}, { __index = retry.parameters[name] })
end

-- What an attempt can meet. The message is of no importance to the policy.
local OUTCOMES = {
  [400] = { kind = "service", status = 400, code = "Throttling" },
  [403] = { kind = "service", status = 403, code = "AccessDeniedException" },
  [404] = { kind = "service", status = 404, code = "ResourceNotFoundException" },
  [429] = { kind = "service", status = 429, code = "429" },
  [500] = { kind = "service", status = 500, code = "InternalFailureException" },
  [502] = { kind = "service", status = 502, code = "502" },
  [503] = { kind = "service", status = 503, code = "503" },
  [504] = { kind = "service", status = 504, code = "504" },
  slow_down = { kind = "service", status = 503, code = "SlowDown" },
  timeout = { code = "Timeout" },
  lost = { code = "ConnectionLost" },
  certificate = { code = "CertificateInvalid" },
  malformed = { code = "MalformedResponse" },
}

-- A failure as the client has it, or a result for 200.
local function meet(outcome, more)
  if outcome == 200 then return { status = 200 } end
  local facts = {}
  for name, value in pairs(OUTCOMES[outcome]) do facts[name] = value end
  for name, value in pairs(more or {}) do facts[name] = value end
  return errors.fail(facts, "the spec's failure")
end

local function sequence(...)
  local steps, count = { ... }, 0
  return function()
    count = count + 1
    local step = assert(steps[count], "one attempt too many")
    if type(step) ~= "table" then return meet(step) end
    return meet(step[1], { retry_after = step.retry_after })
  end
end

-- Runs a call that meets these outcomes, and holds what follows each of them against what stands there:
-- `quota`, and `delay` up to the next attempt. The last one ends the run.
local function play(policy, runtime, steps)
  local count, slept = 0, runtime.slept
  local function check_last_step()
    local step = steps[count]
    assert.near(step.delay or 0, runtime.slept - slept, NOISE, "delay after attempt " .. count)
    if step.quota then assert.equal(step.quota, policy.quota, "quota after attempt " .. count) end
    slept = runtime.slept
  end
  local last = {}
  local result, message, detail = policy:run(nil, function(attempt)
    if count > 0 then
      check_last_step()
      assert.near(steps[count].delay, attempt.delay, NOISE)
    else
      assert.equal(0, attempt.delay)
    end
    count = count + 1
    assert.equal(count, attempt.number)
    local step = assert(steps[count], "one attempt too many")
    last.result, last.message, last.detail = meet(step[1], { retry_after = step.retry_after })
    return last.result, last.message, last.detail
  end)
  assert.equal(#steps, count)
  check_last_step()
  assert.equal(last.result, result)
  assert.equal(last.message, message)
  assert.equal(last.detail, detail)
  if detail then
    assert.equal(count, detail.attempts)
    assert.equal(steps[count].exceeded or false, detail.quota_exceeded or false)
  end
end

local function policy_of(settings)
  local runtime = new_runtime(settings.r)
  return retry.new {
    runtime = runtime, mode = settings.mode or "standard", max_attempts = settings.max_attempts or 3,
    parameters = row(settings.row or "2.1", settings.changes),
  }, runtime
end

-- A run that ends with a failure by a deadline, after so many attempts.
local function assert_too_late(attempts, last, result, message, detail)
  failures.check({ kind = "timeout", code = "Timeout", attempts = attempts }, result, message, detail)
  assert.equal(last, detail.cause)
  if last then assert.is_truthy(message:find(last.message, 1, true), message) end
end

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

-- Each as `name`, settings, and steps of play(). Where nothing else is said, r = 1 and 3 attempts.
local CASES = {
  -- The test cases of reference 5.3.
  { "2.1: success after two failures", {}, {
    { 500, quota = 486, delay = 0.05 }, { 500, quota = 472, delay = 0.1 }, { 200, quota = 486 } } },
  { "2.1: all attempts fail", {}, {
    { 502, quota = 486, delay = 0.05 }, { 502, quota = 472, delay = 0.1 }, { 502, quota = 472 } } },
  { "2.1: a bucket of 14", { changes = { capacity = 14 } }, {
    { 500, quota = 0, delay = 0.05 }, { 500, quota = 0, exceeded = true } } },
  { "2.1: an empty bucket", { changes = { capacity = 0 } }, { { 500, quota = 0, exceeded = true } } },
  { "2.1: a bucket of 20, five attempts", { changes = { capacity = 20 }, max_attempts = 5 }, {
    { 500, quota = 6, delay = 0.05 }, { 502, quota = 6, exceeded = true } } },
  { "2.1: throttling", {}, { { 400, quota = 495, delay = 1 }, { 200, quota = 500 } } },
  { "2.1: retry-after 1500", {}, { { 500, retry_after = 1.5, quota = 486, delay = 1.5 }, { 200, quota = 500 } } },
  { "2.1: retry-after 0", {}, { { 500, retry_after = 0, quota = 486, delay = 0.05 }, { 200, quota = 500 } } },
  { "2.1: retry-after 10000", {}, { { 500, retry_after = 10, quota = 486, delay = 5.05 }, { 200, quota = 500 } } },
  { "2.1: retry-after below 0", {}, { { 500, retry_after = -0.1, quota = 486, delay = 0.05 }, { 200, quota = 500 } } },
  { "2.1: a cap of 0.2, five attempts", { changes = { max_backoff = 0.2 }, max_attempts = 5 }, {
    { 500, quota = 486, delay = 0.05 }, { 500, quota = 472, delay = 0.1 }, { 500, quota = 458, delay = 0.2 },
    { 500, quota = 444, delay = 0.2 }, { 500, quota = 444 } } },

  { "2.0: success after two failures", { row = "2.0" }, {
    { 500, quota = 495, delay = 1 }, { 500, quota = 490, delay = 2 }, { 200, quota = 495 } } },
  { "2.0: five attempts", { row = "2.0", max_attempts = 5 }, {
    { 500, quota = 495, delay = 1 }, { 500, quota = 490, delay = 2 }, { 500, quota = 485, delay = 4 },
    { 500, quota = 480, delay = 8 }, { 500, quota = 480 } } },
  { "2.0: a cap of 3", { row = "2.0", changes = { max_backoff = 3 }, max_attempts = 5 }, {
    { 500, delay = 1 }, { 500, delay = 2 }, { 500, delay = 3 }, { 500, delay = 3 }, { 500 } } },
  { "2.0: a bucket of 12", { row = "2.0", changes = { capacity = 12 }, max_attempts = 5 }, {
    { 500, quota = 7, delay = 1 }, { 502, quota = 2, delay = 2 }, { 503, quota = 2, exceeded = true } } },

  -- What follows from the parameters.
  { "2.1: each class of failure costs its own", { max_attempts = 6 }, {
    { "timeout", quota = 486, delay = 0.05 }, { "lost", quota = 472, delay = 0.1 }, { 429, quota = 467, delay = 4 },
    { 504, quota = 453, delay = 0.4 }, { "slow_down", quota = 448, delay = 16 }, { 200, quota = 453 } } },
  { "2.0: each class of failure costs its own", { row = "2.0", max_attempts = 6 }, {
    { "timeout", quota = 490, delay = 1 }, { "lost", quota = 485, delay = 2 }, { 429, quota = 480, delay = 4 },
    { 503, quota = 475, delay = 8 }, { "timeout", quota = 465, delay = 16 }, { 200, quota = 475 } } },
  { "2.0: a time-out costs more than is left", { row = "2.0", changes = { capacity = 9 } }, {
    { "timeout", quota = 9, exceeded = true } } },
  { "2.1: throttling is paid from what does not suffice for else", { changes = { capacity = 13 } }, {
    { 400, quota = 8, delay = 1 }, { 500, quota = 8, exceeded = true } } },
  { "2.1: the cap of 20 s, throttled", { max_attempts = 8 }, {
    { 400, delay = 1 }, { 400, delay = 2 }, { 400, delay = 4 }, { 400, delay = 8 }, { 400, delay = 16 },
    { 400, delay = 20 }, { 400, delay = 20 }, { 400, quota = 465 } } },
  { "2.1: the cap of 20 s, not throttled", { max_attempts = 12 }, {
    { 500, delay = 0.05 }, { 500, delay = 0.1 }, { 500, delay = 0.2 }, { 500, delay = 0.4 }, { 500, delay = 0.8 },
    { 500, delay = 1.6 }, { 500, delay = 3.2 }, { 500, delay = 6.4 }, { 500, delay = 12.8 }, { 500, delay = 20 },
    { 500, delay = 20 }, { 500, quota = 346 } } },
  { "2.0: the cap of 20 s", { row = "2.0", max_attempts = 8 }, {
    { 500, delay = 1 }, { 500, delay = 2 }, { 500, delay = 4 }, { 500, delay = 8 }, { 500, delay = 16 },
    { 500, delay = 20 }, { 500, delay = 20 }, { 500, quota = 465 } } },
  { "2.1: retry-after is bound to the backoff of its attempt", { max_attempts = 4 }, {
    { 503, retry_after = 60, delay = 5.05 }, { 400, retry_after = 60, delay = 7 },
    { 400, retry_after = 3, delay = 4 }, { 200 } } },
  { "2.0: retry-after replaces the backoff, up to 20 s", { row = "2.0", max_attempts = 6 }, {
    { 500, retry_after = 1.5, delay = 1.5 }, { 503, retry_after = 0.25, delay = 0.25 },
    { 400, retry_after = 60, delay = 20 }, { 429, retry_after = 20, delay = 20 }, { 500, delay = 16 }, { 200 } } },
  { "2.0: retry-after below 0", { row = "2.0" }, { { 500, retry_after = -0.1, delay = 1 }, { 200 } } },
  { "retry-after makes nothing retryable", {}, { { 404, retry_after = 1, quota = 500 } } },

  -- How a run ends.
  { "success at once", {}, { { 200, quota = 500 } } },
  { "one attempt is allowed", { max_attempts = 1 }, { { 500, quota = 500 } } },
  { "one attempt is allowed, and the bucket is empty", { max_attempts = 1, changes = { capacity = 0 } }, {
    { 400, quota = 0 } } },
  { "not retryable: 404", {}, { { 404, quota = 500 } } },
  { "not retryable: a certificate", {}, { { "certificate", quota = 500 } } },
  { "not retryable: what cannot be understood", {}, { { "malformed", quota = 500 } } },
  { "not retryable, at last", {}, { { 500, quota = 486, delay = 0.05 }, { 403, quota = 486 } } },
}

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

-- Adaptive mode ------------------------------------------------------------------------------

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

-- iot.retry ----------------------------------------------------------------------------------

describe("retry.call", function()
  local runtime

  before_each(function()
    environment.replace()
    runtime = new_runtime()
  end)
  after_each(environment.restore)

  -- As iot.retry is made of it: not a tail call.
  local function iot_retry(fn, options)
    local function pass(...) return ... end
    return pass(retry.call(fn, options, 2))
  end

  -- What a call of so many 500s slept.
  local function delays(options, ...)
    options = options or {}
    options.runtime = runtime
    local before = runtime.slept
    local result, message, detail = iot_retry(sequence(...), options)
    return runtime.slept - before, result, message, detail
  end

  it("makes up to three attempts, by the parameters of 2.1", function()
    assert.near(0.15, (delays(nil, 500, 500, 200)), NOISE)
    local slept, result, _, detail = delays(nil, 500, 500, 500)
    assert.near(0.15, slept, NOISE)
    assert.is_nil(result)
    assert.same({ 500, 3 }, { detail.status, detail.attempts })
  end)

  it("makes as many as it is told", function()
    assert.near(0.05 + 0.1 + 0.2 + 0.4, (delays({ max_attempts = 5 }, 500, 500, 500, 500, 200)), NOISE)
    assert.equal(0, (delays({ max_attempts = 1 }, 500)))
  end)

  it("shows the attempt, and passes all results through", function()
    local numbers = {}
    local function count(...) return select("#", ...), { ... } end
    local results, values = count(iot_retry(function(attempt)
      table.insert(numbers, attempt.number)
      if attempt.number == 1 then return meet(500) end
      return 1, nil, "three", nil
    end, { runtime = runtime }))
    assert.same({ 1, 2 }, numbers)
    assert.equal(4, results)
    assert.same({ 1, nil, "three" }, values)
  end)

  it("needs no options, and does not change them", function()
    assert.equal("result", (iot_retry(function() return "result" end)))
    assert.equal("result", (iot_retry(function() return "result" end, {})))
    local options = { runtime = runtime, max_attempts = 2, mode = "standard", timeout = 5 }
    iot_retry(sequence(500, 200), options)
    assert.same({ runtime = runtime, max_attempts = 2, mode = "standard", timeout = 5 }, options)
  end)

  for value, expected in pairs { ["false"] = 3, False = 3, FALSE = 3, ["true"] = 0.15, TRUE = 0.15, [""] = 0.15 } do
    it(("takes the parameters that AWS_NEW_RETRIES_2026=%s stands for"):format(value), function()
      environment.replace { AWS_NEW_RETRIES_2026 = value }
      assert.near(expected, (delays(nil, 500, 500, 200)), NOISE)
      environment.replace()
      assert.near(0.15, (delays(nil, 500, 500, 200)), NOISE)
    end)
  end

  it("has an adaptive mode", function()
    assert.near(1, (delays({ mode = "standard" }, 400, 200)), NOISE)
    assert.near(2, (delays({ mode = "adaptive" }, 400, 200)), 1e-8)
  end)

  it("has a time limit", function()
    local slept, result, message, detail = delays({ timeout = 0.04 }, 500)
    assert.equal(0, slept)
    assert_too_late(1, detail.cause, result, message, detail)
    assert.equal(500, detail.cause.status)
    assert.near(0.05, (delays({ timeout = 0.06 }, 500, 200)), NOISE)
  end)

  it("has a quota for each call", function()
    for _ = 1, 2 do
      local calls = 0
      local _, _, detail = iot_retry(function()
        calls = calls + 1
        return meet(500)
      end, { runtime = runtime, max_attempts = 1000 })
      -- The first, and 35 that are paid of 500 at 14 each.
      assert.same({ 36, 36, true }, { calls, detail.attempts, detail.quota_exceeded })
    end
  end)

  it("retries what fails as ours do, and nothing else", function()
    local calls = 0
    local function fail_with(detail)
      calls = 0
      return iot_retry(function()
        calls = calls + 1
        return nil, "no", detail and { retryable = detail.retryable, throttled = detail.throttled, code = detail.code }
      end, { runtime = runtime })
    end
    local before = runtime.slept
    local result, message, detail = fail_with { retryable = true }
    assert.same({ nil, "no", 3, 3 }, { result, message, detail.attempts, calls })
    assert.near(0.15, runtime.slept - before, NOISE)
    before = runtime.slept
    fail_with { retryable = true, throttled = true }
    assert.near(3, runtime.slept - before, NOISE)
    fail_with { retryable = false }
    assert.equal(1, calls)
    fail_with {}
    assert.equal(1, calls)
    fail_with(nil)
    assert.equal(1, calls)
  end)

  -- Misuse raises at the line that misused, which is in this file, and says what was misused.
  local function assert_misuse(name, ...)
    local fn, options = ...
    local ok, message = pcall(function()
      local result = iot_retry(fn, options)
      return result
    end)
    assert.is_false(ok, "did not raise")
    assert.matches("^[^:]*unit/retry_spec%.lua:%d+: ", message)
    assert.is_truthy(message:find(name, 1, true), ("%q does not name %s"):format(message, name))
    return message
  end

  it("raises at its caller when it is misused", function()
    local function fn() return {} end
    for _, value in ipairs { false, "fn", 5, {} } do assert_misuse("fn", value) end
    assert_misuse("fn")
    for _, value in ipairs { "options", 5, true } do assert_misuse("options", fn, value) end
    for _, name in ipairs { "max_attemps", "Mode", "retries", "parameters" } do
      assert_misuse("'" .. name .. "'", fn, { [name] = 1 })
    end
    for name, values in pairs {
      max_attempts = { "3", true, 0, -1, 1.5, 0 / 0, 1 / 0 }, mode = { 1, true, "legacy", "Standard", "" },
      timeout = { "5", 0, -1, 0 / 0, 1 / 0 }, runtime = { "blocking", 1, {} },
    } do
      for _, value in ipairs(values) do assert_misuse(name, fn, { [name] = value }) end
    end
  end)

  it("blames the line that misused it", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, message = pcall(function() local x = iot_retry(print, { typo = 1 }) return x end)
    assert.matches("retry_spec%.lua:" .. line .. ": ", message)
  end)
end)

describe("iot.retry", function()
  local iot = require "iot"

  before_each(function() environment.replace() end)
  after_each(environment.restore)

  it("is that", function()
    local runtime = new_runtime()
    local outcome = sequence(500, 400, 200)
    assert.same({ status = 200 }, (iot.retry(outcome, { runtime = runtime })))
    assert.near(2.05, runtime.slept, NOISE)
    assert.same({ 1, nil, 3 }, { iot.retry(function() return 1, nil, 3 end) })
  end)

  it("blames the line that misused it", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() local x = iot.retry(print, { typo = 1 }) return x end)
    assert.is_false(ok)
    assert.matches("unit/retry_spec%.lua:" .. line .. ": .*'typo'", message)
  end)

  it("makes a call of a client again", function()
    local runtime = new_runtime()
    local calls = 0
    local sender = environment.runtime(function()
      calls = calls + 1
      if calls < 3 then return nil, "down", { kind = "service", code = "500", status = 500 } end
      return { taskId = "task" }
    end)
    local client = assert(iot.new {
      region = "us-east-1", runtime = sender, retry = { max_attempts = 1 },
      credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "SECRET" },
    })
    local task = assert(iot.retry(function()
      return client:describe_thing_registration_task { taskId = "task" }
    end, { runtime = runtime }))
    assert.same({ "task", 3 }, { task.taskId, calls })
    assert.near(0.15, runtime.slept, NOISE)
  end)
end)
