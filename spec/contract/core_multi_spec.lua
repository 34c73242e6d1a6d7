-- Many exchanges at once on core.multi, against the simulator and servers with bad manners: results and times.
local core = require "iot.core"
local multi_rig = require "spec.support.multi_rig"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local OPERATION, SLACK = multi_rig.OPERATION, multi_rig.SLACK
local pack, unpack = multi_rig.pack, multi_rig.unpack

local TOKEN = "SESSIONTOKENOFTHESPEC/+="

describe("many exchanges at once", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, raw, rig

  setup(function()
    sim = simulator.start { concurrent_tasks = 1000 }
    raw = raw_server.start(sim)
    rig = multi_rig.new(sim)
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)
  before_each(function() rig.open() end)
  after_each(function() rig.close() end)

  it("each get their own result", function()
    local wanted = {}
    for i = 1, 20 do
      local slot = rig.start("task-" .. i)
      assert.is_nil(wanted[slot])
      assert.is_true(slot >= 1 and slot <= 20)
      wanted[slot] = i
    end
    local results = rig.finish(20)
    for slot, i in pairs(wanted) do
      assert.equal(2, results[slot].n)
      assert.equal("task-" .. i, results[slot][1].taskId)
      assert.equal(i, results[slot][1].successCount)
      assert.equal(200, results[slot][2])
    end
  end)

  it("take as long as the longest of them", function()
    sim:fault { kind = "delay", seconds = 0.4, times = 10 }
    local took = rig.elapsed(function()
      for _ = 1, 10 do rig.start() end
      rig.finish(10)
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
      local blocking = pack(core[OPERATION](rig.native, { taskId = "task-1" }, rig.attempt_of()))
      if fault then sim:fault(fault) end
      rig.start()
      assert.same(stripped(blocking), stripped(pack(rig.finish_one())))
    end
    local blocking = pack(core[OPERATION](rig.native, { taskId = "nobody" }, rig.attempt_of()))
    rig.start "nobody"
    local result = pack(rig.finish_one())
    assert.equal("ResourceNotFoundException", result[3].code)
    assert.same(stripped(blocking), stripped(result))
  end)

  it("refuse at once what the blocking function refuses", function()
    for _, case in ipairs {
      { { taskId = "" } }, { { taskId = 5 } }, { {} }, { { taskId = "a", other = "b" } },
      { { taskId = "a" }, { credentials = {} } }, { { taskId = "a" }, { timeout = 0 } },
      { { taskId = "a" }, { user_agent = "a\nb" } },
    } do
      local blocking = pack(core[OPERATION](rig.native, case[1], rig.attempt_of(case[2])))
      local result = pack(rig.multi:start(rig.native, OPERATION, case[1], rig.attempt_of(case[2])))
      assert.is_nil(result[1])
      assert.same(blocking, result)
    end
    assert.equal(0, rig.multi:wait(0, {}))
    assert.equal(0, #sim:journal())
  end)

  it("may be plain requests", function()
    sim:fault { kind = "raw", body = "HTTP/1.1 418 X\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok" }
    local slot = assert(rig.multi:request(rig.request_of("/path?a", { method = "PUT", body = "bytes\0",
      headers = { { "X-B", "2" } } })))
    assert.equal("number", type(slot))
    local reply = rig.finish_one()
    assert.same({ status = 418, body = "ok", headers = { ["x-a"] = "1", ["content-length"] = "2" } }, reply)
    local entry = sim:journal()[1]
    assert.equal("PUT", entry.method)
    assert.equal("bytes\0", entry.body)
    assert.equal("/path?a", entry.uri)
  end)

  it("refuse plain requests that the blocking function refuses", function()
    for _, changes in ipairs { { url = "ftp://a/" }, { method = "A B" }, { headers = { { "X", "a\nb" } } },
      { timeout = 0 }, { proxy = "gopher://a" }, { ca_bundle = "/nonexistent.pem" } } do
      local blocking = pack(core.request(rig.request_of("/", changes)))
      local result = pack(rig.multi:request(rig.request_of("/", changes)))
      assert.is_nil(result[1])
      assert.same(blocking, result)
    end
  end)

  it("fail one by one, and say why", function()
    assert(rig.multi:request(rig.request_of("", { url = "http://127.0.0.1:1/" })))
    local reply, message, facts = rig.finish_one()
    assert.is_nil(reply)
    assert.is_truthy(message:find "127%.0%.0%.1")
    assert.equal("ConnectionFailed", facts.code)
  end)

  it("hide the session token in what is quoted of a reply, when all else is gone", function()
    local credentials = { access_key_id = "AKID", secret_access_key = "secret", session_token = TOKEN }
    sim:fault { kind = "reply", status = 200, body = "<html>" .. TOKEN }
    local client = rig.new_client()
    rig.start("task-1", { credentials = credentials }, client)
    client:close()
    client, credentials = nil, nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    local _, message, facts = rig.finish_one()
    assert.equal("<html>[secret]", facts.body)
    assert.is_nil(message:find(TOKEN, 1, true))
  end)

  it("keep the bodies that they send", function()
    local expected = {}
    for i = 1, 8 do
      local params = { templateBody = ("t"):rep(5000) .. i, inputFileBucket = "bucket", inputFileKey = "key" .. i,
        roleArn = "arn:aws:iam::123456789012:role/x" }
      assert(rig.multi:start(rig.native, "start_thing_registration_task", params, rig.attempt_of()))
      expected[params.templateBody] = true
    end
    collectgarbage()
    for _, result in pairs((rig.finish(8))) do assert.is_string(result[1].taskId) end
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
      return assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/", read_timeout = seconds })))
    end
    local slots = { silent(0.6), silent(0.2), silent(0.4), rig.start() }
    local _, order = rig.finish(4)
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
    for _, case in ipairs(cases) do limit[assert(rig.multi:request(rig.request_of("", case[1])))] = case end
    local started = core.monotonic()
    while told < #cases do
      for i = 1, rig.multi:wait(10, done) do
        local took, case = core.monotonic() - started, limit[done[i]]
        local reply, message, facts = rig.multi:finish(done[i])
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
    local slow = rig.start()
    assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/", read_timeout = 0.1 })))
    local _, _, facts = rig.finish_one()
    assert.equal("Timeout", facts.code)
    local results = rig.finish(1)
    assert.equal("task-1", results[slow][1].taskId)
  end)

  it("are waited for as long as is said, and no longer", function()
    assert(rig.multi:request(rig.request_of("", { url = raw.silent .. "/" })))
    for _, seconds in ipairs { 0.05, 0.7 } do
      local took = rig.elapsed(function() assert.equal(0, rig.multi:wait(seconds, {})) end)
      assert.is_true(took >= seconds - 0.001 and took < seconds + SLACK, took .. " s")
    end
    for _, seconds in ipairs { 0, -1, -math.huge, 0 / 0 } do
      assert.is_true(rig.elapsed(function() assert.equal(0, rig.multi:wait(seconds, {})) end) < 0.5)
    end
  end)

  it("are waited for without a limit", function()
    rig.start()
    assert.equal(1, rig.multi:wait(math.huge, {}))
  end)

  it("need not be there to wait", function()
    local took = rig.elapsed(function() assert.equal(0, rig.multi:wait(0.2, {})) end)
    assert.is_true(took >= 0.199 and took < 0.2 + SLACK, took .. " s")
  end)

  it("leave alone what is behind those that have finished", function()
    local done = { "a", "b", "c" }
    local slot = rig.start()
    assert.equal(1, rig.multi:wait(10, done))
    assert.same({ slot, "b", "c" }, done)
    assert.equal(0, rig.multi:wait(0, done)) -- told once
    assert.same({ slot, "b", "c" }, done)
    assert.equal("task-1", rig.multi:finish(slot).taskId)
  end)
end)
