-- What leads to credentials, in the hands of an attacker: the texts of profiles, variables, files and servers; the ways
-- to other servers; files that are none; programs. Nothing is sent that should not be, nothing hangs, and the
-- failure is clear. Elsewhere: the container's URI in all spellings (spec/unit/credentials_container_spec.lua), XML
-- (spec/unit/xml_spec.lua), how a program's words are split (credentials_process_spec.lua).
local attacks = require "spec.support.attacks"
local command = require "spec.support.command"
local core = require "iot.core"
local credentials_rig = require "spec.support.credentials_rig"
local files = require "spec.support.files"
local json = require "spec.support.json"
local simulator = require "spec.support.simulator"

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local sim, rig

-- Profiles and variables -----------------------------------------------------------------------

local function variable(name, others)
  return function(text)
    local all = { [name] = text }
    for other, value in pairs(others and others() or {}) do all[other] = all[other] or value end
    rig:variables(all)
  end
end

local function sso_profile(name)
  return function(text)
    rig:write_sso_token "dev"
    rig:config(rig:sso_profile "default" .. "[default]\n" .. name .. " = " .. text .. "\n")
  end
end

local function role(name)
  return function(text)
    rig:config(rig:role_profile("source_profile = user\n" .. name .. " = " .. text)
      .. rig:user_profile "profile user")
  end
end

local function container() return { AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri } end

local function imds() return { AWS_EC2_METADATA_SERVICE_ENDPOINT = sim.imds_endpoint } end

local function answer(operation, body, others)
  return function(text)
    rig:variables(others())
    sim:fault { kind = "reply", operation = operation, status = 200, body = body and body(text) or text }
  end
end

local function container_record(field)
  return function(text)
    local record = { AccessKeyId = "AKID", SecretAccessKey = "s", Token = "t", Expiration = "2036-01-01T00:00:00Z" }
    record[field] = text
    return json.encode(record)
  end
end

local function device(name)
  return function(text)
    local options = {}
    for key, value in pairs(sim.device) do options[key] = value end
    options[name] = text
    return { device = options }
  end
end

local IMDS_PATHS = { "^/latest/api/token$", "^/latest/meta%-data/iam/security%-credentials[%w-]*/[%w_+=,.@-]*$" }

local SSO_TARGET = "^/federation/credentials%?role_name=[%w%%._~-]*&account_id=[%w%%._~-]*$"

-- What a text is in, how that is set up, and the targets that may be asked for, besides the call itself.
local PLACES = {
  { "the container's token", variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", container), "^/container/credentials$" },
  { "the container's token in a file", function(text)
    rig:variables { AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = rig:write("token", text) }
  end, "^/container/credentials$" },
  { "the container's URI", function(text)
    rig:variables { AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.plain_endpoint .. "/container/" .. text }
  end, "^/container/[^#\r\n ]*$" },
  { "the role's name of an instance", variable("AWS_EC2_INSTANCE_PROFILE_NAME", imds), unpack(IMDS_PATHS) },
  { "the role that an instance tells", answer("imds.roles", nil, imds), unpack(IMDS_PATHS) },
  { "the token that an instance gives", answer("imds.token", nil, imds), unpack(IMDS_PATHS) },
  { "a container's key id", answer("container", container_record "AccessKeyId", container),
    "^/container/credentials$" },
  { "a container's session token", answer("container", container_record "Token", container),
    "^/container/credentials$" },
  { "a container's expiration", answer("container", container_record "Expiration", container),
    "^/container/credentials$" },
  { "the role's ARN", role "role_arn", "^/$" },
  { "the session's name of a role", role "role_session_name", "^/$" },
  { "an external id", role "external_id", "^/$" },
  { "the token of a pod", function(text)
    rig:variables { AWS_ROLE_ARN = sim.role_arn, AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("token", text) }
  end, "^/$" },
  { "the token file's name of a pod", function(text)
    rig:config(rig:role_profile("web_identity_token_file = " .. text))
  end },
  { "the SSO account", sso_profile "sso_account_id", SSO_TARGET },
  { "the SSO role", sso_profile "sso_role_name", SSO_TARGET },
  { "the SSO session", sso_profile "sso_session" },
  { "the SSO region", function(text)
    rig:write_sso_token "dev"
    rig:config(rig:sso_profile("default"):gsub("sso_region = [%w-]+", function() return "sso_region = " .. text end))
  end, SSO_TARGET },
  { "the SSO token", function(text)
    rig:write_sso_token("dev", { accessToken = text })
    rig:config(rig:sso_profile "default")
  end, SSO_TARGET },
  { "a session of aws login", function(text) rig:config("[default]\nlogin_session = " .. text .. "\n") end },
  { "a role alias", device "role_alias", "^/role%-aliases/[%w%%._~-]+/credentials$" },
  { "the thing's name of a device", device "thing_name", "^/role%-aliases/[%w%%._~-]+/credentials$" },
  { "the endpoint of a device", device "endpoint" },
  { "the certificate of a device", device "certificate" },
  { "the key of a device", device "key" },
}

local CALL = "^/thing%-registration%-tasks/full$"

local function is_one_of(uri, patterns)
  for _, pattern in ipairs(patterns) do
    if uri:find(pattern) then return true end
  end
  return false
end

-- Redirects --------------------------------------------------------------------------------------

local SOURCES = {}
for _, source in ipairs(require "spec.support.credentials_sources") do SOURCES[source.what] = source.use end

local REDIRECTS = {
  { "sts", SOURCES["a role of a profile"] }, { "sts", SOURCES["the keys of a pod's identity"] },
  { "sso", SOURCES["an SSO session"] }, { "container", SOURCES["a container"] }, { "device", SOURCES["a device"] },
  { "imds.token", SOURCES["an instance"] }, { "imds.roles", SOURCES["an instance"] },
  { "imds.role", SOURCES["an instance"] },
  { "oidc", function()
    rig:write_sso_token("dev", { expiresAt = credentials_rig.time(rig.runtime.now() - 1) })
    rig:config(rig:sso_profile "default")
  end },
}

-- Files ----------------------------------------------------------------------------------------

-- In the place of a file: what a shell makes at "$1".
local NO_FILES = {
  { "a pipe without a writer", 'mkfifo "$1"' },
  { "a directory", 'mkdir "$1"' },
  { "a link to itself", 'ln -s "$1" "$1"' },
  { "a link to nowhere", 'ln -s "$1-missing" "$1"' },
  { "a device that never ends", 'ln -s /dev/zero "$1"' },
  { "a huge file", 'truncate -s 8G "$1"' },
  { "a file of zeros", 'head -c 5000 /dev/zero >"$1"' },
  { "an empty file", ': >"$1"' },
}

local function sso_path() return rig.home .. "/.aws/sso/cache/" .. core.sha1 "dev" .. ".json" end

local FILES = {
  { "the SSO token", sso_path, function() rig:config(rig:sso_profile "default") end },
  { "the login token", function()
    return rig.home .. "/.aws/login/cache/" .. core.sha256(credentials_rig.LOGIN_SESSION) .. ".json"
  end, function() rig:config("[default]\nlogin_session = " .. credentials_rig.LOGIN_SESSION .. "\n") end },
  { "the config file", nil, function(path) rig:variables { AWS_CONFIG_FILE = path, AWS_PROFILE = "prod" } end },
  { "the credentials file", nil,
    function(path) rig:variables { AWS_SHARED_CREDENTIALS_FILE = path, AWS_PROFILE = "prod" } end },
  { "the token of a pod", nil,
    function(path) rig:variables { AWS_ROLE_ARN = sim.role_arn, AWS_WEB_IDENTITY_TOKEN_FILE = path } end },
  { "the token of a container", nil, function(path)
    rig:variables { AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = path }
  end },
  { "the CA bundle", nil, function(path)
    return { ca_bundle = path, endpoint = sim.endpoint, credentials = sim.credentials }
  end },
  { "the certificate of a device", nil, function(path) return device "certificate"(path) end },
  { "the key of a device", nil, function(path) return device "key"(path) end },
  { "the CA bundle of a device", nil, function(path) return device "ca_bundle"(path) end },
}

-- Programs -------------------------------------------------------------------------------------

local GOOD = [["Version":1,"AccessKeyId":"AKID","SecretAccessKey":"s"]]

local function printing(text) return "printf '%s' '" .. text .. "'" end

local PROGRAMS = {
  { "that writes without an end", "exec cat /dev/zero", "more than" },
  { "that complains without an end", "exec cat /dev/zero >&2", "more than" },
  { "that hangs and is deaf", "trap '' TERM INT HUP; while :; do sleep 5 & wait; done", "did not end" },
  { "that leaves a child which keeps the pipe", "sleep 5 & echo '{}'", "wrote" },
  { "that closes its outputs and goes on", "exec >&- 2>&-; exec sleep 5", "did not end" },
  { "that is ended by a signal", "kill -SEGV $$", "signal 11" },
  { "that writes NULs", "printf '{" .. GOOD .. "\\000}'", "JSON" },
  { "that writes no UTF-8", "printf '{" .. GOOD .. ",\"SessionToken\":\"\\377\"}'", "JSON" },
  { "that writes a key with a line end",
    printing [[{"Version":1,"AccessKeyId":"a\r\nX-Evil: 1","SecretAccessKey":"s"}]], "key id" },
  { "that writes deeply nested JSON", "head -c 100000 /dev/zero | tr '\\0' '['", "JSON" },
  { "that writes deeply nested objects", "printf '{\"a\":%.0s' $(seq 20000)", "JSON" },
  { "that writes an infinite number", printing("{" .. GOOD .. ",\"a\":1e999}"), "JSON" },
  { "that writes a number for a key", printing [[{"Version":1,"AccessKeyId":1e300,"SecretAccessKey":"s"}]],
    "AccessKeyId" },
  { "that writes a version of many digits", printing [[{"Version":1e308,"AccessKeyId":"a","SecretAccessKey":"s"}]],
    "[Vv]ersion" },
  { "that writes an expiration of long ago", printing("{" .. GOOD .. ",\"Expiration\":\"0001-01-01T00:00:00Z\"}"),
    "expired" },
  { "that writes an expiration that is no time",
    printing("{" .. GOOD .. ",\"Expiration\":\"9999999-01-01T00:00:00Z\"}"),
    "no time" },
  { "that draws on the terminal",
    "printf '\\033[2J\\033]0;evil\\007\\302\\2332J\\342\\200\\256' >&2; exit 1", "status 1" },
}

describe("the way to credentials", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    rig = credentials_rig.new(sim)
    rig.runtime.sleep = function() return true end -- what is tried again, is at once
    sim:seed { taskId = "full", status = "Completed" }
  end)
  teardown(function()
    rig:remove()
    sim:stop()
  end)
  before_each(function()
    rig:variables()
    rig:config ""
    sim:clear()
  end)

  -- One call with a new client; the result, or a clear failure, in time.
  local function try(options, seconds)
    local all = { endpoint = sim.plain_endpoint, retry = { max_attempts = 1 }, timeout = seconds or 5 }
    for name, value in pairs(options or {}) do all[name] = value end
    local started = core.monotonic()
    local result
    local client, message, detail = rig:new_client(all)
    if client then
      result, message, detail = rig:describe(client)
      client:close()
    end
    assert.is_true(core.monotonic() - started < (seconds or 5))
    if result == nil then attacks.assert_clear_failure(message, detail) end
    return result, message, detail
  end

  for _, place in ipairs(PLACES) do
    it("is not led astray by " .. place[1], function()
      for _, attack in ipairs(attacks.few) do
        rig:variables()
        try(place[2](attack[2]))
      end
      local allowed = { CALL, unpack(place, 3) }
      for _, entry in ipairs(sim:journal()) do
        attacks.assert_usual_headers(entry)
        if entry.uri ~= "" and not is_one_of(entry.uri, allowed) then error("asked for " .. entry.uri) end
      end
    end)
  end

  for _, redirect in ipairs(REDIRECTS) do
    it("follows no redirect of " .. redirect[1], function()
      for _, status in ipairs { 302, 308 } do
        sim:fault { kind = "reply", operation = redirect[1], status = status, times = 9,
          headers = { Location = sim.plain_endpoint .. "/evil" } }
        assert.is_nil(try(redirect[2](rig)))
        local journal = sim:journal()
        assert.is_true(#journal > 0)
        for _, entry in ipairs(journal) do
          assert.is_nil(entry.uri:find "evil")
          assert.not_equal("DescribeThingRegistrationTask", entry.operation)
        end
        sim:clear()
      end
    end)
  end

  for _, file in ipairs(FILES) do
    it("gets no further with what is no file in the place of " .. file[1], function()
      for i, made in ipairs(NO_FILES) do
        local path = file[2] and file[2]() or rig.home .. "/no-file-" .. i
        local result = command.run { "sh", "-c", 'mkdir -p "${1%/*}"; rm -rf "$1"; ' .. made[2], "sh", path }
        assert.equal(0, result.code, result.stderr)
        rig:variables()
        assert.is_nil(try(file[3](path)), made[1])
      end
      assert.equal(0, rig:count "DescribeThingRegistrationTask")
    end)
  end

  describe("through a file of tokens that is renewed", function()
    local function renew()
      rig:config(rig:sso_profile "default")
      rig:variables()
      assert(try())
    end

    local function old_token()
      return rig:write_sso_token("dev", { expiresAt = credentials_rig.time(rig.runtime.now() + 60) })
    end

    it("replaces a symbolic link, and leaves alone what that leads to", function()
      old_token()
      local victim = rig.home .. "/victim"
      assert.equal(0, command.run({ "sh", "-c", 'mv "$1" "$2" && ln -s "$2" "$1"', "sh", sso_path(), victim }).code)
      local before = files.read(victim)
      renew()
      assert.equal(before, files.read(victim))
      assert.equal(0, command.run({ "test", "!", "-h", sso_path() }).code)
      assert.not_equal(before, files.read(sso_path()))
    end)

    it("leaves another name of it alone, and gives no one else access", function()
      old_token()
      local other = rig.home .. "/other"
      assert.equal(0, command.run({ "sh", "-c", 'chmod 666 "$1" && ln "$1" "$2"', "sh", sso_path(), other }).code)
      local before = files.read(other)
      renew()
      assert.equal(before, files.read(other))
      assert.equal("600\n", command.run({ "stat", "-c", "%a", sso_path() }).stdout)
      assert.equal("1\n", command.run({ "sh", "-c", 'ls -A "${1%/*}" | wc -l', "sh", sso_path() }).stdout:gsub(" ", ""))
    end)
  end)

  for _, program in ipairs(PROGRAMS) do
    it("is not blocked by a program " .. program[1], function()
      rig:config("[default]\ncredential_process = " .. rig:program(program[2] .. "\n"))
      local result, message, detail = try({ timeout = 0.3 }, 3)
      assert.is_nil(result)
      assert.equal("credentials", detail.cause and detail.cause.kind or detail.kind)
      assert.truthy(message:find(program[3]), message)
    end)
  end
end)
