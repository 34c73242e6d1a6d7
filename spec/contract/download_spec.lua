-- Downloads of the runtimes, in a thread that waits and in a map: what goes out, what comes, and how it fails.
local core = require "iot.core"
local iot = require "iot"
local child = require "spec.support.child"
local download_rig = require "spec.support.download_rig"
local raw_server = require "spec.support.raw_server"
local runtime = require "iot.runtime"
local runtimes = require "spec.support.runtimes"
local simulator = require "spec.support.simulator"

local PLACES, SLACK = download_rig.PLACES, download_rig.SLACK
local answer, chunked, gzip = download_rig.answer, download_rig.chunked, download_rig.gzip

-- A sanitizer keeps what was freed, so that no bound on memory holds.
local IS_SANITIZED = (os.getenv "LUA" or ""):find("sanitized", 1, true) ~= nil

local GZIP = "Content-Encoding: gzip\r\n"

local every_byte = {}
for byte = 0, 255 do every_byte[byte + 1] = string.char(byte) end
every_byte = table.concat(every_byte):rep(256)

local long = download_rig.text(2000000)
local text = download_rig.text(100000)
local compressed = gzip(text)

-- Made by the setup below.
local sim, servers, rig

-- What a body is, its bytes, and those of the answer that it comes in.
local WHOLE = {
  { "of nothing", "", answer "" },
  { "of one byte", "x", answer "x" },
  { "of 65,536 bytes of all values", every_byte, answer(every_byte) },
  { "of some megabytes", long, answer(long) },
  { "of nothing, in chunks", "", chunked "" },
  { "of one byte, in chunks", "x", chunked "x" },
  { "of 65,536 bytes, in chunks of some hundred", every_byte, chunked(every_byte, nil, 500) },
  { "of some megabytes, in chunks", long, chunked(long) },
  { "that ends with the connection", text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" .. text },
  { "behind an answer that was none yet", "x", "HTTP/1.1 100 Continue\r\n\r\n" .. answer "x" },
  { "that is compressed", text, answer(compressed, GZIP) },
  { "that is compressed, in chunks", text, chunked(compressed, GZIP, 1000) },
  { "of nothing, compressed", "", answer(gzip "", GZIP) },
  { "of nothing, though it should be compressed", "", answer("", GZIP) },
  { "that is compressed to a thousandth", ("x"):rep(20000000), answer(gzip(("x"):rep(20000000)), GZIP) },
  { "that is compressed and does not say so", compressed, answer(compressed) },
}

local function raw(bytes) return { kind = "raw", body = bytes } end

-- What fails, the code and words of the message; what leads there, a `fault` or changes of the request; the
-- `seconds` that it takes; how many `bytes` came before.
local FAILURES = {
  { "a body cut short", "ConnectionLost", "connection ended", fault = raw(answer(text, "", #text + 1)), bytes = #text },
  { "a body that never comes", "ConnectionLost", "connection ended", fault = raw(answer("", "", 1)) },
  { "a body in chunks without the last one", "ConnectionLost", "connection ended",
    fault = raw((chunked(text):gsub("0\r\n\r\n$", ""))), bytes = #text },
  { "a chunk without a length", "MalformedResponse", "understood",
    fault = raw "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n" },
  { "headers cut short", "ConnectionLost", "connection ended", fault = raw "HTTP/1.1 200 OK\r\nServer: x\r\n" },
  { "a connection that is reset", "ConnectionLost", "reset", fault = { kind = "reset" } },
  { "a connection that ends without an answer", "ConnectionLost", "connection ended", fault = { kind = "close" } },
  { "what is no HTTP", "MalformedResponse", "understood", fault = raw "SSH-2.0-OpenSSH_9.2\r\n" },
  { "a compressed body that is broken", "MalformedResponse", "unencoding",
    fault = raw(answer(compressed:sub(1, -300) .. ("\0"):rep(200) .. compressed:sub(-100), GZIP)) },
  { "a compressed body with another sum", "MalformedResponse", "unencoding",
    fault = raw(answer(compressed:sub(1, -9) .. "\1\2\3\4" .. compressed:sub(-4), GZIP)) },
  { "a compressed body that is none", "MalformedResponse", "unencoding", fault = raw(answer(text, GZIP)) },
  { "a compressed body cut short", "ConnectionLost", "connection ended",
    fault = raw(answer(compressed:sub(1, -1000), GZIP, #compressed)) },
  { "an encoding that nobody knows", "MalformedResponse", "Encoding is not gzip",
    fault = raw(answer(text, "Content-Encoding: rot13\r\n")) },
  -- libcurl would decode it, and what comes of a thousand bytes may be gigabytes.
  { "an encoding that nobody asked for", "MalformedResponse", "Encoding is not gzip",
    fault = raw(answer(text, "Content-Encoding: br\r\n")) },
  { "several compressed parts", "MalformedResponse", "behind the end of what is compressed",
    fault = raw(answer(compressed .. compressed, GZIP)) },
  { "headers without end", "ResponseTooLarge", "size limit",
    change = function() return { url = servers.endless_head .. "/" } end },
  { "silence in the middle", "Timeout", "sent nothing for 0%.2 seconds", seconds = 0.2, bytes = 10,
    fault = { kind = "stall", bytes = 10 }, change = function() return { read_timeout = 0.2 } end },
  { "silence from the beginning", "Timeout", "sent nothing for 0%.2 seconds", seconds = 0.2,
    change = function() return { url = servers.silent .. "/", read_timeout = 0.2 } end },
  { "a connection that is not completed", "Timeout", "time limit", seconds = 0.2,
    change = function() return { url = servers.full .. "/", connect_timeout = 0.2 } end },
  { "a time limit for all of it, though something comes all the time", "Timeout", "time limit", seconds = 0.3,
    change = function() return { url = servers.dripping .. "/", timeout = 0.3, read_timeout = 0.2 } end },
  { "a port that nobody listens to", "ConnectionFailed", "127%.0%.0%.1",
    change = function() return { url = "https://127.0.0.1:1/" } end },
  { "a certificate of another host", "CertificateInvalid", "localhost",
    change = function() return { url = sim.wrong_host_endpoint .. "/" } end },
  { "a certificate that has expired", "CertificateInvalid", "expired",
    change = function() return { url = sim.expired_endpoint .. "/" } end },
  { "a certificate of an unknown authority", "CertificateInvalid", "issuer",
    change = function() return { ca_bundle = sim.folder .. "/device.pem" } end },
  { "a server that knows no TLS above 1.1", "TLSHandshakeFailed", "version",
    change = function() return { url = sim.old_tls_endpoint .. "/" } end },
  { "a proxy that wants a password", "ProxyFailed", "407",
    change = function() return { proxy = servers.refusing_proxy } end },
  { "a URL that is none", "InvalidParameter", "URL", change = function() return { url = "ftp://localhost/" } end },
  { "a CA bundle that is not there", "InvalidCABundle", "nonexistent",
    change = function() return { ca_bundle = "/nonexistent.pem" } end },
}

-- A host name that nobody has; a resolver without answers is not asked for long.
local UNKNOWN_HOST = [[
  for _, place in ipairs(require("spec.support.download_rig").PLACES) do
    place.run(function()
      local download = assert(require("iot.runtime").download { url = "https://name.invalid/", connect_timeout = 5 })
      local piece, message, facts = download:read()
      print(piece, facts.code, message:find("name.invalid", 1, true) ~= nil)
    end)
  end
]]

-- A body of 32 MiB: a piece of it, nothing for a long time, then the rest; and the most memory that it took.
local PAUSE = [[
  local runtime = require "iot.runtime"
  local place = require("spec.support.download_rig").PLACES[tonumber(os.getenv "PLACE")]
  place.run(function()
    local download = assert(runtime.download { url = os.getenv "URL", proxy = "", read_timeout = 0.2 })
    local size = #download:read()
    runtime.sleep(0.6)
    local piece = download:read() -- Lua 5.1 could not wait in the iterator of a for
    while piece do
      size = size + #piece
      piece = download:read()
    end
    local file = assert(io.open "/proc/self/status")
    print(size, download.headers["content-length"], (file:read "*a":match "VmHWM:%s*(%d+) kB"))
    file:close()
  end)
]]

describe("a download", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    servers = raw_server.start(sim)
    rig = download_rig.new(sim)
    sim:seed { taskId = "full", status = "Completed" }
  end)
  teardown(function()
    servers:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  local function journal_of(operation)
    local entries = {}
    for _, entry in ipairs(sim:journal()) do
      if entry.operation == operation then entries[#entries + 1] = entry end
    end
    return entries
  end

  for _, place in ipairs(PLACES) do
    describe(place.name, function()
      for _, case in ipairs(WHOLE) do
        it("has a body " .. case[1], function()
          sim:fault(raw(case[3]))
          place.run(function()
            local bytes, message, facts, download = rig.fetch "/"
            assert.is_nil(facts, message)
            assert.equal(#case[2], #bytes)
            assert.is_true(bytes == case[2])
            assert.equal(200, download.status)
            assert.equal("table", type(download.headers))
          end)
        end)
      end

      for _, case in ipairs(FAILURES) do
        it(("fails with %s for %s"):format(case[2], case[1]), function()
          if case.fault then sim:fault(case.fault) end
          place.run(function()
            local started = core.monotonic()
            local bytes, message, facts = rig.fetch("/", case.change and case.change())
            local took, least = core.monotonic() - started, case.seconds or 0
            assert.equal("table", type(facts), bytes and #bytes)
            assert.equal(case[2], facts.code, message)
            if runtimes.is_curl then assert.is_truthy(message:find(case[3]), message) end
            if case.bytes then assert.equal(case.bytes, #bytes) end
            assert.is_true(took >= least - 0.01 and took < least + SLACK, took .. " s")
          end)
        end)
      end

      it("has a status and headers, and a body whatever the status", function()
        for _, status in ipairs { 201, 403, 404, 500, 503 } do
          sim:fault { kind = "reply", status = status, headers = { ["X-Name"] = "value" }, body = "<Error/>" }
          place.run(function()
            local download = rig.open "/"
            assert.is_nil(download.status)
            assert.equal("<Error/>", (download:read()))
            assert.equal(status, download.status)
            assert.is_nil((download:read()))
            assert.equal("value", download.headers["x-name"])
          end)
        end
      end)

      it("follows no redirect", function()
        for _, status in ipairs { 301, 302, 307, 308 } do
          sim:fault { kind = "reply", status = status, headers = { Location = sim.endpoint .. "/other" } }
          place.run(function()
            local bytes, message, _, download = rig.fetch "/"
            assert.equal("", bytes, message)
            assert.equal(status, download.status)
            assert.equal(sim.endpoint .. "/other", download.headers.location)
          end)
        end
        assert.equal(4, #sim:journal())
      end)

      it("asks for its URL byte for byte, and says nothing else", function()
        local urls = {
          "/", "/?", "/a//b/../c/./%2e%2E/%2f", "/k?a=%7e&b=~&&c=+%20%2B&d&e=&=f",
          "/it's(1)*!@:$,;=|\\^`{}[]\"<>?/?", "/" .. ("x"):rep(60000) .. "?" .. ("y"):rep(3000),
        }
        sim:fault { kind = "reply", body = "x", times = #urls }
        for _, url in ipairs(urls) do
          place.run(function() assert.equal("x", (rig.fetch(url))) end)
        end
        local entries = sim:journal()
        for index, url in ipairs(urls) do
          assert.equal(url, entries[index].uri)
          assert.equal("GET", entries[index].method)
          assert.same({ { "Host", sim.endpoint:match "//(.*)$" } }, entries[index].headers)
        end
        assert.equal(#urls, #entries)
      end)

      it("gives no more after its end", function()
        sim:fault { kind = "reply", body = "x" }
        place.run(function()
          local download = rig.open "/"
          assert.equal("x", rig.read(download))
          for _ = 1, 3 do assert.same({ n = 1 }, { n = select("#", download:read()), (download:read()) }) end
          download:close()
          download:close()
          assert.is_nil((download:read()))
        end)
        sim:fault { kind = "truncate", bytes = 1 }
        place.run(function()
          local download = rig.open "/"
          assert.is_truthy(select(3, rig.read(download)))
          assert.is_nil((download:read()))
          download:close()
        end)
      end)
    end)
  end

  it("fails for a host that nobody knows", function()
    assert.equal(("nil\tNameResolutionFailed\ttrue\n"):rep(2), child.output(UNKNOWN_HOST,
      { RES_OPTIONS = "timeout:1 attempts:1", LOCALDOMAIN = "" }))
  end)

  -- libcurl takes a gzip stream without its end for a whole one, and gives away nothing that would show it.
  pending "fails for a compressed body that was cut short before it was stored"

  -- Who reads slowly ------------------------------------------------------------------------------

  for index, place in ipairs(PLACES) do
    it("keeps the server waiting while nobody reads, however long, " .. place.name, function()
      sim:fault { kind = "reply", body_bytes = 32 * 1024 * 1024 }
      local output = child.output(PAUSE, { PLACE = index, URL = sim.plain_endpoint .. "/" })
      local size, length, peak = output:match "^(%d+)\t(%d+)\t(%d+)\n$"
      assert.same({ "33554432", "33554432" }, { size, length }, output)
      if not IS_SANITIZED then assert.is_true(tonumber(peak) < 20000, peak .. " kB") end
    end)
  end

  it("of a map can be one of many, and other calls go on", function()
    sim:fault { kind = "reply", operation = "report", delay = 0.3, body_bytes = 1000000, times = 50 }
    local client = assert(iot.new(sim:options { runtime = runtime }))
    local items, open, calls = {}, 0, 0
    for index = 1, 60 do items[index] = index end
    local results, failed = iot.map(items, function(index)
      if index > 50 then
        for _ = 1, 5 do
          assert(client:describe_thing_registration_task { taskId = "full" })
          if open > 0 then calls = calls + 1 end
        end
        return 0
      end
      open = open + 1
      local bytes, message, facts = rig.fetch("/reports-bucket/" .. index)
      open = open - 1
      if facts then return nil, message end
      return #bytes
    end, { concurrency = 60 })
    client:close()
    assert.is_nil(next(failed), tostring(failed[next(failed)]))
    for index = 1, 60 do assert.equal(index <= 50 and 1000000 or 0, results[index]) end
    assert.is_true(calls > 0, "no call ended while there were downloads")
    assert.equal(50, #journal_of "report")
  end)
end)
