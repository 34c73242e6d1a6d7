---Many calls at once: a function for each item of a list, in coroutines whose waits overlap.
local options = require "iot.config.options"

local map = {}

local default_concurrency = 16

---@type iot.Schema
local map_options = { concurrency = "number" }

local failure_metatable = { __name = "iot.MapFailure" }

function failure_metatable:__tostring()
  return self.message
end

-- What went wrong with an item, or nil: fn returned nil and a message.
local function failure_of(result, message, detail)
  if result ~= nil or message == nil then return nil end
  return { message = type(message) == "string" and message or "failed: " .. type(message), detail = detail }
end

local function keep(group, index, failure)
  failure.index, failure.item = index, group.items[index]
  group.failures[index] = setmetatable(failure, failure_metatable)
end

-- A worker takes one item after the other.
local function work(group, worker)
  while group.taken < group.results.n do
    worker.index = group.taken + 1
    group.taken = worker.index
    local waits = worker.task.waits
    local result, message, detail = group.fn(group.items[worker.index], worker.index)
    group.results[worker.index] = result
    local failure = failure_of(result, message, detail)
    if failure then keep(group, worker.index, failure) end
    worker.index = nil
    if worker.task.waits == waits then group.scheduler.rest() end -- it is the others' turn, or an interrupt's
  end
end

local add_worker

-- The item that an error is of: without memory a worker may have ended before it took one, and so the next.
local function item_of(group, worker)
  if worker.index or group.taken == group.results.n then return worker.index end
  group.taken = group.taken + 1
  return group.taken
end

-- An error ends the worker with its item; another takes its place.
local function on_end(group, worker, task)
  group.workers = group.workers - 1
  if not task.ok then
    local index = item_of(group, worker)
    if index then
      keep(group, index, {
        message = task.results[3], raised = true, error = task.results[1], traceback = task.results[2],
      })
    end
    if group.taken < group.results.n then return add_worker(group) end
  end
  if group.workers == 0 and group.owner then group.scheduler.wake(group.owner) end
end

function add_worker(group)
  local worker = {}
  group.workers = group.workers + 1
  worker.task = group.within:spawn(group.owner, function(task) on_end(group, worker, task) end, work,
    group, worker)
end

-- In the scheduler of the coroutine that called.
local function run_within(group, owner)
  group.owner, group.within = owner, owner.scheduler
  for _ = 1, math.min(group.concurrency, group.results.n) do add_worker(group) end
  if group.workers > 0 then group.scheduler.pause(owner) end
end

-- In one of its own, whose end, by an error too, closes what is open.
local function run_alone(group)
  group.within = group.scheduler.new()
  for _ = 1, math.min(group.concurrency, group.results.n) do add_worker(group) end
  local ok, message = pcall(group.within.run, group.within, function() return group.workers == 0 end)
  group.within:close()
  if not ok then error(message, 0) end
end

local function check(items, fn, given, level)
  options.check_argument("map", "items", items, "table", level + 1)
  options.check_argument("map", "fn", fn, "function", level + 1)
  if given ~= nil then options.check_argument("map", "options", given, "table", level + 1) end
  local concurrency = options.check("map", given, map_options, level + 1).concurrency or default_concurrency
  options.check_count("map", "concurrency", concurrency, level + 1)
  return concurrency
end

---The body of `iot.map`.
---@param items any[]
---@param fn fun(item: any, index: integer): any, string?, any
---@param given { concurrency: integer? }?
---@param level integer  of the caller to blame for misuse, as in `error`, seen from the caller of this
---@return table results
---@return table<integer, iot.MapFailure> failures
function map.run(items, fn, given, level)
  local group = {
    items = items, fn = fn, concurrency = check(items, fn, given, level + 1),
    results = { n = #items }, failures = {}, taken = 0, workers = 0,
    scheduler = require("iot.runtime").scheduler(),
  }
  local owner = group.scheduler.running()
  if owner then run_within(group, group.scheduler.about_to_wait()) else run_alone(group) end
  return group.results, group.failures
end

return map
