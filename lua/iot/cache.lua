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
local schema = { dict = "string", ttl = "number", failure_ttl = "number", scope = "string" }

---@class iot.Store  what the workers share; see lua/iot/runtime/nginx/shared.lua
---@field get fun(self: iot.Store, key: string): string?
---@field set fun(self: iot.Store, key: string, text: string, seconds: number): boolean
---@field delete fun(self: iot.Store, key: string)
---@field exclusively fun(self: iot.Store, key: string, fn: function, ...): boolean, ...  false when another does; else
---what fn(holds, ...) returned, `holds()` telling whether it is still alone

---@class iot.Cache
---@field store iot.Store
---@field monotonic fun(): number
---@field ttl number
---@field failure_ttl number
---@field place string  where its clients send to, and how; beginning of its keys' digests
---@field scope string?  whose descriptions these are; nil: as each call's credentials tell
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

---@param given { dict: string, ttl: number?, failure_ttl: number?, scope: string? }  checked
---@param found iot.Settings
---@param runtime iot.Runtime  its monotonic clock is that of all workers
---@return iot.Cache?
---@return string? message
function caches.new(given, found, runtime)
  local store, message = require("iot.runtime").store(given.dict)
  if not store then return nil, message end
  local ttl = given.ttl or default_ttl
  return setmetatable({
    store = store, monotonic = runtime.monotonic,
    ttl = ttl, failure_ttl = given.failure_ttl or math.min(ttl, default_ttl),
    place = table.concat({ found.endpoint, found.region, found.proxy or "", "" }, "\n"), scope = given.scope,
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

-- What a call has come to, for a while. What cannot be written as JSON is not kept. False when there is no room.
local function keep(self, key, task, detail)
  if not task and (not lasting[detail.kind] or detail.code == "Interrupted") then return true end
  local text = core.encode_json { at = pack(self.monotonic()), task = pack(task), detail = pack(detail) }
  return not text or self.store:set("iot:task:" .. key, text, task and self.ttl or self.failure_ttl)
end

-- { age, task } or { age, detail }; nil when nothing is kept. The age decides: the dictionary's clock may be set back.
local function look(self, key)
  local text = self.store:get("iot:task:" .. key)
  local kept = text and core.decode_json(text)
  if not kept then return nil end
  local age = math.max(0, self.monotonic() - unpack(kept.at))
  if age > (kept.task and self.ttl or self.failure_ttl) then return nil end
  return { age = age, task = unpack(kept.task), detail = kept.detail and errors.restore(unpack(kept.detail)) }
end

-- Calls -----------------------------------------------------------------------------------------------

local function tell(state, started, outcome, kept)
  if not state.on_event then return end
  state.on_event {
    operation = describe, cache = outcome, age = kept and kept.age,
    code = kept and (kept.code or kept.detail and kept.detail.code) or nil,
    attempt = 0, delay = 0, duration = state.runtime.monotonic() - started,
    credentials_source = state.view.credentials_source,
  }
end

local function answer(state, started, kept)
  tell(state, started, "hit", kept)
  if kept.task then return kept.task end
  return nil, kept.detail.message, kept.detail
end

-- Whose descriptions those of a call are: who may not see them must not find them. Digested, with all of the secret.
local function owner_of(self, record)
  if self.scope then return core.sha256(self.place .. "scope\n" .. self.scope) end
  return core.sha256(table.concat({
    self.place .. "record", record.access_key_id, record.secret_access_key, record.session_token or "",
  }, "\n"))
end

-- The owner of a call; nil when it is not known as whom it will be made.
local function find_owner(self, state, deadline)
  local record = self.scope and {} or state.credentials:get(deadline)
  return record and owner_of(self, record)
end

local function key_of(owner, task_id)
  return ("%s:%s"):format(owner:sub(1, 32), task_id)
end

-- By whose turn it is. Another's answer may have come since the last look.
local function ask(holds, self, state, key, started, fetch)
  local kept = look(self, key)
  if kept then return answer(state, started, kept) end
  tell(state, started, "miss")
  local task, message, detail, is_owners = fetch()
  if is_owners and holds() and not keep(self, key, task, detail) then tell(state, started, "full") end
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
      self.store:exclusively("iot:asked:" .. key, ask, self, state, key, started, fetch)
    if done then return true, task, message, detail end
    runtime.sleep(math.max(0.001, math.min(pause, deadline - runtime.monotonic())))
    pause = math.min(pause * 1.5, longest_look)
  until runtime.monotonic() >= deadline
  tell(state, started, "miss", { code = "Timeout" })
end

local function describe_task(self, state, params, timeout, waiter)
  local runtime = state.runtime
  local deadline = runtime.monotonic() + timeout
  -- A call that can only fail does so as it would without a cache.
  local owner = state.native:validate(describe, params) and find_owner(self, state, deadline)
  local function fetch()
    local is_owners = true -- until it is signed as another
    local task, message, detail = call.run(state, describe, params, deadline - runtime.monotonic(), waiter,
      function(record) is_owners = is_owners and owner_of(self, record) == owner end)
    return task, message, detail, is_owners
  end
  if not owner then
    local task, message, detail = fetch()
    return task, message, detail
  end
  local done, task, message, detail = share(self, state, key_of(owner, params.taskId), deadline, fetch)
  if done then return task, message, detail end
  return errors.fail({ code = "Timeout", operation = describe, attempts = 0 },
    "another request for the same task did not end in time")
end

-- What is known of a task, and what is being asked, is of no use any more.
local function forget(self, state, task_id)
  local owner = find_owner(self, state, state.runtime.monotonic() + state.settings.timeout)
  if not owner then return end
  for _, prefix in ipairs { "iot:asked:", "iot:task:" } do
    self.store:delete(prefix .. key_of(owner, task_id))
  end
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
  if result and operation == stop then forget(self, state, params.taskId) end
  return result, message, detail
end

return caches
