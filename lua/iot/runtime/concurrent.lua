---The runtime inside `iot.map`: a wait is a coroutine that yields, and libcurl drives all exchanges at once.
local core = require "iot.core"
local timers = require "iot.runtime.timers"

local is_yieldable = rawget(coroutine, "isyieldable") -- from Lua 5.3 on
local unpack = rawget(_G, "unpack") or rawget(table, "unpack")

---A coroutine of a scheduler.
---@class iot.scheduler.Task
---@field thread thread
---@field scheduler iot.Scheduler
---@field turn integer  moves with every wait, so that a timer of an earlier one is known for stale
---@field is_ready boolean  it goes on as soon as those before it have waited
---@field notify fun(task: iot.scheduler.Task)  called at its end
---@field ok boolean?  how it ended; nil while it lives
---@field results table?  what its function returned, from 1 to results.n; or the error and the traceback

---@class iot.Scheduler
---@field connections integer  how many idle ones are kept
---@field multi userdata?  of iot.core, made with the first exchange
---@field slots table<integer, iot.scheduler.Task>  who waits for the exchange in a slot of `multi`
---@field ready iot.scheduler.Task[]  from `first` to `last`: who goes on
---@field timers iot.Timers
---@field sections table<table, iot.scheduler.Task[]>  owner of `serialize` -> who is in it, then who waits
---@field alive table<iot.scheduler.Task, true>
---@field finished integer[]  room for what `multi` answers
local Scheduler = {}
Scheduler.__index = Scheduler

local scheduler = {}

-- The task of each coroutine that is one: the only way to tell where a call is made.
local tasks = setmetatable({}, { __mode = "k" })

-- What a wait yields. Whatever else comes up is a yield of someone else's, which no one will answer.
local waiting = {}

---@param connections integer  how many idle connections are kept
---@return iot.Scheduler
function scheduler.new(connections)
  return setmetatable({
    connections = connections, slots = {}, ready = {}, first = 1, last = 0,
    timers = timers.new(), sections = {}, finished = {}, alive = {},
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

local function wake(self, task)
  if task.is_ready then return end
  task.is_ready, task.turn = true, task.turn + 1
  self.last = self.last + 1
  self.ready[self.last] = task
end

-- Wait until someone wakes the task that runs, or until the deadline, of core.monotonic().
local function pause(task, deadline)
  if deadline then task.scheduler.timers:add(deadline, task, task.turn) end
  coroutine.yield(waiting)
end

---Begin a coroutine, which runs with the next turn of `run`.
---@param notify fun(task: iot.scheduler.Task)  called at its end
---@param fn function
---@return iot.scheduler.Task
function Scheduler:spawn(notify, fn, ...)
  local task = { scheduler = self, turn = 0, notify = notify, arguments = { n = select("#", ...), ... } }
  task.thread = coroutine.create(fn)
  tasks[task.thread], self.alive[task] = task, true
  wake(self, task)
  return task
end

local function finish(self, task, ok, ...)
  task.ok, task.results = ok, { n = select("#", ...), ... }
  tasks[task.thread], self.alive[task] = nil, nil
  task.notify(task)
end

-- After a resume.
local function note(self, task, ok, ...)
  if not ok then return finish(self, task, false, (...), debug.traceback(task.thread, tostring((...)))) end
  if coroutine.status(task.thread) == "dead" then return finish(self, task, true, ...) end
  if (...) ~= waiting then
    local message = "attempt to yield out of a function that iot.map runs"
    finish(self, task, false, message, debug.traceback(task.thread, message))
  end
end

local function resume_ready(self)
  while self.first <= self.last do
    local task = self.ready[self.first]
    self.ready[self.first], self.first = nil, self.first + 1
    task.is_ready = false
    local arguments = task.arguments
    task.arguments = nil
    if arguments then
      note(self, task, coroutine.resume(task.thread, unpack(arguments, 1, arguments.n)))
    else
      note(self, task, coroutine.resume(task.thread))
    end
  end
end

-- Until an exchange has finished or the earliest timer is due.
local function wait(self)
  local due = self.timers:next()
  local seconds = due and math.max(0, due - core.monotonic()) or math.huge
  local finished, interrupted
  if self.multi then
    finished, interrupted = self.multi:wait(seconds, self.finished)
  else
    finished, interrupted = 0, core.sleep(seconds) == false
  end
  -- Where a hook stands for the interrupt, Lua has raised it by now, unless this is another coroutine.
  if interrupted then error("interrupted!", 0) end
  for i = 1, finished do
    local slot = self.finished[i]
    local task = self.slots[slot]
    self.slots[slot] = nil
    wake(self, task)
  end
  local now = core.monotonic()
  local task, turn = self.timers:take(now)
  while task do
    if turn == task.turn then wake(self, task) end
    task, turn = self.timers:take(now)
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
  for task in pairs(self.alive) do tasks[task.thread] = nil end
  self.alive = {}
  if self.multi then self.multi:close() end
end

---Wait in the running task until `wake` is called with it.
---@param task iot.scheduler.Task
function scheduler.pause(task)
  pause(task)
end

---@param task iot.scheduler.Task
function scheduler.wake(task)
  wake(task.scheduler, task)
end

-- The runtime ----------------------------------------------------------------------------------

---@type iot.Runtime
local concurrent = {
  scheduler = scheduler,
  now = core.now,
  monotonic = core.monotonic,
  random = core.random,
}

-- Begin an exchange with a method of the multi handle, wait, and answer what it ends with.
local function exchange(method, ...)
  local task = scheduler.running()
  local self = task.scheduler
  self.multi = self.multi or core.multi(self.connections)
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

function concurrent.sleep(seconds)
  pause(scheduler.running(), core.monotonic() + seconds)
end

-- Wait for one's turn: whoever leaves says so. False when it did not come in time.
local function enter(self, task, owner, deadline)
  local line = self.sections[owner]
  if not line then
    self.sections[owner] = { task }
    return true
  end
  line[#line + 1] = task
  pause(task, deadline)
  if line[1] == task then return true end
  for i = #line, 1, -1 do
    if line[i] == task then table.remove(line, i) end
  end
  return false
end

local function leave(self, owner)
  local line = self.sections[owner]
  table.remove(line, 1)
  if line[1] then wake(self, line[1]) else self.sections[owner] = nil end
end

-- The section is a task of its own: an error ends only that, and the next in line has its turn. A pcall
-- would do it too, but Lua 5.1 cannot yield across one.
function concurrent.serialize(owner, deadline, fn, ...)
  local task = scheduler.running()
  local self = task.scheduler
  if not enter(self, task, owner, deadline) then
    return nil, "another call's renewal of the credentials took too long", "Timeout"
  end
  local inner = self:spawn(function() wake(self, task) end, fn, ...)
  pause(task)
  leave(self, owner)
  if not inner.ok then error(inner.results[1], 0) end
  return unpack(inner.results, 1, inner.results.n)
end

return concurrent
