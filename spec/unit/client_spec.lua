-- A client as an object: what may be given to it, what it shows, what it hands to a runtime, how it
-- ends; the default client; and the module's surface.
local core = require "iot.core"
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"

local SECRET, TOKEN = "SECRET-KEY-OF-THE-SPEC", "SESSION-TOKEN-OF-THE-SPEC"
local DESCRIBE, START = "describe_thing_registration_task", "start_thing_registration_task"
local PARAMS = {
  [DESCRIBE] = { taskId = "task" },
  [START] = { templateBody = "{}", inputFileBucket = "bucket", inputFileKey = "key", roleArn = "arn" },
}
local VARIABLES = { AWS_REGION = "us-east-1", AWS_ACCESS_KEY_ID = "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY = SECRET }

before_each(function() environment.replace() end)
after_each(environment.restore)

-- Helpers ------------------------------------------------------------------------------------

local function merge(...)
  local all = {}
  for _, part in ipairs { ... } do
    for key, value in pairs(part) do all[key] = value end
  end
  return all
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = copy(inner) end
  return out
end

local function credentials()
  return { access_key_id = "AKIDEXAMPLE", secret_access_key = SECRET, session_token = TOKEN }
end

local function options(extra)
  return merge({ region = "us-east-1", credentials = credentials() }, extra or {})
end

local function new(extra)
  return assert(iot.new(options(extra)))
end

-- Not by a tail call, which would take this file off the stack.
local function call(fn, ...)
  local result, message, detail = fn(...)
  return result, message, detail
end

local function assert_no_secret(text)
  for _, secret in ipairs { SECRET, TOKEN } do assert.is_nil(tostring(text):find(secret, 1, true), text) end
end

-- Misuse raises at the line that misused, which is in this file, and says what was misused.
local function assert_misuse(name, fn, ...)
  local ok, message = pcall(call, fn, ...)
  assert.is_false(ok, "did not raise")
  assert.equal("string", type(message))
  assert.matches("^[^:]*client_spec%.lua:%d+: ", message)
  assert.is_truthy(message:find(name, 1, true), ("%q does not name %s"):format(message, name))
  assert_no_secret(message)
end

local function assert_failure(kind, code, result, message, detail)
  failures.check({ kind = kind, code = code }, result, message, detail)
  assert_no_secret(message)
end

-- The module as a program finds it that has not yet used it; the blocking runtime is the given one.
local function fresh_iot(runtime)
  for name in pairs(package.loaded) do
    if name == "iot" or name:find "^iot%." and name ~= "iot.core" then package.loaded[name] = nil end
  end
  package.loaded["iot.runtime.blocking"] = runtime
  return require "iot"
end

-- Misuse of iot.new --------------------------------------------------------------------------

describe("misuse of new", function()
  it("is an argument that is no table", function()
    for _, value in ipairs { "eu-west-1", 5, true, print } do assert_misuse("options", iot.new, value) end
    assert_misuse("options", iot.new, false)
    assert_misuse("option", iot.new, iot, options()) -- with a colon
  end)

  it("is an unknown option", function()
    for _, name in ipairs {
      "regoin", "Region", "REGION", "timeouts", "verify", "ssl_verify", "access_key_id", "secret_access_key", "",
    } do
      assert_misuse("'" .. name .. "'", iot.new, options { [name] = "x" })
    end
    assert_misuse("verify", iot.new, { verify = false })
    assert_misuse("1", iot.new, { "eu-west-1" })
    assert_misuse("unknown", iot.new, { [{}] = true })
  end)

  local TYPES = {
    region = "string", endpoint = "string", ca_bundle = "string", proxy = "string", app_id = "string",
    use_fips_endpoint = "boolean", use_dualstack_endpoint = "boolean",
    connect_timeout = "number", read_timeout = "number", timeout = "number",
    credentials = "table", runtime = "table",
  }
  local VALUES = { string = "5", boolean = true, number = 5, table = {}, ["function"] = function() end }

  for name, wanted in pairs(TYPES) do
    it("is an option of another type: " .. name, function()
      for kind, value in pairs(VALUES) do
        local fits = kind == wanted or name == "credentials" and kind == "function"
        if not fits then
          local given = merge(options(), { [name] = value })
          assert_misuse(name, iot.new, given)
          local _, message = pcall(call, iot.new, given)
          assert.is_truthy(message:find(wanted, 1, true) and message:find(kind, 1, true), message)
        end
      end
    end)
  end

  for _, name in ipairs { "connect_timeout", "read_timeout", "timeout" } do
    it("is a time that is none: " .. name, function()
      for _, seconds in ipairs { 0, -0.0, -1, -1e-9, 0 / 0, -(0 / 0), 1 / 0, -1 / 0 } do
        assert_misuse(name, iot.new, options { [name] = seconds })
      end
    end)

    it("is no time however short or long: " .. name, function()
      for _, seconds in ipairs { 1e-9, 0.001, 1, 3600.5, 1e9, 1e300 } do new { [name] = seconds } end
    end)
  end

  it("shows no secret that stands in a wrong place", function()
    assert_misuse("credentials", iot.new, options { credentials = SECRET })
    assert_misuse("timeout", iot.new, options { timeout = SECRET })
    assert_misuse("options", iot.new, SECRET)
  end)

  it("comes before what is wrong with the environment", function()
    environment.replace { AWS_REGION = "no region", AWS_USE_FIPS_ENDPOINT = "maybe" }
    assert_misuse("regoin", iot.new, { regoin = "x" })
    assert_misuse("timeout", iot.new, { timeout = -1 })
  end)
end)

-- Misuse of operations -----------------------------------------------------------------------

-- Each operation as a method and as a function of the module.
for _, form in ipairs { "method", "function" } do
  for operation, params in pairs(PARAMS) do
    describe(("misuse of the %s %s"):format(form, operation), function()
      local runtime, invoke

      before_each(function()
        runtime = environment.runtime()
        if form == "function" then
          invoke = fresh_iot(runtime)[operation]
        else
          local client = new { runtime = runtime }
          local method = client[operation]
          function invoke(...)
            -- The line that misuses.
            local result, message, detail = method(client, ...)
            return result, message, detail
          end
        end
      end)

      after_each(function()
        assert.equal(0, #runtime.sent)
        fresh_iot()
      end)

      it("is params that are no table", function()
        for _, value in ipairs { "task", 5, true } do assert_misuse("params", invoke, value) end
        assert_misuse("params", invoke)
        assert_misuse("params", invoke, nil, { timeout = 1 })
      end)

      it("is options that are no table", function()
        for _, value in ipairs { "5", 5, true } do assert_misuse("options", invoke, params, value) end
        assert_misuse("options", invoke, params, false)
      end)

      it("is an unknown option", function()
        for _, name in ipairs { "timeuot", "Timeout", "region", "taskId" } do
          assert_misuse(name, invoke, params, { [name] = 1 })
        end
        assert_misuse("1", invoke, params, { 5 })
      end)

      it("is a time of another type, or that is none", function()
        for _, value in ipairs { "5", true, {}, 0, -1, 0 / 0, 1 / 0, -1 / 0 } do
          assert_misuse("timeout", invoke, params, { timeout = value })
        end
        assert_misuse("timeout", invoke, params, { timeout = false })
      end)
    end)
  end
end

describe("a method", function()
  it("is called with a colon", function()
    local client = new { runtime = environment.runtime() }
    for operation, params in pairs(PARAMS) do
      local method = client[operation]
      assert_misuse(operation, method, params)
      assert_misuse("colon", method, params, { timeout = 5 })
      assert_misuse("colon", method)
      assert_misuse("colon", method, "client", params)
      assert_misuse("colon", method, setmetatable({}, { __index = client }), params)
    end
    assert_misuse("close", client.close)
    assert_misuse("close", client.close, {})
  end)
end)

-- What a client shows ------------------------------------------------------------------------

describe("a client", function()
  it("shows its region and its endpoint", function()
    local client = new()
    assert.equal("us-east-1", client.region)
    assert.equal("https://iot.us-east-1.amazonaws.com", client.endpoint)
    client = new { endpoint = "http://localhost:4566/base/" }
    assert.equal("http://localhost:4566/base", client.endpoint)
  end)

  it("shows where credentials came from, once they were found", function()
    environment.replace(VARIABLES)
    local sources = {}
    for _, given in ipairs { options(), options { credentials = credentials }, {} } do
      local client = assert(iot.new(merge(given, { runtime = environment.runtime() })))
      assert.is_nil(client.credentials_source)
      assert(client:describe_thing_registration_task { taskId = "task" })
      local source = client.credentials_source
      assert.equal("string", type(source))
      assert.is_nil(sources[source], source .. " comes twice")
      sources[source] = true
    end
    assert.is_true(sources.environment)
  end)

  it("shows no source while there are no credentials", function()
    local client = assert(iot.new { region = "us-east-1", runtime = environment.runtime() })
    assert.is_nil((client:describe_thing_registration_task { taskId = "task" }))
    assert.is_nil(client.credentials_source)
  end)

  it("has read-only fields", function()
    local client = new()
    for _, name in ipairs { "region", "endpoint", "credentials_source", DESCRIBE, "close", "something" } do
      assert_misuse("read-only", function()
        client[name] = "x"
      end)
    end
    assert.equal("us-east-1", client.region)
    assert.equal("https://iot.us-east-1.amazonaws.com", client.endpoint)
    assert.is_nil(client.something)
  end)

  it("is text without a secret", function()
    for _, given in ipairs {
      options(),
      options { proxy = "http://user:" .. SECRET .. "@localhost:3128" },
    } do
      local client = assert(iot.new(merge(given, { runtime = environment.runtime() })))
      assert_no_secret(tostring(client))
      assert(client:describe_thing_registration_task { taskId = "task" })
      assert_no_secret(tostring(client))
      assert.is_truthy(tostring(client):find("us-east-1", 1, true))
      for key, value in pairs(client) do assert_no_secret(tostring(key) .. tostring(value)) end
    end
  end)

  it("does not keep the options", function()
    local runtime = environment.runtime()
    local given = options { runtime = runtime, timeout = 7, endpoint = "https://a.example", app_id = "before" }
    local client = assert(iot.new(given))
    given.region, given.endpoint, given.timeout, given.app_id = "eu-west-1", "https://b.example", 1, "after"
    given.credentials.access_key_id, given.credentials.secret_access_key = "CHANGED", "CHANGED"
    given.credentials.session_token = nil
    given.credentials = nil
    assert(client:describe_thing_registration_task { taskId = "task" })
    local sent = runtime.sent[1]
    assert.equal("us-east-1", client.region)
    assert.equal("https://a.example", client.endpoint)
    assert.equal(7, sent.attempt.timeout)
    assert.same(credentials(), sent.attempt.credentials)
    assert.is_truthy(sent.attempt.user_agent:find("app/before", 1, true))
  end)

  it("does not change what it is given", function()
    local runtime = environment.runtime()
    local given = options { timeout = 7, endpoint = "https://a.example" }
    local before = copy(given)
    given.runtime, before.runtime = runtime, runtime
    local client = assert(iot.new(given))
    local params, call_options = { taskId = "task" }, { timeout = 3 }
    assert(client:describe_thing_registration_task(params, call_options))
    assert.is_true(before.runtime == given.runtime)
    given.runtime, before.runtime = nil, nil
    assert.same(before, given)
    assert.same({ taskId = "task" }, params)
    assert.same({ timeout = 3 }, call_options)
  end)

  it("needs nothing but a region to be made", function()
    environment.replace { AWS_REGION = "eu-west-1" }
    assert.equal("eu-west-1", assert(iot.new()).region)
    assert.equal("eu-west-1", assert(iot.new {}).region)
  end)

  it("does not look at the environment's region again", function()
    environment.replace(VARIABLES)
    local runtime = environment.runtime()
    local client = assert(iot.new { runtime = runtime })
    environment.replace(merge(VARIABLES, { AWS_REGION = "eu-west-1", AWS_ENDPOINT_URL = "https://b.example" }))
    assert(client:describe_thing_registration_task { taskId = "task" })
    assert.equal("us-east-1", client.region)
    assert.equal("https://iot.us-east-1.amazonaws.com", runtime.sent[1].native:endpoint())
  end)
end)

-- The end of a client ------------------------------------------------------------------------

describe("closing a client", function()
  it("can be done twice", function()
    local client = new()
    client:close()
    client:close()
  end)

  it("leaves its fields", function()
    local client = new()
    client:close()
    assert.equal("us-east-1", client.region)
    assert.equal("https://iot.us-east-1.amazonaws.com", client.endpoint)
    assert.is_truthy(tostring(client):find("us-east-1", 1, true))
  end)

  it("makes every later call misuse", function()
    local runtime = environment.runtime()
    local client = new { runtime = runtime }
    assert(client:describe_thing_registration_task { taskId = "task" })
    client:close()
    for operation, params in pairs(PARAMS) do
      assert_misuse("closed", function()
        local result, message, detail = client[operation](client, params)
        return result, message, detail
      end)
    end
    assert.equal(1, #runtime.sent)
  end)

  it("touches no other client", function()
    local one, other = new { runtime = environment.runtime() }, new { runtime = environment.runtime() }
    one:close()
    assert.is_table(other:describe_thing_registration_task { taskId = "task" })
  end)

  it("is done by the end of a <close> variable", function()
    local compile = rawget(_G, "loadstring") or load
    local chunk = compile "local client = ...; do local scoped <close> = client end"
    if not chunk then pending "this Lua has no <close>" end
    local client = new { runtime = environment.runtime() }
    chunk(client)
    assert.is_false(pcall(client.describe_thing_registration_task, client, { taskId = "task" }))
  end)

  it("is done by the garbage collector", function()
    local watched = setmetatable({}, { __mode = "k" })
    local runtime = environment.runtime()
    assert(new { runtime = runtime }:describe_thing_registration_task { taskId = "task" })
    watched[runtime.sent[1].native] = true
    runtime.sent = {}
    collectgarbage()
    collectgarbage()
    assert.is_nil((next(watched)))
  end)
end)

-- What a runtime is handed -------------------------------------------------------------------

describe("an attempt", function()
  it("is sent by the runtime, for the operation and its params", function()
    for operation, params in pairs(PARAMS) do
      local answer = { taskId = "answer" }
      local runtime = environment.runtime(function() return answer end)
      local client = new { runtime = runtime }
      local result, message, detail = client[operation](client, params)
      assert.is_true(answer == result)
      assert.is_nil(message)
      assert.is_nil(detail)
      assert.equal(1, #runtime.sent)
      assert.equal(operation, runtime.sent[1].operation)
      assert.same(params, runtime.sent[1].params)
      assert.equal("userdata", type(runtime.sent[1].native))
      assert.equal(client.endpoint, runtime.sent[1].native:endpoint())
    end
  end)

  it("has the credentials, the time, the user agent and its number", function()
    local runtime = environment.runtime()
    assert(new { runtime = runtime }:describe_thing_registration_task { taskId = "task" })
    local attempt = runtime.sent[1].attempt
    assert.same(credentials(), attempt.credentials)
    assert.equal(runtime.wall, attempt.time)
    assert.equal(1, attempt.number)
    assert.equal(3, attempt.max_attempts)
    assert.equal(0, attempt.delay)
    assert.is_nil(attempt.ttl)
    assert.matches("^aws%-sdk%-lua", attempt.user_agent)
    assert.is_nil(attempt.trace_id)
  end)

  it("has an id of its own, a random UUID", function()
    local runtime = environment.runtime()
    local client, other = new { runtime = runtime }, new { runtime = runtime }
    local seen = {}
    for i = 1, 40 do
      assert((i % 2 == 0 and client or other):describe_thing_registration_task { taskId = "task" })
      local id = runtime.sent[i].attempt.invocation_id
      assert.equal(36, #id)
      assert.matches("^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+$", id)
      assert.is_truthy(id:find "^%x%x%x%x%x%x%x%x%-", id)
      assert.equal(id:lower(), id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("has the client's time, or the call's", function()
    local runtime = environment.runtime()
    local client = new { runtime = runtime, timeout = 20 }
    for i, case in ipairs { { nil, 20 }, { { timeout = 5.5 }, 5.5 }, { { timeout = 50 }, 50 }, { {}, 20 } } do
      assert(client:describe_thing_registration_task({ taskId = "task" }, case[1]))
      assert.equal(case[2], runtime.sent[i].attempt.timeout)
    end
  end)

  it("has a bound on its time in any case", function()
    local runtime = environment.runtime()
    assert(new { runtime = runtime }:describe_thing_registration_task { taskId = "task" })
    local seconds = runtime.sent[1].attempt.timeout
    assert.is_true(seconds > 0 and seconds < math.huge)
  end)

  it("has what is left of the time after the credentials", function()
    local runtime = environment.runtime()
    local client = new {
      runtime = runtime,
      timeout = 20,
      credentials = function()
        runtime.sleep(4.5)
        return credentials()
      end,
    }
    assert(client:describe_thing_registration_task { taskId = "task" })
    assert.equal(15.5, runtime.sent[1].attempt.timeout)
    assert(client:describe_thing_registration_task({ taskId = "task" }, { timeout = 5 }))
    assert.equal(0.5, runtime.sent[2].attempt.timeout)
  end)

  it("is not made when no time is left", function()
    local runtime = environment.runtime()
    runtime.send = require("iot.runtime.blocking").send
    local client = new {
      runtime = runtime,
      timeout = 2,
      endpoint = "http://127.0.0.1:1",
      credentials = function()
        runtime.sleep(2)
        return credentials()
      end,
    }
    local result, message, detail = client:describe_thing_registration_task { taskId = "task" }
    assert_failure("timeout", "Timeout", result, message, detail)
    assert.equal(DESCRIBE, detail.operation)
    assert.equal(0, detail.attempts, "nothing was sent")
  end)

  it("becomes a signed request", function()
    local request
    local runtime = environment.runtime(function(native, operation, params, attempt)
      request = assert(native:prepare(operation, params, attempt))
      return {}
    end)
    local client = new { runtime = runtime, endpoint = "https://a.example:8443/base/" }
    assert(client:describe_thing_registration_task { taskId = "a/b c" })
    assert.matches("^GET /base/thing%-registration%-tasks/a%%2Fb%%20c HTTP/1%.1\r\n", request)
    local attempt = runtime.sent[1].attempt
    for _, line in ipairs {
      "Host: a.example:8443", "X-Amz-Date: 20150830T123600Z", "X-Amz-Security-Token: " .. TOKEN,
      "User-Agent: " .. attempt.user_agent, "amz-sdk-invocation-id: " .. attempt.invocation_id,
      "amz-sdk-request: attempt=1; max=3",
    } do
      assert.is_truthy(request:find("\r\n" .. line .. "\r\n", 1, true), request)
    end
    assert.is_truthy(request:find("Credential=AKIDEXAMPLE/20150830/us-east-1/iot/aws4_request", 1, true))
    assert.is_nil(request:find(SECRET, 1, true))
  end)
end)

-- The default client -------------------------------------------------------------------------

describe("the default client", function()
  local runtime

  before_each(function() runtime = environment.runtime() end)
  after_each(function() fresh_iot() end)

  it("is made on first use, from the environment", function()
    local fresh = fresh_iot(runtime)
    environment.replace(merge(VARIABLES, { AWS_REGION = "eu-west-3" }))
    assert.same({}, fresh.describe_thing_registration_task { taskId = "task" })
    assert.equal("https://iot.eu-west-3.amazonaws.com", runtime.sent[1].native:endpoint())
    assert.equal("AKIDEXAMPLE", runtime.sent[1].attempt.credentials.access_key_id)
  end)

  it("is kept, for every operation", function()
    local fresh = fresh_iot(runtime)
    environment.replace(VARIABLES)
    assert(fresh.describe_thing_registration_task { taskId = "task" })
    environment.replace(merge(VARIABLES, { AWS_REGION = "eu-west-1" }))
    assert(fresh.describe_thing_registration_task({ taskId = "task" }, { timeout = 5 }))
    assert(fresh.start_thing_registration_task(PARAMS[START]))
    assert.equal(3, #runtime.sent)
    for i = 2, 3 do assert.is_true(rawequal(runtime.sent[1].native, runtime.sent[i].native)) end
    assert.equal(5, runtime.sent[2].attempt.timeout)
    assert.equal("https://iot.us-east-1.amazonaws.com", runtime.sent[3].native:endpoint())
  end)

  it("is not kept when it cannot be made", function()
    local fresh = fresh_iot(runtime)
    for _ = 1, 2 do
      assert_failure("configuration", "MissingRegion", fresh.describe_thing_registration_task { taskId = "task" })
    end
    environment.replace(merge(VARIABLES, { AWS_REGION = "no region" }))
    assert_failure("configuration", "InvalidRegion", fresh.describe_thing_registration_task { taskId = "task" })
    environment.replace(VARIABLES)
    assert.same({}, fresh.describe_thing_registration_task { taskId = "task" })
  end)

  it("finds credentials that come later", function()
    local fresh = fresh_iot(runtime)
    environment.replace { AWS_REGION = "us-east-1" }
    assert_failure("credentials", "NoCredentials", fresh.describe_thing_registration_task { taskId = "task" })
    environment.replace(VARIABLES)
    assert.same({}, fresh.describe_thing_registration_task { taskId = "task" })
  end)

  it("is made by one call at a time, for which no other waits for ever", function()
    local fresh = fresh_iot(runtime)
    environment.replace(VARIABLES)
    function runtime.serialize(_, deadline)
      assert.is_true(deadline > runtime.monotonic())
      return nil, "its turn did not come in time", "Timeout"
    end
    assert_failure("timeout", "Timeout", fresh.describe_thing_registration_task { taskId = "task" })
    local ok, detail = pcall(fresh.thing_registration_tasks)
    assert.is_false(ok)
    assert.equal("Timeout", detail.code)
  end)

  it("is no client that iot.new made", function()
    local fresh = fresh_iot(runtime)
    environment.replace(VARIABLES)
    local client = assert(fresh.new { region = "eu-west-1" })
    assert(fresh.describe_thing_registration_task { taskId = "task" })
    assert.equal("https://iot.us-east-1.amazonaws.com", runtime.sent[1].native:endpoint())
    client:close()
    assert(fresh.describe_thing_registration_task { taskId = "task" })
  end)
end)

-- The module ---------------------------------------------------------------------------------

describe("the module", function()
  -- What the manual names; operations apart.
  local SURFACE = { _VERSION = "string" }
  for _, name in ipairs {
    "new", "sign", "presign", "retry", "map", "progress", "wait_for_thing_registration_task",
    "thing_registration_tasks", "thing_registration_task_report_links", "thing_registration_task_report",
    "check_provisioning",
  } do
    SURFACE[name] = "function"
  end

  after_each(function() fresh_iot() end)

  it("has the surface of the manual, and nothing else", function()
    local expected, found = merge(SURFACE), {}
    for _, operation in ipairs(core.operations) do expected[operation] = "function" end
    for name, value in pairs(iot) do found[name] = type(value) end
    assert.same(expected, found)
    for operation in pairs(PARAMS) do assert.equal("function", found[operation]) end
  end)

  it("has its operations as methods of a client", function()
    local client = new()
    for _, operation in ipairs(core.operations) do assert.equal("function", type(client[operation])) end
    assert.equal("function", type(client.close))
  end)

  it("has a version, which the user agent tells", function()
    assert.matches("^%d+%.%d+%.%d+", iot._VERSION)
    local runtime = environment.runtime()
    assert(new { runtime = runtime }:describe_thing_registration_task { taskId = "task" })
    assert.is_truthy(runtime.sent[1].attempt.user_agent:find("/" .. iot._VERSION .. " ", 1, true))
  end)

  it("makes no globals, neither when it is loaded nor when it is used", function()
    local before = {}
    for name in pairs(_G) do before[name] = true end
    package.loaded["iot.core"] = nil
    environment.replace(VARIABLES)
    local fresh = fresh_iot(environment.runtime())
    assert(fresh.describe_thing_registration_task { taskId = "task" })
    assert(fresh.new()):close()
    for name in pairs(_G) do assert.is_true(before[name], tostring(name) .. " is a new global") end
  end)

  it("reads nothing when it is loaded: neither variables nor files", function()
    local touched = {}
    local function watch(library, name)
      local real = library[name]
      library[name] = function(...)
        touched[#touched + 1] = name
        return real(...)
      end
      return function() library[name] = real end
    end
    local undo = { watch(os, "getenv"), watch(io, "open"), watch(io, "popen"), watch(os, "execute") }
    local ok, message = pcall(fresh_iot)
    for _, restore in ipairs(undo) do restore() end
    assert.is_true(ok, message)
    assert.same({}, touched)
  end)

  it("is made of modules that are tables", function()
    fresh_iot()
    for name, module in pairs(package.loaded) do
      if name:find "^iot%." then assert.equal("table", type(module), name) end
    end
  end)
end)
