---The command `iot-tasks`: from the words of a command line to an exit code.
local core = require "iot.core"
local arguments = require "iot.cli.arguments"
local commands = require "iot.cli.commands"
local manual = require "iot.cli.manual"
local sessions = require "iot.cli.session"
local text = require "iot.cli.text"

local cli = {}

local exit = { done = 0, failed = 1, usage = 2, interrupted = 130 }

-- Ctrl-C is what `lua` raises wherever code runs, or a failure of the call that waited.
local function is_interrupt(failure)
  if type(failure) == "table" then return failure.code == "Interrupted" end
  return type(failure) == "string" and failure:find "interrupted!$" ~= nil
end

local function interrupted(session)
  local detail = { code = "Interrupted" }
  session:tell(session.form == text and "interrupted\n" or session.form.failure("interrupted", detail))
  return exit.interrupted
end

local function fail(session, message, detail)
  if is_interrupt(detail) then return interrupted(session) end
  session:tell(session.form.failure(message, detail))
  return exit.failed
end

-- What was raised: a failure of an iterator or of writing, an interrupt, or else a mistake of this program.
local function caught(session, raised)
  if is_interrupt(raised) then return interrupted(session) end
  if type(raised) == "table" and type(raised.message) == "string" then return fail(session, raised.message, raised) end
  return fail(session, "unexpected error: " .. tostring(raised))
end

local function refuse(session, message, command)
  session:tell(text.failure(message) .. manual.usage(command) .. manual.hint(command))
  return exit.usage
end

local function run(session, words)
  local request, message, command = arguments.read(words)
  if not request then return refuse(session, message, command) end
  session:take(request)
  session:check_output()
  if request.show then
    session:write(request.show == "help" and manual.help(request.command)
      or ("%s %s\n"):format(manual.program, session.iot._VERSION))
    return exit.done
  end
  local code, reason, detail = commands[request.command.name](session)
  if code then return code end
  return fail(session, reason, detail)
end

---Run a command line. Nothing that goes wrong is raised, and nothing ends the process.
---@param words string[]  without the name of the program
---@param facts iot.cli.Facts?  for tests
---@return integer code  for the exit: 0 done, 1 failed, 2 wrong usage, 3 done in part, 130 interrupted
function cli.main(words, facts)
  local session = sessions.new(facts)
  local ok, result = pcall(run, session, words)
  if not ok then result = caught(session, result) end
  pcall(session.close, session)
  return result
end

---Run a command line as the program that this process is, and end it. After Ctrl-C it ends by that signal, or a
---shell would go on with its loop or script.
---@param words string[]
function cli.run(words)
  local code = cli.main(words)
  if code == exit.interrupted then core.die_of_interrupt() end
  os.exit(code, true)
end

return cli
