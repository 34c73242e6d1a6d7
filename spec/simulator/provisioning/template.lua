-- Provisioning templates (reference 9.3). A template that was parsed holds
--
--   parameters   by name: { default = text or nil, used = whether a Ref names it }
--   resources    a list in order of logical names: { name, kind, properties, override }; kind is "Thing",
--                "Certificate" or "Policy", and properties are as they were written
--
-- What a value in the properties means is said in provisioning/values.lua.

local cjson = require "cjson.safe"
local values = require "simulator.provisioning.values"

local M = {}

local KINDS = {
  ["AWS::IoT::Thing"] = "Thing",
  ["AWS::IoT::Certificate"] = "Certificate",
  ["AWS::IoT::Policy"] = "Policy",
}

-- Of these properties a resource has exactly one.
M.SOURCES = {
  Thing = { "ThingName" },
  Certificate = { "CertificateSigningRequest", "CertificateId", "CertificatePem" },
  Policy = { "PolicyName", "PolicyDocument" },
}

local SETTINGS = {
  Thing = { AttributePayload = true, ThingTypeName = true, ThingGroups = true },
  Certificate = { Status = true },
  Policy = {},
}

local OVERRIDES = { DO_NOTHING = true, REPLACE = true, FAIL = true, MERGE = true }

-- cjson makes tables of arrays too.
local function is_object(value)
  return type(value) == "table" and value[1] == nil
end

local function parse_parameters(written)
  local parameters = {}
  if written ~= nil and not is_object(written) then
    return nil, "Parameters must be an object"
  end
  for name, parameter in pairs(written or {}) do
    if not is_object(parameter) or parameter.Type ~= "String" then
      return nil, ("Parameter %s must have the Type String"):format(name)
    elseif parameter.Default ~= nil and type(parameter.Default) ~= "string" then
      return nil, ("The Default of parameter %s must be a string"):format(name)
    end
    parameters[name] = { default = parameter.Default }
  end
  return parameters
end

-- The one property that says what a resource is made from, or nil.
function M.source(resource)
  local found
  for _, name in ipairs(M.SOURCES[resource.kind]) do
    if resource.properties[name] ~= nil then
      if found then
        return nil
      end
      found = name
    end
  end
  return found
end

local function check_override(resource)
  local override = resource.override
  if override ~= nil and not is_object(override) then
    return ("OverrideSettings of resource %s must be an object"):format(resource.name)
  end
  for name, value in pairs(override or {}) do
    if not SETTINGS[resource.kind][name] then
      return ("OverrideSettings of resource %s: there is no setting %s"):format(resource.name, name)
    elseif not OVERRIDES[value] then
      return ("OverrideSettings of resource %s: %s must be one of DO_NOTHING, REPLACE, FAIL, MERGE"):format(
        resource.name, name)
    end
  end
end

local function parse_resource(name, written, known)
  local kind = is_object(written) and KINDS[written.Type]
  if not kind then
    return nil, ("Resource %s must have one of the Types AWS::IoT::Thing, AWS::IoT::Certificate, AWS::IoT::Policy")
      :format(name)
  elseif not is_object(written.Properties) then
    return nil, ("Resource %s must have Properties"):format(name)
  end
  local resource = {
    name = name, kind = kind, properties = written.Properties, override = written.OverrideSettings,
  }
  if not M.source(resource) then
    return nil, ("Resource %s must have exactly one of %s"):format(name, table.concat(M.SOURCES[kind], ", "))
  end
  local wrong = check_override(resource)
  local problem = wrong or values.problem(resource.properties, known)
  if problem then
    return nil, wrong or ("Resource %s: %s"):format(name, problem)
  end
  return resource
end

local function parse_resources(written, parameters)
  if not is_object(written) or next(written) == nil then
    return nil, "Resources must be an object with at least one resource"
  end
  local resources, known, used = {}, {}, {}
  for _, names in ipairs { parameters, written } do
    for name in pairs(names) do
      known[name] = true
    end
  end
  for name, one in pairs(written) do
    local resource, problem = parse_resource(name, one, known)
    if not resource then
      return nil, problem
    end
    values.references(resource.properties, used)
    resources[#resources + 1] = resource
  end
  for name, parameter in pairs(parameters) do
    parameter.used = used[name] or false
  end
  table.sort(resources, function(a, b) return a.name < b.name end)
  return resources
end

-- Returns the template; or nil, what is wrong with the text, and whether that is that it is no JSON object.
function M.parse(text)
  local document = cjson.decode(text)
  if not is_object(document) or not text:find("^%s*{") then
    return nil, "The template is not a JSON object", true
  end
  local parameters, resources, problem
  parameters, problem = parse_parameters(document.Parameters)
  if not parameters then
    return nil, problem
  end
  resources, problem = parse_resources(document.Resources, parameters)
  if not resources then
    return nil, problem
  end
  return { parameters = parameters, resources = resources }
end

return M
