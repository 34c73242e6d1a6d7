-- That a call of these specs goes over the runtime that they are run for, and over no other.
local iot = require "iot"
local runtimes = require "spec.support.runtimes"
local simulator = require "spec.support.simulator"

local MODULES = { blocking = require "iot.runtime.blocking", concurrent = require "iot.runtime.concurrent" }
if runtimes.name == "nginx" then MODULES.nginx = require "iot.runtime.nginx.waiting" end

describe("a call of a spec", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, restore

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)
  after_each(function() restore() end)

  -- Notes in `seen` which runtimes are asked to send.
  local function watch(seen)
    local real = {}
    for name, module in pairs(MODULES) do
      real[name] = module.send
      function module.send(...)
        seen[#seen + 1] = name
        return real[name](...)
      end
    end
    restore = function()
      for name, module in pairs(MODULES) do module.send = real[name] end
    end
  end

  it("goes over the runtime of the run", function()
    local id = sim:seed { status = "Completed" }
    local client = assert(iot.new(sim:options()))
    local seen = {}
    watch(seen)
    local task = assert(client:describe_thing_registration_task { taskId = id })
    client:close()
    assert.equal("Completed", task.status)
    assert.same({ runtimes.name }, seen)
  end)

  it("of a map waits with nginx there, else with the map's scheduler", function()
    local id = sim:seed { status = "Completed" }
    local client = assert(iot.new(sim:options()))
    local seen = {}
    watch(seen)
    local results = iot.map({ 1, 2 }, function() return client:describe_thing_registration_task { taskId = id } end)
    client:close()
    assert.same({ "Completed", "Completed" }, { results[1].status, results[2].status })
    local expected = runtimes.name == "nginx" and "nginx" or "concurrent"
    assert.same({ expected, expected }, seen)
  end)
end)
