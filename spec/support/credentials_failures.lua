--- Sources of credentials that are set up wrongly, or that do not work, and what is to be said of each.
--
-- A case is { what, code, patterns of the message in lower case, use, seconds = the most that it may take,
-- least = that it must take }. `use(rig)` sets the source up for a spec.support.credentials_rig; it may
-- return options of iot.new, and options of the call.
local command = require "spec.support.command"
local credentials_rig = require "spec.support.credentials_rig"

local NOBODY = credentials_rig.NOBODY
local LOGIN_SESSION, START_URL = credentials_rig.LOGIN_SESSION, credentials_rig.START_URL

local function config(text)
  return function(rig) rig:config(text) end
end

local function variables(changes)
  return function(rig) rig:variables(changes) end
end

local PROFILES = {
  { "a profile that is not there", "ProfileNotFound", { "prod", "config" }, function(rig)
    rig:config "[default]\n"
    return { profile = "prod" }
  end },
  { "a profile of AWS_PROFILE that is not there", "ProfileNotFound", { "prod", "aws_profile" },
    variables { AWS_PROFILE = "prod" } },
  { "a malformed file", "InvalidProfile", { "config", "line 2", "=" }, config "[default]\nregion" },
  { "a file of profiles that cannot be read", "NoCredentials", { "passed over", "/: is a directory" },
    variables { AWS_CONFIG_FILE = "/" } },
  { "half a key pair in the environment", "InvalidCredentials", { "aws_access_key_id is set", "aws_secret_access_key" },
    variables { AWS_ACCESS_KEY_ID = "AKIDEXAMPLE" } },
  { "the other half", "InvalidCredentials", { "aws_secret_access_key is set", "aws_access_key_id" },
    variables { AWS_SECRET_ACCESS_KEY = "secret" } },
  { "an expiration in the environment that is no time", "InvalidCredentials", "aws_credential_expiration",
    variables { AWS_ACCESS_KEY_ID = "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY = "x", AWS_CREDENTIAL_EXPIRATION = "soon" } },
  { "half a key pair in a profile", "InvalidProfile", { "default", "aws_secret_access_key", "line 2" },
    config "[default]\naws_access_key_id = AKIDEXAMPLE\n" },
  { "a loop of source profiles", "InvalidProfile", { "loop", "default %-> a %-> b %-> a" }, config [[
    [default]
    role_arn = arn:aws:iam::123456789012:role/Provisioner
    source_profile = a
    [profile a]
    role_arn = arn:aws:iam::123456789012:role/Provisioner
    source_profile = b
    [profile b]
    role_arn = arn:aws:iam::123456789012:role/Provisioner
    source_profile = a
  ]] },
  { "a source profile that is not there", "InvalidProfile", { "source profile nobody" }, config [[
    [default]
    role_arn = arn:aws:iam::123456789012:role/Provisioner
    source_profile = nobody
  ]] },
  { "a role without a source", "InvalidProfile", { "source_profile", "credential_source" },
    config "[default]\nrole_arn = arn:aws:iam::123456789012:role/Provisioner\n" },
  { "an unknown credential_source", "InvalidProfile", { "credential_source", "ec2instancemetadata" },
    function(rig) rig:config(rig:role_profile "credential_source = Thin Air") end },
  { "a credential_source that has none", "InvalidProfile", { "ecscontainer", "aws_container_credentials_full_uri" },
    function(rig) rig:config(rig:role_profile "credential_source = EcsContainer") end },
}

local ROLES = {
  { "a role that may not be assumed", "CredentialsFailed", { "role/nobody", "accessdenied", "trust policy" },
    function(rig)
      rig:config(rig:user_profile "default"
        .. "role_arn = arn:aws:iam::123456789012:role/Nobody\nsource_profile = default\n")
    end },
  { "a role whose source has wrong keys", "CredentialsFailed", { "invalidclienttokenid" },
    function(rig)
      rig:config(rig:role_profile "source_profile = user"
        .. "[profile user]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n")
    end },
  { "a role whose source has a wrong secret", "CredentialsFailed", { "signaturedoesnotmatch", "secret access key" },
    function(rig)
      rig:config((rig:role_profile "source_profile = user" .. rig:user_profile "profile user")
        :gsub("(aws_secret_access_key = )%S+", "%1wrong"))
    end },
  { "a role that wants an MFA code", "InvalidProfile", { "mfa", "mfa_code" },
    function(rig) rig:config(rig:role_profile "mfa_serial = arn:aws:iam::123456789012:mfa/ada\nsource_profile = u"
      .. rig:user_profile "profile u") end },
  { "a wrong MFA code", "CredentialsFailed", "accessdenied", function(rig)
    rig:config(rig:user_profile "default" .. [[
      role_arn = arn:aws:iam::123456789012:role/Operator
      mfa_serial = arn:aws:iam::123456789012:mfa/ada
      source_profile = default
    ]])
    return { mfa_code = function() return "000000" end }
  end },
  { "no MFA code", "CredentialsFailed", { "mfa_code", "nobody at the keyboard" }, function(rig)
    rig:config(rig:role_profile "mfa_serial = arn:aws:iam::123456789012:mfa/ada\nsource_profile = u"
      .. rig:user_profile "profile u")
    return { mfa_code = function() return nil, "nobody at the keyboard" end }
  end },
  { "an STS that is not there", "CredentialsFailed", { "sts", "not reached" }, function(rig)
    rig:config(rig:role_profile "source_profile = u" .. rig:user_profile "profile u")
    rig:variables { AWS_ENDPOINT_URL_STS = NOBODY }
    return { timeout = 0.5 }
  end },
  { "an STS that answers with a page", "CredentialsFailed", { "sts", "cannot be understood" }, function(rig)
    rig:config(rig:role_profile "source_profile = u" .. rig:user_profile "profile u")
    rig.sim:fault { kind = "reply", status = 200, body = "<!DOCTYPE html><html>Please log in<br></html>",
      times = 9 }
  end },
  { "an STS that never answers", "Timeout", { "sts", "time" }, function(rig)
    rig:config(rig:role_profile "source_profile = u" .. rig:user_profile "profile u")
    rig.sim:fault { kind = "delay", seconds = 60, times = 9 }
    return nil, { timeout = 0.3 }
  end },
  { "an endpoint of STS that is no URL", "CredentialsFailed", "aws_endpoint_url_sts", function(rig)
    rig:config(rig:role_profile "source_profile = u" .. rig:user_profile "profile u")
    rig:variables { AWS_ENDPOINT_URL_STS = "nowhere" }
  end },
  { "a web identity without a role", "InvalidCredentials", { "aws_web_identity_token_file", "aws_role_arn" },
    variables { AWS_WEB_IDENTITY_TOKEN_FILE = "/nonexistent" } },
  { "a web identity whose file is not there", "CredentialsFailed",
    { "/nonexistent/token", "no such file", "aws_web_identity_token_file" },
    variables { AWS_WEB_IDENTITY_TOKEN_FILE = "/nonexistent/token",
      AWS_ROLE_ARN = "arn:aws:iam::123456789012:role/Provisioner" } },
  { "a web identity whose file cannot be read", "CredentialsFailed", { "directory", "aws_web_identity_token_file" },
    variables { AWS_WEB_IDENTITY_TOKEN_FILE = "/", AWS_ROLE_ARN = "arn:aws:iam::123456789012:role/Provisioner" } },
  { "a web identity that is not accepted", "CredentialsFailed", { "invalididentitytoken", "role/provisioner" },
    function(rig)
      rig:variables { AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("token", "not.a.token"), AWS_ROLE_ARN = rig.sim.role_arn }
    end },
}

local TOKENS = {
  { "an unknown sso-session", "InvalidProfile", { "sso%-session", "staging" },
    config "[default]\nsso_session = staging\nsso_account_id = 1\nsso_role_name = r\n" },
  { "half an SSO profile", "InvalidProfile", "sso_role_name", function(rig)
    rig:config((rig:sso_profile "default"):gsub("sso_role_name[^\n]*", ""))
  end },
  { "no SSO token", "CredentialsFailed", { "no sso token", "%.json", "aws sso login %-%-profile default" },
    function(rig) rig:config(rig:sso_profile "default") end },
  { "an SSO token that has expired", "CredentialsFailed", { "expired", "aws sso login" }, function(rig)
    rig:write_sso_token("dev", { expiresAt = "2020-01-01T00:00:00Z", refreshToken = false })
    rig:config(rig:sso_profile "default")
  end },
  { "an SSO token that has expired and is not renewed", "CredentialsFailed",
    { "expired", "session has ended", "aws sso login" }, function(rig)
      rig:write_sso_token("dev", { expiresAt = "2020-01-01T00:00:00Z", refreshToken = "spent" })
      rig:config(rig:sso_profile "default")
    end },
  { "an old SSO token that has expired", "CredentialsFailed", { "expired", "aws sso login" }, function(rig)
    rig:write_sso_token(START_URL, { expiresAt = "2020-01-01T00:00:00UTC" })
    rig:config("[default]\nsso_account_id = 1\nsso_role_name = r\nsso_region = us-east-1\nsso_start_url = "
      .. START_URL)
  end },
  { "an SSO token that is not known", "CredentialsFailed", { "token is not valid", "aws sso login" }, function(rig)
    rig:write_sso_token("dev", { accessToken = "revoked" })
    rig:config(rig:sso_profile "default")
  end },
  { "an SSO token in a file that is no JSON", "CredentialsFailed", { "%.json", "aws sso login" }, function(rig)
    rig:write(rig:write_sso_token("dev"), "{")
    rig:config(rig:sso_profile "default")
  end },
  { "an SSO role that the user does not have", "CredentialsFailed", { "no such role", "sso_role_name" }, function(rig)
    rig:write_sso_token("dev")
    rig:config((rig:sso_profile "default"):gsub("sso_role_name = %w+", "sso_role_name = Admin"))
  end },
  { "no session of aws login", "CredentialsFailed", { "no login token", "aws login %-%-profile default" },
    config("[default]\nlogin_session = " .. LOGIN_SESSION) },
  { "a session of aws login that has ended", "CredentialsFailed", { "session has ended", "aws login" }, function(rig)
    rig:write_login_token(LOGIN_SESSION, { refreshToken = "spent" })
    rig:advance(1000)
    rig:config("[default]\nlogin_session = " .. LOGIN_SESSION)
  end },
  { "a session of aws login with a wrong key", "CredentialsFailed", { "dpopkey", "aws login" }, function(rig)
    rig:write_login_token(LOGIN_SESSION, { dpopKey = "-----BEGIN EC PRIVATE KEY-----" })
    rig:advance(1000)
    rig:config("[default]\nlogin_session = " .. LOGIN_SESSION)
  end },
}

local function program(script)
  return function(rig) rig:config("[default]\ncredential_process = " .. rig:program(script)) end
end

local PROGRAMS = {
  { "a program that fails", "CredentialsFailed", { "status 3", "the vault is sealed" },
    program "echo the vault is sealed >&2; exit 3" },
  { "a program that is killed", "CredentialsFailed", "signal 9", program "kill -9 $$" },
  { "a program that hangs", "Timeout", { "did not end", "input" }, function(rig)
    rig:config("[default]\ncredential_process = " .. rig:program "sleep 60")
    return nil, { timeout = 0.3 }
  end },
  { "a program that prints garbage", "CredentialsFailed", "no json", program "echo garbage" },
  { "a program that prints nothing", "CredentialsFailed", "no json", program "true" },
  { "a program that prints another version", "CredentialsFailed", "version", program [[echo '{"Version":2}']] },
  { "a program that prints no secret key", "CredentialsFailed", "secretaccesskey",
    program [[echo '{"Version":1,"AccessKeyId":"a"}']] },
  { "a program that prints what has expired", "CredentialsFailed", { "expired", "clock" }, program [[
    echo '{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","Expiration":"2020-01-01T00:00:00Z"}'
  ]] },
  { "a program that prints without end", "CredentialsFailed", "more than %d+ bytes", program "exec yes" },
  { "a program that is not there", "CredentialsFailed", { "no such file", "program", "path" },
    config "[default]\ncredential_process = /nonexistent/tool --secret abcdefgh\n" },
  { "a program in quotes without an end", "InvalidProfile", { "credential_process", "quote" },
    config "[default]\ncredential_process = 'tool\n" },
}

local function imds_fault(fault, changes)
  return function(rig)
    fault.operation, fault.times = fault.operation or "imds", 99
    rig.sim:fault(fault)
    rig:use_imds(changes)
  end
end

local PAGE = "<html>Please log in</html>"

local MACHINES = {
  { "a container URI to a host that is not allowed", "InvalidConfiguration",
    { "example%.com", "aws_container_credentials_full_uri", "loopback", "https" },
    variables { AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://example.com/keys" } },
  { "a container token that is not accepted", "CredentialsFailed", { "400", "invalididtoken" },
    function(rig) rig:use_container { AWS_CONTAINER_AUTHORIZATION_TOKEN = "wrong" } end },
  { "a container token file that is not there", "CredentialsFailed",
    { "aws_container_authorization_token_file", "/nonexistent/token" },
    function(rig) rig:use_container { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = "/nonexistent/token" } end },
  { "a container that answers with a page", "CredentialsFailed", { "html" }, function(rig)
    rig.sim:fault { kind = "reply", status = 200, body = PAGE, times = 9 }
    rig:use_container()
    function rig.runtime.random() return 1 end -- the next attempt would be after the call's time, however busy all is
    return nil, { timeout = 0.3 }
  end },
  { "a container that never answers", "Timeout", { "container", "time" }, function(rig)
    rig.sim:fault { kind = "delay", seconds = 60, times = 9 }
    rig:use_container()
    return nil, { timeout = 0.3 }
  end },
  { "a metadata service that is not there", "NoCredentials", { "imds: there is no instance metadata service",
    "127%.0%.0%.1:1" }, function() end },
  { "a metadata service that never answers", "NoCredentials", { "imds: there is no instance metadata service", "time" },
    imds_fault { kind = "delay", seconds = 60 }, seconds = 2, least = 0.9 },
  { "a metadata service that never answers a question", "CredentialsFailed", { "imds: .*cannot be asked", "time" },
    imds_fault { kind = "delay", seconds = 60, operation = "imds.roles" }, seconds = 2, least = 0.9 },
  { "a metadata service that stops in its answer", "NoCredentials", { "no instance metadata service" },
    imds_fault({ kind = "stall", seconds = 60 }, { AWS_METADATA_SERVICE_TIMEOUT = "0.2" }) },
  { "a metadata service with an error", "CredentialsFailed", { "imds: .*500" },
    imds_fault { kind = "reply", status = 500 } },
  { "a metadata service with an error later", "CredentialsFailed", { "imds: .*503" },
    imds_fault { kind = "reply", status = 503, operation = "imds.role" } },
  { "a metadata service that is a page", "CredentialsFailed", { "imds: .*proxy" },
    imds_fault { kind = "reply", status = 200, body = PAGE } },
  { "a metadata service that is a page later", "CredentialsFailed", { "imds: .*proxy" },
    imds_fault { kind = "reply", status = 200, body = PAGE, operation = "imds.role" } },
  { "a metadata service that is turned off", "CredentialsFailed", { "403", "enable" },
    imds_fault { kind = "reply", status = 403 } },
  { "a metadata service of another kind", "NoCredentials", { "no imdsv2" },
    imds_fault { kind = "reply", status = 404 } },
  { "a role that does not trust EC2", "CredentialsFailed", { "trust", "ec2%.amazonaws%.com" },
    imds_fault { kind = "reply", body = '{"Code":"AssumeRoleUnauthorizedAccess"}', operation = "imds.role" } },
  { "an instance without a role", "NoCredentials", { "imds: no iam role is attached" }, function(rig)
    rig.sim:settings { imds_role = "" }
    rig:use_imds()
  end },
  { "an instance without the role that is named", "CredentialsFailed",
    { "other", "aws_ec2_instance_profile_name" },
    function(rig) rig:use_imds { AWS_EC2_INSTANCE_PROFILE_NAME = "other" } end },
  { "a switch that is neither on nor off", "InvalidConfiguration", { "aws_ec2_metadata_disabled", "true or false" },
    variables { AWS_EC2_METADATA_DISABLED = "maybe" } },
  { "an unknown endpoint mode", "InvalidConfiguration", { "aws_ec2_metadata_service_endpoint_mode", "ipv4 or ipv6" },
    variables { AWS_EC2_METADATA_SERVICE_ENDPOINT = false, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE = "IPv5" } },
}

-- The device's options, changed.
local function device(changes)
  return function(rig)
    local all = {}
    for name, value in pairs(rig.sim.device) do all[name] = value end
    for name, value in pairs(type(changes) == "function" and changes(rig) or changes) do all[name] = value or nil end
    return { device = all }
  end
end

-- A certificate that the simulator's authority did not sign, and its key.
local function make_certificate(rig)
  local certificate, key = rig.home .. "/other.pem", rig.home .. "/other.key"
  local made = command.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
    "-nodes", "-subj", "/CN=other", "-days", "2", "-keyout", key, "-out", certificate }
  assert(made.code == 0, made.stderr)
  return { certificate = certificate, key = key }
end

local DEVICES = {
  { "a device without a role alias", "InvalidConfiguration", { "device%.role_alias", "missing" },
    device { role_alias = false } },
  { "a device with an unknown role alias", "CredentialsFailed", { "404", "role alias nobody" },
    device { role_alias = "nobody" } },
  { "a device that is another thing", "CredentialsFailed", { "403", "gateway%-8", "attached" },
    device { thing_name = "gateway-8" } },
  { "a device whose certificate is not there", "CredentialsFailed", { "device%.certificate", "/nonexistent%.pem" },
    device { certificate = "/nonexistent.pem" } },
  { "a device whose key is not its certificate's", "CredentialsFailed", { "device%.certificate and device%.key" },
    device(function(rig) return { key = make_certificate(rig).key } end) },
  { "a device whose certificate is not known", "CredentialsFailed", { "403", "certificate" },
    device(make_certificate) },
  { "a device whose certificate is a text", "InvalidConfiguration", { "device%.certificate", "path" },
    device { certificate = "-----BEGIN CERTIFICATE-----" } },
  { "a device that does not trust the service", "CredentialsFailed", { "ca_bundle" },
    device(function(rig) return { ca_bundle = make_certificate(rig).certificate } end) },
  { "a device whose endpoint is not there", "CredentialsFailed", { "cannot be asked", "connect" },
    device { endpoint = "https://127.0.0.1:1" } },
}

local FUNCTIONS = {
  { "a function that has none", "NoCredentials", { "function", "the safe is closed" },
    function() return { credentials = function() return nil, "the safe is closed" end } end },
  { "a function that gives half a key pair", "InvalidCredentials", { "function", "secret_access_key" },
    function() return { credentials = function() return { access_key_id = "a" } end } end },
  { "a function that gives something else", "InvalidCredentials", { "function", "table" },
    function() return { credentials = function() return "key" end } end },
  { "a record of half a key pair", "InvalidCredentials", { "secret_access_key" },
    function() return { credentials = { access_key_id = "a" } } end },
}

local M = {}

for _, cases in ipairs { PROFILES, ROLES, TOKENS, PROGRAMS, MACHINES, DEVICES, FUNCTIONS } do
  for _, case in ipairs(cases) do M[#M + 1] = case end
end

return M
