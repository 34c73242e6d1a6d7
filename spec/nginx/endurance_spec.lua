-- Inside nginx under load: others feel nothing of calls that hang, nothing piles up, and a reload loses no call. The
-- long form of this is spec/nginx/endure.
local command = require "spec.support.command"
local core = require "iot.core"
local endurance = require "spec.support.endurance"
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

describe("an nginx under load", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx

  setup(function()
    sim = simulator.start { seconds = 0, concurrent_tasks = 100 }
    sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }
    nginx = endurance.start(sim, {
      clients = {
        hasty = sim:options { read_timeout = 0.2, retry = { max_attempts = 3 } },
      },
      server = [[
        location = /later {
          content_by_lua_block {
            local id = ngx.var.arg_id
            assert(ngx.timer.at(0, function()
              local client = require("spec.nginx.handlers").clients.usual
              local task, message = client:wait_for_thing_registration_task({ taskId = id },
                { interval = 1, max_interval = 1 })
              ngx.shared.outcomes:set(id, (task and task.status or message) .. " " .. ngx.worker.pid())
            end))
          }
        }
        location = /outcome { content_by_lua_block { ngx.say(ngx.shared.outcomes:get(ngx.var.arg_id)) } }]],
      directives = "lua_shared_dict outcomes 1m;",
    })
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)
  before_each(function() sim:reset() end)

  it("answers others in their usual time while 100 calls hang", function()
    local idle = endurance.measure(nginx, "/quick", 300)
    sim:fault { kind = "delay", seconds = 1, times = 100 }
    local started = core.monotonic()
    local load = endurance.begin(nginx, "/describe?id=task&n=[1-100]", 100)
    local busy = endurance.measure(nginx, "/quick", 300) -- while they connect
    command.run { "sleep", "0.3" }
    local hanging = endurance.measure(nginx, "/quick", 300) -- while all of them hang
    local measured = core.monotonic() - started
    assert.same({ ["task task=7"] = 100 }, (endurance.tally(load:finish())))
    assert.is_true(measured < 1, ("the calls had ended after %g s"):format(measured))
    assert.is_true(core.monotonic() - started < 3)
    local usual = math.max(5 * idle.median, 0.005)
    for name, times in pairs { connecting = busy, hanging = hanging } do
      assert.is_true(times.median < usual, ("%s: %g s, idle %g s"):format(name, times.median, idle.median))
      assert.is_true(times.longest < 0.5, ("%s: %g s"):format(name, times.longest))
    end
  end)

  it("keeps its memory, its descriptors and a quiet log over thousands of calls", function()
    sim:settings { journal_limit = 0 }
    local lines = #nginx:log()
    endurance.begin(nginx, "/describe?id=task&n=[1-1000]", 20):finish()
    local before = endurance.figures(nginx)
    local counts = endurance.tally(endurance.begin(nginx, "/describe?id=task&n=[1-3000]", 20):finish())
    local after = endurance.figures(nginx)
    assert.same({ ["task task=7"] = 3000 }, counts)
    assert.equal("", nginx:log():sub(lines + 1))
    assert.is_true(after.resident - before.resident < 1024, before.resident .. " -> " .. after.resident)
    assert.is_true(after.lua - before.lua < 64, before.lua .. " -> " .. after.lua)
    assert.is_true(after.descriptors <= before.descriptors + 2, before.descriptors .. " -> " .. after.descriptors)
  end)

  it("forgets the threads of a map when that has ended", function()
    local first, last = nginx:run("content", [[
      local items = {}
      for i = 1, 64 do items[i] = i end
      local function measure()
        for _ = 1, 20 do require("iot").map(items, function(i) return i end, { concurrency = 64 }) end
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      measure()
      return measure(), measure()]])
    assert.is_true(last - first < 128, first .. " -> " .. last)
  end)

  it("gets through faults, of which the log has but what nginx says itself", function()
    local kinds = { { kind = "reset" }, { kind = "reply", status = 503, body = "<html>" }, { kind = "truncate" },
      { kind = "stall" }, { kind = "close" } }
    local faults = {}
    for i = 1, 20 do
      local fault = {}
      for name, value in pairs(kinds[i % #kinds + 1]) do fault[name] = value end
      fault.skip = 50 * i
      faults[i] = fault
    end
    sim:settings { journal_limit = 0 }
    sim:fault(faults)
    local at = #nginx:log()
    local before = endurance.figures(nginx)
    local load = endurance.begin(nginx, "/describe?client=hasty&id=task&n=[1-2000]", 20)
    assert.same({ ["task task=7"] = 2000 }, (endurance.tally(load:finish())))
    local after = endurance.figures(nginx)
    local silences = 0
    for line in nginx:log():sub(at + 1):gmatch "[^\n]+" do
      assert.matches("%[error%] .*: %*%d+ lua tcp socket read timed out, client: ", line)
      silences = silences + 1
    end
    assert.equal(4, silences) -- as many as stalls
    assert.is_true(after.descriptors <= before.descriptors + 2, before.descriptors .. " -> " .. after.descriptors)
  end)

  it("loses no call when it is reloaded, over and over", function()
    sim:fault { kind = "delay", seconds = 0.04, times = 2000 }
    local load = endurance.begin(nginx, "/describe?id=task&n=[1-500]", 20)
    for _ = 1, 5 do nginx:reload() end
    local counts, processes = endurance.tally(load:finish())
    assert.same({ ["task task=7"] = 500 }, counts)
    local count = 0
    for _ in pairs(processes) do count = count + 1 end
    assert.is_true(count >= 4, count .. " workers answered")
  end)

  it("ends in the old worker what was under way when it was reloaded", function()
    local old = nginx:pids()[1]
    local id = sim:seed { plan = { things = 3, seconds = 0.8 } }
    sim:fault { kind = "delay", seconds = 0.5 }
    local call = endurance.begin(nginx, "/describe?id=task", 1)
    local wait = endurance.begin(nginx, "/wait?id=" .. id, 1)
    nginx:get("/later?id=" .. id)
    nginx:reload()
    local new = nginx:pids()[1]
    assert.is_true(new ~= old)
    assert.same({ "task task=7 " .. old }, call:finish())
    assert.same({ id .. " Completed " .. old }, wait:finish())
    local outcome
    for _ = 1, 20 do
      outcome = nginx:get("/outcome?id=" .. id).body
      if outcome ~= "nil\n" then break end
      command.run { "sleep", "0.1" }
    end
    assert.equal("Completed " .. old .. "\n", outcome)
  end)
end)
