local paging = require "simulator.paging"
local tasks = require "simulator.tasks"
local validation = require "simulator.validation"

local MEMBERS = { { "status", "Status", optional = true }, paging.MEMBERS[1], paging.MEMBERS[2] }

return {
  name = "ListThingRegistrationTasks",
  method = "GET",
  path = "/thing-registration-tasks",

  run = function(call)
    local parameters = call.request:parameters()
    local good, code, message = validation.check(parameters, MEMBERS)
    if not good then
      return nil, code, message
    end
    local question = "tasks " .. (parameters.status or "")
    local position
    position, code, message = paging.position(question, parameters)
    if not position then
      return nil, code, message
    end
    local ids, rest = tasks.list(parameters.status, tonumber(position), paging.size(parameters), call.now)
    return paging.body("taskIds", ids, rest and paging.token(question, rest))
  end,
}
