-- A whole input file, line by line, with a template.

local certificates = require "simulator.certificates"
local cjson = require "cjson.safe"
local line = require "simulator.provisioning.line"
local outcomes = require "simulator.outcomes"
local templates = require "simulator.provisioning.template"
local validation = require "simulator.validation"

local M = {}

-- Calls see(number, offset, text) for each line; a line end at the end begins no other one.
local function each_line(text, see)
  local number, at = 0, 1
  while at <= #text do
    local stop = text:find("\n", at, true) or #text + 1
    number = number + 1
    see(number, at - 1, text:sub(at, stop - 1))
    at = stop + 1
  end
end

-- A report is JSON, whatever the line was.
local function readable(text)
  return validation.characters(text) and text or (text:gsub("[\128-\255]", "\239\191\189"))
end

local function result_line(number, offset, result)
  local pem = result.made and ('"CertificatePem":"%s",'):format(outcomes.PEM)
    or result.pem and ('"CertificatePem":%s,'):format(cjson.encode(result.pem)) or ""
  return ('{"lineNumber":%d,"offset":%d,"response":{%s"ResourceArns":%s}}'):format(
    number, offset, pem, cjson.encode(result.arns))
end

-- Returns the result of a line; or nil, and the code and message of its failure.
local function process(template, number, text, taken, series)
  local parameters, problem = line.read(text, number)
  problem = problem or line.problem(parameters)
  if problem then
    return nil, "InvalidRequestException", problem
  end
  local result
  result, problem = line.register(template, parameters, taken, series, number)
  if not result then
    return nil, "ResourceRegistrationFailureException", problem
  end
  return result
end

local function joined(lines)
  return table.concat(lines, "\n") .. (lines[1] and "\n" or "")
end

local function process_all(template, text, series)
  local flags, results, failures, taken = {}, {}, {}, {}
  each_line(text, function(number, offset, input)
    local result, code, message = process(template, number, input, taken, series)
    if result then
      results[#results + 1] = result_line(number, offset, result)
    else
      failures[#failures + 1] = cjson.encode { number, offset, code, readable(message), readable(input) }
    end
    flags[number] = result and "+" or "-"
  end)
  return { flags = table.concat(flags), results = joined(results), errors = joined(failures) }, #flags, #failures
end

-- What the task of this id will do with the text: its plan, and, where the template is good, what comes of each
-- line (outcomes.lua). Returns nil with the code and message of a refusal when it cannot even start.
function M.plan(task_id, template_body, text)
  local template, problem, refused = templates.parse(template_body)
  if refused then
    return nil, "InvalidRequestException", problem
  elseif not template then
    return { things = 0, failures = 0, status = "Failed", message = problem, unreadable = true }
  end
  local outcome, lines, failures = process_all(template, text, certificates.series(task_id))
  return { things = lines, failures = failures, status = "Completed", message = "" }, outcome
end

return M
