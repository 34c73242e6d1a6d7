local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

return {
  name = "DescribeThingRegistrationTask",
  method = "GET",
  path = "/thing-registration-tasks/{taskId}",

  run = function(call)
    local good, code, message = validation.check(call.labels, { { "taskId", "TaskId" } })
    if not good then
      return nil, code, message
    end
    local description = tasks.describe(call.labels.taskId, call.now)
    if not description then
      return nil, "ResourceNotFoundException", ("Task %s does not exist."):format(call.labels.taskId)
    end
    return description
  end,
}
