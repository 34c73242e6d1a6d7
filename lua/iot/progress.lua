---A display of a wait's progress: one line redrawn in place on a terminal, plain lines elsewhere.
local core = require "iot.core"
local options = require "iot.config.options"
local variables = require "iot.config.variables"

local progress = {}

local fallback_columns = 80 -- of a terminal that is gone
local gap = "  " -- between two parts of the line
local shortest_bar, longest_bar = 5, 40 -- characters within its brackets
local usual_bar, part_of_window = 10, 1 / 4 -- it is no longer than both of these
local pace = 30 -- seconds between two plain lines about the percentage and the counts
local longest_word = 40 -- characters of a status or a code
local longest_estimate = 24 * 3600 -- seconds; what is longer says nothing

-- Numbers and words --------------------------------------------------------------------------

-- What the service wrote, fit for any terminal.
local function word(text)
  if #text > longest_word then text = text:sub(1, longest_word - 3) .. "..." end
  return (text:gsub("[^\32-\126]", "?"))
end

local function whole(number)
  return ("%.0f"):format(math.floor(number))
end

-- "1:05", "2:01:05"
local function clock(seconds)
  seconds = math.floor(math.max(0, seconds))
  local hours, minutes = math.floor(seconds / 3600), math.floor(seconds / 60) % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

-- No more exact than an estimate can be: "7 s", "50 s", "12 min", "2 h 10 min".
local function roughly(seconds)
  local function to_nearest(step) return math.floor(seconds / step + 0.5) * step end
  if seconds <= 10 then return whole(math.ceil(seconds)) .. " s" end
  if to_nearest(5) < 60 then return whole(to_nearest(5)) .. " s" end
  if to_nearest(60) < 3600 then return whole(to_nearest(60) / 60) .. " min" end
  local minutes = to_nearest(600) / 60
  return whole(minutes / 60) .. " h" .. (minutes % 60 > 0 and " " .. whole(minutes % 60) .. " min" or "")
end

local function percent_of(task)
  local percent = task and task.percentageProgress
  return percent and math.min(math.max(math.floor(percent), 0), 100)
end

local function counts_of(task)
  if not task or not (task.successCount or task.failureCount) then return nil end
  return ("%s succeeded, %s failed"):format(whole(task.successCount or 0), whole(task.failureCount or 0))
end

-- The state --------------------------------------------------------------------------------------

---What a display remembers of one wait.
---@class iot.progress.Memory
---@field first { percent: number, elapsed: number }?  the first percentage that was seen
---@field line { fact: string, status: string?, failing: boolean, elapsed: number }?  the last plain line

-- Seconds that are left, by how fast the percentage moved since it was first seen; nil while it has not.
local function estimate(memory, percent, elapsed)
  local first = memory.first
  if not first or percent < first.percent then
    memory.first = { percent = percent, elapsed = elapsed }
    return nil
  end
  local moved, took = percent - first.percent, elapsed - first.elapsed
  if moved <= 0 or took <= 0 then return nil end
  local left = (100 - percent) / moved * took
  return left > 0 and left <= longest_estimate and left or nil
end

-- The parts of the display, as texts: `percent` (a number, too), `counts`, `elapsed`, `left`, `state`
-- (how it stands when that is not well under way) and `retry`.
local function parts_of(memory, told)
  local task, failure = told.task, told.failure
  local percent = percent_of(task)
  local left = percent and not failure and estimate(memory, percent, told.elapsed)
  local parts = {
    number = percent, percent = percent and ("%3d %%"):format(percent),
    counts = counts_of(task), elapsed = clock(told.elapsed),
  }
  if failure then
    parts.state = word(failure.code)
    parts.retry = told.delay and "next try in " .. roughly(told.delay)
  elseif task.status and task.status ~= "" and task.status ~= "InProgress" then
    parts.state = word(task.status)
  elseif left and not told.done then
    parts.left = "about " .. roughly(left) .. " left"
  end
  return parts
end

-- On a terminal --------------------------------------------------------------------------------

-- As they stand in the line; and the most important first, which are kept as long as the next fits.
local order = { "bar", "percent", "counts", "elapsed", "left", "state", "retry" }
local importance = { "state", "percent", "bar", "retry", "counts", "elapsed", "left" }

local function bar(percent, width)
  local full = math.floor(percent * width / 100)
  return "[" .. ("#"):rep(full) .. ("."):rep(width - full) .. "]"
end

-- As much as goes into so many columns.
local function fit(parts, room)
  local kept, used = {}, -#gap
  parts.state = parts.state and parts.state:sub(1, room)
  parts.bar = parts.number and bar(parts.number, shortest_bar)
  for _, name in ipairs(importance) do
    local text = parts[name]
    if text then
      if used + #gap + #text > room then break end
      kept[name], used = text, used + #gap + #text
    end
  end
  if kept.bar then
    local fair = math.min(math.max(usual_bar, math.floor(room * part_of_window)), longest_bar)
    kept.bar = bar(parts.number, math.min(fair, shortest_bar + room - used))
  end
  local texts = {}
  for _, name in ipairs(order) do texts[#texts + 1] = kept[name] end
  return table.concat(texts, gap)
end

-- The last column stays free: some terminals wrap as soon as it is taken.
local function redraw(memory, told, columns)
  return "\r" .. fit(parts_of(memory, told), columns - 1) .. "\27[K" .. (told.done and "\n" or "")
end

-- Elsewhere ------------------------------------------------------------------------------------

-- What a line says besides times: "InProgress, 45 %, 117 succeeded, 3 failed", or a failure's code.
local function fact_of(told)
  if told.failure then return word(told.failure.code) end
  local texts, percent = {}, percent_of(told.task)
  if (told.task.status or "") ~= "" then texts[1] = word(told.task.status) end
  if percent then texts[#texts + 1] = ("%d %%"):format(percent) end
  texts[#texts + 1] = counts_of(told.task)
  return texts[1] and table.concat(texts, ", ") or "no status"
end

local function is_due(last, told, fact)
  if not last or told.done then return true end
  if told.failure then
    if not last.failing then return true end
  elseif told.task.status ~= last.status then
    return true
  end
  return fact ~= last.fact and told.elapsed - last.elapsed >= pace
end

-- A whole line, or nil.
local function report(memory, told)
  local fact, last = fact_of(told), memory.line
  local parts = parts_of(memory, told)
  -- The first failure in a row is told at once; between a good poll and the next it is a row's end.
  if last and not told.failure then last.failing = false end
  if not is_due(last, told, fact) then return nil end
  memory.line = {
    fact = fact, failing = told.failure ~= nil, elapsed = told.elapsed,
    status = told.failure and last and last.status or told.task and told.task.status,
  }
  local also = parts.retry or parts.left
  return parts.elapsed .. gap .. fact .. (also and ", " .. also or "") .. "\n"
end

-- The stream -------------------------------------------------------------------------------------

-- Whoever looked on may be gone, which is no reason to end a wait. Files are written natively: a closed
-- pipe is then a failed write, not a signal that ends the program.
local function write(stream, text)
  if io.type(stream) then
    core.write_stream(stream, text)
  else
    pcall(function()
      stream:write(text)
      if stream.flush then stream:flush() end
    end)
  end
end

---A display, to pass as `on_progress` of one wait at a time.
---
---On a terminal it is one line, redrawn in place and never as wide as the window: a bar, the percentage, the
---counts, the time since the wait began, an estimate of what is left; the status when it is not
---InProgress; in an outage the failure's code and when the next try is. Where the window is narrow, the least
---important are left out: the estimate, the time, the counts, the next try, the bar, the percentage.
---
---On anything else, and on a terminal whose TERM is "dumb" or not set, it is whole lines: the first, each
---change of status, the first failure in a row, the last; else at most one in 30 seconds, and
---only when something changed. Failed writes are passed over.
---@param stream file*|{ write: fun(self: any, text: string) }|nil  io.stderr
---@param facts { width: (fun(): integer?)?, term: string? }?  for tests: the columns of the stream's terminal
---when it is one; the variable TERM
---@param level integer?  of the caller to blame for misuse, as in `error`, seen from the caller of this; 1
---@return fun(told: iot.Progress)
function progress.new(stream, facts, level)
  if stream == nil then stream = io.stderr end
  if not options.has_method(stream, "write") then
    error(("bad argument 'stream' to 'progress' (a file, or what has a method 'write', expected; got %s)"):format(
      type(stream)), (level or 1) + 1)
  end
  facts = facts or { term = variables.get "TERM" }
  local width = facts.width or function() return core.terminal_width(stream) end
  local is_terminal = facts.term ~= nil and facts.term ~= "" and facts.term ~= "dumb" and width() ~= nil
  local memory = {}
  return function(told)
    local text
    if is_terminal then
      text = redraw(memory, told, width() or fallback_columns)
    else
      text = report(memory, told)
    end
    if told.done then memory = {} end
    if text then write(stream, text) end
  end
end

return progress
