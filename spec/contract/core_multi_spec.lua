-- Many exchanges at once on core.multi, against the simulator and servers with bad manners.
local child = require "spec.support.child"
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local fork = require "spec.support.fork"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local OPERATION = "describe_thing_registration_task"
local TOKEN = "SESSIONTOKENOFTHESPEC/+="

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local function pack(...) return { n = select("#", ...), ... } end

-- Seconds that something may take beyond its time, on a machine that is busy.
local SLACK = 2

describe("many exchanges at once", function()
  local missing = simulator.missing()
  if missing then
    pending(missing)
    return
  end

  local sim, raw, native, multi

  local function new_client(options)
    local all = { endpoint = sim.endpoint, ca_bundle = sim.ca_bundle, region = sim.region, proxy = "",
      connect_timeout = 5, read_timeout = 60 }
    for name, value in pairs(options or {}) do all[name] = value end
    return assert(core.client(all))
  end

  setup(function()
    sim = simulator.start()
    raw = raw_server.start(sim)
    for i = 1, 20 do sim:seed { taskId = "task-" .. i, status = "Completed", successCount = i } end
    local client = new_client() -- the first TLS connection of a process may open what stays open
    assert(core[OPERATION](client, { taskId = "task-1" }, { credentials = sim.credentials, timeout = 10 }))
    client:close()
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)
  before_each(function()
    sim:clear()
    native, multi = new_client(), assert(core.multi(64))
  end)
  after_each(function()
    multi:close()
    native:close()
  end)

  local function attempt_of(changes)
    local all = { credentials = sim.credentials, timeout = 20, user_agent = "spec", invocation_id = "id" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  local function start(task_id, changes, client)
    return assert(multi:start(client or native, OPERATION, { taskId = task_id or "task-1" }, attempt_of(changes)))
  end

  local function request_of(path, changes)
    local all = { url = sim.plain_endpoint .. path, timeout = 20, connect_timeout = 5, proxy = "" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  -- Waits for `count` slots; returns what each finished with, by slot, and the slots in their order.
  local function finish(count)
    local results, order, done = {}, {}, {}
    local deadline = core.monotonic() + 20
    while #order < count do
      assert(core.monotonic() < deadline, "not all have finished")
      for i = 1, multi:wait(5, done) do
        order[#order + 1] = done[i]
        results[done[i]] = pack(multi:finish(done[i]))
      end
    end
    return results, order
  end

  local function finish_one()
    local results, order = finish(1)
    return unpack(results[order[1]], 1, results[order[1]].n)
  end

  local function elapsed(fn, ...)
    local started = core.monotonic()
    fn(...)
    return core.monotonic() - started
  end

  -- What comes of them --------------------------------------------------------------------------

  it("each get their own result", function()
    local wanted = {}
    for i = 1, 20 do
      local slot = start("task-" .. i)
      assert.is_nil(wanted[slot])
      assert.is_true(slot >= 1 and slot <= 20)
      wanted[slot] = i
    end
    local results = finish(20)
    for slot, i in pairs(wanted) do
      assert.equal(2, results[slot].n)
      assert.equal("task-" .. i, results[slot][1].taskId)
      assert.equal(i, results[slot][1].successCount)
      assert.equal(200, results[slot][2])
    end
  end)

  it("take as long as the longest of them", function()
    sim:fault { kind = "delay", seconds = 0.4, times = 10 }
    local took = elapsed(function()
      for _ = 1, 10 do start() end
      finish(10)
    end)
    assert.is_true(took >= 0.39 and took < 0.4 + SLACK, took .. " s")
  end)

  -- Fields that differ from call to call.
  local function stripped(result)
    local copy = pack(unpack(result, 1, result.n))
    if type(copy[3]) == "table" then
      assert.is_string(copy[3].code)
      copy[3].request_id, copy[3].server_time = nil, nil
    end
    return copy
  end

  it("give what the blocking function gives, failures too", function()
    local faults = {
      false,
      { kind = "reply", status = 503, body = "<html>" },
      { kind = "throttle" },
      { kind = "truncate" },
      { kind = "raw", body = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1]x" },
      { kind = "reply", status = 200, body_bytes = 17 * 1024 * 1024 },
    }
    for _, fault in ipairs(faults) do
      if fault then sim:fault(fault) end
      local blocking = pack(core[OPERATION](native, { taskId = "task-1" }, attempt_of()))
      if fault then sim:fault(fault) end
      start()
      assert.same(stripped(blocking), stripped(pack(finish_one())))
    end
    local blocking = pack(core[OPERATION](native, { taskId = "nobody" }, attempt_of()))
    start "nobody"
    local result = pack(finish_one())
    assert.equal("ResourceNotFoundException", result[3].code)
    assert.same(stripped(blocking), stripped(result))
  end)

  it("refuse at once what the blocking function refuses", function()
    for _, case in ipairs {
      { { taskId = "" } }, { { taskId = 5 } }, { {} }, { { taskId = "a", other = "b" } },
      { { taskId = "a" }, { credentials = {} } }, { { taskId = "a" }, { timeout = 0 } },
      { { taskId = "a" }, { user_agent = "a\nb" } },
    } do
      local blocking = pack(core[OPERATION](native, case[1], attempt_of(case[2])))
      local result = pack(multi:start(native, OPERATION, case[1], attempt_of(case[2])))
      assert.is_nil(result[1])
      assert.same(blocking, result)
    end
    assert.equal(0, multi:wait(0, {}))
    assert.equal(0, #sim:journal())
  end)

  it("may be plain requests", function()
    sim:fault { kind = "raw", body = "HTTP/1.1 418 X\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok" }
    local slot = assert(multi:request(request_of("/path?a", { method = "PUT", body = "bytes\0",
      headers = { { "X-B", "2" } } })))
    assert.equal("number", type(slot))
    assert.same({ status = 418, body = "ok", headers = { ["x-a"] = "1", ["content-length"] = "2" } }, (finish_one()))
    local entry = sim:journal()[1]
    assert.equal("PUT", entry.method)
    assert.equal("bytes\0", entry.body)
    assert.equal("/path?a", entry.uri)
  end)

  it("refuse plain requests that the blocking function refuses", function()
    for _, changes in ipairs { { url = "ftp://a/" }, { method = "A B" }, { headers = { { "X", "a\nb" } } },
      { timeout = 0 }, { proxy = "gopher://a" }, { ca_bundle = "/nonexistent.pem" } } do
      local blocking = pack(core.request(request_of("/", changes)))
      local result = pack(multi:request(request_of("/", changes)))
      assert.is_nil(result[1])
      assert.same(blocking, result)
    end
  end)

  it("fail one by one, and say why", function()
    assert(multi:request(request_of("", { url = "http://127.0.0.1:1/" })))
    local reply, message, facts = finish_one()
    assert.is_nil(reply)
    assert.is_truthy(message:find "127%.0%.0%.1")
    assert.equal("ConnectionFailed", facts.code)
  end)

  it("hide the session token in what is quoted of a reply, when all else is gone", function()
    local credentials = { access_key_id = "AKID", secret_access_key = "secret", session_token = TOKEN }
    sim:fault { kind = "reply", status = 200, body = "<html>" .. TOKEN }
    local client = new_client()
    start("task-1", { credentials = credentials }, client)
    client:close()
    client, credentials = nil, nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    local _, message, facts = finish_one()
    assert.equal("<html>[secret]", facts.body)
    assert.is_nil(message:find(TOKEN, 1, true))
  end)

  it("keep the bodies that they send", function()
    local expected = {}
    for i = 1, 8 do
      local params = { templateBody = ("t"):rep(5000) .. i, inputFileBucket = "bucket", inputFileKey = "key" .. i,
        roleArn = "arn:aws:iam::123456789012:role/x" }
      assert(multi:start(native, "start_thing_registration_task", params, attempt_of()))
      expected[params.templateBody] = true
    end
    collectgarbage()
    for _, result in pairs((finish(8))) do assert.is_string(result[1].taskId) end
    for _, entry in ipairs(sim:journal()) do
      local body = entry.body:match '"templateBody":"(t+%d)"'
      assert.is_true(expected[body])
      expected[body] = nil
    end
    assert.is_nil(next(expected))
  end)

  -- Order, and time -----------------------------------------------------------------------------

  it("are told in the order in which they finished", function()
    local function silent(seconds)
      return assert(multi:request(request_of("", { url = raw.silent .. "/", read_timeout = seconds })))
    end
    local slots = { silent(0.6), silent(0.2), silent(0.4), start() }
    local _, order = finish(4)
    assert.same({ slots[4], slots[2], slots[3], slots[1] }, order)
  end)

  it("have time limits of their own", function()
    -- What is limited, the request, its time limit, words of the message.
    local cases = {
      { { url = raw.full .. "/", connect_timeout = 0.2 }, 0.2, "time limit" },
      { { url = raw.silent .. "/", read_timeout = 0.3 }, 0.3, "sent nothing for 0%.3 seconds" },
      { { url = raw.silent .. "/", timeout = 0.4 }, 0.4, "time limit" },
      { { url = raw.silent_tls .. "/", connect_timeout = 0.5 }, 0.5, "time limit" },
      { { url = raw.dripping .. "/", read_timeout = 0.3, timeout = 0.6 }, 0.6, "time limit" },
    }
    local limit, done, told = {}, {}, 0
    for _, case in ipairs(cases) do limit[assert(multi:request(request_of("", case[1])))] = case end
    local started = core.monotonic()
    while told < #cases do
      for i = 1, multi:wait(10, done) do
        local took, case = core.monotonic() - started, limit[done[i]]
        local reply, message, facts = multi:finish(done[i])
        assert.is_nil(reply)
        assert.equal("Timeout", facts.code)
        assert.is_truthy(message:find(case[3]), message)
        assert.is_true(took >= case[2] - 0.01 and took < case[2] + SLACK, took .. " s")
        told = told + 1
      end
      assert.is_true(core.monotonic() - started < 5)
    end
  end)

  it("are not cut off by the silence of another", function()
    sim:fault { kind = "delay", seconds = 0.5 }
    local slow = start()
    assert(multi:request(request_of("", { url = raw.silent .. "/", read_timeout = 0.1 })))
    local _, _, facts = finish_one()
    assert.equal("Timeout", facts.code)
    local results = finish(1)
    assert.equal("task-1", results[slow][1].taskId)
  end)

  it("are waited for as long as is said, and no longer", function()
    assert(multi:request(request_of("", { url = raw.silent .. "/" })))
    for _, seconds in ipairs { 0.05, 0.7 } do
      local took = elapsed(function() assert.equal(0, multi:wait(seconds, {})) end)
      assert.is_true(took >= seconds - 0.001 and took < seconds + SLACK, took .. " s")
    end
    for _, seconds in ipairs { 0, -1, -math.huge, 0 / 0 } do
      assert.is_true(elapsed(function() assert.equal(0, multi:wait(seconds, {})) end) < 0.5)
    end
  end)

  it("are waited for without a limit", function()
    start()
    assert.equal(1, multi:wait(math.huge, {}))
  end)

  it("need not be there to wait", function()
    local took = elapsed(function() assert.equal(0, multi:wait(0.2, {})) end)
    assert.is_true(took >= 0.199 and took < 0.2 + SLACK, took .. " s")
  end)

  it("leave alone what is behind those that have finished", function()
    local done = { "a", "b", "c" }
    local slot = start()
    assert.equal(1, multi:wait(10, done))
    assert.same({ slot, "b", "c" }, done)
    assert.equal(0, multi:wait(0, done)) -- told once
    assert.same({ slot, "b", "c" }, done)
    assert.equal("task-1", multi:finish(slot).taskId)
  end)

  -- Connections ---------------------------------------------------------------------------------

  local function connections()
    local seen, count = {}, 0
    for _, entry in ipairs(sim:journal()) do
      if not seen[entry.connection] then seen[entry.connection], count = true, count + 1 end
    end
    return count, #sim:journal()
  end

  it("use no more connections than there are of them at a time", function()
    local started, finished, done = 0, 0, {}
    while finished < 1000 do
      while started < 1000 and started - finished < 64 do
        start("task-" .. started % 20 + 1)
        started = started + 1
      end
      for i = 1, multi:wait(10, done) do
        assert.equal(200, select(2, multi:finish(done[i])))
        finished = finished + 1
      end
    end
    local count, all = connections()
    assert.equal(1000, all)
    assert.is_true(count <= 64, count .. " connections")
  end)

  it("share connections, whatever client they are of", function()
    local clients = { new_client(), new_client(), native }
    for i = 1, 9 do
      start("task-1", nil, clients[i % 3 + 1])
      assert.equal("task-1", finish_one().taskId)
    end
    assert.equal(1, (connections()))
  end)

  it("do not use a connection that was left in the middle of an exchange", function()
    sim:fault { kind = "stall", seconds = 60 }
    multi:cancel(start())
    sim:fault { kind = "stall", seconds = 60 }
    local slot = start "task-2"
    while #sim:journal() > 0 do core.sleep(0.01) end
    multi:wait(0.2, {})
    multi:cancel(slot)
    sim:clear()
    start "task-3"
    assert.equal("task-3", finish_one().taskId)
  end)

  it("keep as many idle connections as they may", function()
    if descriptors.missing() then return pending(descriptors.missing()) end
    for _, kept in ipairs { 1, 3 } do
      local before = descriptors.count()
      multi:close()
      multi = assert(core.multi(kept))
      sim:fault { kind = "delay", seconds = 0.1, times = 8 }
      for _ = 1, 8 do start() end
      finish(8)
      multi:wait(0.05, {})
      assert.is_true(descriptors.count() - before <= kept, "more were kept than " .. kept)
    end
  end)

  it("leave no descriptors open", function()
    if descriptors.missing() then return pending(descriptors.missing()) end
    local count
    for _ = 1, 4 do
      sim:fault { kind = "delay", seconds = 0.05, times = 10 }
      for _ = 1, 10 do start() end
      multi:cancel(start())
      assert(multi:request(request_of("", { url = "http://127.0.0.1:1/" })))
      assert(multi:request(request_of("", { url = raw.silent .. "/", read_timeout = 0.1 })))
      finish(12)
      count = count or descriptors.count()
      assert.equal(count, descriptors.count())
    end
  end)

  -- Ends ----------------------------------------------------------------------------------------

  it("can be cancelled in whatever state", function()
    local under_way = assert(multi:request(request_of("", { url = raw.silent .. "/" })))
    local told = start()
    local done = {}
    assert.equal(1, multi:wait(10, done))
    assert.equal(told, done[1])
    multi:cancel(told)
    multi:cancel(under_way)
    assert.equal(0, multi:wait(0.05, done))
    for _, slot in ipairs { told, under_way, 0, 99, 2 ^ 30 } do
      multi:cancel(slot)
      assert.is_false((pcall(multi.finish, multi, slot)))
    end
    start "task-2"
    assert.equal("task-2", finish_one().taskId)
  end)

  it("leave their slots to others", function()
    for i = 1, 50 do
      local slots = { start("task-1"), start("task-2"), start("task-3") }
      table.sort(slots)
      assert.same({ 1, 2, 3 }, slots)
      multi:cancel(slots[i % 3 + 1])
      finish(2)
    end
  end)

  it("end with their multi", function()
    if descriptors.missing() then return pending(descriptors.missing()) end
    local metatable = debug.getmetatable(multi)
    multi:close()
    local before = descriptors.count()
    for _, close in ipairs { multi.close, metatable.__close, metatable.__gc } do
      multi = assert(core.multi(4))
      start()
      assert.equal(1, multi:wait(10, {}))
      start()
      assert(multi:request(request_of("", { url = raw.silent .. "/" })))
      multi:wait(0.02, {})
      assert.is_true(descriptors.count() > before)
      close(multi)
      close(multi)
      assert.equal(before, descriptors.count())
    end
  end)

  it("end with a multi that nobody has any more", function()
    if descriptors.missing() then return pending(descriptors.missing()) end
    multi:close()
    local before = descriptors.count()
    multi = assert(core.multi(4))
    start()
    multi:wait(0.01, {})
    multi = nil
    assert.equal(before, descriptors.count())
    multi = assert(core.multi(1))
  end)

  it("go on when their client is closed, or gone", function()
    for _, leave in ipairs { native.close, function() end } do
      local client = new_client()
      for i = 1, 3 do start("task-" .. i, nil, client) end
      leave(client)
      client = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      for _, result in pairs((finish(3))) do assert.equal(200, result[2]) end
    end
  end)

  it("and blocking calls do not disturb each other", function()
    sim:fault { kind = "delay", seconds = 0.2 }
    start()
    multi:wait(0.05, {})
    for i = 1, 20 do
      assert.equal("task-" .. i, assert(core[OPERATION](native, { taskId = "task-" .. i }, attempt_of())).taskId)
    end
    assert.equal("task-1", finish_one().taskId)
  end)

  it("of a process are not its child's", function()
    local library = fork.library()
    if not library then return pending "no C compiler" end
    local output = child.output(([[
      local core, fork, wait, leave = require "iot.core", require("spec.support.fork").load(%q)
      local native = assert(core.client { endpoint = %q, ca_bundle = %q, region = "us-east-1", proxy = "" })
      local attempt = { credentials = { access_key_id = %q, secret_access_key = %q }, timeout = 10 }
      local multi, done = assert(core.multi(4)), {}
      local function describe(id)
        local slot = assert(multi:start(native, "describe_thing_registration_task", { taskId = id }, attempt))
        assert(multi:wait(10, done) == 1 and done[1] == slot)
        assert(multi:finish(slot).taskId == id)
      end
      describe "task-1"
      assert(core.describe_thing_registration_task(native, { taskId = "task-1" }, attempt))
      local under_way = assert(multi:start(native, "describe_thing_registration_task", { taskId = "task-2" }, attempt))
      if fork() == 0 then
        for _, method in ipairs { "start", "request", "wait", "finish", "cancel" } do
          local ok, message = pcall(multi[method], multi, native, "describe_thing_registration_task", {}, {})
          assert(not ok and message:find "of another process", message)
        end
        multi:close()
        multi = assert(core.multi(4))
        describe "task-3"
        assert(core.describe_thing_registration_task(native, { taskId = "task-4" }, attempt))
        native:close()
        multi:close()
        leave()
      end
      assert(wait() == 0)
      assert(multi:wait(10, done) == 1 and done[1] == under_way)
      assert(multi:finish(under_way).taskId == "task-2")
      describe "task-5"
      assert(core.describe_thing_registration_task(native, { taskId = "task-6" }, attempt))
      print "sound"
    ]]):format(library, sim.endpoint, sim.ca_bundle, sim.credentials.access_key_id,
      sim.credentials.secret_access_key))
    os.remove(library)
    assert.equal("sound\n", output)
    local by_task = {}
    for _, entry in ipairs(sim:journal()) do
      by_task[#by_task + 1] = entry.connection
      by_task[entry.uri:match "[^/]+$"] = entry.connection
    end
    -- The parent's connections, one of the multi and one of the client, outlive the child.
    assert.equal(7, #by_task)
    assert.equal(by_task["task-2"], by_task["task-5"])
    assert.equal(by_task["task-1"], by_task["task-6"])
    assert.is_true(by_task["task-3"] ~= by_task["task-2"] and by_task["task-4"] ~= by_task["task-1"])
  end)

  -- Misuse --------------------------------------------------------------------------------------

  it("are not finished before they have", function()
    local slot = assert(multi:request(request_of("", { url = raw.silent .. "/" })))
    local ok, message = pcall(multi.finish, multi, slot)
    assert.is_false(ok)
    assert.is_truthy(message:find "not finished", message)
    multi:cancel(slot)
    for _, bad in ipairs { slot, 0, 17, 1000 } do
      ok, message = pcall(multi.finish, multi, bad)
      assert.is_false(ok)
      assert.is_truthy(message:find "not in use", message)
    end
  end)

  it("are finished once", function()
    local slot, done = start(), {}
    assert.equal(1, multi:wait(10, done))
    assert.equal("task-1", multi:finish(slot).taskId)
    assert.is_false((pcall(multi.finish, multi, slot)))
  end)

  it("raise for what is no argument", function()
    for _, number in ipairs { 0, -1, 1.5, 2 ^ 40, math.huge, 0 / 0, "x", false } do
      assert.is_false((pcall(core.multi, number)), tostring(number))
    end
    assert.is_false((pcall(core.multi)))
    local misuses = {
      { "start" }, { "start", {} }, { "start", native }, { "start", native, "unknown", {}, {} },
      { "start", native, OPERATION, 5, {} }, { "start", native, OPERATION, { taskId = "a" } },
      { "start", native, OPERATION, { taskId = "a" }, { timeout = "x" } },
      { "request" }, { "request", 5 }, { "request", { url = 5 } },
      { "wait" }, { "wait", 1 }, { "wait", {}, {} }, { "wait", "x", {} },
      { "finish" }, { "finish", "x" }, { "finish", -1 }, { "finish", 1.5 }, { "cancel" }, { "cancel", {} },
    }
    for _, case in ipairs(misuses) do
      assert.is_false((pcall(multi[case[1]], multi, unpack(case, 2, 6))), case[1])
    end
    local closed = new_client()
    closed:close()
    local ok, message = pcall(multi.start, multi, closed, OPERATION, { taskId = "a" }, attempt_of())
    assert.is_false(ok)
    assert.is_truthy(message:find "closed client")
    start()
    assert.equal("task-1", finish_one().taskId)
  end)

  it("raise for a multi that is closed", function()
    multi:close()
    for name, arguments in pairs {
      start = { native, OPERATION, { taskId = "a" }, attempt_of() }, request = { request_of "/" }, wait = { 0, {} },
      finish = { 1 }, cancel = { 1 },
    } do
      local ok, message = pcall(multi[name], multi, unpack(arguments))
      assert.is_false(ok)
      assert.is_truthy(message:find "attempt to use a closed multi", message)
    end
  end)
end)
