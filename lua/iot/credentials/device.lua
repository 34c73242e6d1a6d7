---Credentials for a device's X.509 certificate: the AWS IoT Core credential provider (reference 7.11).
local core = require "iot.core"
local exchange = require "iot.credentials.exchange"

local device = {}

---Where a device gets its credentials, and as whom.
---@class iot.DeviceOptions
---@field endpoint string  of `aws iot describe-endpoint --endpoint-type iot:CredentialProvider`
---@field role_alias string
---@field certificate string  path of a PEM file, sent to the service
---@field key string  path of a PEM file, the certificate's private key
---@field thing_name string?  attached to the certificate, for policies with thing variables
---@field ca_bundle string?  PEM file or hashed directory of the only CAs to trust; else the client's

---The types of the options, for `iot.config.options`.
---@type iot.Schema
device.schema = {
  endpoint = "string", role_alias = "string", certificate = "string", key = "string",
  thing_name = "string", ca_bundle = "string",
}

local required = { "endpoint", "role_alias", "certificate", "key" }

local max_body = 16 * 1024 -- bytes
local connect_timeout, read_timeout = 3.1, 10 -- seconds

-- Options ------------------------------------------------------------------------------------

local function wrong(name, ...)
  return nil, table.concat { "the option device.", name, " ", ... }, "InvalidConfiguration"
end

local function check_present(options)
  if type(options) ~= "table" then
    return nil, "the option device must be a table", "InvalidConfiguration"
  end
  for _, name in ipairs(required) do
    if options[name] == nil or options[name] == "" then return wrong(name, "is missing") end
  end
  for name, wanted in pairs(device.schema) do
    if options[name] ~= nil and type(options[name]) ~= wanted then
      return wrong(name, "must be a ", wanted)
    end
  end
  -- The text of a key must not travel on as if it were a name that may be shown.
  for _, name in ipairs { "certificate", "key" } do
    if options[name]:find("-----BEGIN", 1, true) or options[name]:find("%c") then
      return wrong(name, "must be the path of a PEM file, not its text")
    end
  end
  return true
end

-- Host and port of the endpoint, which may be written as a host or as a URL.
local function read_endpoint(text)
  local scheme = text:match("^(%a+)://")
  if scheme and scheme:lower() ~= "https" then
    return wrong("endpoint", "must be a host name or start with https://")
  end
  local url, reason = exchange.split_url(scheme and text or "https://" .. text)
  if not url then return wrong("endpoint", "is no host name: ", reason) end
  if url.path ~= "" and url.path ~= "/" then return wrong("endpoint", "must not have a path") end
  return url.authority
end

local function read_options(options)
  local present, message, code = check_present(options)
  if not present then return nil, message, code end
  local authority
  authority, message, code = read_endpoint(options.endpoint)
  if not authority then return nil, message, code end
  if #options.role_alias > 128 or options.role_alias:find("^%.+$") then
    return wrong("role_alias", "must be the name of a role alias, at most 128 characters")
  end
  local thing = options.thing_name
  if thing and (#thing < 1 or #thing > 128 or thing:find("[^%w:_-]")) then
    return wrong("thing_name", "must have 1 to 128 letters, digits, and : _ -")
  end
  local copy = { authority = authority }
  for name in pairs(device.schema) do copy[name] = options[name] end
  return copy
end

-- The exchange -------------------------------------------------------------------------------

-- libcurl does not say which file it could not read, and waits for ever for one that is a pipe.
local function check_readable(source)
  for _, name in ipairs { "certificate", "key" } do
    local good, message = core.check_file(source[name])
    if not good then
      return nil, ("the file of the option device.%s cannot be read: %s"):format(name,
        exchange.quote(message))
    end
  end
  return true
end

local function send(context, source, deadline)
  local headers = { { "Accept", "application/json" } }
  if source.thing_name then headers[2] = { "x-amzn-iot-thingname", source.thing_name } end
  local connect = context.connect_timeout or connect_timeout
  return exchange.send(context.runtime, {
    method = "GET",
    url = ("https://%s/role-aliases/%s/credentials"):format(source.authority, core.percent_encode(source.role_alias)),
    headers = headers,
    client_certificate = source.certificate, client_key = source.key,
    ca_bundle = source.ca_bundle or context.ca_bundle, proxy = context.proxy,
    connect_timeout = connect, read_timeout = read_timeout, timeout = connect + read_timeout,
  }, deadline)
end

-- With TLS 1.3 a server refuses a certificate after the handshake: the connection ends.
local unknown_device = "check that device.certificate is registered and active in AWS IoT"
local transport_advice = {
  NameResolutionFailed = "check the option device.endpoint",
  CertificateInvalid = "the CAs to trust, device.ca_bundle or the client's, need an Amazon Root CA",
  TLSHandshakeFailed = unknown_device,
  ConnectionLost = unknown_device,
  InvalidConfiguration = "check that device.certificate and device.key are PEM files that belong together",
}

local function status_advice(source, response)
  local alias, status = exchange.quote(source.role_alias), response.status
  if status == 403 then
    return ("check that the certificate is active and its policy allows iot:AssumeRoleWithCertificate on "
      .. "the role alias %s, that the role trusts credentials.iot.amazonaws.com, and that %s"):format(alias,
      source.thing_name and ("the thing %s is attached to the certificate"):format(source.thing_name)
      or "the policy does not ask for a thing name (option device.thing_name)")
  elseif status == 404 then
    return ("check that the role alias %s exists in the account and region of %s"):format(alias, source.authority)
  elseif select(3, exchange.refused(response, {}, "")).retryable then
    return "the service may be overloaded; try again later"
  end
  return "check the option device.endpoint; it is the one of type iot:CredentialProvider"
end

local function failed(...)
  return nil, "the AWS IoT credential provider " .. table.concat({ ... }, ": "), "CredentialsFailed"
end

local function unreachable(message, code)
  local _, text = failed("cannot be asked", message, transport_advice[code])
  return nil, text, exchange.code_of(code)
end

local function fetch(context, source, deadline)
  local readable, message = check_readable(source)
  if not readable then return nil, message, "CredentialsFailed" end
  local response, code
  response, message, code = send(context, source, deadline)
  if not response then return unreachable(message, code) end
  if response.status ~= 200 then
    return failed("answered with " .. exchange.refusal(response), status_advice(source, response))
  elseif #response.body > max_body then
    return failed("answered with more than 16 KiB")
  end
  local document, reason = exchange.decode(response)
  if not document then return failed("answered with " .. reason) end
  local record
  record, reason = exchange.record(exchange.object(document, "credentials") or {}, "sessionToken",
    { session_token = true })
  if not record then return failed("sent incomplete credentials", reason) end
  return record
end

---A provider of the options.
---@param options iot.DeviceOptions
---@param context iot.Context?  of the client; without one the thread waits
---@return iot.Provider? provider
---@return string? message
---@return string? code
function device.from_options(options, context)
  local source, message, code = read_options(options)
  if not source then return nil, message, code end
  context = context or { runtime = require "iot.runtime.blocking" }
  return {
    name = "device",
    fetch = function(deadline) return fetch(context, source, deadline) end,
  }
end

---@param context iot.Context  with the option as `device`
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function device.new(context)
  if not context.device then return nil, "the option device is not given", "NoCredentials" end
  local provider, message, code = device.from_options(context.device, context)
  return provider, message, code
end

return device
