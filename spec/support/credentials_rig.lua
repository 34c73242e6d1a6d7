--- What the specs of credentials from end to end share: a simulator whose clock is the client's, a home
--- directory, an environment that leads to the simulator alone, and an account of what a client did.
--
--   local rig = credentials_rig.new(sim)            -- before each; replaces os.getenv
--   rig:variables { AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri }
--   rig:config "[default]\ncredential_process = x\n"
--   local client = rig:client()
--   assert(rig:describe(client))
--   rig:advance(3600)                               -- both clocks
--   print(table.concat(rig:operations(), " "))      -- "container DescribeThingRegistrationTask"
--   rig:remove()                                    -- after each
local assert = require "luassert"
local core = require "iot.core"
local iot = require "iot"
local runtime = require "iot.runtime"
local command = require "spec.support.command"
local environment = require "spec.support.environment"
local files = require "spec.support.files"
local home = require "spec.support.home"
local json = require "spec.support.json"

local DESCRIBE = "DescribeThingRegistrationTask"

-- Nothing listens there: a machine may have a metadata service, or something that looks like one.
local NOBODY = "http://127.0.0.1:1"

local M = {
  DESCRIBE = DESCRIBE, NOBODY = NOBODY, START_URL = "https://simulated.awsapps.com/start",
  LOGIN_SESSION = "arn:aws:sts::123456789012:assumed-role/Admin/ada",
}

---@class spec.credentials_rig
---@field sim table
---@field home string
---@field runtime iot.Runtime  the one that fits, but on the simulator's clock
---@field offset number  seconds that the clocks are ahead
---@field events table[]  that the clients told
---@field seen integer  the number of the last entry of the journal that was looked at
local Rig = {}
Rig.__index = Rig

--- A time as files have it.
function M.time(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds))
end

---@param sim table  a simulator; its journal, faults and settings are this rig's
---@return spec.credentials_rig
function M.new(sim)
  local self = setmetatable({ sim = sim, home = home.new(), offset = 0, events = {}, clients = {}, seen = 0 }, Rig)
  self.runtime = {}
  for name, fn in pairs(runtime) do self.runtime[name] = fn end
  function self.runtime.now() return core.now() + self.offset end
  function self.runtime.monotonic() return core.monotonic() + self.offset end
  sim:reset()
  self:variables()
  return self
end

function Rig:remove()
  for _, client in ipairs(self.clients) do client:close() end
  environment.restore()
  home.remove(self.home)
end

--- What a client finds: nothing but these variables, and the way to the simulator. False: not that one.
---@param changes? table<string, string|false>
---@return table<string, string>
function Rig:variables(changes)
  local sim = self.sim
  local all = {
    HOME = self.home, AWS_REGION = sim.region, AWS_CA_BUNDLE = sim.ca_bundle,
    AWS_ENDPOINT_URL_IOT = sim.endpoint, AWS_ENDPOINT_URL_STS = sim.sts_endpoint,
    AWS_ENDPOINT_URL_SSO = sim.sso_endpoint, AWS_ENDPOINT_URL_SSO_OIDC = sim.oidc_endpoint,
    AWS_ENDPOINT_URL_SIGNIN = sim.signin_endpoint, AWS_EC2_METADATA_SERVICE_ENDPOINT = NOBODY,
  }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  environment.replace(all)
  return all
end

--- Write the config file. Lines are indented as the caller likes: spaces in front of a line are dropped.
function Rig:config(text)
  files.write(self.home .. "/.aws/config", (text:gsub("^ +", ""):gsub("\n +", "\n")))
end

-- Sources of credentials ---------------------------------------------------------------------

--- A default profile whose role is assumed with what `source` says, a line or more.
function Rig:role_profile(source)
  return ("[default]\nrole_arn = %s\n%s\n"):format(self.sim.role_arn, source)
end

--- A profile with the keys of a user; `name` is the whole of the section's line.
function Rig:user_profile(name)
  local user = self.sim.credentials
  return ("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n"):format(
    name, user.access_key_id, user.secret_access_key)
end

--- A profile of an SSO session "dev".
function Rig:sso_profile(name)
  return ([[
    [%s]
    sso_session = dev
    sso_account_id = %s
    sso_role_name = %s
    [sso-session dev]
    sso_region = us-east-1
    sso_start_url = %s
  ]]):format(name, self.sim.sso.account_id, self.sim.sso.role_name, M.START_URL)
end

--- The variables of a container, and others.
function Rig:use_container(changes)
  local variables = { AWS_CONTAINER_CREDENTIALS_FULL_URI = self.sim.container_uri,
    AWS_CONTAINER_AUTHORIZATION_TOKEN = self.sim.container_token }
  for name, value in pairs(changes or {}) do variables[name] = value end
  self:variables(variables)
end

--- The variables of an instance, and others.
function Rig:use_imds(changes)
  local variables = { AWS_EC2_METADATA_SERVICE_ENDPOINT = self.sim.imds_endpoint }
  for name, value in pairs(changes or {}) do variables[name] = value end
  self:variables(variables)
end

--- Write a file below the home directory: text, or a table as JSON. Returns its path.
function Rig:write(path, content)
  local full = self.home .. "/" .. path
  local made = command.run { "mkdir", "-p", (full:match "^(.*)/[^/]*$") }
  assert.equal(0, made.code, made.stderr)
  files.write(full, type(content) == "table" and json.encode(content) or content)
  return full
end

function Rig:read(path)
  return json.decode(assert(files.read(self.home .. "/" .. path)))
end

--- A program that prints what a shell script makes; returns its path.
function Rig:program(script)
  local path = self:write("program", "#!/bin/sh\n" .. script)
  assert.equal(0, command.run({ "chmod", "+x", path }).code)
  return path
end

--- A program that gets credentials from the container endpoint.
function Rig:working_program()
  return self:program(([[
    curl -q -sSf --noproxy '*' --max-time 10 -H 'Authorization: %s' '%s' |
      sed 's/"Token"/"Version":1,"SessionToken"/'
  ]]):format(self.sim.container_token, self.sim.container_uri))
end

--- The file of an SSO token; `changes` to a good one of the session or start URL `key`.
function Rig:write_sso_token(key, changes)
  local sso, now = self.sim.sso, self.runtime.now()
  local document = {
    startUrl = M.START_URL, region = self.sim.region,
    accessToken = sso.access_token, expiresAt = M.time(now + 86400), refreshToken = sso.refresh_token,
    clientId = sso.client_id, clientSecret = sso.client_secret,
    registrationExpiresAt = M.time(now + 90 * 86400),
  }
  for name, value in pairs(changes or {}) do document[name] = value or nil end
  local path = ".aws/sso/cache/" .. core.sha1(key) .. ".json"
  self:write(path, document)
  return path
end

--- The file of a session of `aws login`, with keys that the simulator knows and `changes`.
function Rig:write_login_token(session, changes)
  local keys, login = self.sim.temporary_credentials, self.sim.login
  local document = {
    accessToken = {
      accessKeyId = keys.access_key_id, secretAccessKey = keys.secret_access_key,
      sessionToken = keys.session_token, accountId = self.sim.account_id,
      expiresAt = M.time(self.runtime.now() + 900),
    },
    tokenType = "aws_sigv4", refreshToken = login.refresh_token, clientId = login.client_id,
    dpopKey = login.dpop_key,
  }
  for name, value in pairs(changes or {}) do document[name] = value or nil end
  local path = ".aws/login/cache/" .. core.sha256(session) .. ".json"
  self:write(path, document)
  return path
end

-- Clients ------------------------------------------------------------------------------------

--- A client on the rig's clock, closed with the rig; or the failure of iot.new.
function Rig:new_client(options)
  local all = { runtime = self.runtime, on_event = function(event) table.insert(self.events, event) end }
  for name, value in pairs(options or {}) do all[name] = value end
  local client, message, detail = iot.new(all)
  if client then table.insert(self.clients, client) end
  return client, message, detail
end

function Rig:client(options)
  return assert(self:new_client(options))
end

function Rig.describe(_, client, call)
  return client:describe_thing_registration_task({ taskId = "full" }, call)
end

--- The clocks of client and services go on.
function Rig:advance(seconds)
  self.offset = self.offset + seconds
  self.sim:settings { clock = self.offset }
end

-- What came of it ----------------------------------------------------------------------------

local function names_of(entries)
  local names = {}
  for index, entry in ipairs(entries) do names[index] = entry.operation or "?" end
  return names
end

--- The names of the operations in the journal.
---@return string[]
function Rig:operations()
  return names_of(self.sim:journal())
end

--- The entries of the journal since the last call of this function; not to be mixed with sim:clear().
function Rig:new_entries()
  local entries = {}
  for _, entry in ipairs(self.sim:journal()) do
    if entry.number > self.seen then entries[#entries + 1] = entry end
  end
  if entries[1] then self.seen = entries[#entries].number end
  return entries
end

--- A call that must succeed; returns its requests for credentials, and the key that it was signed with.
---@return string[] names
---@return string key_id
---@return table entry  of the journal
function Rig:trace(client)
  assert(self:describe(client))
  local entries = self:new_entries()
  local entry = table.remove(entries)
  assert.equal(DESCRIBE, entry.operation)
  return names_of(entries), M.key_id(entry), entry
end

--- The id of the key that the last call was signed with.
function Rig:last_key()
  local ids = self:key_ids(DESCRIBE)
  return ids[#ids]
end

--- How many requests there were for an operation.
function Rig:count(operation)
  local count = 0
  for _, name in ipairs(self:operations()) do
    if name == operation then count = count + 1 end
  end
  return count
end

--- The value of a header of a journal's entry.
function M.header(entry, wanted)
  for _, header in ipairs(entry.headers) do
    if header[1]:lower() == wanted:lower() then return header[2] end
  end
end

--- The id of the key that the request of an entry was signed with.
function M.key_id(entry)
  return (M.header(entry, "Authorization") or ""):match "Credential=([^/]+)" or "unsigned"
end

--- Those of all requests of an operation.
---@return string[]
function Rig:key_ids(operation)
  local ids = {}
  for _, entry in ipairs(self.sim:journal()) do
    if entry.operation == operation then ids[#ids + 1] = M.key_id(entry) end
  end
  return ids
end

return M
