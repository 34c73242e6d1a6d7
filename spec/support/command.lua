--- Run a child process to its end and collect what it said.
-- The child gets no LD_PRELOAD: sanitizer runs of the specs set one, for the interpreter alone.
local files = require "spec.support.files"

local M = {}

local function quoted(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

-- os.execute answers the wait status in Lua 5.1, the exit code third from 5.2 on.
local function exit_code(first, _, third)
  if type(first) ~= "number" then return third end
  return first > 255 and math.floor(first / 256) or first
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
  local input, stdout, stderr = files.temporary(), files.temporary(), files.temporary()
  files.write(input, options.input or "")

  local line = { "env", "-u", "LD_PRELOAD", "timeout", tostring(options.timeout or 30) }
  for _, word in ipairs(words) do line[#line + 1] = quoted(word) end
  local code = exit_code(os.execute(("%s <%s >%s 2>%s"):format(
    table.concat(line, " "), quoted(input), quoted(stdout), quoted(stderr))))

  local result = { code = code, stdout = files.read(stdout), stderr = files.read(stderr) }
  for _, path in ipairs { input, stdout, stderr } do os.remove(path) end
  return result
end

return M
