---The runtime that fits where it is used, looked for with each use: in nginx its worker goes on with other requests,
---inside `iot.map` who waits lets the others go on, elsewhere the thread waits.
local blocking = require "iot.runtime.blocking"
local nginx = require "iot.runtime.nginx"

---@type iot.Runtime
local runtime = { now = blocking.now, monotonic = blocking.monotonic, random = blocking.random }

local function pick()
  local inside = nginx.current()
  if inside then return inside end
  local concurrent = package.loaded["iot.runtime.concurrent"] -- by iot.map
  return concurrent and concurrent.scheduler.running() and concurrent or blocking
end

for _, name in ipairs { "send", "request", "download", "run", "sleep", "serialize" } do
  runtime[name] = function(...) return pick()[name](...) end
end

---Whether a coroutine is known to go on. In nginx none is: it may be of a request that is gone, and with it all that
---coroutine.status reads.
---@param thread thread
---@return boolean
function runtime.goes_on(thread)
  return not nginx.current() and coroutine.status(thread) ~= "dead"
end

---Who runs the functions of `iot.map` there.
---@return table scheduler  as of iot.runtime.concurrent
function runtime.scheduler()
  local inside = nginx.current()
  return inside and inside.scheduler or require("iot.runtime.concurrent").scheduler
end

---A dictionary that the workers of nginx share.
---@param name string
---@return iot.Store?
---@return string? message
function runtime.store(name)
  return nginx.store(name)
end

return runtime
