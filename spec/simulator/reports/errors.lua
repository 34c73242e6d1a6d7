-- The lines of an ERRORS report. What they look like is documented nowhere (reference 9.4), so the setting
-- report_errors has several ways to write them:
--
--   list        {"lineNumber":..,"offset":..,"errors":[{"code":..,"message":..}],"input":..}
--   text        the same, but the errors are one text
--   response    {"lineNumber":..,"offset":..,"response":..}, a text
--   plain       a text that is no JSON
--   mixed       each in turn, beginning with list

local cjson = require "cjson.safe"

local M = {}

local quote = cjson.encode

local function head(failure)
  return ('{"lineNumber":%d,"offset":%d,'):format(failure.line_number, failure.offset)
end

local WRITE = {
  list = function(failure)
    return ('%s"errors":[{"code":%s,"message":%s}],"input":%s}'):format(
      head(failure), quote(failure.code), quote(failure.message), quote(failure.input))
  end,
  text = function(failure)
    return ('%s"errors":%s,"input":%s}'):format(
      head(failure), quote(failure.code .. ": " .. failure.message), quote(failure.input))
  end,
  response = function(failure)
    return ('%s"response":%s}'):format(head(failure), quote(failure.code .. ": " .. failure.message))
  end,
  plain = function(failure)
    return ("Line %d: %s: %s"):format(failure.line_number, failure.code, failure.message)
  end,
}

local MIXED = { "list", "text", "response", "plain" }

-- The line of a failure, the number-th of its report: { line_number, offset, code, message, input }.
function M.line(way, number, failure)
  return WRITE[way == "mixed" and MIXED[(number - 1) % #MIXED + 1] or way](failure) .. "\n"
end

return M
