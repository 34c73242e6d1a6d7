---What to wait with inside nginx with its Lua module, which its phases decide. The only folder that mentions ngx.
local core = require "iot.core"

local ngx = rawget(_G, "ngx")

local nginx = {}

if type(ngx) ~= "table" or not ngx.get_phase then
  ---@return nil  outside of nginx
  function nginx.current() return nil end

  ---@return nil
  ---@return string message
  function nginx.store() return nil, "only the workers of nginx share a dictionary" end

  return nginx
end

local can_wait = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true, preread = true,
  ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

local function refuse()
  return nil, ("nginx cannot wait in the phase %s: make the call in a timer, ngx.timer.at(0, ...), or in another phase")
    :format(ngx.get_phase()), { code = "PhaseCannotWait" }
end

---@type iot.Runtime
local refusing = {
  now = core.now, monotonic = core.monotonic, random = core.random,
  send = refuse, request = refuse, download = refuse, run = refuse,
  sleep = function() error((select(2, refuse())), 0) end,
  serialize = function(_, _, fn, ...) return fn(...) end,
  scheduler = false, -- as outside of nginx: what it runs is refused like all else
}

---The runtime for the phase that runs; nil in init_by_lua, where nothing else does and a thread may wait.
---@return iot.Runtime?
function nginx.current()
  local phase = ngx.get_phase()
  if can_wait[phase] then return require "iot.runtime.nginx.waiting" end
  if phase == "init" then return nil end
  return refusing
end

---A dictionary that the workers share.
---@param name string
---@return iot.Store?
---@return string? message
function nginx.store(name)
  return require("iot.runtime.nginx.shared").open(name, function() return can_wait[ngx.get_phase()] == true end)
end

return nginx
