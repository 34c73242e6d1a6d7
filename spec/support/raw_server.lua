--- Servers with bad manners, for what the simulator's nginx is too well brought up to do.
--
--   local raw = require("spec.support.raw_server").start(sim)   -- with the simulator's certificate
--   iot.new(sim:options { endpoint = raw.silent })
--   raw:stop()
--
-- Endpoints: `full` does not complete a connection, `silent` completes it and says nothing; over plain
-- HTTP `dripping`, `dripping_head`, `endless_head`, `endless_body`, `interim_flood`, `goaway`, `resetting_before_head`,
-- `resetting_in_head`, `resetting_after_head`, `resetting_in_body`; over TLS `resetting`, `cutting` (see
-- raw_server.py). `silent_tls` is `silent` for https, `refusing_proxy` a proxy that wants a password;
-- `tunnelling_proxy` lets user with the password "pa ss" through to ports of this machine.
local M = {}
M.__index = M

local OVER_TLS = { resetting = true, cutting = true }
local LIFETIME = 120

---@param sim table  a simulator
function M.start(sim)
  local pipe = assert(io.popen(("unset LD_PRELOAD; exec $(command -v /usr/bin/python3 || command -v python3) "
    .. "spec/support/raw_server.py %d '%s/localhost.pem' '%s/server.key'"):format(LIFETIME, sim.folder, sim.folder)))
  local self = setmetatable({}, M)
  for name, number in pipe:read("*a"):gmatch "([%w_]+)=(%d+)" do
    if name == "PID" then
      self.pid = number
    else
      self[name] = ("%s://%s:%s"):format(OVER_TLS[name] and "https" or "http",
        OVER_TLS[name] and "localhost" or "127.0.0.1", number)
    end
  end
  pipe:close()
  assert(self.pid, "the raw server did not start")
  self.silent_tls = self.silent:gsub("^http:", "https:")
  return self
end

function M:stop()
  os.execute("kill " .. self.pid)
end

return M
