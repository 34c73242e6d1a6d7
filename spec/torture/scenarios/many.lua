-- Plain requests, many at once, and programs: core alone; see ../scenarios.lua.
local core = require "iot.core"
local tools = require "spec.torture.scenarios.tools"

local attempt = tools.attempt
local describe = tools.describe
local native = tools.native
local request = tools.request

local scenarios, scenario = tools.list()

-- Plain requests, many at once, programs -------------------------------------------------------------

scenario("request", {
  open = function(place) return place end,
  run = function(place)
    local headers = { { "X-One", "1" }, { "X-Two", ("2"):rep(200) } }
    local bytes, origin, facts = core.write_request(request(place, "/path?q", {
      method = "PUT", headers = headers, body = "b",
    }))
    if not bytes then return nil, origin, facts end
    local reply, message
    reply, message, facts = core.request(request(place, "/seen", { headers = headers }))
    if not reply then return nil, message, facts end
    return { #bytes > 0, #origin > 0, reply }
  end,
})

-- The slots that have finished, `count` of them.
local function wait_for(multi, count)
  local done, seen = {}, 0
  local slots = {}
  local deadline = core.monotonic() + 5
  while seen < count do
    if core.monotonic() > deadline then error "the slots did not finish in time" end
    for i = 1, multi:wait(1, done) do seen, slots[seen + 1] = seen + 1, done[i] end
  end
  table.sort(slots)
  return slots
end

local function finish_all(multi, count)
  local seen = {}
  for _, slot in ipairs(wait_for(multi, count)) do
    local result, message, facts = multi:finish(slot)
    if not result then return nil, message, facts end
    seen[#seen + 1] = result
  end
  return seen
end

-- Start what is listed; nil, message, facts when one of them cannot.
local function start_all(multi, list)
  for _, one in ipairs(list) do
    local slot, message, facts = multi[one[1]](multi, one[2], one[3], one[4], one[5])
    if not slot then return nil, message, facts end
  end
  return true
end

local function with_multi(body)
  return function(it)
    local multi, message, facts = core.multi(4)
    if not multi then return nil, message, facts end
    local result
    result, message, facts = body(multi, it)
    multi:close()
    return result, message, facts
  end
end

local function open_place(place) return { place = place, client = assert(native(place)) } end
local function close_client(it) it.client:close() end

scenario("multi", {
  open = open_place, close = close_client,
  run = with_multi(function(multi, it)
    local list = {
      { "start", it.client, describe, { taskId = "one" }, attempt() },
      { "request", request(it.place, "/seen") },
      { "start", it.client, describe, { taskId = "three" }, attempt() },
    }
    local ok, message, facts = start_all(multi, list)
    if not ok then return nil, message, facts end
    local extra
    extra, message, facts = multi:start(it.client, describe, { taskId = "four" }, attempt())
    if not extra then return nil, message, facts end
    multi:cancel(extra)
    return finish_all(multi, 3)
  end),
})

scenario("download", {
  open = function(place) return { place = place } end,
  run = with_multi(function(multi, it)
    local download, slot, facts = multi:download(request(it.place, "/document/1?v=1"))
    if not download then return nil, slot, facts end
    local left = multi:download(request(it.place, "/document/2?v=1"))
    if left then left:close() end
    local pieces, status = {}, nil
    local deadline = core.monotonic() + 5
    while true do
      local piece, seen = download:read()
      if piece == nil then break end
      if piece then pieces[#pieces + 1], status = piece, seen else multi:wait(1, {}) end
      if core.monotonic() > deadline then error "the download did not end in time" end
    end
    local reply, message
    reply, message, facts = download:finish()
    if not reply then return nil, message, facts end
    if reply.status ~= 200 then return nil, "refused", { code = "Refused" } end
    return { table.concat(pieces), status, reply.headers["content-encoding"] }
  end),
})

local program = { "/bin/sh", "-c", "printf out; printf err >&2; exit 3" }

scenario("run", { run = function() return core.run(program, 5) end })

scenario("multi run", { run = with_multi(function(multi)
  local ok, message, facts = start_all(multi, { { "run", program, 5 }, { "run", program, 5 } })
  if not ok then return nil, message, facts end
  return finish_all(multi, 2)
end) })

return scenarios
