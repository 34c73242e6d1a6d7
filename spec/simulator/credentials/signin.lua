-- The sign-in service: new credentials for the refresh token of a session of `aws login`, to who proves
-- to have the session's key (reference 7.7, RFC 9449).

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local cjson = require "cjson.safe"
local es256 = require "simulator.es256"
local keys = require "simulator.keys"
local settings = require "simulator.settings"

local session = accounts.login

local MAX_SECONDS = 900
local PROOF_SECONDS = 300

local function decode_part(text)
  if text:find("[^%w_-]") then
    return nil
  end
  local base64 = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
  return ngx.decode_base64(base64 .. ("="):rep(-#base64 % 4))
end

local function decode_object(text)
  local object = cjson.decode(decode_part(text) or "")
  return type(object) == "table" and object or {}
end

-- The session's public key: x and y, the end of a SubjectPublicKeyInfo.
local function session_key()
  local file = assert(io.open(ngx.config.prefix() .. "login.der", "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes:sub(-64)
end

-- What is wrong with the proof, or nil.
local function problem(call)
  local first, second, third = (call.request:header("dpop") or ""):match("^([^.]+)%.([^.]+)%.([^.]+)$")
  if not first then
    return "it is no JWT"
  end
  local header, payload = decode_object(first), decode_object(second)
  local jwk = header.jwk or {}
  if header.typ ~= "dpop+jwt" or header.alg ~= "ES256" or jwk.kty ~= "EC" or jwk.crv ~= "P-256" then
    return "its header is wrong"
  end
  local point = (decode_part(jwk.x or "") or "") .. (decode_part(jwk.y or "") or "")
  if point ~= session_key() then
    return "its key is not the session's"
  elseif not es256.verify(point, first .. "." .. second, decode_part(third) or "") then
    return "its signature is wrong"
  elseif payload.htm ~= call.request.method or payload.htu ~= call.request:url() then
    return "it is for another request"
  elseif type(payload.iat) ~= "number" or math.abs(payload.iat - call.now) > PROOF_SECONDS then
    return "it is of another time"
  elseif type(payload.jti) ~= "string" or not keys.is_new("proof", payload.jti) then
    return "it was used before"
  end
end

local function refuse(word, message)
  return answers.document(400, { error = word, message = message }, "ValidationException")
end

local function refresh(call)
  local input = cjson.decode(call.request.body)
  local wrong = problem(call)
  if wrong then
    return refuse("INVALID_REQUEST", "The DPoP proof is not accepted: " .. wrong)
  elseif type(input) ~= "table" or input.grantType ~= "refresh_token" or input.clientId ~= session.client_id then
    return refuse("INVALID_REQUEST", "The request is not valid")
  elseif input.refreshToken ~= session.refresh_token
    and not keys.spend_token("loginrefresh", input.refreshToken, call.now) then
    return refuse("TOKEN_EXPIRED", "The refresh token has expired")
  end
  local seconds = math.min(settings.get("credential_seconds"), MAX_SECONDS)
  local key = keys.issue(call.now, seconds)
  return answers.success {
    accessToken = {
      accessKeyId = key.access_key_id,
      secretAccessKey = key.secret_access_key,
      sessionToken = key.session_token,
    },
    tokenType = "aws_sigv4",
    expiresIn = seconds,
    refreshToken = keys.issue_token("loginrefresh", "eyJ", call.now + 12 * 3600),
  }
end

return {
  { name = "signin", method = "POST", path = "/v1/token", answer = refresh },
}
