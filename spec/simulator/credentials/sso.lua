-- IAM Identity Center: the portal, which gives credentials of a role for a token, and OIDC, which gives
-- a new token for a refresh token (reference 7.6).

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local cjson = require "cjson.safe"
local keys = require "simulator.keys"
local settings = require "simulator.settings"
local uri = require "simulator.uri"

local session = accounts.sso

local function arguments_of(query)
  local arguments = {}
  for name, value in query:gmatch("([^&=]*)=([^&]*)") do
    arguments[uri.decode(name)] = uri.decode(value)
  end
  return arguments
end

local function role_credentials(call)
  local token = call.request:header("x-amz-sso_bearer_token")
  if token ~= session.access_token and not keys.knows_token("sso", token, call.now) then
    return answers.refusal("UnauthorizedException", "Session token not found or invalid")
  end
  local arguments = arguments_of(call.request.query)
  if not arguments.account_id or not arguments.role_name then
    return answers.refusal("InvalidRequestException", "account_id and role_name are required")
  elseif arguments.account_id ~= session.account_id or arguments.role_name ~= session.role_name then
    return answers.refusal("ForbiddenException", "No access")
  end
  local key = keys.issue(call.now)
  return answers.success {
    roleCredentials = {
      accessKeyId = key.access_key_id,
      secretAccessKey = key.secret_access_key,
      sessionToken = key.session_token,
      expiration = key.expires_at * 1000,
    },
  }
end

local function refuse(code, word, description)
  return answers.document(400, { error = word, error_description = description }, code)
end

local function refresh(call)
  local input = cjson.decode(call.request.body)
  if type(input) ~= "table" or input.grantType ~= "refresh_token" then
    return refuse("UnsupportedGrantTypeException", "unsupported_grant_type", "Unsupported grant type")
  elseif input.clientId ~= session.client_id or input.clientSecret ~= session.client_secret then
    return refuse("InvalidClientException", "invalid_client", "Invalid client provided")
  elseif input.refreshToken ~= session.refresh_token
    and not keys.spend_token("ssorefresh", input.refreshToken, call.now) then
    return refuse("InvalidGrantException", "invalid_grant", "Invalid refresh token provided")
  end
  local seconds = settings.get("token_seconds")
  return answers.success {
    accessToken = keys.issue_token("sso", "aoaAAAAAG", call.now + seconds),
    refreshToken = keys.issue_token("ssorefresh", "aorAAAAAG", call.now + 90 * 86400),
    tokenType = "Bearer",
    expiresIn = seconds,
  }
end

return {
  { name = "sso", method = "GET", path = "/federation/credentials", answer = role_credentials },
  { name = "oidc", method = "POST", path = "/token", answer = refresh },
}
