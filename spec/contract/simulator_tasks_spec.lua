-- How the simulator stops tasks and lets one run at a time.
local service_calls = require "spec.support.service_calls"
local simulator = require "spec.support.simulator"

local TASKS = "/thing-registration-tasks"

describe("the simulator's tasks", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, calls

  setup(function()
    sim = simulator.start()
    calls = service_calls.new(sim)
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    sim:forget()
  end)

  local function describe_task(id) return calls.get(TASKS .. "/" .. id).document end
  local function stop_task(id) return calls.put(TASKS .. "/" .. id .. "/cancel") end

  local function assert_refused(status, code, words, answer)
    assert.equal(status, answer.status)
    assert.equal(code, answer.headers["x-amzn-errortype"])
    assert.matches(words, answer.document.message)
  end

  -- Stopping ---------------------------------------------------------------------------------

  it("are cancelled, which takes its time, and stand where they stood", function()
    sim:settings { cancel_seconds = 100 }
    local id = sim:seed { creationDate = os.time() - 50, plan = { things = 1000, failures = 100, seconds = 100 } }
    local answer = stop_task(id)
    assert.same({ 200, "{}" }, { answer.status, answer.body })

    local stopping = describe_task(id)
    assert.equal("Cancelling", stopping.status)
    assert.is_true(stopping.successCount > 440 and stopping.failureCount > 48 and stopping.percentageProgress < 60)
    sim:settings { clock = 50 }
    assert.equal("Cancelling", describe_task(id).status)
    sim:settings { clock = 101 }
    local stopped = describe_task(id)
    assert.equal("Cancelled", stopped.status)
    for _, name in ipairs { "successCount", "failureCount", "percentageProgress" } do
      assert.equal(stopping[name], stopped[name])
    end
    assert.is_nil(stopped.message)
    local took = stopped.lastModifiedDate - stopping.lastModifiedDate
    assert.is_true(took > 90 and took <= 100, took)
  end)

  it("are stopped once more while they are being cancelled", function()
    sim:settings { cancel_seconds = 60 }
    local ids = {
      sim:seed { plan = { seconds = 100 } }, sim:seed { status = "InProgress", successCount = 7 },
      sim:seed { status = "Cancelling" },
      sim:seed { creationDate = os.time() - 70, plan = { seconds = 100, status = "Cancelled" } },
    }
    for _, id in ipairs(ids) do
      for _ = 1, 2 do assert.same({ 200, "{}" }, { stop_task(id).status, stop_task(id).body }) end
      assert.equal("Cancelling", describe_task(id).status)
    end
    assert.equal(7, describe_task(ids[2]).successCount)
  end)

  it("cannot be stopped when they have ended", function()
    for _, status in ipairs { "Completed", "Failed", "Cancelled" } do
      for _, task in ipairs { { status = status }, { plan = { seconds = 0, status = status } } } do
        assert_refused(400, "InvalidRequestException", status, stop_task(sim:seed(task)))
      end
    end
    sim:settings { cancel_seconds = 0 }
    local id = sim:seed { plan = { seconds = 100 } }
    assert.equal(200, stop_task(id).status)
    assert.equal("Cancelled", describe_task(id).status)
    assert_refused(400, "InvalidRequestException", "Cancelled", stop_task(id))
  end)

  it("cannot be stopped when there are none", function()
    assert_refused(404, "ResourceNotFoundException", "no%-such", stop_task "no-such")
    assert_refused(400, "InvalidRequestException", "'taskId'.*40", stop_task(("x"):rep(41)))
  end)

  it("stay stopped after an outage", function()
    local id = sim:seed { plan = { seconds = 100 } }
    stop_task(id)
    sim:halt()
    sim:resume()
    assert.matches("^Cancell", describe_task(id).status)
  end)

  it("meet a fault after the requests that it lets pass", function()
    sim:seed { taskId = "t", status = "Completed" }
    sim:fault { kind = "reply", status = 503, skip = 2, times = 2 }
    sim:fault { kind = "reply", status = 500, operation = "StopThingRegistrationTask", skip = 1 }
    local statuses = {}
    for index = 1, 5 do statuses[index] = calls.get(TASKS .. "/t").status end
    assert.same({ 200, 200, 503, 503, 200 }, statuses)
    assert.same({ 400, 500, 400 }, { stop_task("t").status, stop_task("t").status, stop_task("t").status })
  end)

  -- One at a time ----------------------------------------------------------------------------

  local START = { templateBody = "{}", inputFileBucket = "factory", inputFileKey = "batch.json",
    roleArn = "arn:aws:iam::123456789012:role/x" }

  local function start_task()
    local answer = calls.post(TASKS, START)
    return answer.document.taskId, answer
  end

  it("are started one at a time", function()
    sim:settings { seconds = 1000, cancel_seconds = 100 }
    sim:seed_many { { count = 3, plan = { seconds = 100 } } } -- which do not count
    local first = start_task()
    local _, refused = start_task()
    assert_refused(400, "InvalidRequestException", "^Task " .. first:gsub("%-", "%%-") .. " has not ended yet", refused)
    stop_task(first)
    _, refused = start_task()
    assert_refused(400, "InvalidRequestException", "^Task " .. first:gsub("%-", "%%-") .. " has not ended yet", refused)
    sim:settings { clock = 101 }
    assert.is_string((start_task()))
    assert.equal("Cancelled", describe_task(first).status)
  end)

  it("are refused for what is wrong with them before it is looked who runs", function()
    sim:settings { seconds = 100 }
    start_task()
    assert_refused(400, "InvalidRequestException", "validation error", calls.post(TASKS, { templateBody = "{}" }))
  end)

  it("are started as many at a time as a setting says", function()
    sim:settings { seconds = 100, concurrent_tasks = 3 }
    for _ = 1, 3 do assert.is_string((start_task())) end
    assert.is_nil((start_task()))
    sim:settings { concurrent_tasks = 4, seconds = 0 }
    for _ = 1, 5 do assert.is_string((start_task())) end
    sim:forget()
    sim:settings { concurrent_tasks = 1 }
    assert.is_string((start_task()))
  end)
end)
