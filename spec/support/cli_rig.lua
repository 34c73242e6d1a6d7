--- The command in this process, over a library that answers as it is told.
--
--   local rig = cli_rig.new()
--   rig.answers.describe_thing_registration_task = { { status = "Completed" } }
--   local code = rig:run("describe", "a")
--   print(code, rig.stdout.text, rig.stderr.text, rig.calls[1].params.taskId)
local cli = require "iot.cli"
local errors = require "iot.errors"

local M = {}

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local OPERATIONS = {
  "describe_thing_registration_task", "start_thing_registration_task", "stop_thing_registration_task",
  "register_thing", "wait_for_thing_registration_task",
}
local ITERATORS = { "thing_registration_tasks", "thing_registration_task_report" }

---@class spec.cli.Rig
---@field answers table<string, any>  what a method returns, a list; or a function of its arguments
---@field lists table<string, any[]>  what an iterator gives; a function among it is called
---@field calls table[]  { name, params, options }
---@field files table<string, string>  path -> bytes
---@field stdin string?
---@field terminal boolean?  whether output and messages go to one
---@field code integer?  of the last run
local Rig = {}
Rig.__index = Rig

--- A stream to write to; with `broken` it takes nothing, and says that.
function M.stream()
  local stream = { text = "" }
  function stream:write(text)
    if self.broken then return nil, self.broken end
    self.text = self.text .. text
    return self
  end
  return stream
end

--- A file to read from, of these bytes; with `broken` reading fails.
local function input_of(bytes, broken)
  local file = { closed = false }
  function file.read(_, count)
    if broken then return nil, broken end
    if bytes == "" then return nil end
    local part = bytes:sub(1, count)
    bytes = bytes:sub(count + 1)
    return part
  end
  function file:close() self.closed = true end
  return file
end

--- The detail of a failure of the library.
function M.failure(facts, message)
  return select(3, errors.fail(facts, message))
end

local function answer_of(rig, name, ...)
  rig.calls[#rig.calls + 1] = { name = name, params = (...), options = (select(2, ...)) }
  local answer = rig.answers[name]
  if type(answer) == "function" then return answer(...) end
  return unpack(answer or { {} }, 1, 3)
end

local function iterate(rig, name, params)
  rig.calls[#rig.calls + 1] = { name = name, params = params }
  local at = 0
  return function()
    at = at + 1
    rig.taken = at
    local item = (rig.lists[name] or {})[at]
    if type(item) == "function" then return item() end
    return item
  end
end

local function client_of(rig)
  local client = {}
  for _, name in ipairs(OPERATIONS) do
    client[name] = function(_, ...) return answer_of(rig, name, ...) end
  end
  for _, name in ipairs(ITERATORS) do
    client[name] = function(_, params) return iterate(rig, name, params) end
  end
  function client.close() rig.closed = rig.closed + 1 end
  return client
end

function M.new()
  local rig = setmetatable({ answers = {}, lists = {}, calls = {}, files = {}, opened = {} }, Rig)
  rig.iot = {
    _VERSION = "1.2.3",
    new = function(options)
      rig.client_options = options
      if rig.no_client then return nil, rig.no_client.message, rig.no_client end
      return client_of(rig)
    end,
    progress = function(stream)
      return function(told) stream:write(told.done and "done\n" or "drawn") end
    end,
    check_provisioning = function(...) return answer_of(rig, "check_provisioning", ...) end,
  }
  return rig
end

--- Run the command. Returns the exit code, what stands on standard output and what on standard error.
function Rig:run(...)
  self.calls, self.opened, self.closed, self.client_options = {}, {}, 0, nil
  local kept = self.stdout
  self.stdout, self.stderr = M.stream(), M.stream()
  self.stdout.broken = kept and kept.broken
  self.input = input_of(self.stdin or "")
  self.code = cli.main({ ... }, {
    iot = self.iot, stdin = self.input, stdout = self.stdout, stderr = self.stderr,
    is_terminal = function(stream)
      return self.terminal == true and (stream == self.stdout or stream == self.stderr)
    end,
    open = function(path)
      local bytes = self.files[path]
      if not bytes then return nil, path .. ": No such file or directory", 2 end
      local file = bytes == "/" and input_of("", "Is a directory") or input_of(bytes)
      self.opened[path] = file
      return file
    end,
  })
  return self.code, self.stdout.text, self.stderr.text
end

--- A record of a report, with what is known of it.
function M.record(known)
  local record = {
    raw = known.raw, number = known.number, content = known.content, malformed = known.malformed,
    was_cut = known.was_cut,
  }
  for _, name in ipairs { "reason", "input_line", "input", "certificate_pem", "resource_arns" } do
    record[name] = function(self)
      assert(self == record, "called without a colon")
      return known[name]
    end
  end
  return record
end

return M
