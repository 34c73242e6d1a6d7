---What is to happen when, the earliest first: a binary heap.
local timers = {}

---@class iot.Timers
---@field count integer
local Timers = {}
Timers.__index = Timers

---@return iot.Timers
function timers.new()
  return setmetatable({ count = 0 }, Timers)
end

-- Where it stands, an entry is no later than the two below it, which stand at 2 i and 2 i + 1.
local function rise(self, at)
  local entry = self[at]
  while at > 1 do
    local above = (at - at % 2) / 2
    if self[above].time <= entry.time then break end
    self[at], at = self[above], above
  end
  self[at] = entry
end

local function sink(self, at)
  local entry, count = self[at], self.count
  while true do
    local below = 2 * at
    if below > count then break end
    if below < count and self[below + 1].time < self[below].time then below = below + 1 end
    if entry.time <= self[below].time then break end
    self[at], at = self[below], below
  end
  self[at] = entry
end

---@param time number
---@param what any
---@param turn integer  handed back with it
function Timers:add(time, what, turn)
  self.count = self.count + 1
  self[self.count] = { time = time, what = what, turn = turn }
  rise(self, self.count)
end

---When the earliest is due; nil when there is none.
---@return number?
function Timers:next()
  return self[1] and self[1].time
end

---Take the earliest if it is due.
---@param now number
---@return any what  nil when none is due
---@return integer? turn
function Timers:take(now)
  local first = self[1]
  if not first or first.time > now then return nil end
  local count = self.count
  local last = self[count]
  self[count], self.count = nil, count - 1
  if count > 1 then
    self[1] = last
    sink(self, 1)
  end
  return first.what, first.turn
end

return timers
