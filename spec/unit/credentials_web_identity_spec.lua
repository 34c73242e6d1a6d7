-- Roles for the token of a file, named by the environment or by a profile.
local environment = require "spec.support.environment"
local files = require "spec.support.files"
local support = require "spec.support.sts"
local web_identity = require "iot.credentials.web_identity"

local TOKEN = "eyJ.THE+TOKEN/=.1"
local OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
table.insert(support.SECRETS, TOKEN)

local path

before_each(function()
  path = files.temporary()
  files.write(path, TOKEN)
end)

after_each(function()
  environment.restore()
  os.remove(path)
end)

local function success() return support.success "AssumeRoleWithWebIdentity" end

local function set_variables(extra)
  local all = { AWS_WEB_IDENTITY_TOKEN_FILE = path, AWS_ROLE_ARN = support.ROLE }
  for name, value in pairs(extra or {}) do all[name] = value end
  environment.replace(all)
end

local function assert_not_made(code, pattern)
  support.assert_failure({ code = code, message = pattern }, web_identity.new(support.context {}))
end

describe("a web identity of the environment", function()
  it("gives the role's credentials", function()
    set_variables { AWS_ROLE_SESSION_NAME = "name-of-session" }
    local context = support.context { success() }
    local provider = assert(web_identity.new(context))
    assert.same({ "web_identity", "h,k" }, { provider.name, provider.feature })
    assert.same(support.record(), provider.fetch())
    assert.same({ Action = "AssumeRoleWithWebIdentity", Version = "2011-06-15", RoleArn = support.ROLE,
      RoleSessionName = "name-of-session", WebIdentityToken = TOKEN }, support.fields(context.runtime.requests[1]))
  end)

  it("takes nothing from a profile", function()
    set_variables()
    local section = { role_arn = OTHER_ROLE, role_session_name = "other", web_identity_token_file = "/none",
      external_id = "other", duration_seconds = "900" }
    local context = support.context({ success() }, { profile = section })
    assert(assert(web_identity.new(context)).fetch())
    local fields = support.fields(context.runtime.requests[1])
    assert.same({ support.ROLE, "iot-1440938160" }, { fields.RoleArn, fields.RoleSessionName })
    assert.is_nil(fields.ExternalId or fields.DurationSeconds)
  end)

  it("is not there without a token file, whatever else is set", function()
    environment.replace { AWS_ROLE_ARN = support.ROLE }
    assert_not_made("NoCredentials", "aws_web_identity_token_file is not set")
    set_variables { AWS_WEB_IDENTITY_TOKEN_FILE = "" }
    assert_not_made("NoCredentials", "aws_web_identity_token_file is not set")
  end)

  it("needs a role, and one that can be", function()
    environment.replace { AWS_WEB_IDENTITY_TOKEN_FILE = path }
    assert_not_made("InvalidCredentials", "aws_role_arn is not")
    set_variables { AWS_ROLE_ARN = "role" }
    assert_not_made("InvalidCredentials", "aws_role_arn must be the arn")
    set_variables { AWS_ROLE_SESSION_NAME = "a b" }
    assert_not_made("InvalidCredentials", "aws_role_session_name must be")
  end)
end)

describe("a web identity of a profile", function()
  it("gives the role's credentials, and takes nothing from the environment", function()
    set_variables { AWS_ROLE_ARN = OTHER_ROLE, AWS_ROLE_SESSION_NAME = "other",
      AWS_WEB_IDENTITY_TOKEN_FILE = "/none" }
    local context = support.context { success() }
    local provider = assert(web_identity.from_profile(context,
      { web_identity_token_file = path, role_arn = support.ROLE }))
    assert.equal("q,k", provider.feature)
    assert.same(support.record(), provider.fetch())
    local fields = support.fields(context.runtime.requests[1])
    assert.same({ support.ROLE, "iot-1440938160" }, { fields.RoleArn, fields.RoleSessionName })
  end)

  it("needs a role that can be", function()
    support.assert_failure({ code = "InvalidProfile", message = "^role_arn must be" },
      web_identity.from_profile(support.context {}, { web_identity_token_file = path, role_arn = "role" }))
  end)
end)

describe("the token file", function()
  local function provider_over(...)
    set_variables()
    local context = support.context { ... }
    return assert(web_identity.new(context)), context
  end

  it("is read on every fetch, verbatim", function()
    local provider, context = provider_over(success(), success())
    assert(provider.fetch())
    files.write(path, " rotated\n")
    assert(provider.fetch())
    assert.equal(TOKEN, support.fields(context.runtime.requests[1]).WebIdentityToken)
    assert.equal(" rotated\n", support.fields(context.runtime.requests[2]).WebIdentityToken)
  end)

  local function assert_fetch_fails(pattern)
    local provider = provider_over()
    support.assert_failure({ code = "CredentialsFailed", message = pattern }, provider.fetch())
  end

  it("fails, with its path and what names it, when it cannot be read", function()
    os.remove(path)
    assert_fetch_fails { "the token file /", "which aws_web_identity_token_file names", "no such file" }
  end)

  it("fails when it is a folder", function()
    os.remove(path)
    path = "/tmp"
    assert_fetch_fails "the token file /tmp, .*cannot be read"
    path = files.temporary()
  end)

  it("fails when it holds no token", function()
    for _, text in ipairs { "", "abc" } do
      files.write(path, text)
      assert_fetch_fails "holds no token"
    end
    files.write(path, ("x"):rep(20001))
    assert_fetch_fails "larger than 20000 bytes"
  end)

  it("may be as large as STS allows", function()
    files.write(path, ("x"):rep(20000))
    assert(provider_over(success()).fetch())
  end)

  it("is not read when the provider is made", function()
    os.remove(path)
    provider_over()
  end)
end)

describe("the deadline of a web identity", function()
  it("is kept", function()
    set_variables()
    local context = support.context { success() }
    local provider = assert(web_identity.new(context))
    assert(provider.fetch(context.runtime.clock + 3))
    assert.equal(3, context.runtime.requests[1].timeout)
    support.assert_failure({ code = "CredentialsFailed", message = "no time was left" },
      provider.fetch(context.runtime.clock))
  end)
end)
