---The runtime inside `iot.map`: a wait is a coroutine that yields, and libcurl drives all exchanges at once.
local core = require "iot.core"
local downloads = require "iot.runtime.download"
local timers = require "iot.runtime.timers"

local close_coroutine = rawget(coroutine, "close") -- from Lua 5.4 on
local is_yieldable = rawget(coroutine, "isyieldable") -- from Lua 5.3 on, and in LuaJIT
local unpack = rawget(table, "unpack") or _G["unpack"]

-- Idle connections that a scheduler keeps, so that a wide map does not hold a descriptor for each.
local max_connections = 256

---A coroutine of a scheduler.
---@class iot.scheduler.Task
---@field thread thread
---@field within iot.scheduler.Task?  who waits for its end
---@field scheduler iot.Scheduler
---@field is_ready boolean  it goes on with the next turn
---@field timer iot.Timer?  that will wake it
---@field waits integer  how often it has waited
---@field notify fun(task: iot.scheduler.Task)  called at its end
---@field ok boolean?  how it ended; nil while it lives
---@field results table?  what its function returned, from 1 to results.n; or the error and the traceback

---@class iot.Scheduler
---@field multi userdata?  of iot.core, made with the first exchange
---@field slots table<integer, iot.scheduler.Task>  who waits for the exchange in a slot of `multi`
---@field told table<integer, true>  slots whose news came while nobody waited
---@field ready iot.scheduler.Task[]  from `first` to `last`: who goes on
---@field timers iot.Timers
---@field sections table<table, iot.scheduler.Task[]>  owner of `serialize` -> who is in it, then who waits
---@field alive table<iot.scheduler.Task, true>
---@field finished integer[]  room for what `multi` answers
local Scheduler = {}
Scheduler.__index = Scheduler

local scheduler = {}

-- The task of each coroutine that is one: the only way to tell where a call is made. Weak in both, since a task has
-- its coroutine: before Lua 5.2, and in LuaJIT, neither would be collected where nobody could forget them.
local tasks = setmetatable({}, { __mode = "kv" })

-- What a task yields: until someone wakes it, or to go on after the others. Whatever else comes up is a
-- yield of someone else's, which no one will answer.
local until_woken, after_others = {}, {}

---@return iot.Scheduler
function scheduler.new()
  return setmetatable({
    slots = {}, told = {}, ready = {}, first = 1, last = 0, timers = timers.new(), sections = {},
    alive = {}, finished = {},
  }, Scheduler)
end

---The task of the coroutine that runs, when it can wait.
---@return iot.scheduler.Task?
function scheduler.running()
  local thread = coroutine.running()
  local task = thread and tasks[thread]
  if task and is_yieldable and not is_yieldable() then return nil end
  return task
end

---The task that runs, which is about to wait. Where Lua cannot tell whether it may yield, it tries, so that
---an error (a yield across pcall in 5.1, across a sort or the like also in 5.2) leaves nothing half done.
---@return iot.scheduler.Task
function scheduler.about_to_wait()
  if not is_yieldable then coroutine.yield(after_others) end
  return scheduler.running()
end

-- Ends of tasks come late where someone else's code had the coroutine; then nothing is left to wake.
local function wake(self, task)
  if task.is_ready or task.ok ~= nil then return end
  self.ready[self.last + 1] = task -- there may be no memory for it
  self.last = self.last + 1
  if task.timer then self.timers:remove(task.timer) end
  task.is_ready, task.timer = true, nil
end

-- Wait until someone wakes the task that runs, or until the deadline, of core.monotonic().
local function pause(task, deadline)
  task.waits = task.waits + 1
  if deadline then task.timer = task.scheduler.timers:add(deadline, task) end
  coroutine.yield(until_woken)
end

---Begin a coroutine, which runs with the next turn of `run`.
---@param within iot.scheduler.Task?  who waits for its end
---@param notify fun(task: iot.scheduler.Task)  called at its end
---@param fn function
---@return iot.scheduler.Task
function Scheduler:spawn(within, notify, fn, ...)
  local task = {
    scheduler = self, within = within, waits = 0, notify = notify, is_ready = false,
    arguments = { n = select("#", ...), ... },
  }
  task.thread = coroutine.create(fn)
  tasks[task.thread], self.alive[task] = task, true
  wake(self, task)
  return task
end

-- The next in line is woken first: should there be no memory for it, the turn is still this one's to pass on.
local function leave(self, owner, line)
  if line[2] then wake(self, line[2]) else self.sections[owner] = nil end
  table.remove(line, 1)
end

-- An error without memory may have ended it in a section, or in the line for one.
local function abandon(self, task)
  for owner, line in pairs(self.sections) do
    for i = #line, 2, -1 do
      if line[i] == task then table.remove(line, i) end
    end
    if line[1] == task then leave(self, owner, line) end
  end
end

-- A variable with a `__close` is closed with its coroutine, however that ended.
local function forget(self, task)
  abandon(self, task)
  tasks[task.thread], self.alive[task] = nil, nil
  if close_coroutine then close_coroutine(task.thread) end
end

local function finish(self, task, ok, ...)
  task.ok, task.results = ok, { n = select("#", ...), ... }
  forget(self, task)
  task.notify(task)
end

-- The text of an error; whatever its `__tostring` does.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or "an error value, a " .. type(value)
end

local function fail(self, task, value)
  finish(self, task, false, value, debug.traceback(task.thread, text_of(value)), text_of(value))
end

-- After a resume.
local function note(self, task, ok, ...)
  if not ok then
    fail(self, task, (...))
  elseif coroutine.status(task.thread) == "dead" then
    finish(self, task, true, ...)
  elseif (...) == after_others then
    wake(self, task)
  elseif (...) ~= until_woken then
    fail(self, task, "attempt to yield out of a function that iot.map runs")
  end
end

local function resume(self, task)
  local arguments = task.arguments
  task.is_ready, task.arguments = false, nil
  if arguments then
    note(self, task, coroutine.resume(task.thread, unpack(arguments, 1, arguments.n)))
  else
    note(self, task, coroutine.resume(task.thread))
  end
end

-- Those that are ready now: who gets ready meanwhile has its turn after a look at the network.
local function resume_ready(self)
  for at = self.first, self.last do
    local task = self.ready[at]
    self.ready[at], self.first = nil, at + 1
    resume(self, task)
  end
end

-- How long nothing will happen by itself, in seconds.
local function idle_time(self)
  if self.first <= self.last then return 0 end
  local due = self.timers:next()
  if due then return math.max(0, due - core.monotonic()) end
  if next(self.slots) == nil then error("all that iot.map runs waits for something that will not come", 0) end
  return math.huge
end

-- There is news of what is in a slot.
local function tell(self, slot)
  local task = self.slots[slot]
  self.slots[slot] = nil
  if task then wake(self, task) else self.told[slot] = true end
end

-- Until an exchange has finished or the earliest timer is due.
local function wait(self)
  local seconds = idle_time(self)
  local finished, interrupted
  if self.multi then
    finished, interrupted = self.multi:wait(seconds, self.finished)
  elseif seconds > 0 then
    interrupted = core.sleep(seconds) == false
  end
  -- On the main thread the host's own hook has raised its error by now; this is another coroutine.
  if interrupted then error("interrupted!", 0) end
  for i = 1, finished or 0 do tell(self, self.finished[i]) end
  local now = core.monotonic()
  local task = self.timers:take(now)
  while task do
    task.timer = nil
    wake(self, task)
    task = self.timers:take(now)
  end
end

---Run everything until `is_done` says so.
---@param is_done fun(): boolean
function Scheduler:run(is_done)
  resume_ready(self)
  while not is_done() do
    wait(self)
    resume_ready(self)
  end
end

---Give up what is still under way, and close all connections.
function Scheduler:close()
  local task = next(self.alive) -- no list of them, for which there may be no memory
  while task do
    forget(self, task)
    task = next(self.alive)
  end
  if self.multi then self.multi:close() end
end

---Have the running task wait until `wake` is called with it.
---@param task iot.scheduler.Task
function scheduler.pause(task)
  pause(task)
end

---@param task iot.scheduler.Task
function scheduler.wake(task)
  wake(task.scheduler, task)
end

---Let the running task go on after all others that are ready.
function scheduler.rest()
  coroutine.yield(after_others)
end

-- The runtime ----------------------------------------------------------------------------------

---@type iot.Runtime
local concurrent = {
  scheduler = scheduler,
  now = core.now,
  monotonic = core.monotonic,
  random = core.random,
}

local function open_multi(self)
  self.multi = self.multi or core.multi(max_connections)
end

-- Begin an exchange with a method of the multi handle, wait, and answer what it ends with.
local function exchange(method, ...)
  local task = scheduler.about_to_wait()
  local self = task.scheduler
  open_multi(self)
  local slot, message, facts = self.multi[method](self.multi, ...)
  if not slot then return nil, message, facts end
  self.slots[slot] = task
  pause(task)
  return self.multi:finish(slot)
end

function concurrent.send(native, operation, params, attempt)
  return exchange("start", native, operation, params, attempt)
end

function concurrent.request(request)
  return exchange("request", request)
end

function concurrent.run(arguments, seconds)
  return exchange("run", arguments, seconds)
end

-- Wait for news of a download. They may have come already, while a task tried whether it can wait; to go on
-- without any is harmless, since who reads asks again.
local function await(self, slot, deadline)
  local task = scheduler.running()
  if not task or task.scheduler ~= self then error("attempt to read a download of an iot.map elsewhere", 0) end
  scheduler.about_to_wait()
  if self.slots[slot] then error("attempt to read a download that another task waits for", 0) end
  if not self.told[slot] then
    self.slots[slot] = task
    pause(task, deadline)
    if self.slots[slot] == task then -- its timer woke it
      self.slots[slot] = nil
      return "deadline"
    end
  end
  self.told[slot] = nil
  return "news"
end

-- Whichever task reads waits; that another one closes it is news, too.
function concurrent.download(request)
  local self = scheduler.about_to_wait().scheduler
  open_multi(self)
  return downloads.new(self.multi, request, function(slot, deadline) return await(self, slot, deadline) end,
    function(slot) tell(self, slot) end)
end

function concurrent.sleep(seconds)
  pause(scheduler.about_to_wait(), core.monotonic() + seconds)
end

-- Wait for one's turn: whoever leaves says so. False when it did not come in time.
local function enter(self, task, owner, deadline)
  local line = self.sections[owner]
  if not line then
    self.sections[owner] = { task }
    return true
  end
  if line[1] == task then return true end -- it had an error in it, which someone caught
  local ancestor = task
  while ancestor do
    if ancestor == line[1] then error("attempt to wait for what waits for this", 0) end
    ancestor = ancestor.within
  end
  line[#line + 1] = task
  pause(task, deadline)
  if line[1] == task then return true end
  for i = #line, 1, -1 do
    if line[i] == task then table.remove(line, i) end
  end
  return false
end

-- The section is a task of its own: an error ends only that, and the next in line has its turn. A pcall
-- would do it too, but Lua 5.1 cannot yield across one.
function concurrent.serialize(owner, deadline, fn, ...)
  local task = scheduler.about_to_wait()
  local self = task.scheduler
  if not enter(self, task, owner, deadline) then
    return nil, "its turn did not come in time", "Timeout"
  end
  local inner = self:spawn(task, function() wake(self, task) end, fn, ...)
  pause(task)
  leave(self, owner, self.sections[owner])
  if not inner.ok then error(inner.results[1], 0) end
  return unpack(inner.results, 1, inner.results.n)
end

return concurrent
