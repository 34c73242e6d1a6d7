-- The thing-registration tasks. A task is kept as a record: the members that never change and, unless it
-- was seeded with all of its members, a plan; what a description says of its progress is computed from the
-- plan and the clock when somebody asks. Each has a number, by which lists are in order.

local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local outcomes = require "simulator.outcomes"
local progress = require "simulator.progress"
local settings = require "simulator.settings"

local M = {}

local store = ngx.shared.tasks
local index = ngx.shared.index -- the taskId of each number; "last", the last one; "running", a list

local PLAN = { "things", "failures", "seconds", "status", "message" }

-- A plan with every member: the given ones, else those of the settings.
local function complete(plan)
  local whole = { unreadable = plan.unreadable }
  for _, name in ipairs(PLAN) do
    whole[name] = plan[name]
    if whole[name] == nil then
      whole[name] = settings.get(name)
    end
  end
  return whole
end

local function load(task_id)
  local text = store:get(task_id)
  return text and cjson.decode(text)
end

local function save(record)
  assert(store:safe_set(record.members.taskId, cjson.encode(record)))
end

-- Adds a task, or puts it in the place of the one with its taskId. *members* are the members of a description,
-- *plan* (optional) how it will go on from its creationDate, and *processed* says that outcomes.lua knows what
-- comes of each line. Returns the taskId.
function M.add(members, plan, now, processed)
  members.taskId = members.taskId or digest.uuid()
  members.creationDate = members.creationDate or progress.milliseconds(now)
  if not plan then
    members.lastModifiedDate = members.lastModifiedDate or members.creationDate
  end
  local old = load(members.taskId)
  local number = old and old.number or index:incr("last", 1, 0)
  save { members = members, plan = plan and complete(plan), number = number, processed = processed }
  assert(index:safe_set(number, members.taskId))
  return members.taskId
end

-- The record of a task at a time, or nil when there is no such task.
function M.find(task_id, now)
  local record = load(task_id)
  if record then
    progress.update(record, now, record.processed and outcomes.failures_in(task_id))
  end
  return record
end

-- The same as a description.
function M.describe(task_id, now)
  local record = M.find(task_id, now)
  return record and record.members
end

-- The tasks that were started and have not ended, as a list of taskIds. Where they are fewer than *enough*,
-- some of them may have ended.
local function running(now, enough)
  local known, ids = cjson.decode(index:get("running") or "[]"), {}
  if #known < enough then
    return known
  end
  for _, task_id in ipairs(known) do
    local task = M.describe(task_id, now)
    if task and (task.status == "InProgress" or task.status == "Cancelling") then
      ids[#ids + 1] = task_id
    end
  end
  return ids
end

-- Why no task can be started now, or nil. Tasks that were seeded are in nobody's way.
function M.busy(now)
  local limit = settings.get("concurrent_tasks")
  local ids = running(now, limit)
  return #ids >= limit and ("Task %s has not ended yet: no more than %d may run at a time."):format(
    tostring(ids[1]), limit) or nil
end

-- The same as add for a task that counts as running until it has ended.
function M.start(members, plan, now, processed)
  local ids = running(now, settings.get("concurrent_tasks"))
  ids[#ids + 1] = M.add(members, plan, now, processed)
  index:set("running", cjson.encode(ids))
  return members.taskId
end

-- The taskIds from a number down, the newest first (nil: from the newest on), at most so many; and the
-- number to go on from, nil at the end. What is added meanwhile gets higher numbers, and so moves nothing.
function M.list(status, from, limit, now)
  local ids = {}
  for number = from or index:get("last") or 0, 1, -1 do
    local task_id = index:get(number)
    if task_id and (not status or M.describe(task_id, now).status == status) then
      if #ids == limit then
        return ids, number
      end
      ids[#ids + 1] = task_id
    end
  end
  return ids
end

-- Stops a task. Returns true, or nil with the code and message of the refusal.
function M.stop(task_id, now)
  local task = M.describe(task_id, now)
  if not task then
    return nil, "ResourceNotFoundException", ("Task %s does not exist."):format(task_id)
  end
  if task.status == "Cancelling" then
    return true
  elseif task.status ~= "InProgress" then
    return nil, "InvalidRequestException", ("Task %s cannot be cancelled: it is %s."):format(
      task_id, tostring(task.status))
  end
  local record = load(task_id)
  record.stopped = { at = now, ends = now + settings.get("cancel_seconds") }
  save(record)
  return true
end

-- Forgets all tasks. No number is given twice: a token of a page may still be about.
function M.clear()
  local last = index:get("last")
  store:flush_all()
  index:flush_all()
  index:set("last", last)
end

return M
