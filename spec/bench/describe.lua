-- P1, P3: descriptions one after the other: microseconds of CPU a call, and what the process took of memory at the
-- most, in kilobytes.  Arguments: the number of calls.
local iot = require "iot"

local count, warm_up = tonumber(arg[1]), 200

local client = assert(iot.new {
  region = "us-east-1", endpoint = os.getenv "BENCH_ENDPOINT", ca_bundle = os.getenv "BENCH_CA", proxy = "",
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
})

local params = { taskId = arg[2] or "6f6f8d5e-3c3c-4a0c-9a67-2f1f4e1f6c1d" }
local started
for i = 1 - warm_up, count do
  if i == 1 then started = os.clock() end
  assert(client:describe_thing_registration_task(params))
end
local spent = os.clock() - started

local peak
for line in io.lines "/proc/self/status" do peak = line:match "VmHWM:%s*(%d+)" or peak end
print(("%.4f %s"):format(spent * 1e6 / count, peak))
