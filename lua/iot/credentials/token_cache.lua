---Tokens that `aws sso login` and `aws login` leave in files: read, refreshed in time and written back, and
---the requests made with them (reference 7.6, 7.7).
local core = require "iot.core"
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local variables = require "iot.config.variables"

local token_cache = {}

local max_size = 256 * 1024 -- bytes of a file; the CLI's have a few thousand
local refresh_window = 300 -- seconds before its end from which on a token is refreshed
local refresh_interval = 30 -- seconds between two attempts to refresh
local max_lifetime = 366 * 86400 -- seconds; a longer one would be no date that os.date can write
local fetch_limit = 30 -- seconds for a fetch without a deadline
local request_limit = 10 -- seconds for one request

-- Files ----------------------------------------------------------------------------------------

---The folder of a cache.
---@param below_home string  such as "/.aws/sso/cache"
---@param variable string?  which names another folder
---@return string? path
---@return string? message
function token_cache.folder(below_home, variable)
  local named = variable and variables.get(variable)
  local rest = named and (named == "~" and "" or named:match("^~(/.*)$"))
  if named and not rest then return named end
  local base = variables.home()
  if base then return base .. (rest or below_home) end
  return nil, "no home directory is known: set HOME" .. (variable and " or " .. variable or "")
end

local function shown(path)
  return excerpt.line(path, 500)
end

---A whole file.
---@param path string
---@return string? text
---@return string? message  why not, with the path
---@return boolean? missing  there is no such file
function token_cache.read(path)
  local text, message, missing = core.read_file(path, max_size)
  if text then return text end
  return nil, shown(path) .. " cannot be read: " .. message, missing
end

-- Times ----------------------------------------------------------------------------------------

---A time of a cache file: RFC 3339, or with the suffix that old writers use.
---@param text any
---@return number? time  seconds since the epoch
function token_cache.parse_time(text)
  if type(text) ~= "string" then return nil end
  return core.parse_time((text:gsub("UTC$", "Z")))
end

---What every reader of a cache file understands.
---@param time number  seconds since the epoch
---@return string
function token_cache.format_time(time)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(time)) --[[@as string]]
end

---When a token ends that a reply of this moment gave for so many seconds.
---@param now number
---@param expires_in any
---@return number? time
function token_cache.end_of(now, expires_in)
  if type(expires_in) ~= "number" or expires_in <= 0 then return nil end
  return now + math.min(expires_in, max_lifetime)
end

-- Requests -------------------------------------------------------------------------------------

---The deadline of a fetch that may have none: every wait has a bound.
---@param runtime iot.Runtime
---@param deadline number?
---@return number
function token_cache.deadline(runtime, deadline)
  return deadline or runtime.monotonic() + fetch_limit
end

-- One exchange; the facts of a request that could not be built are false.
local function exchange_once(context, build, deadline)
  local request, reason = build()
  if not request then return nil, reason, false end
  request.timeout = math.min(deadline - context.runtime.monotonic(), request_limit)
  request.connect_timeout = context.connect_timeout
  request.ca_bundle = context.ca_bundle
  request.proxy = context.proxy
  return context.runtime.request(request)
end

-- The code in a refusal. No other word of it is ever shown, for it may quote what was sent.
local function error_code(response)
  local document = core.decode_json(response.body or "") or {}
  local headers = response.headers or {}
  for _, text in ipairs {
    document.error or false, headers["x-amzn-errortype"] or false, document.code or false, document.__type or false,
  } do
    -- "prefix#Code:address" in full; a text of other characters is no code.
    local code = type(text) == "string" and text:gsub("^.*#", ""):match("^[^:]*")
    if code and #code <= 64 and code:find("^[%a_]+$") then return code end
  end
end

-- The same for a retry, to which a refusal that stays one is a success.
local function judge(response, message, facts)
  if response and response.status >= 200 and response.status <= 299 then
    return true
  elseif response then
    local _, text, detail = exchange.refused(response, { code = error_code(response) }, "")
    if not detail.retryable then return true end
    return nil, text, detail
  elseif facts and errors.codes[facts.code] then
    return errors.fail({ code = facts.code }, message)
  end
  return nil, message
end

---Send a request, again when that may help.
---@param context table
---@param server string  for messages
---@param build fun(): table?, string?  makes the request; called for each attempt, as a proof is good for one
---@param deadline number  of the runtime's monotonic clock
---@param policy iot.retry.Policy?  of the provider; one for this request
---@return table? response  of any status
---@return string? message
---@return "Interrupted"|nil code
function token_cache.send(context, server, build, deadline, policy)
  local response, message, facts -- of the last exchange
  policy = policy or exchange.policy(context.runtime)
  local _, reason, detail = policy:run(deadline, function()
    response, message, facts = exchange_once(context, build, deadline)
    return judge(response, message, facts)
  end)
  if exchange.is_interrupt(detail) then
    return nil, ("the request to %s failed: %s"):format(server, reason), "Interrupted"
  end
  if response then return response end
  if facts == false then return nil, message end
  return nil, ("the request to %s failed: %s"):format(server, message or "no time was left for it")
end

---The object in a reply of success.
---@param server string  for messages
---@param response table
---@param meanings table<string, string>  what the codes of refusals mean
---@return table? document
---@return string? message
---@return string? code  of a refusal
function token_cache.decode(server, response, meanings)
  if response.status >= 200 and response.status <= 299 then
    local document, reason = core.decode_json(response.body or "")
    if document then return document end
    return nil, ("the reply of %s could not be understood: %s"):format(server, reason)
  end
  local code = error_code(response)
  local meaning = code and meanings[code]
  return nil, ("%s refused (HTTP status %d%s)%s"):format(server, response.status,
    code and ", " .. code or "", meaning and ": " .. meaning or ""), code
end

---A copy of some fields that must be strings, not empty.
---@param object any
---@param names string[]
---@return table? copy
---@return string? missing  the first name that has none
function token_cache.strings(object, names)
  if type(object) ~= "table" then return nil, names[1] end
  local copy = {}
  for _, name in ipairs(names) do
    local value = object[name]
    if type(value) ~= "string" or value == "" then return nil, name end
    copy[name] = value
  end
  return copy
end

---@param object table
---@param changes table
---@return table  a new one with what both have, the changes first
function token_cache.merge(object, changes)
  local copy = {}
  for name, value in pairs(object) do copy[name] = value end
  for name, value in pairs(changes) do copy[name] = value end
  return copy
end

-- A cached token -------------------------------------------------------------------------------

---@class iot.CachedToken
---@field expires number  seconds since the epoch
---@field document table  the whole content of its file
---@field text string?  of its file

---@class iot.TokenCacheOptions
---@field runtime iot.Runtime
---@field path string
---@field name string  for messages, such as "SSO token"
---@field advice string  what to do when there is no good token
---@field parse fun(document: table): iot.CachedToken?, string?  or what is wrong, such as "has no accessToken"
---@field refresh fun(token: iot.CachedToken, deadline: number): table?, string?, string?  the new content of
---the file; else the reason and, of an interrupt, the code
---@field refreshable fun(token: iot.CachedToken): boolean, string?  else why not

---@class iot.TokenCache: iot.TokenCacheOptions
---@field attempted number?  when a refresh was last tried, by the monotonic clock
---@field failure string?  of that refresh
---@field unsaved iot.CachedToken?  refreshed, but the file could not be written
local TokenCache = {}
TokenCache.__index = TokenCache

---@param options iot.TokenCacheOptions
---@return iot.TokenCache
function token_cache.new(options)
  local self = {}
  for name, value in pairs(options) do self[name] = value end
  return setmetatable(self, TokenCache)
end

function TokenCache:failed(reason)
  return nil, reason .. "; " .. self.advice
end

function TokenCache:read()
  local text, message, missing = token_cache.read(self.path)
  if missing then
    return self:failed(("there is no %s: %s does not exist"):format(self.name, shown(self.path)))
  elseif not text then
    return self:failed(("the %s cannot be used: %s"):format(self.name, message))
  end
  -- Good as long as nobody else wrote the file.
  if self.unsaved and self.unsaved.text == text then return self.unsaved end
  self.unsaved = nil
  local document, reason = core.decode_json(text)
  local token
  if document then token, reason = self.parse(document) else reason = "cannot be read: " .. reason end
  if not token then
    return self:failed(("the file of the %s, %s, %s"):format(self.name, shown(self.path), reason))
  end
  token.text = text
  return token
end

function TokenCache:save(token)
  local text = core.encode_json(token.document)
  local saved = text and core.replace_file(self.path, text)
  -- The old refresh token may have been spent: what cannot be saved must be kept.
  self.unsaved = not saved and token or nil
end

function TokenCache:try_refresh(token, deadline)
  local runtime = self.runtime
  local possible, reason = self.refreshable(token)
  if not possible then return nil, reason end
  local now = runtime.monotonic()
  if self.attempted and now - self.attempted < refresh_interval then
    return nil, self.failure or ("it was refreshed less than %d s ago"):format(refresh_interval)
  end
  -- A refresh that could wait must leave time for what comes after it.
  if token.expires > runtime.now() then deadline = now + math.min(request_limit, (deadline - now) / 2) end
  local document, fresh, code
  document, reason, code = self.refresh(token, deadline)
  if code == "Interrupted" then return nil, reason, code end -- as if it had not been tried
  self.attempted, self.failure = now, reason
  if document then fresh, self.failure = self.parse(document) end
  if not fresh then return nil, self.failure end
  fresh.text = token.text
  self:save(fresh)
  return fresh
end

---The token, refreshed when it is near its end. A refresh that fails is no failure before that end, but
---nothing is done after one that was interrupted.
---@param deadline number  of the runtime's monotonic clock
---@return iot.CachedToken? token
---@return string? message
---@return "Interrupted"|nil code
function TokenCache:get(deadline)
  local token, message = self:read()
  if not token then return nil, message end
  if token.expires - self.runtime.now() >= refresh_window then return token end
  local fresh, reason, code = self:try_refresh(token, deadline)
  if fresh or code == "Interrupted" then return fresh, reason, code end
  -- Another process may have been faster, and have spent the refresh token.
  token = self:read() or token
  if token.expires > self.runtime.now() then return token end
  return self:failed(("the %s in %s expired at %s and was not refreshed: %s"):format(
    self.name, shown(self.path), token_cache.format_time(token.expires), reason))
end

return token_cache
