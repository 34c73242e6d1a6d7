--- For programs that run in a process of their own: a signal that comes while they wait.
--
--   local since = require("spec.support.interrupt").arrange(0.3)   -- SIGINT to this process, in 0.3 s
--   local ok, message = pcall(core.sleep, 60)
--   print(since())                                                 -- seconds since it was sent
local core = require "iot.core"

local M = {}

-- Of the program that runs this: the parent of its child.
local function own_id()
  local pipe = assert(io.popen("echo $PPID", "r"))
  local id = pipe:read "*a"
  pipe:close()
  return assert(id:match "^%d+")
end

--- Send signals to this process, without waiting for them.
---@param seconds number  from now
---@param signals? string[]  names, sent in a row 0.1 s apart; INT
---@return fun(): number since  seconds that have passed since the last was sent
function M.arrange(seconds, signals)
  local id, note = own_id(), os.tmpname()
  local words = { "sleep " .. seconds }
  for i, name in ipairs(signals or { "INT" }) do
    if i > 1 then words[#words + 1] = "sleep 0.1" end
    words[#words + 1] = ("date +%%s.%%N >'%s'; kill -%s %s"):format(note, name, id)
  end
  os.execute("{ " .. table.concat(words, "; ") .. "; } >/dev/null 2>&1 </dev/null &")
  return function()
    local now = core.now()
    local file = assert(io.open(note))
    local sent = assert(tonumber(file:read "*a"), "no signal was sent")
    file:close()
    os.remove(note)
    return now - sent
  end
end

return M
