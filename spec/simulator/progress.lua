-- How a task stands at a time: what the clock has made of its plan.

local M = {}

local FAILED_MESSAGE = "Unable to read the input file: Access Denied"

function M.milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5) / 1000
end

-- How many of the first so many lines have failed, where all that a plan says is how many of all.
local function spread(plan)
  return function(processed)
    return plan.things > 0 and math.floor(processed * math.min(plan.failures, plan.things) / plan.things) or 0
  end
end

-- reference 9.2: a task that fails as a whole does so half-way, and its percentage stays there, unless it never
-- got to a line. One that is to be cancelled is told so half-way, and takes the other half for it.
local function follow(description, plan, now, failures_in)
  local last_share = (plan.status == "Failed" or plan.status == "Cancelled") and 0.5 or 1
  local ends_after = plan.seconds * (plan.status == "Failed" and 0.5 or 1)
  local elapsed = math.max(0, now - description.creationDate)
  local running = elapsed < ends_after
  local share = running and math.min(elapsed / plan.seconds, last_share) or last_share
  if running and plan.status == "Cancelled" and share == last_share then
    description.status = "Cancelling"
  else
    description.status = running and "InProgress" or plan.status
  end
  share = plan.unreadable and 0 or share
  local processed = math.floor(plan.things * share)
  description.failureCount = failures_in(processed)
  description.successCount = processed - description.failureCount
  description.percentageProgress = math.floor(100 * share)
  description.lastModifiedDate = M.milliseconds(running and now or description.creationDate + ends_after)
  if not running and plan.message ~= "" then
    description.message = plan.message
  elseif not running and plan.status == "Failed" then
    description.message = FAILED_MESSAGE
  end
end

-- Brings the members of a task's record up to date. *failures_in* (optional) tells how many of its first so
-- many lines fail. A task that was stopped stands where it stood then.
function M.update(record, now, failures_in)
  local members, plan, stopped = record.members, record.plan, record.stopped
  if plan then
    follow(members, plan, stopped and math.min(now, stopped.at) or now, failures_in or spread(plan))
  end
  if stopped then
    members.status = now < stopped.ends and "Cancelling" or "Cancelled"
    members.lastModifiedDate = M.milliseconds(math.min(now, stopped.ends))
  end
end

return M
