---Credentials kept and renewed in time: one refresh at a time, however many wait (reference 7.2).
local chain = require "iot.credentials.chain"

local refresh = {}

-- Seconds before the expiration: from the first on they are renewed if that works, from the second on
-- a call waits for it. Of credentials that live shorter than that, these parts of their life.
local advisory, advisory_part = 300, 1 / 2
local mandatory, mandatory_part = 60, 1 / 5

-- Seconds between two attempts after one has failed: the first, or twice what that took, up to the
-- second; and how much longer expired ones of an instance are used, which its metadata service may
-- hand out on purpose (reference 7.9).
local patience = 5 -- and at most so long for a renewal that can wait
local back_off, longest_back_off = 1, 30
local extension, extension_spread = 600, 300

---@class iot.Credentials.Store
---@field record iot.Credentials?  the last good ones
---@field provider iot.Provider?  that had them, which is asked from then on
---@field good_until number?  the expiration, or what stands for it; nil for ever
---@field completed integer  how many renewals have ended
---@field renewing thread?
local Store = {}
Store.__index = Store

---@param makers table[]  of chain.makers
---@param runtime iot.Runtime
---@return iot.Credentials.Store
function refresh.new(makers, runtime)
  return setmetatable({
    makers = makers, runtime = runtime, next_try = -math.huge, completed = 0,
    advisory = 0, mandatory = 0,
  }, Store)
end

local function left(self)
  return self.good_until and self.good_until - self.runtime.now() or math.huge
end

-- Whether there are credentials, for more than so many seconds.
local function has(self, seconds)
  return self.record ~= nil and not self.refused and not self.provider.always and left(self) > seconds
end

local function keep_until(self, time)
  self.good_until = time
  local life = left(self)
  self.advisory = math.min(advisory, life * advisory_part)
  self.mandatory = math.min(mandatory, life * mandatory_part)
end

-- No one is asked before that time: all instances of a fleet would ask at once.
local function extend(self)
  self.good_until = self.runtime.now() + extension + self.runtime.random() * extension_spread
  self.advisory, self.mandatory = 0, 0
end

local function keep(self, record, provider)
  local old = self.record
  self.record, self.provider, self.refused = record, provider, nil
  if record.stale_allowed and record.expiration and record.expiration - self.runtime.now() <= mandatory then
    extend(self)
  elseif old and old.expiration and record.expiration == old.expiration then
    self.next_try = self.runtime.monotonic() + patience -- the source has none that live longer
  else
    -- What cannot be renewed is used as long as the service takes it.
    keep_until(self, not provider.fixed and record.expiration or nil)
  end
end

-- The coroutine that runs; nil for the main thread, which nothing runs beside.
local function running()
  local thread, is_main = coroutine.running()
  return not is_main and thread or nil
end

-- Whether another coroutine is known to renew them. One that an error ended does not.
local function is_renewed_elsewhere(self)
  local thread, goes_on = self.renewing, self.runtime.goes_on
  if thread == nil or thread == running() then return false end
  if goes_on then return goes_on(thread) end
  return coroutine.status(thread) ~= "dead"
end

-- What comes expired would only be refused; an instance's may still be good (reference 7.9).
local function check_expiration(self, record, provider)
  local expired = record.expiration and record.expiration <= self.runtime.now()
  if not expired or provider.fixed or record.stale_allowed then return record, provider end
  return nil, ("the credentials cannot be used: %s: they had expired when they came: renew them, "
    .. "or set the clock"):format(provider.name), "CredentialsFailed"
end

local function fetch(self, deadline)
  if not self.provider then
    local record, provider, code = chain.fetch(self.makers, deadline)
    if not record then return nil, provider, code end
    return check_expiration(self, record, provider)
  end
  if deadline and has(self, 0) then
    local now = self.runtime.monotonic()
    deadline = now + math.min((deadline - now) / 2, patience) -- the old ones will do
  end
  local record, message, code = self.provider.fetch(deadline)
  if record then return check_expiration(self, record, self.provider) end
  return nil, ("the credentials could not be renewed: %s: %s"):format(
    self.provider.name, tostring(message)), code or "CredentialsFailed"
end

-- After a failure: what is still valid stays in use, and what an instance has, for a while more.
local function fall_back(self)
  if not has(self, 0) then
    if not self.record or not self.record.stale_allowed or self.refused then return nil end
    extend(self)
  end
  return self.record, self.provider
end

-- Renew, unless one has been made since the caller began to wait: its outcome is the caller's, too. An
-- interrupted one is none: who waited makes it, and so does the next call.
local function renew(self, completed, deadline)
  if self.completed == completed then
    self.renewing = running()
    local started = self.runtime.monotonic()
    local record, provider, code = fetch(self, deadline)
    self.renewing = nil
    if not record and code == "Interrupted" then return nil, provider, code end
    self.completed = self.completed + 1
    self.failure = not record and { message = provider, code = code } or nil
    if record then
      keep(self, record, provider)
      return record, provider
    end
    local now = self.runtime.monotonic()
    self.next_try = now + math.min(math.max(back_off, 2 * (now - started)), longest_back_off)
  elseif not self.failure then
    return self.record, self.provider
  end
  local record, provider = fall_back(self)
  if record then return record, provider end
  return nil, self.failure.message, self.failure.code
end

---The credentials to sign with, renewed when it is time. Old ones stay in use while they are valid and
---a renewal is under way or has failed, but not after an interrupt: the caller is to stop.
---@param deadline number?  of runtime.monotonic()
---@return iot.Credentials? record
---@return iot.Provider|string provider  or the message
---@return string? code  Interrupted; Timeout when another call's renewal took too long; or the provider's
function Store:get(deadline)
  if has(self, self.advisory) then return self.record, self.provider end
  if is_renewed_elsewhere(self) and has(self, self.mandatory) then return self.record, self.provider end
  if self.runtime.monotonic() < self.next_try and not self.refused then
    if has(self, 0) then return self.record, self.provider end
    if self.failure and self.provider then return nil, self.failure.message, self.failure.code end
  end
  -- Who still has good ones waits for no one's turn: in nginx nothing else tells whether another has it.
  local patient_until = has(self, self.mandatory) and self.runtime.monotonic() or deadline
  local record, provider, code =
    self.runtime.serialize(self, patient_until, renew, self, self.completed, deadline)
  if record or code == "Interrupted" then return record, provider, code end
  if has(self, 0) then return self.record, self.provider end
  if code == "Timeout" then provider = "another call's renewal of the credentials took too long" end
  return nil, provider, code
end

---Say that the service called these credentials expired: the next `get` renews them.
---@param record iot.Credentials
---@return boolean  whether a renewal can be hoped for
---@return boolean  whether another call has said so before
function Store:refuse(record)
  local met_before = record ~= self.record or self.refused == true
  if record == self.record then self.refused = true end
  return not self.provider.fixed, met_before
end

return refresh
