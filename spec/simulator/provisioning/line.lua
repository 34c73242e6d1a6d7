-- One line of an input file, or the parameters of RegisterThing: read, checked, and put into a template.

local arns = require "simulator.arns"
local certificates = require "simulator.certificates"
local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local templates = require "simulator.provisioning.template"
local validation = require "simulator.validation"
local values = require "simulator.provisioning.values"

local M = {}

-- The parameters on a line, or nil and why there are none.
function M.read(text, number)
  if text:find("^%s*$") then
    return nil, "The line is blank"
  elseif number == 1 and text:sub(1, 3) == "\239\187\191" then
    return nil, "The file begins with a byte order mark"
  elseif not validation.characters(text) then
    return nil, "The line is not valid UTF-8"
  end
  local document = cjson.decode(text)
  if type(document) ~= "table" or not text:find("^%s*{") then
    return nil, "The line is not a JSON object"
  end
  return document
end

-- What is wrong with a map of parameters whatever the template, or nil.
function M.problem(parameters)
  for name, value in pairs(parameters) do
    if validation.problem("Parameter", name) then
      return "The name of a parameter is longer than 2048 characters"
    elseif type(value) ~= "string" then
      return ("The value of parameter %s is not a string"):format(name)
    elseif validation.problem("Value", value) then
      return ("The value of parameter %s is longer than 4096 characters"):format(name)
    end
  end
end

-- All parameters of a template with their values, of which those that nothing refers to may have none; or nil and
-- what is wrong with the given ones.
local function complete(template, given)
  local whole = {}
  for name in pairs(given) do
    if not template.parameters[name] then
      return nil, ("%s is no parameter of the template"):format(name)
    end
  end
  for name, parameter in pairs(template.parameters) do
    whole[name] = given[name] or parameter.default
    if not whole[name] and parameter.used then
      return nil, ("Parameter %s is missing and has no Default"):format(name)
    end
  end
  return whole
end

-- Each registers a resource: gets the value of its source, the result to add to, the names that are taken, and the
-- resource. Returns the ARN, or nil and why it cannot be.
local REGISTER = {
  ThingName = function(name, result, taken, resource)
    if not name:find("^[a-zA-Z0-9:_-]+$") or #name > 128 then
      return nil, "The thing name must have 1 to 128 of the characters a-z A-Z 0-9 : _ -"
    elseif taken[name] or result.names[name] then
      return nil, ("Thing %s has been registered by an earlier line"):format(name)
    end
    result.names[name] = true
    table.insert(result.things, {
      name = name, properties = values.resolve(resource.properties, result.given), override = resource.override,
    })
    return arns.thing(name)
  end,
  CertificateSigningRequest = function(_, result)
    result.made = true
    return arns.certificate(certificates.id(result.series, result.number))
  end,
  CertificatePem = function(pem, result)
    result.pem = pem
    return arns.certificate(digest.hex(digest.sha256(pem)))
  end,
  CertificateId = function(id) return arns.certificate(id) end,
  PolicyName = function(name) return arns.policy(name) end,
  PolicyDocument = function(document)
    if type(cjson.decode(document)) ~= "table" then
      return nil, "The policy document is not a JSON object"
    end
    return arns.policy(digest.hex(digest.sha256(document)))
  end,
}

-- Registers what a template says for these parameters, which have no problem. *taken* are the thing names that
-- are in use; those of a success are added. The certificate is the number-th of its series. Returns { arns by
-- logical name, things: a list as things.lua has it, made: whether a certificate was made, pem: the one that was
-- given }; or nil and what is wrong.
function M.register(template, given, taken, series, number)
  local whole, problem = complete(template, given)
  if not whole then
    return nil, problem
  end
  local result = { arns = {}, names = {}, things = {}, given = whole, series = series, number = number }
  for _, resource in ipairs(template.resources) do
    local source = templates.source(resource)
    local value = values.resolve(resource.properties[source], whole)
    if type(value) ~= "string" or value == "" then
      return nil, ("%s of resource %s must be a text that is not empty"):format(source, resource.name)
    end
    result.arns[resource.name], problem = REGISTER[source](value, result, taken, resource)
    if problem then
      return nil, problem
    end
  end
  for name in pairs(result.names) do
    taken[name] = true
  end
  return result
end

return M
