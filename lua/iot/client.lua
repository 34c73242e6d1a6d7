---A client of the service: what it is made of, and its methods.
local call = require "iot.call"
local chain = require "iot.credentials.chain"
local clock_skew = require "iot.clock_skew"
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"
local profiles = require "iot.config.profiles"
local refresh = require "iot.credentials.refresh"
local retry = require "iot.retry"
local settings = require "iot.config.settings"
local waiter = require "iot.waiter"

local client = {}

---@type iot.Schema
local client_options = {
  region = "string", profile = "string", credentials = { "table", "function" }, endpoint = "string",
  cache = "table", device = "table", mfa_code = "function", on_event = "function",
  use_fips_endpoint = "boolean", use_dualstack_endpoint = "boolean",
  connect_timeout = "number", read_timeout = "number", timeout = "number",
  ca_bundle = "string", proxy = "string", app_id = "string", runtime = "table", retry = "table",
}
local retry_options = { mode = "string", max_attempts = "number" }
local durations = { "connect_timeout", "read_timeout", "timeout" }
local runtime_functions = {
  "send", "now", "monotonic", "sleep", "request", "download", "run", "random", "serialize",
}

---@type iot.Schema
local call_options = { timeout = "number" }

---Check the arguments of an operation; returns the call's options.
---@param operation string
---@param params any
---@param given any
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
function client.check_call(operation, params, given, level)
  options.check_argument(operation, "params", params, "table", level + 1)
  if given ~= nil then options.check_argument(operation, "options", given, "table", level + 1) end
  local copy = options.check(operation, given, call_options, level + 1)
  options.check_duration(operation, "timeout", copy.timeout, level + 1)
  return copy
end

local function state_of(self, name)
  local metatable = getmetatable(self)
  local state = type(metatable) == "table" and metatable.state
  if not state then error(("call client:%s with a colon"):format(name), 3) end
  if state.closed and name ~= "close" then error("attempt to use a closed client", 3) end
  return state
end

local function run(state, ...)
  if state.cache then return state.cache:run(state, ...) end
  return call.run(state, ...)
end

local methods = {}

for _, operation in ipairs(core.operations) do
  methods[operation] = function(self, params, given)
    local state = state_of(self, operation)
    local checked = client.check_call(operation, params, given, 2)
    return run(state, operation, params, checked.timeout)
  end
end

local wait_operation = "wait_for_thing_registration_task"

---Check the arguments of a wait; returns its options.
---@param params any
---@param given any
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
function client.check_wait(params, given, level)
  options.check_argument(wait_operation, "params", params, "table", level + 1)
  if given ~= nil then options.check_argument(wait_operation, "options", given, "table", level + 1) end
  local copy = options.check(wait_operation, given, waiter.options, level + 1)
  for _, name in ipairs(waiter.durations) do
    options.check_duration(wait_operation, name, copy[name], level + 1)
  end
  return copy
end

function methods:wait_for_thing_registration_task(params, given)
  local state = state_of(self, wait_operation)
  local checked = client.check_wait(params, given, 2)
  local own = options.copy(params) -- the caller may change them meanwhile
  return waiter.wait(state.runtime, function(timeout)
    timeout = math.min(timeout, state.settings.timeout)
    return run(state, "describe_thing_registration_task", own, timeout, true)
  end, checked)
end

---What iterates over the items of an operation that answers in pages.
client.lists = {
  thing_registration_tasks = "list_thing_registration_tasks",
  thing_registration_task_report_links = "list_thing_registration_task_reports",
}

local function list(state, operation, params, timeout)
  return require("iot.pages").items(operation, params, function(page)
    return call.run(state, operation, page, timeout)
  end, state.runtime.serialize)
end

for name, operation in pairs(client.lists) do
  methods[name] = function(self, params, given)
    local state = state_of(self, name)
    params = params == nil and {} or params
    local checked = client.check_call(name, params, given, 2)
    return list(state, operation, params, checked.timeout)
  end
end

function methods:thing_registration_task_report(params, given)
  local name = "thing_registration_task_report"
  local state = state_of(self, name)
  local checked = client.check_call(name, params, given, 2)
  local own = options.copy(params) -- the caller may change them meanwhile
  return require("iot.reports").records {
    operation = name,
    serialize = state.runtime.serialize,
    list = function() return list(state, client.lists.thing_registration_task_report_links, own, checked.timeout) end,
    open = function(link)
      if state.closed then error("attempt to use a closed client", 0) end
      return require("iot.links").open(state, name, link, checked.timeout)
    end,
  }
end

function methods:close()
  local state = state_of(self, "close")
  state.closed = true
  state.native:close()
end

-- A client is an empty table, so that every access meets the metatable: fields are read-only.
local function new_object(state)
  local view = setmetatable(state.view, { __index = methods })
  return setmetatable({}, {
    __name = "iot.Client",
    __index = view,
    __newindex = function() error("a client's fields are read-only", 2) end,
    __tostring = function() return "iot.Client (" .. view.region .. ")" end,
    __close = methods.close,
    state = state,
  })
end

local function open_native(found)
  local native, message, facts = core.client {
    endpoint = found.endpoint, region = found.region, ca_bundle = found.ca_bundle,
    proxy = found.proxy, connect_timeout = found.connect_timeout, read_timeout = found.read_timeout,
  }
  if native then return native end
  local source = ({
    InvalidEndpoint = "the endpoint given by " .. found.endpoint_source,
    InvalidCABundle = "the CA bundle given by " .. tostring(found.ca_bundle_source),
    InvalidConfiguration = "the option proxy",
  })[facts.code]
  return errors.fail(facts, source and source .. " cannot be used: " .. message or message)
end

local function check_device(device, level)
  if device then
    options.check("new", device, require("iot.credentials.device").schema, level + 1, "field of device")
  end
end

local function check_retry(given, level)
  if not given then return nil end
  local copy = options.check("new", given, retry_options, level + 1, "field of retry")
  retry.check("new", copy, level + 1, "field of retry")
  return copy
end

local function open_cache(checked, found, runtime)
  if not checked.cache then return nil end
  local cache, message = require("iot.cache").new(checked.cache, found, runtime)
  if cache then return cache end
  return errors.fail({ code = "InvalidConfiguration" }, "the option cache cannot be used: " .. message)
end

local function context_of(found, checked, runtime, skew)
  return {
    runtime = runtime, clock_skew = skew, region = found.region, profiles = found.profiles,
    profile = found.profiles.selected, endpoint_for = found.endpoint_for,
    connect_timeout = found.connect_timeout, ca_bundle = found.ca_bundle, proxy = found.proxy,
    mfa_code = checked.mfa_code, device = checked.device,
  }
end

-- An instance knows its own region, which is asked for when nothing else tells (reference 6.3).
local function find_settings(checked, runtime)
  local data, message, detail = profiles.load(checked.profile)
  if not data then return nil, message, detail end
  local found
  found, message, detail = settings.resolve(checked, data)
  if found or detail.code ~= "MissingRegion" then return found, message, detail end
  local region, reason, code = require("iot.credentials.imds").region {
    runtime = runtime, profiles = data, profile = data.selected,
  }
  if code == "Interrupted" then return errors.fail({ code = code }, reason) end
  if not region then return nil, message, detail end
  checked.region = region
  return settings.resolve(checked, data)
end

---Make a client.
---@param given iot.Options?
---@param level integer  of the caller to blame for misuse, as in `error`, seen from the caller of this
---@return iot.Client?
---@return string? message
---@return iot.Error? detail
function client.new(given, level)
  if given ~= nil then options.check_argument("new", "options", given, "table", level + 1) end
  local checked = options.check("new", given, client_options, level + 1)
  for _, name in ipairs(durations) do
    options.check_duration("new", name, checked[name], level + 1)
  end
  options.check_functions("new", "runtime", checked.runtime, runtime_functions, level + 1)
  check_device(checked.device, level + 1)
  checked.retry = check_retry(checked.retry, level + 1)
  checked.cache = checked.cache and require("iot.cache").check(checked.cache, level + 1)
  if checked.device and checked.credentials then
    return errors.fail({ code = "InvalidConfiguration" },
      "the options credentials and device exclude each other")
  end
  local runtime = checked.runtime or require "iot.runtime"
  local found, message, detail = find_settings(checked, runtime)
  if not found then return nil, message, detail end
  local skew = clock_skew.new()
  local makers
  makers, message = chain.makers(context_of(found, checked, runtime, skew), checked.credentials,
    checked.profile ~= nil)
  if not makers then
    return errors.fail({ code = "InvalidCredentials" }, "the credentials cannot be used: " .. message)
  end
  local cache
  cache, message, detail = open_cache(checked, found, runtime)
  if detail then return nil, message, detail end
  local native
  native, message, detail = open_native(found)
  if not native then return nil, message, detail end
  return new_object {
    settings = found,
    credentials = refresh.new(makers, runtime),
    clock_skew = skew,
    cache = cache,
    retry = retry.new {
      runtime = runtime, mode = found.retry.mode, max_attempts = found.retry.max_attempts,
      parameters = retry.parameters[found.retry.parameters],
    },
    native = native,
    runtime = runtime,
    on_event = checked.on_event,
    view = { region = found.region, endpoint = native:endpoint() },
  }
end

return client
