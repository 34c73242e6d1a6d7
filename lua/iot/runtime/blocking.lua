---The runtime of plain Lua: libcurl, and the thread waits.
local core = require "iot.core"

---@type iot.Runtime
local blocking = {
  now = core.now,
  monotonic = core.monotonic,
  request = core.request,
  run = core.run,
  random = core.random,
}

function blocking.send(native, operation, params, attempt)
  return core[operation](native, params, attempt)
end

-- A signal ends the native sleep early. Its Lua handler runs, and may raise, before the next round.
function blocking.sleep(seconds)
  local deadline = core.monotonic() + seconds
  while seconds > 0 do
    core.sleep(seconds)
    seconds = deadline - core.monotonic()
  end
end

-- Nothing else runs while this thread waits.
function blocking.serialize(_, _, fn, ...)
  return fn(...)
end

return blocking
