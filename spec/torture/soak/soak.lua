-- See spec/torture/soak/run.
local core = require "iot.core"
local figures = require "spec.torture.soak.figures"
local iot = require "iot"
local ledgers = require "spec.torture.soak.ledger"
local virtual_clock = require "spec.support.virtual_clock"

local total, seed = assert(tonumber(arg[1]), "how many calls?"), arg[2]
local batch = math.max(2000, math.floor(total / 100))
local width, waits = 64, 64

local checks = figures.checks()
local check = checks.check

local function options_of(changes)
  local all = {
    region = "us-east-1", endpoint = os.getenv "ENDPOINT", ca_bundle = os.getenv "CA", proxy = "", read_timeout = 0.5,
    retry = { max_attempts = 8 },
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
  }
  for name, value in pairs(changes) do all[name] = value end
  return all
end

local function new_client(changes) return assert(iot.new(options_of(changes))) end

-- What ends a call at once, however often it may be tried.
local FINAL = { ResourceNotFoundException = true, MalformedResponse = true }

-- A million calls ------------------------------------------------------------------------------------

-- One map. Each of its items has either a result or a failure.
local function describe_all(client, ledger, first, count)
  local items = {}
  for i = 1, count do items[i] = ("task-%d"):format(first + i) end
  local results, failures = iot.map(items, function(id)
    local task, message, detail = client:describe_thing_registration_task { taskId = id }
    if not task then return nil, message, detail end
    check(task.taskId == id, "a result is another task's")
    return task.serial
  end, { concurrency = width })
  local page = ledger:read()
  for i, id in ipairs(items) do
    check((results[i] ~= nil) ~= (failures[i] ~= nil), "an item has no outcome, or two: " .. id)
    if results[i] then
      ledger:claim(page, id, results[i])
    else
      ledger.failures = ledger.failures + 1
      check(FINAL[failures[i].detail.code], failures[i].message)
    end
  end
end

local function print_counts(title, counts)
  local names, texts = {}, {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do texts[i] = ("%s %d"):format(name, counts[name]) end
  print(("  %s: %s"):format(title, table.concat(texts, ", ")))
end

local function print_flatness(samples)
  local first, last = samples[1], samples[#samples]
  print(("  after warm-up: resident %.0f -> %.0f KiB, Lua %.0f -> %.0f KiB, descriptors %d -> %d"):format(
    first.resident / 1024, last.resident / 1024, first.lua / 1024, last.lua / 1024, first.descriptors,
    last.descriptors))
  local resident, lua = figures.growth(samples, "resident"), figures.growth(samples, "lua")
  print(("  by the line through %d samples: resident %+.0f KiB, Lua %+.1f KiB in %d calls"):format(#samples,
    resident / 1024, lua / 1024, last.done - first.done))
  -- In a short run malloc is still finding out what it needs.
  check(resident < (total < 100000 and 4096 or 512) * 1024, "the resident memory has grown")
  check(lua < figures.LUA_LIMIT, "Lua's memory has grown")
  for _, sample in ipairs(samples) do
    check(sample.descriptors == first.descriptors, "there are more descriptors")
  end
end

local function soak()
  local ledger = ledgers.new(os.getenv "JOURNAL", check)
  local client = new_client { on_event = function(event) ledger:note(event) end }
  local batches, spent = math.ceil(total / batch), 0
  local warm = math.ceil(batches / 5)
  local samples = figures.room(batches - warm)
  for i = 1, batches do
    local done, started = (i - 1) * batch, core.monotonic()
    describe_all(client, ledger, done, math.min(batch, total - done))
    spent = spent + core.monotonic() - started
    if i > warm then figures.take(samples[i - warm], math.min(i * batch, total)) end
  end
  client:close()
  print(("soak: %d calls, %d at a time, seed %s: %d results, %d failures, %d requests, %d attempts, "
    .. "in %.0f s"):format(total, width, seed, ledger.results, ledger.failures, ledger.requests,
    ledger.attempts, spent))
  print_counts("the service", ledger.kinds)
  print_counts("the client", ledger.events)
  check(ledger.results + ledger.failures == total, "results and failures are not as many as calls")
  print(("  late answers: %d; sent again by libcurl itself: %d"):format(ledger:balance(), ledger.resent))
  print_flatness(samples)
end

-- Hours of waiting -----------------------------------------------------------------------------------

-- One wait in a client of its own, whose clock only sleeping moves. `last`: the poll that sees the end.
local function wait_for(ledger, number, last)
  local clock = virtual_clock.runtime()
  local client = new_client { runtime = clock, on_event = function(event) ledger:note(event) end }
  local id = ("wait-%d-%d"):format(last, number)
  local task, message, detail = client:wait_for_thing_registration_task { taskId = id }
  client:close()
  return { id = id, task = task, message = message, detail = detail, slept = clock.slept }
end

local function check_wait(wait, last)
  if wait.task then
    check(wait.task.status == "Completed" and wait.task.taskId == wait.id, "a wait ended with another task")
    check(wait.slept < 3600, "a wait took longer than it may")
  elseif wait.detail.code == "WaitTimeout" then
    check(last > 1000 and wait.slept > 3590 and wait.slept <= 3600, "a wait of an hour took " .. wait.slept .. " s")
  else
    check(FINAL[wait.detail.code], wait.message)
  end
end

local function wait_an_hour()
  local ledger = ledgers.new(os.getenv "JOURNAL", check)
  local numbers, outcomes, hours = {}, {}, 0
  for i = 1, waits do numbers[i] = i end
  local started = core.monotonic()
  local results, failures = iot.map(numbers, function(number)
    return wait_for(ledger, number, number % 2 == 0 and 20 + number or 9999)
  end, { concurrency = width })
  local spent = core.monotonic() - started
  local page = ledger:read()
  check(next(failures) == nil, "a wait raised")
  for i, wait in ipairs(results) do
    check_wait(wait, i % 2 == 0 and 20 + i or 9999)
    hours = hours + wait.slept / 3600
    local outcome = wait.task and wait.task.status or wait.detail.code
    outcomes[outcome] = (outcomes[outcome] or 0) + 1
    local answers = page.answers[wait.id]
    if wait.task then check(answers == 20 + i, ("%d polls for %s"):format(answers, wait.id)) end
  end
  check(#results == waits, "a wait has no outcome")
  print(("waits: %d at once, %.1f hours in %.1f s, %d requests, %d attempts"):format(waits, hours, spent,
    ledger.requests, ledger.attempts))
  print_counts("ends", outcomes)
  ledger:balance()
end

soak()
wait_an_hour()
os.exit(checks.problems == 0 and 0 or 1)
