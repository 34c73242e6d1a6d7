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

local ARNS = {
  Thing = function(_, digits) return arns.thing("thing-" .. digits) end,
  Certificate = function(series, digits) return arns.certificate(certificates.id_head(series) .. digits) end,
  Policy = function(_, digits) return arns.policy("policy-" .. digits) end,
}

-- A byte in place of the digits of a line's number, and what JSON makes of it.
local PLACE, PLACE_IN_JSON = "\1", "\\u0001"

local function split(text)
  local parts = {}
  for part in (text .. PLACE_IN_JSON):gmatch("(.-)" .. PLACE_IN_JSON) do
    parts[#parts + 1] = part
  end
  return parts
end

-- What stands in a line of RESULTS after its offset: a list of texts between which the digits come.
local function layout(task)
  local template = templates.parse(task.members.templateBody or "")
  local resources, series = template and template.resources or RESOURCES, certificates.series(task.members.taskId)
  local pem, named = "", {}
  for index, resource in ipairs(resources) do
    local source = templates.source(resource)
    if source == "CertificateSigningRequest" or source == "CertificatePem" then
      pem = '"CertificatePem":' .. cjson.encode(certificates.pem_with(series, PLACE)) .. ","
    end
    named[index] = cjson.encode(resource.name) .. ":" .. cjson.encode(ARNS[resource.kind](series, PLACE))
  end
  return split((',"response":{%s"ResourceArns":{%s}}}\n'):format(pem, table.concat(named, ",")))
end

local NUMBER_HEAD, OFFSET_HEAD = '{"lineNumber":', ',"offset":'

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
  local texts, total = layout(task), 0
  local size = #NUMBER_HEAD + #OFFSET_HEAD + #table.concat(texts)
  for record = first, last do
    local line = success_line(record, things, failures)
    total = total + size + length(line) + length((line - 1) * INPUT_SIZE) + (#texts - 1) * math.max(8, length(line))
  end
  return total
end

-- A function that makes the texts of some records, as a list.
local function results(task, things, failures)
  local texts = layout(task)
  return function(first, last)
    local list, count = {}, 0
    for record = first, last do
      local line = success_line(record, things, failures)
      local digits = certificates.digits(line)
      list[count + 1], list[count + 2] = NUMBER_HEAD, line
      list[count + 3], list[count + 4] = OFFSET_HEAD, (line - 1) * INPUT_SIZE
      list[count + 5] = texts[1]
      count = count + 5
      for index = 2, #texts do
        list[count + 1], list[count + 2] = digits, texts[index]
        count = count + 2
      end
    end
    return list
  end
end

local function failed(_, things, failures)
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

local WRITE = { RESULTS = results, ERRORS = failed }

-- An iterator over the records from *first* to *last*, as texts of many lines.
function M.pieces(task, report_type, first, last)
  local write, at = WRITE[report_type](task, extent(task)), first
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
