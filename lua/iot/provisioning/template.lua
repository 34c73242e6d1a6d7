---The checks of a provisioning template (reference 9.3), and what the checks of lines need of it.
local document = require "iot.provisioning.document"
local thing_name = require "iot.provisioning.thing_name"

local template = {}

local max_template, max_name, max_value = 10240, 2048, 4096

---@class iot.provisioning.Parameter
---@field default string?
---@field optional boolean  it has a Default, though perhaps no usable one

---@class iot.provisioning.Template
---@field declared table<string, iot.provisioning.Parameter>?  nil when that could not be told
---@field required string[]  what each line must give a value for, sorted
---@field names (fun(object: table): string?)[]  the names of a line's things

local kind = document.kind

-- Whether it is an object; nil, and null with `may_be_absent`, are for the caller to look at.
local function check_object(report, subject, value, noun, name)
  if document.is_object(value) then return true end
  report:add("InvalidStructure", subject, noun .. " is " .. kind(value) .. ", not an object", name)
  return false
end

local function check_default(report, subject, name, default)
  if type(default) ~= "string" then
    report:add("InvalidDefault", subject, "the Default of the parameter %s is " .. kind(default) .. ", not a string",
      name)
  elseif document.exceeds(default, max_value) then
    report:add("ValueTooLong", subject, "the Default of the parameter %s is longer than 4,096 characters", name)
  end
end

local function check_parameter(report, name, definition)
  local subject = { parameter = name }
  if document.exceeds(name, max_name) then
    report:add("NameTooLong", subject, "the parameter name %s is longer than 2,048 characters", name)
  end
  if not check_object(report, subject, definition, "the parameter %s", name) then return { optional = true } end
  local given, default = definition.Type, definition.Default
  if given == nil then
    report:add("InvalidParameterType", subject, "the parameter %s has no Type, which must be String", name)
  elseif type(given) ~= "string" then
    report:add("InvalidParameterType", subject, "the Type of the parameter %s is " .. kind(given) .. ", not String",
      name)
  elseif given ~= "String" then
    report:add("InvalidParameterType", subject, "the Type of the parameter %s is %s, not String", name, given)
  end
  if default ~= nil then check_default(report, subject, name, default) end
  return { default = type(default) == "string" and default or nil, optional = default ~= nil }
end

local function check_parameters(report, parameters)
  if parameters == nil then return {} end
  if not check_object(report, nil, parameters, "Parameters") then return nil end
  local declared = {}
  for _, name in ipairs(document.sorted_names(parameters)) do
    declared[name] = check_parameter(report, name, parameters[name])
  end
  return declared
end

-- What the Refs of a value name, at any depth, and what those are that name nothing.
local function collect_references(value, found)
  if type(value) ~= "table" then return end
  if type(value.Ref) == "string" then
    found.names[value.Ref] = true
  elseif value.Ref ~= nil then
    found.kinds[kind(value.Ref)] = true
  end
  for _, member in pairs(value) do collect_references(member, found) end
end

local function check_references(report, subject, state, properties)
  local found = { names = {}, kinds = {} }
  collect_references(properties, found)
  for _, what in ipairs(document.sorted_names(found.kinds)) do
    report:add("InvalidReference", subject, "a Ref of the resource %s is " .. what .. ", not a string",
      subject.resource)
  end
  for _, name in ipairs(document.sorted_names(found.names)) do
    state.used[name] = true
    -- AWS's manual says of resources that they can be referred to, though not what that gives.
    if state.declared and not state.declared[name] and not state.resources[name] then
      report:add("UndeclaredReference", { resource = subject.resource, parameter = name },
        "the resource %s refers to %s, which is not declared as a parameter", subject.resource, name)
    end
  end
end

local actions = { DO_NOTHING = true, REPLACE = true, FAIL = true, MERGE = true }

-- What can be overridden, by AWS's manual of provisioning templates; of a policy, nothing.
local settings = {
  ["AWS::IoT::Thing"] = { AttributePayload = true, ThingTypeName = true, ThingGroups = true },
  ["AWS::IoT::Certificate"] = { Status = true },
  ["AWS::IoT::Policy"] = {},
}

-- A status is one word, with nothing to merge.
local function is_action(setting, value)
  return type(value) == "string" and actions[value] ~= nil and not (setting == "Status" and value == "MERGE")
end

local function check_overrides(report, subject, resource)
  local overrides = resource.OverrideSettings
  if overrides == nil
    or not check_object(report, subject, overrides, "OverrideSettings of the resource %s", subject.resource) then
    return
  end
  for _, setting in ipairs(document.sorted_names(overrides)) do
    local value = overrides[setting]
    if settings[resource.Type] and not settings[resource.Type][setting] then
      report:add("UnknownOverride", subject, "the resource %s has no override setting %s", subject.resource, setting)
    elseif not is_action(setting, value) then
      report:add("InvalidOverride", subject, "the override setting %s cannot be "
        .. (type(value) == "string" and "%s" or kind(value)), setting, type(value) == "string" and value or nil)
    end
  end
end

local function check_sources(report, subject, properties, word, sources)
  local present = {}
  for _, source in ipairs(sources) do
    -- A null is none.
    if properties[source] ~= nil and type(properties[source]) ~= "userdata" then present[#present + 1] = source end
  end
  if #present == 1 then return end
  report:add(word, subject, "the resource %s must have exactly one of " .. table.concat(sources, ", ") .. "; it has "
    .. (#present > 0 and table.concat(present, ", ") or "none"), subject.resource)
end

local function is_function(value)
  local name = type(value) == "table" and next(value)
  return type(name) == "string" and (name == "Ref" or name:find "^Fn::" ~= nil) and next(value, name) == nil
end

-- What is to be known of each type of resource.
local types = {}

types["AWS::IoT::Thing"] = function(report, subject, properties, state)
  local name = properties.ThingName
  if name == nil or type(name) == "userdata" then
    return report:add("InvalidThingName", subject, "the resource %s has no ThingName", subject.resource)
  elseif type(name) == "string" then
    local fault = thing_name.fault(name)
    if fault then return report:add("InvalidThingName", subject, fault, name) end
  elseif not document.is_object(name) then
    report:add("InvalidThingName", subject, "the ThingName of the resource %s is " .. kind(name) .. ", not a string",
      subject.resource)
  end
  state.names[#state.names + 1] = thing_name.resolver(name, state.declared or {})
end

types["AWS::IoT::Certificate"] = function(report, subject, properties)
  check_sources(report, subject, properties, "InvalidCertificateSource",
    { "CertificateSigningRequest", "CertificateId", "CertificatePem" })
end

types["AWS::IoT::Policy"] = function(report, subject, properties)
  local policy = properties.PolicyDocument
  check_sources(report, subject, properties, "InvalidPolicySource", { "PolicyName", "PolicyDocument" })
  if policy ~= nil and type(policy) ~= "userdata" and type(policy) ~= "string" and not is_function(policy) then
    report:add("InvalidPolicyDocument", subject, "the PolicyDocument of the resource %s is " .. kind(policy)
      .. ", not a string that holds one", subject.resource)
  end
end

local function check_type(report, subject, resource)
  local given = resource.Type
  if types[given] then return types[given] end
  if given == nil then
    report:add("UnknownResourceType", subject, "the resource %s has no Type", subject.resource)
  elseif type(given) == "string" then
    report:add("UnknownResourceType", subject, "the resource %s is of the unknown type %s", subject.resource, given)
  else
    report:add("UnknownResourceType", subject, "the Type of the resource %s is " .. kind(given) .. ", not a string",
      subject.resource)
  end
end

local function check_resource(report, name, resource, state)
  local subject = { resource = name }
  if not check_object(report, subject, resource, "the resource %s", name) then return end
  local check, properties = check_type(report, subject, resource), resource.Properties
  check_overrides(report, subject, resource)
  if properties ~= nil and not check_object(report, subject, properties, "Properties of the resource %s", name) then
    return
  end
  if check then check(report, subject, properties or {}, state) end
  check_references(report, subject, state, properties)
end

local function check_resources(report, resources, state)
  if resources == nil then return report:add("MissingResources", nil, "it has no Resources") end
  if not check_object(report, nil, resources, "Resources") then return end
  if next(resources) == nil then report:add("MissingResources", nil, "its Resources are empty") end
  state.resources = resources
  for _, name in ipairs(document.sorted_names(resources)) do check_resource(report, name, resources[name], state) end
end

local function required_of(state)
  local required = {}
  for _, name in ipairs(document.sorted_names(state.used)) do
    local parameter = state.declared and state.declared[name]
    if parameter and not parameter.optional then required[#required + 1] = name end
  end
  return required
end

---Check a template.
---@param text string
---@param report iot.provisioning.Report
---@return iot.provisioning.Template
function template.check(text, report)
  if document.exceeds(text, max_template) then
    report:add("TemplateTooLong", nil, "it has %d characters, more than 10,240", document.characters(text))
  end
  local object = document.read(text, report)
  if not object then return { required = {}, names = {} } end
  local state = { used = {}, names = {}, declared = check_parameters(report, object.Parameters) }
  check_resources(report, object.Resources, state)
  return { declared = state.declared, required = required_of(state), names = state.names }
end

return template
