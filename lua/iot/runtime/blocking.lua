---The runtime of plain Lua: libcurl, and the thread waits.
local core = require "iot.core"
local downloads = require "iot.runtime.download"

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

-- Over a multi handle of its own, since nothing else goes on.
function blocking.download(request)
  local multi, message, facts = core.multi(1)
  if not multi then return nil, message, facts end
  local finished = {}
  return downloads.new(multi, request, function(_, deadline)
    local count, interrupted = multi:wait(deadline and deadline - core.monotonic() or math.huge, finished)
    return count > 0 and "news" or interrupted and "interrupt" or "deadline"
  end, function() multi:close() end)
end

-- Nothing else runs while this thread waits.
function blocking.serialize(_, _, fn, ...)
  return fn(...)
end

return blocking
