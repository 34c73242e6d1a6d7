---Credentials that `aws login` left, for as long as its session can be refreshed (reference 7.7).
local excerpt = require "iot.excerpt"
local base64url = require "iot.credentials.base64url"
local core = require "iot.core"
local exchange = require "iot.credentials.exchange"
local token_cache = require "iot.credentials.token_cache"

local login = {}

local server = "the sign-in service"

local meanings = {
  TOKEN_EXPIRED = "the session has ended",
  AUTHCODE_EXPIRED = "the session has ended",
  USER_CREDENTIALS_CHANGED = "the user's credentials have changed",
  INSUFFICIENT_PERMISSIONS = "the user lacks the permission signin:CreateOAuth2Token",
  INVALID_REQUEST = "it did not accept the request",
  server_error = "it failed; try again later",
}

-- The file -------------------------------------------------------------------------------------

local key_names = { "accessKeyId", "secretAccessKey", "sessionToken" }

local function parse(document)
  local access = document.accessToken
  if type(access) ~= "table" then return nil, "has no accessToken" end
  local _, missing = token_cache.strings(access, key_names)
  if missing then return nil, "has no accessToken." .. missing end
  local _, absent = token_cache.strings(document, { "refreshToken", "clientId", "dpopKey" })
  if absent then return nil, "has no " .. absent end
  local expires = token_cache.parse_time(access.expiresAt)
  if not expires then
    return nil, access.expiresAt and "has an accessToken.expiresAt that is no time" or "has no accessToken.expiresAt"
  end
  return { expires = expires, document = document }
end

local function record_of(token)
  local access = token.document.accessToken
  return {
    access_key_id = access.accessKeyId,
    secret_access_key = access.secretAccessKey,
    session_token = access.sessionToken,
    expiration = token.expires,
    account_id = type(access.accountId) == "string" and access.accountId or nil,
  }
end

-- Refresh --------------------------------------------------------------------------------------

---A proof of possession of the session's key, good for one request (RFC 9449).
---@return string? proof
---@return string? message
local function prove(key, url, now)
  local x, y = core.es256_public(key)
  if not x then return nil, "the dpopKey in its file is no P-256 key" end
  local id, message = core.uuid()
  if not id then return nil, message end
  local header, payload
  header, message = core.encode_json {
    typ = "dpop+jwt", alg = "ES256",
    jwk = { kty = "EC", crv = "P-256", x = base64url.encode(x), y = base64url.encode(y) },
  }
  if not header then return nil, message end
  payload, message = core.encode_json { jti = id, htm = "POST", htu = url, iat = math.floor(now) }
  if not payload then return nil, message end
  local signed = base64url.encode(header) .. "." .. base64url.encode(payload)
  local signature
  signature, message = core.es256_sign(key, signed)
  return signature and signed .. "." .. base64url.encode(signature), message
end

-- The file's new content.
local function merge(document, reply, now)
  local expires = token_cache.end_of(now, reply.expiresIn)
  local keys, missing = token_cache.strings(reply.accessToken, key_names)
  if not keys then return nil, ("the reply of %s has no accessToken.%s"):format(server, missing) end
  if not expires then return nil, ("the reply of %s has no expiresIn"):format(server) end
  keys.expiresAt = token_cache.format_time(expires)
  local changes = { accessToken = token_cache.merge(document.accessToken, keys) }
  for _, name in ipairs { "refreshToken", "idToken", "tokenType" } do
    changes[name] = (token_cache.strings(reply, { name }) or document)[name]
  end
  return token_cache.merge(document, changes)
end

local function refresh(context, policy, token, deadline)
  local document, runtime = token.document, context.runtime
  local base, reason = context.endpoint_for("signin")
  if not base then return nil, reason end
  local url = base:gsub("/$", "") .. "/v1/token"
  local body
  body, reason = core.encode_json {
    clientId = document.clientId, grantType = "refresh_token", refreshToken = document.refreshToken,
  }
  if not body then return nil, reason end
  local response, message, code = token_cache.send(context, server, function()
    local proof, why = prove(document.dpopKey, url, runtime.now())
    if not proof then return nil, why end
    local headers = { { "Content-Type", "application/json" }, { "DPoP", proof } }
    return { method = "POST", url = url, headers = headers, body = body }
  end, deadline, policy)
  if not response then return nil, message, code end
  local reply
  reply, message = token_cache.decode(server, response, meanings)
  if not reply then return nil, message end
  return merge(document, reply, runtime.now())
end

-- The provider ---------------------------------------------------------------------------------

---@param context table
---@return iot.Provider? provider
---@return string? message
---@return string? code
function login.new(context)
  local profile = context.profile
  if not profile then return nil, "there is no profile", "NoCredentials" end
  local name = context.profiles.name
  local session = excerpt.trim(profile.login_session or "")
  if session == "" then return nil, ("the profile %s has no login_session"):format(name), "NoCredentials" end
  local folder, message = token_cache.folder("/.aws/login/cache", "AWS_LOGIN_CACHE_DIRECTORY")
  if not folder then return nil, message, "InvalidConfiguration" end
  local hash
  hash, message = core.sha256(session)
  if not hash then return nil, message, "InvalidConfiguration" end
  local policy = exchange.policy(context.runtime)
  local tokens = token_cache.new {
    runtime = context.runtime,
    path = ("%s/%s.json"):format(folder, hash),
    name = "login token",
    advice = "log in with: aws login --profile " .. name,
    parse = parse,
    refreshable = function() return true end,
    refresh = function(token, deadline) return refresh(context, policy, token, deadline) end,
  }

  local function fetch(deadline)
    local token, reason, code = tokens:get(token_cache.deadline(context.runtime, deadline))
    if not token then return nil, reason, exchange.code_of(code) end
    return record_of(token)
  end
  return { name = "login", feature = "AC,AD", fetch = fetch }
end

return login
