-- Starts a simulator of AWS IoT for specs and steers it. See spec/simulator/control.lua for what it
-- can be told, and spec/simulator/faults.lua for the faults.
--
--   local sim = require("spec.support.simulator").start { things = 100, seconds = 2 }
--   local client = assert(iot.new(sim:options { timeout = 1 }))
--   sim:fault { kind = "reply", status = 503, body = "<html>", times = 2 }
--   sim:halt()      -- an outage: connections are refused
--   sim:resume()
--   sim:stop()
--
-- The life of tasks:
--
--   sim:seed { taskId = "t", plan = { things = 5000, failures = 3, seconds = 0 } }     a task that has ended
--   sim:seed_many { { count = 9990, status = "Completed" }, { count = 10, plan = { seconds = 60 } } }
--   sim:settings { report_links = 3, report_encoding = "gzip", link_seconds = 60 }     how reports are served
--   sim:expire_links()
--   sim:fault { kind = "reply", status = 500, operation = "ListThingRegistrationTasks", skip = 2 }
--   sim:fault { kind = "truncate", operation = "report" }                              a download
--   sim:put_object("factory", "batch-7.json", text)    a start with this input file really reads it
--   sim:forget()    -- all tasks, input files and things
--
-- A task has as many RESULTS and ERRORS as its successCount and failureCount say: 700,000 things of the default
-- template are 1.1 GB of RESULTS, which are made while they are sent.
--
-- What gives temporary credentials, which the service then accepts (spec/simulator/credentials/; what is
-- accepted for what stands in spec/simulator/accounts.lua). All endpoints are URLs:
--
--   sts_endpoint, roles              AssumeRole with any key; role ARNs that lead to { external_id,
--                                    mfa_serial, mfa_code }, what each of them takes (role_arn takes nothing)
--   web_identity_token               for AssumeRoleWithWebIdentity
--   sso_endpoint, oidc_endpoint,     the portal and its tokens: sso = { access_token, refresh_token,
--     sso                            client_id, client_secret, account_id, role_name }
--   signin_endpoint, login           login = { client_id, refresh_token, dpop_key }, the key a PEM text
--   imds_endpoint                    the role is the setting imds_role
--   container_uri, container_token   the token is what to send as Authorization
--   device                           { endpoint, role_alias, certificate, key, thing_name, ca_bundle },
--                                    as the option of iot.new takes it
--
-- The settings credential_seconds, grace_seconds, token_seconds and clock say how long these last;
-- sim:expire() ends all of them at once. In the journal, and for faults, these operations are called
-- sts, sso, oidc, signin, imds.token, imds.roles, imds.role, imds.region, container and device.

local accounts = require "spec.simulator.accounts"

local function json_library()
  local found, cjson = pcall(require, "cjson.safe")
  return found and cjson or require "dkjson"
end

local json = json_library()

local M = {}
local Simulator = {}
Simulator.__index = Simulator

local function quote(text)
  return "'" .. (text:gsub("'", "'\\''")) .. "'"
end

-- What a command writes. The shell becomes the command, so that nothing else runs under a sanitizer
-- that the caller may have preloaded.
local function capture(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; exec " .. command, "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

local function encode_bytes(bytes)
  return (bytes:gsub("[^ -$&-~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function uri_path(text)
  return (text:gsub("[^%w%-._~/]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function decode_bytes(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function copy(values)
  local copied = {}
  for name, value in pairs(values) do
    copied[name] = value
  end
  return copied
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function account(name)
  local record = copy(accounts[name])
  record.expires_at = nil
  return record
end

---Why no simulator can run here, or nil when one can: for pending().
function M.missing()
  local script = "PATH=$PATH:/usr/sbin:/sbin; for tool in nginx openssl curl timeout; do "
    .. "command -v $tool >/dev/null || printf '%s ' $tool; done"
  local names = capture("sh -c " .. quote(script))
  return names ~= "" and "not installed: " .. names or nil
end

-- The same, where curl is to sign.
function M.missing_signer()
  local words = capture "curl -q --aws-sigv4 aws:amz --version 2>/dev/null || :"
  return M.missing() or words == "" and "curl is older than 7.75 and cannot sign" or nil
end

-- The fields of the services that give credentials.
local function add_credential_services(self, lines)
  self.sts_endpoint, self.roles = lines.AWS_ENDPOINT_URL_STS, accounts.roles
  self.account_id = accounts.account_id
  self.role_arn = ("arn:aws:iam::%s:role/Provisioner"):format(accounts.account_id)
  self.web_identity_token = accounts.web_identity_token
  self.sso_endpoint, self.oidc_endpoint = lines.AWS_ENDPOINT_URL_SSO, lines.AWS_ENDPOINT_URL_SSO_OIDC
  self.sso = copy(accounts.sso)
  self.signin_endpoint, self.login = lines.AWS_ENDPOINT_URL_SIGNIN, copy(accounts.login)
  self.login.dpop_key = read_file(self.folder .. "/login.key")
  self.imds_endpoint = lines.AWS_EC2_METADATA_SERVICE_ENDPOINT
  self.container_uri = self.plain_endpoint .. "/container/credentials"
  self.container_token = accounts.container_token
  self.device = copy(accounts.device)
  self.device.endpoint, self.device.ca_bundle = lines.SIMULATOR_DEVICE_ENDPOINT, self.ca_bundle
  self.device.certificate, self.device.key = self.folder .. "/device.pem", self.folder .. "/device.key"
end

---Start a simulator, ready when this returns. *settings* are those of spec/simulator/settings.lua,
---and `lifetime`: the seconds after which it ends by itself (default 600).
function M.start(settings)
  local changes = copy(settings or {})
  local lifetime = changes.lifetime or 600
  changes.lifetime = nil
  local output = capture(("env SIMULATOR_LIFETIME=%d spec/simulator/launch"):format(lifetime))
  local lines = {}
  for name, value in output:gmatch("([%w_]+)=([^\n]*)\n") do
    lines[name] = value
  end
  assert(lines.SIMULATOR_PID, "the simulator did not start (is this the root of the repository?)")

  local self = setmetatable({
    region = accounts.region,
    credentials = account "long_lived",
    temporary_credentials = account "temporary",
    expired_credentials = account "expired",
    endpoint = lines.AWS_ENDPOINT_URL_IOT,
    plain_endpoint = lines.SIMULATOR_PLAIN_ENDPOINT,
    wrong_host_endpoint = lines.SIMULATOR_WRONG_HOST_ENDPOINT,
    expired_endpoint = lines.SIMULATOR_EXPIRED_ENDPOINT,
    old_tls_endpoint = lines.SIMULATOR_OLD_TLS_ENDPOINT,
    control = lines.SIMULATOR_CONTROL,
    ca_bundle = lines.AWS_CA_BUNDLE,
    folder = lines.SIMULATOR_FOLDER,
    lifetime = lifetime,
    pid = tonumber(lines.SIMULATOR_PID),
  }, Simulator)
  add_credential_services(self, lines)
  if next(changes) ~= nil then
    self:settings(changes)
  end
  return self
end

-- One call of the control interface with these bytes, or none; raises what it refuses.
function Simulator:send(path, bytes)
  local body = ""
  if bytes then
    local name = self.folder .. "/control.json"
    local file = assert(io.open(name, "wb"))
    file:write(bytes)
    file:close()
    body = "--path-as-is --data-binary @" .. quote(name)
  end
  local output = capture(("curl -q -sS --noproxy '*' --max-time 10 -w '\\n%%{http_code}' %s %s"):format(
    body, quote(self.control .. path)))
  local text, status = output:match("^(.*)\n(%d+)$")
  assert(status == "200", "simulator: " .. path .. ": " .. output)
  return json.decode(text)
end

-- The same with a table.
function Simulator:call(path, document)
  return self:send(path, document and (next(document) == nil and "{}" or json.encode(document)))
end

---A fresh table of options for iot.new, with which nothing is tried again: a spec sees each attempt.
function Simulator:options(overrides)
  local options = {
    region = self.region,
    endpoint = self.endpoint,
    ca_bundle = self.ca_bundle,
    credentials = copy(self.credentials),
    retry = { max_attempts = 1 },
  }
  for name, value in pairs(overrides or {}) do
    options[name] = value
  end
  return options
end

---The environment that leads an SDK here, and nowhere else: a map of AWS_ variables.
function Simulator:environment()
  return {
    AWS_ACCESS_KEY_ID = self.credentials.access_key_id,
    AWS_SECRET_ACCESS_KEY = self.credentials.secret_access_key,
    AWS_SESSION_TOKEN = "",
    AWS_REGION = self.region,
    AWS_DEFAULT_REGION = self.region,
    AWS_ENDPOINT_URL_IOT = self.endpoint,
    AWS_ENDPOINT_URL_STS = self.sts_endpoint,
    AWS_ENDPOINT_URL_SSO = self.sso_endpoint,
    AWS_ENDPOINT_URL_SSO_OIDC = self.oidc_endpoint,
    AWS_ENDPOINT_URL_SIGNIN = self.signin_endpoint,
    AWS_CA_BUNDLE = self.ca_bundle,
    AWS_PROFILE = "",
    AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null",
    AWS_EC2_METADATA_DISABLED = "true",
  }
end

---Add a task with these members, as they are. With `plan` (things, failures, seconds, status,
---message; all optional) it goes through its states from its creationDate (default: now) on.
function Simulator:seed(task)
  return self:call("/tasks", task or {}).taskId
end

---Add many tasks in one call: a list of what `seed` takes, where `count` makes one stand for so many. Returns
---their taskIds in this order, which is the reverse of the one that they are listed in.
function Simulator:seed_many(tasks)
  return self:call("/tasks", tasks).taskIds
end

---Keep a text as the input file of the tasks that name it.
function Simulator:put_object(bucket, key, text)
  local path = uri_path(bucket .. "/" .. key)
  self:send("/objects/" .. path, text)
end

---Forget all tasks, input files and things.
function Simulator:forget()
  self:call("/forget", {})
end

---Queue a fault, or those of a list. `body` may hold any bytes.
function Simulator:fault(fault)
  local list = {}
  for index, one in ipairs(fault[1] and fault or { fault }) do
    list[index] = copy(one)
    list[index].body = one.body and encode_bytes(one.body)
  end
  self:call("/faults", list)
end

---Change settings, for the tasks started from now on. Returns all of them.
function Simulator:settings(changes)
  return self:call("/settings", changes)
end

---The requests received, the oldest first: records of method, uri, headers (a list of pairs), body,
---operation, connection, tls, time, and the outcome: status, code, fault.
function Simulator:journal()
  local entries = self:call("/journal")
  for _, entry in ipairs(entries) do
    entry.uri = decode_bytes(entry.uri)
    entry.body = decode_bytes(entry.body)
    for _, header in ipairs(entry.headers) do
      header[2] = decode_bytes(header[2])
    end
  end
  return entries
end

---Let all temporary credentials that were issued so far expire now.
function Simulator:expire()
  self:call("/expire", {})
end

---Let all links to reports that were issued so far expire now.
function Simulator:expire_links()
  self:call("/expire-links", {})
end

---Everything secret that the simulator knows or has issued: a list of texts.
function Simulator:secrets()
  local secrets = self:call "/secrets"
  for _, keys in ipairs { self.credentials, self.temporary_credentials, self.expired_credentials } do
    secrets[#secrets + 1] = keys.secret_access_key
    secrets[#secrets + 1] = keys.session_token
  end
  for _, secret in ipairs {
    self.web_identity_token, self.sso.access_token, self.sso.refresh_token, self.sso.client_secret,
    self.login.refresh_token, self.container_token,
  } do
    secrets[#secrets + 1] = secret
  end
  for line in self.login.dpop_key:gmatch "[%w+/=]+" do
    if #line >= 32 then secrets[#secrets + 1] = line end
  end
  return secrets
end

---Forget the journal and the faults that still wait.
function Simulator:clear()
  self:call("/clear", {})
end

---The same, and all settings as they are without one.
function Simulator:reset()
  self:call("/reset", {})
end

-- End nginx, and wait until a file that it ends with is gone.
local function kill(self, file)
  local script = 'kill "$1"; for _ in $(seq 200); do [ -e "$2" ] || break; sleep 0.01; done'
  capture(("sh -c %s sh %d %s 2>&1"):format(quote(script), self.pid, quote(file)))
  self.pid = nil
end

---End all connections and refuse new ones, until `resume`. Whoever listens on its ports then would be
---taken for it; control calls raise.
function Simulator:halt()
  self:call("/save", {})
  local name = self.folder .. "/halted"
  assert(io.open(name, "wb")):close()
  kill(self, name)
end

---Go on after `halt`, on the same ports and with all that was known.
function Simulator:resume()
  local output = capture(("env SIMULATOR_LIFETIME=%d spec/simulator/launch %s"):format(
    self.lifetime, quote(self.folder)))
  self.pid = assert(tonumber(output:match "^SIMULATOR_PID=(%d+)"), "the simulator did not start again")
end

---Stop, and wait until its folder is gone. Safe to call twice.
function Simulator:stop()
  if self.pid then
    kill(self, self.folder)
  else
    capture("rm -rf " .. quote(self.folder)) -- it may be halted
  end
end

return M
