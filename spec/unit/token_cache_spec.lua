-- Cached tokens in general: where they are, how they are read, when they are refreshed, how they are
-- written back, and the requests made for them.
local base64url = require "iot.credentials.base64url"
local core = require "iot.core"
local token_cache = require "iot.credentials.token_cache"
local command = require "spec.support.command"
local files = require "spec.support.files"
local random = require "spec.support.random"
local token_rig = require "spec.support.token_rig"

local NOW, run = token_rig.NOW, token_rig.run
local SECRET = "SECRET-OF-THE-SPEC"

local rig
before_each(function() rig = token_rig.new() end)
after_each(function() rig:remove() end)

describe("base64url", function()
  it("gives RFC 4648's examples, without padding", function()
    local EXAMPLES = {
      [""] = "", f = "Zg", fo = "Zm8", foo = "Zm9v", foob = "Zm9vYg", fooba = "Zm9vYmE", foobar = "Zm9vYmFy",
    }
    for text, encoded in pairs(EXAMPLES) do assert.equal(encoded, base64url.encode(text)) end
  end)

  it("has its own alphabet", function()
    assert.equal("-_-_", base64url.encode "\251\255\191")
  end)

  it("agrees with openssl on any bytes", function()
    local dice = random.new(1)
    for length = 250, 259 do
      local bytes = dice:text(length, length, function(self) return string.char(self:integer(0, 255)) end)
      local oracle = command.run({ "openssl", "base64", "-A" }, { input = bytes }).stdout
      assert.equal((oracle:gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" })), base64url.encode(bytes))
    end
  end)
end)

describe("the folder of a cache", function()
  -- Variables, path or what the message says.
  local CASES = {
    { { HOME = "/home/a" }, "/home/a/.aws/x" },
    { { HOME = "/home/a", USERPROFILE = "C:\\a" }, "/home/a/.aws/x" },
    { { HOME = "", USERPROFILE = "C:\\a" }, "C:\\a/.aws/x" },
    { { HOMEDRIVE = "C:", HOMEPATH = "\\a" }, "C:\\a/.aws/x" },
    { { HOME = "/home/a", AWS_X = "/cache" }, "/cache" },
    { { AWS_X = "/cache" }, "/cache" },
    { { HOME = "/home/a", AWS_X = "" }, "/home/a/.aws/x" },
    { { HOME = "/home/a", AWS_X = "~/cache" }, "/home/a/cache" },
    { { HOME = "/home/a", AWS_X = "~" }, "/home/a" },
    { { HOME = "/home/a", AWS_X = "~b/cache" }, "~b/cache" },
    { {}, nil, "set HOME or AWS_X" },
    { { HOMEDRIVE = "C:" }, nil, "set HOME or AWS_X" },
    { { AWS_X = "~/cache" }, nil, "set HOME or AWS_X" },
  }

  for number, case in ipairs(CASES) do
    it(("is found, case %d"):format(number), function()
      rig.variables.HOME = nil
      for name, text in pairs(case[1]) do rig.variables[name] = text end
      local path, message = token_cache.folder("/.aws/x", "AWS_X")
      assert.equal(case[2], path)
      if case[3] then assert.is_truthy(message:find(case[3], 1, true), message) end
    end)
  end
end)

describe("the file of a token", function()
  it("is read whole", function()
    for _, text in ipairs { "", "{}", ("x"):rep(256 * 1024), "\0\255\r\n" } do
      assert.equal(text, token_cache.read(rig:write("/file", text)))
    end
  end)

  -- What it is, how it is made, what the message says.
  local BAD = {
    { "too large", function() return rig:write("/file", ("x"):rep(256 * 1024 + 1)) end, "larger than 262144 bytes" },
    { "a folder", function() return rig.home end, "cannot be read: Is a directory" },
    { "below a file", function() return rig:write("/file", "{}") .. "/x" end, "cannot be read: Not a directory" },
  }

  for _, case in ipairs(BAD) do
    it("is refused when it is " .. case[1], function()
      local path = case[2]()
      local text, message, missing = token_cache.read(path)
      assert.is_nil(text)
      assert.equal(path, message:sub(1, #path))
      assert.is_truthy(message:find(case[3], 1, true), message)
      assert.is_falsy(missing)
    end)
  end

  it("may be missing, with its folder as well", function()
    for _, path in ipairs { "/file", "/a/b/file" } do
      local text, message, missing = token_cache.read(rig.home .. path)
      assert.is_nil(text)
      assert.is_truthy(message:find("cannot be read: No such file or directory", 1, true), message)
      assert.is_true(missing)
    end
  end)
end)

describe("a time of a cache", function()
  it("is read in both forms", function()
    assert.equal(NOW, token_cache.parse_time "2021-12-25T13:30:00Z")
    assert.equal(NOW, token_cache.parse_time "2021-12-25T13:30:00UTC")
    assert.equal(NOW + 0.5, token_cache.parse_time "2021-12-25T13:30:00.5Z")
    for _, text in ipairs { "", "soon", "2021-12-25", "2021-12-25T13:30:00", "2021-12-25T13:30:00 UTC", true, {} } do
      assert.is_nil(token_cache.parse_time(text))
    end
    assert.is_nil(token_cache.parse_time(NOW))
  end)

  it("is written in the newer form, whole seconds", function()
    assert.equal("2021-12-25T13:30:00Z", token_cache.format_time(NOW + 0.75))
  end)

  it("never ends later than a date can be written", function()
    assert.equal(NOW + 900, token_cache.end_of(NOW, 900))
    assert.equal(NOW + 366 * 86400, token_cache.end_of(NOW, 1e300))
    assert.is_truthy(token_cache.format_time(token_cache.end_of(NOW, 1e300)):find "^2022%-")
    for _, wrong in ipairs { 0, -5, "900", true, {} } do assert.is_nil(token_cache.end_of(NOW, wrong)) end
    assert.is_nil(token_cache.end_of(NOW, nil))
  end)
end)

-- A cache of documents { token =, expiresAt = }.
local PATH = "/cache/token.json"
local EARLY, LATE = "2021-12-25T13:31:00Z", "2021-12-25T14:30:00Z" -- a minute, an hour from now

local function cache(refresh, refreshable)
  local calls = {}
  local options = {
    runtime = rig.runtime, path = rig.home .. PATH, name = "spec token", advice = "log in with: spec",
    parse = function(document)
      local expires = token_cache.parse_time(document.expiresAt)
      if not expires then return nil, "has no expiresAt" end
      return { expires = expires, document = document }
    end,
    refreshable = refreshable or function() return true end,
    refresh = function(token, deadline)
      calls[#calls + 1] = { token = token.document.token, deadline = deadline }
      return refresh(token)
    end,
  }
  return token_cache.new(options), calls
end

local function renewed(name, expires)
  return function(token) return token_cache.merge(token.document, { token = name, expiresAt = expires or LATE }) end
end

local function refused() return nil, "the spec refused" end

local function deadline() return rig.runtime.clock + 20 end

describe("a cached token", function()
  it("is used as it is when five minutes or more are left", function()
    rig:write(PATH, { token = "old", expiresAt = "2021-12-25T13:35:00Z" })
    local tokens, calls = cache(refused)
    assert.equal("old", tokens:get(deadline()).document.token)
    assert.equal(0, #calls)
  end)

  it("is refreshed when less is left, and written back", function()
    rig:write(PATH, { token = "old", expiresAt = "2021-12-25T13:34:59Z", other = { kept = "yes" } })
    local tokens, calls = cache(renewed "new")
    local token = tokens:get(deadline())
    assert.equal("new", token.document.token)
    assert.equal(NOW + 3600, token.expires)
    assert.equal(1, #calls)
    assert.same({ token = "new", expiresAt = LATE, other = { kept = "yes" } }, rig:read(PATH))
    assert.equal("new", tokens:get(deadline()).document.token)
    assert.equal(1, #calls)
  end)

  it("is written for its owner alone, and never half", function()
    local path = rig:write(PATH, { token = "old", expiresAt = EARLY })
    run("chmod", "644", path)
    run("ln", path, path .. ".seen") -- as a reader that has it open
    assert(cache(renewed "new"):get(deadline()))
    assert.equal("600", run("stat", "-c", "%a", path):match "%d+")
    assert.equal("old", rig:read(PATH .. ".seen").token)
    assert.equal("token.json token.json.seen", (run("ls", "-A", rig.home .. "/cache"):gsub("%s+", " "):gsub(" $", "")))
  end)

  it("stays in use when the refresh fails and it is still valid", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local tokens, calls = cache(refused)
    assert.equal("old", tokens:get(deadline()).document.token)
    assert.equal(1, #calls)
    assert.equal("old", rig:read(PATH).token)
  end)

  it("is refused once it has expired, with the reason and what to do", function()
    local path = rig:write(PATH, { token = "old", expiresAt = EARLY })
    rig:advance(60)
    local token, message = cache(refused):get(deadline())
    assert.is_nil(token)
    assert.equal(("the spec token in %s expired at %s and was not refreshed: the spec refused; log in with: spec")
      :format(path, EARLY), message)
  end)

  it("is refused when it cannot be refreshed", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local tokens, calls = cache(refused, function() return false, "the spec forbids it" end)
    assert.equal("old", tokens:get(deadline()).document.token)
    rig:advance(60)
    local token, message = tokens:get(deadline())
    assert.is_nil(token)
    assert.is_truthy(message:find("not refreshed: the spec forbids it; log in", 1, true), message)
    assert.equal(0, #calls)
  end)

  it("is refreshed at most every 30 s, whether that succeeds or not", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local tokens, calls = cache(refused)
    for _ = 1, 3 do
      assert(tokens:get(deadline()))
      rig:advance(29.5 / 3)
    end
    assert.equal(1, #calls)
    rig:advance(1)
    assert(tokens:get(deadline()))
    assert.equal(2, #calls)
    rig:advance(29) -- just short of its end
    assert(tokens:get(deadline()))
    rig:advance(0.6) -- expired: the last reason is told again
    local token, message = tokens:get(deadline())
    assert.is_nil(token)
    assert.is_truthy(message:find("the spec refused", 1, true), message)
    assert.equal(2, #calls)

    rig:write(PATH, { token = "short", expiresAt = "2021-12-25T13:33:00Z" })
    tokens, calls = cache(renewed("short", "2021-12-25T13:33:00Z"))
    assert(tokens:get(deadline()))
    assert(tokens:get(deadline()))
    assert.equal(1, #calls)
  end)

  it("is not used when its refresh was interrupted, and is refreshed by the next call", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local steps = { function() return nil, "a signal ended the waiting", "Interrupted" end, renewed "new" }
    local tokens, calls = cache(function(token) return table.remove(steps, 1)(token) end)
    local token, message, code = tokens:get(deadline())
    assert.is_nil(token)
    assert.equal("a signal ended the waiting", message)
    assert.equal("Interrupted", code)
    assert.equal("new", tokens:get(deadline()).document.token)
    assert.equal(2, #calls)
  end)

  it("is refreshed by the monotonic clock when the other one is set back", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local tokens, calls = cache(refused)
    assert(tokens:get(deadline()))
    rig.runtime.wall = NOW - 100
    rig.runtime.clock = rig.runtime.clock + 30
    assert(tokens:get(deadline()))
    assert.equal(2, #calls)
  end)

  it("leaves time for what comes after a refresh that could wait", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    local tokens, calls = cache(refused)
    assert(tokens:get(rig.runtime.clock + 8))
    assert.equal(rig.runtime.clock + 4, calls[1].deadline)
    rig:advance(60)
    tokens:get(rig.runtime.clock + 8)
    assert.equal(rig.runtime.clock + 8, calls[2].deadline)
  end)

  it("is taken from the file when another process was faster", function()
    rig:write(PATH, { token = "old", expiresAt = EARLY })
    rig:advance(60)
    local tokens = cache(function()
      rig:write(PATH, { token = "theirs", expiresAt = LATE })
      return refused()
    end)
    assert.equal("theirs", tokens:get(deadline()).document.token)
  end)

  it("is read again each time, so that a new login is seen", function()
    local path = rig:write(PATH, { token = "old", expiresAt = LATE })
    local tokens = cache(refused)
    assert.equal("old", tokens:get(deadline()).document.token)
    rig:write(PATH, { token = "other", expiresAt = LATE })
    assert.equal("other", tokens:get(deadline()).document.token)
    os.remove(path)
    local token, message = tokens:get(deadline())
    assert.is_nil(token)
    assert.equal(("there is no spec token: %s does not exist; log in with: spec"):format(path), message)
  end)

  -- What it is, what it holds, what the message says.
  local BAD = {
    { "empty", "", "no JSON object" },
    { "not JSON", "SECRET-OF-THE-SPEC", "no JSON object" },
    { "half of it", '{"token":"SECRET-OF-THE-SPEC', "cannot be read: " },
    { "another kind of JSON", '["SECRET-OF-THE-SPEC"]', "no JSON object" },
    { "not UTF-8", '{"token":"SECRET-OF-THE-SPEC\255"}', "UTF-8" },
    { "incomplete", '{"token":"SECRET-OF-THE-SPEC"}', "has no expiresAt" },
    { "huge", ("x"):rep(300 * 1024), "larger than 262144 bytes" },
  }

  for _, case in ipairs(BAD) do
    it("is refused when its file is " .. case[1], function()
      local path = rig:write(PATH, case[2])
      local token, message = cache(refused):get(deadline())
      assert.is_nil(token)
      for _, part in ipairs { path, case[3], "; log in with: spec" } do
        assert.is_truthy(message:find(part, 1, true), message)
      end
      assert.is_nil(message:find(SECRET, 1, true), message)
      assert.is_true(#message < 400, message)
    end)
  end

  it("is refused when its file is a folder", function()
    run("mkdir", "-p", rig.home .. PATH)
    local token, message = cache(refused):get(deadline())
    assert.is_nil(token)
    assert.is_truthy(message:find("Is a directory; log in with: spec", 1, true), message)
  end)
end)

describe("a token that was refreshed but cannot be written back", function()
  -- The specs may run as root, who can write into any folder. So the file's folder becomes a file
  -- while the token is refreshed, and is what it was afterwards.
  local folder
  local function block()
    run("mv", folder, folder .. ".away")
    files.write(folder, "")
  end

  local function unblock()
    os.remove(folder)
    run("mv", folder .. ".away", folder)
  end

  before_each(function()
    folder = rig.home .. "/cache"
    rig:write(PATH, { token = "old", expiresAt = EARLY })
  end)

  it("is used all the same, and from then on, for the old one may be spent", function()
    local steps = { function(token)
      block()
      return renewed "first" (token)
    end, renewed("second", "2021-12-25T15:30:00Z") }
    local tokens, calls = cache(function(token) return table.remove(steps, 1)(token) end)
    assert.equal("first", tokens:get(deadline()).document.token)
    unblock()
    assert.equal("old", rig:read(PATH).token)
    rig:advance(60)
    assert.equal("first", tokens:get(deadline()).document.token)
    assert.equal(1, #calls)

    rig:advance(3300) -- 240 s before its end
    assert.equal("second", tokens:get(deadline()).document.token)
    assert.equal("first", calls[2].token)
    assert.equal("second", rig:read(PATH).token)
    assert.equal("second", tokens:get(deadline()).document.token)
  end)

  it("is forgotten when someone else writes the file", function()
    local tokens = cache(function(token)
      block()
      return renewed "new" (token)
    end)
    assert.equal("new", tokens:get(deadline()).document.token)
    unblock()
    rig:write(PATH, { token = "theirs", expiresAt = LATE })
    assert.equal("theirs", tokens:get(deadline()).document.token)
  end)
end)

describe("a request for a token", function()
  local function send(limit)
    local builds = 0
    local context = rig:context({})
    return token_cache.send(context, "the spec", function()
      builds = builds + 1
      return { url = "https://spec.example/", headers = { { "Number", tostring(builds) } } }
    end, rig.runtime.clock + (limit or 20))
  end

  it("carries the context's settings and a time limit", function()
    rig:answers({ status = 204 }, { status = 204 })
    assert.equal(204, send().status)
    local request = rig.requests[1]
    assert.equal(10, request.timeout)
    assert.equal(2, request.connect_timeout)
    assert.equal("bundle.pem", request.ca_bundle)
    assert.equal("http://proxy.example", request.proxy)
    send(3)
    assert.equal(3, rig.requests[2].timeout)
  end)

  it("is made anew and sent up to three times when that may help", function()
    for _, trouble in ipairs { { status = 500 }, { status = 503 }, { status = 429 }, "Timeout", "ConnectionFailed" } do
      rig.requests = {}
      rig:answers(trouble, trouble, { status = 200 })
      local before = rig.runtime.clock
      assert.equal(200, send().status)
      for number = 1, 3 do assert.equal(tostring(number), token_rig.headers(rig.requests[number]).number) end
      assert.is_true(rig.runtime.clock > before and rig.runtime.clock < before + 2)
    end
    rig.requests = {}
    rig:answers({ status = 500 }, { status = 500 }, { status = 502 })
    assert.equal(502, send().status)
    assert.equal(3, #rig.requests)
  end)

  it("is sent once when nothing else can come of it", function()
    for _, answer in ipairs {
      { status = 200 }, { status = 400 }, { status = 401 }, { status = 302 }, { status = 408 }, { status = 501 },
    } do
      rig.requests = {}
      rig:answers(answer)
      assert.equal(answer.status, send().status)
      assert.equal(1, #rig.requests)
    end
    rig:answers "CertificateInvalid"
    local response, message = send()
    assert.is_nil(response)
    assert.equal("the request to the spec failed: no answer came", message)
  end)

  it("keeps the deadline", function()
    local response, message = send(0)
    assert.is_nil(response)
    assert.equal("the request to the spec failed: no time was left for it", message)
    assert.equal(0, #rig.requests)
    rig:answers(function()
      rig:advance(4.99)
      return "Timeout"
    end)
    response, message = send(5)
    assert.is_nil(response)
    assert.equal("the request to the spec failed: no answer came", message)
    assert.equal(1, #rig.requests)
  end)

  it("is not sent again after an interrupt, of it or of the wait for another", function()
    rig:answers "Interrupted"
    local response, message, code = send()
    assert.is_nil(response)
    assert.equal("the request to the spec failed: no answer came", message)
    assert.equal("Interrupted", code)
    assert.equal(1, #rig.requests)

    function rig.runtime.sleep() return false end
    rig:answers { status = 503 }
    response, message, code = send()
    assert.is_nil(response)
    assert.matches("^the request to the spec failed: .*interrupted.*HTTP status 503", message)
    assert.equal("Interrupted", code)
    assert.equal(2, #rig.requests)
  end)

  it("was not interrupted when the server has an error of that name", function()
    local refusal = { status = 500, body = { error = "Interrupted" } }
    rig:answers(refusal, refusal, refusal)
    assert.equal(500, send().status)
  end)

  it("is sent again when the server wants it to be", function()
    for wait, answer in pairs {
      [2] = { status = 429, headers = { ["retry-after"] = "2" } },
      [1.5] = { status = 500, headers = { ["x-amz-retry-after"] = "1500" } },
    } do
      rig:answers(answer, { status = 200 })
      local before = rig.runtime.clock
      assert.equal(200, send().status)
      assert.equal(wait, rig.runtime.clock - before)
    end
  end)

  it("is sent again when it was throttled with a code alone", function()
    rig:answers({ status = 400, headers = { ["x-amzn-errortype"] = "ThrottlingException" } }, { status = 200 })
    assert.equal(200, send().status)
  end)

  it("gives its last answer when there is no time for another", function()
    rig:answers { status = 429 }
    assert.equal(429, send(0.1).status)
    assert.equal(1, #rig.requests)
  end)

  it("is not sent when it cannot be made", function()
    local response, message = token_cache.send(rig:context({}), "the spec", function()
      return nil, "no proof"
    end, rig.runtime.clock + 20)
    assert.is_nil(response)
    assert.equal("no proof", message)
    assert.equal(0, #rig.requests)
  end)

  it("has a deadline when the caller gives none", function()
    assert.equal(7, token_cache.deadline(rig.runtime, 7))
    assert.equal(rig.runtime.clock + 30, token_cache.deadline(rig.runtime, nil))
  end)
end)

describe("a reply about a token", function()
  local function decode(response)
    response.headers = response.headers or {}
    return token_cache.decode("the spec", response, { Known = "what it means", low_case = "lower" })
  end

  it("of success is an object", function()
    assert.same({ a = 1 }, (decode { status = 200, body = '{"a":1}' }))
    assert.same({ a = 1 }, (decode { status = 201, body = '{"a":1}' }))
    for _, body in ipairs { "", "<html>", "[1]", '{"a":' } do
      local document, message = decode { status = 200, body = body }
      assert.is_nil(document)
      assert.is_truthy(message:find("^the reply of the spec could not be understood: "), message)
    end
  end)

  -- Headers, body, code.
  local REFUSALS = {
    { {}, '{"error":"low_case"}', "low_case" },
    { { ["x-amzn-errortype"] = "Known" }, "", "Known" },
    { { ["x-amzn-errortype"] = "Known:http://internal.example/" }, "<html>", "Known" },
    { {}, '{"code":"Known"}', "Known" },
    { {}, '{"__type":"com.example#Known"}', "Known" },
    { {}, '{"__type":"com.example#Known:http://x"}', "Known" },
    { {}, '{"error":{"code":"x"},"code":"Known"}', "Known" },
    { {}, '{"error":"SECRET OF THE SPEC"}', nil },
    { {}, '{"error":"s3cr3t"}', nil },
    { {}, ('{"error":"%s"}'):format(("x"):rep(65)), nil },
    { {}, '{"message":"no code"}', nil },
    { {}, "<html>", nil },
    { {}, nil, nil },
  }

  it("of refusal has a code, and nothing else of it is shown", function()
    for number, case in ipairs(REFUSALS) do
      local document, message, code = decode { status = 400, headers = case[1], body = case[2] }
      assert.is_nil(document)
      assert.equal(case[3], code, "case " .. number)
      local meaning = ({ Known = "Known): what it means", low_case = "low_case): lower" })[code or ""]
      assert.equal("the spec refused (HTTP status 400" .. (meaning and ", " .. meaning or ")"), message)
    end
  end)
end)

describe("the core", function()
  it("says no content of what it cannot decode", function()
    for _, text in ipairs { '{"a":' .. SECRET, '{"a":"' .. SECRET, '{"' .. SECRET .. '"}', '{"a":1}' .. SECRET } do
      local document, message = core.decode_json(text)
      assert.is_nil(document)
      assert.is_nil(message:find(SECRET, 1, true), message)
    end
  end)
end)
