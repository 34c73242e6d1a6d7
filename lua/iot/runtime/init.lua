---The runtime that fits where it is used, looked for with each use: inside `iot.map` who waits lets the
---others go on, elsewhere the thread waits.
local blocking = require "iot.runtime.blocking"

---@type iot.Runtime
local runtime = { now = blocking.now, monotonic = blocking.monotonic, random = blocking.random }

local function pick()
  local concurrent = package.loaded["iot.runtime.concurrent"] -- by iot.map
  return concurrent and concurrent.scheduler.running() and concurrent or blocking
end

for _, name in ipairs { "send", "request", "download", "run", "sleep", "serialize" } do
  runtime[name] = function(...) return pick()[name](...) end
end

return runtime
