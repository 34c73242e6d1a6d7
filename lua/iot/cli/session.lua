---What a command has at hand: the library, a client, files and streams, and the form of its output.
local core = require "iot.core"
local documents = require "iot.cli.documents"
local manual = require "iot.cli.manual"
local text = require "iot.cli.text"

local session = {}

local largest_template = 2 ^ 20 -- bytes, far beyond what the service takes
local bad_descriptor = 9 -- the errno of POSIX systems

---What the command runs with; for tests.
---@class iot.cli.Facts
---@field iot table?  the library
---@field stdin file*?
---@field stdout file*?  or what else has a method `write`
---@field stderr file*?  likewise
---@field open (fun(path: string, mode: string): file*?, string?)?
---@field is_terminal (fun(stream: any): boolean)?

---@class iot.cli.Session: iot.cli.Facts
---@field options table<string, string|number|boolean>
---@field operands string[]
---@field parameters table<string, string>?
---@field form table  iot.cli.text or iot.cli.documents
---@field client iot.Client?
---@field drawing boolean?  the cursor stands behind a line of progress
local Session = {}
Session.__index = Session

---@param facts iot.cli.Facts?
---@return iot.cli.Session
function session.new(facts)
  facts = facts or {}
  return setmetatable({
    iot = facts.iot, open = facts.open or io.open,
    stdin = facts.stdin or io.stdin, stdout = facts.stdout or io.stdout, stderr = facts.stderr or io.stderr,
    is_terminal = facts.is_terminal or function(stream) return core.terminal_width(stream) ~= nil end,
    options = {}, operands = {}, form = text,
  }, Session)
end

---@param request iot.cli.Request
function Session:take(request)
  self.iot = self.iot or require "iot"
  self.options, self.operands, self.parameters = request.options, request.operands, request.parameters
  self.form = request.options.output == "json" and documents or text
end

-- Files are written natively: a closed pipe is then a failed write, not a signal that ends the program.
local function write(stream, output)
  if io.type(stream) then return core.write_stream(stream, output) end
  return stream:write(output)
end

local function raise_unwritten(reason)
  error({ message = "cannot write to standard output: " .. (reason or "unknown reason") }, 0)
end

---Raise when standard output was closed by whoever started the program. To be called before anything is
---opened, which would take its place: a connection, say, that the output would then go to.
function Session:check_output()
  if io.type(self.stdout) ~= "file" then return end
  local _, reason, code = self.stdout:seek()
  if code == bad_descriptor then raise_unwritten(reason) end
end

---Write to standard output; raises when that cannot be done: whoever asked for output needs it.
---@param output string
function Session:write(output)
  local written, reason = write(self.stdout, output)
  if not written then raise_unwritten(reason) end
end

---Write to standard error, if that can be done.
---@param output string
function Session:tell(output)
  if self.drawing then output = "\n" .. output end
  self.drawing = false
  write(self.stderr, output)
end

---A display of a wait's progress. Should the wait be torn off, what is told next gets a line of its own.
---@return fun(told: iot.Progress)
function Session:display()
  local show, redrawn = self.iot.progress(self.stderr), self.is_terminal(self.stderr)
  return function(told)
    self.drawing = redrawn and not told.done
    show(told)
  end
end

-- The client, made when it is needed first.
local function client_of(self)
  if self.client then return self.client end
  local message, detail
  self.client, message, detail = self.iot.new {
    region = self.options.region, profile = self.options.profile, endpoint = self.options["endpoint-url"],
    app_id = manual.program,
  }
  return self.client, message, detail
end

---Call a method of the client: of an operation, or one that makes an iterator.
---@param method string
---@param ... any
---@return any result
---@return string? message
---@return iot.Error? detail
function Session:call(method, ...)
  local client, message, detail = client_of(self)
  if not client then return nil, message, detail end
  return client[method](client, ...)
end

---Open a file that was named on the command line.
---@param name string  "-" is standard input
---@return file*?
---@return string? message
function Session:open_input(name)
  if name == "-" then return self.stdin end
  local file, reason = self.open(name, "rb")
  if not file then return nil, "cannot open " .. reason end
  return file
end

---@param file file*  of open_input
function Session:close_input(file)
  if file ~= self.stdin then file:close() end
end

---Read the template.
---@return string?
---@return string? message
function Session:read_template()
  local name = self.options.template
  local file, message = self:open_input(name)
  if not file then return nil, message end
  local template, reason = file:read(largest_template + 1)
  self:close_input(file)
  if reason then return nil, ("cannot read %s: %s"):format(name, reason) end
  if template and #template > largest_template then
    return nil, ("%s is larger than 1 MiB: it is no template"):format(name)
  end
  return template or ""
end

function Session:close()
  if self.client then self.client:close() end
end

return session
