-- Everything that can go wrong between a caller and the service, each by a real cause: kind, code,
-- words, whether another attempt may help, how long it takes, and that nothing is left open.
local core = require "iot.core"
local errors = require "iot.errors"
local iot = require "iot"
local child = require "spec.support.child"
local command = require "spec.support.command"
local descriptors = require "spec.support.descriptors"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local raw_server = require "spec.support.raw_server"
local runtimes = require "spec.support.runtimes"
local simulator = require "spec.support.simulator"

local OPERATION = "describe_thing_registration_task"

-- Seconds that a failure may take beyond its limit, on a machine that is busy.
local SLACK = 2

-- Made by the setup below. `paths` are files of the spec, in the simulator's folder.
local sim, raw, paths

-- The answer of a server: its head, with what is said here, and a body.
local function http(head, body)
  return "HTTP/1.1 200 OK\r\n" .. head .. "\r\n" .. (body or '{"taskId":"full"}')
end

local function garbage(bytes) return { kind = "raw", body = bytes } end

-- A case is `what` fails; what leads there: a `fault`, `options` of iot.new (a table, or a function that
-- makes it), options of the `call`, or `variables` of the environment of a process; and what is expected:
-- fields for failures.check, and the `seconds` that it takes. The rest stands with the kind, in KINDS.
local TRANSPORT = {
  {
    what = "a host name that nobody has",
    variables = function() -- a resolver without answers is not asked for long
      return { AWS_ENDPOINT_URL_IOT = "https://name.invalid", RES_OPTIONS = "timeout:1 attempts:1", LOCALDOMAIN = "" }
    end,
    code = "NameResolutionFailed", retryable = true, message = { "host name was not found", "name%.invalid" },
  },
  {
    what = "a port that nobody listens to",
    options = function() return { endpoint = "https://127.0.0.1:1" } end,
    code = "ConnectionFailed", retryable = true, message = { "connect", "127%.0%.0%.1" },
  },
  {
    what = "a connection that is reset", fault = { kind = "reset", times = 2 },
    code = "ConnectionLost", retryable = true, message = { "connection ended", "reset" },
  },
  {
    what = "a connection that is reset, in the clear", fault = { kind = "reset", times = 2 },
    options = function() return { endpoint = sim.plain_endpoint } end,
    code = "ConnectionLost", retryable = true, message = { "connection ended", "reset" },
  },
  {
    what = "a connection that ends without an answer", fault = { kind = "close", times = 2 },
    code = "ConnectionLost", retryable = true, message = "connection ended before",
  },
  {
    what = "a body cut short", fault = { kind = "truncate" },
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "a body that never comes", fault = { kind = "truncate", bytes = 0 },
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "a body of an error cut short", fault = garbage(
      'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\n{"message":'),
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "a body in chunks without the last one",
    fault = garbage(http("Transfer-Encoding: chunked\r\n", '11\r\n{"taskId":"full"}\r\n')),
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "headers cut short", fault = garbage "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "a status line cut short", fault = garbage "HTTP/1.1 200 OK",
    code = "ConnectionLost", retryable = true, message = "connection ended before the whole reply",
  },
  {
    what = "a certificate of an unknown authority",
    options = function() return { ca_bundle = paths.other_authority } end,
    code = "CertificateInvalid", retryable = false, message = { "certificate was not accepted", "issuer" },
  },
  {
    what = "a certificate of an authority that the system does not know",
    variables = function()
      return { AWS_ENDPOINT_URL_IOT = sim.endpoint, AWS_CA_BUNDLE = "" }
    end,
    code = "CertificateInvalid", retryable = false, message = { "certificate was not accepted", "issuer" },
  },
  {
    what = "a certificate of another host", options = function() return { endpoint = sim.wrong_host_endpoint } end,
    code = "CertificateInvalid", retryable = false, message = { "certificate was not accepted", "localhost" },
  },
  {
    what = "a certificate that has expired", options = function() return { endpoint = sim.expired_endpoint } end,
    code = "CertificateInvalid", retryable = false, message = { "certificate was not accepted", "expired" },
  },
  {
    what = "a directory without certificates", options = function() return { ca_bundle = paths.empty } end,
    code = "CertificateInvalid", retryable = false, message = "certificate was not accepted",
  },
  {
    what = "a server that knows no TLS above 1.1", options = function() return { endpoint = sim.old_tls_endpoint } end,
    code = "TLSHandshakeFailed", retryable = true, message = { "tls handshake failed", "version" },
  },
  {
    what = "a server that knows no TLS",
    options = function() return { endpoint = (sim.plain_endpoint:gsub("^http:", "https:")) } end,
    code = "TLSHandshakeFailed", retryable = true, message = "tls handshake failed",
  },
  {
    what = "a proxy that wants a password", options = function() return { proxy = raw.refusing_proxy } end,
    code = "ProxyFailed", retryable = true, message = { "proxy", "407" },
  },
  {
    what = "a proxy that does not tunnel", options = function() return { proxy = sim.plain_endpoint } end,
    code = "ProxyFailed", retryable = true, message = "proxy",
  },
  {
    what = "a proxy that does not listen", options = function() return { proxy = "http://127.0.0.1:1" } end,
    code = "ProxyFailed", retryable = true, message = { "proxy", "127%.0%.0%.1" },
  },
  {
    -- Before libcurl 8.7 nothing tells that it was a proxy; the address in the message does.
    what = "a proxy of the environment that does not listen",
    variables = function() return { AWS_ENDPOINT_URL_IOT = sim.endpoint, https_proxy = "http://127.0.0.1:1" } end,
    code = "ConnectionFailed", retryable = true, message = "127%.0%.0%.1",
  },
  {
    what = "a proxy that nobody knows",
    variables = function()
      return { AWS_ENDPOINT_URL_IOT = sim.endpoint, https_proxy = "http://name.invalid:3128",
        RES_OPTIONS = "timeout:1 attempts:1", LOCALDOMAIN = "" }
    end,
    code = "ProxyFailed", retryable = true, message = { "proxy", "name%.invalid" },
  },
}

-- Delays last longer than this file: the simulator notes a request in its journal when it is done with it.
local TIMEOUT = {
  {
    what = "a connection that is not made: connect_timeout",
    options = function() return { endpoint = raw.full, connect_timeout = 0.2 } end, seconds = 0.2,
  },
  {
    what = "a TLS handshake that is not answered: connect_timeout",
    options = function() return { endpoint = raw.silent_tls, connect_timeout = 0.2 } end, seconds = 0.2,
  },
  {
    what = "an answer that does not come: read_timeout", fault = { kind = "delay", seconds = 60 },
    options = { read_timeout = 0.2 }, seconds = 0.2, message = "sent nothing for 0%.2 s",
  },
  {
    what = "an answer that does not come, in the clear: read_timeout",
    options = function() return { endpoint = raw.silent, read_timeout = 0.2 } end, seconds = 0.2,
    message = "sent nothing for 0%.2 s",
  },
  {
    what = "an answer that stops: read_timeout", fault = { kind = "stall", seconds = 60 },
    options = { read_timeout = 0.2 }, seconds = 0.2, message = "sent nothing for 0%.2 s",
  },
  {
    what = "an answer that stops: the client's timeout", fault = { kind = "stall", seconds = 60 },
    options = { timeout = 0.2 }, seconds = 0.2,
  },
  {
    what = "an answer that does not come: the call's timeout", fault = { kind = "delay", seconds = 60 },
    options = { timeout = 60 }, call = { timeout = 0.2 }, seconds = 0.2,
  },
  {
    what = "an answer that drips in, never silent for long: timeout",
    options = function() return { endpoint = raw.dripping, read_timeout = 0.3, timeout = 0.6 } end, seconds = 0.6,
  },
  {
    what = "a connection that is not made: timeout, which is less than connect_timeout",
    options = function() return { endpoint = raw.full, connect_timeout = 60, timeout = 0.2 } end, seconds = 0.2,
  },
  {
    what = "a timeout that has passed before anything was done", call = { timeout = 1e-9 }, attempts = 0,
  },
}

local RESPONSE = {
  { what = "no HTTP", fault = garbage "no HTTP at all\r\n" },
  { what = "bytes", fault = garbage "\0\1\2\255" },
  { what = "an HTTP of the future", fault = garbage "HTTP/9.1 200 OK\r\n\r\n{}" },
  { what = "a status that is no number", fault = garbage "HTTP/1.1 abc\r\n\r\n{}" },
  { what = "a length that is no number", fault = garbage(http "Content-Length: abc\r\n") },
  { what = "a negative length", fault = garbage(http "Content-Length: -1\r\n") },
  { what = "a chunk whose size is no number",
    fault = garbage(http("Transfer-Encoding: chunked\r\n", 'zz\r\n{"taskId":"full"}\r\n0\r\n\r\n')) },
  { what = "another answer than JSON", fault = { kind = "reply", status = 200, body = "<html>" }, status = 200,
    body = "<html>" },
  { what = "JSON that is no object", fault = { kind = "reply", status = 200, body = "[]" }, status = 200, body = "[]" },
  { what = "half of an answer that ends well", status = 200,
    fault = { kind = "reply", status = 200, body = '{"taskId":"fu' } },
  { what = "as much as is allowed, but no JSON", status = 200,
    fault = { kind = "reply", status = 200, body_bytes = 16777216 } },

  { what = "a body beyond 16 MiB", fault = { kind = "reply", status = 200, body_bytes = 16777217 },
    code = "ResponseTooLarge", message = "size limit" },
  { what = "a body beyond 16 MiB of an error", fault = { kind = "reply", status = 500, body_bytes = 16777217 },
    code = "ResponseTooLarge", message = "size limit" },
  { what = "a body without end", options = function() return { endpoint = raw.endless_body } end,
    code = "ResponseTooLarge", message = "size limit" },
  { what = "headers without end", options = function() return { endpoint = raw.endless_head } end,
    code = "ResponseTooLarge", message = "size limit" },
  { what = "headers beyond 64 KiB", fault = garbage(http(("X: y\r\n"):rep(12000) .. "Content-Length: 17\r\n")),
    code = "ResponseTooLarge", message = "size limit" },
  { what = "a header of 70 kB", fault = garbage(http("X: " .. ("x"):rep(70000) .. "\r\n")),
    code = "ResponseTooLarge", message = "size limit" },
  { what = "a header of 200 kB", fault = garbage(http("X: " .. ("x"):rep(200000) .. "\r\n")),
    code = "ResponseTooLarge", message = "size limit" },
}

local CONFIGURATION = {
  { what = "a CA bundle that is not there", options = { ca_bundle = "/nonexistent/ca.pem" },
    message = { "ca bundle", "/nonexistent/ca%.pem", "no such file" } },
  { what = "a CA bundle in a file", options = { ca_bundle = "README.md/ca.pem" },
    message = { "ca bundle", "readme%.md/ca%.pem", "not a directory" } },
  { what = "a CA bundle that points to itself", options = function() return { ca_bundle = paths.looping_bundle } end,
    message = { "ca bundle", "looping%.pem" } },
  { what = "a CA bundle of something else", options = { ca_bundle = "README.md" },
    message = { "ca bundle", "readme%.md" } },
  { what = "a CA bundle of a key", options = function() return { ca_bundle = sim.folder .. "/server.key" } end,
    message = { "ca bundle", "server%.key" } },
  { what = "a CA bundle of the environment that is not there",
    variables = function() return { AWS_CA_BUNDLE = "/nonexistent/ca.pem" } end,
    message = { "ca bundle", "/nonexistent/ca%.pem" } },
  { what = "a profile that is not there", variables = function() return { AWS_PROFILE = "nobody" } end,
    code = "ProfileNotFound", message = { "nobody", "aws_profile" } },
  { what = "a file of profiles that is none", variables = function()
      return { AWS_CONFIG_FILE = paths.broken_config }
    end, code = "InvalidProfile", message = { "broken%.config", "line 2", "'='" } },
  { what = "no region", variables = function() return { AWS_REGION = "", AWS_DEFAULT_REGION = "" } end,
    code = "MissingRegion", message = { "region", "aws_region" } },
  { what = "a region that is no word", variables = function() return { AWS_REGION = "us east" } end,
    code = "InvalidRegion", message = "aws_region" },
  { what = "an endpoint that is no URL", variables = function() return { AWS_ENDPOINT_URL_IOT = "localhost:8443" } end,
    code = "InvalidEndpoint", message = { "aws_endpoint_url_iot", "https?://" } },
  { what = "a switch that is neither on nor off", variables = function() return { AWS_USE_FIPS_ENDPOINT = "1" } end,
    code = "InvalidConfiguration", message = { "aws_use_fips_endpoint", "true or false" } },
  { what = "a proxy that is no URL", options = { proxy = "http://[bad" },
    code = "InvalidConfiguration", message = "proxy" },
  { what = "a proxy of an unknown kind", options = { proxy = "gopher://127.0.0.1:70" },
    code = "InvalidConfiguration", message = "proxy" },
  { what = "a cryptographic library that does not work", variables = function()
      return { OPENSSL_CONF = paths.broken_openssl, AWS_ENDPOINT_URL_IOT = sim.plain_endpoint }
    end, code = "CryptoFailed", message = "crypto",
    missing = function() -- only providers can be configured so that nothing is left
      return command.run({ "openssl", "version" }).stdout:find "^OpenSSL 1" and "OpenSSL is older than 3"
    end },
}

-- What holds for a kind where the case does not say otherwise.
local KINDS = {
  { kind = "transport", cases = TRANSPORT, attempts = 1 },
  { kind = "timeout", cases = TIMEOUT, attempts = 1, code = "Timeout", retryable = true, message = "time" },
  { kind = "response", cases = RESPONSE, attempts = 1, code = "MalformedResponse", retryable = false,
    message = "could not be understood" },
  { kind = "configuration", cases = CONFIGURATION, attempts = 0, code = "InvalidCABundle", retryable = false },
}

local CHILD = [[
  local iot, descriptors = require "iot", require "spec.support.descriptors"
  local before = descriptors.count()
  local result
  local client, message, detail = iot.new()
  if client then
    result, message, detail = client:describe_thing_registration_task { taskId = "full" }
    client:close()
  end
  assert(result == nil and message == tostring(detail))
  for _, name in ipairs { "kind", "code", "operation", "attempts", "retryable", "throttled", "message" } do
    print(name, type(detail[name]), detail[name])
  end
  print("left", "number", descriptors.count() - before)
]]

local INTERRUPTED = [[
  local iot, descriptors = require "iot", require "spec.support.descriptors"
  local before = descriptors.count()
  local client, detail = assert(iot.new()), nil
  require("spec.support.interrupt").arrange(0.3)
  local _, message = pcall(coroutine.wrap(function()
    _, _, detail = client:describe_thing_registration_task { taskId = "full" }
  end))
  client:close()
  for _, name in ipairs { "kind", "code", "operation", "attempts", "retryable", "throttled", "message" } do
    local value = (detail or { message = message })[name]
    print(name, type(value), value)
  end
  print("left", "number", descriptors.count() - before)
]]

-- The failure of a process with these variables, as the detail; and how many descriptors were left.
local function call_in_child(variables, program)
  local all = sim:environment()
  all.AWS_MAX_ATTEMPTS = "1"
  for name, value in pairs(variables) do all[name] = value end
  local detail = {}
  for name, kind, text in child.output(program or CHILD, all):gmatch "(%w+)\t(%w+)\t([^\n]*)\n" do
    detail[name] = ({ string = text, number = tonumber(text), boolean = text == "true" })[kind]
  end
  local left = detail.left
  detail.left = nil
  return left, setmetatable(detail, { __tostring = function(self) return self.message end })
end

local function call_here(options, call)
  local client, message, detail = iot.new(sim:options(options))
  if not client then return nil, message, detail end
  local result
  result, message, detail = client:describe_thing_registration_task({ taskId = "full" }, call)
  client:close()
  return result, message, detail
end

local function shell(script)
  local result = command.run { "sh", "-ec", script, "sh", sim.folder }
  assert(result.code == 0, result.stderr)
end

local function make_paths()
  shell [[
    cd "$1"
    ln -s looping.pem looping.pem
    mkdir hashed empty
    cp ca.pem hashed/
    openssl rehash hashed
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -days 2 \
      -keyout other.key -out other.pem
  ]]
  local function path(name) return sim.folder .. "/" .. name end
  -- No provider of OpenSSL has an algorithm with this property, so it finds none.
  files.write(path "broken.config", "[default]\nregion\n")
  files.write(path "broken.cnf",
    "openssl_conf = main\n[main]\nalg_section = properties\n[properties]\ndefault_properties = fips=yes\n")
  return {
    looping_bundle = path "looping.pem", other_authority = path "other.pem", broken_openssl = path "broken.cnf",
    broken_config = path "broken.config",
    authority = path "ca.pem", hashed = path "hashed", empty = path "empty",
  }
end

describe("on the way to the service", function()
  local missing = simulator.missing() or descriptors.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "full", status = "Completed" }
    raw = raw_server.start(sim)
    paths = make_paths()
    -- The first TLS connection of a process may open what stays open.
    call_here { ca_bundle = paths.empty }
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)
  before_each(function()
    environment.replace()
    sim:clear()
  end)
  after_each(environment.restore)

  describe("a call fails with", function()
    local covered = {}

    local function expected_of(kind, case)
      local expected = { kind = kind.kind, throttled = false }
      for _, name in ipairs { "code", "retryable", "attempts", "status", "body", "message" } do
        expected[name] = case[name]
        if expected[name] == nil then expected[name] = kind[name] end
      end
      if kind.kind == "configuration" then
        expected.attempts = nil -- iot.new may have found it, which makes none
      else
        expected.operation = OPERATION
        if not runtimes.is_curl then expected.message = nil end
      end
      return expected
    end

    local function check_in_child(expected, case)
      local left, detail = call_in_child(case.variables())
      failures.check(expected, nil, detail.message, detail)
      assert.equal(0, left, "descriptors were left open")
    end

    local function check_here(expected, case)
      local options = case.options
      if type(options) == "function" then options = options() end
      if case.fault then sim:fault(case.fault) end
      collectgarbage() -- what an earlier case may have left behind
      collectgarbage()
      local before, started = descriptors.count(), core.monotonic()
      local result, message, detail = call_here(options, case.call)
      local seconds, least = core.monotonic() - started, case.seconds or 0
      failures.check(expected, result, message, detail)
      assert.equal(before, descriptors.count(), "descriptors were left open")
      assert.is_true(seconds >= least - 0.01 and seconds <= least + SLACK, ("it took %.3f s"):format(seconds))
    end

    for _, kind in ipairs(KINDS) do
      for _, case in ipairs(kind.cases) do
        local expected = expected_of(kind, case)
        covered[expected.code] = true
        it(("%s for %s"):format(expected.code, case.what), function()
          local lacks = case.missing and case.missing()
          if lacks then return pending(lacks) end -- the reason stands beside the case
          local check = case.variables and check_in_child or check_here
          check(expected, case)
        end)
      end
    end

    -- The main thread is interrupted, its coroutine gets the failure. LuaJIT interrupts both: then nobody does.
    covered.Interrupted = true
    it("Interrupted for a signal while it waits", function()
      sim:fault { kind = "stall", seconds = 60 }
      local left, detail = call_in_child({}, INTERRUPTED)
      if rawget(_G, "jit") then
        assert.is_truthy(detail.message:find "interrupted!", detail.message)
      else
        failures.check({
          kind = "transport", code = "Interrupted", retryable = false, throttled = false, attempts = 1,
          operation = OPERATION, message = "a signal, such as ctrl%-c, ended the waiting",
        }, nil, detail.message, detail)
      end
      assert.equal(0, left, "descriptors were left open")
    end)

    -- A body without a length ends with the connection. Whether the lack of TLS's goodbye is told depends
    -- on libcurl and OpenSSL; where it is not, the JSON tells. The service always sends a length or chunks.
    it("a body without a length that is cut short, one way or the other", function()
      local result, message, detail = call_here { endpoint = raw.cutting }
      assert.is_nil(result, message)
      assert.is_truthy(detail.code == "ConnectionLost" or detail.code == "MalformedResponse", message)
    end)

    it("every code that the library has for it", function()
      local kinds = {}
      for _, kind in ipairs(KINDS) do kinds[kind.kind] = true end
      covered.PhaseCannotWait = true -- in nginx alone: spec/nginx/runtime_spec.lua
      for code, known in pairs(errors.codes) do
        if kinds[known.kind] then assert.is_true(covered[code], code .. " has no case") end
      end
    end)

    it("nothing, once the cause is gone", function()
      local client = assert(iot.new(sim:options { read_timeout = 0.2 }))
      for _, fault in ipairs {
        { kind = "stall", seconds = 60 }, { kind = "delay", seconds = 60 }, garbage "no HTTP\r\n",
        garbage(http(("X: y\r\n"):rep(20000))),
      } do
        sim:fault(fault)
        assert.is_nil((client:describe_thing_registration_task { taskId = "full" }))
        assert.equal("full", assert(client:describe_thing_registration_task { taskId = "full" }).taskId)
      end
      client:close()
    end)
  end)

  describe("the authorities to trust", function()
    -- Option, variable (both are names of `paths`), whether the simulator is then trusted.
    local CASES = {
      { "are those of a file", "authority", nil, true },
      { "are those of a hashed directory", "hashed", nil, true },
      { "are none of a directory without any", "empty", nil, false },
      { "are those of AWS_CA_BUNDLE", nil, "authority", true },
      { "are those of AWS_CA_BUNDLE, a directory", nil, "hashed", true },
      { "are those of the option, whatever the variable", "authority", "empty", true },
      { "are not those of the variable beside the option", "empty", "authority", false },
      { "are the system's when nothing is said", nil, nil, false },
    }
    for _, case in ipairs(CASES) do
      it(case[1], function()
        environment.replace { AWS_CA_BUNDLE = paths[case[3]] }
        local options = sim:options()
        options.ca_bundle = paths[case[2]]
        local client = assert(iot.new(options))
        local task, message, detail = client:describe_thing_registration_task { taskId = "full" }
        client:close()
        if case[4] then
          assert.equal("full", task and task.taskId, message)
        else
          failures.check({ kind = "transport", code = "CertificateInvalid", retryable = false }, task, message, detail)
        end
      end)
    end
  end)

  describe("a proxy", function()
    local DESCRIBE = [[
      local client = assert(require("iot").new { proxy = os.getenv "PROXY_OPTION" })
      assert(client:describe_thing_registration_task { taskId = "full" })
    ]]

    -- Describe in a process with these variables; the simulator then got one request, for this host.
    local function assert_asked_for(host, variables)
      local all = sim:environment()
      for name, value in pairs(variables) do all[name] = value end
      child.output(DESCRIBE, all)
      local entries = sim:journal()
      assert.equal(1, #entries)
      assert.same({ "Host", host }, entries[1].headers[1])
      assert.equal(200, entries[1].status)
    end

    it("is asked for what is not for itself", function()
      local options = { endpoint = "http://iot.example.invalid:8080", proxy = sim.plain_endpoint }
      assert.equal("full", assert(call_here(options)).taskId)
      assert.same({ "Host", "iot.example.invalid:8080" }, sim:journal()[1].headers[1])
    end)

    it("is the environment's", function()
      assert_asked_for("iot.example.invalid",
        { AWS_ENDPOINT_URL_IOT = "http://iot.example.invalid", http_proxy = sim.plain_endpoint })
    end)

    it("is the option's rather than the environment's", function()
      assert_asked_for("iot.example.invalid", { AWS_ENDPOINT_URL_IOT = "http://iot.example.invalid",
        http_proxy = "http://127.0.0.1:1", PROXY_OPTION = sim.plain_endpoint })
    end)

    it("is left out where the environment says so", function()
      assert_asked_for((sim.endpoint:gsub("^https://", "")),
        { https_proxy = "http://127.0.0.1:1", no_proxy = "localhost" })
    end)
  end)
end)
