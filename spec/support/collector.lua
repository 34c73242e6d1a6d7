--- A garbage collector that is always at work, for what finalisers may disturb.
local M = {}

-- From Lua 5.5 on these are parameters with one setter.
local has_parameters = pcall(collectgarbage, "param", "pause")

local function set(name, value)
  if has_parameters then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

--- Start the next cycle where one ends, and go through it fast.
---@return fun() restore  puts back what was before
function M.make_busy()
  local pause, multiplier = set("pause", 100), set("stepmul", 400)
  return function()
    set("pause", pause)
    set("stepmul", multiplier)
  end
end

return M
