-- P4: descriptions, many at a time: calls a second, and what the process took of memory at the most, in kilobytes.
-- Arguments: the number of calls, how many at a time.
local core = require "iot.core"
local iot = require "iot"

local count, width = tonumber(arg[1]), tonumber(arg[2])

local client = assert(iot.new {
  region = "us-east-1", endpoint = os.getenv "BENCH_ENDPOINT", ca_bundle = os.getenv "BENCH_CA", proxy = "",
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
})

local items = {}
for i = 1, count do items[i] = { taskId = ("task-%d"):format(i) } end
local started = core.monotonic()
local results = iot.map(items, function(params)
  return client:describe_thing_registration_task(params)
end, { concurrency = width })
local spent = core.monotonic() - started
for i = 1, count do assert(results[i]) end

local peak
for line in io.lines "/proc/self/status" do peak = line:match "VmHWM:%s*(%d+)" or peak end
print(("%.4f %s"):format(count / spent, peak))
