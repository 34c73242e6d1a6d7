-- What the network and the server can do to a call, in each runtime: the outcome is the same in all of them and comes
-- in time, the connection is not used again unless its reply was whole, and no descriptor stays behind.
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local iot = require "iot"
local lfs = require "lfs"
local nginx_rig = require "spec.support.nginx"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

-- A call, and where the server lets it, a good one before and after it. What it comes to, and how long it took.
local CHUNK = [[
  local given = ...
  local core = require "iot.core"
  local client = assert(require("iot").new(given.options))
  local function call() return client:describe_thing_registration_task({ taskId = given.id }, given.call) end
  if given.good then assert(call()) end
  local started = core.monotonic()
  local task, message, detail = call()
  local seconds = core.monotonic() - started
  if given.good then assert(call()) end
  client:close()
  detail = detail or {}
  return {
    outcome = { task and "a task" or detail.code, detail.kind or false, detail.status or false,
      detail.attempts or false, detail.retryable or false },
    message = message or "", seconds = seconds,
  }]]

local RUNTIMES = { "blocking", "concurrent", "nginx" }
local LARGE = 100 * 1024 * 1024
local OK = "HTTP/1.1 200 OK\r\n"

local sim, raw

-- Options that lead to a server with bad manners.
local function at(name, settings)
  return function()
    local own = { endpoint = raw[name] }
    for key, value in pairs(settings or {}) do own[key] = value end
    return own
  end
end

local function raw_reply(text) return { kind = "raw", body = text } end

-- What happens; the code of the outcome, and that of `nginx` where its reader is the stricter one; `fault` of the
-- simulator, or `options` that lead elsewhere. `keeps`: the connection may be used again. `seconds`: within which it
-- ends, 1 unless said otherwise.
local FAULTS = {
  { "nothing", "a task", fault = { kind = "delay", seconds = 0 }, keeps = true },
  -- Connections
  { "a name that nobody has", "NameResolutionFailed", seconds = 5,
    options = function() return { endpoint = "https://name.invalid" } end },
  { "a port that nobody listens to", "ConnectionFailed",
    options = function() return { endpoint = "https://127.0.0.1:1" } end },
  { "a connection that is not made", "Timeout", options = at("full", { connect_timeout = 0.3 }) },
  { "a TLS handshake without an answer", "Timeout", options = at("silent_tls", { connect_timeout = 0.3 }) },
  { "a certificate of yesterday", "CertificateInvalid",
    options = function() return { endpoint = sim.expired_endpoint } end },
  { "a certificate of another host", "CertificateInvalid",
    options = function() return { endpoint = sim.wrong_host_endpoint } end },
  { "an authority that is not known", "CertificateInvalid", untrusted = true,
    options = function() return { ca_bundle = sim.folder .. "/device.pem" } end },
  { "a server of TLS 1.1", "TLSHandshakeFailed", options = function() return { endpoint = sim.old_tls_endpoint } end },
  { "a server without TLS", "TLSHandshakeFailed",
    options = function() return { endpoint = "https://localhost" .. sim.plain_endpoint:match ":%d+$" } end },
  { "TLS that is cut off", "MalformedResponse", options = at "cutting" },
  { "a proxy that refuses", "ProxyFailed", options = function() return { proxy = raw.refusing_proxy } end },
  { "a proxy that does not listen", "ProxyFailed", options = function() return { proxy = "http://127.0.0.1:1" } end },
  -- Ends
  { "a reset of a kept connection", "a task", fault = { kind = "reset" } },
  { "resets, again and again", "ConnectionLost", fault = { kind = "reset", times = 2 } },
  { "an end without a reply", "ConnectionLost", fault = { kind = "close", times = 2 } },
  { "a reset before the head", "ConnectionLost", options = at "resetting_before_head" },
  { "a reset in the head", "ConnectionLost", options = at "resetting_in_head" },
  { "a reset after the head", "ConnectionLost", options = at "resetting_after_head" },
  { "a reset in the body", "ConnectionLost", options = at "resetting_in_body" },
  { "a body cut short", "ConnectionLost", fault = { kind = "truncate" } },
  { "a connection dropped behind the reply", "a task", fault = { kind = "drop" } },
  -- Time
  { "silence", "Timeout", fault = { kind = "stall" }, settings = { read_timeout = 0.3 } },
  { "silence beyond the call's time", "Timeout", fault = { kind = "stall" }, call = { timeout = 0.3 } },
  { "a byte now and then", "Timeout", options = at "dripping", call = { timeout = 0.3 } },
  -- Sizes
  { "endless headers", "ResponseTooLarge", options = at "endless_head", seconds = 3 },
  { "an endless body", "ResponseTooLarge", options = at "endless_body", seconds = 3 },
  { "a body of 100 MB", "ResponseTooLarge", fault = { kind = "reply", body_bytes = LARGE }, seconds = 3 },
  { "a length that is too long", "ConnectionLost", fault = raw_reply(OK .. "Content-Length: 20\r\n\r\n{}") },
  { "a length that is too short", "MalformedResponse", fault = raw_reply(OK .. 'Content-Length: 5\r\n\r\n{"a":1}') },
  { "a length that is no number", "MalformedResponse", fault = raw_reply(OK .. "Content-Length: x\r\n\r\n{}") },
  -- libcurl believes the last one.
  { "two lengths", "a task", nginx = "MalformedResponse",
    fault = raw_reply(OK .. "Content-Length: 3\r\nContent-Length: 2\r\n\r\n{}") },
  { "chunks that are none", "MalformedResponse", fault = raw_reply(OK .. "Transfer-Encoding: chunked\r\n\r\nx\r\n") },
  { "a chunk cut short", "ConnectionLost", fault = raw_reply(OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\nab") },
  -- Protocols; libcurl bounds the bytes of interim replies, not their number.
  { "a flood of interim replies", "ResponseTooLarge", nginx = "MalformedResponse", options = at "interim_flood",
    seconds = 3 },
  { "no HTTP", "MalformedResponse", fault = raw_reply "SSH-2.0-OpenSSH\r\n" },
  { "HTTP/2, which goes away", "MalformedResponse", options = at "goaway" },
  { "a redirect", "301", fault = { kind = "reply", status = 301, headers = { Location = "https://example.com/" } },
    keeps = true },
  { "compressed bytes that nobody asked for", "MalformedResponse",
    fault = { kind = "reply", body = "\31\139\8\0\0", headers = { ["Content-Encoding"] = "gzip" } }, keeps = true },
  { "an outage", "503", fault = { kind = "reply", status = 503, body = "<html>" }, keeps = true },
  { "throttling", "ThrottlingException", fault = { kind = "throttle" }, keeps = true },
  { "JSON that ends early", "MalformedResponse", fault = { kind = "reply", body = '{"taskId":' }, keeps = true },
}

describe("in each runtime", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local nginx, untrusting, task_id
  local workers = {}

  setup(function()
    sim = simulator.start { seconds = 0 }
    raw = raw_server.start(sim)
    task_id = sim:seed { status = "InProgress", percentageProgress = 7 }
    nginx = nginx_rig.start { sim = sim }
    untrusting = nginx_rig.start { sim = sim, trusted = false }
    for _, server in ipairs { nginx, untrusting } do workers[server] = server:pids()[1] end
    nginx:run("content", 'ngx.socket.tcp():connect("other.invalid", 1)') -- its resolver keeps a socket from then on
  end)
  teardown(function()
    untrusting:stop()
    nginx:stop()
    raw:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  local load = rawget(_G, "loadstring") or load

  -- In this process its own descriptors are counted; those of nginx's worker, between its connections for the spec's
  -- own requests.
  local function counted(run)
    return function(given)
      local before = descriptors.count()
      local found = run(given)
      found.left = descriptors.count() - before
      return found
    end
  end

  local function descriptors_of(worker)
    local count = 0
    for _ in lfs.dir(("/proc/%d/fd"):format(worker)) do count = count + 1 end
    return count
  end

  local RUN = {
    blocking = counted(function(given) return assert(load(CHUNK))(given) end),
    concurrent = counted(function(given)
      local results, failures = iot.map({ given }, assert(load(CHUNK)))
      return results[1] or error(failures[1].message, 0)
    end),
    nginx = function(given, untrusted)
      local server = untrusted and untrusting or nginx
      local worker = workers[server]
      local before = descriptors_of(worker)
      local found = server:run("content", CHUNK, given, 30)
      -- One is kept in a pool; that of the spec's own request may take a moment to be closed.
      local deadline = core.monotonic() + 2
      repeat
        found.left = math.max(0, descriptors_of(worker) - before - (given.good and 1 or 0))
      until found.left == 0 or core.monotonic() > deadline
      return found
    end,
  }

  local function given_of(fault)
    local own = fault.options and fault.options() or fault.settings or {}
    own.retry = { max_attempts = 1 }
    return { options = sim:options(own), id = task_id, call = fault.call, good = fault.fault ~= nil }
  end

  local function copy(fault)
    local own = { skip = 1 } -- behind the good call
    for name, value in pairs(fault) do own[name] = value end
    return own
  end

  -- The connection of the request that was hit, and that of the good call after it.
  local function check_connections(name, fault)
    local entries, hit = sim:journal(), nil
    for _, entry in ipairs(entries) do hit = entry.fault and entry or hit end
    assert.equal(fault.keeps or false, hit.connection == entries[#entries].connection, name)
  end

  for _, fault in ipairs(FAULTS) do
    it(fault[1] .. " comes to the same", function()
      local expected
      for _, name in ipairs(RUNTIMES) do
        sim:clear()
        if fault.fault then sim:fault(copy(fault.fault)) end
        local found = RUN[name](given_of(fault), fault.untrusted)
        local told = name .. ": " .. found.message
        assert.equal(name == "nginx" and fault.nginx or fault[2], found.outcome[1], told)
        if not fault.nginx then
          expected = expected or found.outcome
          assert.same(expected, found.outcome, told)
        end
        assert.is_true(found.seconds < (fault.seconds or 1), ("%s: %.2f s"):format(name, found.seconds))
        assert.equal(0, found.left, told)
        if fault.fault then check_connections(name, fault) end
      end
    end)
  end

  it("a server that restarts is a task all the same", function()
    local ASK = [[
      local given = ...
      local client = assert(require("iot").new(given.options))
      local task, message = client:describe_thing_registration_task { taskId = given.id }
      return task and "a task" or message]]
    local given = given_of {}
    local function in_map(chunk)
      return function() return iot.map({ given }, chunk)[1] end
    end
    local asks = {}
    local client = assert(iot.new(given.options))
    local function ask()
      local task, message = client:describe_thing_registration_task { taskId = task_id }
      return task and "a task" or message
    end
    asks.blocking, asks.concurrent = ask, in_map(ask)
    function asks.nginx() return nginx:run("content", ASK, given) end
    for _, name in ipairs(RUNTIMES) do
      assert.equal("a task", asks[name](), name)
      sim:halt()
      sim:resume()
      assert.equal("a task", asks[name](), name)
    end
    client:close()
  end)
end)
