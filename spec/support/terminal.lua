--- Programs in pseudo-terminals, and what a person sees there.
--
--   local seen = terminal.run({ { columns = 40, command = [["$LUA" program.lua]] } }, { TERM = "xterm" })[1]
--   local screen = terminal.replay(seen.bytes, 40)
--   print(seen.code, screen.lines[1], screen.wraps)
local child = require "spec.support.child"
local files = require "spec.support.files"

local M = {}

---Why there can be no pseudo-terminal here, or nil when there can: for pending().
function M.missing()
  local pipe = assert(io.popen(
    "unset LD_PRELOAD; for tool in script stty; do command -v $tool >/dev/null || echo $tool; done"))
  local names = pipe:read "*a"
  pipe:close()
  return names ~= "" and "not installed: " .. names:gsub("%s+", " ") or nil
end

---@class spec.terminal.job
---@field columns integer?  of its terminal; none: its output goes to a file
---@field command string  of the shell, in which $LUA is the interpreter
---@field interrupt string?  a fixed text: someone presses Ctrl-C once it stands on the terminal

---@class spec.terminal.outcome
---@field code integer  the exit status
---@field bytes string  all that was written to the terminal, or to the file

local function job_lines(job, path)
  local command = job.command
  if job.columns then
    command = ("stty rows 24 cols %d && %s"):format(job.columns, command)
    command = ("script -q -e -E never -c '%s' /dev/null"):format((command:gsub("'", [['\'']])))
  end
  if job.interrupt then
    command = ([[{ until grep -qF '%s' '%s'; do sleep 0.05; done; printf '\003'; } | %s]]):format(
      job.interrupt, path, command)
  end
  return ("({ %s; } >'%s' 2>&1; echo $? >'%s.code') &\n"):format(command, path, path)
end

--- Run commands, all at once, and wait for them.
---@param jobs spec.terminal.job[]
---@param variables? table<string, string>  of the environment, like child.run's
---@return spec.terminal.outcome[]
function M.run(jobs, variables)
  local base = files.temporary()
  local lines = {}
  for i, job in ipairs(jobs) do lines[i] = job_lines(job, base .. "." .. i) end
  files.write(base, table.concat(lines) .. "wait\n")
  child.output(([[os.execute("LUA='" .. arg[-1] .. "' SHELL=/bin/sh; export LUA SHELL; . '%s'")]]):format(base),
    variables)

  local outcomes = {}
  for i = 1, #jobs do
    local path = base .. "." .. i
    outcomes[i] = { bytes = files.read(path), code = tonumber((files.read(path .. ".code"))) }
    os.remove(path)
    os.remove(path .. ".code")
  end
  os.remove(base)
  return outcomes
end

---@class spec.terminal.screen
---@field lines string[]  what stands there in the end, blanks at the ends cut; the last one is the cursor's
---@field frames string[]  what stood in the cursor's line each time it was left or gone back to its start
---@field wraps integer  how often a line was too long
---@field widest integer  how many columns were in use

-- A line as text.
local function text_of(cells)
  local last = 0
  for column, byte in pairs(cells) do
    if byte ~= " " and column > last then last = column end
  end
  local bytes = {}
  for column = 1, last do bytes[column] = cells[column] or " " end
  return table.concat(bytes)
end

--- What a terminal makes of these bytes, which are printable ones, CR, LF and "erase to end of line";
--- raises for any other. It never scrolls.
---@param bytes string
---@param columns integer
---@return spec.terminal.screen
function M.replay(bytes, columns)
  local cells = { {} } -- row -> column -> byte
  local row, column, at = 1, 1, 1
  local screen = { lines = {}, frames = {}, wraps = 0, widest = 0 }
  local function go_down()
    row = row + 1
    cells[row] = cells[row] or {}
  end
  while at <= #bytes do
    local byte, length = bytes:sub(at, at), 1
    if byte == "\r" then
      screen.frames[#screen.frames + 1] = text_of(cells[row])
      column = 1
    elseif byte == "\n" then
      go_down()
    elseif bytes:find("^\27%[K", at) then
      length = 3
      for i = column, columns do cells[row][i] = nil end
    elseif byte:find "[\32-\126]" then
      if column > columns then
        screen.wraps, column = screen.wraps + 1, 1
        go_down()
      end
      cells[row][column] = byte
      screen.widest = math.max(screen.widest, column)
      column = column + 1
    else
      error(("byte %d at %d is not known to this terminal"):format(byte:byte(), at))
    end
    at = at + length
  end
  for i = 1, row do screen.lines[i] = text_of(cells[i]) end
  return screen
end

return M
