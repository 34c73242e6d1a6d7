---Waiting for a task to end (reference 9.2): polls at growing intervals, until its status says so.
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"

local waiter = {}

---Options of a wait; durations in seconds.
---@class iot.WaitOptions
---@field timeout number?  for the whole wait; 3600
---@field interval number?  the shortest time between two polls; 5
---@field max_interval number?  the longest; 30, or `interval` where that is longer
---@field fail_on_failures boolean?  a task that completed with failures is a failure; false
---@field on_progress fun(progress: iot.Progress)?  called after each poll; what it raises, the wait raises

---What `on_progress` gets after a poll, and when an interrupt ends the wait. The table is its own.
---@class iot.Progress
---@field task iot.Task?  the last description, if there has been one
---@field failure iot.Error?  why this poll had none, or what interrupted the wait
---@field elapsed number  seconds since the wait began
---@field polls integer  how many there have been
---@field delay number?  seconds until the next poll; nil when this was the last
---@field done boolean?  true when this was the last

---Types of the options, for iot.config.options; and which of them are durations, to be positive.
---@type iot.Schema
waiter.options = {
  timeout = "number", interval = "number", max_interval = "number", on_progress = "function",
  fail_on_failures = "boolean",
}
waiter.durations = { "timeout", "interval", "max_interval" }
waiter.defaults = { timeout = 3600, interval = 5, max_interval = 30 }

local operation = "wait_for_thing_registration_task"

local shortest_delay = 1 -- seconds between two polls, whatever the options say (reference 9.1)
local patience = 5 -- seconds beyond the longest interval that a server may ask for (reference 5.1)
local reserve = 1 -- seconds before the timeout that the last poll is made
local least_reserve = 0.5 -- a poll that had less is not worth making

---@class iot.Wait
---@field task iot.Task?
---@field polls integer
local Wait = {}
Wait.__index = Wait

local function new_wait(runtime, describe, options)
  local defaults = waiter.defaults
  local timeout = options.timeout or defaults.timeout
  local interval = options.interval or math.min(defaults.interval, options.max_interval or math.huge)
  local started = runtime.monotonic()
  return setmetatable({
    runtime = runtime, describe = describe, options = options,
    started = started, deadline = started + timeout, timeout = timeout,
    interval = interval, max_interval = math.max(interval, options.max_interval or defaults.max_interval),
    polls = 0,
  }, Wait)
end

local function name_of(task)
  return task and task.taskId and "the task " .. excerpt.line(task.taskId, 64) or "the task"
end

local function described(self)
  local task = self.task
  local text = task.status and "its last status was " .. excerpt.line(task.status, 64) or "it had no status"
  return task.percentageProgress and ("%s, at %s %%"):format(text, task.percentageProgress) or text
end

function Wait:fail(code, message, cause)
  return errors.fail({
    code = code, operation = operation, attempts = self.polls, task = self.task, cause = cause,
  }, message)
end

function Wait:time_out(failure)
  local message = ("%s was not done within %.10g s: %s"):format(name_of(self.task), self.timeout,
    self.task and described(self) or "it was never described")
  if failure then message = message .. "; the last poll failed: " .. excerpt.line(failure.message, 1024) end
  return self:fail("WaitTimeout", message, failure)
end

-- Whether a failed poll may be followed by a good one: an outage, during which credentials cannot be
-- renewed either. That they never worked is another matter.
function Wait:rides_out(failure)
  return failure.retryable or failure.kind == "credentials" and failure.code == "CredentialsFailed"
    and self.task ~= nil
end

local function with_reason(text, task)
  local reason = task.message and excerpt.line(task.message, 1024) or ""
  return reason ~= "" and text .. ": " .. reason or text
end

-- Whether the last poll ended the wait, and how. By the status alone: the percentage of a task that failed
-- stays below 100, and states that are not known here go on.
function Wait:outcome(failure)
  if failure then
    if self:rides_out(failure) then return false end
    failure.task = self.task
    return true, nil, failure.message, failure
  end
  local task = self.task
  if task.status == "Completed" then
    local failed = task.failureCount or 0
    if not self.options.fail_on_failures or failed <= 0 then return true, task end
    return true, self:fail("TaskHadFailures", ("%s was completed with failures: %d things registered, %d failed")
      :format(name_of(task), task.successCount or 0, failed))
  elseif task.status == "Failed" then
    return true, self:fail("TaskFailed", with_reason(name_of(task) .. " failed", task))
  elseif task.status == "Cancelled" then
    return true, self:fail("TaskCancelled", with_reason(name_of(task) .. " was cancelled", task))
  end
  return false
end

-- Seconds until the next poll; nil when there is no time for one. What the server asks for is a lower
-- bound, but for the last poll: the answer may be there.
function Wait:next_delay(failure)
  local left = self.deadline - self.runtime.monotonic()
  local ceiling = math.min(self.max_interval, self.interval * 2 ^ (self.polls - 1))
  local delay = self.interval + self.runtime.random() * (ceiling - self.interval)
  local asked = failure and failure.retry_after or 0
  delay = math.max(delay, math.min(asked, self.max_interval + patience))
  delay = math.max(math.min(delay, left - reserve), shortest_delay)
  return left - delay >= least_reserve and delay or nil
end

-- Returns the failure when there was no description.
function Wait:poll()
  self.polls = self.polls + 1
  local task, _, failure = self.describe(self.deadline - self.runtime.monotonic())
  if not task then return failure end
  self.task = task
end

function Wait:tell(failure, delay)
  if not self.options.on_progress then return end
  self.options.on_progress {
    task = self.task, failure = failure, elapsed = self.runtime.monotonic() - self.started,
    polls = self.polls, delay = delay, done = not delay or nil,
  }
end

-- Returns false when a signal ended it.
function Wait:sleep(seconds)
  return seconds <= 0 or self.runtime.sleep(seconds) ~= false
end

function Wait:interrupted()
  local _, message, detail = self:fail("Interrupted", "a signal ended the waiting for " .. name_of(self.task))
  self:tell(detail)
  return nil, message, detail
end

---Wait until a task has ended: the first poll is made at once, the last one about a second before the
---timeout. Between two polls pass from `interval` to a ceiling that doubles with each, up to
---`max_interval`, by chance; never less than a second. Failures that may pass are ridden out.
---
---A failure is `TaskFailed`, `TaskCancelled`, `TaskHadFailures`, `WaitTimeout` (its `cause`: why the last
---poll failed, if it did) or `Interrupted`; or that of a poll, as it came, which no other poll can mend.
---Each has `task`, the last description, if there has been one.
---@param runtime iot.Runtime
---@param describe fun(timeout: number): iot.Task?, string?, iot.Error?  one call, of so many seconds at most
---@param options iot.WaitOptions?  of the right types, the durations positive
---@return iot.Task? task
---@return string? message
---@return iot.Error? detail
function waiter.wait(runtime, describe, options)
  local wait = new_wait(runtime, describe, options or {})
  while true do
    local failure = wait:poll()
    local polled = runtime.monotonic()
    local ended, task, message, detail = wait:outcome(failure)
    local delay = not ended and wait:next_delay(failure) or nil
    wait:tell(failure, delay)
    if ended then return task, message, detail end
    if not delay then return wait:time_out(failure) end
    if not wait:sleep(delay - (runtime.monotonic() - polled)) then return wait:interrupted() end
    if runtime.monotonic() >= wait.deadline then -- on_progress took it all
      wait:tell(failure)
      return wait:time_out(failure)
    end
  end
end

return waiter
