--- Policies of retries on a clock of their own, and calls whose attempts meet what a spec says.
--
--   local policy, runtime = rig.policy_of { max_attempts = 5, changes = { capacity = 14 } }
--   rig.play(policy, runtime, { { 500, quota = 0, delay = 0.05 }, { 500, exceeded = true } })
local errors = require "iot.errors"
local retry = require "iot.retry"
local environment = require "spec.support.environment"
local assert = require "luassert"
local failures = require "spec.support.failures"

local M = {}

-- Seconds: what adding up on a clock that stands at 5000 may cost.
M.NOISE = 1e-11

function M.new_runtime(r)
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

function M.row(name, changes)
  return setmetatable(changes or {}, { __index = retry.parameters[name] })
end

-- What an attempt can meet. The message is of no importance to the policy.
M.OUTCOMES = {
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
function M.meet(outcome, more)
  if outcome == 200 then return { status = 200 } end
  local facts = {}
  for name, value in pairs(M.OUTCOMES[outcome]) do facts[name] = value end
  for name, value in pairs(more or {}) do facts[name] = value end
  return errors.fail(facts, "the spec's failure")
end

function M.sequence(...)
  local steps, count = { ... }, 0
  return function()
    count = count + 1
    local step = assert(steps[count], "one attempt too many")
    if type(step) ~= "table" then return M.meet(step) end
    return M.meet(step[1], { retry_after = step.retry_after })
  end
end

-- Runs a call that meets these outcomes, and holds what follows each of them against what stands there:
-- `quota`, and `delay` up to the next attempt. The last one ends the run.
function M.play(policy, runtime, steps)
  local count, slept = 0, runtime.slept
  local function check_last_step()
    local step = steps[count]
    assert.near(step.delay or 0, runtime.slept - slept, M.NOISE, "delay after attempt " .. count)
    if step.quota then assert.equal(step.quota, policy.quota, "quota after attempt " .. count) end
    slept = runtime.slept
  end
  local last = {}
  local result, message, detail = policy:run(nil, function(attempt)
    if count > 0 then
      check_last_step()
      assert.near(steps[count].delay, attempt.delay, M.NOISE)
    else
      assert.equal(0, attempt.delay)
    end
    count = count + 1
    assert.equal(count, attempt.number)
    local step = assert(steps[count], "one attempt too many")
    last.result, last.message, last.detail = M.meet(step[1], { retry_after = step.retry_after })
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

function M.policy_of(settings)
  local runtime = M.new_runtime(settings.r)
  return retry.new {
    runtime = runtime, mode = settings.mode or "standard", max_attempts = settings.max_attempts or 3,
    parameters = M.row(settings.row or "2.1", settings.changes),
  }, runtime
end

-- A run that ends with a failure by a deadline, after so many attempts.
function M.assert_too_late(attempts, last, result, message, detail)
  failures.check({ kind = "timeout", code = "Timeout", attempts = attempts }, result, message, detail)
  assert.equal(last, detail.cause)
  if last then assert.is_truthy(message:find(last.message, 1, true), message) end
end

-- Each as `name`, settings, and steps of play(). Where nothing else is said, r = 1 and 3 attempts.
M.CASES = {
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

return M
