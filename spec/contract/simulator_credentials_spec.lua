-- What the simulator gives temporary credentials for, and what it refuses, proven by clients that are not
-- ours: curl and openssl.
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"
local simulator = require "spec.support.simulator"

local VERSION = "Version=2011-06-15&"
local SESSION = "&RoleSessionName=session"

describe("the simulator's credentials", function()
  local missing = simulator.missing_signer()
  if missing then
    pending(missing) -- without nginx, openssl and a curl that signs there is no service to ask
    return
  end

  local sim

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  -- One request of curl with these arguments; returns the status and the body.
  local function curl(url, ...)
    local words = { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "10", "--cacert", sim.ca_bundle,
      "-w", "\n%{http_code}", url, ... }
    local body, status = command.run(words).stdout:match "^(.*)\n(%d+)$"
    return tonumber(status), body
  end

  local function assert_answer(status, words, actual, body)
    assert.equal(status, actual, body)
    assert.is_truthy(body:find(words), body)
  end

  -- Arguments of curl that sign.
  local function signed(keys, service)
    local arguments = { "--aws-sigv4", ("aws:amz:%s:%s"):format(sim.region, service), "-u",
      keys.access_key_id .. ":" .. keys.secret_access_key }
    if keys.session_token then
      arguments[5], arguments[6] = "-H", "X-Amz-Security-Token: " .. keys.session_token
    end
    return (rawget(_G, "unpack") or rawget(table, "unpack"))(arguments)
  end

  -- Whether the service takes the keys: the status of a description.
  local function describe_status(keys)
    return (curl(sim.endpoint .. "/thing-registration-tasks/none", signed(keys, "iot")))
  end

  local function assume(form, ...)
    return curl(sim.sts_endpoint .. "/", "-d", "Action=AssumeRole&" .. VERSION .. form .. SESSION, ...)
  end

  local function keys_in(xml)
    return { access_key_id = xml:match "<AccessKeyId>(.-)<", secret_access_key = xml:match "<SecretAccessKey>(.-)<",
      session_token = xml:match "<SessionToken>(.-)<" }
  end

  -- STS ----------------------------------------------------------------------------------------

  it("are given by STS to known keys, and to those that it has given", function()
    local keys = sim.credentials
    for _ = 1, 2 do
      local status, body = assume("RoleArn=" .. sim.role_arn, signed(keys, "sts"))
      assert.equal(200, status, body)
      assert.matches("<Arn>arn:aws:sts::123456789012:assumed%-role/Provisioner/session</Arn>", body)
      keys = keys_in(body)
      assert.equal(404, describe_status(keys))
    end
    keys.session_token = keys.session_token .. "x"
    assert.equal(403, describe_status(keys))
  end)

  it("are refused by STS in its own words", function()
    local role, good = "RoleArn=" .. sim.role_arn, { signed(sim.credentials, "sts") }
    local function sign() return (rawget(_G, "unpack") or rawget(table, "unpack"))(good) end
    assert_answer(403, "<Code>MissingAuthenticationToken</Code>", assume(role))
    assert_answer(403, "<Code>SignatureDoesNotMatch</Code>.-service: 'sts'",
      assume(role, signed(sim.credentials, "iot")))
    assert_answer(403, "<Code>ExpiredToken</Code>", assume(role, signed(sim.expired_credentials, "sts")))
    assert_answer(403, "<Code>InvalidClientTokenId</Code>",
      assume(role, signed({ access_key_id = "AKIDEXAMPLE", secret_access_key = "x" }, "sts")))
    assert_answer(403, "<Code>AccessDenied</Code>", assume("RoleArn=arn:aws:iam::123456789012:role/Nobody", sign()))
    assert_answer(403, "<Code>AccessDenied</Code>", assume("RoleArn=arn:aws:iam::123456789012:role/Auditor", sign()))
    assert_answer(200, "<AccessKeyId>",
      assume("ExternalId=factory%2F7&RoleArn=arn:aws:iam::123456789012:role/Auditor", sign()))
    assert_answer(400, "<Code>ValidationError</Code>.-RoleArn", assume("RoleArn=short", sign()))
    assert_answer(400, "<Code>ValidationError</Code>.-durationSeconds", assume(role .. "&DurationSeconds=60", sign()))
    assert_answer(400, "<Code>InvalidAction</Code>", curl(sim.sts_endpoint .. "/", "-d", "Action=GetIt&" .. VERSION))
    assert_answer(403, "Credential should be scoped to correct service: 'iot'",
      curl(sim.endpoint .. "/thing-registration-tasks/none", signed(sim.credentials, "sts")))
  end)

  it("are given by STS for the token of a pod", function()
    local form = "Action=AssumeRoleWithWebIdentity&" .. VERSION .. "RoleArn=" .. sim.role_arn .. SESSION
    local url = sim.sts_endpoint .. "/"
    assert_answer(400, "<Code>ValidationError</Code>", curl(url, "-d", form))
    assert_answer(400, "<Code>InvalidIdentityToken</Code>", curl(url, "-d", form .. "&WebIdentityToken=x.y.z.x"))
    local status, body = curl(url, "-d", form .. "&WebIdentityToken=" .. sim.web_identity_token)
    assert.equal(200, status, body)
    assert.equal(404, describe_status(keys_in(body)))
  end)

  -- Expiry -------------------------------------------------------------------------------------

  local function container_keys()
    local _, body = curl(sim.container_uri, "-H", "Authorization: " .. sim.container_token)
    local document = json.decode(body)
    return { access_key_id = document.AccessKeyId, secret_access_key = document.SecretAccessKey,
      session_token = document.Token }
  end

  it("expire with the clock, later in times of grace, and at once", function()
    sim:settings { credential_seconds = 100 }
    local keys = container_keys()
    sim:settings { credential_seconds = 3600 }
    local others = container_keys()
    assert.equal(404, describe_status(keys))
    sim:settings { clock = 101 }
    assert.equal(403, describe_status(keys))
    sim:settings { grace_seconds = 100 }
    assert.equal(404, describe_status(keys))
    sim:expire()
    assert.same({ 403, 403 }, { describe_status(keys), describe_status(others) })
    assert.equal(404, describe_status(container_keys()))
  end)

  -- Tokens -------------------------------------------------------------------------------------

  it("are given by the SSO portal to who has a token", function()
    local query = "?role_name=Provisioner&account_id=123456789012"
    local url = sim.sso_endpoint .. "/federation/credentials"
    local function token(text) return "x-amz-sso_bearer_token: " .. text end
    assert_answer(401, "token", curl(url .. query))
    assert_answer(401, "token", curl(url .. query, "-H", token "x"))
    assert_answer(400, "account_id", curl(url, "-H", token(sim.sso.access_token)))
    assert_answer(403, "access", curl(url .. query .. "1", "-H", token(sim.sso.access_token)))
    assert_answer(200, '"expiration":%d+000[,}]', curl(url .. query, "-H", token(sim.sso.access_token)))
  end)

  it("need a token that OIDC renews, each refresh token being good once", function()
    local function refresh(changes)
      local form = { clientId = sim.sso.client_id, clientSecret = sim.sso.client_secret, grantType = "refresh_token",
        refreshToken = sim.sso.refresh_token }
      for name, value in pairs(changes or {}) do form[name] = value end
      return curl(sim.oidc_endpoint .. "/token", "-H", "Content-Type: application/json", "-d", json.encode(form))
    end
    assert_answer(400, "invalid_client", refresh { clientSecret = "x" })
    assert_answer(400, "unsupported_grant_type", refresh { grantType = "x" })
    assert_answer(400, "invalid_grant", refresh { refreshToken = "x" })
    sim:settings { token_seconds = 60 }
    local _, body = refresh()
    local document = json.decode(body)
    assert.same({ 60, "Bearer" }, { document.expiresIn, document.tokenType })
    assert.equal(200, (refresh { refreshToken = document.refreshToken }))
    assert.equal(400, (refresh { refreshToken = document.refreshToken }))

    local url = sim.sso_endpoint .. "/federation/credentials?role_name=Provisioner&account_id=123456789012"
    local header = "x-amz-sso_bearer_token: " .. document.accessToken
    assert.equal(200, (curl(url, "-H", header)))
    sim:settings { clock = 61 }
    assert.equal(401, (curl(url, "-H", header)))
  end)

  -- A proof of possession, made by openssl --------------------------------------------------------

  local function base64url(bytes)
    local text = command.run({ "openssl", "base64", "-A" }, { input = bytes }).stdout
    return (text:gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
  end

  -- A number of a DER signature in 32 bytes, and the position behind it.
  local function der_number(der, at)
    local size = der:byte(at + 1)
    local bytes = der:sub(at + 2, at + 1 + size):gsub("^%z+", "")
    return ("\0"):rep(32 - #bytes) .. bytes, at + 2 + size
  end

  local proofs = 0

  local function proof(changes)
    changes, proofs = changes or {}, proofs + 1
    local point = files.read(sim.folder .. "/login.der"):sub(-64)
    local jwk = { kty = "EC", crv = "P-256", x = base64url(point:sub(1, 32)), y = base64url(point:sub(33)) }
    local payload = { jti = "proof " .. proofs, htm = "POST", iat = os.time(),
      htu = sim.signin_endpoint .. "/v1/token" }
    for name, value in pairs(changes) do payload[name] = value end
    local text = base64url(json.encode { typ = "dpop+jwt", alg = "ES256", jwk = jwk }) .. "."
      .. base64url(json.encode(payload))
    local key = sim.folder .. (changes.key or "/login.key")
    local der = command.run({ "openssl", "dgst", "-sha256", "-sign", key }, { input = text }).stdout
    local r, behind = der_number(der, 3)
    return text .. "." .. base64url(r .. der_number(der, behind))
  end

  local function sign_in(header, changes)
    local form = { clientId = sim.login.client_id, grantType = "refresh_token", refreshToken = sim.login.refresh_token }
    for name, value in pairs(changes or {}) do form[name] = value end
    return curl(sim.signin_endpoint .. "/v1/token", "-H", "DPoP: " .. header, "-d", json.encode(form))
  end

  it("are given by the sign-in service to who has the session's key", function()
    local header = proof()
    assert_answer(200, '"tokenType":"aws_sigv4"', sign_in(header))
    assert_answer(400, "used before", sign_in(header))
    assert_answer(400, "no JWT", sign_in "x.y")
    assert_answer(400, "signature", sign_in(proof { key = "/device.key" }))
    assert_answer(400, "signature", sign_in((proof():gsub("%.[^.]*%.", "." .. base64url "{}" .. "."))))
    assert_answer(400, "another request", sign_in(proof { htu = sim.signin_endpoint .. "/token" }))
    assert_answer(400, "another request", sign_in(proof { htm = "GET" }))
    assert_answer(400, "another time", sign_in(proof { iat = os.time() - 1000 }))
    assert_answer(400, "TOKEN_EXPIRED", sign_in(proof(), { refreshToken = "x" }))
  end)

  -- Machines -----------------------------------------------------------------------------------

  it("are given by an instance's metadata service for a token of the session", function()
    local roles = sim.imds_endpoint .. "/latest/meta-data/iam/security-credentials/"
    local token_url = sim.imds_endpoint .. "/latest/api/token"
    local function token(ttl) return "x-aws-ec2-metadata-token-ttl-seconds: " .. ttl end
    assert.equal(401, (curl(roles)))
    assert.equal(400, (curl(token_url, "-X", "PUT")))
    assert.equal(400, (curl(token_url, "-X", "PUT", "-H", token "99999")))
    local status, body = curl(token_url, "-X", "PUT", "-H", token "60")
    assert.equal(200, status)
    local header = "x-aws-ec2-metadata-token: " .. body
    assert_answer(200, "^gateway%-role$", curl(roles, "-H", header))
    assert_answer(200, '"Code":"Success"', curl(roles .. "gateway-role", "-H", header))
    assert_answer(404, "Not Found", curl(roles .. "another", "-H", header))
    assert_answer(200, "^us%-east%-1$", curl(sim.imds_endpoint .. "/latest/meta-data/placement/region", "-H", header))
    sim:settings { imds_role = "" }
    assert.equal(404, (curl(roles, "-H", header)))
    sim:settings { clock = 61 }
    assert.equal(401, (curl(roles, "-H", header)))
  end)

  it("are given to a container for its token", function()
    assert_answer(400, "InvalidIdToken", curl(sim.container_uri))
    assert_answer(400, "InvalidIdToken", curl(sim.container_uri, "-H", "Authorization: x"))
    assert.equal(404, describe_status(container_keys()))
  end)

  it("are given to a device for its certificate", function()
    local device = sim.device
    local path = "/role-aliases/" .. device.role_alias .. "/credentials"
    local function get(url, ...) return curl(url, "--cert", device.certificate, "--key", device.key, ...) end
    assert_answer(200, '"credentials":', get(device.endpoint .. path))
    assert_answer(200, '"credentials":', get(device.endpoint .. path, "-H", "x-amzn-iot-thingname: gateway-7"))
    assert_answer(403, "thing", get(device.endpoint .. path, "-H", "x-amzn-iot-thingname: gateway-8"))
    assert_answer(404, "alias", get(device.endpoint .. "/role-aliases/other/credentials"))
    assert_answer(403, "certificate", curl(device.endpoint .. path))
    assert_answer(403, "certificate", get(sim.endpoint .. path))
  end)

  it("are in the journal, and faults can be aimed at them", function()
    sim:fault { { kind = "reply", status = 418, operation = "imds", times = 2 },
      { kind = "reply", status = 419, operation = "container" } }
    local imds = sim.imds_endpoint .. "/latest/"
    assert.equal(401, (curl(sim.sso_endpoint .. "/federation/credentials")))
    assert.equal(418, (curl(imds .. "api/token", "-X", "PUT")))
    assert.equal(419, (curl(sim.container_uri)))
    assert.equal(418, (curl(imds .. "meta-data/placement/region")))
    assert.equal(401, (curl(imds .. "meta-data/placement/region")))
    local names = {}
    for index, entry in ipairs(sim:journal()) do names[index] = entry.operation end
    assert.same({ "sso", "imds.token", "container", "imds.region", "imds.region" }, names)
  end)
end)
