-- The thing-registration tasks. A task is kept as the members that never change and, unless it was
-- seeded with all of its members, a plan; what a description says of its progress is computed from
-- the plan and the clock when somebody asks.

local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local settings = require "simulator.settings"

local M = {}

local store = ngx.shared.tasks

local PLAN = { "things", "failures", "seconds", "status", "message" }
local FAILED_MESSAGE = "Unable to read the input file: Access Denied"

-- A plan with every member: the given ones, else those of the settings.
local function complete(plan)
  local whole = {}
  for _, name in ipairs(PLAN) do
    whole[name] = plan[name]
    if whole[name] == nil then
      whole[name] = settings.get(name)
    end
  end
  return whole
end

local function milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5) / 1000
end

-- Adds a task. *members* are the members of a description, *plan* (optional) how it will go on from
-- its creationDate. Returns the taskId.
function M.add(members, plan, now)
  members.taskId = members.taskId or digest.uuid()
  members.creationDate = members.creationDate or milliseconds(now)
  if plan then
    plan = complete(plan)
  else
    members.lastModifiedDate = members.lastModifiedDate or members.creationDate
  end
  assert(store:set(members.taskId, cjson.encode { members = members, plan = plan }))
  return members.taskId
end

-- reference 9.2: a task that fails as a whole does so half-way, and its percentage stays there. One that is
-- to be cancelled is told so half-way, and takes the other half for it.
local function progress(description, plan, now)
  local last_share = (plan.status == "Failed" or plan.status == "Cancelled") and 0.5 or 1
  local ends_after = plan.seconds * (plan.status == "Failed" and 0.5 or 1)
  local elapsed = math.max(0, now - description.creationDate)
  local running = elapsed < ends_after
  local share = running and math.min(elapsed / plan.seconds, last_share) or last_share
  local processed = math.floor(plan.things * share)

  description.failureCount = math.floor(plan.failures * share)
  description.successCount = processed - description.failureCount
  description.percentageProgress = math.floor(100 * share)
  description.status = running and "InProgress" or plan.status
  if running and plan.status == "Cancelled" and share == last_share then
    description.status = "Cancelling"
  end
  description.lastModifiedDate = milliseconds(running and now or description.creationDate + ends_after)
  if not running and plan.message ~= "" then
    description.message = plan.message
  elseif not running and plan.status == "Failed" then
    description.message = FAILED_MESSAGE
  end
end

-- The description of a task at a time, or nil when there is no such task.
function M.describe(task_id, now)
  local record = store:get(task_id)
  if not record then
    return nil
  end
  record = cjson.decode(record)
  if record.plan then
    progress(record.members, record.plan, now)
  end
  return record.members
end

return M
