--- Run a child process to its end and collect what it said.
-- The child gets no LD_PRELOAD: sanitizer runs of the specs set one, for the interpreter alone.
local files = require "spec.support.files"

local M = {}

local function quoted(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

---@class spec.command.result
---@field code integer  the exit code; 124 after a timeout, 127 when there is no such program
---@field stdout string
---@field stderr string

---@param words string[]  the program and its arguments; no shell reads them
---@param options? { input: string?, timeout: number? }  standard input (none); seconds (30)
---@return spec.command.result
function M.run(words, options)
  options = options or {}
  local input, stdout, stderr, status = files.temporary(), files.temporary(), files.temporary(), files.temporary()
  files.write(input, options.input or "")

  local line = { "env", "-u", "LD_PRELOAD", "timeout", tostring(options.timeout or 30) }
  for _, word in ipairs(words) do line[#line + 1] = quoted(word) end
  -- The shell keeps the exit code: inside nginx, which waits for all children itself, os.execute may not learn it.
  os.execute(("%s <%s >%s 2>%s; echo $? >%s"):format(
    table.concat(line, " "), quoted(input), quoted(stdout), quoted(stderr), quoted(status)))

  local result = { code = tonumber(files.read(status)), stdout = files.read(stdout), stderr = files.read(stderr) }
  for _, path in ipairs { input, stdout, stderr, status } do os.remove(path) end
  return result
end

return M
