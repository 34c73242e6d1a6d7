-- The records of a task that has no more than a plan, or than its counts: they are made up when somebody asks, and
-- never held. Failures are spread evenly over an input file whose lines are all of one length.

local arns = require "simulator.arns"
local certificates = require "simulator.certificates"
local cjson = require "cjson.safe"
local errors = require "simulator.reports.errors"
local settings = require "simulator.settings"
local templates = require "simulator.provisioning.template"

local M = {}

local PIECE = 200    -- records

local REASONS = {
  { "InvalidRequestException", "Thing thing-%s already exists with other attributes" },
  { "ThrottlingException", "Rate exceeded" },
  { "ResourceRegistrationFailureException", "The certificate of line %s could not be registered" },
}

-- What is registered where the task's template does not tell.
local RESOURCES = {
  { name = "certificate", kind = "Certificate", properties = { CertificateSigningRequest = "" } },
  { name = "thing", kind = "Thing", properties = { ThingName = "" } },
}

local function input_line(digits)
  return ('{"ThingName":"thing-%s","SerialNumber":"%s"}'):format(digits, digits)
end

local INPUT_SIZE = #input_line("00000000") + 1

-- How many lines the input file has, and how many of them fail.
local function extent(task)
  local plan, members = task.plan, task.members
  if plan then
    return plan.things, math.min(plan.failures, plan.things)
  end
  local failures = tonumber(members.failureCount) or 0
  return (tonumber(members.successCount) or 0) + failures, failures
end

-- What stands between the values of a line of RESULTS: a list of texts, and the kind of the value after each.
local NUMBER, OFFSET, DIGITS = 1, 2, 3
local function layout(task)
  local texts, kinds = {}, {}
  local function add(text, kind)
    texts[#texts + 1], kinds[#kinds + 1] = text, kind
  end
  local template = templates.parse(task.members.templateBody or "")
  local series = certificates.series(task.members.taskId)
  local resources, named, certified = template and template.resources or RESOURCES, {}, false
  for index, resource in ipairs(resources) do
    local before = (index > 1 and "," or "") .. cjson.encode(resource.name) .. ":"
    if resource.kind == "Thing" then
      named[index] = { before .. cjson.encode(arns.thing("thing-")):sub(1, -2), DIGITS }
    elseif resource.kind == "Certificate" then
      certified = certified or templates.source(resource) ~= "CertificateId"
      named[index] = { before .. cjson.encode(arns.certificate(certificates.id_head(series))):sub(1, -2), DIGITS }
    else
      named[index] = { before .. cjson.encode(arns.policy("policy-")):sub(1, -2), DIGITS }
    end
  end
  add('{"lineNumber":', NUMBER)
  add(',"offset":', OFFSET)
  local text = ',"response":{'
  if certified then
    add(text .. '"CertificatePem":' .. cjson.encode(certificates.HEAD .. series:sub(1, 8)):sub(1, -2), DIGITS)
    text = cjson.encode(certificates.TAIL):sub(2) .. ","
  end
  text = text .. '"ResourceArns":{'
  for _, one in ipairs(named) do
    add(text .. one[1], one[2])
    text = '"'
  end
  return texts, kinds, text .. "}}}\n"
end

local function length(number)
  local digits, limit = 1, 10
  while number >= limit do
    digits, limit = digits + 1, limit * 10
  end
  return digits
end

-- The line of the input file that a record is about.
local function success_line(record, things, failures)
  return math.floor((record - 1) * things / (things - failures)) + 1
end

local function failure_line(record, things, failures)
  return math.ceil(record * things / failures)
end

-- The bytes of the RESULTS from one record to another.
local function results_size(task, first, last)
  local things, failures = extent(task)
  local texts, kinds, ending = layout(task)
  local size = #table.concat(texts) + #ending
  for _, kind in ipairs(kinds) do
    size = size + (kind == DIGITS and 8 or 0)
  end
  local total = 0
  for record = first, last do
    local line = success_line(record, things, failures)
    total = total + size + length(line) + length((line - 1) * INPUT_SIZE)
  end
  return total
end

-- The texts of some records of RESULTS, as a list.
local function results(texts, kinds, ending, things, failures)
  return function(first, last)
    local list, count = {}, 0
    for record = first, last do
      local line = success_line(record, things, failures)
      local digits = certificates.digits(line)
      for index, kind in ipairs(kinds) do
        list[count + 1] = texts[index]
        list[count + 2] = kind == DIGITS and digits or kind == NUMBER and line or (line - 1) * INPUT_SIZE
        count = count + 2
      end
      list[count + 1] = ending
      count = count + 1
    end
    return list
  end
end

local function failed(things, failures)
  local way = settings.get("report_errors")
  return function(first, last)
    local list = {}
    for record = first, last do
      local line = failure_line(record, things, failures)
      local digits = certificates.digits(line)
      local reason = REASONS[(record - 1) % #REASONS + 1]
      list[#list + 1] = errors.line(way, record, {
        line_number = line, offset = (line - 1) * INPUT_SIZE, code = reason[1], message = reason[2]:format(digits),
        input = input_line(digits),
      })
    end
    return list
  end
end

-- An iterator over the records from *first* to *last*, as texts of many lines.
function M.pieces(task, report_type, first, last)
  local things, failures = extent(task)
  local write
  if report_type == "RESULTS" then
    local texts, kinds, ending = layout(task)
    write = results(texts, kinds, ending, things, failures)
  else
    write = failed(things, failures)
  end
  local at = first
  return function()
    if at <= last then
      local from = at
      at = math.min(from + PIECE - 1, last) + 1
      return table.concat(write(from, at - 1))
    end
  end
end

-- The bytes of all these pieces, where that is known without making them; else nil.
function M.size(task, report_type, first, last)
  return report_type == "RESULTS" and results_size(task, first, last) or nil
end

return M
