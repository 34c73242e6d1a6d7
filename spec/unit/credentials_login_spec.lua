-- Credentials of `aws login` (reference 7.7).
local login = require "iot.credentials.login"
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"
local token_rig = require "spec.support.token_rig"

local NOW, run, headers, assert_failure = token_rig.NOW, token_rig.run, token_rig.headers, token_rig.assert_failure

-- Reference 7.7.
local SESSION = "arn:aws:sts::012345678910:assumed-role/Admin/admin"
local NAME = "4b0ba8f99f075c0633e122fd73346ce203a3faf18ea0310eb2d29df1bab2e255.json"
local FILE = "/.aws/login/cache/" .. NAME

local EARLY = "2021-12-25T13:31:00Z" -- a minute from now
local LOG_IN = "log in with: aws login %-%-profile dev$"
local SECRETS = { "SESSION%-SECRET", "SESSION%-TOKEN", "REFRESH%-TOKEN", "ID%-TOKEN", "PRIVATE KEY" }

-- A new key each time the specs run, as `aws login` writes it: SEC1, PEM.
local function new_key(curve)
  return run("openssl", "ecparam", "-name", curve, "-genkey", "-noout")
end

local KEY = new_key "prime256v1"

local rig
before_each(function() rig = token_rig.new() end)
after_each(function() rig:remove() end)

-- Helpers ------------------------------------------------------------------------------------

local function with(all, extra)
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return all
end

local function access(extra)
  return with({
    accessKeyId = "AKID-1", secretAccessKey = "SESSION-SECRET-1", sessionToken = "SESSION-TOKEN-1",
    accountId = "012345678910", expiresAt = "2021-12-25T13:40:00Z", unknown = "kept",
  }, extra)
end

local function token(extra)
  return with({
    accessToken = access(), tokenType = "aws_sigv4", refreshToken = "REFRESH-TOKEN-1", idToken = "ID-TOKEN-1",
    clientId = "arn:aws:signin:::devtools/same-device", dpopKey = KEY, unknown = { kept = { "one", 2 } },
  }, extra)
end

local function expiring(time, extra)
  return token(with({ accessToken = access { expiresAt = time } }, extra))
end

local function renewal(extra)
  return { body = with({
    accessToken = { accessKeyId = "AKID-2", secretAccessKey = "SESSION-SECRET-2", sessionToken = "SESSION-TOKEN-2" },
    tokenType = "aws_sigv4", expiresIn = 900, refreshToken = "REFRESH-TOKEN-2",
  }, extra) }
end

local function provider(extra)
  return assert(login.new(rig:context({ login_session = SESSION }, nil, extra)))
end

local function fetch_fails(patterns, made)
  local message = assert_failure("CredentialsFailed", patterns, (made or provider()).fetch(rig.runtime.clock + 20))
  for _, secret in ipairs(SECRETS) do assert.is_nil(message:find(secret), message) end
  return message
end

-- Configuration ------------------------------------------------------------------------------

describe("a login profile", function()
  it("makes a provider, without any I/O", function()
    local made = provider()
    assert.equal("login", made.name)
    assert.equal("AC,AD", made.feature)
    assert.equal(0, #rig.requests)
  end)

  it("is none without a session", function()
    assert_failure("NoCredentials", "no profile", login.new(rig:context(nil)))
    for _, profile in ipairs { {}, { login_session = "" }, { login_session = " \t" } } do
      assert_failure("NoCredentials", "the profile dev has no login_session", login.new(rig:context(profile)))
    end
  end)

  it("needs a folder", function()
    rig.variables.HOME = nil
    assert_failure("InvalidConfiguration", "set HOME or AWS_LOGIN_CACHE_DIRECTORY",
      login.new(rig:context { login_session = SESSION }))
  end)
end)

-- The file -----------------------------------------------------------------------------------

describe("the file of a login", function()
  it("has the credentials", function()
    rig:write(FILE, token())
    assert.same({
      access_key_id = "AKID-1", secret_access_key = "SESSION-SECRET-1", session_token = "SESSION-TOKEN-1",
      expiration = NOW + 600, account_id = "012345678910",
    }, provider().fetch())
    assert.equal(0, #rig.requests)
  end)

  it("is found for a session with spaces around it", function()
    rig:write(FILE, token())
    assert(assert(login.new(rig:context { login_session = "  " .. SESSION .. "\t" })).fetch())
  end)

  it("may be in another folder", function()
    rig:write("/elsewhere/" .. NAME, token())
    for _, folder in ipairs { rig.home .. "/elsewhere", "~/elsewhere" } do
      rig.variables.AWS_LOGIN_CACHE_DIRECTORY = folder
      assert(provider().fetch())
    end
  end)

  it("may end in either suffix, and have no account", function()
    rig:write(FILE, token { accessToken = access { expiresAt = "2021-12-25T13:40:00UTC", accountId = false } })
    local record = assert(provider().fetch())
    assert.equal(NOW + 600, record.expiration)
    assert.is_nil(record.account_id)
  end)

  it("must be there", function()
    local message = fetch_fails { "there is no login token", "does not exist; " .. LOG_IN }
    assert.is_truthy(message:find(rig.home .. FILE, 1, true), message)
  end)

  it("must be complete", function()
    for _, value in ipairs { false, "", 5, {} } do
      for _, name in ipairs { "refreshToken", "clientId", "dpopKey" } do
        rig:write(FILE, token { [name] = value })
        fetch_fails { "has no " .. name, LOG_IN }
      end
      for _, name in ipairs { "accessKeyId", "secretAccessKey", "sessionToken" } do
        rig:write(FILE, token { accessToken = access { [name] = value } })
        fetch_fails { "has no accessToken%." .. name, LOG_IN }
      end
    end
    for _, value in ipairs { false, "SESSION-TOKEN-1", 5 } do
      rig:write(FILE, token { accessToken = value })
      fetch_fails { "has no accessToken", LOG_IN }
    end
    rig:write(FILE, expiring(false))
    fetch_fails { "has no accessToken%.expiresAt", LOG_IN }
    for _, value in ipairs { "soon", "", NOW, {} } do
      rig:write(FILE, expiring(value))
      fetch_fails { "an accessToken%.expiresAt that is no time", LOG_IN }
    end
    assert.equal(0, #rig.requests)
  end)

  it("must be readable", function()
    rig:write(FILE, "SESSION-TOKEN-1")
    fetch_fails { "no JSON object", LOG_IN }
    rig:write(FILE, ('{"refreshToken":"%s"}'):format(("REFRESH-TOKEN"):rep(30000)))
    fetch_fails { "larger than 262144 bytes", LOG_IN }
    run("rm", rig.home .. FILE)
    run("mkdir", rig.home .. FILE)
    fetch_fails { "Is a directory", LOG_IN }
    run("rm", "-r", rig.home .. "/.aws")
    rig:write("/.aws", "")
    fetch_fails { "Not a directory", LOG_IN }
  end)
end)

-- The proof ----------------------------------------------------------------------------------

local function decode(text)
  local padded = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" }) .. ("="):rep(-#text % 4)
  local result = command.run({ "openssl", "base64", "-d", "-A" }, { input = padded })
  assert.equal(0, result.code, result.stderr)
  return result.stdout
end

-- An integer of ASN.1: the shortest form, a zero before a first bit that is set.
local function integer(bytes)
  bytes = bytes:gsub("^%z+", "")
  if bytes == "" or bytes:byte() >= 128 then bytes = "\0" .. bytes end
  return "\2" .. string.char(#bytes) .. bytes
end

-- Whether openssl accepts the signature r || s of a text by the public key x, y.
local function verifies(x, y, text, signature)
  assert.equal(64, #signature)
  local prefix = "3059301306072a8648ce3d020106082a8648ce3d030107034200" .. "04"
  local key = prefix:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end) .. x .. y
  local parts = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
  local folder = rig.home .. "/verify"
  run("mkdir", "-p", folder)
  files.write(folder .. "/key.der", key)
  files.write(folder .. "/signature.der", "\48" .. string.char(#parts) .. parts)
  files.write(folder .. "/text", text)
  return command.run({ "openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", folder .. "/key.der",
    "-signature", folder .. "/signature.der", folder .. "/text" }).code == 0
end

-- The parts of a proof: header, payload, signature, and the text that it signs.
local function parts_of(proof)
  local header, payload, signature = proof:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
  assert.is_string(header, proof)
  return json.decode(decode(header)), json.decode(decode(payload)), decode(signature), header .. "." .. payload
end

describe("the proof of possession", function()
  local function proofs(count)
    local found = {}
    for _ = 1, count do
      rig:write(FILE, expiring(EARLY))
      rig:answers(renewal())
      assert(provider().fetch())
      found[#found + 1] = headers(rig.requests[#rig.requests]).dpop
    end
    return found
  end

  it("says for what request it is, and by whose key", function()
    rig:advance(0.75)
    local header, payload = parts_of(proofs(1)[1])
    local public = run("openssl", "ec", "-in", rig:write("/key", KEY), "-noout", "-text")
    local point = public:match "pub:%s*([%x:%s]-)%s*ASN1":gsub("[^%x]", "")
    local function hex(text) return (decode(text):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) end
    assert.equal(point, "04" .. hex(header.jwk.x) .. hex(header.jwk.y))
    header.jwk.x, header.jwk.y = nil, nil
    assert.same({ typ = "dpop+jwt", alg = "ES256", jwk = { kty = "EC", crv = "P-256" } }, header)
    assert.is_truthy(payload.jti:find "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$")
    payload.jti = nil
    assert.same({ htm = "POST", htu = "https://signin.eu-west-3.example/v1/token", iat = NOW }, payload)
  end)

  it("is signed so that openssl agrees, each time", function()
    local ids = {}
    for _, proof in ipairs(proofs(8)) do
      local header, payload, signature, text = parts_of(proof)
      local x, y = decode(header.jwk.x), decode(header.jwk.y)
      assert.is_true(verifies(x, y, text, signature))
      assert.is_false(verifies(x, y, text .. "A", signature))
      assert.is_nil(ids[payload.jti])
      ids[payload.jti] = true
    end
  end)

  it("is made anew when the request is sent again", function()
    rig:write(FILE, expiring(EARLY))
    rig:answers({ status = 500, body = { error = "server_error" } }, renewal())
    assert(provider().fetch())
    local _, first = parts_of(headers(rig.requests[1]).dpop)
    local _, second = parts_of(headers(rig.requests[2]).dpop)
    assert.not_equal(first.jti, second.jti)
  end)

  it("needs a key of the right kind", function()
    for _, key in ipairs { new_key "secp384r1", "REFRESH-TOKEN", run("openssl", "genrsa", "1024") } do
      rig:write(FILE, expiring(EARLY, { dpopKey = key }))
      assert.equal("AKID-1", assert(provider().fetch()).access_key_id)
      rig:write(FILE, expiring("2021-12-25T13:29:00Z", { dpopKey = key }))
      fetch_fails { "not refreshed: the dpopKey in its file is no P%-256 key", LOG_IN }
    end
    assert.equal(0, #rig.requests)
  end)
end)

-- Refresh ------------------------------------------------------------------------------------

describe("the token of a login", function()
  it("is refreshed when less than five minutes are left, and written back", function()
    local path = rig:write(FILE, expiring "2021-12-25T13:34:59Z")
    rig:answers(renewal())
    local made = provider()
    local expected = {
      access_key_id = "AKID-2", secret_access_key = "SESSION-SECRET-2", session_token = "SESSION-TOKEN-2",
      expiration = NOW + 900, account_id = "012345678910",
    }
    assert.same(expected, made.fetch(rig.runtime.clock + 20))
    local request = rig.requests[1]
    assert.equal("POST", request.method)
    assert.equal("https://signin.eu-west-3.example/v1/token", request.url)
    assert.equal("application/json", headers(request)["content-type"])
    assert.is_nil(headers(request).authorization)
    assert.same({ clientId = "arn:aws:signin:::devtools/same-device", grantType = "refresh_token",
      refreshToken = "REFRESH-TOKEN-1" }, json.decode(request.body))
    assert.same(token {
      accessToken = access {
        accessKeyId = "AKID-2", secretAccessKey = "SESSION-SECRET-2", sessionToken = "SESSION-TOKEN-2",
        expiresAt = "2021-12-25T13:45:00Z",
      },
      refreshToken = "REFRESH-TOKEN-2",
    }, rig:read(FILE))
    assert.equal("600", run("stat", "-c", "%a", path):match "%d+")
    assert.equal(NAME, run("ls", "-A", (path:match "^(.*)/")):match "%S+")
    assert.same(expected, made.fetch())
    assert.equal(1, #rig.requests)
  end)

  it("takes over what else the reply has, and keeps what it has not", function()
    rig:write(FILE, expiring(EARLY))
    rig:answers(renewal { idToken = "ID-TOKEN-2", tokenType = "other", refreshToken = false })
    assert(provider().fetch())
    local written = rig:read(FILE)
    assert.equal("ID-TOKEN-2", written.idToken)
    assert.equal("other", written.tokenType)
    assert.equal("REFRESH-TOKEN-1", written.refreshToken)
  end)

  it("is left alone when five minutes are left", function()
    rig:write(FILE, expiring "2021-12-25T13:35:00Z")
    assert(provider().fetch())
    assert.equal(0, #rig.requests)
  end)

  it("is read again before it is refreshed", function()
    rig:write(FILE, expiring "2021-12-25T13:36:00Z")
    local made = provider()
    assert(made.fetch())
    rig:advance(120)
    rig:write(FILE, expiring "2021-12-25T13:45:00Z")
    assert.equal(NOW + 900, assert(made.fetch()).expiration)
    assert.equal(0, #rig.requests)
  end)

  it("is read again after a refresh that failed, for someone else may have spent it", function()
    rig:write(FILE, expiring "2021-12-25T13:29:00Z")
    rig:answers(function()
      rig:write(FILE, expiring "2021-12-25T13:44:00Z")
      return { status = 400, body = { error = "TOKEN_EXPIRED" } }
    end)
    assert.equal(NOW + 840, assert(provider().fetch()).expiration)
  end)

  it("stays in use when the refresh fails and it is still valid", function()
    local made = provider()
    for _, trouble in ipairs {
      { status = 400, body = { error = "TOKEN_EXPIRED" } }, { body = "<html>" }, renewal { accessToken = false },
      renewal { expiresIn = false }, "CertificateInvalid",
    } do
      rig:write(FILE, expiring(token_rig.time(rig.runtime.wall + 60)))
      rig.requests = {}
      rig:answers(trouble)
      assert.equal("AKID-1", assert(made.fetch()).access_key_id)
      assert.equal("AKID-1", assert(made.fetch()).access_key_id)
      assert.equal(1, #rig.requests)
      rig:advance(31)
    end
  end)

  it("stays in use, refreshed, when the file cannot be written", function()
    rig:write(FILE, expiring(EARLY))
    local folder = rig.home .. "/.aws/login/cache"
    rig:answers(function() -- the specs may run as root, whom no mode keeps from writing
      run("mv", folder, folder .. ".away")
      files.write(folder, "")
      return renewal()
    end)
    local made = provider()
    assert.equal("AKID-2", assert(made.fetch()).access_key_id)
    os.remove(folder)
    run("mv", folder .. ".away", folder)
    rig:advance(90)
    assert.equal("AKID-2", assert(made.fetch()).access_key_id)
  end)

  -- Reply, what the message says.
  local REFUSALS = {
    { { status = 401, body = { error = "TOKEN_EXPIRED", message = "REFRESH-TOKEN-1" } }, "the session has ended" },
    { { status = 401, body = { error = "AUTHCODE_EXPIRED" } }, "the session has ended" },
    { { status = 403, body = { error = "USER_CREDENTIALS_CHANGED" } }, "user's credentials have changed" },
    { { status = 403, body = { error = "INSUFFICIENT_PERMISSIONS" } }, "signin:CreateOAuth2Token" },
    { { status = 400, body = { error = "INVALID_REQUEST" } }, "HTTP status 400, INVALID_REQUEST" },
    { { status = 403, headers = { ["x-amzn-errortype"] = "AccessDeniedException" } }, "AccessDeniedException" },
    { { status = 403, body = "<html>REFRESH-TOKEN-1" }, "HTTP status 403%)" },
    { { body = "SESSION-TOKEN" }, "could not be understood" },
    { renewal { accessToken = "SESSION-TOKEN" }, "has no accessToken%.accessKeyId" },
    { renewal { accessToken = { accessKeyId = "a" } }, "has no accessToken%.secretAccessKey" },
    { renewal { expiresIn = "900" }, "has no expiresIn" },
    { renewal { expiresIn = 0 }, "has no expiresIn" },
    { "CertificateInvalid", "request to the sign%-in service failed: no answer came" },
  }

  for number, case in ipairs(REFUSALS) do
    it(("cannot be used once it expired and was not refreshed, case %d"):format(number), function()
      local expired = expiring "2021-12-25T13:30:00Z" -- this very second
      rig:write(FILE, expired)
      rig:answers(case[1])
      fetch_fails { "login token in .* expired at 2021%-12%-25T13:30:00Z and was not refreshed: ", case[2], LOG_IN }
      assert.equal(1, #rig.requests)
      assert.same(expired, rig:read(FILE))
    end)
  end

  it("is not used when its refresh was interrupted, and is refreshed by the next call", function()
    rig:write(FILE, expiring(EARLY))
    local made = provider()
    rig:answers "Interrupted"
    assert_failure("Interrupted", "no answer came", made.fetch())
    assert.equal(1, #rig.requests)
    rig:answers(renewal())
    assert.equal("AKID-2", assert(made.fetch()).access_key_id)
  end)

  it("is tried three times when the service fails", function()
    rig:write(FILE, expiring "2021-12-25T13:29:00Z")
    local trouble = { status = 500, body = { error = "server_error" } }
    rig:answers(trouble, trouble, trouble)
    fetch_fails { "HTTP status 500, server_error%): it failed; try again later", LOG_IN }
    assert.equal(3, #rig.requests)
  end)

  it("needs an endpoint to be refreshed, and one may have a base path", function()
    rig:write(FILE, expiring "2021-12-25T13:29:00Z")
    fetch_fails({ "no region is known", LOG_IN }, provider {
      endpoint_for = function() return nil, "no region is known" end,
    })
    rig:answers(renewal())
    assert(provider { endpoint_for = function() return "http://localhost:4566/base/" end }.fetch())
    assert.equal("http://localhost:4566/base/v1/token", rig.requests[1].url)
    local _, payload = parts_of(headers(rig.requests[1]).dpop)
    assert.equal("http://localhost:4566/base/v1/token", payload.htu)
  end)
end)
