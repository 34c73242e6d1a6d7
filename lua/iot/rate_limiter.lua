---The client's own limit of its sending rate, in adaptive mode: a token bucket that the CUBIC function
---fills faster after success, and slower after throttling (reference 5.4).
local rate_limiter = {}

local beta = 0.7 -- what is kept of the rate when the service throttles
local scale = 0.4
local smoothing = 0.8 -- the weight of the newest measurement
local min_fill_rate = 0.5 -- requests per second
local min_capacity = 1 -- requests
local buckets_per_second = 2 -- of the measurement
local nanosecond = 1e-9

---Times are seconds of a clock that is never set, rates are requests per second.
---@class iot.RateLimiter
---@field enabled boolean  whether the service has throttled once; until then nothing waits
---@field measured number  the rate of replies, smoothed
---@field fill_rate number
---@field max_capacity number  requests
---@field capacity number  requests that may be sent at once
---@field w_max number  the rate when the service throttled last
---@field t_fail number  when it did
---@field package count integer  replies in the current bucket of the measurement
---@field package bucket number  where that begins
---@field package last_refill number?
local RateLimiter = {}
RateLimiter.__index = RateLimiter

local function bucket_of(time)
  return math.floor(buckets_per_second * time) / buckets_per_second
end

---@param time number  now
---@return iot.RateLimiter
function rate_limiter.new(time)
  return setmetatable({
    enabled = false, measured = 0, fill_rate = min_fill_rate, max_capacity = min_capacity, capacity = 0,
    w_max = 0, t_fail = time, count = 0, bucket = math.floor(time),
  }, RateLimiter)
end

local function refill(self, time)
  if self.last_refill then
    local gained = (time - self.last_refill) * self.fill_rate
    self.capacity = math.min(self.max_capacity, self.capacity + gained)
  end
  self.last_refill = time
end

local function measure(self, time)
  local bucket = bucket_of(time)
  self.count = self.count + 1
  if bucket > self.bucket then
    local rate = self.count / (bucket - self.bucket)
    self.measured = smoothing * rate + (1 - smoothing) * self.measured
    self.count, self.bucket = 0, bucket
  end
end

---Take a token for one attempt.
---@param time number  now
---@return number seconds  0 when a token was taken; else how long to wait before asking again
function RateLimiter:acquire(time)
  if not self.enabled then return 0 end
  refill(self, time)
  local wait = (1 - self.capacity) / self.fill_rate
  if wait >= nanosecond then return wait end -- less is an error of rounding
  self.capacity = math.max(self.capacity - 1, 0)
  return 0
end

---The rate after success.
---@param time number  now
---@return number
function RateLimiter:cubic(time)
  local k = (self.w_max * (1 - beta) / scale) ^ (1 / 3)
  return scale * (time - self.t_fail - k) ^ 3 + self.w_max
end

---The rate after throttling, which is noted.
---@param rate number  at which the service throttled
---@param time number  now
---@return number
function RateLimiter:throttle(rate, time)
  self.w_max, self.t_fail = rate, time
  return beta * rate
end

---Learn from an attempt, whether a reply came or none.
---@param time number  now
---@param throttled boolean  whether the service asked for fewer requests
function RateLimiter:update(time, throttled)
  measure(self, time)
  local rate
  if throttled then
    rate = self.enabled and math.min(self.measured, self.fill_rate) or self.measured
    rate = self:throttle(rate, time)
    self.enabled = true
  else
    rate = self:cubic(time)
  end
  rate = math.min(rate, 2 * self.measured)
  refill(self, time) -- at the old rate
  self.fill_rate = math.max(rate, min_fill_rate)
  self.max_capacity = math.max(rate, min_capacity)
  self.capacity = math.min(self.capacity, self.max_capacity)
end

return rate_limiter
