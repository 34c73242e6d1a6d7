-- From parameters to the bytes of a request: what is written where, what is refused, and what is
-- signed. Expected paths and signatures are those of the project's reference of AWS client behaviour
-- (1.5, 1.7, 3.2, 3.4, 8.2), not of the code.
local dkjson = require "dkjson"
local digest = require "spec.support.digest"
local failures = require "spec.support.failures"
local requests = require "spec.support.requests"

local ACCESS_KEY_ID, SECRET, TIME, STAMP = requests.ACCESS_KEY_ID, requests.SECRET, requests.TIME, requests.STAMP
local SCOPE, HOST = requests.SCOPE, requests.HOST
local NOT_UTF8, NOT_STRINGS = requests.NOT_UTF8, requests.NOT_STRINGS
local DESCRIBE, START = "describe_thing_registration_task", "start_thing_registration_task"
local START_MEMBERS = { "templateBody", "inputFileBucket", "inputFileKey", "roleArn" }

local with, attempt, prepare, shared = requests.with, requests.attempt, requests.prepare, requests.shared
local authorization, assert_invalid = requests.authorization, requests.assert_invalid
local native_client = requests.native_client

local function start_params(changes)
  return with({
    templateBody = "{}", inputFileBucket = "bkt", inputFileKey = "k",
    roleArn = "arn:aws:iam::123456789012:role/x",
  }, changes)
end

-- The label ----------------------------------------------------------------------------------

describe("a taskId", function()
  local PATHS = {
    { "abc", "abc" },
    { "a/b c", "a%2Fb%20c" },
    { "\195\169", "%C3%A9" }, -- é
    { "a%2Fb", "a%252Fb" },
    { "a+b~c", "a%2Bb~c" },
    { "!'()*:@,;$[]", "%21%27%28%29%2A%3A%40%2C%3B%24%5B%5D" },
    { "a?b", "a%3Fb" },
    { "a#b", "a%23b" },
    { "a&b=c", "a%26b%3Dc" },
    { "../abc", "..%2Fabc" },
    { "a/../b", "a%2F..%2Fb" },
    { "...", "..." },
    { ".a", ".a" },
    { "%2e%2e", "%252e%252e" },
    { "a\\b", "a%5Cb" },
    { " ", "%20" },
    { "a\0b", "a%00b" },
    { "a\r\nX-Injected: 1", "a%0D%0AX-Injected%3A%201" },
    { "\127", "%7F" },
    { "\226\128\168", "%E2%80%A8" },         -- U+2028
    { "\240\159\152\128", "%F0%9F%98%80" },  -- an emoji
    { "\244\143\191\191", "%F4%8F%BF%BF" },  -- U+10FFFF, the last of them
    { "\237\159\191\238\128\128", "%ED%9F%BF%EE%80%80" }, -- around the surrogates
    -- Longer than the model allows: that is the service's to say.
    { ("x"):rep(41), ("x"):rep(41) },
    { "0123456789-._~ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789-._~ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
  }

  for _, case in ipairs(PATHS) do
    it(("%q is written as %s"):format(case[1], case[2]), function()
      local params = { taskId = case[1] }
      local request = prepare(DESCRIBE, params)
      assert.equal("GET", request.method)
      assert.equal("/thing-registration-tasks/" .. case[2], request.target)
      assert.equal("", request.body)
      assert.is_true(shared:validate(DESCRIBE, params))
      assert.same({ taskId = case[1] }, params)
    end)
  end

  it("of any byte below 128 leaves only the unreserved ones as they are", function()
    for byte = 0, 127 do
      local character = string.char(byte)
      local plain = character:find "[%w%-._~]" and character ~= "."
      if character ~= "." then
        local request = prepare(DESCRIBE, { taskId = character })
        assert.equal(plain and character or ("%%%02X"):format(byte),
          request.target:match "^/thing%-registration%-tasks/(.*)$")
      end
    end
  end)

  for _, text in ipairs { "", ".", ".." } do
    it(("may not be %q, which is another resource"):format(text), function()
      assert_invalid("taskId", DESCRIBE, { taskId = text })
    end)
  end

  it("is required", function() assert_invalid("taskId", DESCRIBE, {}) end)

  for _, case in ipairs(NOT_STRINGS) do
    it("may not be " .. case[1], function() assert_invalid("taskId", DESCRIBE, { taskId = case[2] }) end)
  end

  for _, case in ipairs(NOT_UTF8) do
    it("may not hold " .. case[1], function() assert_invalid("taskId", DESCRIBE, { taskId = case[2] }) end)
  end

  it("may not be longer than any request", function()
    assert_invalid("", DESCRIBE, { taskId = ("x"):rep(100000) })
    assert.equal("GET", prepare(DESCRIBE, { taskId = ("x"):rep(1000) }).method)
  end)
end)

describe("a parameter that an operation does not have", function()
  local CASES = {
    { "is named", DESCRIBE, { taskId = "a", maxResults = 1 }, "maxResults" },
    { "is named though the case is all that differs", DESCRIBE, { taskId = "a", TaskId = "a" }, "TaskId" },
    { "is told before one that is missing", DESCRIBE, { taskID = "a" }, "taskID" },
    { "is one of another operation", START, start_params { taskId = "a" }, "taskId" },
    { "may stand at a position", DESCRIBE, { "abc" }, "unknown parameter" },
    { "may stand at a position beside the right one", DESCRIBE, { "abc", taskId = "abc" }, "unknown parameter" },
    { "may be a boolean", DESCRIBE, { taskId = "a", [true] = "b" }, "unknown parameter" },
    { "may be a table", DESCRIBE, { taskId = "a", [{}] = "b" }, "unknown parameter" },
    { "may be of bytes that are no text", DESCRIBE, { taskId = "a", ["\27[31m\255\n"] = "b" }, "unknown parameter" },
    { "may be very long", DESCRIBE, { taskId = "a", [("x"):rep(5000)] = "b" }, "unknown parameter" },
    { "may be empty", DESCRIBE, { taskId = "a", [""] = "b" }, "unknown parameter" },
  }

  for _, case in ipairs(CASES) do
    it(case[1], function() assert_invalid(case[4], case[2], case[3]) end)
  end
end)

-- The body -----------------------------------------------------------------------------------

describe("the parameters of a start", function()
  local every_control = {}
  for byte = 0, 31 do every_control[#every_control + 1] = string.char(byte) end

  local TEXTS = {
    { "plain text", "abc" },
    { "nothing", "" },
    { "quotes and backslashes", [[a "quoted" \ back\\slash \" \u0041 \n]] },
    { "slashes", "a/b//c</script>" },
    { "every control character", table.concat(every_control) .. "\127" },
    { "JSON", '{ "Parameters": {\n\t"SerialNumber": { "Type": "String" }\n} }' },
    { "an accented letter", "caf\195\169" },
    { "an emoji", "\240\159\152\128 and \240\159\145\169\226\128\141\240\159\148\172" },
    { "a line separator", "a\226\128\168b\226\128\169c" },
    { "a byte order mark and the last characters", "\239\187\191\239\191\189\239\191\191\244\143\191\191" },
    { "a word of JSON", "null" },
    { "a template as long as there are", ("\195\169"):rep(10240) },
  }

  for _, case in ipairs(TEXTS) do
    it("come out of the body as they went in: " .. case[1], function()
      for _, name in ipairs(START_MEMBERS) do
        local params = start_params { [name] = case[2] }
        local request = prepare(START, params)
        assert.is_true(shared:validate(START, params))
        local document, behind, problem = dkjson.decode(request.body)
        assert.is_nil(problem)
        assert.equal(#request.body + 1, behind)
        assert.same(params, document)
        assert.is_nil(request.body:find "[%z\1-\31]")
      end
    end)
  end

  it("stand in the body in the order of the model, and nothing else does", function()
    local request = prepare(START, start_params())
    assert.equal("POST", request.method)
    assert.equal("/thing-registration-tasks", request.target)
    local order = {}
    for name in request.body:gmatch '[{,]%s*"(%a+)"%s*:' do order[#order + 1] = name end
    assert.same(START_MEMBERS, order)
  end)

  for _, name in ipairs(START_MEMBERS) do
    it("are required: " .. name, function()
      local params = start_params()
      params[name] = nil
      assert_invalid(name, START, params)
    end)

    it("must be strings: " .. name, function()
      for _, case in ipairs(NOT_STRINGS) do assert_invalid(name, START, start_params { [name] = case[2] }) end
    end)

    it("must be UTF-8: " .. name, function()
      for _, case in ipairs(NOT_UTF8) do assert_invalid(name, START, start_params { [name] = case[2] }) end
    end)
  end

  it("may not be longer than any request", function()
    assert_invalid("", START, start_params { templateBody = ("x"):rep(5000000) })
  end)

  it("tell their length and type; those of a description have neither", function()
    local request, headers = prepare(START, start_params { templateBody = ("\195\169"):rep(100) })
    assert.equal("application/json", headers["content-type"])
    assert.equal(tostring(#request.body), headers["content-length"])
    request, headers = prepare(DESCRIBE, { taskId = "abc" })
    assert.equal("", request.body)
    assert.is_nil(headers["content-type"])
    assert.is_nil(headers["content-length"])
    assert.is_nil(headers["transfer-encoding"])
  end)

  it("leave no trace in the next request", function()
    prepare(START, start_params { templateBody = ("x"):rep(5000) })
    local request, headers = prepare(DESCRIBE, { taskId = "abc" })
    assert.equal("", request.body)
    assert.is_nil(headers["content-type"])
    assert_invalid("taskId", DESCRIBE, { taskId = ".." })
    assert.equal("/thing-registration-tasks/abc", prepare(DESCRIBE, { taskId = "abc" }).target)
  end)
end)

-- Signatures ---------------------------------------------------------------------------------

describe("a signature", function()
  -- Reference 3.4: those of the seven that are descriptions.
  local VECTORS = {
    { what = "of a description", task_id = "abc",
      signature = "cf15b00a76bda413d8889984125f53ce03f147b48a310f7def531b834e40c10a" },
    { what = "with a session token", task_id = "abc", token = "TOKEN",
      signature = "38600271cf0235bb2ec035ee07911a216ee6e67ca4ec2cd36427d71ab10022a8" },
    { what = "of a label with escapes", task_id = "a/b c",
      signature = "ca8747aebc9dcaa3c597a6f3749ca4ed4c328a6ae4a645657c0a603b78b2de53" },
    { what = "below a base path, on a port", task_id = "abc", endpoint = "http://localhost:4566/base",
      signature = "3d7a401ce431019d878f43747a80b7028ed1e2409271e8c0daaf42a4d0e3b2cf" },
    { what = "below the same in other letters", task_id = "abc", endpoint = "http://LOCALHOST:4566/base/",
      signature = "3d7a401ce431019d878f43747a80b7028ed1e2409271e8c0daaf42a4d0e3b2cf" },
  }

  for _, vector in ipairs(VECTORS) do
    it(vector.what .. " is the published one", function()
      local _, headers = prepare(DESCRIBE, { taskId = vector.task_id }, {
        credentials = { access_key_id = ACCESS_KEY_ID, secret_access_key = SECRET, session_token = vector.token },
      }, vector.endpoint and native_client(vector.endpoint))
      assert.same({
        key = ACCESS_KEY_ID,
        scope = SCOPE,
        names = vector.token and "host;x-amz-date;x-amz-security-token" or "host;x-amz-date",
        signature = vector.signature,
      }, authorization(headers))
      assert.equal(STAMP, headers["x-amz-date"])
      assert.equal(vector.token, headers["x-amz-security-token"])
    end)
  end

  it("of a start is that of the bytes sent", function()
    local request, headers = prepare(START, start_params { templateBody = "caf\195\169 / \240\159\152\128" })
    local names = "content-type;host;x-amz-date"
    local canonical = table.concat({ "POST", "/thing-registration-tasks", "", "content-type:application/json",
      "host:" .. HOST, "x-amz-date:" .. STAMP, "", names, digest.sha256(request.body) }, "\n")
    local to_sign = table.concat({ "AWS4-HMAC-SHA256", STAMP, SCOPE, digest.sha256(canonical) }, "\n")
    local found = authorization(headers)
    assert.equal(names, found.names)
    assert.equal(SCOPE, found.scope)
    assert.equal(digest.signature(SECRET, to_sign), found.signature)
  end)

  it("is made anew for each attempt, from its time and its credentials", function()
    local function sign(changes)
      local _, headers = prepare(DESCRIBE, { taskId = "abc" }, changes)
      local found = authorization(headers)
      assert.equal(headers["x-amz-date"]:sub(1, 8), found.scope:sub(1, 8))
      return found, headers["x-amz-date"]
    end
    local first = sign()
    assert.same(first, (sign { time = TIME + 0.999 }))
    local found, stamp = sign { time = TIME + 1 }
    assert.equal("20150830T123601Z", stamp)
    assert.not_equal(first.signature, found.signature)
    found, stamp = sign { time = TIME + 86400 }
    assert.equal("20150831T123600Z", stamp)
    assert.not_equal(first.signature, found.signature)
    found = sign { credentials = { access_key_id = "AKIDOTHER", secret_access_key = SECRET } }
    assert.same({ "AKIDOTHER", first.signature }, { found.key, found.signature })
    found = sign { credentials = { access_key_id = ACCESS_KEY_ID, secret_access_key = SECRET .. "2" } }
    assert.not_equal(first.signature, found.signature)
    assert.same(first, (sign()))
  end)

  it("is not made of credentials that would break a line", function()
    for field, text in pairs { access_key_id = "AKID\r\nX: 1", session_token = "TOKEN-SECRET\nX: 1" } do
      local result, message, facts = shared:prepare(DESCRIBE, { taskId = "abc" }, attempt {
        credentials = with({ access_key_id = ACCESS_KEY_ID, secret_access_key = SECRET }, { [field] = text }),
      })
      assert.is_nil(result)
      assert.equal("InvalidCredentials", facts.code)
      assert.is_true(failures.is_printable(message), message)
      assert.is_nil(message:find("TOKEN-SECRET", 1, true))
      assert.is_nil(message:find(SECRET, 1, true))
    end
  end)
end)

-- Headers ------------------------------------------------------------------------------------

describe("the headers of a request", function()
  -- What a description has, and no more: reference 1.7, 3.2, 8.
  local ALLOWED = {
    host = true, ["x-amz-date"] = true, ["x-amz-security-token"] = true, authorization = true,
    ["user-agent"] = true, ["amz-sdk-invocation-id"] = true, ["amz-sdk-request"] = true,
    ["x-amzn-trace-id"] = true, accept = true,
  }

  it("are the known ones, the host first, each on a line of its own", function()
    local request, headers, bytes = prepare(DESCRIBE, { taskId = "abc" }, {
      credentials = { access_key_id = ACCESS_KEY_ID, secret_access_key = SECRET, session_token = "TOKEN" },
      trace_id = "Root=1-5759e988-bd862e3fe1be46a994272793",
    })
    assert.matches("^GET /thing%-registration%-tasks/abc HTTP/1%.1\r\nHost: ", bytes)
    assert.equal("\r\n\r\n", bytes:sub(-4))
    assert.is_nil(bytes:gsub("\r\n", ""):find "[%c]")
    assert.equal("host", request.headers[1][1]:lower())
    for name in pairs(headers) do assert.is_true(ALLOWED[name], name .. " is sent") end
    assert.equal(HOST, headers.host)
    assert.equal("TOKEN", headers["x-amz-security-token"])
    assert.equal("spec/1", headers["user-agent"])
    assert.equal("00000000-0000-4000-8000-000000000000", headers["amz-sdk-invocation-id"])
    assert.equal("attempt=1; max=1", headers["amz-sdk-request"])
    assert.equal("Root=1-5759e988-bd862e3fe1be46a994272793", headers["x-amzn-trace-id"])
    assert.equal("host;x-amz-date;x-amz-security-token", authorization(headers).names)
  end)

  it("are fewer when less is given, and none is empty", function()
    local request, headers = prepare(DESCRIBE, { taskId = "abc" })
    assert.is_nil(headers["x-amz-security-token"])
    assert.is_nil(headers["x-amzn-trace-id"])
    for _, header in ipairs(request.headers) do assert.matches("^ %S", header[2]) end
  end)

  it("count the attempts", function()
    local _, headers = prepare(DESCRIBE, { taskId = "abc" }, { number = 2, max_attempts = 3 })
    assert.equal("attempt=2; max=3", headers["amz-sdk-request"])
  end)

  it("cannot be added to by a value with a line end", function()
    for _, name in ipairs { "user_agent", "invocation_id", "trace_id" } do
      local ok, result = pcall(shared.prepare, shared, DESCRIBE, { taskId = "abc" },
        attempt { [name] = "a\r\nX-Injected: 1" })
      assert.is_true(not ok or result == nil, name)
    end
  end)

  local HOSTS = {
    { "https://iot.us-east-1.amazonaws.com", "iot.us-east-1.amazonaws.com", "" },
    { "https://iot.us-east-1.amazonaws.com/", "iot.us-east-1.amazonaws.com", "" },
    { "https://iot.example.com:443", "iot.example.com", "" },
    { "http://iot.example.com:80", "iot.example.com", "" },
    { "http://iot.example.com:443", "iot.example.com:443", "" },
    { "https://iot.example.com:80/", "iot.example.com:80", "" },
    { "https://Iot.Example.COM:8443/Base/Path/", "iot.example.com:8443", "/Base/Path" },
    { "http://127.0.0.1:4566/a%20b/~c", "127.0.0.1:4566", "/a%20b/~c" },
    { "https://[::1]:8443", "[::1]:8443", "" },
    { "https://[2001:DB8::1]/base", "[2001:db8::1]", "/base" },
    { "https://[2001:db8::1]:443", "[2001:db8::1]", "" },
  }

  for _, case in ipairs(HOSTS) do
    local endpoint, host, base = case[1], case[2], case[3]
    it("name the host as it is signed: " .. endpoint, function()
      local native = native_client(endpoint)
      local request, headers = prepare(DESCRIBE, { taskId = "a b" }, nil, native)
      local path = base .. "/thing-registration-tasks/a%20b"
      assert.equal(host, headers.host)
      assert.equal(path, request.target)
      local canonical = table.concat({ "GET", (path:gsub("%%", "%%25")), "", "host:" .. host, "x-amz-date:" .. STAMP,
        "", "host;x-amz-date", digest.sha256 "" }, "\n")
      assert.equal(
        digest.signature(SECRET, table.concat({ "AWS4-HMAC-SHA256", STAMP, SCOPE, digest.sha256(canonical) }, "\n")),
        authorization(headers).signature)
    end)
  end
end)
