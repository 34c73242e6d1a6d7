---Output for people: nothing that came from elsewhere can harm a terminal or forge a line.
local excerpt = require "iot.excerpt"
local manual = require "iot.cli.manual"

local text = {}

local longest = 2048 -- bytes of one thing in a line
local glance = 200 -- bytes of a line that cannot be told otherwise
local end_of_time = 253402300800 -- the year 10000, in seconds since the epoch

local function fit(value, limit)
  return excerpt.line(tostring(value), limit or longest)
end

local function whole(number)
  return ("%.0f"):format(number)
end

local function counted(number, noun)
  return whole(number) .. " " .. noun .. (number == 1 and "" or "s")
end

local function date_of(seconds)
  if not (seconds >= 0 and seconds < end_of_time) then return fit(seconds) end
  return os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(seconds))
end

-- "name:   value" for each { name, value }, those without a value left out.
local function table_of(rows)
  local width, lines = 0, {}
  for _, row in ipairs(rows) do
    if row[2] then width = math.max(width, #row[1]) end
  end
  for _, row in ipairs(rows) do
    if row[2] then lines[#lines + 1] = ("%s:%s %s\n"):format(row[1], (" "):rep(width - #row[1]), row[2]) end
  end
  return table.concat(lines)
end

local function input_of(task)
  if not (task.inputFileBucket or task.inputFileKey) then return nil end
  return ("s3://%s/%s"):format(fit(task.inputFileBucket or ""), fit(task.inputFileKey or ""))
end

-- Names and texts of a map, in the order of the names.
local function pairs_of(map)
  local rows = {}
  for name, value in pairs(map or {}) do
    if type(value) == "string" then rows[#rows + 1] = { fit(name), fit(value) } end
  end
  table.sort(rows, function(a, b) return a[1] < b[1] end)
  return rows
end

---@param task iot.Task
---@return string lines
function text.task(task)
  local function known(value, form) return value and (form or fit)(value) end
  return table_of {
    { "task", known(task.taskId) },
    { "status", known(task.status) },
    { "message", known(task.message) },
    { "progress", known(task.percentageProgress, function(percent) return whole(percent) .. " %" end) },
    { "succeeded", known(task.successCount, whole) },
    { "failed", known(task.failureCount, whole) },
    { "created", known(task.creationDate, date_of) },
    { "modified", known(task.lastModifiedDate, date_of) },
    { "input", input_of(task) },
    { "role", known(task.roleArn) },
    { "template", known(task.templateBody, function(body) return counted(#body, "byte") end) },
  }
end

---@param id string
---@return string line
function text.started(id)
  return fit(id) .. "\n"
end

---@param id string
---@return string line
function text.stopped(id)
  return "cancelling " .. fit(id) .. "\n"
end

---One of a list.
---@param id string
---@return string line
function text.id(id)
  return fit(id) .. "\n"
end

-- What is known of a record, in a few words; a glance at it when that is nothing.
local function story_of(record)
  local parts, reason = {}, record:reason()
  if record.malformed then parts[1] = "cannot be read: " .. fit(record.malformed) end
  if reason then parts[#parts + 1] = fit(reason) end
  local arns = {}
  for i, pair in ipairs(pairs_of(record:resource_arns())) do arns[i] = pair[1] .. "=" .. pair[2] end
  if #arns > 0 then parts[#parts + 1] = table.concat(arns, " ") end
  if record.malformed or #parts == 0 then parts[#parts + 1] = fit(record.raw, glance) end
  return table.concat(parts, "; ")
end

---@param record table  of a report
---@return string line
function text.record(record)
  local line = record:input_line()
  local place = line and "line " .. whole(line) or "record " .. whole(record.number)
  return place .. ": " .. story_of(record) .. "\n"
end

---@param record iot.ReportRecord
---@return string words
function text.cut(record)
  return ("record %s is not whole: %s"):format(whole(record.number), fit(record.malformed))
end

---@param name string  of a file
---@return string words
function text.name(name)
  return fit(name, glance)
end

---@param line string
---@return string line  fit for a terminal, all of it
function text.raw(line)
  return fit(line, math.huge) .. "\n"
end

local function verdict_of(result, with_input)
  if result.ok then return "ok" .. (with_input and ": " .. counted(result.lines, "line") or "") end
  local problems = counted(result.problem_count, "problem")
  if not with_input then return problems end
  return ("%s; %s of %s would fail"):format(problems, whole(result.failed_lines), counted(result.lines, "line"))
end

---One of a check.
---@param problem iot.Problem
---@return string line
function text.problem(problem)
  return fit(problem.message) .. "\n"
end

---What a check comes to, behind its problems.
---@param result iot.CheckResult
---@param with_input boolean  whether there was an input file
---@return string line
function text.check(result, with_input)
  return verdict_of(result, with_input) .. "\n"
end

---@param result { certificatePem: string?, resourceArns: table<string, string>? }
---@return string lines
function text.registered(result)
  local lines = {}
  for line in (result.certificatePem or ""):gmatch "[^\r\n]+" do lines[#lines + 1] = fit(line) .. "\n" end
  return table_of(pairs_of(result.resourceArns)) .. table.concat(lines)
end

---@param message string
---@return string line
function text.failure(message)
  return ("%s: %s\n"):format(manual.program, fit(message, 2 * longest))
end

return text
