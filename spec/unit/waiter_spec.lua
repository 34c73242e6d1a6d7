-- Waiting for a task, on a clock that only sleeping moves: when it polls, what ends it, what it tells.
local environment = require "spec.support.environment"
local errors = require "iot.errors"
local failures = require "spec.support.failures"
local options = require "iot.config.options"
local waiter = require "iot.waiter"

local OPERATION = "wait_for_thing_registration_task"
local HOUR = 3600

-- Helpers ------------------------------------------------------------------------------------

local function task_of(status, fields)
  local task = { taskId = "task-7", status = status }
  for name, value in pairs(fields or {}) do task[name] = value end
  return task
end

local running = task_of("InProgress", { percentageProgress = 40, successCount = 38, failureCount = 2 })
local completed = task_of("Completed", { percentageProgress = 100, successCount = 97, failureCount = 3 })

-- What a poll that fails answers: the facts of the failure, and its words.
local function failing(facts, message)
  local copy = { operation = "describe_thing_registration_task", attempts = 3 }
  for name, value in pairs(facts) do copy[name] = value end
  return { select(3, errors.fail(copy, message or "what happened")) }
end

local function outage(facts)
  local copy = { code = "ConnectionFailed" }
  for name, value in pairs(facts or {}) do copy[name] = value end
  return failing(copy, "no connection to localhost")
end

-- A wait whose polls answer what stands in `answers`, tasks or failures in a list of one, the last of
-- them for ever; a function is called for its answer. Polls take `latency` seconds.
local function new_rig(answers, latency)
  local rig = { runtime = environment.runtime(), polls = {}, limits = {}, sleeps = {}, told = {} }
  local runtime = rig.runtime
  local started = runtime.clock
  function runtime.sleep(seconds)
    rig.sleeps[#rig.sleeps + 1] = seconds
    runtime.clock = runtime.clock + seconds
    if rig.interrupted_after == #rig.sleeps then return false end
  end
  function rig.describe(timeout)
    local count = #rig.polls + 1
    assert.is_true(count <= 5000, "it polls for ever")
    rig.polls[count], rig.limits[count] = runtime.clock - started, timeout
    runtime.clock = runtime.clock + (latency or 0)
    local answer = answers[math.min(count, #answers)]
    if type(answer) == "function" then answer = answer(count, timeout) end
    if not answer[1] then return answer end
    return nil, answer[1].message, answer[1]
  end
  function rig.wait(given)
    local all = { on_progress = function(progress) rig.told[#rig.told + 1] = progress end }
    for name, value in pairs(given or {}) do all[name] = value end
    return waiter.wait(runtime, rig.describe, all)
  end
  function rig.elapsed() return runtime.clock - started end
  return rig
end

local function assert_near(expected, actual)
  assert.is_true(math.abs(expected - actual) < 1e-6, ("%.9g expected, got %.9g"):format(expected, actual))
end

-- Seconds between two polls.
local function gaps(rig)
  local list = {}
  for i = 2, #rig.polls do list[i - 1] = rig.polls[i] - rig.polls[i - 1] end
  return list
end

-- Polls --------------------------------------------------------------------------------------

describe("a wait polls", function()
  it("at once, and no more when that is the end", function()
    local rig = new_rig { completed }
    assert.equal(completed, rig.wait())
    assert.same({ 0 }, rig.polls)
    assert.same({}, rig.sleeps)
  end)

  it("without options as well", function()
    local rig = new_rig { running, completed }
    assert.equal(completed, waiter.wait(rig.runtime, rig.describe))
    assert.same({ 5 }, rig.sleeps)
  end)

  -- Options, what random() answers, the first delays.
  local DELAYS = {
    { "from the interval to a ceiling that doubles up to 30 s", {}, 0.5, { 5, 7.5, 12.5, 17.5, 17.5, 17.5 } },
    { "as often as the interval allows, by chance", {}, 0, { 5, 5, 5, 5, 5, 5 } },
    { "as seldom as the ceiling allows, by chance", {}, 1 - 2 ^ -40, { 5, 10, 20, 30, 30, 30 } },
    { "by the caller's interval", { interval = 2 }, 1 - 2 ^ -40, { 2, 4, 8, 16, 30, 30 } },
    { "by the caller's longest interval", { max_interval = 8 }, 1 - 2 ^ -40, { 5, 8, 8, 8 } },
    { "by both of the caller's intervals", { interval = 10, max_interval = 11 }, 1 - 2 ^ -40, { 10, 11, 11 } },
    { "steadily when both intervals are the same", { interval = 3, max_interval = 3 }, 0.7, { 3, 3, 3, 3 } },
    { "by an interval that is longer than the default's longest", { interval = 90 }, 0.7, { 90, 90, 90 } },
    { "by a longest interval that is shorter than the default's shortest", { max_interval = 2 }, 0.7, { 2, 2, 2 } },
    { "by the interval when the longest contradicts it", { interval = 9, max_interval = 4 }, 0.7, { 9, 9, 9 } },
  }

  for _, case in ipairs(DELAYS) do
    it(case[1], function()
      local rig = new_rig { running }
      rig.runtime.random = function() return case[3] end
      rig.wait(case[2])
      for i, expected in ipairs(case[4]) do assert_near(expected, rig.sleeps[i]) end
    end)
  end

  it("never more often than once a second", function()
    for _, given in ipairs {
      { interval = 0.001 }, { interval = 0.001, max_interval = 0.002 }, { interval = 0.4, max_interval = 2 },
      { interval = 1e-300, max_interval = 1e-300 }, { max_interval = 0.1 },
    } do
      for _, answer in ipairs { running, outage(), outage { retry_after = 0.01 } } do
        for _, chance in ipairs { 0, 0.9 } do
          given.timeout = 100.3
          local rig = new_rig { answer }
          rig.runtime.random = function() return chance end
          rig.wait(given)
          assert.is_true(#rig.polls > 5)
          for _, gap in ipairs(gaps(rig)) do assert.is_true(gap > 1 - 1e-6, tostring(gap)) end
        end
      end
    end
  end)

  it("within bounds for ever, whatever chance says", function()
    local rig, seen = new_rig { running }, {}
    local state = 0
    function rig.runtime.random()
      state = (state * 16807 + 12345) % 65536
      return state / 65536
    end
    rig.wait { timeout = 10 * HOUR }
    for i = 1, #rig.sleeps - 2 do
      local seconds = rig.sleeps[i]
      assert.is_true(seconds >= 5 and seconds < 30 or i == 1, tostring(seconds))
      seen[math.floor(seconds / 5)] = true
    end
    assert.same({ true, true, true, true, true }, seen)
  end)

  it("once more a second before the timeout, not later", function()
    for _, timeout in ipairs { 3, 8, 17.25, 60, HOUR } do
      local rig = new_rig { running }
      rig.wait { timeout = timeout }
      assert_near(timeout - 1, rig.polls[#rig.polls])
      assert.is_true(rig.elapsed() <= timeout)
    end
  end)

  it("once more with less than a second, at least a half, when the one before was late", function()
    local CASES = {
      { 6.6, 0, { 0, 5, 6 } }, { 6.5, 0, { 0, 5, 6 } }, { 6.4, 0, { 0, 5 } }, { 11.75, 0, { 0, 5, 10, 11 } },
      { 8, 1.25, { 0, 6.25 } }, -- the second one ends half a second before the timeout
      { 8, 0.125, { 0, 5.125, 7 } },
    }
    for _, case in ipairs(CASES) do
      local rig = new_rig({ running }, case[2])
      rig.wait { timeout = case[1], max_interval = 5 }
      assert.equal(#case[3], #rig.polls, case[1])
      for i, at in ipairs(case[3]) do assert_near(at, rig.polls[i]) end
    end
  end)

  it("but once when the timeout is short", function()
    for _, timeout in ipairs { 0.001, 0.5, 1, 1.4 } do
      local rig = new_rig { running }
      rig.wait { timeout = timeout }
      assert.same({ 0 }, rig.polls)
    end
  end)

  it("with what is left of the timeout", function()
    local rig = new_rig({ running }, 0.25)
    rig.wait { timeout = 60 }
    for i, at in ipairs(rig.polls) do assert_near(60 - at, rig.limits[i]) end
  end)

  it("no more when the caller's function took all the time, which it is told", function()
    local rig = new_rig { running }
    local told = {}
    local _, _, detail = rig.wait { timeout = 60, on_progress = function(progress)
      table.insert(told, progress.done or false)
      rig.runtime.clock = rig.runtime.clock + 100
    end }
    assert.equal("WaitTimeout", detail.code)
    assert.same({ false, true }, told)
    assert.equal(1, #rig.polls)
  end)

  it("later by the time that the caller's function took, no more", function()
    local rig = new_rig { running }
    rig.wait { timeout = 100, interval = 10, max_interval = 10, on_progress = function()
      rig.runtime.clock = rig.runtime.clock + 3
    end }
    for i = 1, 9 do assert_near((i - 1) * 10, rig.polls[i]) end
  end)

  it("not before the time that the server asked for", function()
    local rig = new_rig { outage { retry_after = 12 }, outage { retry_after = 3 }, running, completed }
    assert.equal(completed, rig.wait())
    assert.same({ 12, 7.5, 12.5 }, rig.sleeps)
  end)

  it("five seconds after the longest interval at most, whatever the server asked for", function()
    for _, seconds in ipairs { 60, HOUR, 1e9, math.huge } do
      local rig = new_rig { outage { retry_after = seconds } }
      local _, _, detail = rig.wait { timeout = 60 }
      assert.equal("WaitTimeout", detail.code)
      assert.same({ 0, 35, 59 }, rig.polls)
    end
  end)

  it("a last time when the server asked for more than is left", function()
    local rig = new_rig { outage { retry_after = 30 } }
    assert.equal("WaitTimeout", select(3, rig.wait { timeout = 25 }).code)
    assert.same({ 0, 24 }, rig.polls)
  end)
end)

-- Ends ---------------------------------------------------------------------------------------

describe("a wait ends", function()
  it("with the task when it is completed", function()
    local rig = new_rig { running, running, completed }
    local task, message, detail = rig.wait()
    assert.equal(completed, task)
    assert.is_nil(message)
    assert.is_nil(detail)
  end)

  it("with the task when it has failures, unless told otherwise", function()
    assert.equal(completed, new_rig({ completed }).wait { fail_on_failures = false })
    local rig = new_rig { running, completed }
    failures.check({
      kind = "waiter", code = "TaskHadFailures", operation = OPERATION, attempts = 2, task = completed,
      retryable = false, throttled = false, message = { "^" .. OPERATION .. ": .*task%-7", "97", "3 failed" },
    }, rig.wait { fail_on_failures = true })
  end)

  it("with the task when it should have no failures and has none", function()
    for _, count in ipairs { 0, false } do
      local task = task_of("Completed", { failureCount = count or nil })
      assert.equal(task, (new_rig({ task }).wait { fail_on_failures = true }))
    end
  end)

  it("with the failures of a task whose successes nobody counted", function()
    local task = task_of("Completed", { failureCount = 1 })
    failures.check({ code = "TaskHadFailures", message = { "0 things", "1 failed" } },
      new_rig({ task }).wait { fail_on_failures = true })
  end)

  for status, code in pairs { Failed = "TaskFailed", Cancelled = "TaskCancelled" } do
    it(("with %s when it is %s"):format(code, status), function()
      local task = task_of(status, { message = "Access Denied\27[2J\n to the bucket" })
      local rig = new_rig { running, task }
      failures.check({
        kind = "waiter", code = code, operation = OPERATION, attempts = 2, task = task, cause = false,
        retryable = false, throttled = false,
        message = { "^" .. OPERATION .. ": the task task%-7 .*" .. status:lower(), "access denied" },
      }, rig.wait())
    end)

    it(("with %s when nobody said why, or too much"):format(code), function()
      for _, reason in ipairs { false, "", " \n", ("x"):rep(2048), ("\255"):rep(2048) } do
        local task = task_of(status, { message = reason or nil })
        failures.check({ code = code, task = task, message = status:lower() }, new_rig({ task }).wait())
      end
    end)
  end

  it("by the status alone", function()
    for _, status in ipairs { "InProgress", "Cancelling", "Resting", "completed", "" } do
      local rig = new_rig { task_of(status, { percentageProgress = 100, failureCount = 9, message = "Failed" }) }
      failures.check({ code = "WaitTimeout" }, rig.wait { timeout = 100, fail_on_failures = true })
      assert.is_true(#rig.polls > 5)
    end
    local done = task_of("Completed", { percentageProgress = 3 })
    local rig = new_rig { { taskId = "task-7" }, {}, task_of "Resting", task_of "Cancelling", done }
    assert.equal(done, rig.wait())
  end)

  it("at once with a failure that no other poll can mend", function()
    for _, facts in ipairs {
      { kind = "service", code = "ResourceNotFoundException", status = 404, request_id = "id-1" },
      { kind = "service", code = "UnauthorizedException", status = 401 },
      { kind = "service", code = "CredentialsFailed", status = 400 }, -- a namesake
      { code = "NoCredentials" }, { code = "InvalidCredentials" }, { code = "InvalidParameter" },
      { code = "CertificateInvalid" }, { code = "MalformedResponse" }, { code = "Interrupted" },
    } do
      local answer = failing(facts)
      local message = answer[1].message
      local rig = new_rig { running, answer }
      local result, text, detail = rig.wait()
      assert.is_nil(result)
      assert.equal(message, text)
      assert.equal(answer[1], detail)
      assert.equal(facts.code, detail.code)
      assert.equal("describe_thing_registration_task", detail.operation)
      assert.equal(3, detail.attempts)
      assert.equal(running, detail.task)
      assert.same({ 0, 5 }, rig.polls)
    end
  end)

  it("without a task when there has been no description", function()
    local rig = new_rig { failing { kind = "service", code = "ResourceNotFoundException", status = 404 } }
    local _, _, detail = rig.wait()
    assert.equal("ResourceNotFoundException", detail.code)
    assert.is_nil(detail.task)
    assert.same({ 0 }, rig.polls)
  end)

  it("when it is interrupted while it sleeps", function()
    local rig = new_rig { running }
    rig.interrupted_after = 2
    failures.check({
      kind = "transport", code = "Interrupted", operation = OPERATION, attempts = 2, task = running,
      retryable = false, message = { "^" .. OPERATION .. ": .*signal", "task%-7" },
    }, rig.wait())
    assert.equal(2, #rig.polls)
  end)

  it("when it is interrupted before there was a description", function()
    local rig = new_rig { outage() }
    rig.interrupted_after = 1
    failures.check({ code = "Interrupted", attempts = 1, task = false }, rig.wait())
  end)
end)

-- The timeout --------------------------------------------------------------------------------

describe("a wait that is over", function()
  it("says how long it was, and how things stood", function()
    failures.check({
      kind = "waiter", code = "WaitTimeout", operation = OPERATION, task = running, cause = false,
      retryable = false, throttled = false, attempts = 6,
      message = { "^" .. OPERATION .. ": .*task%-7", "within 45 s", "inprogress", "40 %%" },
    }, new_rig({ running }).wait { timeout = 45 })
  end)

  it("comes after an hour by default", function()
    local rig = new_rig { running }
    failures.check({ code = "WaitTimeout", message = "within 3600 s" }, rig.wait())
    assert.is_true(rig.elapsed() > HOUR - 2 and rig.elapsed() <= HOUR)
  end)

  it("says what it lacks", function()
    local bare = {}
    failures.check({ code = "WaitTimeout", task = bare, message = { "the task was not", "no status" } },
      new_rig({ bare }).wait { timeout = 1 })
    failures.check({ message = { "0%.25 s", "resting$" } }, new_rig({ task_of "Resting" }).wait { timeout = 0.25 })
    failures.check({ message = { "1000000 s", "cancelling" } },
      new_rig({ task_of "Cancelling" }).wait { timeout = 1e6, interval = 1e5 })
  end)

  it("has why the last poll failed", function()
    local last = outage { request_id = "id-9" }
    failures.check({
      code = "WaitTimeout", cause = last[1], task = running,
      message = { "inprogress", "40 %%", "last poll failed: .*no connection to localhost" },
    }, new_rig({ running, outage(), last }).wait { timeout = 11 })
  end)

  it("has no such reason when the last poll was good", function()
    local message = failures.check({ code = "WaitTimeout", cause = false, attempts = 3 },
      new_rig({ outage(), outage(), running }).wait { timeout = 11 })
    assert.is_nil(message:find "connection")
  end)

  it("says when there never was a description", function()
    local last = outage()
    failures.check({ code = "WaitTimeout", cause = last[1], task = false,
      message = { "never described", "no connection to localhost" } }, new_rig({ last }).wait { timeout = 20 })
  end)

  it("is said in one line that is not long, whatever others wrote", function()
    local odd = { taskId = ("t\n"):rep(2000), status = ("s\27"):rep(2000) }
    failures.check({ code = "WaitTimeout" },
      new_rig({ odd, failing({ code = "ConnectionLost" }, ("m"):rep(1900)) }).wait { timeout = 20 })
  end)
end)

-- Outages ------------------------------------------------------------------------------------

describe("a wait rides out", function()
  it("whatever may pass, from the first poll on", function()
    local rig = new_rig {
      outage(), failing { code = "Timeout" }, failing { code = "NameResolutionFailed" },
      failing { kind = "service", code = "ThrottlingException", status = 400 },
      failing { kind = "service", code = "503", status = 503 }, completed,
    }
    assert.equal(completed, rig.wait())
    assert.equal(6, #rig.polls)
  end)

  it("most of an hour of it", function()
    local rig
    rig = new_rig { running, function()
      return rig.elapsed() > HOUR - 100 and completed or outage()
    end }
    assert.equal(completed, rig.wait())
    assert.is_true(#rig.polls > 100)
  end)

  it("credentials that cannot be renewed, once they have worked", function()
    local dry = failing({ code = "CredentialsFailed" }, "the credentials could not be renewed")
    assert.equal(completed, (new_rig({ running, dry, outage(), dry, completed }).wait()))
    local rig = new_rig { outage(), dry }
    failures.check({ code = "CredentialsFailed", kind = "credentials", task = false }, rig.wait())
    assert.equal(2, #rig.polls)
  end)
end)

-- Progress -----------------------------------------------------------------------------------

describe("a wait tells", function()
  it("of each poll, and which is the last", function()
    local failure = outage { retry_after = 20 }
    local rig = new_rig({ running, failure, completed }, 0.5)
    assert.equal(completed, rig.wait())
    assert.same({
      { task = running, elapsed = 0.5, polls = 1, delay = 5 },
      { task = running, failure = failure[1], elapsed = 6, polls = 2, delay = 20 },
      { task = completed, elapsed = 26.5, polls = 3, done = true },
    }, rig.told)
  end)

  it("of a failure before there was a description", function()
    local failure = outage()
    local rig = new_rig { failure, completed }
    rig.wait()
    assert.same({ failure = failure[1], elapsed = 0, polls = 1, delay = 5 }, rig.told[1])
  end)

  -- Answers, and options; the failure that it tells of last is the answer's.
  local LAST = {
    { "a failure", { running, failing { code = "CertificateInvalid" } }, {} },
    { "a failed task", { running, task_of "Failed" }, {} },
    { "a cancelled task", { running, task_of "Cancelled" }, {} },
    { "failures of a task", { running, completed }, { fail_on_failures = true } },
    { "its time", { running }, { timeout = 6 } },
    { "its time in an outage", { running, outage() }, { timeout = 6 } },
  }

  for _, case in ipairs(LAST) do
    it("once of what ends it: " .. case[1], function()
      local rig = new_rig(case[2])
      assert.is_nil((rig.wait(case[3])))
      assert.equal(#rig.polls, #rig.told)
      local answer = case[2][#case[2]]
      local last = rig.told[#rig.told]
      assert.is_true(last.done)
      assert.is_nil(last.delay)
      assert.equal(answer[1], last.failure)
      assert.equal(answer[1] and running or answer, last.task)
      assert.is_nil(rig.told[1].done)
    end)
  end

  it("of an interrupt", function()
    local rig = new_rig { running }
    rig.interrupted_after = 1
    local _, _, detail = rig.wait()
    assert.equal(2, #rig.told)
    assert.same({ task = running, failure = detail, elapsed = 5, polls = 1, done = true }, rig.told[2])
  end)

  it("with a table that is the listener's own", function()
    local rig = new_rig { running, running, completed }
    assert.equal(completed, rig.wait { on_progress = function(progress)
      for name in pairs(progress) do progress[name] = nil end
    end })
    assert.equal(3, #rig.polls)
  end)

  it("who may end it with an error", function()
    local rig, raised = new_rig { running }, {}
    local ok, got = pcall(rig.wait, { on_progress = function() error(raised) end })
    assert.is_false(ok)
    assert.equal(raised, got)
    assert.same({ 0 }, rig.polls)
  end)
end)

-- Options ------------------------------------------------------------------------------------

describe("the options of a wait", function()
  local ALL = { timeout = 1, interval = 1, max_interval = 1, on_progress = print, fail_on_failures = true }

  it("have types and defaults", function()
    assert.same(ALL, options.check("wait", ALL, waiter.options, 1))
    assert.same({ timeout = 3600, interval = 5, max_interval = 30 }, waiter.defaults)
    for name in pairs(waiter.options) do assert.is_not_nil(ALL[name], name) end
    for _, name in ipairs(waiter.durations) do assert.equal("number", waiter.options[name]) end
  end)

  it("are left as they were given", function()
    local given = { timeout = 20, interval = 3 }
    local rig = new_rig { running }
    waiter.wait(rig.runtime, rig.describe, given)
    assert.same({ timeout = 20, interval = 3 }, given)
  end)
end)
