---Everything that a client must know before its first call: option, else environment, else profile,
---else default (reference 6.1).
local endpoint = require "iot.endpoint"
local errors = require "iot.errors"
local profiles = require "iot.config.profiles"
local retry = require "iot.retry"
local variables = require "iot.config.variables"

local settings = {}

-- Seconds. Connecting and silence as reference 6.3 recommends; the whole call so that every wait ends.
local connect_timeouts = {
  legacy = 3.1, standard = 3.1, ["in-region"] = 1.1, ["cross-region"] = 3.1, mobile = 30,
}
local default_read_timeout = 60
local default_timeout = 120

local switch = { ["true"] = true, ["false"] = false }

-- "legacy" is botocore's own; where files and variables are shared with it, it stands for the default.
local retry_modes = { standard = "standard", adaptive = "adaptive", legacy = "standard" }

-- All imply the retry mode "standard", the default.
local defaults_modes = {
  legacy = "legacy", standard = "standard", ["in-region"] = "in-region", ["cross-region"] = "cross-region",
  mobile = "mobile", auto = "auto",
}

local function trimmed(text)
  return text:match("^%s*(.-)%s*$")
end

local function read_mode(text)
  return retry_modes[trimmed(text):lower()]
end

-- At most ten digits, which every Lua holds exactly.
local function read_attempts(text)
  local digits = trimmed(text):match("^0*(%d%d?%d?%d?%d?%d?%d?%d?%d?%d?)$")
  local attempts = tonumber(digits)
  return attempts and attempts >= 1 and attempts or nil
end

---A setting and the places where it is looked for.
---@class iot.Setting
---@field group string?  a table within the options and within the result, of which the next two are fields
---@field field string  of the result
---@field option string?
---@field variables string[]  the first that is set
---@field key string?  of the profile
---@field words table<string, any>?  what a text may be, in lower case, and what it means
---@field read (fun(text: string): any)?  what a text means, instead; nil: nothing
---@field wanted string?  what it may be, for messages
---@field fits (fun(value: any): boolean)?  whether the option may have this value
---@field accepted string?  what it may be, for messages, when that is not `wanted`
---@field default any
---@field keeps_blank boolean?  an empty value in a profile is not passed over

---@type iot.Setting[]
local known = {
  { field = "region", option = "region", variables = { "AWS_REGION", "AWS_DEFAULT_REGION" }, key = "region" },
  { field = "use_fips", option = "use_fips_endpoint", variables = { "AWS_USE_FIPS_ENDPOINT" },
    key = "use_fips_endpoint", words = switch, wanted = "true or false", default = false },
  { field = "use_dualstack", option = "use_dualstack_endpoint", variables = { "AWS_USE_DUALSTACK_ENDPOINT" },
    key = "use_dualstack_endpoint", words = switch, wanted = "true or false", default = false },
  { field = "ignore_endpoints", variables = { "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" },
    key = "ignore_configured_endpoint_urls", words = switch, wanted = "true or false", default = false },
  { field = "legacy_global_sts", variables = { "AWS_STS_REGIONAL_ENDPOINTS" }, key = "sts_regional_endpoints",
    words = { regional = false, legacy = true }, wanted = "regional or legacy", default = false },
  { field = "ca_bundle", option = "ca_bundle", variables = { "AWS_CA_BUNDLE" }, key = "ca_bundle",
    keeps_blank = true },
  { field = "app_id", option = "app_id", variables = { "AWS_SDK_UA_APP_ID" }, key = "sdk_ua_app_id" },
  { field = "defaults_mode", variables = { "AWS_DEFAULTS_MODE" }, key = "defaults_mode",
    words = defaults_modes, wanted = "standard, in-region, cross-region, mobile, auto or legacy",
    default = "legacy" },
  { group = "retry", field = "mode", option = "mode", variables = { "AWS_RETRY_MODE" }, key = "retry_mode",
    read = read_mode, wanted = "standard, adaptive or legacy", default = "standard",
    fits = function(mode) return mode == "standard" or mode == "adaptive" end,
    accepted = "standard or adaptive" },
  { group = "retry", field = "max_attempts", option = "max_attempts", variables = { "AWS_MAX_ATTEMPTS" },
    key = "max_attempts", read = read_attempts, wanted = "a whole number, at least 1",
    fits = function(attempts) return attempts >= 1 and attempts < math.huge and attempts % 1 == 0 end },
  { group = "retry", field = "parameters", variables = { "AWS_NEW_RETRIES_2026" },
    words = { ["true"] = "2.1", ["false"] = "2.0" }, wanted = "true or false", default = "2.1" },
}

-- The services by their names in files; in capitals they end the names of variables (reference 2.4).
local service_keys = { iot = "iot", sts = "sts", sso = "sso", oidc = "sso_oidc", signin = "signin" }

local function wrong(code, ...)
  return errors.fail({ code = code }, table.concat { ... })
end

-- A property of the selected profile, and what a message calls it. An empty one counts as unset.
local function profile_value(data, key, keeps_blank)
  local value = key and data.selected and data.selected[key]
  if value and (value ~= "" or keeps_blank) then
    return value, profiles.where(data, "profiles", data.name, key)
  end
end

-- The text of a setting and what a message calls its source; nil when none has it.
local function find_text(setting, data)
  for _, name in ipairs(setting.variables) do
    local text = variables.get(name)
    if text then return text, name end
  end
  return profile_value(data, setting.key, setting.keeps_blank)
end

local function not_wanted(source, wanted)
  return wrong("InvalidConfiguration", source, " must be ", wanted)
end

-- What the text of a variable or a profile means; nil when it means nothing.
local function meaning_of(setting, text)
  if setting.read then return setting.read(text) end
  if setting.words then return setting.words[text:lower()] end
  return text
end

-- Find a setting and put it, and its source, into the result.
local function read_setting(found, setting, options)
  local given, into, prefix = options, found, ""
  if setting.group then
    found[setting.group] = found[setting.group] or {}
    given, into, prefix = options[setting.group] or {}, found[setting.group], setting.group .. "."
  end
  local value, source = given[setting.option], "the option " .. prefix .. (setting.option or "")
  if value == nil then
    local text
    text, source = find_text(setting, found.profiles)
    if text then value = meaning_of(setting, text) end
    if text and value == nil then return not_wanted(source, setting.wanted) end
  elseif setting.fits and not setting.fits(value) then
    return not_wanted(source, setting.accepted or setting.wanted)
  end
  if value == nil then value = setting.default end
  into[setting.field], found.sources[prefix .. setting.field] = value, source
  return true
end

-- "fips-us-east-1" and "us-east-1-fips" are us-east-1 with FIPS (reference 2.3).
local function without_fips(region)
  local plain = region:match("^fips%-(.+)$") or region:match("^(.+)%-fips$")
  return plain or region, plain ~= nil
end

local function check_region(found)
  local region, data = found.region, found.profiles
  if not region then
    return wrong("MissingRegion", "no region is known: set the option region, the variable AWS_REGION, ",
      "or ", profiles.where(data, "profiles", data.name, "region"), profiles.passed_over(data), variables.note())
  end
  local plain, fips = without_fips(region)
  if not endpoint.is_region(region) or not endpoint.is_region(plain) then
    return wrong("InvalidRegion", found.sources.region, " is \"", profiles.shown(region),
      "\", which is no region such as us-east-1")
  end
  found.region = plain
  found.use_fips = found.use_fips or fips
  return true
end

-- An empty value is no way to say "the system's": it would loosen a client by accident.
local function check_ca_bundle(found)
  found.ca_bundle_source = found.sources.ca_bundle
  if found.ca_bundle ~= "" then return true end
  return wrong("InvalidCABundle", found.ca_bundle_source, " is empty")
end

local function finish_retry(found)
  local wanted = found.retry
  wanted.max_attempts = math.floor(wanted.max_attempts or retry.parameters[wanted.parameters].max_attempts)
  return true
end

-- Of "auto" without its question to the metadata service, which would cost more than it could save: in the
-- region when the environment of a managed service says so, else "standard".
local function finish_connect_timeout(found)
  local mode = found.defaults_mode
  if mode == "auto" then
    local here = variables.get("AWS_EXECUTION_ENV") and variables.get("AWS_REGION", "AWS_DEFAULT_REGION")
    mode = here == found.region and "in-region" or "standard"
  end
  found.connect_timeout = found.connect_timeout or connect_timeouts[mode]
  return true
end

-- The endpoint in the services section that the profile names, if any.
local function services_endpoint(data, key)
  local name, source = profile_value(data, "services")
  if not name then return nil end
  local section = data.services[name]
  if not section then
    return wrong("InvalidProfile", source, " names no section that is there: add [services ",
      profiles.shown(name), "] to ", profiles.shown(data.config_path))
  end
  local value = section[key] or ""
  if value ~= "" and value:sub(1, 1) ~= "\n" then
    return wrong("InvalidProfile", profiles.where(data, "services", name, key),
      " must be empty, with endpoint_url = URL on an indented line below")
  end
  local url = profiles.sub_properties(value).endpoint_url
  if url and url ~= "" then
    return url, "endpoint_url under " .. profiles.where(data, "services", name, key)
  end
end

-- The custom endpoint of a service, without the option, and its source (reference 2.4, steps 2 to 6).
local function configured_endpoint(found, service)
  if found.ignore_endpoints then return nil end
  local key = service_keys[service]
  local url, source = variables.get("AWS_ENDPOINT_URL_" .. key:upper(), "AWS_ENDPOINT_URL")
  if url then return url, source end
  local detail
  url, source, detail = services_endpoint(found.profiles, key)
  if url or detail then return url, source, detail end
  return profile_value(found.profiles, "endpoint_url")
end

local function resolve_endpoint(found, option)
  local custom, source, detail = option, "the option endpoint", nil
  if not custom then custom, source, detail = configured_endpoint(found, "iot") end
  if detail then return nil, source, detail end
  found.custom_endpoint = custom ~= nil
  found.endpoint_source = source or "the region"
  local url, message = endpoint.resolve {
    region = found.region, endpoint = custom,
    use_fips = found.use_fips, use_dualstack = found.use_dualstack,
  }
  if not url then
    return wrong("InvalidConfiguration", message, "; the endpoint is given by ", found.endpoint_source)
  end
  found.endpoint = url
  return true
end

-- A service's URL, without a "/" at its end, and the region to sign for; or nil, the reason, a code.
local function other_endpoint(found, custom, service, region)
  if custom.detail then return nil, custom.detail.message, custom.detail.code end
  if not endpoint.is_region(region) then
    return nil, "the region for " .. service .. " is none: letters, digits and - are allowed", "InvalidRegion"
  elseif custom.url and not endpoint.is_base(custom.url) then
    return nil, "the endpoint given by " .. custom.source .. " cannot be used: it must be http:// or https://, "
      .. "a host, and no user, query or fragment", "InvalidEndpoint"
  end
  local parameters = {
    service = service, region = region, endpoint = custom.url, use_fips = found.use_fips,
    use_dualstack = found.use_dualstack, legacy_global_sts = found.legacy_global_sts,
  }
  local url, message = endpoint.resolve(parameters)
  if not url then
    return nil, message .. "; the endpoint of " .. service .. " is given by " .. custom.source,
      "InvalidConfiguration"
  end
  return (url:gsub("/$", "", 1)), endpoint.signing_region(parameters)
end

-- The endpoints of the services that give credentials. What is configured is looked up now, when the
-- environment is that of `iot.new`; what is wrong with it is said when the service is needed.
local function endpoints_of_others(found)
  local custom = {}
  for service in pairs(service_keys) do
    local url, source, detail = configured_endpoint(found, service)
    custom[service] = { url = url, source = source, detail = detail }
  end
  return function(service, region)
    return other_endpoint(found, custom[service], service, region or found.region)
  end
end

---@param options iot.Options  checked
---@param data iot.Profiles?  what the files hold, if they have been read
---@return iot.Settings? settings
---@return string? message
---@return iot.Error? detail
function settings.resolve(options, data)
  local message, detail
  if not data then data, message, detail = profiles.load(options.profile) end
  if not data then return nil, message, detail end
  local found = {
    profiles = data,
    sources = {},
    connect_timeout = options.connect_timeout,
    read_timeout = options.read_timeout or default_read_timeout,
    timeout = options.timeout or default_timeout,
    proxy = options.proxy,
  }
  local ok
  for _, setting in ipairs(known) do
    ok, message, detail = read_setting(found, setting, options)
    if not ok then return nil, message, detail end
  end
  if found.app_id == "" then found.app_id = nil end
  for _, finish in ipairs {
    check_region, check_ca_bundle, resolve_endpoint, finish_retry, finish_connect_timeout,
  } do
    ok, message, detail = finish(found, options.endpoint)
    if not ok then return nil, message, detail end
  end
  found.endpoint_for = endpoints_of_others(found)
  return found
end

return settings
