--- What the specs of cached tokens share: a folder of their own for a home, a clock that they set, answers
--- from a list, and a context for a provider.
--
--   local rig = token_rig.new()          -- before each; replaces os.getenv
--   rig:write("/.aws/sso/cache/x.json", { accessToken = "..." })
--   rig:answers { status = 200, body = { accessToken = "..." } }
--   local provider = assert(sso.new(rig:context({ sso_session = "dev", ... }, sessions)))
--   rig:remove()                         -- after each
local assert = require "luassert"
local command = require "spec.support.command"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local json = require "spec.support.json"

local M = {}

--- 2021-12-25T13:30:00Z
M.NOW = 1640439000

--- A time as the files have it.
function M.time(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds) end

---@class spec.token_rig
---@field home string
---@field variables table<string, string>
---@field runtime table  iot.Runtime
---@field requests table[]  what was asked, the oldest first
local Rig = {}
Rig.__index = Rig

local function run(...)
  local result = command.run { ... }
  assert.equal(0, result.code, result.stderr)
  return result.stdout
end
M.run = run

local function copy(value)
  local copied = {}
  for name, field in pairs(value) do copied[name] = field end
  return copied
end
M.copy = copy

-- What one answer of the list becomes: a reply, or nil, message, facts.
local function play(answer)
  if type(answer) == "string" then return nil, "no answer came", { code = answer } end
  local body = answer.body
  if type(body) == "table" then body = json.encode(body) end
  return { status = answer.status or 200, headers = answer.headers or {}, body = body or "" }
end

---@return spec.token_rig
function M.new()
  local self = setmetatable({ requests = {}, queue = {} }, Rig)
  self.home = run("mktemp", "-d"):match "%S+"
  self.variables = { HOME = self.home }
  environment.replace(self.variables)
  self.runtime = environment.runtime()
  self.runtime.wall = M.NOW
  function self.runtime.random() return 0.5 end
  function self.runtime.sleep(seconds) self:advance(seconds) end
  function self.runtime.request(request)
    table.insert(self.requests, copy(request))
    local answer = table.remove(self.queue, 1)
    if not answer then error "a request that no spec expected" end
    if type(answer) == "function" then answer = answer(request) end
    return play(answer)
  end
  return self
end

function Rig:remove()
  environment.restore()
  run("rm", "-rf", self.home)
end

--- Both clocks go on.
function Rig:advance(seconds)
  self.runtime.wall = self.runtime.wall + seconds
  self.runtime.clock = self.runtime.clock + seconds
end

--- The next answers: tables of status (200), headers and body (a table for JSON), codes of transport
--- failures, or functions of the request that return either.
function Rig:answers(...)
  for _, answer in ipairs { ... } do table.insert(self.queue, answer) end
end

--- Write a file below the home directory: text, or a table as JSON.
function Rig:write(path, content)
  local full = self.home .. path
  run("mkdir", "-p", (full:match "^(.*)/[^/]*$"))
  files.write(full, type(content) == "table" and json.encode(content) or content)
  return full
end

function Rig:read(path)
  return json.decode(assert(files.read(self.home .. path)))
end

--- A context whose one profile is "dev". Endpoints are https://SERVICE.REGION.example.
function Rig:context(profile, sso_sessions, extra)
  local data = {
    name = "dev", selected = profile, profiles = { dev = profile }, sso_sessions = sso_sessions or {}, services = {},
    config_path = self.home .. "/.aws/config",
  }
  local context = {
    runtime = self.runtime, region = "eu-west-3", profiles = data, profile = profile, connect_timeout = 2,
    ca_bundle = "bundle.pem", proxy = "http://proxy.example",
    endpoint_for = function(service, region)
      return ("https://%s.%s.example"):format(service, region or "eu-west-3")
    end,
  }
  for name, value in pairs(extra or {}) do context[name] = value end
  return context
end

--- The headers of a request by their lower-case names.
function M.headers(request)
  local found = {}
  for _, header in ipairs(request.headers or {}) do found[header[1]:lower()] = header[2] end
  return found
end

--- Hold a failure of `fetch` or `new` against a code and patterns of its message, which is one printable line.
function M.assert_failure(code, patterns, record, message, actual)
  assert.is_nil(record)
  assert.equal("string", type(message))
  assert.equal(code, actual, message)
  assert.is_true(failures.is_printable(message), message)
  for _, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    assert.is_truthy(message:find(pattern), ("%q has no %q"):format(message, pattern))
  end
  return message
end

return M
