--- The runtime that fits where the specs run, on a clock that only sleeping moves: requests are real, delays take no
--- time and can be held against a table to the last digit.
--
--   local runtime = virtual_clock.runtime()
--   local client = assert(iot.new(sim:options { runtime = runtime }))
--   client:describe_thing_registration_task { taskId = "task" }
--   print(runtime.slept)
local M = {}

---@class spec.virtual_clock.runtime: iot.Runtime
---@field slept number  seconds so far
---@field naps number[]  each sleep of those

--- A runtime for the option `runtime`. Its monotonic clock starts at a whole second, and does not see
--- how long requests take; its wall clock is the real one, ahead by what was slept. Random numbers are 1:
--- each delay is the longest.
---@return spec.virtual_clock.runtime
function M.runtime()
  local runtime = { slept = 0, naps = {} }
  for name, fn in pairs(require "iot.runtime") do runtime[name] = fn end
  local now = runtime.now
  function runtime.now() return now() + runtime.slept end
  function runtime.monotonic() return 5000 + runtime.slept end
  function runtime.sleep(seconds)
    runtime.slept = runtime.slept + seconds
    table.insert(runtime.naps, seconds)
  end
  function runtime.random() return 1 end
  return runtime
end

return M
