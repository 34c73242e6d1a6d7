-- The reports of tasks: how many records each has, how these are shared out among links, and what is behind a link.

local gzip = require "simulator.gzip"
local planned = require "simulator.reports.planned"
local processed = require "simulator.reports.processed"
local settings = require "simulator.settings"
local tasks = require "simulator.tasks"

local M = {}

local COUNTS = { ERRORS = "failureCount", RESULTS = "successCount" }

-- How many records a report has so far; *task* is the description.
function M.count(task, report_type)
  return tonumber(task[COUNTS[report_type]]) or 0
end

-- Into how many parts so many records are divided.
function M.parts(count)
  return math.min(settings.get("report_links"), count)
end

-- The first and the last record of a part.
function M.part(number, parts, count)
  return math.floor((number - 1) * count / parts) + 1, math.floor(number * count / parts)
end

local function measure(pieces)
  local size = 0
  for piece in pieces do
    size = size + #piece
  end
  return size
end

local function list_pieces(list)
  local index = 0
  return function()
    index = index + 1
    return list[index]
  end
end

-- A part of a report as a stream (answer.lua), and its encoding; nil when there are no such records.
function M.open(task_id, report_type, first, last, now)
  local task = tasks.find(task_id, now)
  if not task or last > M.count(task.members, report_type)
    or task.processed and not processed.holds(task, report_type) then
    return nil
  end
  local source = task.processed and processed or planned
  local function pieces()
    return source.pieces(task, report_type, first, last)
  end
  local encoding = settings.get("report_encoding")
  if encoding == "gzip" then
    local list, size = gzip.compress(pieces())
    return { size = size, pieces = function() return list_pieces(list) end }, encoding
  end
  local size = source.size and source.size(task, report_type, first, last) or measure(pieces())
  return { size = size, pieces = pieces }, encoding
end

return M
