-- What a state does in spec/torture/states/host: by the name of the scenario, functions that the host calls one after
-- the other. Then it closes the state, whatever they left open.
local endpoint, ca_bundle = os.getenv "ENDPOINT", os.getenv "CA"

local core, iot, client

local function open()
  core, iot = require "iot.core", require "iot"
  client = assert(iot.new {
    region = "us-east-1", endpoint = endpoint, ca_bundle = ca_bundle, proxy = "", retry = { max_attempts = 3 },
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
  })
end

local function describe(by, id)
  local task, message = by:describe_thing_registration_task { taskId = id }
  assert(task and task.taskId == id, message)
end

-- One call after the other, many at once, and one that is tried again.
local function call()
  for i = 1, 2 do describe(client, "task-" .. i) end
  local results, failures = iot.map({ 1, 2, 3, 4 }, function(i)
    describe(client, "task-" .. i)
    return core.uuid()
  end)
  assert(next(failures) == nil and #results == 4 and results[1] ~= results[2])
  local task, _, detail = client:describe_thing_registration_task { taskId = "kind-garbage-1" }
  assert(not task and detail.code == "MalformedResponse")
end

-- Every other state leaves it to the collector.
local function close_some()
  if core.random() < 0.5 then client:close() end
end

-- What an error or a coroutine that nobody resumes leaves in the middle of a call.
local function abandon()
  local function watched(on_event)
    return assert(iot.new { region = "us-east-1", endpoint = endpoint, ca_bundle = ca_bundle, proxy = "",
      credentials = { access_key_id = "a", secret_access_key = "b" }, on_event = on_event })
  end
  local thrower = watched(function() error "thrown" end)
  assert(not pcall(describe, thrower, "task-1"))
  local _, failures = iot.map({ 1, 2, 3 }, function() describe(thrower, "task-1") end)
  assert(#failures == 3)
  local thread = coroutine.create(describe)
  assert(coroutine.resume(thread, watched(function() coroutine.yield() end), "task-1"))
  assert(coroutine.status(thread) == "suspended")
end

-- Exchanges, a download and a program under way, in a multi that nobody closes.
local function begin()
  local multi = assert(core.multi(4))
  local stalled = { url = endpoint .. "/kind-stall-1", ca_bundle = ca_bundle, proxy = "", timeout = 60 }
  for _ = 1, 3 do assert(multi:request(stalled)) end
  assert(multi:download(stalled))
  assert(multi:run({ "sleep", "60" }, 60))
  multi:wait(0.01, {})
end

local function look_up()
  local multi = assert(core.multi(4))
  for i = 1, 2 do assert(multi:request { url = ("https://host-%d.slow/"):format(i), proxy = "", timeout = 60 }) end
  multi:wait(0.01, {})
end

-- With programs of other threads beside them.
local function run_programs()
  core = require "iot.core"
  local text = core.uuid()
  local result = assert(core.run({ "sh", "-c", 'echo "$1"; ls /proc/$$/fd', "sh", text }, 30))
  assert(result.output == text .. "\n0\n1\n2\n", result.output)
end

local SCENARIOS = {
  calls = { open, call, close_some },
  abandoned = { open, abandon, call },
  begun = { open, begin },
  resolver = { open, look_up },
  programs = { run_programs },
}

return (rawget(table, "unpack") or rawget(_G, "unpack"))(assert(SCENARIOS[...]))
