--- What this process holds, over time: samples, and the straight line through them.
local descriptors = require "spec.support.descriptors"

local M = {}

-- Bytes that Lua's memory may grow by. LuaJIT keeps what it compiles there, and goes on compiling for long.
M.LUA_LIMIT = (rawget(_G, "jit") and 512 or 16) * 1024

---@class spec.figures.Sample
---@field done integer  calls so far
---@field resident integer  bytes
---@field lua number  bytes, of what is no garbage
---@field descriptors integer

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("*a"):match "VmRSS:%s*(%d+)"
  file:close()
  return kilobytes * 1024
end

--- Room for samples, which takes no more memory when they are taken.
---@return spec.figures.Sample[]
function M.room(count)
  local samples = {}
  for i = 1, count do samples[i] = { done = 0, resident = 0, lua = 0, descriptors = 0 } end
  return samples
end

---@param sample spec.figures.Sample  what to fill in
function M.take(sample, done)
  collectgarbage()
  collectgarbage()
  sample.done, sample.resident, sample.lua = done, resident(), collectgarbage "count" * 1024
  sample.descriptors = descriptors.count_all()
end

--- How much a figure grows from the first sample to the last, by the line that fits them best.
---@param samples spec.figures.Sample[]
---@param name string
---@return number
function M.growth(samples, name)
  local n, x, y, xx, xy = #samples, 0, 0, 0, 0
  for _, sample in ipairs(samples) do
    x, y = x + sample.done, y + sample[name]
    xx, xy = xx + sample.done ^ 2, xy + sample.done * sample[name]
  end
  local slope = (n * xy - x * y) / (n * xx - x ^ 2)
  return slope * (samples[n].done - samples[1].done)
end

--- Print figures that are at most so high, and count those that are not.
---@return { check: fun(condition: any, complaint: string), problems: integer }
function M.checks()
  local checks = { problems = 0 }
  function checks.check(condition, complaint)
    if condition then return end
    checks.problems = checks.problems + 1
    print("PROBLEM: " .. complaint)
  end
  return checks
end

return M
