---Descriptions of tasks that a gateway's workers share: one request at a time for each, whoever wants it, whose answer
---is kept for a moment.
local call = require "iot.call"
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"

local caches = {}

local describe, stop = "describe_thing_registration_task", "stop_thing_registration_task"

local default_ttl = 1 -- seconds; also the longest that a failure is kept unless more is wanted
local shortest_look, longest_look = 0.005, 0.05 -- seconds between two looks whether another's answer has come

-- What the next caller would meet, too; limits of time and credentials are the caller's own.
local lasting = { service = true, response = true, transport = true }

---@type iot.Schema
local schema = { dict = "string", ttl = "number", failure_ttl = "number" }

---@class iot.Store  what the workers share; see lua/iot/runtime/nginx/shared.lua
---@field get fun(self: iot.Store, key: string): string?
---@field set fun(self: iot.Store, key: string, text: string, seconds: number)
---@field delete fun(self: iot.Store, key: string)
---@field exclusively fun(self: iot.Store, key: string, fn: function, ...): boolean, ...  false when another does

---@class iot.Cache
---@field store iot.Store
---@field ttl number
---@field failure_ttl number
---@field place string  where its clients send to; beginning of its keys' digests
---@field owner string?  as whom; nil: as each call's credentials tell
local Cache = {}
Cache.__index = Cache

---Check the option `cache`; returns a copy.
---@param given table
---@param level integer  of the caller to blame, as in `error`, seen from the function that calls this
function caches.check(given, level)
  local copy = options.check("new", given, schema, level + 1, "field of cache")
  if not copy.dict then error("bad option 'cache' to 'new' (its field 'dict' is missing)", level + 1) end
  options.check_duration("new", "cache.ttl", copy.ttl, level + 1)
  options.check_duration("new", "cache.failure_ttl", copy.failure_ttl, level + 1)
  return copy
end

-- Whose descriptions these are: who may not see them must not find them. What a function gives can be anybody's.
local function owner_of(client_options, found)
  local given, device = client_options.credentials, client_options.device
  if type(given) == "function" then return nil end
  if given then return "key\n" .. given.access_key_id end
  if device then
    local names = { "device", device.endpoint, device.role_alias, device.certificate, device.thing_name or "" }
    return table.concat(names, "\n")
  end
  return (client_options.profile and "profile\n" or "default\n") .. found.profiles.name
end

---@param given { dict: string, ttl: number?, failure_ttl: number? }  checked
---@param client_options iot.Options  checked, of which the credentials can be used
---@param found iot.Settings
---@return iot.Cache?
---@return string? message
function caches.new(given, client_options, found)
  local store, message = require("iot.runtime").store(given.dict)
  if not store then return nil, message end
  local ttl = given.ttl or default_ttl
  return setmetatable({
    store = store, ttl = ttl, failure_ttl = given.failure_ttl or math.min(ttl, default_ttl),
    place = found.endpoint .. "\n" .. found.region .. "\n", owner = owner_of(client_options, found),
  }, Cache)
end

-- What is kept ----------------------------------------------------------------------------------------

-- Numbers become texts, since lua-cjson rounds those that it writes.
local function pack(value)
  if type(value) == "number" then return ("#%.17g"):format(value) end
  if type(value) == "string" then return "=" .. value end
  if type(value) ~= "table" then return value end
  local packed = {}
  for key, inner in pairs(value) do packed[key] = pack(inner) end
  return packed
end

local function unpack(value)
  if type(value) == "string" then
    return value:sub(1, 1) == "#" and tonumber(value:sub(2)) or value:sub(2)
  end
  if type(value) ~= "table" then return value end
  local plain = {}
  for key, inner in pairs(value) do plain[key] = unpack(inner) end
  return plain
end

-- What a call has come to, for a while; what cannot be written as JSON is not kept.
local function keep(self, key, task, detail)
  if not task and (not lasting[detail.kind] or detail.code == "Interrupted") then return end
  local text = core.encode_json { at = pack(core.monotonic()), task = pack(task), detail = pack(detail) }
  if text then self.store:set(key, text, task and self.ttl or self.failure_ttl) end
end

-- { age, task } or { age, detail }; nil when nothing is kept.
local function look(self, key)
  local text = self.store:get(key)
  local kept = text and core.decode_json(text)
  if not kept then return nil end
  return {
    age = math.max(0, core.monotonic() - unpack(kept.at)), task = unpack(kept.task),
    detail = kept.detail and errors.restore(unpack(kept.detail)),
  }
end

-- Calls -----------------------------------------------------------------------------------------------

local function tell(state, started, outcome, kept)
  if not state.on_event then return end
  state.on_event {
    operation = describe, cache = outcome, age = kept and kept.age, code = kept and kept.detail and kept.detail.code,
    attempt = 0, delay = 0, duration = state.runtime.monotonic() - started,
    credentials_source = state.view.credentials_source,
  }
end

local function answer(state, started, kept)
  tell(state, started, "hit", kept)
  if kept.task then return kept.task end
  return nil, kept.detail.message, kept.detail
end

-- The key of a task; nil when it is not known as whom the call will be made.
local function key_of(self, state, task_id, deadline)
  local owner = self.owner
  if not owner then
    local record = state.credentials:get(deadline)
    if not record then return nil end
    owner = "key\n" .. record.access_key_id
  end
  local digest = core.sha256(self.place .. owner)
  return digest and ("iot:%s:%s"):format(digest:sub(1, 32), task_id)
end

-- By whose turn it is. Another's answer may have come since the last look.
local function ask(self, state, key, started, fetch)
  local kept = look(self, key)
  if kept then return answer(state, started, kept) end
  tell(state, started, "miss")
  local task, message, detail = fetch()
  keep(self, key, task, detail)
  return task, message, detail
end

-- True and what the call comes to; nothing when no time was left to wait for another's.
local function share(self, state, key, deadline, fetch)
  local runtime, pause = state.runtime, shortest_look
  local started = runtime.monotonic()
  repeat
    local kept = look(self, key)
    if kept then return true, answer(state, started, kept) end
    local done, task, message, detail =
      self.store:exclusively(key .. ":asked", ask, self, state, key, started, fetch)
    if done then return true, task, message, detail end
    runtime.sleep(math.max(0.001, math.min(pause, deadline - runtime.monotonic())))
    pause = math.min(pause * 1.5, longest_look)
  until runtime.monotonic() >= deadline
end

local function describe_task(self, state, params, timeout, waiter)
  local runtime = state.runtime
  local deadline = runtime.monotonic() + timeout
  local function fetch()
    return call.run(state, describe, params, deadline - runtime.monotonic(), waiter)
  end
  -- A call that can only fail does so as it would without a cache.
  local key = state.native:validate(describe, params) and key_of(self, state, params.taskId, deadline)
  if not key then return fetch() end
  local done, task, message, detail = share(self, state, key, deadline, fetch)
  if done then return task, message, detail end
  return errors.fail({ code = "Timeout", operation = describe, attempts = 0 },
    "another request for the same task did not end in time")
end

---As `call.run`: a description may be one that is kept, and who stops a task gets a new one.
---@param state table  of the client; see client.lua
---@param operation string
---@param params table
---@param timeout number?
---@param waiter boolean?
---@return table? result
---@return string? message
---@return iot.Error? detail
function Cache:run(state, operation, params, timeout, waiter)
  if operation == describe then
    return describe_task(self, state, options.copy(params), timeout or state.settings.timeout, waiter)
  end
  local result, message, detail = call.run(state, operation, params, timeout, waiter)
  if result and operation == stop then
    local key = key_of(self, state, params.taskId, state.runtime.monotonic() + state.settings.timeout)
    if key then self.store:delete(key) end
  end
  return result, message, detail
end

return caches
