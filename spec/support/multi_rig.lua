--- core.multi in a spec: a client, a multi, and what is done with them over and over.
--
--   local rig = multi_rig.new(sim)
--   before_each(rig.open)     -- rig.native and rig.multi
--   after_each(rig.close)
--   rig.start "task-1"
--   local results, order = rig.finish(1)
--
-- Its tasks are task-1 to task-20; successCount is the number.
local core = require "iot.core"

local OPERATION = "describe_thing_registration_task"

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local M = { OPERATION = OPERATION }

-- Seconds that something may take beyond its time, on a machine that is busy.
M.SLACK = 2

--- Like table.pack, which 5.1 has not; and its inverse.
function M.pack(...) return { n = select("#", ...), ... } end
M.unpack = unpack

---@param sim table  a simulator
function M.new(sim)
  local rig = {}

  --- A native client of the simulator.
  function rig.new_client()
    return assert(core.client { endpoint = sim.endpoint, ca_bundle = sim.ca_bundle, region = sim.region, proxy = "",
      connect_timeout = 5, read_timeout = 60 })
  end

  --- The table of an attempt, with changes.
  function rig.attempt_of(changes)
    local all = { credentials = sim.credentials, timeout = 20, user_agent = "spec", invocation_id = "id" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  --- The table of a plain request to a path of the simulator, with changes.
  function rig.request_of(path, changes)
    local all = { url = sim.plain_endpoint .. path, timeout = 20, connect_timeout = 5, proxy = "" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  function rig.open()
    sim:clear()
    rig.native, rig.multi = rig.new_client(), assert(core.multi(64))
  end

  function rig.close()
    rig.multi:close()
    rig.native:close()
  end

  --- Start to describe a task; returns the slot.
  function rig.start(task_id, changes, client)
    return assert(rig.multi:start(client or rig.native, OPERATION, { taskId = task_id or "task-1" },
      rig.attempt_of(changes)))
  end

  --- Wait for `count` slots. Returns what each finished with, packed, by slot; and the slots in their order.
  function rig.finish(count)
    local results, order, done = {}, {}, {}
    local deadline = core.monotonic() + 20
    while #order < count do
      assert(core.monotonic() < deadline, "not all have finished")
      for i = 1, rig.multi:wait(5, done) do
        order[#order + 1] = done[i]
        results[done[i]] = M.pack(rig.multi:finish(done[i]))
      end
    end
    return results, order
  end

  --- Wait for one; returns what it finished with.
  function rig.finish_one()
    local results, order = rig.finish(1)
    return unpack(results[order[1]], 1, results[order[1]].n)
  end

  --- How many connections the requests in the journal came on, and how many they are.
  function rig.connections()
    local entries, seen, count = sim:journal(), {}, 0
    for _, entry in ipairs(entries) do
      if not seen[entry.connection] then seen[entry.connection], count = true, count + 1 end
    end
    return count, #entries
  end

  --- The seconds that a function takes.
  function rig.elapsed(fn, ...)
    local started = core.monotonic()
    fn(...)
    return core.monotonic() - started
  end

  for i = 1, 20 do sim:seed { taskId = "task-" .. i, status = "Completed", successCount = i } end
  local client = rig.new_client() -- the first TLS connection of a process may open what stays open
  assert(core[OPERATION](client, { taskId = "task-1" }, rig.attempt_of()))
  client:close()
  return rig
end

return M
