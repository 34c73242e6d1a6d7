---Who waits for whom: sections that one at a time is in, whichever request it belongs to, and the light threads of
---`iot.map`.
local core = require "iot.core"

local ngx = rawget(_G, "ngx")

local threads = {}

local turn_check = 1 -- seconds between two looks whether one's turn has come
local longest_turn = 120 -- seconds, where there is no deadline
local shortest_sleep = 0.001 -- seconds; nginx warns of none at all

-- Sections: `owner` -> who is in it, until when at most, and a semaphore for those who wait. A request that is cut off
-- ends its threads wherever they are, in a section too, and no other request can see whether they live.
local sections = setmetatable({}, { __mode = "k" })

local function leave(owner, section, token)
  if section.token ~= token then return end
  section.token = nil
  if section.waiting > 0 then
    section.semaphore:post(1)
  elseif sections[owner] == section then
    sections[owner] = nil
  end
end

-- The section and a token of whose turn it is; nil when that did not come in time.
local function enter(owner, deadline)
  local section = sections[owner]
  if not section then
    section = { semaphore = require("ngx.semaphore").new(), waiting = 0 }
    sections[owner] = section
  end
  section.waiting = section.waiting + 1
  while section.token and core.monotonic() < section.lease do
    if section.thread == coroutine.running() then error("attempt to wait for what waits for this", 0) end
    local left = deadline and deadline - core.monotonic() or turn_check
    if left <= 0 then
      section.waiting = section.waiting - 1
      return nil
    end
    section.semaphore:wait(math.min(left, turn_check))
  end
  section.waiting = section.waiting - 1
  section.token, section.thread = {}, coroutine.running()
  section.lease = (deadline or core.monotonic() + longest_turn) + turn_check
  return section, section.token
end

local function finish(owner, section, token, ok, ...)
  leave(owner, section, token)
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
  return finish(owner, section, token, pcall(fn, ...)) -- in LuaJIT a pcall can be waited across
end

-- Many at once: light threads -----------------------------------------------------------------------

local scheduler = {} -- as of iot.runtime.concurrent
scheduler.__index = scheduler

-- Who runs, to be woken when it waits.
function scheduler.running()
  return { scheduler = scheduler, waits = 0, semaphore = require("ngx.semaphore").new() }
end

scheduler.about_to_wait = scheduler.running

function scheduler.pause(task)
  while not task.semaphore:wait(turn_check) do end
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

function scheduler:spawn(_, notify, fn, ...)
  local task = { scheduler = self, waits = 0 }
  ngx.thread.spawn(function(...)
    ngx.sleep(shortest_sleep) -- it begins with the next turn, as its caller expects
    return note(task, notify, xpcall(fn, function(value)
      local text = text_of(value)
      return { value = value, text = text, traceback = debug.traceback(text, 2) }
    end, ...))
  end, ...)
  return task
end

threads.scheduler = scheduler

return threads
