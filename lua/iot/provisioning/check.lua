---A provisioning template and its input, checked before a task is started with them: what would fail.
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"
local input = require "iot.provisioning.input"
local line = require "iot.provisioning.line"
local options = require "iot.config.options"
local problems = require "iot.provisioning.problems"
local template = require "iot.provisioning.template"

local check = {}

local callee = "check_provisioning"
local default_max_problems = 1000

---@type iot.Schema
local check_options = { max_problems = "number", on_problem = "function" }

local function check_given(text, lines, given, level)
  options.check_argument(callee, "template", text, "string", level + 1)
  if lines ~= nil and not input.is_source(lines) then
    error(("bad argument 'lines' to '%s' (string, function or open file expected, got %s)"):format(callee,
      io.type(lines) or type(lines)), level + 1)
  end
  if given ~= nil then options.check_argument(callee, "options", given, "table", level + 1) end
  local copy = options.check(callee, given, check_options, level + 1)
  local count = copy.max_problems or default_max_problems
  if not (count >= 0 and count % 1 == 0) then
    error(("bad option 'max_problems' to '%s' (a whole number from 0 expected)"):format(callee), level + 1)
  end
  return count, copy.on_problem
end

local function fail(facts, message)
  facts.operation = callee
  return errors.fail(facts, message)
end

-- How many lines there are, and how many with a problem; or nil, and why they cannot be read.
local function check_lines(source, checker, report)
  local number, failed = 0, 0
  local text, cut = source.next()
  while text do -- no `for`: in Lua 5.1 an iterator of the caller could not yield in it
    number = number + 1
    local before = report.count
    report.line = number
    checker:check(text, cut)
    if checker.failure then return nil end
    if report.count > before then failed = failed + 1 end
    text, cut = source.next()
  end
  if source.failure then return nil, source.failure end
  if number == 0 then report:add("EmptyInput", nil, "it has no lines") end
  return number, failed
end

local function check_input(lines, report, parsed)
  report.where = "input"
  local checker, message, facts = line.checker(report, parsed)
  if not checker then return fail(facts, message) end
  local source = input.open(lines)
  local count, failed = check_lines(source, checker, report)
  source:close()
  checker:close()
  if count then return count, failed end
  if checker.failure then return fail(checker.failure, checker.failure.message) end
  return fail({ code = "InvalidParameter" }, "the input cannot be read: " .. excerpt.line(failed, 300))
end

---The body of `iot.check_provisioning`.
---@param text string
---@param lines any
---@param given iot.CheckOptions?
---@param level integer  of the caller to blame for misuse, as in `error`, seen from the caller of this
---@return iot.CheckResult? result
---@return string? message
---@return iot.Error? detail
function check.run(text, lines, given, level)
  local report = problems.report(check_given(text, lines, given, level + 1))
  local parsed = template.check(text, report)
  local count, failed, detail = 0, 0, nil
  if lines ~= nil then count, failed, detail = check_input(lines, report, parsed) end
  if not count then return nil, failed, detail end
  return {
    ok = report.count == 0, lines = count, failed_lines = failed,
    problem_count = report.count, problems = report.list,
  }
end

return check
