--- What this process holds, over time: samples, and the straight line through them.
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"

local M = {}

---@class spec.figures.Sample
---@field done integer  calls so far
---@field resident integer  bytes
---@field lua number  bytes, of what is no garbage
---@field descriptors integer

local function resident()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "VmRSS:%s*(%d+)"
    if kilobytes then return kilobytes * 1024 end
  end
end

---@return spec.figures.Sample
function M.sample(done)
  collectgarbage()
  collectgarbage()
  return {
    done = done, resident = resident(), lua = collectgarbage "count" * 1024, descriptors = descriptors.count_all(),
    at = core.monotonic(),
  }
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
