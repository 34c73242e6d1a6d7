---What is to happen when, the earliest first: a binary heap.
local timers = {}

---@class iot.Timer
---@field time number
---@field what any
---@field at integer  its place in the heap

---@class iot.Timers
---@field count integer
local Timers = {}
Timers.__index = Timers

---@return iot.Timers
function timers.new()
  return setmetatable({ count = 0 }, Timers)
end

local function put(self, at, timer)
  self[at], timer.at = timer, at
end

-- Where it stands, a timer is no later than the two below it, which stand at 2 at and 2 at + 1.
local function rise(self, timer)
  local at = timer.at
  while at > 1 do
    local above = (at - at % 2) / 2
    if self[above].time <= timer.time then break end
    put(self, at, self[above])
    at = above
  end
  put(self, at, timer)
end

local function sink(self, timer)
  local at, count = timer.at, self.count
  while true do
    local below = 2 * at
    if below > count then break end
    if below < count and self[below + 1].time < self[below].time then below = below + 1 end
    if timer.time <= self[below].time then break end
    put(self, at, self[below])
    at = below
  end
  put(self, at, timer)
end

---@param time number
---@param what any
---@return iot.Timer
function Timers:add(time, what)
  local timer = { time = time, what = what, at = 0 }
  put(self, self.count + 1, timer) -- there may be no memory for it
  self.count = self.count + 1
  rise(self, timer)
  return timer
end

---@param timer iot.Timer  that has not been taken
function Timers:remove(timer)
  local at, last = timer.at, self[self.count]
  self[self.count], self.count = nil, self.count - 1
  if last == timer then return end
  put(self, at, last)
  rise(self, last)
  sink(self, last)
end

---When the earliest is due; nil when there is none.
---@return number?
function Timers:next()
  return self[1] and self[1].time
end

---Take the earliest if it is due.
---@param now number
---@return any what  nil when none is due
function Timers:take(now)
  local first = self[1]
  if not first or first.time > now then return nil end
  self:remove(first)
  return first.what
end

return timers
