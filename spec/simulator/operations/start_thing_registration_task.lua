local digest = require "simulator.digest"
local input_files = require "simulator.provisioning.input"
local objects = require "simulator.objects"
local outcomes = require "simulator.outcomes"
local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

local MEMBERS = {
  { "templateBody", "TemplateBody" },
  { "inputFileBucket", "RegistryS3BucketName" },
  { "inputFileKey", "RegistryS3KeyName" },
  { "roleArn", "RoleArn" },
}

-- The members of the task to be, or nil with the code and message of a refusal.
local function read(call)
  local input = call.request:members()
  if not input then
    return nil, "InvalidRequestException", "Could not parse request body into json"
  end
  local good, code, message = validation.check(input, MEMBERS)
  if not good then
    return nil, code, message
  end
  local members = { taskId = digest.uuid() }
  for _, member in ipairs(MEMBERS) do
    members[member[1]] = input[member[1]]
  end
  return members
end

return {
  name = "StartThingRegistrationTask",
  method = "POST",
  path = "/thing-registration-tasks",

  -- A task whose input file is there goes as its lines say, another one by the plan of the settings.
  run = function(call)
    local members, code, message = read(call)
    if not members then
      return nil, code, message
    end
    message = tasks.busy(call.now)
    if message then
      return nil, "InvalidRequestException", message
    end
    local plan, outcome = {}, nil
    local text = objects.get(members.inputFileBucket, members.inputFileKey)
    if text then
      plan, outcome, message = input_files.plan(members.taskId, members.templateBody, text)
      if not plan then
        return nil, outcome, message
      end
    end
    if outcome then
      outcomes.save(members.taskId, outcome)
    end
    return { taskId = tasks.start(members, plan, call.now, outcome ~= nil) }
  end,
}
