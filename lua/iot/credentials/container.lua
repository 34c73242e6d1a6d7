---Credentials of a container: ECS tasks, EKS pod identities and what speaks like them (reference 7.10).
local core = require "iot.core"
local errors = require "iot.errors"
local exchange = require "iot.credentials.exchange"
local retry = require "iot.retry"
local variables = require "iot.config.variables"

local container = {}

local relative_name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
local full_name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
local token_name = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
local token_file_name = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

local ecs = "http://169.254.170.2"

-- Seconds.
local connect_timeout, read_timeout = 2, 5
local max_token = 64 * 1024

-- Three tries, up to a second apart unless the service asks for more.
local parameters = setmetatable({ transient_scale = 1, throttling_scale = 1, max_backoff = 1 },
  { __index = retry.parameters["2.1"] })

-- Where plain HTTP may go besides 127.0.0.0/8, in the spellings that people and resolvers use.
local plain_addresses = {
  ["169.254.170.2"] = true, ["169.254.170.23"] = true,
  ["::1"] = true, ["0:0:0:0:0:0:0:1"] = true,
  ["fd00:ec2::23"] = true, ["fd00:ec2:0:0:0:0:0:23"] = true,
}
local plain_rule = "plain http is allowed only to a loopback address, 169.254.170.2, 169.254.170.23 "
  .. "and [fd00:ec2::23]; use https"

-- The URI ------------------------------------------------------------------------------------

-- Not "127.1" or "2130706433": what a resolver makes of such a text is for the resolver to say.
local function is_loopback(address)
  local parts = { address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  if parts[1] ~= "127" then return false end
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 or part:find("^0%d") then return false end
  end
  return true
end

local function is_allowed(address)
  return plain_addresses[address] or is_loopback(address)
end

local function wrong(...)
  return nil, table.concat { ... }, "InvalidConfiguration"
end

-- The URI; with it the host when it is a name whose addresses must be looked at before each request.
local function resolve_full(uri, runtime)
  local url, reason = exchange.split_url(uri)
  if not url then return wrong(full_name, " cannot be used: ", reason) end
  if url.scheme == "https" or url.host == "localhost" or is_allowed(url.host) then return { url = uri } end
  if url.authority:find("^%[") or not runtime.resolve then
    return wrong(full_name, " names the host ", exchange.quote(url.host), ", but ", plain_rule)
  end
  return { url = uri, name = url.host }
end

local function resolve_uri(runtime)
  local relative = variables.get(relative_name)
  if relative then
    if not relative:find("^/") then return wrong(relative_name, " must start with /") end
    local url, reason = exchange.split_url(ecs .. relative)
    if not url then return wrong(relative_name, " cannot be used: ", reason) end
    return { url = ecs .. relative }
  end
  local full = variables.get(full_name)
  if full then return resolve_full(full, runtime) end
  return nil, ("No environment variables were set to configure ECS provider (%s, %s)"):format(
    relative_name, full_name), "NoCredentials"
end

-- A name must lead nowhere else than where plain HTTP may go.
local function check_name(runtime, name)
  local addresses, message = runtime.resolve(name)
  if not addresses or #addresses == 0 then
    return nil, ("the host %s of %s was not found: %s"):format(name, full_name,
      exchange.quote(tostring(message or "it has no address")))
  end
  for _, address in ipairs(addresses) do
    if not is_allowed(address:lower():gsub("^%[(.*)%]$", "%1")) then
      return nil, ("the host %s of %s has the address %s, but %s"):format(name, full_name,
        exchange.quote(address), plain_rule)
    end
  end
  return true
end

-- The token ----------------------------------------------------------------------------------

-- What to send as it is; "" for none. The platform replaces the file, so it is read each time.
local function read_token()
  local path = variables.get(token_file_name)
  local token, source = variables.get(token_name) or "", token_name
  if path then
    local message
    source = "the file that " .. token_file_name .. " names"
    token, message = core.read_file(path, max_token)
    if not token or token == "" then
      return nil, ("%s, %s, cannot be read: %s"):format(source, exchange.quote(path), message or "it is empty")
    end
  end
  if token:find("[\r\n]") then
    return nil, source .. " holds a line break: write the token without one"
  elseif token:find("%c") then
    return nil, source .. " holds a control character"
  end
  return token
end

-- The exchange -------------------------------------------------------------------------------

local function send(context, url, token, deadline)
  local headers = { { "Accept", "application/json" } }
  if token ~= "" then headers[2] = { "Authorization", token } end
  return exchange.send(context.runtime, {
    method = "GET", url = url, headers = headers, proxy = "", ca_bundle = context.ca_bundle,
    connect_timeout = connect_timeout, read_timeout = read_timeout,
    timeout = connect_timeout + read_timeout,
  }, deadline)
end

local function failed(message, code, retryable)
  return nil, message, { code = code, retryable = retryable, throttled = false }
end

-- Whether another try may help where there is no reply, or one too large to be the service's.
local function is_transient(code)
  local known = errors.codes[code or ""]
  return code == "ResponseTooLarge" or known ~= nil and known.retryable
end

-- The record; else why not, and for a retry what it must know. Bad JSON is worth another (reference 7.10).
local function attempt(_, context, source, deadline)
  local token, message = read_token()
  if not token then return nil, message end
  local response, code
  response, message, code = send(context, source.url, token, deadline)
  if not response then
    return failed("the container's credential service cannot be asked: " .. message, code, is_transient(code))
  end
  local prefix = "the container's credential service answered with "
  if response.status ~= 200 then
    return nil, prefix .. exchange.refusal(response, token), (select(3, exchange.refused(response, {}, "")))
  end
  local document, reason = exchange.decode(response)
  if not document then return failed(prefix .. reason, "MalformedResponse", true) end
  local record
  record, reason = exchange.record(document, "Token", {})
  if record then return record end
  return failed(prefix .. "incomplete credentials: " .. reason, "MalformedResponse", true)
end

local function fetch(context, source, policy, deadline)
  if source.name then
    local allowed, message = check_name(context.runtime, source.name)
    if not allowed then return nil, message, "CredentialsFailed" end
  end
  local record, message, detail = policy:run(deadline, attempt, context, source, deadline)
  if record then return record end
  return nil, message, exchange.code_of(detail and detail.code)
end

---@param context iot.Context
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function container.new(context)
  local source, message, code = resolve_uri(context.runtime)
  if not source then return nil, message, code end
  local policy = exchange.policy(context.runtime, parameters)
  return {
    name = "container",
    feature = "z", -- of the user agent (reference 8.1)
    fetch = function(deadline) return fetch(context, source, policy, deadline) end,
  }
end

return container
