-- Programs on core.multi, alone and among exchanges.
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local multi_rig = require "spec.support.multi_rig"
local simulator = require "spec.support.simulator"

local pack, unpack = multi_rig.pack, multi_rig.unpack

describe("programs at once", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, rig

  setup(function()
    sim = simulator.start()
    rig = multi_rig.new(sim)
  end)
  teardown(function()
    sim:stop()
  end)
  before_each(function() rig.open() end)
  after_each(function() rig.close() end)

  local function shell(script, seconds)
    return assert(rig.multi:run({ "sh", "-c", script }, seconds or 20))
  end

  it("give what the blocking function gives", function()
    for _, case in ipairs {
      { { "sh", "-c", "echo out; echo err >&2; exit 3" }, 20 },
      { { "sh", "-c", "kill -9 $$" }, 20 },
      { { "sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 4" }, 20 }, -- closes its outputs first
      { { "sh", "-c", "sleep 2 & echo a" }, 20 }, -- leaves them open to a child
      { { "sh", "-c", "yes | head -c 500000" }, 20 },
      { { "sh", "-c", "sleep 20" }, 0.1 },
      { { "sh", "-c", "exec yes" }, 20 },
      { { "true" }, 20 },
    } do
      local blocking = pack(core.run(unpack(case)))
      assert(rig.multi:run(unpack(case)))
      local result
      local took = rig.elapsed(function() result = pack(rig.finish_one()) end)
      assert.same(blocking, result)
      assert.is_true(took < 1.9, took .. " s")
    end
  end)

  it("are refused that the blocking function refuses", function()
    local arguments = { "/nonexistent/program" }
    assert.same(pack(core.run(arguments, 1)), pack(rig.multi:run(arguments, 1)))
    for _, case in ipairs { { {}, 1 }, { { 5 }, 1 }, { { "a\0b" }, 1 }, { { "true" } }, { { "true" }, 0 / 0 },
      { "true", 1 } } do
      assert.is_false((pcall(core.run, unpack(case))))
      assert.is_false((pcall(rig.multi.run, rig.multi, unpack(case))))
    end
    assert.equal(0, rig.multi:wait(0, {}))
  end)

  it("go on among exchanges, also more than can be watched", function()
    local wanted = {}
    local took = rig.elapsed(function()
      for i = 1, 40 do wanted[shell("sleep 0.3; echo " .. i)] = i .. "\n" end
      sim:fault { kind = "delay", seconds = 0.3, times = 4 }
      for i = 1, 4 do wanted[rig.start("task-" .. i)] = i end
      for slot, result in pairs((rig.finish(44))) do
        assert.equal(wanted[slot], result[1].output or result[1].successCount)
        wanted[slot] = nil
      end
    end)
    assert.is_nil(next(wanted))
    assert.is_true(took < 10, took .. " s") -- 13 s one after another
  end)

  it("are told of when they end, not later", function()
    for _, script in ipairs { "sleep 0.2", "sleep 0.2; echo a", "exec >&- 2>&-; sleep 0.2" } do
      shell(script)
      local took = rig.elapsed(function() assert.equal(1, rig.multi:wait(30, {})) end)
      assert.is_true(took < 1.5, took .. " s")
    end
  end)

  -- Whether a program still runs when `leave` has been called on its slot.
  local function survives(leave)
    local note = os.tmpname()
    local slot = shell("echo $$ >" .. note .. "; exec sleep 60", 60)
    local id
    for _ = 1, 200 do
      rig.multi:wait(0.01, {})
      local file = assert(io.open(note))
      id = file:read "*a":match "(%d+)\n"
      file:close()
      if id then break end
    end
    os.remove(note)
    assert(id, "it did not start")
    leave(slot)
    local pipe = io.popen("kill -0 " .. id .. " 2>/dev/null && echo runs")
    local said = pipe:read "*a"
    pipe:close()
    return said ~= ""
  end

  it("are killed when they are cancelled, or their multi is closed", function()
    assert.is_true(survives(function() end))
    assert.is_false(survives(function(slot) rig.multi:cancel(slot) end))
    local before = not descriptors.missing() and descriptors.count()
    assert.is_false(survives(function(slot) rig.multi:cancel(slot) end))
    if before then assert.equal(before, descriptors.count()) end
    assert.is_false(survives(function() rig.multi:close() end))
  end)
end)
