--- Random numbers that are the same for one seed on every Lua: the "minimal standard" generator.
-- Its products stay below 2^53, so doubles and integers agree.
local MODULUS, MULTIPLIER = 2147483647, 16807

---@class spec.random
local Random = {}
Random.__index = Random

local M = {}

---@param seed integer  any; equal seeds give equal sequences
---@return spec.random
function M.new(seed)
  local self = setmetatable({ state = math.floor(seed) % (MODULUS - 1) + 1 }, Random)
  for _ = 1, 8 do self:integer(1, 2) end -- small seeds start with small numbers
  return self
end

---@param low integer
---@param high integer  at most 2^31 - 3 above `low`
---@return integer  low <= result <= high
function Random:integer(low, high)
  self.state = self.state * MULTIPLIER % MODULUS
  return low + self.state % (high - low + 1)
end

---@param percent integer
---@return boolean  true that often
function Random:chance(percent)
  return self:integer(1, 100) <= percent
end

---@generic T
---@param list T[]
---@return T
function Random:pick(list)
  return list[self:integer(1, #list)]
end

--- One character of a text, taken byte-wise.
---@param text string
---@return string
function Random:character(text)
  local at = self:integer(1, #text)
  return text:sub(at, at)
end

--- Between `low` and `high` pieces, each what `make(self)` returns, in one string.
---@return string
function Random:text(low, high, make)
  local pieces = {}
  for i = 1, self:integer(low, high) do pieces[i] = make(self) end
  return table.concat(pieces)
end

return M
