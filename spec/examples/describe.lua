-- Start a bulk registration and describe it until it has ended.
-- Region, credentials and endpoint come from the environment, as for every AWS tool.
local iot = require "iot"
local sleep = require("iot.runtime.blocking").sleep

local ended = { Completed = true, Failed = true, Cancelled = true }

local client, message = iot.new { app_id = "iot-example" }
if not client then
  io.stderr:write(message, "\n")
  os.exit(2)
end
print(("Starting a task in %s at %s"):format(client.region, client.endpoint))

local started = assert(client:start_thing_registration_task {
  templateBody = [[{
    "Parameters": { "SerialNumber": { "Type": "String" } },
    "Resources": {
      "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": { "Ref": "SerialNumber" } } }
    }
  }]],
  inputFileBucket = "example-bucket",
  inputFileKey = "devices.json",
  roleArn = "arn:aws:iam::123456789012:role/bulk-registration",
})
print("Task " .. started.taskId)

local task
repeat
  if task then sleep(0.5) end
  task = assert(client:describe_thing_registration_task { taskId = started.taskId })
  print(("%-10s %3d %%  %d registered, %d failed"):format(
    task.status, task.percentageProgress or 0, task.successCount or 0, task.failureCount or 0))
until ended[task.status]

print(("It took %.1f s, with credentials from: %s"):format(
  task.lastModifiedDate - task.creationDate, client.credentials_source))
if task.message then print("The service says: " .. task.message) end
os.exit(task.status == "Completed" and 0 or 1)
