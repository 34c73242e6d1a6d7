-- Clients made and closed, over and over: memory and descriptors stay as they are. Every hundredth client is used,
-- and closed while one of its connections is idle; every other one is left to the collector.
local figures = require "spec.torture.soak.figures"
local iot = require "iot"

local total, samples = assert(tonumber(arg[1]), "how many?"), figures.room(20)
local checks = figures.checks()

local function make(i)
  local client = assert(iot.new {
    region = "us-east-1", endpoint = os.getenv "ENDPOINT", ca_bundle = os.getenv "CA", proxy = "",
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
  })
  if i % 100 == 0 then assert(client:describe_thing_registration_task { taskId = "task-1" }) end
  if i % 2 == 0 then client:close() end
end

local step = math.floor(total / 25)
for i = 1, 5 * step do make(i) end
for j, sample in ipairs(samples) do
  for i = 1, step do make(i) end
  figures.take(sample, (5 + j) * step)
end
local first, last = samples[1], samples[#samples]
print(("%d clients: resident %+.0f KiB, Lua %+.1f KiB by the line through %d samples, descriptors %d -> %d"):format(
  last.done, figures.growth(samples, "resident") / 1024, figures.growth(samples, "lua") / 1024, #samples,
  first.descriptors, last.descriptors))
checks.check(figures.growth(samples, "resident") < 1024 * 1024, "the resident memory has grown")
checks.check(figures.growth(samples, "lua") < figures.LUA_LIMIT, "Lua's memory has grown")
checks.check(last.descriptors == first.descriptors, "there are more descriptors")
os.exit(checks.problems == 0 and 0 or 1)
