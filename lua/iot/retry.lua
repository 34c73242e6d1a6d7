---When an attempt that failed is made again, and after which wait: the standard and the adaptive mode of
---AWS's SDKs (reference 5.1, 5.3, 5.4).
local errors = require "iot.errors"
local options = require "iot.config.options"
local rate_limiter = require "iot.rate_limiter"
local variables = require "iot.config.variables"

local retry = {}

local unpack = rawget(table, "unpack") or _G["unpack"]

---Scales and delays in seconds, costs in tokens of the quota.
---@class iot.retry.Parameters
---@field max_attempts integer  unless an option says otherwise
---@field capacity number  of the quota
---@field max_backoff number  before jitter
---@field transient_scale number  the most that is waited before the first retry
---@field throttling_scale number  likewise, when the service throttles
---@field transient_cost number
---@field throttling_cost number
---@field timeout_cost number
---@field refund number  for a call that succeeds at once
---@field asked fun(seconds: number, backoff: number, row: iot.retry.Parameters): number  the delay where the
---server asked for one

---The two generations of the rules (reference 5.1); read-only.
---@type table<"2.0"|"2.1", iot.retry.Parameters>
retry.parameters = {
  ["2.0"] = {
    max_attempts = 3, capacity = 500, max_backoff = 20, transient_scale = 1, throttling_scale = 1,
    transient_cost = 5, throttling_cost = 5, timeout_cost = 10, refund = 1,
    asked = function(seconds, _, row) return math.min(seconds, row.max_backoff) end,
  },
  ["2.1"] = {
    max_attempts = 3, capacity = 500, max_backoff = 20, transient_scale = 0.05, throttling_scale = 1,
    transient_cost = 14, throttling_cost = 5, timeout_cost = 14, refund = 1,
    asked = function(seconds, backoff) return math.max(backoff, math.min(seconds, backoff + 5)) end,
  },
}

---What an attempt is told; one table for all attempts of a run.
---@class iot.retry.Attempt
---@field number integer  from 1
---@field max_attempts integer
---@field delay number  seconds slept before it
---@field free boolean?  set by who makes it: its failure is no sign of trouble, another one costs nothing

-- One call with all its attempts: nothing of it is shared.
---@class iot.retry.Run
---@field attempt iot.retry.Attempt
---@field deadline number?
---@field acquired number?  what its last retry took from the quota

---The policy of a client, used by all its calls, many at a time.
---@class iot.retry.Policy
---@field quota number  tokens that are left
---@field limiter iot.RateLimiter?  in adaptive mode
---@field package runtime iot.Runtime
---@field package max_attempts integer
---@field package parameters iot.retry.Parameters
local Policy = {}
Policy.__index = Policy

---@param given { runtime: iot.Runtime, mode: ("standard"|"adaptive")?, max_attempts: integer?,
---parameters: iot.retry.Parameters? }  runtime: only monotonic, sleep, random and, in
---adaptive mode, serialize are used
---@return iot.retry.Policy
function retry.new(given)
  local parameters = given.parameters or retry.parameters["2.1"]
  return setmetatable({
    runtime = given.runtime,
    max_attempts = given.max_attempts or parameters.max_attempts,
    parameters = parameters,
    quota = parameters.capacity,
    limiter = given.mode == "adaptive" and rate_limiter.new(given.runtime.monotonic()) or nil,
  }, Policy)
end

-- Waiting --------------------------------------------------------------------------------------

-- Sleep before an attempt; returns what ends the run instead, if anything.
local function pause(policy, run, seconds)
  local runtime = policy.runtime
  if run.deadline and runtime.monotonic() + seconds >= run.deadline then return "deadline" end
  if seconds > 0 then
    if runtime.sleep(seconds) == false then return "interrupt" end
    run.attempt.delay = run.attempt.delay + seconds
  end
end

local function take_token(policy, run)
  local wait = policy.limiter:acquire(policy.runtime.monotonic())
  while wait > 0 do
    local ending = pause(policy, run, wait)
    if ending then return ending end
    wait = policy.limiter:acquire(policy.runtime.monotonic())
  end
  return "admitted"
end

-- Wait until an attempt may begin, those first that asked first; returns what ends the run instead, if
-- anything.
local function admit(policy, run)
  if not (policy.limiter and policy.limiter.enabled) then return pause(policy, run, 0) end
  local outcome = policy.runtime.serialize(policy.limiter, run.deadline, take_token, policy, run)
    or "deadline" -- its turn did not come
  if outcome ~= "admitted" then return outcome end
end

local function backoff(policy, run, detail)
  local row, asked = policy.parameters, detail.retry_after
  local scale = detail.throttled and row.throttling_scale or row.transient_scale
  local seconds = policy.runtime.random() * math.min(scale * 2 ^ (run.attempt.number - 1), row.max_backoff)
  if type(asked) == "number" and asked >= 0 then return row.asked(asked, seconds, row) end
  return seconds
end

-- The rules ------------------------------------------------------------------------------------

local function cost_of(row, detail)
  if detail.throttled then return row.throttling_cost end
  return detail.code == "Timeout" and row.timeout_cost or row.transient_cost
end

-- Get ready for another attempt; returns what ends the run instead, if anything.
local function prepare(policy, run, detail)
  local attempt = run.attempt
  if not detail.retryable or attempt.number >= attempt.max_attempts then return "failure" end
  local cost = attempt.free and 0 or cost_of(policy.parameters, detail)
  if policy.quota < cost then
    detail.quota_exceeded = true
    return "failure"
  end
  local delay = backoff(policy, run, detail)
  -- What cannot be made in time costs nothing.
  if run.deadline and policy.runtime.monotonic() + delay >= run.deadline then return "deadline" end
  policy.quota, run.acquired = policy.quota - cost, cost
  attempt.delay, attempt.free = 0, nil
  local ending = pause(policy, run, delay) or admit(policy, run)
  if ending then
    policy.quota, run.acquired = policy.quota + cost, nil
  else
    attempt.number = attempt.number + 1
  end
  return ending
end

-- Draw the conclusions of an attempt; returns what ends the run, or nil when another one may begin.
local function conclude(policy, run, result, detail)
  local limiter, failed = policy.limiter, result == nil
  local known = failed and type(detail) == "table"
  if limiter then limiter:update(policy.runtime.monotonic(), known and detail.throttled or false) end
  if not failed then
    local refund = run.acquired or policy.parameters.refund
    policy.quota = math.min(policy.parameters.capacity, policy.quota + refund)
    return "success"
  elseif not known then
    return "failure"
  end
  local ending = prepare(policy, run, detail)
  if ending and detail.attempts == nil then detail.attempts = run.attempt.number end
  return ending
end

-- The failure of a run that no attempt was made in.
local function not_begun(ending)
  local code = ending == "deadline" and "Timeout" or "Interrupted"
  return errors.fail({ code = code, attempts = 0 }, ending == "deadline"
    and "no time was left for an attempt" or "the wait for the first attempt was interrupted")
end

-- The failure of a run that made no further attempt, though one might have helped.
local function stopped(ending, message, cause)
  local text, operation = tostring(message), cause.operation
  local prefix = type(operation) == "string" and operation .. ": " or ""
  if text:sub(1, #prefix) == prefix then text = text:sub(#prefix + 1) end
  local code = ending == "deadline" and "Timeout" or "Interrupted"
  local reason = ending == "deadline" and "no time was left for another attempt"
    or "the wait for another attempt was interrupted"
  return errors.fail({ code = code, operation = operation, attempts = cause.attempts, cause = cause },
    reason .. "; the last one failed: " .. text)
end

-- What a time limit ended tells what it had been waiting for.
local function remember(detail, earlier)
  if type(detail) == "table" and detail.code == "Timeout" and detail ~= earlier and not detail.cause then
    detail.cause = earlier
  end
end

local function pack(...)
  return { n = select("#", ...), ... }
end

---Make an attempt, and others as long as it fails and another one may help.
---
---A failure is nil, a message and a detail, an iot.Error: its `retryable`, `throttled`, `code` and
---`retry_after` decide. One without a detail is final. An error that `fn` raises passes through.
---
---Besides what `fn` returned, a run ends with nil, a message and a detail of the code
---* Timeout: the next attempt, its delay included, could not begin before the deadline. The last failure is
---  its `cause`, and quoted; where that is a Timeout itself, it is returned instead, with the failure
---  before it as its `cause`.
---* Interrupted: a wait for an attempt was. The last failure, if there is one, is its `cause`, and quoted.
---
---Where the quota allows no further retry, the failure has `quota_exceeded = true`.
---@param deadline number?  of runtime.monotonic()
---@param fn fun(attempt: iot.retry.Attempt, ...): ...  makes one attempt
---@param ... any  for fn
---@return any ...  what fn returned last
function Policy:run(deadline, fn, ...)
  local attempt = { number = 1, max_attempts = self.max_attempts, delay = 0 }
  local run = { attempt = attempt, deadline = deadline }
  local ending = admit(self, run)
  if ending then return not_begun(ending) end
  local results
  repeat
    local earlier = results and results[3]
    results = pack(fn(attempt, ...))
    ending = conclude(self, run, results[1], results[3])
    if earlier and ending ~= "success" then remember(results[3], earlier) end
  until ending
  if ending == "interrupt" or ending == "deadline" and results[3].code ~= "Timeout" then
    return stopped(ending, results[2], results[3])
  end
  return unpack(results, 1, results.n)
end

-- For any function -----------------------------------------------------------------------------

---@type iot.Schema
local call_options = { max_attempts = "number", mode = "string", timeout = "number", runtime = "table" }
local runtime_functions = { "monotonic", "sleep", "random", "serialize" }

---Raise unless the options that a policy has are usable.
---@param callee string
---@param checked table  of the right types: `max_attempts`, `mode`
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
---@param noun string?  what a key is called; "option"
function retry.check(callee, checked, level, noun)
  options.check_count(callee, "max_attempts", checked.max_attempts, level + 1, noun)
  if checked.mode and checked.mode ~= "standard" and checked.mode ~= "adaptive" then
    error(("bad %s 'mode' to '%s' ('standard' or 'adaptive' expected)"):format(noun or "option", callee), level + 1)
  end
end

local function check_options(given, level)
  if given ~= nil then options.check_argument("retry", "options", given, "table", level + 1) end
  local checked = options.check("retry", given, call_options, level + 1)
  options.check_duration("retry", "timeout", checked.timeout, level + 1)
  retry.check("retry", checked, level + 1)
  options.check_functions("retry", "runtime", checked.runtime, runtime_functions, level + 1)
  return checked
end

---The body of `iot.retry`: run a function by a policy of its own.
---@param fn fun(attempt: iot.retry.Attempt): ...  fails as the library's functions do
---@param given { max_attempts: integer?, mode: ("standard"|"adaptive")?, timeout: number?,
---runtime: iot.Runtime? }?  timeout: seconds for all attempts and waits; none
---@param level integer  of the caller to blame for misuse, as in `error`, seen from the caller of this,
---which must not call it as its tail
---@return any ...  as of Policy:run
function retry.call(fn, given, level)
  options.check_argument("retry", "fn", fn, "function", level + 1)
  local checked = check_options(given, level + 1)
  local runtime = checked.runtime or require "iot.runtime"
  local switch = variables.get("AWS_NEW_RETRIES_2026")
  local policy = retry.new {
    runtime = runtime, mode = checked.mode, max_attempts = checked.max_attempts,
    parameters = retry.parameters[switch and switch:lower() == "false" and "2.0" or "2.1"],
  }
  return policy:run(checked.timeout and runtime.monotonic() + checked.timeout, fn)
end

return retry
