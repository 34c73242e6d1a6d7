---The Security Token Service: AssumeRole, signed, and AssumeRoleWithWebIdentity, unsigned (reference 7.4).
local core = require "iot.core"
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local xml = require "iot.xml"

local sts = {}

local version = "2011-06-15"
local attempt_timeout = 15 -- seconds, where the deadline leaves more

-- What a reader can do about an error of the service.
local advice = {
  AccessDenied = "the role's trust policy must allow it",
  ExpiredToken = "the source credentials must be renewed",
  ExpiredTokenException = "the token must be renewed by whatever writes it",
  RegionDisabledException = "activate STS in this region, or use another region",
  SignatureDoesNotMatch = "check the secret access key and this machine's clock",
}

---A role to assume, of a profile or of variables. All values are texts, as they were written.
---@class iot.sts.Step
---@field role_arn string
---@field role_session_name string?
---@field external_id string?
---@field duration_seconds string?
---@field mfa_serial string?

local function missing_mfa_code(step)
  return ("the role needs a code of the MFA device %s: give iot.new the option mfa_code, a function that "
    .. "returns one"):format(excerpt.line(step.mfa_serial, 128))
end

-- What each value must look like (reference 7.4): a check, and the words that describe it.
local rules = {
  { "role_arn", "the ARN of a role, such as arn:aws:iam::123456789012:role/name", function(text)
    return #text >= 20 and #text <= 2048 and text:find("^arn:[\33-\126]+$")
  end },
  { "role_session_name", "2 to 64 letters, digits and _+=,.@-", function(text)
    return #text >= 2 and #text <= 64 and text:find("^[%w_+=,.@-]+$")
  end },
  { "external_id", "2 to 1224 letters, digits and _+=,.@:/-", function(text)
    return #text >= 2 and #text <= 1224 and text:find("^[%w_+=,.@:/-]+$")
  end },
  { "duration_seconds", "a whole number from 900 to 43200", function(text)
    return text:find("^%d%d?%d?%d?%d?$") and tonumber(text) >= 900 and tonumber(text) <= 43200
  end },
  { "mfa_serial", "the serial number or ARN of an MFA device", function(text)
    return #text >= 9 and #text <= 256 and text:find("^[%w_+=/:,.@-]+$")
  end },
}

---Whether STS could accept the values of a step; asked before any request.
---@param context table
---@param step iot.sts.Step
---@param names table<string, string>?  what the values are called where they come from, unless as in a profile
---@return boolean? ok
---@return string? message
function sts.check(context, step, names)
  for _, rule in ipairs(rules) do
    local name, wanted, fits = rule[1], rule[2], rule[3]
    local value = step[name]
    if name == "role_arn" and not value or value and not fits(value) then
      return nil, ("%s must be %s"):format(names and names[name] or name, wanted)
    end
  end
  if step.mfa_serial and not context.mfa_code then return nil, missing_mfa_code(step) end
  return true
end

-- Percent-encoded as a form, spaces as well (reference 1.6).
local function encode_form(fields)
  local parts = {}
  for _, field in ipairs(fields) do
    parts[#parts + 1] = field[1] .. "=" .. core.percent_encode(field[2])
  end
  return table.concat(parts, "&")
end

-- The global endpoint belongs to one region (reference 2.5).
local function signing_region(context, url)
  if url:find("^https?://sts%.amazonaws%.com/") then return "us-east-1" end
  return context.region
end

-- The headers to send, signed with that time. Host is left to the one that sends.
local function headers_of(context, url, call, time)
  local headers = { { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" } }
  if not call.source then return headers end
  local signed, message = core.sign({ method = "POST", url = url, headers = headers, body = call.body }, {
    credentials = call.source, region = signing_region(context, url), service = "sts",
    time = time,
  })
  if not signed then return nil, "the request cannot be signed: " .. message end
  headers = {}
  for _, header in ipairs(signed.headers) do
    if header[1]:lower() ~= "host" then headers[#headers + 1] = header end
  end
  return headers
end

local function text_of(document, pattern, ...)
  local text = xml.text(document, ...)
  return text and text:match(pattern)
end

-- The failure that a reply tells of.
local function read_error(reply, call)
  local document = xml.parse(reply.body or "")
  if document and document.name ~= "ErrorResponse" then document = nil end
  -- It may quote what it was sent, anywhere.
  local function quoted(pattern, ...)
    local text = xml.text(document, ...)
    return text and excerpt.redact(text, call.secrets):match(pattern)
  end
  local code = quoted("^%s*([%w.]+)%s*$", "Error", "Code")
  local text = excerpt.line(quoted(".*", "Error", "Message") or "", 500)
  if advice[code] then text = (text ~= "" and text .. "; " or "") .. advice[code] end
  local _, message, detail = exchange.refused(reply, {
    operation = call.action, code = code, request_id = quoted("^%s*([%w-]+)%s*$", "RequestId"),
  }, text)
  detail.retryable = detail.retryable or code == "IDPCommunicationError" -- reference 7.4
  return nil, message, detail
end

-- The reply; else the failure.
local function exchange_once(context, url, call, timeout)
  local skew = context.clock_skew
  local offset = skew and skew.offset or 0
  local time = context.runtime.now() + offset
  local headers, message = headers_of(context, url, call, time)
  if not headers then return nil, message end
  local reply, reason, facts = context.runtime.request {
    url = url, method = "POST", headers = headers, body = call.body, timeout = timeout,
    connect_timeout = context.connect_timeout, ca_bundle = context.ca_bundle, proxy = context.proxy,
  }
  if reply and reply.status == 200 then
    return reply
  elseif reply then
    local _, text, detail = read_error(reply, call)
    detail.retryable = skew and skew:correct(time, offset, detail) or detail.retryable
    return nil, text, detail
  end
  message = "STS was not reached: " .. reason
  if not (facts and errors.codes[facts.code]) then return nil, call.action .. ": " .. message end
  return errors.fail({ code = facts.code, operation = call.action }, message)
end

local function attempt(_, context, url, call, deadline)
  local left = deadline and deadline - context.runtime.monotonic() or attempt_timeout
  local reply, message, detail = exchange_once(context, url, call, math.min(left, attempt_timeout))
  if detail and call.once then detail.retryable = false end
  return reply, message, detail
end

-- The reply; else the reason and, of an interrupt, the code.
local function send(context, call, deadline)
  local endpoint, reason = context.endpoint_for("sts")
  if not endpoint then return nil, "no endpoint of STS is known: " .. tostring(reason) end
  if not context.region then return nil, "STS needs a region: set the option region, or AWS_REGION" end
  local url = endpoint:gsub("/$", "") .. "/"
  local policy = call.policy or exchange.policy(context.runtime)
  local reply, message, detail = policy:run(deadline, attempt, context, url, call, deadline)
  return reply, message, exchange.is_interrupt(detail) and "Interrupted" or nil
end

local function read_record(reply, action)
  local document, reason = xml.parse(reply.body or "")
  if document and document.name ~= action .. "Response" then document, reason = nil, "it is another document" end
  if not document then return nil, reason end
  local function member(name)
    local text = xml.text(document, action .. "Result", "Credentials", name)
    return text ~= "" and text or nil
  end
  local record = {
    access_key_id = member("AccessKeyId"),
    secret_access_key = member("SecretAccessKey"),
    session_token = member("SessionToken"),
    expiration = core.parse_time(member("Expiration") or ""),
    account_id = text_of(document, "^[^:]*:[^:]*:[^:]*:[^:]*:(%d+):", action .. "Result", "AssumedRoleUser", "Arn"),
  }
  for _, name in ipairs { "access_key_id", "secret_access_key", "session_token", "expiration" } do
    if not record[name] then return nil, "it has no " .. name:gsub("_", " ") end
  end
  return record
end

-- Send the call and read its answer; failures name the role.
local function ask(context, step, call, deadline)
  call.body = encode_form(call.fields)
  local record
  local reply, message, code = send(context, call, deadline)
  if reply then
    record, message = read_record(reply, call.action)
    message = message and ("%s: the reply of STS cannot be understood: %s"):format(call.action, message)
  end
  if record then return record end
  return nil, ("the role %s was not assumed: %s"):format(excerpt.line(step.role_arn, 256), message),
    exchange.code_of(code)
end

local function fields_of(context, action, step)
  local session = step.role_session_name or ("iot-%d"):format(math.floor(context.runtime.now()))
  local fields = {
    { "Action", action }, { "Version", version },
    { "RoleArn", step.role_arn }, { "RoleSessionName", session },
  }
  if step.duration_seconds then fields[#fields + 1] = { "DurationSeconds", step.duration_seconds } end
  return fields
end

local function ask_mfa_code(context, step)
  local code, message = context.mfa_code(step.mfa_serial)
  if code == nil then
    return nil, "the option mfa_code gave no code: " .. excerpt.line(tostring(message or "no reason given"), 200)
  elseif type(code) ~= "string" or not code:find("^%d%d%d%d%d%d$") then
    return nil, "the option mfa_code must return a string of six digits"
  end
  return code
end

---Assume the role of a step with the credentials of its source.
---@param context table
---@param source iot.Credentials
---@param step iot.sts.Step
---@param deadline number?  of runtime.monotonic()
---@param policy iot.retry.Policy?  of the provider; one for this call
---@return iot.Credentials? record
---@return string? message
---@return string? code
function sts.assume_role(context, source, step, deadline, policy)
  local ok, message = sts.check(context, step)
  if not ok then return nil, message, "InvalidCredentials" end
  local fields = fields_of(context, "AssumeRole", step)
  if step.external_id then fields[#fields + 1] = { "ExternalId", step.external_id } end
  if step.mfa_serial then
    local code
    code, message = ask_mfa_code(context, step)
    if not code then return nil, message, "CredentialsFailed" end
    fields[#fields + 1] = { "SerialNumber", step.mfa_serial }
    fields[#fields + 1] = { "TokenCode", code }
  end
  return ask(context, step, {
    action = "AssumeRole", fields = fields, source = source, policy = policy,
    once = step.mfa_serial ~= nil, -- a code is good for one attempt
    secrets = { source.secret_access_key, source.session_token },
  }, deadline)
end

---Assume the role of a step with a token of an identity provider; nothing is signed.
---@param context table
---@param step iot.sts.Step
---@param token string
---@param deadline number?  of runtime.monotonic()
---@param policy iot.retry.Policy?  of the provider; one for this call
---@return iot.Credentials? record
---@return string? message
---@return string? code
function sts.assume_role_with_web_identity(context, step, token, deadline, policy)
  local ok, message = sts.check(context, step)
  if not ok then return nil, message, "InvalidCredentials" end
  local fields = fields_of(context, "AssumeRoleWithWebIdentity", step)
  fields[#fields + 1] = { "WebIdentityToken", token }
  return ask(context, step, {
    action = "AssumeRoleWithWebIdentity", fields = fields, policy = policy, secrets = { token },
  }, deadline)
end

return sts
