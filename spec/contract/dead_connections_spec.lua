-- Connections that the service has ended while they lay idle: whoever finds one dead takes another, which is no
-- attempt, and goes on doing so for as long as a client lives.
local core = require "iot.core"
local iot = require "iot"
local simulator = require "spec.support.simulator"

describe("a connection that has died", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, client

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "task", status = "Completed" }
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:clear()
    client = assert(iot.new(sim:options()))
  end)
  after_each(function() client:close() end)

  local function describe_task(options)
    return client:describe_thing_registration_task({ taskId = "task" }, options)
  end

  -- Each time the request comes on a connection that was in use, which ends; and again on a new one.
  local function die_often(fault, count)
    for _ = 1, count do
      assert(describe_task())
      sim:fault(fault)
      assert(describe_task())
    end
  end

  for _, kind in ipairs { "close", "reset" } do
    it("is replaced, however often that happens: " .. kind, function()
      die_often({ kind = kind }, 8)
      assert.equal(3 * 8, #sim:journal())
    end)
  end

  it("is replaced by one that dies as well, until there are none but new ones", function()
    sim:fault { kind = "delay", seconds = 0.1, times = 16 }
    local items = {}
    for i = 1, 16 do items[i] = i end
    local results, failures = iot.map(items, function() return describe_task() end, { concurrency = 16 })
    assert.is_nil(next(failures))
    assert.equal(16, #results)
    die_often({ kind = "close" }, 8)
  end)

  it("that is new is a failure, and so is one of a call that has no time left", function()
    sim:fault { kind = "close" }
    local _, _, detail = describe_task()
    assert.equal("ConnectionLost", detail.code)
    die_often({ kind = "close" }, 5)
    assert(describe_task()) -- on a connection that is kept, which inside nginx one in a dead one's place is not
    sim:fault { { kind = "close" }, { kind = "stall" } }
    local started = core.monotonic()
    _, _, detail = describe_task { timeout = 0.3 }
    assert.equal("Timeout", detail.code)
    assert.is_true(core.monotonic() - started < 2)
  end)
end)
