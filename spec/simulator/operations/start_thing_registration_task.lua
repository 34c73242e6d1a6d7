local cjson = require "cjson.safe"
local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

local MEMBERS = {
  { "templateBody", "TemplateBody" },
  { "inputFileBucket", "RegistryS3BucketName" },
  { "inputFileKey", "RegistryS3KeyName" },
  { "roleArn", "RoleArn" },
}

-- The members of the body, null ones left out; nil when it is no JSON object.
local function parse(body)
  local document = cjson.decode(body == "" and "{}" or body)
  if type(document) ~= "table" or document[1] ~= nil then
    return nil
  end
  local members = {}
  for name, value in pairs(document) do
    if value ~= cjson.null then
      members[name] = value
    end
  end
  return members
end

return {
  name = "StartThingRegistrationTask",
  method = "POST",
  path = "/thing-registration-tasks",

  run = function(call)
    local input = parse(call.request.body)
    if not input then
      return nil, "InvalidRequestException", "Could not parse request body into json"
    end
    local good, code, message = validation.check(input, MEMBERS)
    if not good then
      return nil, code, message
    end
    local members = {}
    for _, member in ipairs(MEMBERS) do
      members[member[1]] = input[member[1]]
    end
    return { taskId = tasks.add(members, {}, call.now) }
  end,
}
