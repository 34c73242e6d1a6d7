---What the workers of an nginx share: a dictionary in its shared memory, in which who asks first holds a key.
local core = require "iot.core"

local ngx = rawget(_G, "ngx")

local shared = {}

local lease = 1 -- seconds after which a key is free whose holder has died
local renewals = 4 -- in a lease
local shortest_life = 0.001 -- seconds; nginx takes less for ever

---@class iot.nginx.Store: iot.Store
local Store = {}
Store.__index = Store

function Store:get(key)
  return self.dict:get(key)
end

---@return boolean  false: it has no room, even without the oldest
function Store:set(key, text, seconds)
  return (self.dict:set(key, text, math.max(seconds, shortest_life)))
end

function Store:delete(key)
  self.dict:delete(key)
end

-- Who holds a key, until when: the dictionary goes by a clock that may be set back.
local function title(token)
  return ("%s %.3f"):format(token, core.monotonic() + lease)
end

local function is_held(dict, key, token)
  local found = dict:get(key)
  return found ~= nil and found:sub(1, #token) == token
end

-- Signs of life while the holder waits. Whoever lets a lease run out has lost the key.
local function renew(dict, key, token)
  repeat
    ngx.sleep(lease / renewals)
  until not is_held(dict, key, token) or not dict:replace(key, title(token), lease)
end

local function take(dict, key, token)
  local added, reason = dict:add(key, title(token), lease)
  if added or reason ~= "exists" then return true end
  local ends = tonumber((dict:get(key) or ""):match " ([%d.]+)$")
  if not ends or core.monotonic() < ends + lease then return false end
  dict:delete(key)
  return (dict:add(key, title(token), lease))
end

local function release(dict, key, token, thread, ok, ...)
  ngx.thread.kill(thread)
  if is_held(dict, key, token) then dict:delete(key) end
  if not ok then error((...), 0) end
  return true, ...
end

local function always() return true end

---Run fn(holds, ...) unless another does for this key, in any worker. One that dies meanwhile, or its request, has lost
---it; `holds()` tells whether it is still this one's.
---@param key string
---@param fn function
---@return boolean  whether it was run
---@return any ...  what it returned
function Store:exclusively(key, fn, ...)
  if not self.can_wait() then return true, fn(always, ...) end -- nothing comes between
  local dict, token = self.dict, core.uuid()
  if not take(dict, key, token) then return false end
  local thread = ngx.thread.spawn(renew, dict, key, token)
  local function holds() return is_held(dict, key, token) end
  return release(dict, key, token, thread, pcall(fn, holds, ...)) -- in LuaJIT a pcall can be waited across
end

---@param name string  of the directive lua_shared_dict
---@param can_wait fun(): boolean
---@return iot.nginx.Store?
---@return string? message
function shared.open(name, can_wait)
  local dict = ngx.shared[name]
  if dict then return setmetatable({ dict = dict, can_wait = can_wait }, Store) end
  return nil, ("nginx has no shared dictionary of this name: add lua_shared_dict %s 10m to its http block"):format(name)
end

return shared
