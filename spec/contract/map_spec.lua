-- Many calls at once against the simulator: how fast, over how many connections, and what becomes of each
-- when others fail, wait, renew credentials or close what it uses.
local iot = require "iot"
local core = require "iot.core"
local credentials_rig = require "spec.support.credentials_rig"
local descriptors = require "spec.support.descriptors"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local runtime = require "iot.runtime"
local simulator = require "spec.support.simulator"

local DESCRIBE = credentials_rig.DESCRIBE
local TASKS = 10 -- that the simulator has: "task-1" and so on

local function range(count)
  local list = {}
  for index = 1, count do list[index] = index end
  return list
end

local function name_of(index) return "task-" .. (index - 1) % TASKS + 1 end

-- Arguments of map: names of tasks in turn, and what describes one.
local function names(count)
  local list = {}
  for index = 1, count do list[index] = name_of(index) end
  return list
end

local function describer(client, options)
  return function(name) return client:describe_thing_registration_task({ taskId = name }, options) end
end

local function assert_described(count, results, failed)
  for index, failure in pairs(failed) do error(("item %d: %s"):format(index, failure.message)) end
  assert.equal(count, results.n)
  for index = 1, count do assert.equal(name_of(index), results[index].taskId) end
end

describe("iot.map", function()
  local missing = simulator.missing() or descriptors.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, rig, before

  setup(function()
    sim = simulator.start()
    for index = 1, TASKS do sim:seed { taskId = name_of(index), status = "Completed" } end
    sim:seed { taskId = "full", status = "InProgress" }
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    rig = credentials_rig.new(sim)
    before = descriptors.count()
  end)
  after_each(function()
    rig:remove()
    assert.equal(before, descriptors.count()) -- whatever happened
  end)

  -- On the clock of all, with keys of a user unless the options say otherwise.
  local function new_client(changes)
    local options = { runtime = runtime, credentials = sim.credentials }
    for name, value in pairs(changes or {}) do options[name] = value or nil end
    return rig:client(options)
  end

  -- The entries of the journal of an operation; how many connections they came on.
  local function journal(operation)
    local entries, seen, count = {}, {}, 0
    for _, entry in ipairs(sim:journal()) do
      if not operation or entry.operation == operation then
        table.insert(entries, entry)
        if not seen[entry.connection] then count = count + 1 end
        seen[entry.connection] = true
      end
    end
    return entries, count
  end

  -- How fast ----------------------------------------------------------------------------------

  it("describes a thousand tasks on 64 connections, and five times as fast as one after another", function()
    local delay = { kind = "delay", seconds = 0.02, times = 2000 }
    sim:settings { journal_limit = 1200 }
    sim:fault(delay)
    local client, sample = new_client(), 25
    local one = describer(client)
    assert(one(name_of(1))) -- the connection is there
    local started = core.monotonic()
    for index = 1, sample do assert(one(name_of(index))) end
    local serial = (core.monotonic() - started) / sample
    client:close()
    sim:clear()
    sim:fault(delay)

    client = new_client()
    started = core.monotonic()
    local results, failed = iot.map(names(1000), describer(client), { concurrency = 64 })
    local seconds = core.monotonic() - started
    assert_described(1000, results, failed)
    local entries, connections = journal(DESCRIBE)
    assert.equal(1000, #entries)
    assert.is_true(connections <= 64 and connections > 1, connections)
    assert.is_true(serial >= 0.02)
    assert.is_true(serial * 1000 > 5 * seconds, ("%.1f s instead of %.1f s"):format(seconds, serial * 1000))
  end)

  -- Start so many tasks that take these seconds each; returns a list of their ids.
  local function start_tasks(client, count, seconds)
    sim:settings { things = 10 * seconds, failures = seconds, seconds = seconds, concurrent_tasks = 1000 }
    local results = iot.map(range(count), function()
      local task = assert(client:start_thing_registration_task {
        templateBody = "{}", inputFileBucket = "bucket", inputFileKey = "key",
        roleArn = "arn:aws:iam::123456789012:role/provisioning",
      })
      return task.taskId
    end, { concurrency = 64 })
    assert.equal(count, #results)
    return results
  end

  it("waits for two hundred tasks at once, little longer than for the longest", function()
    local client, items = new_client(), {}
    for seconds, count in ipairs { 67, 67, 66 } do
      for _, id in ipairs(start_tasks(client, count, seconds)) do
        table.insert(items, { id = id, things = 9 * seconds })
      end
    end
    sim:clear()
    local polls, started = 0, core.monotonic()
    local results, failed = iot.map(items, function(item)
      return client:wait_for_thing_registration_task({ taskId = item.id },
        { interval = 1, max_interval = 1, on_progress = function() polls = polls + 1 end })
    end, { concurrency = #items })
    local seconds = core.monotonic() - started
    assert.same({}, failed)
    for index, item in ipairs(items) do
      local task = results[index]
      assert.same({ item.id, "Completed", item.things }, { task.taskId, task.status, task.successCount })
    end
    assert.is_true(seconds < 5.5, ("%.1f s"):format(seconds)) -- one after the other: minutes

    -- No task was asked for more often than once a second.
    local entries, connections = journal(DESCRIBE)
    local last = {}
    for _, entry in ipairs(entries) do
      assert.is_true(entry.time - (last[entry.uri] or 0) > 0.9,
        ("%s after %.3f s: %s"):format(entry.uri, entry.time - (last[entry.uri] or 0), tostring(entry.status)))
      last[entry.uri] = entry.time
    end
    assert.equal(polls, #entries)
    assert.is_true(connections <= 200, connections)
  end)

  it("ends each wait in its own way", function()
    local client = new_client()
    local plan = { things = 10, seconds = 0, message = "why" }
    local function planned(status) return sim:seed { plan = { things = 10, seconds = 0, status = status } } end
    local items = {
      planned "Completed", planned "Failed", planned "Cancelled", "nowhere", "full",
      sim:seed { plan = { things = 10, failures = 1, seconds = 0, message = plan.message } },
    }
    local results, failed = iot.map(items, function(id)
      return client:wait_for_thing_registration_task({ taskId = id },
        { interval = 1, timeout = 1.2, fail_on_failures = true })
    end)
    assert.equal("Completed", results[1].status)
    for index, code in pairs { [2] = "TaskFailed", [3] = "TaskCancelled", [4] = "ResourceNotFoundException",
      [5] = "WaitTimeout", [6] = "TaskHadFailures" } do
      assert.is_nil(results[index])
      assert.same({ code, index, items[index] },
        { failed[index].detail.code, failed[index].index, failed[index].item })
      failures.check({ code = code }, nil, failed[index].message, failed[index].detail)
    end
  end)

  -- Results -----------------------------------------------------------------------------------

  it("gives results in the order of the items, not of the replies", function()
    local client, order = new_client(), {}
    local results, failed = iot.map(names(50), function(name, index)
      while index == 1 and #order < 20 do runtime.sleep(0.001) end
      local task, message, detail = client:describe_thing_registration_task { taskId = name }
      table.insert(order, index)
      return task, message, detail
    end, { concurrency = 8 })
    assert_described(50, results, failed)
    assert.not_equal(1, order[1])
  end)

  it("keeps failures and errors beside the results", function()
    local client = new_client()
    local thrown = { "thrown" }
    local results, failed = iot.map(range(60), function(index)
      if index % 10 == 7 then return client:describe_thing_registration_task { taskId = "unknown-" .. index } end
      if index % 10 == 8 then return client:describe_thing_registration_task { taskId = ".." } end
      local params = { taskId = name_of(index) }
      if index % 10 == 0 then params = "misuse" end
      local task, message, detail = client:describe_thing_registration_task(params)
      if index % 10 == 9 then error(thrown) end
      return task, message, detail
    end, { concurrency = 7 })
    for index = 1, 60 do
      local failure, digit = failed[index], index % 10
      if digit >= 1 and digit <= 6 then
        assert.same({ name_of(index), nil }, { results[index].taskId, failure })
      else
        assert.same({ nil, index, index }, { results[index], failure.index, failure.item })
      end
      if digit == 7 then
        failures.check({ kind = "service", code = "ResourceNotFoundException", status = 404, attempts = 1,
          message = "unknown%-" .. index }, nil, failure.message, failure.detail)
      elseif digit == 8 then
        failures.check({ kind = "validation", code = "InvalidParameter" }, nil, failure.message, failure.detail)
      elseif digit == 9 then
        assert.equal(thrown, failure.error)
        assert.is_true(failure.raised)
      elseif digit == 0 then
        assert.matches("map_spec%.lua:%d+: bad argument 'params'", failure.message)
        assert.is_true(failure.raised)
      end
    end
  end)

  it("works within itself", function()
    local client = new_client()
    local outer, failed = iot.map(range(5), function(number)
      local inner, problems = iot.map(names(20), describer(client), { concurrency = 6 })
      local unknown = select(2, client:describe_thing_registration_task { taskId = "unknown" })
      return { inner = inner, problems = problems, number = number, unknown = unknown }
    end)
    assert.same({}, failed)
    for number = 1, 5 do
      assert.equal(number, outer[number].number)
      assert.matches("ResourceNotFound", outer[number].unknown)
      assert_described(20, outer[number].inner, outer[number].problems)
    end
    local entries, connections = journal(DESCRIBE)
    assert.equal(105, #entries)
    assert.is_true(connections <= 5 * 6, connections)
  end)

  it("lets calls before and after it alone", function()
    local client = new_client()
    assert(describer(client) "full")
    assert_described(20, iot.map(names(20), describer(client), { concurrency = 5 }))
    assert(describer(client) "full")
    local entries = journal(DESCRIBE)
    assert.equal(entries[1].connection, entries[#entries].connection) -- the client's own
  end)

  -- Clients -----------------------------------------------------------------------------------

  it("serves clients of different endpoints and keys", function()
    local clients = {
      new_client(), new_client { endpoint = sim.plain_endpoint, credentials = sim.temporary_credentials },
    }
    local results, failed = iot.map(names(80), function(name, index)
      return clients[index % 2 + 1]:describe_thing_registration_task { taskId = name }
    end, { concurrency = 10 })
    assert_described(80, results, failed)
    local entries, seen = journal(DESCRIBE), { [true] = 0, [false] = 0 }
    for _, entry in ipairs(entries) do
      local keys = entry.tls and sim.credentials or sim.temporary_credentials
      assert.equal(keys.access_key_id, credentials_rig.key_id(entry))
      seen[entry.tls ~= nil] = seen[entry.tls ~= nil] + 1
    end
    assert.same({ [true] = 40, [false] = 40 }, seen)
  end)

  it("survives that a client is closed by one of those who use it", function()
    local client = new_client()
    local begun, done, begun_before = 0, {}, nil
    local results, failed = iot.map(range(60), function(index)
      begun = index
      local task, message, detail = client:describe_thing_registration_task { taskId = name_of(index) }
      if not begun_before then done[index] = true end
      if index == 20 then
        client:close()
        begun_before = begun
      end
      return task, message, detail
    end, { concurrency = 8 })
    for index = 1, 60 do
      local task, failure = results[index], failed[index]
      assert.is_true((task == nil) == (failure ~= nil), index)
      if task then assert.equal(name_of(index), task.taskId) end
      if done[index] then assert.is_table(task) end
      if failure then assert.matches("attempt to use a closed client", failure.message) end
      if index > begun_before then assert.is_true(failure.raised) end
    end
  end)

  it("survives clients that are left to the garbage collector", function()
    local results, failed = iot.map(names(30), function(name)
      local options = sim:options { runtime = runtime }
      local task, message, detail = assert(iot.new(options)):describe_thing_registration_task { taskId = name }
      collectgarbage()
      return task, message, detail
    end, { concurrency = 6 })
    assert_described(30, results, failed)
  end)

  -- Credentials -------------------------------------------------------------------------------

  it("renews credentials once for all", function()
    rig:use_container()
    local slow = { kind = "delay", seconds = 0.1, operation = "container" }
    sim:fault(slow)
    local client = new_client { credentials = false }
    assert_described(100, iot.map(names(100), describer(client), { concurrency = 50 }))
    assert.same({ 1, 100 }, { rig:count "container", rig:count(DESCRIBE) })
    sim:expire()
    sim:clear()
    sim:fault(slow)
    assert_described(100, iot.map(names(100), describer(client), { concurrency = 50 }))
    assert.equal(1, rig:count "container")
    for _, entry in ipairs(journal(DESCRIBE)) do
      assert.is_true(entry.status == 200 or entry.code == "ExpiredTokenException")
    end
  end)

  it("learns a wrong clock once for all", function()
    sim:settings { clock = 3600 }
    local client = new_client()
    assert_described(200, iot.map(names(200), describer(client), { concurrency = 64 }))
    local refused = 0
    for _, entry in ipairs(journal(DESCRIBE)) do
      if entry.status ~= 200 then refused = refused + 1 end
    end
    assert.is_true(refused >= 1 and refused <= 64, refused)
  end)

  it("tells all who wait for credentials that there are none", function()
    rig:use_container()
    sim:fault { kind = "reply", status = 404, delay = 0.1, operation = "container", times = 1000 }
    local client = new_client { credentials = false }
    local _, failed = iot.map(names(40), describer(client), { concurrency = 40 })
    for index = 1, 40 do
      failures.check({ kind = "credentials", code = "CredentialsFailed" },
        nil, failed[index].message, failed[index].detail)
    end
    assert.equal(1, rig:count "container")
    assert.equal(0, rig:count(DESCRIBE))
  end)

  it("goes on with others while a program looks for credentials, which runs once", function()
    -- It ends when the others have ended, or in failure.
    local program = rig:program(([[
      echo run >> "$0.runs"
      for _ in $(seq 1000); do [ -e "$0.go" ] && break; sleep 0.01; done
      [ -e "$0.go" ] && curl -q -sSf --noproxy '*' --max-time 10 -H 'Authorization: %s' '%s' |
        sed 's/"Token"/"Version":1,"SessionToken"/'
    ]]):format(sim.container_token, sim.container_uri))
    rig:config("[default]\ncredential_process = " .. program)
    local waiting, others = new_client { credentials = false }, new_client()
    local done, first = 0, nil
    local results, failed = iot.map(names(60), function(name, index)
      local client = index % 2 == 0 and others or waiting
      local task, message, detail = client:describe_thing_registration_task { taskId = name }
      if client == others then
        done = done + 1
        if done == 30 then files.write(program .. ".go", "go") end
      else
        first = first or done
      end
      return task, message, detail
    end, { concurrency = 40 })
    assert_described(60, results, failed)
    assert.equal(30, first)
    assert.equal("run\n", files.read(program .. ".runs"))
    assert.equal(1, rig:count "container")
  end)

  -- Faults ------------------------------------------------------------------------------------

  it("retries what may be retried, each call for itself", function()
    sim:fault { kind = "reply", status = 503, times = 30 }
    local client = new_client { retry = { max_attempts = 31 } } -- one call might meet them all
    assert_described(100, iot.map(names(100), describer(client), { concurrency = 32 }))
    local entries, refused = journal(DESCRIBE), 0
    for _, entry in ipairs(entries) do
      if entry.status == 503 then refused = refused + 1 end
    end
    assert.same({ 130, 30 }, { #entries, refused })
  end)

  it("lets calls run out of time beside those that do not", function()
    sim:settings { concurrent_tasks = 1000 }
    sim:fault { kind = "delay", seconds = 60, operation = DESCRIBE, times = 1000 }
    local client = new_client { retry = { max_attempts = 1 } }
    local started = core.monotonic()
    local results, failed = iot.map(range(40), function(index)
      if index % 2 == 0 then return describer(client, { timeout = 0.1 })(name_of(index)) end
      return client:start_thing_registration_task {
        templateBody = "{}", inputFileBucket = "bucket", inputFileKey = "key",
        roleArn = "arn:aws:iam::123456789012:role/provisioning",
      }
    end, { concurrency = 20 })
    assert.is_true(core.monotonic() - started < 6)
    for index = 1, 40 do
      if index % 2 == 0 then
        failures.check({ kind = "timeout", code = "Timeout", operation = "describe_thing_registration_task" },
          nil, failed[index].message, failed[index].detail)
      else
        assert.is_string(results[index].taskId)
        assert.is_nil(failed[index])
      end
    end
  end)

  for what, fault in pairs {
    ["resets"] = { kind = "reset" }, ["bodies cut short"] = { kind = "truncate" },
    ["connections that end"] = { kind = "close" }, ["replies that are none"] = { kind = "raw", body = "\0no HTTP" },
  } do
    it(("reports nothing but %s, and leaves nothing behind"):format(what), function()
      fault.times = 1000
      sim:fault(fault)
      local client = new_client { retry = { max_attempts = 2 } }
      local results, failed = iot.map(names(60), describer(client), { concurrency = 20 })
      assert.equal(60, results.n)
      for index = 1, 60 do
        assert.is_nil(results[index])
        failures.check({ operation = "describe_thing_registration_task" },
          nil, failed[index].message, failed[index].detail)
      end
      client:close()
      assert.equal(before, descriptors.count())
    end)
  end

  it("ends when every item raises while others wait", function()
    local client = new_client()
    local _, failed = iot.map(names(60), function(name, index)
      if index % 2 == 0 then assert(describer(client)(name)) end
      error("number " .. index, 0)
    end, { concurrency = 20 })
    for index = 1, 60 do assert.equal("number " .. index, failed[index].error) end
    client:close()
    assert.equal(before, descriptors.count())
  end)

  it("outlasts a server that is stopped and started again", function()
    local client = new_client()
    local described, lost = 0, 0
    local function wait()
      local seen
      return client:wait_for_thing_registration_task({ taskId = "slow" }, { interval = 1, max_interval = 1,
        timeout = 30, on_progress = function(progress)
          if progress.polls == 1 then described = described + 1 end
          if progress.failure and not seen then lost, seen = lost + 1, true end
        end })
    end
    local function until_all(count)
      for _ = 1, 1000 do
        if count() == 20 then return end
        runtime.sleep(0.02)
      end
      error("some waits have ended")
    end
    sim:seed { taskId = "slow", status = "InProgress" }
    local results, failed = iot.map(range(21), function(number)
      if number <= 20 then return wait() end
      until_all(function() return described end)
      sim:halt()
      until_all(function() return lost end)
      sim:resume()
      sim:seed { taskId = "slow", status = "Completed" }
    end, { concurrency = 21 })
    assert.same({}, failed)
    for number = 1, 20 do assert.equal("Completed", results[number].status) end
  end)
end)
