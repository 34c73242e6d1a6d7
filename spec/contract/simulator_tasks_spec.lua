-- How the simulator stops tasks and lets one run at a time.
local core = require "iot.core"
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
    sim:settings { cancel_seconds = 0.25 }
    local id = sim:seed { creationDate = os.time() - 50, plan = { things = 1000, failures = 100, seconds = 100 } }
    local answer = stop_task(id)
    assert.same({ 200, "{}" }, { answer.status, answer.body })

    local stopping = describe_task(id)
    assert.equal("Cancelling", stopping.status)
    assert.is_true(stopping.successCount > 440 and stopping.failureCount > 48 and stopping.percentageProgress < 60)
    local stopped
    for _ = 1, 100 do
      stopped = describe_task(id)
      if stopped.status ~= "Cancelling" then break end
      core.sleep(0.02)
    end
    assert.equal("Cancelled", stopped.status)
    for _, name in ipairs { "successCount", "failureCount", "percentageProgress" } do
      assert.equal(stopping[name], stopped[name])
    end
    assert.is_nil(stopped.message)
    local took = stopped.lastModifiedDate - stopping.lastModifiedDate
    assert.is_true(took > 0 and took < 0.26, took)
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
end)
