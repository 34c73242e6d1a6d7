---A client of the service: settings and credentials around the native operations of iot.core.
local chain = require "iot.credentials.chain"
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"
local profiles = require "iot.config.profiles"
local refresh = require "iot.credentials.refresh"
local settings = require "iot.config.settings"
local user_agent = require "iot.config.user_agent"
local variables = require "iot.config.variables"

local client = {}

---@type iot.Schema
local client_options = {
  region = "string", profile = "string", credentials = { "table", "function" }, endpoint = "string",
  device = "table", mfa_code = "function", on_event = "function",
  use_fips_endpoint = "boolean", use_dualstack_endpoint = "boolean",
  connect_timeout = "number", read_timeout = "number", timeout = "number",
  ca_bundle = "string", proxy = "string", app_id = "string", runtime = "table",
}
local durations = { "connect_timeout", "read_timeout", "timeout" }
local runtime_functions = {
  "send", "now", "monotonic", "sleep", "request", "run", "random", "serialize",
}

---@type iot.Schema
local call_options = { timeout = "number" }

-- Kinds of failure that no request can have met.
local unsent = { validation = true, configuration = true, credentials = true }

-- The path that X-Ray gives a function of AWS Lambda, so that it can end a recursion (reference 8.2).
local function trace_id()
  local trace = variables.get("AWS_LAMBDA_FUNCTION_NAME") and variables.get("_X_AMZN_TRACE_ID")
  return trace and trace:gsub("[^%w%-._~=;:+&%[%]{}\"',]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
end

local function fail(operation, message, facts, attempts)
  facts.operation = operation
  facts.attempts = attempts
  return errors.fail(facts, message)
end

-- Credentials in time. The first of a provider tell the client, and the service, where they came from.
local function find_credentials(state, deadline)
  local record, provider, code = state.credentials:get(deadline)
  if record and state.provider ~= provider then
    state.provider = provider
    state.view.credentials_source = provider.name
    state.user_agent = user_agent.build {
      credentials_feature = provider.feature,
      custom_endpoint = state.settings.custom_endpoint,
      app_id = state.settings.app_id,
    }
  end
  return record, provider, code
end

local function tell(state, operation, attempt, started, status, code)
  if not state.on_event then return end
  state.on_event {
    operation = operation, attempt = attempt.number, status = status, code = code,
    duration = state.runtime.monotonic() - started, delay = 0,
    credentials_source = state.view.credentials_source,
  }
end

-- One signed attempt; fails as the operation does.
local function try(state, operation, params, attempt, deadline)
  local runtime = state.runtime
  local record, reason, code = find_credentials(state, deadline)
  if not record then return fail(operation, reason, { code = code }, attempt.number - 1) end
  local started = runtime.monotonic()
  attempt.credentials, attempt.user_agent = record, state.user_agent
  attempt.time, attempt.timeout = runtime.now(), deadline - started
  if attempt.timeout <= 0 then
    return fail(operation, "no time was left for the request", { code = "Timeout" }, attempt.number - 1)
  end
  -- With a result comes the status of HTTP, with a failure its message and facts.
  local result, message, facts = runtime.send(state.native, operation, params, attempt)
  if result then
    tell(state, operation, attempt, started, message)
    return result
  elseif not facts.kind and unsent[errors.codes[facts.code].kind] then
    return fail(operation, message, facts, attempt.number - 1)
  end
  tell(state, operation, attempt, started, facts.status, facts.code)
  return fail(operation, message, facts, attempt.number)
end

-- Whether a refusal may be cured by other credentials than these.
local function says_expired(detail)
  return detail.kind == "service" and detail.code:find("^ExpiredToken") ~= nil
end

---Make one call; the arguments are checked.
local function invoke(state, operation, params, call)
  local deadline = state.runtime.monotonic() + (call.timeout or state.settings.timeout)
  local valid, message, facts = state.native:validate(operation, params)
  if not valid then return fail(operation, message, facts, 0) end
  local id
  id, message, facts = core.uuid()
  if not id then return fail(operation, message, facts, 0) end

  local attempt = { invocation_id = id, trace_id = trace_id(), number = 1, max_attempts = 1 }
  local result, detail
  result, message, detail = try(state, operation, params, attempt, deadline)
  if result or not says_expired(detail) or not state.credentials:refuse(attempt.credentials) then
    return result, message, detail
  end
  attempt.number, attempt.max_attempts = 2, 2
  return try(state, operation, params, attempt, deadline)
end

---Check the arguments of an operation; returns the call's options.
---@param operation string
---@param params any
---@param call any
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
function client.check_call(operation, params, call, level)
  options.check_argument(operation, "params", params, "table", level + 1)
  if call ~= nil then options.check_argument(operation, "options", call, "table", level + 1) end
  local copy = options.check(operation, call, call_options, level + 1)
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

local methods = {}

for _, operation in ipairs(core.operations) do
  methods[operation] = function(self, params, call)
    local state = state_of(self, operation)
    local checked = client.check_call(operation, params, call, 2)
    return invoke(state, operation, params, checked)
  end
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

local function check_runtime(runtime, level)
  for _, name in ipairs(runtime and runtime_functions or {}) do
    if type(runtime[name]) ~= "function" then
      error(("bad option 'runtime' to 'new' (it has no function '%s')"):format(name), level + 1)
    end
  end
end

local function context_of(found, checked, runtime)
  return {
    runtime = runtime, region = found.region, profiles = found.profiles,
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
  checked.region = require("iot.credentials.imds").region {
    runtime = runtime, profiles = data, profile = data.selected,
  }
  if not checked.region then return nil, message, detail end
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
  check_runtime(checked.runtime, level + 1)
  check_device(checked.device, level + 1)
  if checked.device and checked.credentials then
    return errors.fail({ code = "InvalidConfiguration" },
      "the options credentials and device exclude each other")
  end
  local runtime = checked.runtime or require "iot.runtime.blocking"
  local found, message, detail = find_settings(checked, runtime)
  if not found then return nil, message, detail end
  local makers
  makers, message = chain.makers(context_of(found, checked, runtime), checked.credentials,
    checked.profile ~= nil)
  if not makers then
    return errors.fail({ code = "InvalidCredentials" }, "the credentials cannot be used: " .. message)
  end
  local native
  native, message, detail = open_native(found)
  if not native then return nil, message, detail end
  return new_object {
    settings = found,
    credentials = refresh.new(makers, runtime),
    native = native,
    runtime = runtime,
    on_event = checked.on_event,
    view = { region = found.region, endpoint = native:endpoint() },
  }
end

return client
