---AWS IoT bulk provisioning: signed, sent and decoded in C; this is the public surface.
local client = require "iot.client"
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"
local records = require "iot.credentials.record"

---@class iot
local iot = { _VERSION = core.version }

---Make a client of one's own. Reads the profile files, looks at the CA bundle, and asks the instance
---metadata service for the region when nothing else tells; connects to nothing else.
---@param given iot.Options?
---@return iot.Client? client
---@return string? message  when the configuration is wrong, or no region is known
---@return iot.Error? detail
function iot.new(given)
  local object, message, detail = client.new(given, 2)
  return object, message, detail
end

-- The client made by the first call that needs it and kept; a failure is not, so that a later call may
-- succeed.
local default = {}
local longest_making = 120 -- seconds that another's making of it is waited for

local function make_default_client()
  if default.client then return default.client end
  local object, message, detail = client.new(nil, 2)
  default.client = object
  return object, message, detail
end

-- One at a time: to find the region may take a while, in which others call.
local function get_default_client()
  if default.client then return default.client end
  local runtime = require "iot.runtime"
  local object, message, detail =
    runtime.serialize(default, runtime.monotonic() + longest_making, make_default_client)
  if not object and detail == "Timeout" then return errors.fail({ code = detail }, message) end
  return object, message, detail
end

for _, operation in ipairs(core.operations) do
  iot[operation] = function(params, call)
    client.check_call(operation, params, call, 2)
    local object, _, detail = get_default_client()
    if not object then return errors.before(operation, detail) end
    return object[operation](object, params, call)
  end
end

-- What iterates raises what went wrong, as it does later.
local function iterate(name, params, call)
  local object, _, detail = get_default_client()
  if not object then error(select(3, errors.before(name, detail)), 0) end
  return object[name](object, params, call)
end

for name in pairs(client.lists) do
  iot[name] = function(params, call)
    params = params == nil and {} or params
    client.check_call(name, params, call, 2)
    return iterate(name, params, call)
  end
end

---Iterate over the records of a report on the default client; see `iot.Client`. Raises the detail, too, when there is
---no region.
---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer? }
---@param call iot.CallOptions?
---@return fun(): iot.ReportRecord?
---@return nil
---@return nil
---@return table closing
function iot.thing_registration_task_report(params, call)
  client.check_call("thing_registration_task_report", params, call, 2)
  return iterate("thing_registration_task_report", params, call)
end

---Wait on the default client until a task has ended; see `iot.Client`.
---@param params { taskId: string }
---@param given iot.WaitOptions?
---@return iot.Task? task
---@return string? message
---@return iot.Error? detail
function iot.wait_for_thing_registration_task(params, given)
  client.check_wait(params, given, 2)
  local object, _, detail = get_default_client()
  if not object then return errors.before("wait_for_thing_registration_task", detail) end
  return object:wait_for_thing_registration_task(params, given)
end

---Call a function again while it fails in a way that another attempt may cure, with the pauses and
---the bounds that a client has for its own calls (reference 5).
---@param fn fun(attempt: iot.retry.Attempt): ...  fails with nil, message, detail; `detail.retryable` and
---`detail.throttled` decide, as in `iot.Error`
---@param given { max_attempts: integer?, mode: ("standard"|"adaptive")?, timeout: number?,
---runtime: iot.Runtime? }?  timeout: seconds for all attempts and waits; none
---@return ...  what fn returned last; or nil, a message and a detail of the code Timeout or Interrupted
function iot.retry(fn, given)
  return select(1, require("iot.retry").call(fn, given, 2)) -- no tail call: the level counts this function
end

---Check a provisioning template, and the input for it, before a task is started with them: what would
---fail. Nothing is sent (reference 9.3).
---@param template string  JSON
---@param lines string|file*|(fun(): string?, string?)|nil  the input: its text; the name of a file, when the string
---is of one line that does not begin as JSON; an open file, or what else has a method `read`; a function that gives
---a line per call, and nil, with a message when that is not the end. Nil: the template alone
---@param given iot.CheckOptions?
---@return iot.CheckResult? result
---@return string? message  when the input cannot be read
---@return iot.Error? detail
function iot.check_provisioning(template, lines, given)
  local result, message, detail = require("iot.provisioning.check").run(template, lines, given, 2)
  return result, message, detail
end

---Call a function for each item of a list, for many at a time: calls and waits of this library inside
---it let the others go on. Within another `iot.map` it works, too. In Lua 5.1 nothing inside may wait
---across a pcall or in the iterator of a generic `for` (a `while` loop that calls it may), in 5.1 and 5.2
---neither in a comparison of a sort and the like: that is an error; in a coroutine that fn makes itself
---calls block. fn must not yield by itself.
---@param items any[]
---@param fn fun(item: any, index: integer): any, string?, any  fails with nil and a message
---@param given { concurrency: integer? }?  how many at a time; 16
---@return table results  at each item's index what fn returned first; `n`, how many items there were
---@return table<integer, iot.MapFailure> failures  at the index of each item that failed or raised
function iot.map(items, fn, given)
  local results, failures = require("iot.map").run(items, fn, given, 2)
  return results, failures
end

---A display for the option `on_progress` of a wait: a bar on a terminal, else a line now and then.
---@param stream file*?  or what else has a method `write`; io.stderr
---@return fun(progress: iot.Progress)
function iot.progress(stream)
  local display = require("iot.progress").new(stream, nil, 2)
  return display
end

local request_fields = { method = "string", url = "string", headers = "table", body = "string" }
local sign_options = {
  credentials = "table", region = "string", service = "string", time = "number",
  normalize_path = "boolean", double_encode_path = "boolean", sign_body = "boolean",
  omit_session_token = "boolean",
}
local presign_options = { expires_in = "number" }
for name, wanted in pairs(sign_options) do presign_options[name] = wanted end

-- A map of headers as a list, in the order of its names.
local function header_list(headers)
  local list = {}
  for name, value in pairs(headers) do list[#list + 1] = { name, value } end
  table.sort(list, function(a, b) return tostring(a[1]) < tostring(b[1]) end)
  return list
end

local function is_pair(value)
  return type(value) == "table" and type(value[1]) == "string" and type(value[2]) == "string"
end

local function check_headers(name, headers)
  local count = 0
  for _, pair in pairs(headers or {}) do
    count = count + 1
    if not is_pair(pair) or headers[count] == nil then
      error(("bad field 'headers' to '%s' (a list of pairs of strings, or a map of strings, "
        .. "expected)"):format(name), 4)
    end
  end
end

local function check_credentials(name, credentials)
  if credentials == nil then return end
  local good, message = records.check(credentials)
  if not good then
    error(("bad option 'credentials' to '%s' (%s)"):format(name, message), 4)
  end
end

local function sign_with(name, schema, request, given)
  options.check_argument(name, "request", request, "table", 3)
  options.check_argument(name, "options", given, "table", 3)
  options.verify(name, request, request_fields, 3, "field")
  options.verify(name, given, schema, 3)
  if request.headers and request.headers[1] == nil then
    request = options.copy(request)
    request.headers = header_list(request.headers)
  end
  check_headers(name, request.headers)
  check_credentials(name, given.credentials)
  local signed, message, facts = core[name](request, given)
  if signed then return signed end
  return errors.fail(facts, message)
end

---Sign a request of any AWS service with Signature Version 4, in its headers.
---@param request iot.SignRequest
---@param given iot.SignOptions
---@return iot.Signed? signed
---@return string? message
---@return iot.Error? detail
function iot.sign(request, given)
  local signed, message, detail = sign_with("sign", sign_options, request, given)
  return signed, message, detail
end

---Sign a request of any AWS service with Signature Version 4, in its URL.
---@param request iot.SignRequest
---@param given iot.PresignOptions
---@return iot.Signed? signed
---@return string? message
---@return iot.Error? detail
function iot.presign(request, given)
  local signed, message, detail = sign_with("presign", presign_options, request, given)
  return signed, message, detail
end

return iot
