---Credentials of a role of IAM Identity Center, for a token that `aws sso login` left (reference 7.6).
local core = require "iot.core"
local endpoint = require "iot.endpoint"
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local token_cache = require "iot.credentials.token_cache"

local sso = {}

local portal, oidc = "the SSO portal", "the SSO OIDC service"

local refresh_meanings = {
  invalid_grant = "the session has ended",
  InvalidGrantException = "the session has ended",
  invalid_client = "the registration is not valid any more",
  InvalidClientException = "the registration is not valid any more",
  expired_token = "the session has ended",
  ExpiredTokenException = "the session has ended",
}

local role_meanings = {
  UnauthorizedException = "the token is not valid any more",
  ForbiddenException = "the user has no such role there; see sso_account_id and sso_role_name of the profile",
  ResourceNotFoundException = "there is no such account or role; see sso_account_id and sso_role_name of the profile",
  InvalidRequestException = "see sso_account_id and sso_role_name of the profile",
  TooManyRequestsException = "too many requests; try again later",
}

-- Configuration --------------------------------------------------------------------------------

local function value_of(section, name)
  local value = section[name]
  return value ~= "" and value or nil
end

local function wrong(...)
  return nil, table.concat { ... }, "InvalidProfile"
end

-- The section that has the region and the start URL. A profile may repeat them for older programs, as
-- long as both agree.
local function session_section(context, profile, name, session_name)
  local section = context.profiles.sso_sessions[session_name]
  session_name = excerpt.line(session_name, 100)
  if not section then
    return wrong("the profile ", name, " names the sso-session ", session_name, ", but ",
      context.profiles.config_path or "the config file", " has no section [sso-session ", session_name, "]")
  end
  for _, key in ipairs { "sso_region", "sso_start_url" } do
    local own = value_of(profile, key)
    if own and own ~= value_of(section, key) then
      return wrong("the profile ", name, " and its sso-session ", session_name, " differ in ", key,
        "; remove it from the profile")
    end
  end
  return section
end

---@return table? settings
---@return string? message
---@return string? code
local function resolve(context)
  local profile = context.profile
  if not profile then return nil, "there is no profile", "NoCredentials" end
  local name = context.profiles.name
  local account_id, role_name = value_of(profile, "sso_account_id"), value_of(profile, "sso_role_name")
  if not account_id and not role_name then
    return nil, ("the profile %s has no sso_account_id and no sso_role_name"):format(name), "NoCredentials"
  elseif not account_id or not role_name then
    return wrong("the profile ", name, " has ", account_id and "sso_account_id, but no sso_role_name"
      or "sso_role_name, but no sso_account_id")
  end
  local session = value_of(profile, "sso_session")
  local section, where = profile, "the profile " .. name
  if session then
    local message, code
    section, message, code = session_section(context, profile, name, session)
    if not section then return nil, message, code end
    where = "the sso-session " .. excerpt.line(session, 100)
  end
  local region, start_url = value_of(section, "sso_region"), value_of(section, "sso_start_url")
  if not region or not start_url then
    return wrong(where, " has no ", region and "sso_start_url" or "sso_region")
  elseif not endpoint.is_region(region) then
    return wrong("sso_region of ", where, " is no region: letters, digits and - are allowed")
  end
  return {
    name = name, account_id = account_id, role_name = role_name, region = region, session = session,
    cache_key = session or start_url,
  }
end

-- Requests go to the region of the SSO instance, whatever the client's is.
local function url_of(context, settings, service, path)
  local url, message = context.endpoint_for(service, settings.region)
  if not url then return nil, message end
  return url:gsub("/$", "") .. path
end

-- The token ------------------------------------------------------------------------------------

local function parse(document)
  local _, missing = token_cache.strings(document, { "accessToken", "expiresAt" })
  if missing then return nil, "has no " .. missing end
  local expires = token_cache.parse_time(document.expiresAt)
  if not expires then return nil, "has an expiresAt that is no time" end
  return { expires = expires, document = document, access_token = document.accessToken }
end

local registration = { "refreshToken", "clientId", "clientSecret", "registrationExpiresAt" }

local function refreshable(runtime, settings, token)
  if not settings.session then return false, "only the token of an sso-session can be refreshed" end
  local fields, missing = token_cache.strings(token.document, registration)
  if not fields then return false, "its file has no " .. missing end
  local expires = token_cache.parse_time(fields.registrationExpiresAt)
  if not expires or expires <= runtime.now() then return false, "its registration has expired as well" end
  return true
end

local function refresh(context, settings, token, deadline)
  local document = token.document
  local url, reason = url_of(context, settings, "oidc", "/token")
  if not url then return nil, reason end
  local body
  body, reason = core.encode_json {
    clientId = document.clientId, clientSecret = document.clientSecret, grantType = "refresh_token",
    refreshToken = document.refreshToken,
  }
  if not body then return nil, reason end
  local response, message, code = token_cache.send(context, oidc, function()
    return { method = "POST", url = url, headers = { { "Content-Type", "application/json" } }, body = body }
  end, deadline, settings.policy)
  if not response then return nil, message, code end
  local reply
  reply, message = token_cache.decode(oidc, response, refresh_meanings)
  if not reply then return nil, message end
  local expires = token_cache.end_of(context.runtime.now(), reply.expiresIn)
  local fields = token_cache.strings(reply, { "accessToken" })
  if not fields or not expires then
    return nil, ("the reply of %s has no %s"):format(oidc, fields and "expiresIn" or "accessToken")
  end
  fields.expiresAt = token_cache.format_time(expires)
  fields.refreshToken = (token_cache.strings(reply, { "refreshToken" }) or document).refreshToken
  return token_cache.merge(document, fields)
end

-- The role -------------------------------------------------------------------------------------

local function record_of(settings, reply)
  local names = { "accessKeyId", "secretAccessKey", "sessionToken" }
  local fields, missing = token_cache.strings(reply.roleCredentials, names)
  if fields and type(reply.roleCredentials.expiration) ~= "number" then fields, missing = nil, "expiration" end
  if not fields then return nil, ("the reply of %s has no %s"):format(portal, missing), "CredentialsFailed" end
  return {
    access_key_id = fields.accessKeyId,
    secret_access_key = fields.secretAccessKey,
    session_token = fields.sessionToken,
    expiration = reply.roleCredentials.expiration / 1000, -- milliseconds there
    account_id = settings.account_id,
  }
end

local function role_credentials(context, settings, token, deadline)
  local url, reason = url_of(context, settings, "sso", ("/federation/credentials?role_name=%s&account_id=%s"):format(
    core.percent_encode(settings.role_name), core.percent_encode(settings.account_id)))
  if not url then return nil, reason, "CredentialsFailed" end
  local response, message, code = token_cache.send(context, portal, function()
    local headers = { { "x-amz-sso_bearer_token", token.access_token }, { "Accept", "application/json" } }
    return { method = "GET", url = url, headers = headers }
  end, deadline, settings.policy)
  if not response then return nil, message, exchange.code_of(code) end
  local reply
  reply, message, code = token_cache.decode(portal, response, role_meanings)
  if reply then return record_of(settings, reply) end
  if response.status == 401 or code == "UnauthorizedException" then message = message .. "; " .. settings.advice end
  return nil, message, "CredentialsFailed"
end

-- The provider ---------------------------------------------------------------------------------

---@param context table
---@return iot.Provider? provider
---@return string? message
---@return string? code
function sso.new(context)
  local settings, message, code = resolve(context)
  if not settings then return nil, message, code end
  local folder
  folder, message = token_cache.folder("/.aws/sso/cache")
  if not folder then return nil, message, "InvalidConfiguration" end
  local hash
  hash, message = core.sha1(settings.cache_key)
  if not hash then return nil, message, "InvalidConfiguration" end
  settings.advice = "log in with: aws sso login --profile " .. settings.name
  local runtime = context.runtime
  settings.policy = exchange.policy(runtime)
  local tokens = token_cache.new {
    runtime = runtime,
    path = ("%s/%s.json"):format(folder, hash),
    name = "SSO token",
    advice = settings.advice,
    parse = parse,
    refreshable = function(token) return refreshable(runtime, settings, token) end,
    refresh = function(token, deadline) return refresh(context, settings, token, deadline) end,
  }

  local function fetch(deadline)
    deadline = token_cache.deadline(runtime, deadline)
    local token, reason, why = tokens:get(deadline)
    if not token then return nil, reason, exchange.code_of(why) end
    return role_credentials(context, settings, token, deadline)
  end
  return { name = "sso", feature = settings.session and "r,s" or "t,u", fetch = fetch }
end

return sso
