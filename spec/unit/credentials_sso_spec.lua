-- Credentials of IAM Identity Center (reference 7.6).
local sso = require "iot.credentials.sso"
local json = require "spec.support.json"
local token_rig = require "spec.support.token_rig"

local NOW, copy, headers, assert_failure = token_rig.NOW, token_rig.copy, token_rig.headers, token_rig.assert_failure
local ACCESS, REFRESH, CLIENT_SECRET = "ACCESS-TOKEN-1", "REFRESH-TOKEN-1", "CLIENT-SECRET-1"
local SECRETS = { "ACCESS%-TOKEN", "REFRESH%-TOKEN", "CLIENT%-SECRET", "ROLE%-SECRET", "ROLE%-TOKEN" }
local START_URL = "https://d-123.awsapps.com/start"

-- printf %s TEXT | sha1sum
local SESSION_FILE = "/.aws/sso/cache/34c6fceca75e456f25e7e99531e2425c6c1de443.json" -- dev
local LEGACY_FILE = "/.aws/sso/cache/2b829a45f04c9828cb45b7d092d8e4aa30818393.json"

local EARLY, LATE = "2021-12-25T13:31:00Z", "2021-12-25T21:30:00Z" -- a minute, eight hours from now

local rig
before_each(function() rig = token_rig.new() end)
after_each(function() rig:remove() end)

-- Helpers ------------------------------------------------------------------------------------

local function profile(extra)
  local all = { sso_session = "dev", sso_account_id = "012345678901", sso_role_name = "Reader" }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return all
end

local function legacy_profile(extra)
  local all = profile { sso_session = false, sso_region = "us-east-2", sso_start_url = START_URL }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return all
end

local function sessions(extra)
  local all = { sso_region = "us-east-2", sso_start_url = START_URL, sso_registration_scopes = "sso:account:access" }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return { dev = all }
end

local function token(extra)
  local all = {
    accessToken = ACCESS, expiresAt = LATE, refreshToken = REFRESH, clientId = "client", clientSecret = CLIENT_SECRET,
    registrationExpiresAt = "2022-02-25T13:30:00Z", region = "us-east-2", startUrl = START_URL,
    unknown = { kept = { 1, "two" } },
  }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return all
end

local function role(extra)
  local all = {
    accessKeyId = "AKID-ROLE", secretAccessKey = "ROLE-SECRET-1", sessionToken = "ROLE-TOKEN-1",
    expiration = (NOW + 3600) * 1000 + 250,
  }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return { body = { roleCredentials = all } }
end

local function renewal(extra)
  local all = {
    accessToken = "ACCESS-TOKEN-2", tokenType = "Bearer", expiresIn = 28800, refreshToken = "REFRESH-TOKEN-2",
  }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return { body = all }
end

local function session_provider() return assert(sso.new(rig:context(profile(), sessions()))) end

local function assert_silent(message)
  for _, secret in ipairs(SECRETS) do assert.is_nil(message:find(secret), message) end
  return message
end

local function fetch_fails(provider, patterns)
  return assert_silent(assert_failure("CredentialsFailed", patterns, provider.fetch(rig.runtime.clock + 20)))
end

-- Configuration ------------------------------------------------------------------------------

describe("an SSO profile", function()
  -- What it is, profile, sections, code, what the message says.
  local BAD = {
    { "that is none", {}, {}, "NoCredentials", { "dev", "sso_account_id", "sso_role_name" } },
    { "of tokens alone", profile { sso_account_id = false, sso_role_name = false }, sessions(), "NoCredentials",
      "sso_role_name" },
    { "without an account", profile { sso_account_id = false }, sessions(), "InvalidProfile",
      "dev has sso_role_name, but no sso_account_id" },
    { "with an empty account", profile { sso_account_id = "" }, sessions(), "InvalidProfile",
      "dev has sso_role_name, but no sso_account_id" },
    { "without a role", profile { sso_role_name = false }, sessions(), "InvalidProfile",
      "dev has sso_account_id, but no sso_role_name" },
    { "of an unknown session", profile { sso_session = "prod" }, sessions(), "InvalidProfile",
      { "dev names the sso%-session prod", "config has no section %[sso%-session prod%]" } },
    { "of a session without a region", profile(), sessions { sso_region = false }, "InvalidProfile",
      "sso%-session dev has no sso_region" },
    { "of a session without a start URL", profile(), sessions { sso_start_url = "" }, "InvalidProfile",
      "sso%-session dev has no sso_start_url" },
    { "of a session with a wrong region", profile(), sessions { sso_region = "us east/2" }, "InvalidProfile",
      "sso_region of the sso%-session dev is no region" },
    { "that contradicts its session's region", profile { sso_region = "us-east-1" }, sessions(), "InvalidProfile",
      "dev and its sso%-session dev differ in sso_region; remove it" },
    { "that contradicts its session's start URL", profile { sso_start_url = START_URL .. "/" }, sessions(),
      "InvalidProfile", "differ in sso_start_url; remove it" },
    { "that adds a region to its session", profile { sso_region = "us-east-2" }, sessions { sso_region = false },
      "InvalidProfile", "differ in sso_region" },
    { "of the old form without a region", legacy_profile { sso_region = false }, {}, "InvalidProfile",
      "profile dev has no sso_region" },
    { "of the old form without a start URL", legacy_profile { sso_start_url = false }, {}, "InvalidProfile",
      "profile dev has no sso_start_url" },
    { "of the old form with a wrong region", legacy_profile { sso_region = "evil.example#" }, {}, "InvalidProfile",
      "sso_region of the profile dev is no region" },
  }

  for _, case in ipairs(BAD) do
    it(case[1] .. " is refused before any I/O", function()
      assert_failure(case[4], case[5], sso.new(rig:context(case[2], case[3])))
    end)
  end

  it("may name its session by anything that a file can hold", function()
    for _, name in ipairs { "a\nb", "\27[31m", "\255", ("x"):rep(5000) } do
      local message = assert_failure("InvalidProfile", "has no section", sso.new(rig:context(profile {
        sso_session = name }, sessions())))
      assert.is_true(#message < 500, message)
    end
  end)

  it("must be there", function()
    assert_failure("NoCredentials", "no profile", sso.new(rig:context(nil)))
  end)

  it("needs a home directory", function()
    rig.variables.HOME = nil
    assert_failure("InvalidConfiguration", "set HOME", sso.new(rig:context(profile(), sessions())))
  end)

  it("may repeat what its session says", function()
    rig:write(SESSION_FILE, token())
    rig:answers(role())
    local repeated = profile { sso_region = "us-east-2", sso_start_url = START_URL }
    assert(assert(sso.new(rig:context(repeated, sessions()))).fetch())
  end)

  it("makes a provider with a name and a feature, and asks for nothing yet", function()
    local provider = session_provider()
    assert.equal("sso", provider.name)
    assert.equal("r,s", provider.feature)
    assert.equal("t,u", assert(sso.new(rig:context(legacy_profile()))).feature)
    assert.equal(0, #rig.requests)
  end)
end)

-- Role credentials ---------------------------------------------------------------------------

-- Both forms of a profile: its provider, its file.
local FORMS = {
  { "a session", function() return session_provider() end, SESSION_FILE },
  { "the old form", function() return assert(sso.new(rig:context(legacy_profile()))) end, LEGACY_FILE },
}

for _, form in ipairs(FORMS) do
  local make, path = form[2], form[3]

  describe("credentials by " .. form[1], function()
    it("are asked of the portal, in the region of the instance", function()
      rig:write(path, token())
      rig:answers(role())
      assert.same({
        access_key_id = "AKID-ROLE", secret_access_key = "ROLE-SECRET-1", session_token = "ROLE-TOKEN-1",
        expiration = NOW + 3600.25, account_id = "012345678901",
      }, make().fetch(rig.runtime.clock + 5))
      assert.equal(1, #rig.requests)
      local request = rig.requests[1]
      assert.equal("GET", request.method)
      assert.equal("https://sso.us-east-2.example/federation/credentials?role_name=Reader&account_id=012345678901",
        request.url)
      assert.equal(ACCESS, headers(request)["x-amz-sso_bearer_token"])
      assert.is_nil(headers(request).authorization)
      assert.is_nil(request.body)
      assert.equal(5, request.timeout)
    end)

    it("need a token, of a file that both suffixes of a time may end", function()
      for _, suffix in ipairs { "Z", "UTC" } do
        rig:write(path, token { expiresAt = "2021-12-25T13:40:00" .. suffix })
        rig:answers(role())
        assert(make().fetch())
      end
    end)

    it("need no more of the file than the token and its end", function()
      rig:write(path, { accessToken = ACCESS, expiresAt = LATE })
      rig:answers(role())
      assert(make().fetch())
    end)

    it("are not there without a file", function()
      local message = fetch_fails(make(), { "there is no SSO token", "log in with: aws sso login %-%-profile dev$" })
      assert.is_truthy(message:find(rig.home .. path, 1, true), message)
      assert.equal(0, #rig.requests)
    end)

    it("are not there when the file lacks a field", function()
      for _, name in ipairs { "accessToken", "expiresAt" } do
        for _, value in ipairs { false, "", 5, { ACCESS } } do
          rig:write(path, token { [name] = value })
          fetch_fails(make(), { "has no " .. name, "aws sso login %-%-profile dev$" })
        end
      end
      rig:write(path, token { expiresAt = "soon" })
      fetch_fails(make(), { "an expiresAt that is no time", "aws sso login" })
      rig:write(path, ACCESS)
      fetch_fails(make(), { "no JSON object", "aws sso login" })
      rig:write(path, ("{"):rep(300 * 1024))
      fetch_fails(make(), { "larger than 262144 bytes", "aws sso login" })
      assert.equal(0, #rig.requests)
    end)

    it("are not there when the file is a folder, or below a file", function()
      token_rig.run("mkdir", "-p", rig.home .. path)
      fetch_fails(make(), { "Is a directory", "aws sso login" })
      token_rig.run("rm", "-r", rig.home .. "/.aws")
      rig:write("/.aws", "")
      fetch_fails(make(), { "Not a directory", "aws sso login" })
    end)
  end)
end

describe("the portal", function()
  before_each(function() rig:write(SESSION_FILE, token()) end)

  it("gets role and account encoded", function()
    rig:answers(role())
    local odd = profile { sso_role_name = "a b&c=d+e/f@g", sso_account_id = "1?2#3" }
    assert(assert(sso.new(rig:context(odd, sessions()))).fetch())
    assert.equal("https://sso.us-east-2.example/federation/credentials?role_name=a%20b%26c%3Dd%2Be%2Ff%40g"
      .. "&account_id=1%3F2%233", rig.requests[1].url)
  end)

  it("may be below a base path, and may be unknown", function()
    rig:answers(role())
    local function with(endpoint_for)
      return assert(sso.new(rig:context(profile(), sessions(), { endpoint_for = endpoint_for })))
    end
    assert(with(function() return "http://localhost:4566/base/" end).fetch())
    assert.equal("http://localhost:4566/base/federation/credentials?role_name=Reader&account_id=012345678901",
      rig.requests[1].url)
    fetch_fails(with(function() return nil, "no endpoint for the spec" end), "no endpoint for the spec")
  end)

  -- Reply, what the message says.
  local REFUSALS = {
    { { status = 401, headers = { ["x-amzn-errortype"] = "UnauthorizedException:http://internal/" },
      body = { message = "token " .. ACCESS .. " invalid" } },
      { "refused %(HTTP status 401, UnauthorizedException%): the token is not valid",
        "log in with: aws sso login %-%-profile dev$" } },
    { { status = 401 }, { "HTTP status 401", "aws sso login %-%-profile dev$" } },
    { { status = 403, body = { __type = "com.amazonaws.sso#ForbiddenException" } },
      { "ForbiddenException", "sso_account_id and sso_role_name" } },
    { { status = 404, headers = { ["x-amzn-errortype"] = "ResourceNotFoundException" } }, "no such account or role" },
    { { status = 400, headers = { ["x-amzn-errortype"] = "InvalidRequestException" } }, "InvalidRequestException" },
    { { status = 302, headers = { location = "https://evil.example" } }, "HTTP status 302" },
    { { body = "<html>" .. ACCESS }, "could not be understood" },
    { { body = "" }, "could not be understood" },
    { { body = { roleCredentials = ACCESS } }, "has no accessKeyId" },
    { { body = { accessKeyId = "a" } }, "has no accessKeyId" },
    { role { accessKeyId = "" }, "has no accessKeyId" },
    { role { secretAccessKey = false }, "has no secretAccessKey" },
    { role { sessionToken = 5 }, "has no sessionToken" },
    { role { expiration = false }, "has no expiration" },
    { role { expiration = LATE }, "has no expiration" },
    { "CertificateInvalid", "request to the SSO portal failed: no answer came" },
  }

  for number, case in ipairs(REFUSALS) do
    it(("may refuse or talk nonsense, case %d"):format(number), function()
      rig:answers(case[1])
      fetch_fails(session_provider(), case[2])
      assert.equal(1, #rig.requests)
    end)
  end

  it("is asked again when it is busy, and given up after that", function()
    rig:answers({ status = 503 }, { status = 429 }, role())
    assert(session_provider().fetch())
    local busy = { status = 429, headers = { ["x-amzn-errortype"] = "TooManyRequestsException" } }
    rig:answers(busy, busy, busy)
    fetch_fails(session_provider(), { "HTTP status 429, TooManyRequestsException", "try again later" })
    rig:answers("Timeout", "Timeout", "Timeout")
    fetch_fails(session_provider(), "request to the SSO portal failed: no answer came")
  end)

  it("is not asked again after an interrupt", function()
    rig:answers "Interrupted"
    assert_failure("Interrupted", "no answer came", session_provider().fetch())
    assert.equal(1, #rig.requests)
    function rig.runtime.sleep() return false end
    rig:answers { status = 503 }
    assert_failure("Interrupted", "interrupted.*HTTP status 503", session_provider().fetch())
    assert.equal(2, #rig.requests)
  end)

  it("is not asked when no time is left", function()
    assert_failure("CredentialsFailed", "no time was left", session_provider().fetch(rig.runtime.clock))
    assert.equal(0, #rig.requests)
  end)
end)

-- The token of a session ---------------------------------------------------------------------

describe("the token of a session", function()
  it("is refreshed when less than five minutes are left", function()
    rig:write(SESSION_FILE, token { expiresAt = "2021-12-25T13:34:59Z" })
    rig:answers(renewal(), role())
    assert(session_provider().fetch(rig.runtime.clock + 20))
    local request = rig.requests[1]
    assert.equal("POST", request.method)
    assert.equal("https://oidc.us-east-2.example/token", request.url)
    assert.equal("application/json", headers(request)["content-type"])
    assert.is_nil(headers(request).authorization)
    assert.same({ clientId = "client", clientSecret = CLIENT_SECRET, grantType = "refresh_token",
      refreshToken = REFRESH }, json.decode(request.body))
    assert.equal("ACCESS-TOKEN-2", headers(rig.requests[2])["x-amz-sso_bearer_token"])
    assert.same(token { accessToken = "ACCESS-TOKEN-2", expiresAt = LATE, refreshToken = "REFRESH-TOKEN-2" },
      rig:read(SESSION_FILE))
    assert.equal("600", token_rig.run("stat", "-c", "%a", rig.home .. SESSION_FILE):match "%d+")
  end)

  it("is left alone when five minutes are left", function()
    rig:write(SESSION_FILE, token { expiresAt = "2021-12-25T13:35:00Z" })
    rig:answers(role())
    assert(session_provider().fetch())
    assert.equal(1, #rig.requests)
  end)

  it("keeps its refresh token when the reply has none", function()
    rig:write(SESSION_FILE, token { expiresAt = EARLY })
    rig:answers(renewal { refreshToken = false }, role())
    assert(session_provider().fetch())
    assert.equal(REFRESH, rig:read(SESSION_FILE).refreshToken)
  end)

  it("is refreshed after it expired as well", function()
    rig:write(SESSION_FILE, token { expiresAt = "2020-12-25T13:34:59UTC" })
    rig:answers({ status = 503 }, renewal(), role())
    assert(session_provider().fetch())
    assert.equal(3, #rig.requests)
  end)

  it("stays in use when the refresh fails and it is still valid", function()
    local provider = session_provider()
    for _, trouble in ipairs {
      { status = 400, body = { error = "invalid_grant" } }, { body = "<html>" }, renewal { accessToken = false },
      renewal { expiresIn = false }, renewal { expiresIn = -1 }, "CertificateInvalid",
    } do
      rig:write(SESSION_FILE, token { expiresAt = token_rig.time(rig.runtime.wall + 60) })
      rig.requests = {}
      rig:answers(trouble, role { expiration = (NOW + 9000) * 1000 })
      assert(provider.fetch())
      assert.equal(2, #rig.requests)
      assert.equal(ACCESS, headers(rig.requests[2])["x-amz-sso_bearer_token"])
      rig:advance(31)
    end
  end)

  it("whose refresh was interrupted is not used, and is refreshed by the next call", function()
    rig:write(SESSION_FILE, token { expiresAt = EARLY })
    local made = session_provider()
    rig:answers "Interrupted"
    assert_failure("Interrupted", "no answer came", made.fetch())
    assert.equal(1, #rig.requests)
    rig:answers(renewal(), role())
    assert(made.fetch())
    assert.equal(3, #rig.requests)
  end)

  it("is not refreshed twice within 30 s", function()
    rig:write(SESSION_FILE, token { expiresAt = EARLY })
    local provider = session_provider()
    rig:answers({ status = 400 }, role(), role())
    assert(provider.fetch())
    rig:advance(29)
    assert(provider.fetch())
    assert.equal(3, #rig.requests)
    rig:advance(2)
    rig:answers({ status = 400 }, role())
    assert(provider.fetch())
    assert.equal(5, #rig.requests)
  end)

  local EXPIRED = token { expiresAt = "2021-12-25T13:30:00Z" } -- this very second
  local LOG_IN = "log in with: aws sso login %-%-profile dev$"

  -- Reply, what the message says.
  local REFUSALS = {
    { { status = 400, body = { error = "invalid_grant", error_description = "bad " .. REFRESH } },
      "HTTP status 400, invalid_grant%): the session has ended" },
    { { status = 401, headers = { ["x-amzn-errortype"] = "InvalidClientException" } }, "registration is not valid" },
    { { status = 403, body = REFRESH }, "HTTP status 403%)" },
    { { body = CLIENT_SECRET }, "could not be understood" },
    { renewal { accessToken = "" }, "has no accessToken" },
    { renewal { expiresIn = "28800" }, "has no expiresIn" },
    { "CertificateInvalid", "request to the SSO OIDC service failed" },
  }

  for number, case in ipairs(REFUSALS) do
    it(("cannot be used once it expired and was not refreshed, case %d"):format(number), function()
      rig:write(SESSION_FILE, EXPIRED)
      rig:answers(case[1])
      fetch_fails(session_provider(), { "expired at 2021%-12%-25T13:30:00Z and was not refreshed: ", case[2], LOG_IN })
      assert.equal(1, #rig.requests)
      assert.same(EXPIRED, rig:read(SESSION_FILE))
    end)
  end

  it("cannot be refreshed without all that it takes", function()
    for _, name in ipairs { "refreshToken", "clientId", "clientSecret", "registrationExpiresAt" } do
      for _, value in ipairs { false, "", 5 } do
        local lacking = copy(EXPIRED)
        lacking[name] = value or nil
        rig:write(SESSION_FILE, lacking)
        fetch_fails(session_provider(), { "not refreshed: its file has no " .. name, LOG_IN })
      end
    end
    for _, time in ipairs { "2021-12-25T13:30:00Z", "2021-12-25T13:30:00UTC", "2020-01-01T00:00:00Z", "never" } do
      local lacking = copy(EXPIRED)
      lacking.registrationExpiresAt = time
      rig:write(SESSION_FILE, lacking)
      fetch_fails(session_provider(), { "its registration has expired as well", LOG_IN })
    end
    assert.equal(0, #rig.requests)
  end)

  it("is used to its end when it cannot be refreshed", function()
    rig:write(SESSION_FILE, token { expiresAt = EARLY, refreshToken = false })
    rig:answers(role())
    assert(session_provider().fetch())
    assert.equal(1, #rig.requests)
  end)

  it("needs the endpoint of OIDC to be refreshed", function()
    rig:write(SESSION_FILE, EXPIRED)
    local context = rig:context(profile(), sessions(), {
      endpoint_for = function() return nil, "no endpoint for the spec" end,
    })
    fetch_fails(assert(sso.new(context)), { "no endpoint for the spec", LOG_IN })
  end)
end)

describe("the token of the old form", function()
  it("is never refreshed", function()
    rig:write(LEGACY_FILE, token { expiresAt = EARLY })
    rig:answers(role())
    local provider = assert(sso.new(rig:context(legacy_profile())))
    assert(provider.fetch())
    assert.equal(1, #rig.requests)
    rig:advance(60)
    fetch_fails(provider, { "expired at 2021%-12%-25T13:31:00Z", "only the token of an sso%-session",
      "aws sso login %-%-profile dev$" })
    assert.equal(1, #rig.requests)
  end)
end)
