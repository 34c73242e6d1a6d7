---Where the service is, and those that give credentials: the rule sets of reference section 2.
local endpoint = {}

-- botocore's partitions.json, version 1.1 (reference 2.2). `regions` are the names, `patterns` the
-- forms (Lua patterns; several where the regular expression has alternatives) of a partition's regions.
local function forms(prefixes)
  local patterns = {}
  for prefix in prefixes:gmatch("%S+") do
    patterns[#patterns + 1] = "^" .. prefix:gsub("%-", "%%-") .. "%-[A-Za-z0-9_]+%-%d+$"
  end
  return patterns
end

local partitions = {
  { id = "aws", suffix = "amazonaws.com", dualstack_suffix = "api.aws",
    patterns = forms "us eu ap sa ca me af il mx" },
  { id = "aws-cn", suffix = "amazonaws.com.cn", dualstack_suffix = "api.amazonwebservices.com.cn",
    patterns = forms "cn", pseudo_region = "aws-cn-global" },
  { id = "aws-eusc", suffix = "amazonaws.eu", dualstack_suffix = "api.amazonwebservices.eu",
    patterns = forms "eusc-de" },
  { id = "aws-iso", suffix = "c2s.ic.gov", dualstack_suffix = "api.aws.ic.gov",
    patterns = forms "us-iso", pseudo_region = "aws-iso-global" },
  { id = "aws-iso-b", suffix = "sc2s.sgov.gov", dualstack_suffix = "api.aws.scloud",
    patterns = forms "us-isob", pseudo_region = "aws-iso-b-global" },
  { id = "aws-iso-e", suffix = "cloud.adc-e.uk", dualstack_suffix = "api.cloud-aws.adc-e.uk",
    patterns = forms "eu-isoe", pseudo_region = "aws-iso-e-global" },
  { id = "aws-iso-f", suffix = "csp.hci.ic.gov", dualstack_suffix = "api.aws.hci.ic.gov",
    patterns = forms "us-isof", pseudo_region = "aws-iso-f-global" },
  { id = "aws-us-gov", suffix = "amazonaws.com", dualstack_suffix = "api.aws",
    patterns = forms "us-gov", pseudo_region = "aws-us-gov-global" },
}

-- Regions that no pattern knows belong to "aws", as the newest ones do until the data follows.
local function partition_of(region)
  for _, partition in ipairs(partitions) do
    if region == partition.pseudo_region then return partition end
    for _, pattern in ipairs(partition.patterns) do
      if region:find(pattern) then return partition end
    end
  end
  return partitions[1]
end

---Whether a region may become part of a host name: one label, 1 to 63 letters, digits and "-", not
---at either end, not digits alone (reference 2.3).
---@param region string
---@return boolean
function endpoint.is_region(region)
  return #region <= 63 and region:find("^[A-Za-z0-9-]+$") ~= nil and not region:find("^%-")
    and not region:find("%-$") and not region:find("^%d+$")
end

---Whether a URL can be the base of requests: http or https, a host, perhaps a port and a path, but no
---user, query or fragment (reference 2.5).
---@param url string
---@return boolean
function endpoint.is_base(url)
  local scheme, path = url:match("^(%a+)://[^/@?#%s%c]+(.*)$")
  scheme = scheme and scheme:lower()
  return (scheme == "http" or scheme == "https") and (path == "" or path:find("^/[^?#%s%c]*$") ~= nil)
end

---@alias iot.ServiceName "iot"|"sts"|"sso"|"oidc"|"signin"

-- The hosts; `fips_is_usual_in` a partition where FIPS alone changes nothing, `own_suffixes` of
-- partitions where neither FIPS nor dual stack is asked for (reference 2.1 and the end of 2.5).
local services = {
  iot = { host = "iot", fips_host = "iot-fips" },
  sts = { host = "sts", fips_host = "sts-fips", fips_is_usual_in = "aws-us-gov" },
  sso = { host = "portal.sso", fips_host = "portal.sso-fips", fips_is_usual_in = "aws-us-gov" },
  oidc = { host = "oidc", fips_host = "oidc-fips", fips_is_usual_in = "aws-us-gov" },
  signin = { host = "signin", fips_host = "signin-fips", own_suffixes = {
    ["aws"] = "signin.aws.amazon.com", ["aws-cn"] = "signin.amazonaws.cn",
    ["aws-us-gov"] = "signin.amazonaws-us-gov.com",
  } },
}

-- Where the setting "legacy" of sts_regional_endpoints means the global host.
local legacy_sts_regions = {
  ["ap-northeast-1"] = true, ["ap-south-1"] = true, ["ap-southeast-1"] = true, ["ap-southeast-2"] = true,
  ["ca-central-1"] = true, ["eu-central-1"] = true, ["eu-north-1"] = true, ["eu-west-1"] = true,
  ["eu-west-2"] = true, ["eu-west-3"] = true, ["sa-east-1"] = true, ["us-east-1"] = true,
  ["us-east-2"] = true, ["us-west-1"] = true, ["us-west-2"] = true,
}

---@class iot.EndpointParameters
---@field service iot.ServiceName?  "iot"
---@field region string?
---@field use_fips boolean?
---@field use_dualstack boolean?
---@field endpoint string?  a custom one
---@field legacy_global_sts boolean?

local function is_global_sts(parameters)
  if parameters.service ~= "sts" or parameters.endpoint or parameters.use_fips or parameters.use_dualstack then
    return false
  end
  return parameters.region == "aws-global"
    or (parameters.legacy_global_sts and legacy_sts_regions[parameters.region]) or false
end

---The region that requests to the service are signed for.
---@param parameters iot.EndpointParameters
---@return string?
function endpoint.signing_region(parameters)
  return is_global_sts(parameters) and "us-east-1" or parameters.region
end

-- Every partition of the data supports FIPS and dual stack, so the rules for those that do not
-- cannot apply.
local function regional_url(service, region, fips, dualstack)
  local partition = partition_of(region)
  local own = not fips and not dualstack and service.own_suffixes and service.own_suffixes[partition.id]
  if own then return ("https://%s.%s"):format(region, own) end
  if partition.id == service.fips_is_usual_in and not dualstack then fips = false end
  return ("https://%s.%s.%s"):format(fips and service.fips_host or service.host, region,
    dualstack and partition.dualstack_suffix or partition.suffix)
end

---The URL of a service, by its rule set (reference 2.1); its own words on failure.
---@param parameters iot.EndpointParameters
---@return string? url
---@return string? message
function endpoint.resolve(parameters)
  local fips, dualstack = parameters.use_fips, parameters.use_dualstack
  if parameters.endpoint then
    if fips then return nil, "Invalid Configuration: FIPS and custom endpoint are not supported" end
    if dualstack then
      return nil, "Invalid Configuration: Dualstack and custom endpoint are not supported"
    end
    return parameters.endpoint
  elseif not parameters.region then
    return nil, "Invalid Configuration: Missing Region"
  elseif is_global_sts(parameters) then
    return "https://sts.amazonaws.com"
  end
  return regional_url(services[parameters.service or "iot"], parameters.region, fips, dualstack)
end

return endpoint
