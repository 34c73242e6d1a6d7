--- A runtime whose requests are answered from a table, on a clock of its own.
--
--   local http = fake_http.new {
--     ["PUT http://169.254.169.254/latest/api/token"] = "TOKEN",          -- status 200 and this body
--     ["GET http://host/a"] = { status = 403, body = "{}", headers = { ["x-a"] = "b" } },
--     ["GET http://host/b"] = { { status = 500 }, "better" },             -- in turn; the last one stays
--     ["GET http://host/c"] = fake_http.failure("ConnectionFailed", "no connection could be made"),
--     ["GET http://host/d"] = { delay = 30 },                             -- Timeout, unless there is time
--     ["GET http://host/e"] = function(request) return "body" end,
--   }
--   local provider = imds.new { runtime = http.runtime }
--   http:calls()             -- { "PUT http://...", ... }
--   http.requests[1].headers -- as they were given; :header(1, "Name") for one of them
--   http.slept               -- the lengths of all sleeps
--
-- A request that the table does not know raises: the spec would not notice it otherwise.
local environment = require "spec.support.environment"

local M = {}
M.__index = M

local FAILURE = {}

--- An answer that is none: what runtime.request gives when no reply came.
---@param code string
---@param message string
---@return table answer
function M.failure(code, message)
  return { failure = FAILURE, code = code, message = message }
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local all = {}
  for key, field in pairs(value) do all[key] = copy(field) end
  return all
end

local function is_list(answer)
  return type(answer) == "table" and answer[1] ~= nil
end

local function reply_to(self, request, answer)
  if type(answer) == "function" then answer = answer(request) end
  if type(answer) == "string" then answer = { body = answer } end
  local delay = answer.delay or 0
  local limit = assert(request.timeout, "a request without a time limit")
  self.runtime.clock = self.runtime.clock + math.min(delay, limit)
  if delay > limit then return nil, "a time limit passed", { code = "Timeout" } end
  if answer.failure == FAILURE then return nil, answer.message, { code = answer.code } end
  return { status = answer.status or 200, headers = copy(answer.headers or {}), body = answer.body or "" }
end

---@param answers table<string, any>  by "METHOD URL"; it may be changed between requests
function M.new(answers)
  local self = setmetatable({ answers = answers, requests = {}, slept = {}, counts = {} }, M)
  local runtime = environment.runtime()
  local sleep = runtime.sleep
  self.runtime = runtime
  function runtime.request(request)
    self.requests[#self.requests + 1] = copy(request)
    local name = (request.method or "GET") .. " " .. request.url
    local answer = self.answers[name]
    if answer == nil then error("unexpected request: " .. name, 2) end
    self.counts[name] = (self.counts[name] or 0) + 1
    if is_list(answer) then answer = answer[math.min(self.counts[name], #answer)] end
    return reply_to(self, request, answer)
  end
  function runtime.sleep(seconds)
    self.slept[#self.slept + 1] = seconds
    sleep(seconds)
  end
  function runtime.random() return 0.5 end
  function runtime.serialize(_, _, fn, ...) return fn(...) end
  return self
end

--- What was asked for, "METHOD URL" each, in order.
---@return string[]
function M:calls()
  local list = {}
  for i, request in ipairs(self.requests) do list[i] = (request.method or "GET") .. " " .. request.url end
  return list
end

--- A header of the request number `index`, whatever the case of its name.
---@return string?
function M:header(index, name)
  for _, pair in ipairs(self.requests[index].headers or {}) do
    if pair[1]:lower() == name:lower() then return pair[2] end
  end
end

return M
