-- The Security Token Service: AssumeRole and AssumeRoleWithWebIdentity (reference 7.4). Any known key may
-- assume any known role, keys of a role included.

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local digest = require "simulator.digest"
local keys = require "simulator.keys"
local signature = require "simulator.signature"
local uri = require "simulator.uri"

local NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
local VERSION = "2011-06-15"

local STATUS = {
  AccessDenied = 403, ExpiredToken = 403, IncompleteSignature = 403, InvalidClientTokenId = 403,
  MissingAuthenticationToken = 403, SignatureDoesNotMatch = 403,
}

-- What this service calls the refusals of signature.lua.
local SIGNATURE_CODES = {
  ExpiredTokenException = "ExpiredToken",
  IncompleteSignatureException = "IncompleteSignature",
  InvalidSignatureException = "SignatureDoesNotMatch",
  MissingAuthenticationTokenException = "MissingAuthenticationToken",
  UnrecognizedClientException = "InvalidClientTokenId",
}

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function refuse(code, message)
  local body = ([[
<ErrorResponse xmlns="%s">
  <Error>
    <Type>Sender</Type>
    <Code>%s</Code>
    <Message>%s</Message>
  </Error>
  <RequestId>%s</RequestId>
</ErrorResponse>
]]):format(NAMESPACE, code, escape(message), digest.uuid())
  return answers.text(STATUS[code] or 400, "text/xml", body, code)
end

local function parse_form(body)
  local fields = {}
  for name, value in body:gmatch("([^&=]*)=([^&]*)") do
    fields[uri.decode(name)] = uri.decode((value:gsub("%+", " ")))
  end
  return fields
end

-- The constraints: minimum and maximum length, and the pattern.
local SHAPES = {
  RoleArn = { 20, 2048, "^[%w%p]+$" },
  RoleSessionName = { 2, 64, "^[%w_+=,.@-]+$" },
  ExternalId = { 2, 1224, "^[%w_+=,.@:/-]+$" },
  SerialNumber = { 9, 256, "^[%w_+=/:,.@-]+$" },
  TokenCode = { 6, 6, "^%d+$" },
  WebIdentityToken = { 4, 20000, "." },
  DurationSeconds = { 1, 5, "^%d+$" },
}

local function problem(fields, required)
  for _, name in ipairs(required) do
    if not fields[name] then
      return ("Value null at '%s' failed to satisfy constraint: Member must not be null"):format(name)
    end
  end
  for name, shape in pairs(SHAPES) do
    local value = fields[name]
    if value and (#value < shape[1] or #value > shape[2] or not value:find(shape[3])) then
      return ("Value '%s' at '%s' failed to satisfy constraint"):format(value, name)
    end
  end
  local seconds = tonumber(fields.DurationSeconds or 900)
  if seconds < 900 or seconds > 43200 then
    return ("Value '%d' at 'durationSeconds' failed to satisfy constraint"):format(seconds)
  end
end

local function grant(action, fields, now)
  local key = keys.issue(now, tonumber(fields.DurationSeconds))
  local account, role = fields.RoleArn:match("^arn:[^:]*:iam::(%d+):role/(.+)$")
  return answers.text(200, "text/xml", ([[
<%sResponse xmlns="%s">
  <%sResult>
    <AssumedRoleUser>
      <AssumedRoleId>AROASIMULATOREXAMPLE:%s</AssumedRoleId>
      <Arn>arn:aws:sts::%s:assumed-role/%s/%s</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>%s</AccessKeyId>
      <SecretAccessKey>%s</SecretAccessKey>
      <SessionToken>%s</SessionToken>
      <Expiration>%s</Expiration>
    </Credentials>
  </%sResult>
  <ResponseMetadata>
    <RequestId>%s</RequestId>
  </ResponseMetadata>
</%sResponse>
]]):format(action, NAMESPACE, action, fields.RoleSessionName, account, role, fields.RoleSessionName,
    key.access_key_id, key.secret_access_key, key.session_token, keys.time(key.expires_at), action, digest.uuid(),
    action))
end

-- Whether the role exists and lets in who says this.
local function is_allowed(fields)
  local role = accounts.roles[fields.RoleArn]
  return role ~= nil and (not role.external_id or role.external_id == fields.ExternalId)
    and (not role.mfa_serial or role.mfa_serial == fields.SerialNumber and role.mfa_code == fields.TokenCode)
end

local function denied(action, fields)
  return refuse("AccessDenied", ("User: arn:aws:iam::%s:user/simulated is not authorized to perform: sts:%s on "
    .. "resource: %s"):format(accounts.account_id, action, fields.RoleArn))
end

local ACTIONS = {}

function ACTIONS.AssumeRole(call, fields)
  local good, code, message = signature.check(call.request, call.now, "sts")
  if not good then
    return refuse(SIGNATURE_CODES[code], message)
  end
  message = problem(fields, { "RoleArn", "RoleSessionName" })
  if message then
    return refuse("ValidationError", "1 validation error detected: " .. message)
  elseif not is_allowed(fields) then
    return denied("AssumeRole", fields)
  end
  return grant("AssumeRole", fields, call.now)
end

function ACTIONS.AssumeRoleWithWebIdentity(call, fields)
  local message = problem(fields, { "RoleArn", "RoleSessionName", "WebIdentityToken" })
  if message then
    return refuse("ValidationError", "1 validation error detected: " .. message)
  elseif fields.WebIdentityToken ~= accounts.web_identity_token then
    return refuse("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider, please "
      .. "reference AssumeRoleWithWebIdentity documentation for requirements")
  elseif not is_allowed(fields) then
    return denied("AssumeRoleWithWebIdentity", fields)
  end
  return grant("AssumeRoleWithWebIdentity", fields, call.now)
end

return {
  {
    name = "sts",
    method = "POST",
    path = "/",

    answer = function(call)
      local kind = call.request:header("content-type") or ""
      local fields = kind:find("^application/x%-www%-form%-urlencoded") and parse_form(call.request.body) or {}
      local action = ACTIONS[fields.Action]
      if not action or fields.Version ~= VERSION then
        return refuse("InvalidAction", ("Could not find operation %s for version %s"):format(
          tostring(fields.Action), tostring(fields.Version)))
      end
      return action(call, fields)
    end,
  },
}
