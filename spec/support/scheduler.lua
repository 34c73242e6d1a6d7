--- A runtime whose requests and sleeps yield, and the scheduler of the coroutines that use it: as in a
--- server, many calls are under way at once, on a clock that moves only while all of them wait.
--
--   local tasks = scheduler.new { answer = function(request) return { status = 200, ... } end }
--   for _ = 1, 100 do tasks:spawn(function() return store:get() end) end
--   for _, task in ipairs(tasks:run()) do print(task.raised, task[1], task[2]) end
--
-- Outside its coroutines nothing yields: a sleep moves the clock, and that is all. A coroutine that
-- raises gives back the sections that it was in, as the death of a request does in a server. No coroutine
-- yields across a pcall, nor does it have to: Lua 5.1 could not.
local environment = require "spec.support.environment"

---@class spec.scheduler
---@field runtime spec.environment.runtime
---@field latency number  seconds that a request takes
---@field answer fun(request: table): table?, string?, table?
---@field tasks spec.scheduler.task[]
---@field current spec.scheduler.task?  that runs now
---@field sections table<table, spec.scheduler.task>  owner of runtime.serialize -> who is in it
---@field queues table<table, spec.scheduler.task[]>  and who waits to be
local Scheduler = {}
Scheduler.__index = Scheduler

---@class spec.scheduler.task  the results, from 1 to `count`, after it has ended
---@field thread thread
---@field wake number?  when it goes on, of runtime.monotonic(); nil: another task will say
---@field ended number?  when it did
---@field raised any

local M = {}

function Scheduler:wait(seconds)
  local runtime, task = self.runtime, self.current
  if task then
    task.wake = runtime.clock + seconds
    coroutine.yield()
  else
    runtime.clock, runtime.wall = runtime.clock + seconds, runtime.wall + seconds
  end
end

function Scheduler:leave(owner, ...)
  local successor = table.remove(self.queues[owner], 1)
  self.sections[owner] = successor
  if successor then successor.wake = self.runtime.clock end
  return ...
end

-- Out of the queue; whoever waited in it has no time left.
function Scheduler:give_up(owner)
  for i, waiting in ipairs(self.queues[owner]) do
    if waiting == self.current then table.remove(self.queues[owner], i) end
  end
  return nil, "another's turn took too long", "Timeout"
end

function Scheduler:serialize(owner, deadline, fn, ...)
  local task = self.current
  if not task then return fn(...) end
  assert(self.sections[owner] ~= task, "a section within itself would wait for ever")
  self.queues[owner] = self.queues[owner] or {}
  if self.sections[owner] then
    table.insert(self.queues[owner], task)
    task.wake = deadline
    coroutine.yield() -- whoever leaves makes it the successor
    if self.sections[owner] ~= task then return self:give_up(owner) end
  else
    self.sections[owner] = task
  end
  return self:leave(owner, fn(...))
end

---@param settings? { latency: number?, answer: (fun(request: table): table?, string?, table?)? }
---@return spec.scheduler
function M.new(settings)
  settings = settings or {}
  local runtime = environment.runtime()
  local self = setmetatable({
    runtime = runtime, tasks = {}, sections = {}, queues = {},
    latency = settings.latency or 0.1, answer = settings.answer or runtime.request,
  }, Scheduler)
  function runtime.sleep(seconds) self:wait(seconds) end
  function runtime.serialize(...) return self:serialize(...) end
  function runtime.request(request)
    self:wait(self.latency)
    return self.answer(request)
  end
  return self
end

--- A new coroutine, which runs when `run` is called.
---@param fn function
---@return spec.scheduler.task
function Scheduler:spawn(fn, ...)
  local arguments, count = { ... }, select("#", ...)
  local unpack = rawget(_G, "unpack") or rawget(table, "unpack")
  local task = { wake = self.runtime.clock }
  task.thread = coroutine.create(function() return fn(unpack(arguments, 1, count)) end)
  table.insert(self.tasks, task)
  return task
end

-- After a resume: keep what it yielded or how it ended.
local function note(self, task, ok, ...)
  if coroutine.status(task.thread) ~= "dead" then return end
  task.ended = self.runtime.clock
  if ok then
    task.count = select("#", ...)
    for i = 1, task.count do task[i] = (select(i, ...)) end
    return
  end
  task.raised = (...)
  for owner, holder in pairs(self.sections) do
    if holder == task then self:leave(owner) end
  end
end

-- Who has waited longest; the first spawned of those.
local function next_task(self)
  local first
  for _, task in ipairs(self.tasks) do
    if not task.ended and task.wake and (not first or task.wake < first.wake) then first = task end
  end
  return first
end

--- Run all coroutines to their ends, the clocks going on as they sleep. Raises when some wait for ever.
---@return spec.scheduler.task[]  those that have ended by this, in the order of their spawning
function Scheduler:run()
  local runtime = self.runtime
  local task = next_task(self)
  while task do
    local passed = math.max(0, task.wake - runtime.clock)
    runtime.clock, runtime.wall = runtime.clock + passed, runtime.wall + passed
    task.wake, self.current = nil, task
    note(self, task, coroutine.resume(task.thread))
    self.current = nil
    task = next_task(self)
  end
  local tasks = self.tasks
  self.tasks = {}
  for i, waiting in ipairs(tasks) do
    assert(waiting.ended, ("task %d waits for ever"):format(i))
  end
  return tasks
end

return M
