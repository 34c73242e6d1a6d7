-- The library inside a real nginx: what it does in which phase, and that calls there end as they do outside.
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

-- What a call comes to, as a list that JSON can hold.
local OUTCOME = [[
  local given = ...
  local client = assert(require("iot").new(given.options))
  local task, message, detail = client:describe_thing_registration_task({ taskId = given.id }, given.call)
  client:close()
  detail = detail or {}
  return { task and task.percentageProgress or false, detail.kind or false, detail.code or false,
    detail.status or false, detail.attempts or false, detail.retryable or false, message or false }
]]

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local function load_chunk(source)
  return assert((rawget(_G, "loadstring") or load)(source))
end

describe("inside nginx", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx, task_id

  setup(function()
    sim = simulator.start { seconds = 0, concurrent_tasks = 100 }
    task_id = sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }
    nginx = nginx_rig.start { sim = sim }
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  local function given(overrides, call)
    return { options = sim:options(overrides), id = task_id, call = call }
  end

  local function connections()
    local seen, count = {}, 0
    for _, entry in ipairs(sim:journal()) do
      if not seen[entry.connection] then seen[entry.connection], count = true, count + 1 end
    end
    return count
  end

  -- Phases -----------------------------------------------------------------------------------------

  for _, phase in ipairs { "rewrite", "access", "content", "timer", "ssl_cert" } do
    it("a call waits in the phase " .. phase, function()
      local outcome = nginx:run(phase, OUTCOME, given())
      assert.equal(7, outcome[1], outcome[7])
    end)
  end

  for _, phase in ipairs { "set", "header_filter", "body_filter", "log", "balancer", "init_worker" } do
    it("a call is refused in the phase " .. phase .. ", and told what to do", function()
      local outcome = nginx:run(phase, OUTCOME, given())
      assert.same({ false, "configuration", "PhaseCannotWait", false, 0, false }, { unpack(outcome, 1, 6) })
      assert.matches("phase " .. phase .. ": .*ngx.timer.at", outcome[7])
      assert.equal(0, #sim:journal())
    end)
  end

  it("a call waits in init, where nothing else runs", function()
    local outcome = nginx:run("init", OUTCOME, given())
    assert.equal(7, outcome[1], outcome[7])
  end)

  -- Outcomes -----------------------------------------------------------------------------------------

  local function raw(text) return { kind = "raw", body = text } end
  local OK = "HTTP/1.1 200 OK\r\n"
  local BODY = '{"percentageProgress":7}'

  -- What happens; and, where the words differ between libcurl and here, that they may.
  local FAULTS = {
    { "nothing" },
    -- Twice, since a connection that was kept may be dead: then a new one is tried at once.
    { "a reset", { kind = "reset", times = 2 } },
    { "no reply", { kind = "close", times = 2 } },
    { "a reply cut short", { kind = "truncate" } },
    { "a connection that ends behind the reply", { kind = "drop" } },
    { "silence", { kind = "stall" }, { read_timeout = 0.3 } },
    { "silence beyond the call's time", { kind = "stall" }, nil, { timeout = 0.3 } },
    { "an outage", { kind = "reply", status = 503, body = "<html>" } },
    { "no gateway", { kind = "reply", status = 502 } },
    { "throttling", { kind = "throttle" } },
    { "throttling by status", { kind = "throttle", status = 429, retry_after = 7 } },
    { "a clock that is wrong", { kind = "skew", seconds = 7200 } },
    { "no JSON", { kind = "reply", body = "<html>" } },
    { "an empty success", { kind = "reply", body = "" } },
    { "a redirect", { kind = "reply", status = 301, headers = { Location = "https://example.com/" } } },
    { "a large reply", { kind = "reply", body_bytes = 17 * 1024 * 1024 } },
    { "no HTTP", raw "SSH-2.0-OpenSSH\r\n" },
    { "chunks", raw(OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\n" .. BODY:sub(1, 5) .. "\r\n13\r\n" .. BODY:sub(6)
      .. "\r\n0\r\nTrailer: x\r\n\r\n") },
    { "chunks that are none", raw(OK .. "Transfer-Encoding: chunked\r\n\r\nx\r\n") },
    { "chunks that end early", raw(OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\nab") },
    { "a body that ends with the connection", raw(OK .. "\r\n" .. BODY) },
    { "a reply to go on", raw("HTTP/1.1 100 Continue\r\n\r\n" .. OK .. "\r\n" .. BODY) },
    { "endless headers", raw(OK .. ("X: y\r\n"):rep(20000)) },
  }
  for _, fault in ipairs(FAULTS) do
    it("a call ends as elsewhere after " .. fault[1], function()
      local input = given(fault[3], fault[4])
      if fault[2] then sim:fault(fault[2]) end
      local outside = load_chunk(OUTCOME)(input)
      sim:clear()
      if fault[2] then sim:fault(fault[2]) end
      local inside = nginx:run("content", OUTCOME, input)
      assert.same({ unpack(outside, 1, 6) }, { unpack(inside, 1, 6) },
        tostring(outside[7]) .. " / " .. tostring(inside[7]))
    end)
  end

  it("a call is tried again as elsewhere", function()
    sim:fault { { kind = "reset" }, { kind = "reply", status = 503 } }
    assert.equal(7, nginx:run("content", OUTCOME, given { retry = { max_attempts = 3 } })[1])
    assert.equal(3, #sim:journal())
  end)

  it("a pause is as long as it is to be, however long the worker was busy before", function()
    local seconds = nginx:run("content", [[
      local core = require "iot.core"
      local busy = core.monotonic() + 0.3
      repeat until core.monotonic() > busy
      local started = core.monotonic()
      ngx.thread.spawn(function() ngx.sleep(0.001) end) -- whose end makes nginx look at the clock
      require("iot.runtime").sleep(0.2)
      return core.monotonic() - started]])
    assert.is_true(seconds >= 0.199, seconds)
  end)

  -- TLS and names ------------------------------------------------------------------------------------

  for name, endpoint in pairs {
    ["another host"] = "wrong_host_endpoint", ["a certificate of yesterday"] = "expired_endpoint",
  } do
    it("trusts no server with " .. name, function()
      local outcome = nginx:run("content", OUTCOME, given { endpoint = sim[endpoint] })
      assert.same({ false, "transport", "CertificateInvalid", false, 1, false }, { unpack(outcome, 1, 6) })
    end)
  end

  it("trusts no address, and says why", function()
    local endpoint = sim.endpoint:gsub("localhost", "127.0.0.1")
    local outcome = nginx:run("content", OUTCOME, given { endpoint = endpoint })
    assert.same({ false, "transport", "CertificateInvalid", false, 1, false }, { unpack(outcome, 1, 6) })
    assert.matches("names alone, never against an address", outcome[7])
  end)

  it("tells a handshake that failed from a certificate that was refused before", function()
    assert.equal("CertificateInvalid", nginx:run("content", OUTCOME, given { endpoint = sim.expired_endpoint })[3])
    local outcome = nginx:run("content", OUTCOME, given { endpoint = sim.old_tls_endpoint })
    assert.same({ false, "transport", "TLSHandshakeFailed", false, 1, true }, { unpack(outcome, 1, 6) })
  end)

  it("names the directives that are missing", function()
    local bare = nginx_rig.start { sim = sim, trusted = false, resolver = false }
    local outcome = bare:run("content", OUTCOME, given())
    assert.equal("CertificateInvalid", outcome[3])
    assert.matches("lua_ssl_trusted_certificate", outcome[7])
    outcome = bare:run("content", OUTCOME, given { endpoint = "https://iot.example.com" })
    assert.equal("NameResolutionFailed", outcome[3])
    assert.matches("directive resolver", outcome[7])
    bare:stop()
  end)

  -- Connections ----------------------------------------------------------------------------------------

  it("keeps connections from request to request", function()
    nginx:run("content", OUTCOME, given())
    sim:clear()
    for _ = 1, 5 do assert.equal(7, nginx:run("content", OUTCOME, given())[1]) end
    assert.equal(1, connections())
  end)

  it("does not take a kept connection that died for a failed attempt", function()
    nginx:run("content", OUTCOME, given())
    sim:fault { kind = "drop" }
    nginx:run("content", OUTCOME, given())
    sim:clear()
    local outcome = nginx:run("content", OUTCOME, given())
    assert.equal(7, outcome[1], outcome[7])
  end)

  it("carries a request out twice at the most, however many kept connections are dead", function()
    nginx:run("content", [[
      local given = ...
      local client = assert(require("iot").new(given.options))
      local items = {}
      for i = 1, 20 do items[i] = i end
      require("iot").map(items, function() return client:describe_thing_registration_task { taskId = given.id } end,
        { concurrency = 20 })]], given())
    sim:clear()
    sim:fault { kind = "close", times = 50, when = "after" }
    local outcome = nginx:run("content", OUTCOME, given { retry = { max_attempts = 1 } })
    assert.equal("ConnectionLost", outcome[3])
    assert.is_true(#sim:journal() <= 2, #sim:journal())
  end)

  -- What is built upon calls -------------------------------------------------------------------------

  it("waits for a task, turns pages, reads reports, plain and gzip", function()
    local id = sim:seed { plan = { things = 50, failures = 5, seconds = 0 } }
    for _, encoding in ipairs { "", "gzip" } do
      sim:settings { report_encoding = encoding, report_links = 3 }
      local found = nginx:run("content", [[
        local given = ...
        local client = assert(require("iot").new(given.options))
        local task = assert(client:wait_for_thing_registration_task({ taskId = given.id }, { interval = 1 }))
        local tasks, lines = 0, {}
        for _ in client:thing_registration_tasks { maxResults = 1 } do tasks = tasks + 1 end
        for record in client:thing_registration_task_report { taskId = given.id, reportType = "RESULTS" } do
          lines[#lines + 1] = assert(record:input_line())
        end
        return { task.failureCount, tasks, #lines }]], { options = sim:options(), id = id })
      assert.equal(5, found[1])
      assert.is_true(found[2] >= 2)
      assert.equal(45, found[3])
    end
  end)

  it("runs a map in light threads, whose errors stay theirs", function()
    sim:fault { kind = "delay", seconds = 0.2, times = 20 }
    local found = nginx:run("content", [[
      local given = ...
      local iot = require "iot"
      local client = assert(iot.new(given.options))
      local started = require("iot.core").monotonic()
      local items = {}
      for i = 1, 20 do items[i] = i end
      local results, failures = iot.map(items, function(i)
        assert(client:describe_thing_registration_task { taskId = given.id })
        if i == 7 then error "seven" end
        return i
      end, { concurrency = 10 })
      local sum = 0
      for i = 1, results.n do sum = sum + (results[i] or 0) end
      return { sum, failures[7].message, failures[7].raised, require("iot.core").monotonic() - started }]], given())
    assert.equal(203, found[1])
    assert.matches("seven", found[2])
    assert.is_true(found[3])
    assert.is_true(found[4] < 2, found[4])
  end)

  it("renews credentials once, however many requests wait for them", function()
    local found = nginx:run("content", [[
      local given = ...
      local iot = require "iot"
      local count = 0
      given.options.credentials = nil
      local record = given.record
      local client = assert(iot.new {
        region = given.options.region, endpoint = given.options.endpoint, retry = { max_attempts = 1 },
        credentials = function()
          count = count + 1
          ngx.sleep(0.1)
          record.expiration = require("iot.core").now() + 3600
          return record
        end,
      })
      local results, failures = iot.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function()
        return client:describe_thing_registration_task { taskId = given.id }
      end)
      return { count, results[8] and results[8].percentageProgress or failures[8].message }]],
      { options = sim:options(), id = task_id, record = sim.credentials })
    assert.same({ 1, 7 }, found)
  end)

  it("runs a program for credentials", function()
    local found = nginx:run("content", [[
      local waiting = require("iot.runtime")
      local good, message = waiting.run({ "/bin/sh", "-c", "echo out; echo err >&2; exit 3" }, 5)
      if not good then return { message, (select(2, waiting.run({ "/bin/sh" }, 5))) } end
      local _, _, late = waiting.run({ "/bin/sleep", "5" }, 0.2)
      return { good.status, good.output, good.errors, late.code }]])
    if type(found[1]) == "string" then -- Debian's nginx lacks a patch of OpenResty's that ngx.pipe needs
      assert.matches("^nginx cannot start the program: .*not supported", found[1])
      assert.equal(found[1], found[2])
      return
    end
    assert.same({ 3, "out\n", "err\n", "Timeout" }, found)
  end)
end)
