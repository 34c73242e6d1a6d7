-- What belongs to a process as a whole: fork(), its end, signals, the files that its children get; and calls that
-- nobody ends. Threads, and many Lua states in one process, are spec/torture/states's.
local child = require "spec.support.child"
local fork = require "spec.support.fork"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local PRELUDE = [[
  local unpack = table.unpack or unpack
  local core, iot = require "iot.core", require "iot"
  local runtime, descriptors = require "iot.runtime", require "spec.support.descriptors"
  local endpoint, silent = os.getenv "ENDPOINT", os.getenv "SILENT"
  local client = assert(iot.new { endpoint = endpoint, proxy = "" })
  local to_silent = assert(iot.new { endpoint = silent, proxy = "" })
  local function describe(id, by)
    local task, message = (by or client):describe_thing_registration_task { taskId = id }
    assert(task, message)
    assert(task.taskId == id)
  end
  local function list(from, to)
    local items = {}
    for i = from, to do items[#items + 1] = "task-" .. i end
    return items
  end
  local function describe_all(items)
    local results, failures = iot.map(items, function(id)
      describe(id)
      return core.uuid()
    end, { concurrency = 8 })
    assert(next(failures) == nil, next(failures) and failures[next(failures)].message)
    return results
  end
]]

-- What is under way when a process ends, by a call of `leave`. An error in iot.map is one of its failures.
local UNDER_WAY = {
  { "a call in iot.map", [[
      iot.map({ 1, 2, 3 }, function(i)
        if i == 3 then leave() end
        to_silent:describe_thing_registration_task { taskId = "a" }
      end)]] },
  { "a download in iot.map", [[
      iot.map({ 1, 2 }, function(i)
        local download = assert(runtime.download { url = silent .. "/", proxy = "" })
        if i == 2 then leave() end
        download:read()
      end)]] },
  { "a program in iot.map", [[
      iot.map({ 1, 2 }, function(i)
        if i == 2 then leave() end
        runtime.run({ "sleep", "60" }, 60)
      end)]] },
  { "a download that was begun", [[
      local download = assert(runtime.download { url = endpoint .. "/", ca_bundle = os.getenv "AWS_CA_BUNDLE",
        proxy = "" })
      assert(download:read())
      leave()]] },
  { "what core.multi has", [[
      local multi = assert(core.multi(4))
      assert(multi:request { url = silent .. "/", proxy = "", timeout = 60 })
      assert(multi:run({ "sleep", "60" }, 60))
      assert(multi:download { url = silent .. "/", proxy = "" })
      multi:wait(0.05, {})
      leave()]] },
  { "a call, from a function that it calls", [[
      local eager = assert(iot.new { endpoint = endpoint, proxy = "", on_event = function() leave() end })
      describe("task-1", eager)]] },
}

local ENDS = {
  { "an error", "local function leave() io.write 'left' error('over', 0) end", 1 },
  { "os.exit", "local function leave() io.write 'left' os.exit(7) end", 7 },
  { "os.exit with the state closed", "local function leave() io.write 'left' os.exit(7, true) end", 7 },
}

describe("a process", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, raw, library

  setup(function()
    sim = simulator.start()
    raw = raw_server.start(sim)
    library = fork.library()
    for i = 1, 80 do sim:seed { taskId = "task-" .. i, status = "Completed" } end
  end)
  teardown(function()
    raw:stop()
    sim:stop()
    if library then os.remove(library) end
  end)
  before_each(function() sim:reset() end)

  local function run(program)
    local all = sim:environment()
    all.SILENT, all.ENDPOINT = raw.silent, sim.endpoint
    all.LIBRARY = library
    return child.run(PRELUDE .. program, all, { timeout = 25 })
  end

  local function output(program)
    local result = run(program)
    return result.code == 0 and result.stdout
      or error(("exit code %s: %s%s"):format(tostring(result.code), result.stdout, result.stderr), 2)
  end

  local LOAD_FORK = [[
    local fork, wait, leave, storm, ignore_children = require("spec.support.fork").load(os.getenv "LIBRARY")
  ]]

  -- The connections by the first digit of the task that was asked for on them; raises when one served two.
  local function connections_by_tens()
    local owner = {}
    for _, entry in ipairs(sim:journal()) do
      local tens = entry.uri:match "task%-(%d)%d$"
      assert(owner[entry.connection] == nil or owner[entry.connection] == tens, "a connection was shared")
      owner[entry.connection] = tens
    end
    return owner
  end

  describe("that forks", function()
    it("goes on beside its children, each on connections of its own", function()
      if not library then return pending "no C compiler" end -- fork() is a C module
      assert.equal("sound\n", output(LOAD_FORK .. [[
        describe "task-10"                           -- a connection that the children find
        for number = 2, 4 do
          if fork() == 0 then
            for _ = 1, 3 do for i = 0, 9 do describe("task-" .. number .. i) end end
            if number == 2 then client:close() end   -- the others leave it to the end
            client = nil
            collectgarbage()
            leave()
          end
        end
        for _ = 1, 3 do for i = 0, 9 do describe("task-1" .. i) end end
        for _ = 1, 3 do assert(wait() == 0) end
        describe "task-19"
        client:close()
        print "sound"]]))
      local owner, count = connections_by_tens(), {}
      for _, tens in pairs(owner) do count[tens] = (count[tens] or 0) + 1 end
      assert.same({ ["1"] = 1, ["2"] = 1, ["3"] = 1, ["4"] = 1 }, count)
    end)

    it("may run maps beside its children, with other random numbers", function()
      if not library then return pending "no C compiler" end -- fork() is a C module
      local lines = output(LOAD_FORK .. [[
        io.stdout:setvbuf "no"
        local function say(results)
          local words = {}
          for i = 1, results.n do words[i] = results[i] end
          io.write(table.concat(words, "\n"), "\n", core.uuid(), "\n", core.random(), "\n")
        end
        describe_all(list(10, 19))
        core.uuid()
        core.random()
        for number = 2, 3 do
          if fork() == 0 then
            say(describe_all(list(number * 10, number * 10 + 9)))
            leave()
          end
        end
        say(describe_all(list(10, 19)))
        assert(wait() == 0 and wait() == 0)]])
      local seen, count = {}, 0
      for line in lines:gmatch "[^\n]+" do
        assert.is_nil(seen[line])
        seen[line], count = true, count + 1
      end
      assert.equal(3 * 12, count)
      assert.is_truthy(next(connections_by_tens()))
    end)

    it("within a map keeps that, and its child is told", function()
      if not library then return pending "no C compiler" end -- fork() is a C module
      assert.equal("sound\n", output(LOAD_FORK .. [[
        local is_child = false
        local ok, results, failures = pcall(iot.map, list(10, 19), function(id)
          describe(id)
          if id == "task-15" then is_child = fork() == 0 end
          describe(id)
          return id
        end, { concurrency = 4 })
        if is_child then
          assert(not ok and results:find "of another process", results)
          describe "task-20"
          describe_all(list(20, 29))
          leave()
        end
        assert(ok and results.n == 10 and next(failures) == nil)
        assert(wait() == 0)
        describe "task-11"
        print "sound"]]))
    end)
  end)

  describe("that ends", function()
    for _, way in ipairs(ENDS) do
      for _, what in ipairs(UNDER_WAY) do
        local name, words, code = way[1], what[1], way[3]
        if name ~= "an error" or not words:find "iot.map" then
          it(("by %s is not kept by %s"):format(name, words), function()
            local result = run(way[2] .. "\n" .. what[2])
            assert.equal("left", result.stdout)
            assert.equal(code, result.code)
            assert.equal(name == "an error", result.stderr:find "over" ~= nil)
          end)
        end
      end
    end
  end)

  describe("that starts programs", function()
    it("gives them standard files and no other, though connections are open", function()
      if not io.open "/proc/self/fd" then return pending "no /proc/self/fd here" end -- which tells what a child holds
      assert.equal("0\n1\n2\n0\n1\n2\n", output [[
        describe "task-1"
        local file = assert(io.open("/dev/null"))
        local names = { "sh", "-c", "exec 9>&-; ls /proc/$$/fd" }
        describe_all(list(1, 8))
        io.write(core.run(names, 10).output)
        iot.map({ 1 }, function()
          describe "task-2"
          io.write(runtime.run(names, 10).output)
        end)
        file:close()]])
    end)

    it("gives those of others no connection", function()
      if not io.open "/proc/self/net/tcp" then return pending "no /proc/self/net/tcp here" end -- which tells sockets
      assert.equal("sound\n", output [[
        local function each_socket(see)
          for line in io.popen("ls -l /proc/self/fd"):lines() do
            local inode = line:match "socket:%[(%d+)%]"
            if inode then see(inode) end
          end
        end
        local connections = {}
        describe "task-1"
        for _, name in ipairs { "tcp", "tcp6" } do
          local file = io.open("/proc/self/net/" .. name)
          for line in file and file:lines() or function() end do
            connections[line:match(("%S+ +"):rep(9) .. "(%d+)") or "none"] = true
          end
        end
        connections.none = nil
        assert(next(connections))
        each_socket(function(inode) assert(not connections[inode]) end)
        print "sound"]])
    end)
  end)

  describe("that gets signals", function()
    it("all the time makes its calls none the less", function()
      if not library then return pending "no C compiler" end -- fork() is a C module
      assert.equal("sound\n", output(LOAD_FORK .. [[
        storm()
        for _ = 1, 20 do describe "task-1" end
        describe_all(list(1, 40))
        assert(core.run({ "sh", "-c", "sleep 0.05; echo a" }, 10).output == "a\n")
        local started = core.monotonic()
        assert(core.sleep(0.1) == true)
        assert(core.monotonic() - started >= 0.1)
        local download, size = assert(runtime.download { url = endpoint .. "/",
          ca_bundle = os.getenv "AWS_CA_BUNDLE", proxy = "" }), 0
        for piece in function() return download:read() end do size = size + #piece end
        assert(size > 0)
        assert(storm() > 50, storm())
        print "sound"]]))
    end)

    it("none of a connection that nobody reads any more", function()
      local faults = {}
      for i, kind in ipairs { "close", "reset", "drop", "close", "reset", "drop" } do
        faults[i] = { kind = kind, skip = 5 * i }
      end
      sim:fault(faults)
      assert.equal("sound\n", output [[
        for i = 1, 20 do describe("task-" .. i) end
        describe_all(list(1, 20))
        local download = assert(runtime.download { url = endpoint .. "/", ca_bundle = os.getenv "AWS_CA_BUNDLE",
          proxy = "" })
        download:close()
        print "sound"]])
    end)

    it("of children ignored knows what its programs wrote", function()
      if not library then return pending "no C compiler" end -- fork() is a C module
      assert.equal("sound\n", output(LOAD_FORK .. [[
        ignore_children()
        local results, failures = iot.map(list(1, 8), function(id)
          describe(id)
          assert(runtime.run({ "echo", id }, 10).output == id .. "\n")
          return id
        end)
        assert(results[8] == "task-8" and next(failures) == nil)
        assert(core.run({ "sh", "-c", "echo a; exit 3" }, 10).output == "a\n")
        print "sound"]]))
    end)
  end)

  describe("whose calls nobody ends", function()
    it("gets over errors that are thrown through them", function()
      assert.equal("sound\n", output [[
        local thrower = assert(iot.new { endpoint = endpoint, proxy = "", on_event = function() error "thrown" end })
        local before = descriptors.count()
        for i = 1, 30 do
          local ok, message = pcall(describe, "task-" .. i, thrower)
          assert(not ok and message:find "thrown")
        end
        local results, failures = iot.map(list(1, 40), function(id)
          if tonumber(id:match "%d+") % 2 == 0 then describe(id, thrower) end
          describe(id)
          return id
        end, { concurrency = 8 })
        for i = 1, 40 do assert((results[i] == nil) == (i % 2 == 0) and (failures[i] ~= nil) == (i % 2 == 0)) end
        for _, failure in pairs(failures) do assert(failure.raised and failure.message:find "thrown") end
        describe "task-1"
        thrower:close()
        client:close()
        assert(descriptors.count() <= before)
        print "sound"]])
    end)

    it("gets over coroutines that are given up in the middle", function()
      assert.equal("sound\n", output [[
        local function yields() coroutine.yield "in the middle" end
        local pauser = assert(iot.new { endpoint = endpoint, proxy = "", on_event = yields })
        describe "task-1"
        local before = descriptors.count()
        for i = 1, 100 do
          local thread = coroutine.create(describe)
          local ok, where = coroutine.resume(thread, "task-" .. i % 80 + 1, pauser)
          assert(ok and where == "in the middle", where)
        end
        for _ = 1, 20 do
          coroutine.wrap(function()
            local download = assert(runtime.download { url = endpoint .. "/",
              ca_bundle = os.getenv "AWS_CA_BUNDLE", proxy = "" })
            assert(download:read())
            yields()
          end)()
        end
        pauser:close()
        assert(descriptors.count() <= before, descriptors.count() .. " of " .. before)
        describe "task-2"
        print "sound"]])
    end)
  end)
end)
