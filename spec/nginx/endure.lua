-- See spec/nginx/endure.
local core = require "iot.core"
local command = require "spec.support.command"
local endurance = require "spec.support.endurance"
local simulator = require "spec.support.simulator"

local total = assert(tonumber((...)), "how many calls?")
local batch, parallel, reloads = 5000, 20, 20
local problems = 0

local function check(condition, problem)
  if condition then return end
  problems = problems + 1
  print("PROBLEM: " .. problem)
end

local function milliseconds(times)
  return ("median %.2f ms, longest %.2f ms"):format(times.median * 1000, times.longest * 1000)
end

-- Others while 100 calls hang ----------------------------------------------------------------------

local function hang(sim, nginx)
  print "GET of another location, 1000 times, in one worker:"
  print("  idle: " .. milliseconds(endurance.measure(nginx, "/quick", 1000)))
  sim:fault { kind = "delay", seconds = 1, times = 100 }
  local load = endurance.begin(nginx, "/describe?id=task&n=[1-100]", 100)
  print("  while 100 calls connect: " .. milliseconds(endurance.measure(nginx, "/quick", 1000)))
  command.run { "sleep", "0.3" }
  local hanging = endurance.measure(nginx, "/quick", 1000)
  print("  while 100 calls hang for 1 s: " .. milliseconds(hanging))
  local counts = endurance.tally(load:finish())
  check(counts["task task=7"] == 100, "a call that hung failed")
  check(hanging.longest < 0.1, "others noticed it")
end

-- Many calls -----------------------------------------------------------------------------------------

local FAULTS = {
  { kind = "reset" }, { kind = "reply", status = 503, body = "<html>" }, { kind = "truncate" }, { kind = "stall" },
}

-- One in a hundred of the next calls.
local function queue_faults(sim)
  local faults = {}
  for i = 1, batch / 100 do
    local fault = {}
    for name, value in pairs(FAULTS[i % #FAULTS + 1]) do fault[name] = value end
    fault.skip = 100 * i - 50
    faults[i] = fault
  end
  sim:fault(faults)
end

local function print_figures(calls, figures)
  print(("  %7d calls: resident %d KiB, Lua %.0f KiB, %d descriptors"):format(
    calls, figures.resident, figures.lua, figures.descriptors))
end

-- Lines of the log without what differs from one to the next.
local function print_log(log)
  local counts = {}
  for line in log:gmatch "[^\n]+" do
    local kind = line:match "(%[%a+%] .-), client: " or line
    kind = kind:gsub("%d+#%d+: %*%d+ ", "")
    counts[kind] = (counts[kind] or 0) + 1
  end
  for kind, count in pairs(counts) do print(("  logged %d times: %s"):format(count, kind)) end
end

local function call_many(sim, nginx, client, has_faults)
  print(("%d calls, %d at a time%s:"):format(total, parallel, has_faults and ", 1 % with faults" or ""))
  local at, good = #nginx:log(), 0
  local path = ("/describe?client=%s&id=task&n=[1-%d]"):format(client, batch)
  if has_faults then queue_faults(sim) end
  endurance.begin(nginx, path, parallel):finish()
  sim:clear()
  local first = endurance.figures(nginx)
  print_figures(0, first)
  local spent, last = 0, first
  for done = batch, total, batch do
    if has_faults then queue_faults(sim) end
    local started = core.monotonic()
    good = good + (endurance.tally(endurance.begin(nginx, path, parallel):finish())["task task=7"] or 0)
    spent = spent + core.monotonic() - started
    sim:clear()
    last = endurance.figures(nginx)
    if done * 5 % total < batch then print_figures(done, last) end
  end
  print(("  %.0f calls a second, %d good"):format(total / spent, good))
  local log = nginx:log():sub(at + 1)
  print_log(log)
  check(good == math.floor(total / batch) * batch, "not all calls were good")
  check(has_faults or log == "", "there is something in the log")
  check(last.resident - first.resident < 2048, "the resident memory has grown")
  check(last.lua - first.lua < 128, "Lua's memory has grown")
  check(last.descriptors <= first.descriptors + 2, "there are more descriptors")
end

-- Reloads --------------------------------------------------------------------------------------------

local function reload(sim, nginx)
  print(("%d reloads during calls:"):format(reloads))
  sim:fault { kind = "delay", seconds = 0.04, times = 100 * reloads }
  local load = endurance.begin(nginx, ("/describe?id=task&n=[1-%d]"):format(100 * reloads), parallel)
  for _ = 1, reloads do nginx:reload() end
  local counts, processes = endurance.tally(load:finish())
  local workers = 0
  for _ in pairs(processes) do workers = workers + 1 end
  print(("  %d calls, %d good, answered by %d workers"):format(100 * reloads, counts["task task=7"], workers))
  check(counts["task task=7"] == 100 * reloads, "a call was lost")
end

local sim = simulator.start { journal_limit = 0, lifetime = 1800 }
sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }

local function with_nginx(directives, fn)
  local nginx = endurance.start(sim, {
    clients = { hasty = sim:options { read_timeout = 0.2, retry = { max_attempts = 3 } } },
    directives = directives, lifetime = 1800,
  })
  fn(nginx)
  nginx:stop()
end

with_nginx("", function(nginx)
  hang(sim, nginx)
  call_many(sim, nginx, "usual", false)
  call_many(sim, nginx, "hasty", true)
  reload(sim, nginx)
end)
with_nginx("lua_socket_log_errors off;", function(nginx)
  print "With lua_socket_log_errors off:"
  call_many(sim, nginx, "hasty", true)
end)
sim:stop()
os.exit(problems == 0 and 0 or 1)
