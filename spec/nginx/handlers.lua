--- Inside nginx: locations for spec/support/endurance.lua, and the clients that they call with.
local iot = require "iot"

local M = { clients = {}, options = {} }

--- Make clients, of options by their names.
---@param all table<string, iot.Options>
function M.open(all)
  M.options = all
  for name, options in pairs(all) do M.clients[name] = assert(iot.new(options)) end
end

local function chosen()
  return M.clients[ngx.var.arg_client or "usual"]
end

-- A line: what was asked for, what came of it, and who answered.
local function say(...)
  ngx.say(table.concat({ ... }, " "), " ", ngx.worker.pid())
end

--- Describe the task `id` with the client `client`, within `timeout`.
function M.describe()
  local id = ngx.var.arg_id
  local task, _, detail = chosen():describe_thing_registration_task({ taskId = id },
    { timeout = tonumber(ngx.var.arg_timeout) })
  say(id, task and task.taskId .. "=" .. task.percentageProgress or detail.code)
end

--- Wait until the task `id` has ended.
function M.wait()
  local id = ngx.var.arg_id
  local task, message, detail = chosen():wait_for_thing_registration_task({ taskId = id },
    { interval = 1, max_interval = 1 })
  say(id, task and task.status or detail and detail.code or message)
end

--- Kilobytes of Lua, garbage apart.
function M.memory()
  collectgarbage()
  collectgarbage()
  ngx.say(collectgarbage "count")
end

return M
