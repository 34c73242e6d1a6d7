-- Is this request signed by a key that we know? Signature version 4 in its header form, checked as
-- the service's front end does, with the service's codes and messages.

local accounts = require "simulator.accounts"
local digest = require "simulator.digest"
local keys = require "simulator.keys"
local uri = require "simulator.uri"

local M = {}

local ALGORITHM = "AWS4-HMAC-SHA256"
local TERMINATOR = "aws4_request"
local TOLERANCE_MINUTES = 5

local function incomplete(message)
  return nil, "IncompleteSignatureException", message
end

local function invalid(message)
  return nil, "InvalidSignatureException", message
end

local function basic_time(seconds)
  return os.date("!%Y%m%dT%H%M%SZ", seconds)
end

-- The days since 1970-01-01 of a date of the proleptic Gregorian calendar, years counted from March.
local function days_of(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

local function parse_time(text)
  local year, month, day, hour, minute, second = text:match("^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$")
  if year then
    return days_of(tonumber(year), tonumber(month), tonumber(day)) * 86400
      + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
  end
end

-- reference 3.3: ALGORITHM Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=hex
local function parse_authorization(header)
  local algorithm, rest = header:match("^(%S+)%s*(.*)$")
  if algorithm ~= ALGORITHM then
    return incomplete(("Unsupported AWS 'algorithm': '%s'."):format(algorithm or ""))
  end
  local fields = {}
  for item in rest:gmatch("[^,]+") do
    local name, value = item:match("^%s*(%w+)=(.-)%s*$")
    if not name then
      return incomplete("Authorization header holds an item that is not a valid key=value pair (missing equal-sign).")
    end
    fields[name] = value
  end
  for _, name in ipairs { "Credential", "SignedHeaders", "Signature" } do
    if not fields[name] or fields[name] == "" then
      return incomplete(("Authorization header requires '%s' parameter."):format(name))
    end
  end
  local key_id, date, region, service, terminator = fields.Credential:match(
    "^([^/]+)/([^/]*)/([^/]*)/([^/]*)/([^/]*)$")
  if not key_id then
    return incomplete(("Credential must have exactly 5 slash-delimited elements, "
      .. "e.g. keyid/date/region/service/term, got '%s'"):format(fields.Credential))
  end
  return { key_id = key_id, date = date, region = region, service = service, terminator = terminator,
    signed_headers = fields.SignedHeaders, signature = fields.Signature }
end

-- The record of the key, when it is known, has the token that belongs to it, and is in time.
local function find_key(request, authorization, now)
  local key = keys.find(authorization.key_id)
  if not key or request:header("x-amz-security-token") ~= key.session_token then
    return nil, "UnrecognizedClientException", "The security token included in the request is invalid."
  end
  if keys.has_expired(key, now) then
    return nil, "ExpiredTokenException", "The security token included in the request is expired"
  end
  return key
end

local function check_scope(authorization, service)
  if authorization.region ~= accounts.region then
    return invalid(("Credential should be scoped to a valid region, not '%s'. "):format(authorization.region))
  elseif authorization.service ~= service then
    return invalid(("Credential should be scoped to correct service: '%s'. "):format(service))
  elseif authorization.terminator ~= TERMINATOR then
    return invalid(("Credential should be scoped with a valid terminator: '%s', not '%s'. "):format(
      TERMINATOR, authorization.terminator))
  end
  return true
end

local function check_time(request, authorization, now)
  local stamp = request:header("x-amz-date")
  if not stamp then
    return incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
  end
  local signed_at = parse_time(stamp)
  if not signed_at then
    return incomplete(("Date must be in ISO-8601 'basic format'. Got '%s'."):format(stamp))
  end
  if stamp:sub(1, 8) ~= authorization.date then
    return invalid(("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
      .. "'%s' != '%s', from '%s'."):format(authorization.date, stamp:sub(1, 8), stamp))
  end
  local tolerance = TOLERANCE_MINUTES * 60
  if signed_at < now - tolerance then
    return invalid(("Signature expired: %s is now earlier than %s (%s - %d min.)"):format(
      stamp, basic_time(now - tolerance), basic_time(now), TOLERANCE_MINUTES))
  elseif signed_at > now + tolerance then
    return invalid(("Signature not yet current: %s is still later than %s (%s + %d min.)"):format(
      stamp, basic_time(now + tolerance), basic_time(now), TOLERANCE_MINUTES))
  end
  return true
end

-- The names in SignedHeaders, sorted. reference 3.2 says which must be among them.
local function signed_names(request, authorization)
  local names = {}
  for name in authorization.signed_headers:gmatch("[^;]+") do
    names[#names + 1] = name
    names[name] = true
  end
  if not names.host then
    return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
  end
  for _, name in ipairs { "x-amz-date", "x-amz-security-token", "x-amz-content-sha256" } do
    if request:header(name) and not names[name] then
      return invalid(("'%s' must be a 'SignedHeader' in the AWS Authorization."):format(name))
    end
  end
  table.sort(names)
  return names
end

-- reference 3.1
local function canonical_request(request, names)
  local lines = {
    request.method,
    uri.canonical_path(request.path),
    uri.canonical_query(request.query),
  }
  for _, name in ipairs(names) do
    lines[#lines + 1] = name .. ":" .. (request:header(name) or ""):gsub("%s+", " ")
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = table.concat(names, ";")
  lines[#lines + 1] = digest.hex(digest.sha256(request.body))
  return table.concat(lines, "\n")
end

-- reference 3.3
local function sign(secret, authorization, to_sign)
  local key = "AWS4" .. secret
  for _, part in ipairs { authorization.date, authorization.region, authorization.service, TERMINATOR } do
    key = digest.hmac(key, part)
  end
  return digest.hex(digest.hmac(key, to_sign))
end

local function check_signature(request, authorization, key)
  local names, code, message = signed_names(request, authorization)
  if not names then
    return nil, code, message
  end
  local content_hash = request:header("x-amz-content-sha256")
  if content_hash and content_hash ~= digest.hex(digest.sha256(request.body)) then
    return invalid("The value of 'x-amz-content-sha256' does not match the digest of the body.")
  end
  local canonical = canonical_request(request, names)
  local to_sign = table.concat({
    ALGORITHM,
    request:header("x-amz-date"),
    table.concat({ authorization.date, authorization.region, authorization.service, TERMINATOR }, "/"),
    digest.hex(digest.sha256(canonical)),
  }, "\n")
  if sign(key.secret_access_key, authorization, to_sign) ~= authorization.signature then
    return invalid("The request signature we calculated does not match the signature you provided. "
      .. "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"
      .. "The Canonical String for this request should have been\n'" .. canonical .. "'\n\n"
      .. "The String-to-Sign should have been\n'" .. to_sign .. "'\n")
  end
  return true
end

-- Whether the request is signed for *service*: true, or nil with the code and message of the refusal.
-- *now* is the server's clock.
function M.check(request, now, service)
  local header = request:header("authorization")
  if not header or header == "" then
    return nil, "MissingAuthenticationTokenException", "Missing Authentication Token"
  end
  local authorization, code, message = parse_authorization(header)
  if not authorization then
    return nil, code, message
  end
  local key
  key, code, message = find_key(request, authorization, now)
  if not key then
    return nil, code, message
  end
  local good
  good, code, message = check_scope(authorization, service)
  if good then
    good, code, message = check_time(request, authorization, now)
  end
  if good then
    good, code, message = check_signature(request, authorization, key)
  end
  return good, code, message
end

return M
