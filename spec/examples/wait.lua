-- Start a bulk registration and wait for its end, with something to look at meanwhile.
-- Region, credentials and endpoint come from the environment, as for every AWS tool.
local iot = require "iot"

local client, message = iot.new { app_id = "iot-example" }
if not client then
  io.stderr:write(message, "\n")
  os.exit(2)
end

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
print("Waiting for task " .. started.taskId)

-- A short task is looked at each second; the default is every 5 to 30 seconds, for up to an hour.
local task, problem = client:wait_for_thing_registration_task({ taskId = started.taskId }, {
  interval = 1, max_interval = 1, on_progress = iot.progress(io.stderr),
})
if not task then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
print(("%d things registered, %d failed"):format(task.successCount, task.failureCount))
