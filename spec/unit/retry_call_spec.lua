-- iot.retry, on a clock of its own and on a call of a client.
local retry = require "iot.retry"
local environment = require "spec.support.environment"
local rig = require "spec.support.retry_rig"

local NOISE, new_runtime, meet, sequence = rig.NOISE, rig.new_runtime, rig.meet, rig.sequence
local assert_too_late = rig.assert_too_late

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
    assert.matches("^[^:]*unit/retry_call_spec%.lua:%d+: ", message)
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
    assert.matches("retry_call_spec%.lua:" .. line .. ": ", message)
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
    assert.matches("unit/retry_call_spec%.lua:" .. line .. ": .*'typo'", message)
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
