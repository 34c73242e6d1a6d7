-- lua/iot/provisioning: a template, and, behind a NUL, the lines of its input. Whether these come as a text or one by
-- one makes no difference.
local check = require "iot.provisioning.check"
local problems = require "iot.provisioning.problems"
local promises = require "spec.fuzz.promises"

local must = promises.must

local function check_problem(problem)
  local code = problems.codes[problem.code]
  must(code, "the code is known", problem.code)
  must(code.where == "both" or code.where == problem.where, "the code is of its place", problem.code)
  must(promises.is_line(problem.message), "the message is a line", problem.message)
  must(#problem.message < 400, "the message is short", problem.message)
  must(problem.where == "template" or problem.line or problem.code == "EmptyInput", "a problem has a line")
end

local function check_result(result, reported)
  must(result.problem_count == reported, "all problems are reported", result.problem_count, reported)
  must(result.ok == (reported == 0), "without a problem it is good")
  must(#result.problems == math.min(reported, 5), "the first are kept")
  must(result.failed_lines <= result.lines, "no more lines fail than there are")
end

local function run(template, lines)
  local reported = 0
  local result, message, detail = check.run(template, lines, { max_problems = 5, on_problem = function(problem)
    reported = reported + 1
    check_problem(problem)
  end }, 1)
  if not result then return promises.must_be_failure(message, detail) end
  check_result(result, reported)
  return promises.text_of(result)
end

-- Gives a line with its end at a time, a byte that ends none for the last.
local function one_by_one(text)
  local at = 1
  return function()
    if at > #text then return nil end
    local stop = text:find("\n", at, true) or #text
    local line = text:sub(at, stop)
    at = stop + 1
    return line
  end
end

return function(input)
  local stop = input:find("\0", 1, true)
  if not stop then return run(input, nil) end
  local template, lines = input:sub(1, stop - 1), input:sub(stop + 1)
  if lines ~= "" then lines = lines .. "\n" end
  must(run(template, lines) == run(template, one_by_one(lines)), "it does not matter how the lines come")
end
