-- A picture of the gateway's page with tasks in every state, for people to look at.
--   make screenshot        writes build/gateway.png
-- Arguments: the file; then any of: dark, narrow.
local browsers = require "spec.support.browser"
local gateways = require "spec.support.gateway"
local runtime = require "iot.runtime"
local simulator = require "spec.support.simulator"

local path, wishes = arg[1], table.concat(arg, " ", 2)
local missing = browsers.missing()
if missing then error(missing, 0) end

local sim = simulator.start { concurrent_tasks = 100 }
sim:seed { plan = { things = 5000, failures = 12, seconds = 40 } }
sim:seed { status = "InProgress", percentageProgress = 63, successCount = 3140, failureCount = 9 }
sim:seed { status = "InProgress", percentageProgress = 8, successCount = 80, failureCount = 0 }
sim:seed { status = "Cancelling", percentageProgress = 31, successCount = 310, failureCount = 2,
  message = "Stop requested." }
local gateway = gateways.start(sim)
local narrow = wishes:find "narrow"
local browser = browsers.start {
  width = narrow and 420 or 1100, height = narrow and 1900 or 1300, dark = wishes:find "dark" ~= nil,
}
-- These end while they are watched.
sim:seed { plan = { things = 1200, failures = 0, seconds = 3 } }
sim:seed {
  plan = { things = 800, failures = 800, seconds = 3, status = "Failed", message = "Nothing was registered." },
}
browser:open(gateway.url)
browser:wait "return document.querySelectorAll('article').length === 6"
browser:run "document.querySelectorAll('summary')[3].click(); document.querySelectorAll('summary')[1].click()"
runtime.sleep(5)
browser:screenshot(path)
browser:stop()
gateway:stop()
sim:stop()
