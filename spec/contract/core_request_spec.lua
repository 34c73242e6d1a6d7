-- Plain requests, by which credentials are fetched, against the simulator: what goes out, what comes back,
-- what is refused, and that nothing stays open.
local command = require "spec.support.command"
local core = require "iot.core"
local descriptors = require "spec.support.descriptors"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"

local SECRET = "SECRET-HEADER-OF-THE-SPEC"
local integer_type = rawget(math, "type") or function() return "integer" end

local sim
setup(function()
  if not simulator.missing() then sim = simulator.start() end
end)
teardown(function()
  if sim then sim:stop() end
end)
before_each(function()
  if sim then sim:clear() end
end)

-- A spec that needs the simulator.
local function with(title, fn)
  it(title, function()
    if not sim then return pending(simulator.missing()) end -- no service to ask
    return fn()
  end)
end

-- A request to a path of the simulator, in the clear unless `changes` say otherwise.
local function request_of(path, changes)
  local all = { url = sim.plain_endpoint .. path, timeout = 10, connect_timeout = 5, proxy = "" }
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

local function send(path, changes)
  return core.request(request_of(path, changes))
end

-- The next answer, byte for byte.
local function answer(text)
  sim:fault { kind = "raw", body = text }
end

local function last_entry()
  local entries = sim:journal()
  return entries[#entries], #entries
end

local function headers_of(entry)
  local found = {}
  for _, header in ipairs(entry.headers) do found[header[1]:lower()] = header[2] end
  return found
end

-- What goes out -------------------------------------------------------------------------------

describe("a request", function()
  with("has the headers that it was given, a host, and no others", function()
    answer "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert(send("/latest/token?a=b%20c&d", { headers = {
      { "X-One", "1" }, { "x-two", "a  b; c=\"d\", \195\188" }, { "Authorization", SECRET } } }))
    local entry = last_entry()
    assert.equal("GET", entry.method)
    assert.equal("/latest/token?a=b%20c&d", entry.uri)
    assert.equal("", entry.body)
    assert.same({ host = sim.plain_endpoint:match "//(.*)$", ["x-one"] = "1", ["x-two"] = "a  b; c=\"d\", \195\188",
      authorization = SECRET }, headers_of(entry))
  end)

  with("has the headers that it was given also where they are empty", function()
    answer "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert(send("/path", { headers = { { "X-Empty", "" }, { "X-One", "1" }, { "X-Blank", " \t " } } }))
    assert.same({ host = sim.plain_endpoint:match "//(.*)$", ["x-empty"] = "", ["x-one"] = "1", ["x-blank"] = "" },
      headers_of(last_entry()))
  end)

  -- Method, body, and the Content-Length that is sent.
  local METHODS = {
    { nil, nil, nil }, { "GET", nil, nil }, { "PUT", nil, "0" }, { "PUT", "", "0" }, { "POST", "a=b&c", "5" },
    { "POST", "a\0\r\n\255", "5" }, { "DELETE", nil, "0" }, { "POST", ("x"):rep(200000), "200000" },
  }

  for i, case in ipairs(METHODS) do
    with(("has the method and the body that it was given (%d)"):format(i), function()
      answer "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      assert.equal("ok", assert(send("/path", { method = case[1], body = case[2] })).body)
      local entry = last_entry()
      local headers = headers_of(entry)
      assert.equal(case[1] or "GET", entry.method)
      assert.equal(case[2] or "", entry.body)
      assert.equal(case[3], headers["content-length"])
      assert.is_nil(headers["content-type"])
      assert.is_nil(headers.expect)
      assert.is_nil(headers.accept)
    end)
  end

  with("has the content type that it was given", function()
    answer "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert(send("/path", { method = "POST", body = "{}", headers = { { "Content-Type", "application/json" } } }))
    assert.equal("application/json", headers_of(last_entry())["content-type"])
  end)

  with("goes to the root when the URL has no path, and is not tidied", function()
    for _, case in ipairs { { "", "/" }, { "?q", "/?q" }, { "/a/../b//c/./%2E", "/a/../b//c/./%2E" } } do
      answer "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
      assert(send(case[1]))
      assert.equal(case[2], last_entry().uri)
    end
  end)

  with("goes over TLS, to a server that is known", function()
    answer "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert.equal("ok", assert(send("", { url = sim.endpoint .. "/path", ca_bundle = sim.ca_bundle })).body)
    assert.is_truthy(last_entry().tls)
  end)

  with("has a connection of its own, which is closed", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    local before = descriptors.count()
    local seen = {}
    for _ = 1, 3 do
      assert(send "/path")
      assert(send("", { url = sim.endpoint .. "/path", ca_bundle = sim.ca_bundle }))
      send("", { url = "http://127.0.0.1:1/" })
      send("/path", { headers = { { "bad name", "" } } })
      assert.equal(before, descriptors.count())
    end
    for _, entry in ipairs(sim:journal()) do
      assert.is_nil(seen[entry.connection])
      seen[entry.connection] = true
    end
  end)
end)

-- What comes back ----------------------------------------------------------------------------

describe("a reply", function()
  with("has a status, headers with names in lower case, and a body", function()
    answer("HTTP/1.1 418 Short\r\nX-UPPER-Case:  padded \t\r\nx-empty:\r\nX-Dup: first\r\nx-dup: second\r\n"
      .. "X-Colon: a: b\r\nContent-Length: 6\r\n\r\na\0b\255\r\n")
    local reply = assert(send "/path")
    assert.equal(418, reply.status)
    assert.equal("integer", integer_type(reply.status))
    assert.equal("a\0b\255\r\n", reply.body)
    assert.same({ ["x-upper-case"] = "padded", ["x-empty"] = "", ["x-dup"] = "first", ["x-colon"] = "a: b",
      ["content-length"] = "6" }, reply.headers)
  end)

  with("may have no body, or one whose length is not told", function()
    for body, text in pairs {
      [""] = "HTTP/1.1 204 No Content\r\n\r\n",
      whole = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole",
      pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npie\r\n3\r\nces\r\n0\r\n\r\n",
    } do
      answer(text)
      assert.equal(body, assert(send "/path").body)
    end
  end)

  with("comes after others of status 1xx, of which nothing stays", function()
    answer "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: 2\r\nContent-Length: 0\r\n\r\n"
    local reply = assert(send "/path")
    assert.equal(200, reply.status)
    assert.same({ ["x-late"] = "2", ["content-length"] = "0" }, reply.headers)
  end)

  with("of any status is one", function()
    for _, status in ipairs { 200, 301, 400, 401, 403, 404, 405, 429, 500, 503, 599 } do
      answer(("HTTP/1.1 %d X\r\nContent-Length: 4\r\n\r\nbody"):format(status))
      local reply = assert(send "/path")
      assert.equal(status, reply.status)
      assert.equal("body", reply.body)
    end
  end)

  with("that leads elsewhere is not followed", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      sim:clear()
      local location = sim.plain_endpoint .. "/elsewhere"
      answer(("HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"):format(status, location))
      local reply = assert(send("/path", { method = "PUT", headers = { { "Authorization", SECRET } } }))
      assert.equal(status, reply.status)
      assert.equal(location, reply.headers.location)
      assert.equal(1, #sim:journal())
    end
  end)
end)

-- Failures -----------------------------------------------------------------------------------

local function assert_failure(code, words, reply, message, facts)
  assert.is_nil(reply)
  assert.equal("string", type(message))
  assert.equal(code, facts.code, message)
  assert.is_true(failures.is_printable(message), message)
  for _, word in ipairs(type(words) == "table" and words or { words }) do
    assert.is_truthy(message:lower():find(word, 1, true), ("%q has no %q"):format(message, word))
  end
  assert.is_nil(message:find(SECRET, 1, true), message)
end

local function repeated(count)
  local list = {}
  for i = 1, count do list[i] = { "X-" .. i, "value" } end
  return list
end

describe("a request that could be taken for another", function()
  -- What it holds, the request.
  local CASES = {
    { "a line break in a header", { headers = { { "X-A", SECRET .. "\r\nX-B: 1" } } } },
    { "a line feed in a header", { headers = { { "X-A", "a\nb" } } } },
    { "a carriage return in a header", { headers = { { "X-A", "a\r" } } } },
    { "a NUL in a header", { headers = { { "X-A", "a\0b" } } } },
    { "a line break in the name of a header", { headers = { { "X-A: 1\r\nX-B", "2" } } } },
    { "a colon in the name of a header", { headers = { { "X-A:", "2" } } } },
    { "a space in the name of a header", { headers = { { "X A", "2" } } } },
    { "a header without a name", { headers = { { "", "2" } } } },
    { "more headers than there is room for", { headers = repeated(100) } },
    { "a line break in its method", { method = "PUT /x HTTP/1.1\r\nX-A:" } },
    { "a space in its method", { method = "PUT /x" } },
    { "a method that is too long", { method = ("M"):rep(100) } },
    { "a method whose reply announces a body that never comes", { method = "HEAD" } },
    { "a line break in its URL", function() return { url = sim.plain_endpoint .. "/a\r\nX-A: 1" } end },
    { "a space in its URL", function() return { url = sim.plain_endpoint .. "/a HTTP/1.1" } end },
    { "a NUL in its URL", function() return { url = sim.plain_endpoint .. "/a\0b" } end },
    { "a fragment in its URL", function() return { url = sim.plain_endpoint .. "/a#b" } end },
    { "a user in its URL", function()
      return { url = (sim.plain_endpoint:gsub("//", "//user:" .. SECRET .. "@")) }
    end },
    { "no host in its URL", { url = "http:///path" } },
    { "a URL of a file", { url = "file:///etc/passwd" } },
    { "no scheme in its URL", { url = "localhost/path" } },
    { "no URL", { url = "" } },
  }

  for _, case in ipairs(CASES) do
    with(("is not sent: %s"):format(case[1]), function()
      local changes = type(case[2]) == "function" and case[2]() or case[2]
      local reply, message, facts = send("/path", changes)
      assert_failure(facts and facts.code, {}, reply, message, facts)
      assert.is_true(facts.code == "InvalidParameter" or facts.code == "InvalidEndpoint", facts.code)
      assert.equal(0, #sim:journal())
    end)
  end
end)

describe("a request that is too large", function()
  local CASES = {
    { "a header", { headers = { { "X-A", ("a"):rep(140000) } } } },
    { "its headers", function()
      local headers = repeated(10)
      for _, header in ipairs(headers) do header[2] = ("a"):rep(14000) end
      return { headers = headers }
    end },
    { "its body", { method = "POST", body = ("a"):rep(5000000) } },
    { "its path", function() return { url = sim.plain_endpoint .. "/" .. ("a"):rep(70000) } end },
    { "its query", function() return { url = sim.plain_endpoint .. "/?" .. ("a"):rep(70000) } end },
  }

  for _, case in ipairs(CASES) do
    with(("does not blame the reply: %s"):format(case[1]), function()
      local changes = type(case[2]) == "function" and case[2]() or case[2]
      assert_failure("InvalidParameter", "the request is too large", send("/path", changes))
      assert.equal(0, #sim:journal())
    end)
  end
end)

describe("a request that fails", function()
  local function tls(changes)
    return function()
      local all = { url = sim.endpoint .. "/path", ca_bundle = sim.ca_bundle }
      for name, value in pairs(changes or {}) do all[name] = type(value) == "function" and value() or value end
      return all
    end
  end

  local function garbage()
    local path = sim.folder .. "/garbage.pem"
    files.write(path, "-----BEGIN PRIVATE KEY-----\n" .. SECRET .. "\n-----END PRIVATE KEY-----\n")
    return path
  end

  local function certificate() return sim.folder .. "/localhost.pem" end

  -- What is wrong, the request, the code, words of the message, and a fault of the server.
  local CASES = {
    { "nobody listens", { url = "http://127.0.0.1:1/" }, "ConnectionFailed", "connect" },
    { "there is no time", { timeout = 0 }, "Timeout", "no time" },
    { "the server is slow", { timeout = 0.2 }, "Timeout", "time limit", { kind = "delay", seconds = 2 } },
    { "the server is silent", { read_timeout = 0.2 }, "Timeout", "sent nothing for 0.2 seconds",
      { kind = "delay", seconds = 2 } },
    { "the reply is cut short", {}, "ConnectionLost", "connection ended", { kind = "truncate" } },
    { "the connection is reset", {}, "ConnectionLost", "connection ended", { kind = "reset" } },
    { "there is no reply", {}, "ConnectionLost", "connection ended", { kind = "close" } },
    { "the reply is too large", {}, "ResponseTooLarge", "limit",
      { kind = "reply", status = 200, body_bytes = 17 * 1024 * 1024 } },
    { "the server's certificate is unknown", tls { ca_bundle = function() return sim.folder .. "/wrong_host.pem" end },
      "CertificateInvalid", "certificate was not accepted" },
    { "the CA bundle is missing", tls { ca_bundle = "/nowhere/ca.pem" }, "InvalidCABundle", "/nowhere/ca.pem" },
    { "the client's certificate is missing", tls { client_certificate = "/nowhere/client.pem",
      client_key = "/nowhere/client.key" }, "InvalidConfiguration", "certificate" },
    { "the client's key is missing", tls { client_certificate = certificate, client_key = "/nowhere/client.key" },
      "InvalidConfiguration", "key" },
    { "the client's key is garbage", tls { client_certificate = certificate, client_key = garbage },
      "InvalidConfiguration", "key" },
    { "the client's certificate is garbage", tls { client_certificate = garbage, client_key = garbage },
      "InvalidConfiguration", "certificate" },
    { "a file's name holds a NUL", tls { client_certificate = "a\0b" }, "InvalidConfiguration", "nul" },
    { "the proxy does not listen", { proxy = "http://127.0.0.1:1" }, "ProxyFailed", "proxy" },
    { "the proxy is none", { proxy = "ftp://proxy.example" }, "InvalidConfiguration", "proxy" },
  }

  for _, case in ipairs(CASES) do
    with(("says so when %s"):format(case[1]), function()
      local before = not descriptors.missing() and descriptors.count()
      local changes = type(case[2]) == "function" and case[2]() or case[2]
      if case[5] then sim:fault(case[5]) end
      local request = request_of("/path", changes)
      request.headers = { { "Authorization", SECRET } }
      local started = core.monotonic()
      assert_failure(case[3], case[4], core.request(request))
      assert.is_true(core.monotonic() - started < 1.9)
      if before then assert.equal(before, descriptors.count()) end
    end)
  end

  with("has no time when it was given none", function()
    local request = request_of "/path"
    request.timeout = nil
    assert_failure("Timeout", "no time", core.request(request))
  end)

  it("raises when it is no request", function()
    local list = { { url = 5 }, { url = "http://a", headers = "x" }, { url = "http://a", headers = { "x" } },
      { url = "http://a", headers = { { "x" } } }, { url = "http://a", headers = { { "x", 5 } } },
      { url = "http://a", body = {} }, { url = "http://a", timeout = "soon" }, { url = "http://a", method = 5 },
      { url = "http://a", client_certificate = true }, "http://a", 5, false }
    for _, request in ipairs(list) do assert.is_false((pcall(core.request, request))) end
    assert.is_false((pcall(core.request)))
    for i, bad in pairs { { 5 }, { { "X-A", "1" }, "x" }, { { "X-A", "1" }, { "X-B", "1" }, { "x", 5 } } } do
      local ok, message = pcall(core.request, { url = "http://a", headers = bad })
      assert.is_false(ok)
      assert.is_truthy(message:find("header " .. i, 1, true), message)
    end
  end)
end)

-- OpenSSL would ask for the passphrase, and wait: at a terminal, which this one has.
with("a key that is encrypted asks no terminal for its passphrase", function()
  if command.run({ "script", "--version" }).code ~= 0 then return pending "script of util-linux is missing" end
  local key = sim.folder .. "/encrypted.key"
  assert.equal(0, command.run({ "openssl", "pkey", "-in", sim.device.key, "-aes256", "-passout", "pass:secret",
    "-out", key }).code)
  local program = files.temporary()
  files.write(program, ([[
    local reply, message, facts = require("iot.core").request {
      url = %q, ca_bundle = %q, client_certificate = %q, client_key = %q, timeout = 5, proxy = "",
    }
    print(reply, facts and facts.code, message)
  ]]):format(sim.endpoint, sim.ca_bundle, sim.device.certificate, key))
  local result = command.run({ "script", "-qec", (os.getenv "LUA" or "lua5.4") .. " " .. program, "/dev/null" },
    { timeout = 20 })
  os.remove(program)
  assert.is_truthy(result.stdout:find("nil%s+InvalidConfiguration"), result.stdout)
  assert.is_nil(result.stdout:lower():find("pass phrase", 1, true), result.stdout)
end)
