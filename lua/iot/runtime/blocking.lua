---The runtime of plain Lua: libcurl, and the thread waits.
local core = require "iot.core"

---@type iot.Runtime
local blocking = {
  now = core.now,
  monotonic = core.monotonic,
  request = core.request,
  run = core.run,
  sleep = core.sleep,
  random = core.random,
}

function blocking.send(native, operation, params, attempt)
  return core[operation](native, params, attempt)
end

-- Nothing else runs while this thread waits.
function blocking.serialize(_, _, fn, ...)
  return fn(...)
end

return blocking
