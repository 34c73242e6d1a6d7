--- What of some texts is left in a process's memory that is not Lua's: from a small C library that is compiled when it
--- is first asked for, and preloaded into the process that is looked at (spec.support.child).
---
---   local memory = require("spec.support.memory").load(PATH)     -- in that process; PATH is what library() gave
---   local secret = memory.unmask(masked)                         -- so that none but Lua ever has it
---   assert(memory.look(masked) == 0)
local M = {}

--- The path of the compiled library, which the caller removes; or nil where it cannot be had.
---@return string? path
---@return string? reason
function M.library()
  local command = require "spec.support.command"
  local path = os.tmpname()
  local built = command.run { os.getenv "CC" or "cc", "-std=c99", "-O1", "-shared", "-fPIC", "-o", path,
    "spec/support/memory.c", "-ldl" }
  if built.code == 0 then return path end
  os.remove(path)
  return nil, built.code == 127 and "no C compiler" or "the library does not compile: " .. built.stderr
end

-- Each byte with the bits of 0x55 turned over, in every Lua.
local function turn(byte)
  local turned, bit = 0, 1
  for i = 0, 7 do
    local set = math.floor(byte / bit) % 2
    if i % 2 == 0 then set = 1 - set end
    turned, bit = turned + set * bit, bit * 2
  end
  return turned
end

--- A text in the form that `unmask` and `look` take.
---@param text string
---@return string
function M.mask(text)
  return (text:gsub(".", function(c) return string.char(turn(c:byte())) end))
end

--- A masked text as a Lua literal.
---@param text string
---@return string
function M.literal(text)
  return '"' .. M.mask(text):gsub(".", function(c) return ("\\%03d"):format(c:byte()) end) .. '"'
end

---@param path string
---@return { unmask: function, look: function, look_at_end: function }
function M.load(path)
  local function named(name) return assert(package.loadlib(path, name)) end
  return { unmask = named "spec_unmask", look = named "spec_look", look_at_end = named "spec_look_at_end" }
end

return M
