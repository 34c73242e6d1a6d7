---Programs, through ngx.pipe.
local connection = require "iot.runtime.nginx.connection"
local core = require "iot.core"

local ngx = rawget(_G, "ngx")

local programs = {}

-- Where nginx was built without a patch of OpenResty's this raises; a second time it would not say why.
local has_pipe, pipe = pcall(require, "ngx.pipe")

local most_output = 2 ^ 20 -- bytes of each output

-- Each step of the program has what is left; false when nothing is.
local function limit(process, deadline)
  local seconds = deadline - core.monotonic()
  local milliseconds = connection.milliseconds(seconds)
  process:set_timeouts(milliseconds, milliseconds, milliseconds, milliseconds)
  return seconds > 0
end

-- All of an output, at most so much; nil and why not.
local function read_output(read, process, deadline)
  local parts, size = {}, 0
  while true do
    if not limit(process, deadline) then return nil, "timeout" end
    local piece, reason = read(process, 4096)
    if not piece then
      if reason == "closed" then return table.concat(parts) end
      return nil, reason
    end
    parts[#parts + 1], size = piece, size + #piece
    if size > most_output then return nil, "too much" end
  end
end

local function failed_program(process, reason)
  process:kill(9)
  if reason == "timeout" then return nil, "the program did not end in time", { code = "Timeout" } end
  return nil, "the program's output cannot be read: " .. tostring(reason), { code = "ResponseTooLarge" }
end

---As core.run.
---@param arguments string[]
---@param seconds number
---@return table?
---@return string? message
---@return table? facts
function programs.run(arguments, seconds)
  local called, process, reason = has_pipe, pipe, nil
  if has_pipe then called, process, reason = pcall(pipe.spawn, arguments) end
  if not (called and process) then
    return nil, "nginx cannot start the program: " .. tostring(called and reason or process),
      { code = "InvalidConfiguration" }
  end
  local deadline = core.monotonic() + seconds
  local thread = ngx.thread.spawn(read_output, process.stderr_read_any, process, deadline)
  local output, errors, ok, word, status
  output, reason = read_output(process.stdout_read_any, process, deadline)
  if not output then
    ngx.thread.kill(thread)
    return failed_program(process, reason)
  end
  ok, errors, reason = ngx.thread.wait(thread)
  if not (ok and errors) then return failed_program(process, reason) end
  limit(process, deadline)
  ok, word, status = process:wait()
  if ok == nil and word == "timeout" then return failed_program(process, word) end
  if word == "signal" then return { status = -1, signal = status, output = output, errors = errors } end
  return { status = status or 0, signal = 0, output = output, errors = errors }
end

return programs
