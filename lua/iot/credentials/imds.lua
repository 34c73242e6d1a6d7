---Credentials, and the region, from an EC2 instance's metadata service, version 2 (reference 7.9).
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local profiles = require "iot.config.profiles"
local variables = require "iot.config.variables"

local imds = {}

local endpoints = { ipv4 = "http://169.254.169.254", ipv6 = "http://[fd00:ec2::254]" }
local roles = {
  extended = "/latest/meta-data/iam/security-credentials-extended/",
  legacy = "/latest/meta-data/iam/security-credentials/",
}
local token_path = "/latest/api/token"
local region_path = "/latest/meta-data/placement/region"

-- Seconds. A machine outside EC2 waits for one request of this length, and no more.
local default_timeout = 1
local token_ttl = 21600
local token_margin = 120 -- a token is replaced this long before its end

-- Failures of a request that mean: nobody is there.
local absent = {
  NameResolutionFailed = true, ConnectionFailed = true, ConnectionLost = true, Timeout = true,
}

-- Settings -----------------------------------------------------------------------------------

-- The value of a setting, and how to call it in a message.
local function setting(context, variable, key)
  local value = variables.get(variable)
  if value then return value, variable end
  value = (context.profile or {})[key]
  if value then
    local data = context.profiles or {}
    return value, profiles.where(data, "profiles", data.name or "default", key)
  end
end

local function wrong(...)
  return nil, table.concat { ... }, "InvalidConfiguration"
end

local function check_enabled(context)
  local text, source = setting(context, "AWS_EC2_METADATA_DISABLED", "disable_ec2_metadata")
  local value = (text or "false"):lower()
  if value == "true" then return nil, source .. " is true", "NoCredentials" end
  if value ~= "false" and value ~= "" then return wrong(source, " must be true or false") end
  return true
end

local function read_number(context, variable, key, default, is_good, expected)
  local text, source = setting(context, variable, key)
  if not text or text == "" then return default end
  local number = tonumber(text)
  if not number or not is_good(number) then return wrong(source, " must be ", expected) end
  return number
end

local function is_duration(number) return number > 0 and number <= 3600 end
local function is_count(number) return number >= 1 and number <= 100 and number % 1 == 0 end

-- An endpoint beats a mode, and what the program says beats the environment, which beats the profile.
local function resolve_endpoint(context)
  local given = context.imds or {}
  local text, source = given.endpoint, "the endpoint of the instance metadata service"
  if not text then
    text, source = setting(context, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")
  end
  if text and text ~= "" then
    local url, reason = exchange.split_url(text)
    if not url then return wrong(source, " is no URL: ", reason) end
    if url.path:find("?", 1, true) then return wrong(source, " must not have a query") end
    return url.scheme .. "://" .. url.authority .. url.path:gsub("/+$", "")
  end
  local mode, mode_source = given.mode, "the endpoint mode of the instance metadata service"
  if not mode then
    mode, mode_source =
      setting(context, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode")
  end
  if not mode or mode == "" then return endpoints.ipv4 end
  local base = endpoints[mode:lower()]
  if base then return base end
  return wrong("`", exchange.quote(mode), "` is not a valid endpoint mode: ", mode_source,
    " must be IPv4 or IPv6")
end

local function is_role(name)
  return name:find("^[%w_+=,.@-]+$") ~= nil and #name <= 128 and not name:find("^%.+$")
end

local function read_role(context)
  local name, source = setting(context, "AWS_EC2_INSTANCE_PROFILE_NAME", "ec2_instance_profile_name")
  if not name then return nil end
  if not is_role(name) then return wrong(source, " is no role name: letters, digits and _+=,.@- are allowed") end
  return name
end

---@class iot.imds.Service  the service as one provider knows it
---@field runtime iot.Runtime
---@field base string  URL
---@field timeout number  seconds for one request
---@field attempts integer
---@field role string?  the fixed name
---@field api "extended"|"legacy"|nil  which one has answered
---@field token string?  of the session
---@field token_end number?  when to replace it, of runtime.monotonic()
---@field seen boolean?  it has given a token before

---@return iot.imds.Service? service
---@return string? message
---@return string? code
local function new_service(context)
  local service = { runtime = context.runtime }
  local enabled, message, code = check_enabled(context)
  if not enabled then return nil, message, code end
  service.base, message, code = resolve_endpoint(context)
  if not service.base then return nil, message, code end
  service.timeout, message, code = read_number(context, "AWS_METADATA_SERVICE_TIMEOUT",
    "metadata_service_timeout", default_timeout, is_duration, "a number of seconds")
  if not service.timeout then return nil, message, code end
  service.attempts, message, code = read_number(context, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "metadata_service_num_attempts", 1, is_count, "a whole number from 1")
  if not service.attempts then return nil, message, code end
  service.role, message, code = read_role(context)
  if message then return nil, message, code end
  return service
end

-- Requests -----------------------------------------------------------------------------------

-- After these no other request is made.
local final = { DeadlinePassed = true, Interrupted = true }

-- The service is on the machine itself, or it is not there: no proxy, and no patience. Where more attempts
-- are wanted, any status from 500 on is worth one (reference 7.9).
local function send(service, method, path, header, deadline)
  local response, message, code
  for _ = 1, service.attempts do
    response, message, code = exchange.send(service.runtime, {
      method = method, url = service.base .. path, headers = { header }, proxy = "",
      timeout = service.timeout, connect_timeout = service.timeout, read_timeout = service.timeout,
    }, deadline)
    if final[code] or response and response.status < 500 then break end
  end
  return response, message, code
end

local function answered(service, path, what)
  return nil, ("the instance metadata service at %s answered the request for %s with %s"):format(
    service.base, path, what), "CredentialsFailed"
end

local function unreachable(service, message, code)
  if absent[code] and not service.seen then
    return nil, ("there is no instance metadata service at %s (%s)"):format(service.base, message),
      "NoCredentials"
  end
  return nil, ("the instance metadata service at %s cannot be asked: %s"):format(service.base, message),
    exchange.code_of(code)
end

local function refuse_token(service, response)
  local status = response.status
  if status == 403 then
    return nil, "the instance metadata service is turned off for this instance (HTTP status 403): "
      .. "enable its metadata options, or give credentials in another way", "CredentialsFailed"
  elseif status == 404 or status == 405 then
    return nil, ("the server at %s has no IMDSv2 (HTTP status %d to the request for a token)"):format(
      service.base, status), "NoCredentials"
  end
  return answered(service, token_path, exchange.refusal(response))
end

-- The session's token, a new one when there is none or its time is nearly up.
local function get_token(service, deadline)
  local runtime = service.runtime
  if service.token and runtime.monotonic() < service.token_end then return service.token end
  service.token = nil
  local header = { "x-aws-ec2-metadata-token-ttl-seconds", tostring(token_ttl) }
  local response, message, code = send(service, "PUT", token_path, header, deadline)
  if not response then return unreachable(service, message, code) end
  if response.status ~= 200 then return refuse_token(service, response) end
  local token = excerpt.trim(response.body)
  if token == "" or token:find("[^\33-\126]") or token:find("[<>]") then
    return answered(service, token_path, "something that is no token: is there a proxy in between?")
  end
  local ttl = tonumber(response.headers["x-aws-ec2-metadata-token-ttl-seconds"]) or token_ttl
  service.token, service.token_end = token, runtime.monotonic() + ttl - token_margin
  service.seen = true
  return token
end

-- A reply of status 200 or 404, or a failure. A token that the service no longer knows is replaced once.
local function get(service, path, deadline)
  local response, message, code, token
  for _ = 1, 2 do
    token, message, code = get_token(service, deadline)
    if not token then return nil, message, code end
    response, message, code =
      send(service, "GET", path, { "x-aws-ec2-metadata-token", token }, deadline)
    if not response then return unreachable(service, message, code) end
    if response.status ~= 401 then break end
    service.token = nil
  end
  if response.status == 200 or response.status == 404 then return response end
  -- Filters before the service know only the paths of their time: no extended API, then.
  if not service.api and response.status ~= 401 and response.status < 500
    and path:find(roles.extended, 1, true) then
    return { status = 404, headers = {}, body = "" }
  end
  return answered(service, path, exchange.refusal(response, token))
end

-- Credentials --------------------------------------------------------------------------------

local function to_record(service, path, response)
  local document, reason = exchange.decode(response)
  if not document then return answered(service, path, reason) end
  local code = exchange.text(document, "Code")
  if code == "AssumeRoleUnauthorizedAccess" then
    return nil, "EC2 may not assume the role of this instance (AssumeRoleUnauthorizedAccess): "
      .. "let the role trust ec2.amazonaws.com", "CredentialsFailed"
  elseif code and code ~= "Success" then
    local text = exchange.text(document, "Message") or "it gave no reason"
    return answered(service, path, "an error: " .. exchange.quote(code .. ": " .. text, service.token))
  end
  local record
  record, reason = exchange.record(document, "Token", { session_token = true, expiration = true })
  if not record then return answered(service, path, "incomplete credentials: " .. reason) end
  record.stale_allowed = true -- the service hands out expired ones on purpose (static stability)
  return record
end

local function get_role(service, path, deadline)
  if service.role then return service.role end
  local response, message, code = get(service, path, deadline)
  if not response then return nil, message, code end
  local name = response.status == 200 and excerpt.trim(response.body:match("^%s*([^\r\n]*)"))
  if not name or name == "" then
    return nil, "no IAM role is attached to this instance", "Missing"
  elseif not is_role(name) then
    return answered(service, path, "something that is no role name: is there a proxy in between?")
  end
  return name
end

-- Code "Missing": there is no such path, or no role.
local function get_record(service, api, deadline)
  local role, message, code = get_role(service, roles[api], deadline)
  if not role then return nil, message, code end
  local path = roles[api] .. role
  local response
  response, message, code = get(service, path, deadline)
  if not response then return nil, message, code end
  if response.status == 404 then
    return nil, ("this instance has no role %s"):format(role), "Missing"
  end
  return to_record(service, path, response)
end

-- The extended API tells the account, too; which one is there is known once one has answered.
local function fetch(service, deadline)
  local record, message, code
  for _, api in ipairs(service.api and { service.api } or { "extended", "legacy" }) do
    record, message, code = get_record(service, api, deadline)
    if record then service.api = api end
    if code ~= "Missing" then return record, message, code end
  end
  if service.role then
    return nil, message .. ": check AWS_EC2_INSTANCE_PROFILE_NAME or ec2_instance_profile_name",
      "CredentialsFailed"
  end
  return nil, message, "NoCredentials"
end

---@param context iot.Context  `imds` = { endpoint=, mode= } stands above the environment
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function imds.new(context)
  local service, message, code = new_service(context)
  if not service then return nil, message, code end
  return {
    name = "imds",
    feature = "0", -- of the user agent (reference 8.1)
    fetch = function(deadline) return fetch(service, deadline) end,
  }
end

---The region of the instance: the last resort when no one has named one.
---@param context iot.Context
---@param deadline number?
---@return string? region
---@return string? message
---@return string? code
function imds.region(context, deadline)
  local service, message, code = new_service(context)
  if not service then return nil, message, code end
  local response
  response, message, code = get(service, region_path, deadline)
  if not response then return nil, message, code end
  local region = response.body:match("^%s*([%w-]+)%s*$")
  if response.status == 404 or not region or #region > 63 then
    return answered(service, region_path, "no region")
  end
  return region
end

return imds
