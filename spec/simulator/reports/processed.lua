-- The records of a task whose input file was really processed (outcomes.lua).

local certificates = require "simulator.certificates"
local cjson = require "cjson.safe"
local errors = require "simulator.reports.errors"
local outcomes = require "simulator.outcomes"
local settings = require "simulator.settings"

local M = {}

local PIECE = 200    -- records

-- Each adds the text of a record to a list. A whole certificate is never made a string of its own: LuaJIT looks at
-- few bytes of a string to tell it from others, and at no digit of these.
local function write_result(series)
  local head, tail = cjson.encode(certificates.pem_with(series, "\1")):match('^"(.*)\\u0001(.*)"$')
  return function(list, _, text)
    local place = text:find(outcomes.PEM, 1, true)
    if place then
      list[#list + 1] = text:sub(1, place - 1)
      list[#list + 1] = head
      list[#list + 1] = certificates.digits(tonumber(text:match('^{"lineNumber":(%d+)')))
      list[#list + 1] = tail
    end
    list[#list + 1] = place and text:sub(place + 1) or text
    list[#list + 1] = "\n"
  end
end

local function write_error()
  local way = settings.get("report_errors")
  return function(list, record, text)
    local failure = cjson.decode(text)
    list[#list + 1] = errors.line(way, record, {
      line_number = failure[1], offset = failure[2], code = failure[3], message = failure[4], input = failure[5],
    })
  end
end

local function stored(task, report_type)
  return outcomes.get(task.members.taskId, report_type == "RESULTS" and "results" or "errors")
end

-- Whether the records of a report are still known.
function M.holds(task, report_type)
  return stored(task, report_type) ~= ""
end

-- An iterator over the records from *first* to *last*, as texts of many lines.
function M.pieces(task, report_type, first, last)
  local write = report_type == "RESULTS" and write_result(certificates.series(task.members.taskId)) or write_error()
  local next_line, record = stored(task, report_type):gmatch("[^\n]+"), first - 1
  for _ = 1, record do
    next_line()
  end
  return function()
    local list, ending = {}, math.min(record + PIECE, last)
    for number = record + 1, ending do
      write(list, number, next_line())
    end
    record = ending
    return list[1] and table.concat(list)
  end
end

return M
