local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

return {
  name = "StopThingRegistrationTask",
  method = "PUT",
  path = "/thing-registration-tasks/{taskId}/cancel",

  run = function(call)
    local good, code, message = validation.check(call.labels, { { "taskId", "TaskId" } })
    if not good then
      return nil, code, message
    end
    good, code, message = tasks.stop(call.labels.taskId, call.now)
    if not good then
      return nil, code, message
    end
    return {}
  end,
}
