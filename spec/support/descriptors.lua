--- The open files and sockets of this process.
local lfs = require "lfs"
local runtimes = require "spec.support.runtimes"

local FOLDER = "/proc/self/fd"

-- Elsewhere than in plain Lua connections, and what waits for them, are the runtime's: it keeps them for others.
local UNCOUNTED = { socket = true, other = true }

local function counts(name)
  if not name:find "^%d" then return false end
  return runtimes.name == "blocking" or not UNCOUNTED[lfs.attributes(FOLDER .. "/" .. name, "mode")]
end

local M = {}

--- Why they cannot be counted here, or nil: for pending().
---@return string?
function M.missing()
  return not lfs.attributes(FOLDER) and "no " .. FOLDER .. " here" or nil
end

--- Without those of garbage, which an earlier spec may have left.
---@return integer
function M.count()
  collectgarbage()
  collectgarbage()
  return M.count_all()
end

--- The same once it is as wanted, or after a second: what has ended may still have a thread of libcurl's to wait for,
--- or be held for a moment by a trace of LuaJIT's.
---@param wanted integer
---@return integer
function M.settle(wanted)
  local core = require "iot.core"
  local deadline = core.monotonic() + 1
  local count = M.count()
  while count ~= wanted and core.monotonic() < deadline do
    core.sleep(0.01)
    count = M.count()
  end
  return count
end

--- With those of what is garbage already.
---@return integer
function M.count_all()
  local count = 0
  for name in lfs.dir(FOLDER) do
    if counts(name) then count = count + 1 end
  end
  return count
end

return M
