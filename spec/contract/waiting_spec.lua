-- Waiting for tasks of the simulator, through whatever may happen meanwhile. Only sleeping moves the
-- clock, the client's and the simulator's alike; requests are real.
local iot = require "iot"
local core = require "iot.core"
local child = require "spec.support.child"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local simulator = require "spec.support.simulator"
local virtual_clock = require "spec.support.virtual_clock"

local OPERATION = "wait_for_thing_registration_task"
local DESCRIBE = "DescribeThingRegistrationTask"
local HOUR = 3600
local NOISE = 1e-6

-- A hundred things in a thousand seconds: each hundredth takes longer than a spec does, whose own time the
-- simulator's clock does see.
local PLAN = { things = 100, failures = 10, seconds = 1000 }

-- A poll every hundred seconds.
local STEADY = { interval = 100, max_interval = 100 }

local function with(fields, changes)
  local copy = {}
  for name, value in pairs(fields) do copy[name] = value end
  for name, value in pairs(changes or {}) do copy[name] = value end
  return copy
end

local function refusal(status, code, message)
  return { kind = "reply", status = status, operation = DESCRIBE, times = 100,
    headers = { ["Content-Type"] = "application/json", ["X-Amzn-ErrorType"] = code },
    body = ('{"message":"%s"}'):format(message) }
end

local function header(entry, wanted)
  for _, pair in ipairs(entry.headers) do
    if pair[1]:lower() == wanted then return pair[2] end
  end
end

describe("a wait", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, runtime, script, told, client, in_step

  -- What happens when so many seconds have been slept: a list of pairs, the earliest first.
  local function happen()
    while script[1] and script[1][1] <= runtime.slept do table.remove(script, 1)[2]() end
    if sim.pid and runtime.slept - in_step >= 1 then
      in_step = runtime.slept
      local reply = core.request { -- hundreds of times: without a process for each
        url = sim.control .. "/settings", method = "POST", headers = {}, timeout = 10, connect_timeout = 10,
        body = ('{"clock":%.17g}'):format(in_step),
      }
      assert.equal(200, reply and reply.status)
    end
  end

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)
  before_each(function()
    environment.replace()
    sim:reset()
    runtime, script, told, in_step = virtual_clock.runtime(), {}, {}, 0
    local sleep = runtime.sleep
    function runtime.sleep(seconds)
      sleep(seconds)
      happen()
    end
  end)
  after_each(function()
    environment.restore()
    if client then client:close() end
    client = nil
    if not sim.pid then sim:resume() end
  end)

  local function new_client(changes)
    local options = sim:options { runtime = runtime }
    options.retry = nil -- the client's defaults
    client = assert(iot.new(with(options, changes)))
    return client
  end

  -- Credentials come from the container's endpoint, which knows when they expire.
  local function new_container_client()
    environment.replace {
      AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri,
      AWS_CONTAINER_AUTHORIZATION_TOKEN = sim.container_token,
    }
    local options = sim:options { runtime = runtime }
    options.retry, options.credentials = nil, nil
    client = assert(iot.new(options))
    return client
  end

  local function wait_for(task_id, given)
    local options = with({ on_progress = function(progress) table.insert(told, progress) end }, given)
    return (client or new_client()):wait_for_thing_registration_task({ taskId = task_id }, options)
  end

  -- What was told of each poll: its failure's code, or the status.
  local function story()
    local words = {}
    for index, progress in ipairs(told) do
      words[index] = progress.failure and progress.failure.code or progress.task.status
    end
    return table.concat(words, " ")
  end

  local function count(operation)
    local number = 0
    for _, entry in ipairs(sim:journal()) do
      if entry.operation == operation then number = number + 1 end
    end
    return number
  end

  -- What holds for all that is told.
  after_each(function()
    local elapsed = 0
    for index, progress in ipairs(told) do
      assert.equal(index, progress.polls)
      assert.equal(index == #told or nil, progress.done)
      assert.equal(index == #told, progress.delay == nil)
      assert.is_true(progress.elapsed >= elapsed)
      elapsed = progress.elapsed
      if progress.failure then
        assert.equal(progress.failure.message, tostring(progress.failure))
        assert.is_true(index == #told or progress.failure.retryable or progress.failure.kind == "credentials")
      end
    end
  end)

  -- The task ----------------------------------------------------------------------------------

  it("follows a task from its first thing to its last", function()
    local task_id = sim:seed { plan = with(PLAN, { message = "done" }) }
    local task, message, detail = wait_for(task_id, STEADY)
    assert.equal("Completed", assert(task, message).status)
    assert.same({ nil, nil }, { message, detail })
    assert.same({ task_id, 90, 10, 100, "done" },
      { task.taskId, task.successCount, task.failureCount, task.percentageProgress, task.message })
    assert.equal(11, #told)
    for index, progress in ipairs(told) do
      local tenths = index - 1
      local seen = progress.task
      assert.near(100 * tenths, progress.elapsed, NOISE)
      assert.same({ 9 * tenths, tenths, 10 * tenths },
        { seen.successCount, seen.failureCount, seen.percentageProgress })
      assert.equal(tenths < 10 and 100 or nil, progress.delay)
    end
    assert.equal(task, told[11].task)
    assert.equal(1000, runtime.slept)
  end)

  it("polls from 5 s to 30 s apart", function()
    assert(wait_for(sim:seed { plan = PLAN }, { timeout = 2000 }))
    for index, seconds in ipairs { 5, 10, 20, 30, 30, 30 } do assert.near(seconds, runtime.naps[index], NOISE) end
    assert.equal(30, runtime.naps[#runtime.naps])
    assert.is_true(runtime.slept >= 990 and runtime.slept < 1030)
    assert.equal(#runtime.naps + 1, count(DESCRIBE))
  end)

  it("needs one poll for a task that has ended", function()
    local task_id = sim:seed { creationDate = os.time() - HOUR, plan = PLAN }
    assert.equal("Completed", assert(wait_for(task_id)).status)
    assert.equal("Completed", assert(client:wait_for_thing_registration_task { taskId = task_id }).status)
    assert.same({ 0, 1, 2 }, { runtime.slept, #told, count(DESCRIBE) })
  end)

  it("tells the service that its calls are polls", function()
    local task_id = sim:seed { status = "Completed" }
    assert(wait_for(task_id))
    assert(client:describe_thing_registration_task { taskId = task_id })
    local entries = sim:journal()
    assert.matches(" m/B,", header(entries[1], "user-agent"))
    assert.not_matches("m/B", header(entries[2], "user-agent"))
  end)

  it("takes a task with failures for a success, unless told otherwise", function()
    local task_id = sim:seed { plan = PLAN }
    assert.equal(10, assert(wait_for(task_id, STEADY)).failureCount)
    told = {}
    local _, detail = failures.check({
      kind = "waiter", code = "TaskHadFailures", operation = OPERATION, attempts = 1, retryable = false, cause = false,
      message = { "^" .. OPERATION .. ": ", "90 things", "10 failed" },
    }, wait_for(task_id, with(STEADY, { fail_on_failures = true })))
    assert.same({ "Completed", 10 }, { detail.task.status, detail.task.failureCount })
    assert.equal("Completed", story())
    local clean = sim:seed { creationDate = os.time() - HOUR, plan = with(PLAN, { failures = 0 }) }
    told = {}
    assert.equal(100, assert(wait_for(clean, { fail_on_failures = true })).successCount)
  end)

  it("ends when the task has failed, with its message", function()
    for _, case in ipairs { { "no such key: b.json" }, { nil, "Unable to read the input file: Access Denied" } } do
      local task_id = sim:seed { creationDate = os.time() + runtime.slept,
        plan = with(PLAN, { status = "Failed", message = case[1] }) }
      told = {}
      local message, detail = failures.check({
        kind = "waiter", code = "TaskFailed", operation = OPERATION, attempts = 6, retryable = false, cause = false,
      }, wait_for(task_id, STEADY))
      assert.is_truthy(message:find(case[1] or case[2], 1, true), message)
      assert.is_truthy(message:find(task_id, 1, true), message)
      assert.same({ "Failed", 50, case[1] or case[2] },
        { detail.task.status, detail.task.percentageProgress, detail.task.message })
      assert.equal("InProgress InProgress InProgress InProgress InProgress Failed", story())
    end
  end)

  it("goes on while the task is being cancelled, and ends when it is", function()
    local plan = with(PLAN, { status = "Cancelled", seconds = 600, message = "stopped by ada" })
    local _, detail = failures.check({
      kind = "waiter", code = "TaskCancelled", operation = OPERATION, attempts = 7, retryable = false, cause = false,
      message = "cancelled: stopped by ada$",
    }, wait_for(sim:seed { plan = plan }, STEADY))
    assert.equal("InProgress InProgress InProgress Cancelling Cancelling Cancelling Cancelled", story())
    assert.same({ "Cancelled", 50 }, { detail.task.status, detail.task.percentageProgress })
  end)

  it("goes on through states that are not known here", function()
    local function turn(status)
      return function() sim:seed { taskId = "odd", status = status, percentageProgress = 100 } end
    end
    turn "Queued" ()
    script = { { 150, turn "Rolling\nback" }, { 250, turn(nil) }, { 350, turn "completed" }, { 450, turn "Completed" } }
    assert.equal("Completed", assert(wait_for("odd", STEADY)).status)
    assert.same({ "Queued", "Queued", "Rolling\nback", nil, "completed", "Completed" }, {
      told[1].task.status, told[2].task.status, told[3].task.status, told[4].task.status, told[5].task.status,
      told[6].task.status,
    })
  end)

  -- Outages -----------------------------------------------------------------------------------

  local function halt() sim:halt() end
  local function resume() sim:resume() end

  it("outlasts a server that is stopped and started again", function()
    script = { { 250, halt }, { 550, resume } }
    local task = assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("Completed", task.status)
    assert.equal("InProgress InProgress InProgress ConnectionFailed ConnectionFailed ConnectionFailed "
      .. "InProgress InProgress InProgress InProgress Completed", story())
    for index = 4, 6 do
      failures.check({ kind = "transport", code = "ConnectionFailed", operation = "describe_thing_registration_task",
        attempts = 3, retryable = true }, nil, told[index].failure.message, told[index].failure)
      assert.equal(told[3].task, told[index].task)
    end
    assert.same({ 20, 60 }, { told[3].task.percentageProgress, told[7].task.percentageProgress })
    assert.equal(8, count(DESCRIBE))
  end)

  it("knows nothing of an outage that the retries of a poll outlast", function()
    script = { { 150, halt }, { 200.01, resume } }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal(("InProgress "):rep(10) .. "Completed", story())
    assert.equal(0.05, runtime.naps[3])
  end)

  it("may begin while the server is down", function()
    local task_id = sim:seed { plan = PLAN }
    halt()
    script = { { 150, resume } }
    assert(wait_for(task_id, STEADY))
    assert.equal("ConnectionFailed ConnectionFailed InProgress", story():match "^%S+ %S+ %S+")
    assert.is_nil(told[1].task)
  end)

  it("outlasts an outage of most of its hour", function()
    script = { { 60, halt }, { HOUR - 100, resume } }
    assert(wait_for(sim:seed { plan = PLAN }))
    local failed, attempts = 0, 0
    for _, progress in ipairs(told) do
      if progress.failure then
        failed, attempts = failed + 1, attempts + progress.failure.attempts
      end
    end
    assert.is_true(failed > 100)
    assert.is_true(attempts < 2 * failed) -- the quota of retries has run dry
  end)

  it("that ends in an outage says so, and how things stood before", function()
    script = { { 250, halt } }
    local _, detail = failures.check({
      kind = "waiter", code = "WaitTimeout", operation = OPERATION, retryable = false,
      message = { "within 800 s", "last status was inprogress, at 20 %%", "last poll failed: .*connect" },
    }, wait_for(sim:seed { plan = PLAN }, with(STEADY, { timeout = 800 })))
    assert.same({ "ConnectionFailed", 20 }, { detail.cause.code, detail.task.percentageProgress })
    assert.equal(detail.cause, told[#told].failure)
    assert.is_true(runtime.slept <= 800)
  end)

  it("rides out what a broken network and an overloaded service do", function()
    new_client { retry = { max_attempts = 1 }, read_timeout = 1 }
    script = {
      { 100, function() sim:fault { kind = "reset", times = 2 } end }, -- libcurl itself mends one of a kept connection
      { 200, function() sim:fault { kind = "truncate" } end },
      { 300, function() sim:fault { kind = "reply", status = 503, body = "<html>Down</html>" } end },
      { 400, function() sim:fault { kind = "throttle" } end },
      { 500, function() sim:fault { kind = "stall", seconds = 60 } end },
      { 600, function() sim:fault { kind = "reply", status = 500 } end },
    }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("InProgress ConnectionLost ConnectionLost 503 ThrottlingException Timeout 500 "
      .. "InProgress InProgress InProgress Completed", story())
  end)

  it("retries each poll by the client's rules before it takes it for a failure", function()
    script = {
      { 100, function() sim:fault { kind = "reply", status = 503, times = 2 } end },
      { 200, function() sim:fault { kind = "reply", status = 503, times = 3 } end },
    }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("InProgress InProgress 503", story():match "^%S+ %S+ %S+")
    assert.equal(3, told[3].failure.attempts)
    assert.equal(11 + 4, count(DESCRIBE))
  end)

  it("polls no sooner than the service asks for, within reason", function()
    new_client { retry = { max_attempts = 1 } }
    script = {
      { 100, function() sim:fault { kind = "throttle", status = 429, retry_after = 103 } end },
      { 203, function() sim:fault { kind = "throttle", status = 429, retry_after = 86400 } end },
    }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("InProgress TooManyRequestsException TooManyRequestsException InProgress",
      story():match "^%S+ %S+ %S+ %S+")
    for index, seconds in ipairs { 100, 103, 105, 100 } do assert.near(seconds, runtime.naps[index], NOISE) end
  end)

  -- Credentials -------------------------------------------------------------------------------

  it("renews credentials that the service calls expired", function()
    new_container_client()
    script = { { 250, function() sim:expire() end } }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal(("InProgress "):rep(10) .. "Completed", story())
    assert.same({ 2, 12 }, { count "container", count(DESCRIBE) })
  end)

  it("renews credentials before they expire", function()
    sim:settings { credential_seconds = 400 }
    new_container_client()
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal(("InProgress "):rep(10) .. "Completed", story())
    assert.is_true(count "container" >= 3)
    for _, entry in ipairs(sim:journal()) do assert.equal(200, entry.status) end
  end)

  it("outlasts credentials that cannot be renewed for a while", function()
    new_container_client()
    script = {
      { 250, function()
        sim:expire()
        sim:fault { kind = "reply", status = 500, operation = "container", times = 1000 }
      end },
      { 550, function() sim:clear() end },
    }
    assert(wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("InProgress InProgress InProgress CredentialsFailed CredentialsFailed CredentialsFailed "
      .. "InProgress InProgress InProgress InProgress Completed", story())
    for index = 4, 6 do
      assert.equal("credentials", told[index].failure.kind)
      assert.equal(told[3].task, told[index].task)
    end
    assert.equal(1, count "container")
  end)

  it("does not wait for credentials that never worked", function()
    sim:fault { kind = "reply", status = 500, operation = "container", times = 1000 }
    new_container_client()
    failures.check({ kind = "credentials", code = "CredentialsFailed", task = false },
      wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal("CredentialsFailed", story())
    assert.equal(0, count(DESCRIBE))
  end)

  -- Ends --------------------------------------------------------------------------------------

  it("is over when its time is, with the last that is known", function()
    local _, detail = failures.check({
      kind = "waiter", code = "WaitTimeout", operation = OPERATION, attempts = 5, retryable = false, cause = false,
      message = { "within 350 s", "inprogress, at 34 %%" },
    }, wait_for(sim:seed { plan = PLAN }, with(STEADY, { timeout = 350 })))
    assert.same({ "InProgress", 34 }, { detail.task.status, detail.task.percentageProgress })
    assert.near(349, runtime.slept, NOISE)
    assert.equal(detail.task, told[5].task)
    assert.is_nil(told[5].failure)
  end)

  -- What a poll is refused with, for good.
  local REFUSALS = {
    { 404, "ResourceNotFoundException", "a task that is gone" },
    { 403, "AccessDeniedException", "permission that is lost" },
    { 401, "UnauthorizedException", "authorization that is lost" },
    { 403, "UnrecognizedClientException", "a key that was withdrawn" },
    { 400, "InvalidRequestException", "a request that is not understood any more" },
  }
  for _, case in ipairs(REFUSALS) do
    local status, code = case[1], case[2]
    it(("ends at once for %s: %d"):format(case[3], status), function()
      script = { { 250, function() sim:fault(refusal(status, code, "no, not now")) end } }
      local _, detail = failures.check({
        kind = "service", code = code, status = status, operation = "describe_thing_registration_task",
        attempts = 1, retryable = false, message = { code:lower(), "no, not now" },
      }, wait_for(sim:seed { plan = PLAN }, STEADY))
      assert.equal("InProgress InProgress InProgress " .. code, story())
      assert.equal(20, detail.task.percentageProgress)
      assert.equal(told[3].task, detail.task)
      assert.equal(detail, told[4].failure)
      assert.same({ 4, 300 }, { count(DESCRIBE), runtime.slept })
    end)
  end

  it("ends at once for a task that never was, and for a name that no task can have", function()
    failures.check({ kind = "service", code = "ResourceNotFoundException", status = 404, task = false },
      wait_for("nowhere", STEADY))
    assert.equal("ResourceNotFoundException", story())
    assert.equal(1, count(DESCRIBE))
    told = {}
    failures.check({ kind = "validation", code = "InvalidParameter", task = false }, wait_for("..", STEADY))
    assert.equal(1, count(DESCRIBE))
    assert.equal(0, runtime.slept)
  end)

  it("ends at once for a reply that is none", function()
    script = { { 250, function()
      sim:fault { kind = "reply", status = 200, body = "<html>Welcome</html>", operation = DESCRIBE }
    end } }
    local _, detail = failures.check({ kind = "response", code = "MalformedResponse", retryable = false },
      wait_for(sim:seed { plan = PLAN }, STEADY))
    assert.equal(20, detail.task.percentageProgress)
  end)

  it("ends with what on_progress raises", function()
    local thrown = { "enough" }
    local ok, raised = pcall(wait_for, sim:seed { plan = PLAN }, with(STEADY, { on_progress = function(progress)
      if progress.polls == 3 then error(thrown) end
    end }))
    assert.same({ false, thrown }, { ok, raised })
    assert.equal(thrown, raised)
    assert.equal(3, count(DESCRIBE))
  end)

  -- Real time ---------------------------------------------------------------------------------

  it("works for the default client, on the clock of all", function()
    local task_id = sim:seed { plan = { things = 7, failures = 0, seconds = 0.5 } }
    sim:clear()
    local output = child.output(([[
      local iot = require "iot"
      local task = assert(iot.wait_for_thing_registration_task({ taskId = %q }, { interval = 0.1, max_interval = 0.1 }))
      print(task.status, task.successCount)
    ]]):format(task_id), sim:environment())
    assert.equal("Completed\t7\n", output)
    local entries = sim:journal()
    local first, last = entries[1], entries[#entries]
    assert.is_true(#entries <= 2) -- a busy machine may need but one
    assert.is_true(#entries == 1 or last.time - first.time > 0.99)
  end)
end)
