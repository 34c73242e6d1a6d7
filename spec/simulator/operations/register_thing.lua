local certificates = require "simulator.certificates"
local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local line = require "simulator.provisioning.line"
local templates = require "simulator.provisioning.template"
local things = require "simulator.things"
local validation = require "simulator.validation"

-- The members of the body, or nil with the code and message of a refusal.
local function read(call)
  local input = call.request:members()
  if not input then
    return nil, "InvalidRequestException", "Could not parse request body into json"
  end
  local good, code, message = validation.check(input, { { "templateBody", "TemplateBody" } })
  if not good then
    return nil, code, message
  end
  local parameters = input.parameters or {}
  local is_map = type(parameters) == "table" and parameters[1] == nil
  local problem = not is_map and "The parameters are not a map" or line.problem(parameters)
  if problem then
    return nil, "InvalidRequestException", problem
  end
  return input.templateBody, parameters
end

return {
  name = "RegisterThing",
  method = "POST",
  path = "/things",

  run = function(call)
    local text, parameters, message = read(call)
    if not text then
      return nil, parameters, message
    end
    local template, problem, refused = templates.parse(text)
    if not template then
      return nil, refused and "InvalidRequestException" or "ResourceRegistrationFailureException", problem
    end
    local series = certificates.series(digest.random(16))
    local result
    result, problem = line.register(template, parameters, {}, series, 1)
    if not result then
      return nil, "ResourceRegistrationFailureException", problem
    end
    problem = things.conflict(result.things)
    if problem then
      return nil, "ConflictingResourceUpdateException", problem
    end
    things.keep(result.things)
    local answer = { certificatePem = result.made and certificates.pem(series, 1) or result.pem }
    -- cjson writes a table without members as an object, which is what this is.
    answer.resourceArns = result.arns
    return cjson.encode(answer)
  end,
}
