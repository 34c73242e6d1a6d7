---One call: its attempts, each with fresh time, credentials and signature, under one deadline.
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"
local user_agent = require "iot.config.user_agent"
local variables = require "iot.config.variables"

local calls = {}

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

local early = 0.005 -- seconds before a deadline that a time limit in milliseconds may fire

-- Credentials in time. The first of a provider tell the client, and the service, where they came from.
-- A failure is nil, the reason, the code and, for a Timeout, its cause.
local function find_credentials(state, deadline)
  local record, provider, code = state.credentials:get(deadline)
  if record and state.provider ~= provider then
    state.provider = provider
    state.view.credentials_source = provider.name
    state.user_agents = {}
  end
  if record or code == "Interrupted" or state.runtime.monotonic() < deadline - early then
    return record, provider, code
  end
  local _, message, cause = errors.fail({ code = code }, provider)
  return nil, "no time was left to find credentials: " .. message, "Timeout", cause
end

-- The text depends on the provider that has the credentials, and on who calls.
local function user_agent_for(state, call)
  local kind = call.waiter and "waiter" or "plain"
  if not state.user_agents[kind] then
    state.user_agents[kind] = user_agent.build {
      credentials_feature = state.provider.feature,
      custom_endpoint = state.settings.custom_endpoint,
      app_id = state.settings.app_id,
      retry_mode = state.settings.retry.mode,
      waiter = call.waiter,
    }
  end
  return state.user_agents[kind]
end

---Tell of an attempt, who wants to know.
---@param state table  of the client
---@param call { operation: string }
---@param attempt iot.retry.Attempt
---@param started number  of runtime.monotonic()
---@param status integer?  of HTTP
---@param code string?  of the failure
function calls.tell(state, call, attempt, started, status, code)
  if not state.on_event then return end
  state.on_event {
    operation = call.operation, attempt = attempt.number, status = status, code = code,
    duration = state.runtime.monotonic() - started, delay = attempt.delay,
    credentials_source = state.view.credentials_source,
  }
end

-- When the reply will have been given up, by the server's clock as the last reply told it (reference 8.2).
local function time_to_live(state, call)
  return call.server_offset and state.runtime.now() + call.server_offset + state.settings.read_timeout
end

-- Whether a refusal may be cured by what the client can change for the next attempt: the time, or, once,
-- the credentials.
local function can_cure(state, call, attempt, signed, detail)
  if detail.kind ~= "service" then return false end
  local skew = state.clock_skew
  local met_before = skew.offset ~= call.clock_offset -- by another call
  if skew:correct(signed.time, call.clock_offset, detail) then
    attempt.free = met_before
    return true
  end
  if call.renewed or not detail.code:find "^ExpiredToken" then return false end
  call.renewed = true
  local renewable
  renewable, attempt.free = state.credentials:refuse(signed.credentials)
  return renewable
end

-- What is signed and sent. The limits of connection and reading, and the proxy, libcurl has from the client.
local function signed_attempt(state, call, attempt, record, timeout)
  local settings = state.settings
  return {
    number = attempt.number, max_attempts = attempt.max_attempts, delay = attempt.delay,
    invocation_id = call.invocation_id, trace_id = call.trace_id,
    credentials = record, user_agent = user_agent_for(state, call),
    time = state.runtime.now() + call.clock_offset, ttl = time_to_live(state, call), timeout = timeout,
    connect_timeout = settings.connect_timeout, read_timeout = settings.read_timeout, proxy = settings.proxy,
  }
end

-- One signed attempt; fails as the operation does.
local function try(attempt, state, call)
  local runtime, operation = state.runtime, call.operation
  local record, reason, code, cause = find_credentials(state, call.deadline)
  if not record then return fail(operation, reason, { code = code, cause = cause }, attempt.number - 1) end
  local started = runtime.monotonic()
  if call.deadline <= started then
    return fail(operation, "no time was left for the request", { code = "Timeout" }, attempt.number - 1)
  end
  if call.observe then call.observe(record) end
  call.clock_offset = state.clock_skew.offset
  local signed = signed_attempt(state, call, attempt, record, call.deadline - started)
  -- With a result comes the status of HTTP, with a failure its message and facts.
  local result, message, facts = runtime.send(state.native, operation, call.params, signed)
  if result then
    calls.tell(state, call, attempt, started, message)
    return result
  elseif not facts.kind and unsent[errors.codes[facts.code].kind] then
    return fail(operation, message, facts, attempt.number - 1)
  end
  calls.tell(state, call, attempt, started, facts.status, facts.code)
  if facts.server_time then call.server_offset = facts.server_time - runtime.now() end
  local _, text, detail = fail(operation, message, facts, attempt.number)
  detail.retryable = can_cure(state, call, attempt, signed, detail) or detail.retryable
  return nil, text, detail
end

---Make one call, whose arguments have been checked.
---@param state table  of the client; see client.lua
---@param operation string
---@param params table
---@param timeout number?  seconds; else the client's
---@param waiter boolean?  it is a poll of a wait
---@param observe fun(record: iot.Credentials)?  sees what each attempt is signed with
---@return table? result
---@return string? message
---@return iot.Error? detail
function calls.run(state, operation, params, timeout, waiter, observe)
  local valid, message, facts = state.native:validate(operation, params)
  if not valid then return fail(operation, message, facts, 0) end
  local id
  id, message, facts = core.uuid()
  if not id then return fail(operation, message, facts, 0) end
  local call = {
    operation = operation, params = options.copy(params), -- the caller may change them meanwhile
    waiter = waiter, observe = observe, invocation_id = id, trace_id = trace_id(),
    deadline = state.runtime.monotonic() + (timeout or state.settings.timeout),
  }
  local result, detail
  result, message, detail = state.retry:run(call.deadline, try, state, call)
  if result == nil and not detail.operation then return errors.before(operation, detail) end
  return result, message, detail
end

return calls
