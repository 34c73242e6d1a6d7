-- The connections of core.multi, how exchanges end before their time, and misuse.
local child = require "spec.support.child"
local command = require "spec.support.command"
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local error_queue = require "spec.support.error_queue"
local files = require "spec.support.files"
local fork = require "spec.support.fork"
local multi_rig = require "spec.support.multi_rig"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local OPERATION = multi_rig.OPERATION
local unpack = multi_rig.unpack

describe("exchanges on a multi", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, raw, rig

  setup(function()
    sim = simulator.start()
    raw = raw_server.start(sim)
    rig = multi_rig.new(sim)
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)
  before_each(function() rig.open() end)
  after_each(function() rig.close() end)

  -- Connections ---------------------------------------------------------------------------------

  it("use no more connections than there are of them at a time", function()
    local started, finished, done = 0, 0, {}
    while finished < 1000 do
      while started < 1000 and started - finished < 64 do
        rig.start("task-" .. started % 20 + 1)
        started = started + 1
      end
      for i = 1, rig.multi:wait(10, done) do
        assert.equal(200, select(2, rig.multi:finish(done[i])))
        finished = finished + 1
      end
    end
    local count, all = rig.connections()
    assert.equal(1000, all)
    assert.is_true(count <= 64, count .. " connections")
  end)

  it("share connections, whatever client they are of", function()
    local clients = { rig.new_client(), rig.new_client(), rig.native }
    for i = 1, 9 do
      rig.start("task-1", nil, clients[i % 3 + 1])
      assert.equal("task-1", rig.finish_one().taskId)
    end
    assert.equal(1, (rig.connections()))
  end)

  it("do not use a connection that was left in the middle of an exchange", function()
    for _, seconds in ipairs { 0, 0.01, 0.3 } do
      sim:fault { kind = "stall", seconds = 60 }
      local slot = rig.start "task-2"
      assert.equal(0, rig.multi:wait(seconds, {}))
      rig.multi:cancel(slot)
      sim:clear()
      rig.start "task-3"
      assert.equal("task-3", rig.finish_one().taskId)
    end
  end)

  it("are made with the client certificate that is in its file by then", function()
    local certificate, key = sim.folder .. "/rotated.pem", sim.folder .. "/rotated.key"
    local function put(from_certificate, from_key)
      files.write(certificate, assert(files.read(from_certificate)))
      files.write(key, assert(files.read(from_key)))
    end
    local function status()
      assert(rig.multi:request(rig.request_of("", {
        url = sim.device.endpoint .. "/role-aliases/" .. sim.device.role_alias .. "/credentials",
        ca_bundle = sim.device.ca_bundle, client_certificate = certificate, client_key = key,
      })))
      return assert(rig.finish_one()).status
    end
    put(sim.folder .. "/localhost.pem", sim.folder .. "/server.key") -- which no device has
    assert.equal(403, status())
    put(sim.device.certificate, sim.device.key)
    assert.equal(200, status())
    put(sim.folder .. "/localhost.pem", sim.folder .. "/server.key")
    assert.equal(403, status())
  end)

  it("keep as many idle connections as they may", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    for _, kept in ipairs { 1, 3 } do
      rig.multi:close()
      rig.multi = assert(core.multi(kept))
      local before = descriptors.count()
      sim:fault { kind = "delay", seconds = 0.1, times = 8 }
      for _ = 1, 8 do rig.start() end
      rig.finish(8)
      rig.multi:wait(0.05, {})
      assert.equal(kept, descriptors.count() - before)
    end
  end)

  it("leave no descriptors open", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    local count
    for _ = 1, 4 do
      sim:fault { kind = "delay", seconds = 0.05, times = 10 }
      for _ = 1, 10 do rig.start() end
      rig.multi:cancel(rig.start())
      assert(rig.multi:request(rig.request_of("", { url = "http://127.0.0.1:1/" })))
      assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/", read_timeout = 0.1 })))
      rig.finish(12)
      count = count or descriptors.count()
      assert.equal(count, descriptors.count())
    end
  end)

  -- Ends ----------------------------------------------------------------------------------------

  it("can be cancelled in whatever state", function()
    local under_way = assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/" })))
    local told = rig.start()
    local done = {}
    assert.equal(1, rig.multi:wait(10, done))
    assert.equal(told, done[1])
    rig.multi:cancel(told)
    rig.multi:cancel(under_way)
    assert.equal(0, rig.multi:wait(0.05, done))
    for _, slot in ipairs { told, under_way, 0, 99, 2 ^ 30 } do
      rig.multi:cancel(slot)
      assert.is_false((pcall(rig.multi.finish, rig.multi, slot)))
    end
    rig.start "task-2"
    assert.equal("task-2", rig.finish_one().taskId)
  end)

  -- The queue is the thread's: who uses OpenSSL next would take an error there for its own.
  it("leave no error in OpenSSL's queue, however they end", function()
    local library = error_queue.library()
    if not library then return pending "no C compiler" end
    local count = error_queue.load(library)
    os.remove(library)
    local client = assert(core.client { endpoint = raw.silent_tls, region = sim.region, proxy = "" })
    local function request(changes)
      changes.url = changes.url or raw.silent_tls .. "/"
      return assert(rig.multi:request(rig.request_of("", changes)))
    end
    local ends = {
      { "cancelled, in the handshake", function()
        local slot = request {}
        rig.multi:wait(0.1, {})
        rig.multi:cancel(slot)
      end },
      { "an operation that is cancelled, in the handshake", function()
        local slot = rig.start("task-1", nil, client)
        rig.multi:wait(0.1, {})
        rig.multi:cancel(slot)
      end },
      { "a time limit, in the handshake", function()
        request { connect_timeout = 0.1 }
        rig.finish_one()
      end },
      { "silence", function()
        sim:fault { kind = "delay", seconds = 0.5 }
        request { url = sim.endpoint .. "/", ca_bundle = sim.ca_bundle, read_timeout = 0.1 }
        rig.finish_one()
      end },
      { "a certificate that is unknown", function()
        request { url = sim.endpoint .. "/" }
        rig.finish_one()
      end },
      { "the end of the multi", function()
        request {}
        rig.multi:wait(0.1, {})
        rig.multi:close()
      end },
    }
    for _, case in ipairs(ends) do
      rig.multi:close()
      rig.multi = assert(core.multi(4))
      assert.equal(0, count(), "before")
      case[2]()
      assert.equal(0, count(), case[1])
    end
    client:close()
  end)

  it("leave their slots to others", function()
    for i = 1, 50 do
      local slots = { rig.start("task-1"), rig.start("task-2"), rig.start("task-3") }
      table.sort(slots)
      assert.same({ 1, 2, 3 }, slots)
      rig.multi:cancel(slots[i % 3 + 1])
      rig.finish(2)
    end
  end)

  it("end with their multi", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    local metatable = debug.getmetatable(rig.multi)
    rig.multi:close()
    local before = descriptors.count()
    for _, close in ipairs { rig.multi.close, metatable.__close, metatable.__gc } do
      rig.multi = assert(core.multi(4))
      rig.start()
      assert.equal(1, rig.multi:wait(10, {}))
      rig.start()
      assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/" })))
      rig.multi:wait(0.02, {})
      assert.is_true(descriptors.count() > before)
      close(rig.multi)
      close(rig.multi)
      assert.equal(before, descriptors.count())
    end
  end)

  it("end with a multi that nobody has any more", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    rig.multi:close()
    local before = descriptors.count()
    rig.multi = assert(core.multi(4))
    rig.start()
    rig.multi:wait(0.01, {})
    rig.multi = nil
    assert.equal(before, descriptors.count())
    rig.multi = assert(core.multi(1))
  end)

  -- poll() takes no more descriptors than a process may open. The limit is raised again for what is done at exit.
  it("raise when the system refuses to wait for them, and blame no server", function()
    if command.run({ "prlimit", "--version" }).code ~= 0 then return pending "prlimit of util-linux is missing" end
    local major, minor = core.system().libcurl:match "^(%d+)%.(%d+)"
    if tonumber(major) == 7 and tonumber(minor) < 84 then
      return pending "libcurl is older than 7.84" -- which takes it for having waited
    end
    assert.equal("sound\n", child.output(([[
      local core = require "iot.core"
      local multi, done = assert(core.multi(4)), {}
      local slot = assert(multi:request { url = %q, timeout = 20, proxy = "" })
      multi:wait(0.1, done)
      local before = core.monotonic()
      os.execute "{ sleep 0.2; prlimit --pid $PPID --nofile=1:; sleep 0.6; prlimit --pid $PPID --nofile=256:; } &"
      assert(multi:wait(10, done) == 1)
      local ok, message, words = pcall(multi.finish, multi, slot)
      assert(not ok and message:find "not enough memory", message or words)
      assert(core.monotonic() - before < 5)
      repeat core.sleep(0.05) until io.open "/dev/null"
      print "sound"
    ]]):format(raw.silent .. "/")))
  end)

  it("go on when their client is closed, or gone", function()
    for _, leave in ipairs { rig.native.close, function() end } do
      local client = rig.new_client()
      for i = 1, 3 do rig.start("task-" .. i, nil, client) end
      leave(client)
      client = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      for _, result in pairs((rig.finish(3))) do assert.equal(200, result[2]) end
    end
  end)

  it("and blocking calls do not disturb each other", function()
    sim:fault { kind = "delay", seconds = 0.2 }
    rig.start()
    rig.multi:wait(0.05, {})
    for i = 1, 20 do
      local task = assert(core[OPERATION](rig.native, { taskId = "task-" .. i }, rig.attempt_of()))
      assert.equal("task-" .. i, task.taskId)
    end
    assert.equal("task-1", rig.finish_one().taskId)
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
      local program = assert(multi:run({ "sh", "-c", "sleep 0.3; echo a" }, 10))
      local under_way = assert(multi:start(native, "describe_thing_registration_task", { taskId = "task-2" }, attempt))
      if fork() == 0 then
        for _, method in ipairs { "start", "request", "run", "wait", "finish", "cancel" } do
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
      local results, count = {}, 0
      while count < 2 do
        for i = 1, multi:wait(10, done) do
          local slot = done[i]
          results[slot], count = multi:finish(slot), count + 1
        end
      end
      assert(results[under_way].taskId == "task-2" and results[program].output == "a\n")
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
    local slot = assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/" })))
    local ok, message = pcall(rig.multi.finish, rig.multi, slot)
    assert.is_false(ok)
    assert.is_truthy(message:find "not finished", message)
    rig.multi:cancel(slot)
    for _, bad in ipairs { slot, 0, 17, 1000 } do
      ok, message = pcall(rig.multi.finish, rig.multi, bad)
      assert.is_false(ok)
      assert.is_truthy(message:find "not in use", message)
    end
  end)

  it("are finished once", function()
    local slot, done = rig.start(), {}
    assert.equal(1, rig.multi:wait(10, done))
    assert.equal("task-1", rig.multi:finish(slot).taskId)
    assert.is_false((pcall(rig.multi.finish, rig.multi, slot)))
  end)

  it("raise for what is no argument", function()
    for _, number in ipairs { 0, -1, 1.5, 2 ^ 40, math.huge, 0 / 0, "x", false } do
      assert.is_false((pcall(core.multi, number)), tostring(number))
    end
    local told, reason = pcall(core.multi, 1.5)
    assert.is_truthy(not told and reason:find "an integer from 1 to", reason)
    assert.is_false((pcall(core.multi)))
    local misuses = {
      { "start" }, { "start", {} }, { "start", rig.native }, { "start", rig.native, "unknown", {}, {} },
      { "start", rig.native, OPERATION, 5, {} }, { "start", rig.native, OPERATION, { taskId = "a" } },
      { "start", rig.native, OPERATION, { taskId = "a" }, { timeout = "x" } },
      { "request" }, { "request", 5 }, { "request", { url = 5 } }, { "run" }, { "run", {} }, { "run", { "true" }, "x" },
      { "wait" }, { "wait", 1 }, { "wait", {}, {} }, { "wait", "x", {} },
      { "finish" }, { "finish", "x" }, { "finish", -1 }, { "finish", 1.5 }, { "cancel" }, { "cancel", {} },
    }
    for _, case in ipairs(misuses) do
      assert.is_false((pcall(rig.multi[case[1]], rig.multi, unpack(case, 2, 6))), case[1])
    end
    local closed = rig.new_client()
    closed:close()
    local ok, message = pcall(rig.multi.start, rig.multi, closed, OPERATION, { taskId = "a" }, rig.attempt_of())
    assert.is_false(ok)
    assert.is_truthy(message:find "closed client")
    rig.start()
    assert.equal("task-1", rig.finish_one().taskId)
  end)

  it("raise for a multi that is closed", function()
    rig.multi:close()
    for name, arguments in pairs {
      start = { rig.native, OPERATION, { taskId = "a" }, rig.attempt_of() }, request = { rig.request_of "/" },
      run = { { "true" }, 1 }, wait = { 0, {} }, finish = { 1 }, cancel = { 1 },
    } do
      local ok, message = pcall(rig.multi[name], rig.multi, unpack(arguments))
      assert.is_false(ok)
      assert.is_truthy(message:find "attempt to use a closed multi", message)
    end
  end)
end)
