-- How downloads end before their time, who may read them, other processes, and misuse of those of core.multi.
local child = require "spec.support.child"
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local download_rig = require "spec.support.download_rig"
local error_queue = require "spec.support.error_queue"
local fork = require "spec.support.fork"
local iot = require "iot"
local raw_server = require "spec.support.raw_server"
local runtime = require "iot.runtime"
local simulator = require "spec.support.simulator"

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("a download", function()
  local missing = simulator.missing() or descriptors.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask; /proc alone counts descriptors
    return
  end

  local sim, servers, rig, before

  setup(function()
    sim = simulator.start()
    servers = raw_server.start(sim)
    rig = download_rig.new(sim)
    rig.fetch "/" -- the first TLS connection of a process may open what stays open
  end)
  teardown(function()
    servers:stop()
    sim:stop()
  end)
  before_each(function()
    sim:clear()
    before = descriptors.count()
  end)
  after_each(function() assert.equal(before, descriptors.count(), "descriptors were left open") end)

  local function stall(bytes) return { kind = "stall", bytes = bytes or 10 } end

  -- Ends ------------------------------------------------------------------------------------------

  for _, place in ipairs(download_rig.PLACES) do
    it("that is closed leaves no connection, " .. place.name, function()
      sim:fault { stall(), stall(), stall(0), stall(0) }
      place.run(function()
        local download = rig.open "/"
        assert.equal(10, #download:read())
        local open = descriptors.count()
        download:close()
        assert.is_true(descriptors.count() < open)
        assert.is_nil((download:read()))
        for index = 2, 4 do -- in the middle, and with nothing yet
          download = rig.open("/", { read_timeout = 0.1 })
          if index == 2 then assert.equal(10, #download:read()) end
          assert.equal("Timeout", select(3, download:read()).code)
          open = descriptors.count()
          download:close()
          assert.equal(open, descriptors.count())
        end
      end)
    end)

    it("that nobody has any more leaves no connection, " .. place.name, function()
      sim:fault(stall())
      place.run(function()
        local download = rig.open "/"
        assert.equal(10, #download:read())
        local open = descriptors.count()
        download = nil -- luacheck: ignore 311
        assert.is_true(descriptors.count() < open)
      end)
    end)

    it("that is closed in any state leaves the others alone, " .. place.name, function()
      sim:fault { kind = "reply", body_bytes = 300000, times = 100 }
      place.run(function()
        local whole, size = rig.open(sim.plain_endpoint .. "/"), 0
        for index = 1, 30 do
          local download = rig.open(sim.plain_endpoint .. "/")
          for _ = 1, index % 4 do download:read() end
          if index % 3 == 0 then runtime.sleep(0.001) end
          download:close()
          if index % 5 == 0 then size = size + #(whole:read() or "") end
        end
        local bytes, message, facts = rig.read(whole)
        assert.is_nil(facts, message)
        assert.equal(300000, size + #bytes)
        assert.equal(300000, #rig.fetch(sim.plain_endpoint .. "/"))
      end)
    end)
  end

  it("of a map uses connections again, but for those that were left", function()
    sim:fault { { kind = "reply", body_bytes = 300000 }, { kind = "reply", body_bytes = 300000 }, stall(),
      { kind = "reply", body_bytes = 300000 } }
    local _, failed = iot.map({ 1, 2, 3, 4 }, function(index)
      local download = rig.open "/"
      assert(download:read())
      if index == 3 then return download:close() end
      rig.read(download)
    end, { concurrency = 1 })
    assert.is_nil(next(failed))
    local connections = {}
    for index, entry in ipairs(sim:journal()) do connections[index] = entry.connection end
    assert.equal(connections[1], connections[2])
    assert.equal(connections[1], connections[3])
    assert.not_equal(connections[1], connections[4])
  end)

  it("leaves no error in OpenSSL's queue, however it ends", function()
    local library = error_queue.library()
    if not library then return pending "no C compiler" end
    local count = error_queue.load(library)
    os.remove(library)
    sim:fault { stall(), { kind = "truncate", when = "before" }, { kind = "reply", body_bytes = 1000000 } }
    local ends = {
      { "closed in the middle", "/", {}, function(download) download:read() end },
      { "cut short", "/", {}, rig.read },
      { "with its end", "/", {}, rig.read },
      { "silent in the handshake", servers.silent_tls .. "/", { connect_timeout = 0.1 }, rig.read },
      { "with a certificate that is unknown", "/", { ca_bundle = sim.folder .. "/device.pem" }, rig.read },
    }
    for _, place in ipairs(download_rig.PLACES) do
      for _, case in ipairs(ends) do
        place.run(function()
          assert.equal(0, count(), "before")
          local download = rig.open(case[2], case[3])
          case[4](download)
          download:close()
          assert.equal(0, count(), case[1])
        end)
        assert.equal(0, count(), case[1])
      end
    end
  end)

  -- Who reads -------------------------------------------------------------------------------------

  -- Run functions at the same time, in a map; returns what each gave, and the failures.
  local function at_once(...)
    return iot.map({ ... }, function(fn) return fn() end)
  end

  it("of a map may be read by another task than the one that opened it", function()
    sim:fault { kind = "reply", body_bytes = 3000000 }
    local download
    local results, failed = at_once(function()
      download = rig.open "/"
      return #download:read()
    end, function()
      repeat runtime.sleep(0.01) until download and download.status
      return #rig.read(download)
    end)
    assert.is_nil(next(failed))
    assert.equal(3000000, results[1] + results[2])
  end)

  it("of a map that another task closes is waited for no more", function()
    sim:fault(stall())
    local download
    local results, failed = at_once(function()
      download = rig.open "/"
      return #rig.read(download)
    end, function()
      repeat runtime.sleep(0.05) until download and download.status
      download:close()
      return rig.open(servers.silent .. "/", { read_timeout = 0.1 }):read()
    end)
    assert.is_nil(failed[1])
    assert.equal(10, results[1])
    assert.is_truthy(failed[2].message:find "sent nothing")
  end)

  it("of a map is not read by two tasks at a time", function()
    sim:fault { kind = "reply", delay = 0.2, body_bytes = 1000 }
    local download
    local results, failed = at_once(function()
      download = rig.open "/"
      return #rig.read(download)
    end, function()
      repeat runtime.sleep(0.01) until download
      return rig.read(download)
    end)
    assert.equal(1000, results[1])
    assert.is_true(failed[2].raised)
    assert.is_truthy(failed[2].message:find("another task waits for", 1, true), failed[2].message)
  end)

  it("of a map ends with it", function()
    sim:fault { stall(), stall() }
    local first, second
    at_once(function()
      first, second = rig.open "/", rig.open "/"
      assert.equal(10, #first:read())
    end)
    for _, download in ipairs { first, second } do
      local ok, message = pcall(download.read, download)
      assert.is_false(ok)
      assert.is_truthy(message:find "its iot.map has ended", message)
      download:close()
      assert.is_nil((download:read()))
    end
  end)

  it("of a map is not read in a coroutine or a map elsewhere", function()
    sim:fault { stall(), stall() }
    local _, failed = at_once(function()
      local download = rig.open "/"
      coroutine.wrap(function() download:read() end)()
    end, function()
      local download = rig.open "/"
      coroutine.wrap(function()
        local _, inner = iot.map({ 1 }, function() return download:read() end)
        error(inner[1].error, 0)
      end)()
    end)
    for index = 1, 2 do
      assert.is_truthy(failed[index].message:find("of an iot.map elsewhere", 1, true), failed[index].message)
    end
  end)

  it("of a thread that waits may be read in a map", function()
    sim:fault { kind = "reply", body_bytes = 1000000 }
    local download = rig.open "/"
    local results = at_once(function() return #rig.read(download) end)
    assert.equal(1000000, results[1])
  end)

  it("goes on in the process that began it, and in no child of that", function()
    local library = fork.library()
    if not library then return pending "no C compiler" end
    sim:fault { { kind = "reply", body_bytes = 3000000 }, { kind = "reply", body_bytes = 3000000 },
      { kind = "reply", body_bytes = 5000 } }
    local output = child.output(([[
      local core, fork, wait, leave = require "iot.core", require("spec.support.fork").load(%q)
      local runtime = require "iot.runtime"
      local request = { url = %q, ca_bundle = %q, proxy = "", connect_timeout = 5, read_timeout = 10 }
      local function read(download)
        local size, piece, message, facts = 0, download:read()
        while piece do
          size = size + #piece
          piece, message, facts = download:read()
        end
        assert(not facts, message)
        return size
      end
      local download, multi = assert(runtime.download(request)), assert(core.multi(4))
      local size, raw = #download:read(), assert(multi:download(request))
      while not raw:read() do multi:wait(10, {}) end
      if fork() == 0 then
        for _, call in ipairs { download.read, raw.read, raw.finish, function() multi:download(request) end } do
          local ok, message = pcall(call, call == download.read and download or raw)
          assert(not ok and message:find "of another process", message)
        end
        assert(read(assert(runtime.download(request))) == 5000)
        raw:close()
        download:close()
        multi:close()
        collectgarbage()
        leave()
      end
      assert(wait() == 0)
      print(size + read(download))
      multi:close()
    ]]):format(library, sim.endpoint .. "/", sim.ca_bundle))
    os.remove(library)
    assert.equal("3000000\n", output)
  end)

  -- Misuse of core's ------------------------------------------------------------------------------

  describe("of core.multi", function()
    local multi

    before_each(function() multi = assert(core.multi(4)) end)
    after_each(function()
      multi:close()
      multi = nil
      collect()
    end)

    local function open(url) return assert(multi:download { url = url or sim.plain_endpoint .. "/", proxy = "" }) end

    -- Read all of it; returns the bytes.
    local function read(download)
      local pieces, piece = {}, download:read()
      while piece ~= nil do
        if piece then pieces[#pieces + 1] = piece else multi:wait(10, {}) end
        piece = download:read()
      end
      return table.concat(pieces)
    end

    local function assert_raises(words, fn, ...)
      local ok, message = pcall(fn, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(words, 1, true), message)
    end

    it("has a slot, which only it may free", function()
      sim:fault { kind = "reply", body = "abc", times = 2 }
      local download, slot = open()
      for _ = 1, 2 do
        assert_raises("methods of its own", multi.finish, multi, slot)
        assert_raises("methods of its own", multi.cancel, multi, slot)
        multi:wait(0.05, {})
      end
      assert.equal("abc", read(download))
      assert_raises("methods of its own", multi.finish, multi, slot)
      assert_raises("methods of its own", multi.cancel, multi, slot)
      assert.equal(200, download:finish().status)
      assert_raises("not in use", multi.finish, multi, slot)
      multi:cancel(slot)
      local other = assert(multi:request { url = sim.plain_endpoint .. "/", timeout = 10, proxy = "" })
      assert.equal(slot, other)
      download:close()
      assert.equal(1, multi:wait(10, {}))
      assert.equal("abc", multi:finish(other).body)
    end)

    it("tells its slot only who waits for a piece", function()
      sim:fault { kind = "reply", body = "abc" }
      local download, slot = open()
      local done = {}
      assert.equal(0, multi:wait(0.1, done))
      assert.equal("abc", (download:read()))
      assert.equal(0, multi:wait(0, done))
      if download:read() == false then -- else its end has come, too
        assert.equal(1, multi:wait(10, done))
        assert.equal(slot, done[1])
      end
      assert.is_nil((download:read()))
    end)

    it("has in its end what was not read", function()
      sim:fault { kind = "reply", body = "abc", headers = { ["X-Name"] = "value" } }
      local download = open()
      local reply
      repeat
        multi:wait(0.05, {})
        local ended, result = pcall(download.finish, download)
        reply = ended and result
      until reply
      assert.same({ 200, "abc", "value" }, { reply.status, reply.body, reply.headers["x-name"] })
    end)

    it("is finished once, and not before its end", function()
      sim:fault { kind = "reply", body = "abc" }
      local download = open()
      assert_raises("has not ended", download.finish, download)
      assert.is_false((download:read()))
      assert_raises("has not ended", download.finish, download)
      assert.equal("abc", read(download))
      assert.equal("", download:finish().body)
      for _, name in ipairs { "finish", "read" } do assert_raises("closed download", download[name], download) end
      download:close()
    end)

    it("is of no use once it is closed, or its multi is", function()
      local download = open()
      download:close()
      download:close()
      for _, name in ipairs { "finish", "read" } do assert_raises("closed download", download[name], download) end
      download = open()
      multi:close()
      for _, name in ipairs { "finish", "read" } do assert_raises("its iot.map has ended", download[name], download) end
      download:close()
      for _, name in ipairs { "finish", "read" } do assert_raises("closed download", download[name], download) end
      assert_raises("closed multi", multi.download, multi, { url = sim.plain_endpoint .. "/" })
    end)

    it("keeps its multi, and goes in whatever order they go", function()
      local download = open()
      multi = nil
      collect()
      assert.is_false((download:read()))
      download:close()
      for _ = 1, 20 do
        multi = assert(core.multi(4))
        local list = {}
        for index = 1, 5 do list[index] = open(servers.silent .. "/") end
        list[2]:close()
        multi:wait(0, {})
        multi = nil
      end
      collect()
      multi = assert(core.multi(4))
    end)

    it("raises for what is none, and answers what cannot begin", function()
      local download = open()
      for _, name in ipairs { "read", "finish", "close" } do
        for _, value in ipairs { multi, 5, "x", {}, io.stdout } do
          assert.is_false((pcall(download[name], value)))
        end
        assert.is_false((pcall(download[name])))
      end
      for _, value in ipairs { 5, "x", true, { url = 5 }, { url = "http://localhost/", timeout = "x" } } do
        assert.is_false((pcall(multi.download, multi, value)))
      end
      for code, request in pairs {
        InvalidParameter = { url = "http://local host/" },
        InvalidCABundle = { url = sim.endpoint, ca_bundle = "/none" },
        InvalidConfiguration = { url = sim.endpoint, proxy = "gopher://a" },
        Timeout = { url = sim.endpoint, timeout = 0 },
      } do
        local result, message, facts = multi:download(request)
        assert.is_nil(result)
        assert.equal(code, facts.code, message)
      end
    end)
  end)
end)
