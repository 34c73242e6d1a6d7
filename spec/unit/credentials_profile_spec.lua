-- Profiles as sources of credentials: which steps they make, and what the steps give.
local core = require "iot.core"
local files = require "spec.support.files"
local profile = require "iot.credentials.profile"
local support = require "spec.support.sts"

local KEY_SECRET = "SECRET-KEY-OF-THE-PROFILE"
local ROLE_A, ROLE_B = "arn:aws:iam::123456789012:role/RoleA", "arn:aws:iam::123456789012:role/RoleB"
table.insert(support.SECRETS, KEY_SECRET)

local replaced = {}

-- Modules that others of the library load only when they need them.
local function replace_module(name, module)
  replaced[name] = replaced[name] or { module = package.loaded[name] }
  package.loaded[name] = module
end

after_each(function()
  for name, former in pairs(replaced) do package.loaded[name] = former.module end
  replaced = {}
end)

local function keys(extra)
  local all = { aws_access_key_id = "AKIAPROFILE", aws_secret_access_key = KEY_SECRET }
  for name, value in pairs(extra or {}) do all[name] = value end
  return all
end

local function data_of(all, extra)
  local data = { profiles = all, sso_sessions = {}, name = "A", explicit = true, selected = all.A,
    config_path = "/home/me/.aws/config", credentials_path = "/home/me/.aws/credentials" }
  for name, value in pairs(extra or {}) do data[name] = value end
  return data
end

local function context_of(all, answers, extra)
  local data = data_of(all)
  local context = support.context(answers, { profiles = data, profile = data.selected })
  for name, value in pairs(extra or {}) do context[name] = value end
  return context
end

local function success(changes) return support.success("AssumeRole", changes) end

-- A module whose providers give a record, and the contexts that they were made with.
local function fake_module(fetch, reason, code)
  local made = {}
  return { made = made, new = function(context)
    table.insert(made, context)
    if reason then return nil, reason, code end
    return { name = "fake", feature = "F", fetch = fetch }
  end }
end

local function fake_record()
  return { access_key_id = "ASIAFAKE", secret_access_key = "SECRET-OF-THE-FAKE", session_token = "TOKEN-OF-THE-FAKE" }
end

describe("a profile with keys", function()
  it("gives them", function()
    local provider = assert(profile.new(context_of { A = keys {
      aws_session_token = "token", aws_account_id = support.ACCOUNT } }))
    assert.same({ "profile", "n" }, { provider.name, provider.feature })
    assert.same({ access_key_id = "AKIAPROFILE", secret_access_key = KEY_SECRET, session_token = "token",
      account_id = support.ACCOUNT }, provider.fetch())
  end)

  it("knows the token's old name, and passes over what is empty", function()
    assert.equal("old", assert(profile.new(context_of { A = keys { aws_security_token = "old" } })).fetch()
      .session_token)
    assert.same({ access_key_id = "AKIAPROFILE", secret_access_key = KEY_SECRET },
      assert(profile.new(context_of { A = keys { aws_session_token = "", aws_account_id = "", role_arn = "",
        credential_source = "", web_identity_token_file = "", sso_session = "", credential_process = "" } })).fetch())
  end)
end)

describe("a profile", function()
  -- What it is, profiles, code, pattern.
  local BAD = {
    { "without keys or roles", { A = { region = "eu-west-1" } }, "NoCredentials",
      { "profile `a` did not contain credential information", "set aws_access_key_id" } },
    { "that is one of none", {}, "NoCredentials", "no profiles were defined in /home/me/.aws/config and /" },
    { "that is not there", { B = keys() }, "InvalidProfile", "there is no profile `a`" },
    { "with half a key pair", { A = { aws_access_key_id = "x" } }, "InvalidProfile",
      'profile missing aws_secret_access_key.*beside aws_access_key_id of profile "a"' },
    { "with the other half", { A = { aws_secret_access_key = KEY_SECRET, aws_access_key_id = "" } }, "InvalidProfile",
      "profile missing aws_access_key_id" },
    { "with half a key pair and its role in a source",
      { A = { role_arn = ROLE_A, source_profile = "B" }, B = { aws_access_key_id = "x", role_arn = ROLE_B,
        source_profile = "C" }, C = keys() }, "InvalidProfile", 'profile missing aws_secret.*of profile "b"' },
    { "that is its own source without keys", { A = { role_arn = ROLE_A, source_profile = "A" } }, "InvalidProfile",
      "`a` did not contain credential information, but names itself" },
    { "whose source has only a process and names itself", { A = { role_arn = ROLE_A, source_profile = "A",
      credential_process = "x" } }, "InvalidProfile", "names itself" },
    { "in a loop", { A = { role_arn = ROLE_A, source_profile = "B" }, B = { role_arn = ROLE_B, source_profile = "C" },
      C = { role_arn = ROLE_B, source_profile = "B" } }, "InvalidProfile", "infinite loop: a %-> b %-> c %-> b$" },
    { "with a source that is not there", { A = { role_arn = ROLE_A, source_profile = "x\ny" } }, "InvalidProfile",
      "could not find source profile x y referenced from a" },
    { "with an unknown source of credentials", { A = { role_arn = ROLE_A, credential_source = "Moon" } },
      "InvalidProfile", 'credential_source of profile "a".* must be environment, ecscontainer or ec2instancemetadata' },
    { "with a web identity and a source of credentials", { A = { role_arn = ROLE_A, credential_source = "Environment",
      web_identity_token_file = "/x" } }, "InvalidProfile", "both web_identity_token_file and credential_source" },
    { "with a source without credentials", { A = { role_arn = ROLE_A, source_profile = "B" }, B = {} },
      "InvalidProfile", "profile `b` did not contain" },
    { "with a session of SSO that is not there", { A = { sso_session = "x" } }, "InvalidProfile",
      "sso%-session named `x` %(referenced by profile `a`%) was not found: add %[sso%-session x%]" },
    { "with SSO, but no region", { A = { sso_account_id = "1", sso_role_name = "x", sso_start_url = "https://x" } },
      "InvalidProfile", '`sso_region` was missing: see profile "a"' },
    { "with SSO, but no URL", { A = { sso_account_id = "1", sso_role_name = "x", sso_region = "us-east-1" } },
      "InvalidProfile", "`sso_start_url` was missing" },
    { "with a role that is none", { A = { role_arn = "x", source_profile = "B" }, B = keys() }, "InvalidProfile",
      'profile "a": role_arn must be' },
    { "whose source has a role that is none", { A = { role_arn = ROLE_A, source_profile = "B" },
      B = { role_arn = ROLE_B, role_session_name = "a b", source_profile = "C" }, C = keys() }, "InvalidProfile",
      'profile "a", by way of profile "b": role_session_name must be' },
    { "with a bad duration", { A = { role_arn = ROLE_A, duration_seconds = "1h", source_profile = "B" }, B = keys() },
      "InvalidProfile", "duration_seconds must be a whole number" },
    { "with a web identity that has a bad name", { A = { role_arn = ROLE_A, web_identity_token_file = "/x",
      role_session_name = "?" } }, "InvalidProfile", "role_session_name must be" },
    { "with an MFA device, and no way to ask", { A = { role_arn = ROLE_A, source_profile = "B",
      mfa_serial = "arn:aws:iam::123456789012:mfa/me" }, B = keys() }, "InvalidProfile", "mfa/me.*option mfa_code" },
    { "with a process that is none", { A = { credential_process = "'x" } }, "InvalidProfile",
      'profile "a": credential_process cannot be used' },
  }
  for _, case in ipairs(BAD) do
    it(case[1] .. " is refused before any request", function()
      local context = context_of(case[2])
      support.assert_failure({ code = case[3], message = case[4] }, profile.new(context))
      assert.equal(0, #context.runtime.requests)
    end)
  end

  it("that nobody named may be absent", function()
    local data = data_of({ B = keys() }, { name = "default", explicit = false })
    support.assert_failure({ code = "NoCredentials", message = "no profile `default`" },
      profile.new(support.context({}, { profiles = data })))
    support.assert_failure({ code = "NoCredentials" }, profile.new(support.context {}))
  end)

  it("says in which line it is wrong", function()
    local data = data_of({ A = { role_arn = ROLE_A } },
      { origins = { profiles = { A = { role_arn = { file = "config", line = 7 } } } } })
    support.assert_failure({ code = "InvalidProfile", message = "must contain.*line 7 of /home/me/.aws/config" },
      profile.resolve(data, "A"))
  end)

  it("may repeat what its SSO session says, but not contradict it", function()
    local session = { sso_region = "us-east-1", sso_start_url = "https://x" }
    local section = { sso_session = "s", sso_account_id = "1", sso_role_name = "r", sso_region = "us-east-1" }
    local data = data_of({ A = section }, { sso_sessions = { s = session } })
    assert.same({ { kind = "Sso", profile = "A", sso_session = "s", sso_account_id = "1", sso_role_name = "r",
      sso_region = "us-east-1", sso_start_url = "https://x" } }, profile.resolve(data, "A"))
    section.sso_region = "us-east-2"
    support.assert_failure({ code = "InvalidProfile", message = "`sso_region` can only be specified" },
      profile.resolve(data, "A"))
  end)

  -- The keys that a profile has, and which of them wins.
  local ALL = { aws_access_key_id = "x", aws_secret_access_key = "y", credential_process = "p", login_session = "l",
    sso_start_url = "u", sso_region = "r", role_arn = ROLE_A, web_identity_token_file = "/t" }
  it("looks for its base in an order", function()
    local function kind(name)
      return assert(profile.resolve({ profiles = { A = ALL, Z = { role_arn = ROLE_A, source_profile = "A" } } },
        name))[1].kind
    end
    assert.equal("AccessKey", kind "Z")
    assert.equal("WebIdentityToken", kind "A")
    ALL.web_identity_token_file, ALL.role_arn = nil, nil
    assert.equal("Sso", kind "A")
    ALL.sso_start_url, ALL.sso_region = nil, nil
    assert.equal("Login", kind "A")
    ALL.login_session = nil
    assert.equal("Process", kind "A")
    ALL.credential_process = nil
    assert.equal("AccessKey", kind "A")
  end)
end)

describe("a chain of roles", function()
  local function chain()
    return {
      A = { role_arn = ROLE_A, source_profile = "B", external_id = "external", role_session_name = "name-a",
        duration_seconds = "3600" },
      B = { role_arn = ROLE_B, source_profile = "C" }, C = keys(),
    }
  end
  local first = { AccessKeyId = "ASIAFIRST", SecretAccessKey = "SECRET-OF-B", SessionToken = "TOKEN-OF-B" }

  it("is assumed from the base outward, each signed by the one before", function()
    local context = context_of(chain(), { success(first), success() })
    local provider = assert(profile.new(context))
    assert.equal("n,o,i", provider.feature)
    assert.same(support.record(), provider.fetch())

    local requests = context.runtime.requests
    support.assert_signed(requests[1], { access_key_id = "AKIAPROFILE", secret_access_key = KEY_SECRET }, "eu-west-1")
    support.assert_signed(requests[2], { access_key_id = "ASIAFIRST", secret_access_key = "SECRET-OF-B",
      session_token = "TOKEN-OF-B" }, "eu-west-1")
    assert.same({ Action = "AssumeRole", Version = "2011-06-15", RoleArn = ROLE_B,
      RoleSessionName = "iot-1440938160" }, support.fields(requests[1]))
    assert.same({ Action = "AssumeRole", Version = "2011-06-15", RoleArn = ROLE_A, RoleSessionName = "name-a",
      ExternalId = "external", DurationSeconds = "3600" }, support.fields(requests[2]))
  end)

  it("is assumed anew on every fetch", function()
    local context = context_of(chain(), { success(first), success(), success(first), success() })
    local provider = assert(profile.new(context))
    assert(provider.fetch())
    assert(provider.fetch())
    assert.equal(4, #context.runtime.requests)
  end)

  it("ends at the role that is refused, and names its profile", function()
    local context = context_of(chain(), { support.refusal(403, "AccessDenied", "No to " .. KEY_SECRET) })
    support.assert_failure({ code = "CredentialsFailed",
      message = 'profile "a", by way of profile "b": the role .*roleb was not assumed: .*accessdenied: no to %*%*%*' },
      assert(profile.new(context)).fetch())
    context = context_of(chain(), { success(first), support.refusal(403, "AccessDenied", "no") })
    support.assert_failure({ code = "CredentialsFailed", message = '^profile "a": the role .*rolea was not' },
      assert(profile.new(context)).fetch())
  end)

  it("ends at the role whose request was interrupted", function()
    replace_module("iot.credentials.environment", fake_module(fake_record))
    local context = context_of({ A = { role_arn = ROLE_A, source_profile = "B" },
      B = { role_arn = ROLE_B, credential_source = "Environment" } }, { support.failure "Interrupted" })
    support.assert_failure({ code = "Interrupted", message = { 'by way of profile "b"', "no luck" } },
      assert(profile.new(context)).fetch())
    assert.equal(1, #context.runtime.requests)
  end)

  it("keeps the deadline as a whole", function()
    local context
    local function slow(request)
      context.runtime.clock = context.runtime.clock + 4
      assert.is_true(request.timeout <= 5)
      return success(first)
    end
    context = context_of(chain(), { slow, function(request)
      assert.equal(1, request.timeout)
      return success()
    end })
    assert(assert(profile.new(context)).fetch(context.runtime.clock + 5))
  end)

  it("asks for the code of an MFA device once for each fetch, and never sends one twice", function()
    local asked = 0
    local context = context_of({
      A = { role_arn = ROLE_A, source_profile = "B", mfa_serial = "arn:aws:iam::123456789012:mfa/me" }, B = keys() },
      { { status = 500, headers = {}, body = "" }, success(), success() }, { mfa_code = function()
        asked = asked + 1
        return "12345" .. asked
      end })
    local provider = assert(profile.new(context))
    assert.equal(0, asked)
    assert.is_nil((provider.fetch())) -- another attempt would be refused, and hide the reason
    assert(provider.fetch())
    assert(provider.fetch())
    local codes = {}
    for i, request in ipairs(context.runtime.requests) do codes[i] = support.fields(request).TokenCode end
    assert.same({ "123451", "123452", "123453" }, codes)
  end)
end)

describe("the base of a profile", function()
  local NAMED = { Environment = "environment", EcsContainer = "container", Ec2InstanceMetadata = "imds",
    ec2instancemetadata = "imds" }
  for source, name in pairs(NAMED) do
    it("is " .. name .. " for credential_source = " .. source, function()
      local module = fake_module(fake_record)
      replace_module("iot.credentials." .. name, module)
      local context = context_of({ A = { role_arn = ROLE_A, credential_source = source } }, { success() })
      local provider = assert(profile.new(context))
      assert.equal("F,p,i", provider.feature)
      assert.same(support.record(), provider.fetch())
      support.assert_signed(context.runtime.requests[1], fake_record(), "eu-west-1")
      assert.equal(context, module.made[1])
    end)
  end

  local BASES = {
    sso = { sso_session = "s", sso_account_id = "1", sso_role_name = "r" },
    login = { login_session = "arn:aws:sts::123456789012:assumed-role/Admin/admin" },
    process = { credential_process = "x" },
  }
  for name, section in pairs(BASES) do
    it("is " .. name .. ", which reads the profile that it stands in", function()
      local module = fake_module(fake_record)
      replace_module("iot.credentials." .. name, module)
      local context = context_of({ A = { role_arn = ROLE_A, source_profile = "B" }, B = section }, { success() })
      context.profiles.sso_sessions = { s = { sso_region = "us-east-1", sso_start_url = "https://x" } }
      assert.same(support.record(), assert(profile.new(context)).fetch())
      local made = module.made[1]
      assert.equal(section, made.profile)
      assert.same({ "B", section }, { made.profiles.name, made.profiles.selected })
      assert.same({ context.runtime, "eu-west-1", context.profiles.sso_sessions },
        { made.runtime, made.region, made.profiles.sso_sessions })
      assert.same({ "A", context.profiles.profiles.A }, { context.profiles.name, context.profile })
    end)
  end

  it("is a real process", function()
    local path = files.temporary()
    files.write(path, ([[echo '{"Version":1,"AccessKeyId":"x","SecretAccessKey":"%s"}']]):format(KEY_SECRET))
    local context = context_of { A = { credential_process = "sh " .. path, aws_account_id = support.ACCOUNT } }
    context.runtime.run = core.run
    local provider = assert(profile.new(context))
    local record = provider.fetch()
    os.remove(path)
    assert.equal("v,w", provider.feature)
    assert.same({ access_key_id = "x", secret_access_key = KEY_SECRET, account_id = support.ACCOUNT }, record)
  end)

  it("is a web identity, for a role beyond it too", function()
    local path = files.temporary()
    files.write(path, "eyJ.token")
    local context = context_of({ A = { role_arn = ROLE_A, source_profile = "B" },
      B = { role_arn = ROLE_B, web_identity_token_file = path, source_profile = "ignored" } },
      { support.success "AssumeRoleWithWebIdentity", success() })
    local provider = assert(profile.new(context))
    local record = provider.fetch()
    os.remove(path)
    assert.equal("q,k,o,i", provider.feature)
    assert.same(support.record(), record)
    assert.same({ "AssumeRoleWithWebIdentity", "eyJ.token" }, { support.fields(context.runtime.requests[1]).Action,
      support.fields(context.runtime.requests[1]).WebIdentityToken })
    support.assert_signed(context.runtime.requests[2], support.record(), "eu-west-1")
  end)

  it("that is not there is a wrong profile", function()
    replace_module("iot.credentials.environment", fake_module(nil, "AWS_ACCESS_KEY_ID is not set", "NoCredentials"))
    support.assert_failure({ code = "InvalidProfile",
      message = 'profile "a": credential_source is environment, but aws_access_key_id is not set' },
      profile.new(context_of { A = { role_arn = ROLE_A, credential_source = "Environment" } }))
    replace_module("iot.credentials.imds", fake_module(nil, "a mode is wrong", "InvalidConfiguration"))
    support.assert_failure({ code = "InvalidConfiguration", message = "a mode is wrong" },
      profile.new(context_of { A = { role_arn = ROLE_A, credential_source = "Ec2InstanceMetadata" } }))
  end)

  it("that has none when it is asked has failed", function()
    for given, expected in pairs { NoCredentials = "CredentialsFailed", CredentialsFailed = "CredentialsFailed",
      InvalidCredentials = "InvalidCredentials", Interrupted = "Interrupted" } do
      replace_module("iot.credentials.imds", fake_module(function() return nil, "no role there", given end))
      local context = context_of { A = { role_arn = ROLE_A, credential_source = "Ec2InstanceMetadata" } }
      support.assert_failure({ code = expected, message = '^profile "a": no role there' },
        assert(profile.new(context)).fetch())
      assert.equal(0, #context.runtime.requests)
    end
  end)

  it("is given the deadline", function()
    local given
    replace_module("iot.credentials.imds", fake_module(function(deadline)
      given = deadline
      return fake_record()
    end))
    local context = context_of({ A = { role_arn = ROLE_A, credential_source = "Ec2InstanceMetadata" } }, { success() })
    assert(assert(profile.new(context)).fetch(context.runtime.clock + 9))
    assert.equal(context.runtime.clock + 9, given)
  end)

  it("passes nothing of its own record on", function()
    replace_module("iot.credentials.imds", fake_module(function()
      local record = fake_record()
      record.stale_allowed, record.expiration, record.account_id = true, 1, "000000000000"
      return record
    end))
    local context = context_of({ A = { role_arn = ROLE_A, credential_source = "Ec2InstanceMetadata" } }, { success() })
    assert.same(support.record(), assert(profile.new(context)).fetch())
  end)
end)
