---Output for programs: what `iot.cli.text` has for people, as JSON documents of one line each.
local json = require "iot.cli.json"

local documents = {}

local task_order = {
  "taskId", "creationDate", "lastModifiedDate", "templateBody", "inputFileBucket", "inputFileKey", "roleArn",
  "status", "message", "successCount", "failureCount", "percentageProgress",
}
local record_order = { "number", "inputLine", "reason", "input", "content", "malformed", "raw" }
local check_order = { "ok", "lines", "failedLines", "problemCount", "problems" }
local problem_order = { "where", "line", "code", "resource", "parameter", "message" }
local error_order = { "kind", "code", "message", "status", "requestId", "attempts", "operation" }

local function document(order, members)
  return json.encode(json.object(order, members)) .. "\n"
end

---The task as the service names its members, those that are not known here included.
---@param task iot.Task
---@return string
function documents.task(task)
  return document(task_order, task)
end

---@param id string
---@return string
function documents.started(id)
  return document({}, { taskId = id })
end

documents.stopped = documents.started

---@param ids string[]
---@return string
function documents.ids(ids)
  return document({}, { taskIds = json.list(ids) })
end

---@param record table  of a report
---@return string
function documents.record(record)
  return document(record_order, {
    number = record.number, inputLine = record:input_line(), reason = record:reason(), input = record:input(),
    content = record.content and json.object_of_text(record.raw, record.content),
    malformed = record.malformed, raw = record.raw,
  })
end

---@param result table  of iot.check_provisioning
---@return string
function documents.check(result)
  local problems = {}
  for i, problem in ipairs(result.problems) do
    problems[i] = json.object(problem_order, {
      where = problem.where, line = problem.line, code = problem.code, resource = problem.resource,
      parameter = problem.parameter, message = problem.message,
    })
  end
  return document(check_order, {
    ok = result.ok, lines = result.lines, failedLines = result.failed_lines, problemCount = result.problem_count,
    problems = json.list(problems),
  })
end

---@param result { certificatePem: string?, resourceArns: table<string, string>? }
---@return string
function documents.registered(result)
  return document({ "certificatePem", "resourceArns" }, {
    certificatePem = result.certificatePem, resourceArns = json.object({}, result.resourceArns or {}),
  })
end

---@param message string
---@param detail table?
---@return string
function documents.failure(message, detail)
  detail = detail or {}
  return document({}, { error = json.object(error_order, {
    kind = detail.kind, code = detail.code, message = message, status = detail.status,
    requestId = detail.request_id, attempts = detail.attempts, operation = detail.operation,
  }) })
end

return documents
