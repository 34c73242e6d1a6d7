local links = require "simulator.links"
local paging = require "simulator.paging"
local reports = require "simulator.reports"
local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

local MEMBERS = { { "reportType", "ReportType" }, paging.MEMBERS[1], paging.MEMBERS[2] }

-- A position says into how many parts so many records were divided on the first page, for a report that grows has
-- more of them on the next.
local function read_position(position, task, report_type)
  local number, parts, count = position:match("^(%d+) (%d+) (%d+)$")
  if number then
    return tonumber(number), tonumber(parts), tonumber(count)
  end
  count = reports.count(task, report_type)
  return 1, reports.parts(count), count
end

local function page(task, parameters, position, now)
  local resource_links = {}
  local number, parts, count = read_position(position, task, parameters.reportType)
  local last = math.min(number + paging.size(parameters) - 1, parts)
  for part = number, last do
    local first_record, last_record = reports.part(part, parts, count)
    table.insert(resource_links, links.make({
      task_id = task.taskId, report_type = parameters.reportType, number = part, parts = parts,
      first = first_record, last = last_record,
    }, now))
  end
  return resource_links, last < parts and ("%d %d %.0f"):format(last + 1, parts, count) or nil
end

return {
  name = "ListThingRegistrationTaskReports",
  method = "GET",
  path = "/thing-registration-tasks/{taskId}/reports",

  -- The model has no ResourceNotFoundException for this operation.
  run = function(call)
    local task_id, parameters = call.labels.taskId, call.request:parameters()
    local good, code, message = validation.check(call.labels, { { "taskId", "TaskId" } })
    if good then
      good, code, message = validation.check(parameters, MEMBERS)
    end
    if not good then
      return nil, code, message
    end
    local task = tasks.describe(task_id, call.now)
    if not task then
      return nil, "InvalidRequestException", ("Task %s does not exist."):format(task_id)
    end
    local question = ("reports %s %s"):format(parameters.reportType, task_id)
    local position
    position, code, message = paging.position(question, parameters)
    if not position then
      return nil, code, message
    end
    local resource_links, rest = page(task, parameters, position, call.now)
    return paging.body("resourceLinks", resource_links, rest and paging.token(question, rest),
      { reportType = parameters.reportType })
  end,
}
