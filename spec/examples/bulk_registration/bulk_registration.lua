-- The whole life of a bulk registration: check, start, wait, and say which devices failed, and why.
--
--   lua bulk_registration.lua TEMPLATE INPUT BUCKET KEY ROLE_ARN
--
-- INPUT is what has been uploaded to s3://BUCKET/KEY. Region, credentials and endpoint come from the environment, as
-- for every AWS tool. Exit codes: 0 all registered, 1 no, 2 wrong usage, 3 some were not.
local iot = require "iot"

local template_name, input_name, bucket, key, role = ...
if not role then
  io.stderr:write "usage: lua bulk_registration.lua TEMPLATE INPUT BUCKET KEY ROLE_ARN\n"
  os.exit(2)
end

local function give_up(message)
  io.stderr:write(message, "\n")
  os.exit(1)
end

local file = io.open(template_name, "rb")
local template = file and file:read "*a" or give_up("cannot read " .. template_name)
file:close()

-- What would fail is known before anything is sent. A wrong line costs one device, a wrong template all of them.
local checked, message = iot.check_provisioning(template, input_name)
if not checked then give_up(message) end
for _, problem in ipairs(checked.problems) do io.stderr:write("warning: ", problem.message, "\n") end
if checked.problems[1] and checked.problems[1].where == "template" then give_up "the template cannot be used" end

local client, reason = iot.new { app_id = "bulk-registration" }
if not client then give_up(reason) end

local started, problem = client:start_thing_registration_task {
  templateBody = template, inputFileBucket = bucket, inputFileKey = key, roleArn = role,
}
if not started then give_up(problem) end

-- A short task is looked at each second; the default is every 5 to 30 seconds, for up to an hour.
local task, why = client:wait_for_thing_registration_task({ taskId = started.taskId }, {
  interval = 1, max_interval = 1, on_progress = iot.progress(io.stderr),
})
if not task then give_up(why) end

local failed = task.failureCount or 0
print(("%d things registered, %d failed"):format(task.successCount or 0, failed))
for record in client:thing_registration_task_report { taskId = task.taskId, reportType = "ERRORS" } do
  print(("line %s: %s"):format(record:input_line() or "?", record:reason() or record.raw))
end
client:close()
os.exit(failed > 0 and 3 or 0, true)
