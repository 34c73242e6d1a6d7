---Who waits for whom: sections that one at a time is in, whichever request it belongs to, and the light threads of
---`iot.map`.
local core = require "iot.core"
local semaphores = require "ngx.semaphore"

local ngx = rawget(_G, "ngx")

local threads = {}

local turn_check = 0.5 -- seconds between two looks whether one's turn has come
local longest_turn = 120 -- seconds, of a section that has no guard
local longest_wait = 24 * 3600 -- seconds; nginx counts milliseconds in 32 bits
local shortest_sleep = 0.001 -- seconds; nginx warns of none at all

-- Sections: `owner` -> who is in it, and a semaphore for those who wait. Neither may keep the owner alive, which the
-- stack of who is in it does.
local sections = setmetatable({}, { __mode = "k" })
local weak = { __mode = "v" }

-- A request that is cut off ends its threads wherever they are, in a section too, and nobody else may ask whether they
-- live: coroutine.status reads what nginx has freed by then. But all see how many wait for a semaphore: who is in a
-- section has a guard, which waits for one that nobody posts, and ends with the request. A thread that was killed
-- leaves its guard behind for as long as it had time.
local function guard(section, life, seconds)
  life:wait(seconds)
  section.semaphore:post(1)
end

-- Whether someone is in it who goes on. Where there is no deadline one request has the section for itself.
local function is_taken(section)
  if not section.token then return false end
  if section.guard then return section.life:count() < 0 end
  return core.monotonic() < section.lease
end

local function leave(section, token)
  if section.token ~= token then return end
  if section.guard then ngx.thread.kill(section.guard) end
  section.token, section.guard = nil, nil
  if section.semaphore:count() < 0 then section.semaphore:post(1) end
end

-- The section and a token of whose turn it is; nil when that did not come in time.
local function enter(owner, deadline)
  local section = sections[owner]
  if not section then
    section = { semaphore = semaphores.new() }
    sections[owner] = section
  end
  while is_taken(section) do
    if section.holder[1] == coroutine.running() then error("attempt to wait for what waits for this", 0) end
    local left = deadline and deadline - core.monotonic() or turn_check
    if left <= 0 then return nil end
    section.semaphore:wait(math.min(left, turn_check))
  end
  local token = {}
  section.token, section.holder = token, setmetatable({ coroutine.running() }, weak)
  section.lease, section.guard = core.monotonic() + longest_turn, nil
  if deadline then
    local seconds = math.max(deadline - core.monotonic(), 0) + turn_check
    section.life = semaphores.new()
    section.guard = ngx.thread.spawn(guard, section, section.life, math.min(seconds, longest_wait))
  end
  return section, token
end

local function finish(section, token, ok, ...)
  leave(section, token)
  if not ok then error((...), 0) end
  return ...
end

---As of a runtime.
---@param owner table
---@param deadline number?
---@param fn function
function threads.serialize(owner, deadline, fn, ...)
  local section, token = enter(owner, deadline)
  if not section then return nil, "its turn did not come in time", "Timeout" end
  return finish(section, token, pcall(fn, ...)) -- in LuaJIT a pcall can be waited across
end

-- Many at once: light threads -----------------------------------------------------------------------

local scheduler = {} -- as of iot.runtime.concurrent
scheduler.__index = scheduler

-- Who runs, to be woken when it waits.
function scheduler.running()
  return {
    scheduler = scheduler, waits = 0, semaphore = semaphores.new(), coroutine = coroutine.running(), children = {},
  }
end

scheduler.about_to_wait = scheduler.running

-- What has ended stays in memory as long as its parent goes on and has not asked for it.
local function forget_children(task)
  for _, thread in ipairs(task.children) do ngx.thread.wait(thread) end
  task.children = {}
end

function scheduler.pause(task)
  while not task.semaphore:wait(turn_check) do end
  forget_children(task)
end

function scheduler.wake(task)
  task.semaphore:post(1)
end

function scheduler.rest()
  ngx.sleep(shortest_sleep)
end

local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or "an error value, a " .. type(value)
end

local function note(task, notify, ok, ...)
  task.ok, task.results = ok, { n = select("#", ...), ... }
  if not ok then
    local raised = ...
    task.results = { raised.value, raised.traceback, raised.text }
  end
  notify(task)
end

function scheduler:spawn(owner, notify, fn, ...)
  local task = { scheduler = self, waits = 0 }
  local thread = ngx.thread.spawn(function(...)
    ngx.sleep(shortest_sleep) -- it begins with the next turn, as its caller expects
    return note(task, notify, xpcall(fn, function(value)
      local text = text_of(value)
      return { value = value, text = text, traceback = debug.traceback(text, 2) }
    end, ...))
  end, ...)
  if owner.coroutine == coroutine.running() then table.insert(owner.children, thread) end
  return task
end

threads.scheduler = scheduler

return threads
