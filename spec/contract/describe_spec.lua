-- The first operation against the simulator, as a caller sees it: results, refusals, connections.
-- For everything that can go wrong on the way see transport_spec.lua.
local core = require "iot.core"
local iot = require "iot"
local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local OPERATION = "describe_thing_registration_task"
local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local FULL = {
  taskId = "full", creationDate = 1555555555.123, lastModifiedDate = 1555555666.5, templateBody = '{"Resources":{}}',
  inputFileBucket = "factory", inputFileKey = "a/b.json", roleArn = "arn:aws:iam::123456789012:role/x",
  status = "Completed", message = "caf\195\169", successCount = 12, failureCount = 3, percentageProgress = 100,
}

describe("describing a task", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, raw

  setup(function()
    sim = simulator.start()
    raw = raw_server.start(sim)
    sim:seed(FULL)
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

  local function new_client(overrides)
    return assert(iot.new(sim:options(overrides)))
  end

  -- What a call on a client of its own returns.
  local function call(overrides, task_id)
    local client = new_client(overrides)
    local result, message, detail = client:describe_thing_registration_task { taskId = task_id or "full" }
    client:close()
    return result, message, detail
  end

  local function credentials(base, changes)
    local record = {}
    for name, value in pairs(base) do record[name] = value end
    for name, value in pairs(changes or {}) do record[name] = value or nil end
    return record
  end

  -- The numbers of the connections that the journal's requests came on.
  local function connections()
    local numbers = {}
    for index, entry in ipairs(sim:journal()) do numbers[index] = entry.connection end
    return numbers
  end

  local function header(entry, wanted)
    local values = {}
    for _, pair in ipairs(entry.headers) do
      if pair[1]:lower() == wanted:lower() then values[#values + 1] = pair[2] end
    end
    assert.is_true(#values <= 1, wanted .. " comes more than once")
    return values[1]
  end

  -- Results ----------------------------------------------------------------------------------

  it("gives its twelve members with their types", function()
    local task = assert(call())
    assert.same(FULL, task)
    assert.is_nil(getmetatable(task))
    local math_type = rawget(math, "type") or function() return "integer" end
    for _, name in ipairs { "successCount", "failureCount", "percentageProgress" } do
      assert.equal("integer", math_type(task[name]))
    end
    for _, name in ipairs { "creationDate", "lastModifiedDate" } do assert.equal("number", type(task[name])) end
  end)

  it("gives what is there, and what is not known", function()
    sim:seed { taskId = "new", creationDate = 1, status = "Resting", shape = { "round", { color = "red" } } }
    assert.same({ taskId = "new", creationDate = 1, lastModifiedDate = 1, status = "Resting",
      shape = { "round", { color = "red" } } }, (call(nil, "new")))
  end)

  it("follows a task that was started to its end", function()
    finally(function() sim:settings { things = 10, failures = 0, seconds = 1 } end)
    sim:settings { things = 8, failures = 2, seconds = 1 }
    local client = new_client()
    local params = { templateBody = '{"Resources":{}} \195\169 "\\\n', inputFileBucket = "factory",
      inputFileKey = "b.json", roleArn = "arn:aws:iam::123456789012:role/x" }
    local started = assert(client:start_thing_registration_task(params))
    assert.matches(UUID, started.taskId)

    local seen, before, task = {}, { percentageProgress = 0, successCount = 0, failureCount = 0 }, nil
    for _ = 1, 200 do
      task = assert(client:describe_thing_registration_task { taskId = started.taskId })
      seen[task.status] = true
      for name, value in pairs(before) do
        assert.is_true(task[name] >= value)
        before[name] = task[name]
      end
      for name, value in pairs(params) do assert.equal(value, task[name]) end
      if task.status ~= "InProgress" then break end
      core.sleep(0.02)
    end
    client:close()
    assert.same({ InProgress = true, Completed = true }, seen)
    assert.same({ 6, 2, 100 }, { task.successCount, task.failureCount, task.percentageProgress })
    assert.is_nil(task.message)
  end)

  it("takes a taskId of any characters", function()
    for _, task_id in ipairs {
      "a/b c", "a%2Fb", "a?b#c&d=e", "caf\195\169 \240\159\152\128", "!'()*:@,;$[]+~", "..a",
    } do
      sim:seed { taskId = task_id, status = "Failed", message = "why" }
      local task = assert(call(nil, task_id))
      assert.same({ task_id, "Failed", "why" }, { task.taskId, task.status, task.message })
    end
  end)

  -- Refusals ---------------------------------------------------------------------------------

  local function assert_refused(code, status, words, result, message, detail)
    failures.check({
      kind = "service", code = code, status = status, operation = OPERATION, attempts = 1, retryable = false,
      throttled = false, body = false, message = { words, code:lower(), tostring(status) },
    }, result, message, detail)
    assert.matches(UUID, detail.request_id)
    assert.matches(detail.request_id, message, 1, true)
  end

  it("fails when there is no such task", function()
    assert_refused("ResourceNotFoundException", 404, "no%-such%-task", call(nil, "no-such-task"))
  end)

  it("fails when the service finds the taskId wrong", function()
    assert_refused("InvalidRequestException", 400, "taskid", call(nil, ("x"):rep(41)))
  end)

  local REFUSALS = {
    { "a wrong secret", "InvalidSignatureException", "signature",
      function() return { credentials = credentials(sim.credentials, { secret_access_key = "wrong" }) } end },
    { "a wrong secret of a role", "InvalidSignatureException", "signature",
      function() return { credentials = credentials(sim.temporary_credentials, { secret_access_key = "wrong" }) } end },
    { "a wrong region", "InvalidSignatureException", "eu%-west%-1", function() return { region = "eu-west-1" } end },
    { "an unknown key", "UnrecognizedClientException", "security token",
      function() return { credentials = credentials(sim.credentials, { access_key_id = "AKIDEXAMPLE" }) } end },
    { "a missing token", "UnrecognizedClientException", "security token",
      function() return { credentials = credentials(sim.temporary_credentials, { session_token = false }) } end },
    { "a token too many", "UnrecognizedClientException", "security token",
      function() return { credentials = credentials(sim.credentials, { session_token = "TOKEN" }) } end },
    { "a wrong token", "UnrecognizedClientException", "security token",
      function() return { credentials = credentials(sim.temporary_credentials, { session_token = "TOKEN" }) } end },
    { "an expired token", "ExpiredTokenException", "expired",
      function() return { credentials = sim.expired_credentials } end },
  }
  for _, case in ipairs(REFUSALS) do
    it("is refused for " .. case[1], function()
      assert_refused(case[2], 403, case[3], call(case[4]()))
    end)
  end

  -- As much as a client does that has one attempt: with more, the clock is to be corrected (reference 3.5).
  for seconds, words in pairs { [310] = "signature expired", [-310] = "not yet current" } do
    it(("is refused by a server whose clock is %d s off"):format(seconds), function()
      sim:fault { kind = "skew", seconds = seconds }
      local result, message, detail = call()
      failures.check({ kind = "service", code = "InvalidSignatureException", status = 403, message = words },
        result, message, detail)
    end)
  end

  it("is accepted with a clock that is less off, and with the keys of a role", function()
    for _, seconds in ipairs { -280, 280 } do
      sim:fault { kind = "skew", seconds = seconds }
      assert.equal("full", assert(call()).taskId)
    end
    assert.equal("full", assert(call { credentials = sim.temporary_credentials }).taskId)
  end)

  it("asks a function for credentials, and says where they came from", function()
    local asked = 0
    local client = new_client {
      credentials = function()
        asked = asked + 1
        return sim.temporary_credentials
      end,
    }
    assert.is_nil(client.credentials_source)
    for _ = 1, 2 do assert(client:describe_thing_registration_task { taskId = "full" }) end
    assert.is_true(asked >= 1)
    assert.equal("string", type(client.credentials_source))
    client:close()
  end)

  it("sends nothing for parameters that can only go wrong", function()
    for _, params in ipairs {
      {}, { taskId = "" }, { taskId = ".." }, { taskId = 7 }, { taskId = "a", x = 1 }, { "a" },
    } do
      local client = new_client()
      local result, message, detail = client:describe_thing_registration_task(params)
      failures.check({ kind = "validation", code = "InvalidParameter", attempts = 0, operation = OPERATION,
        retryable = false }, result, message, detail)
      client:close()
    end
    assert.same({}, sim:journal())
  end)

  -- The request --------------------------------------------------------------------------------

  it("sends one GET with the headers of an SDK, and an id for each call", function()
    local client = new_client { credentials = sim.temporary_credentials, app_id = "spec" }
    for _ = 1, 2 do assert(client:describe_thing_registration_task { taskId = "full" }) end
    client:close()
    local entries, ids = sim:journal(), {}
    assert.equal(2, #entries)
    for index, entry in ipairs(entries) do
      assert.same({ "GET", "/thing-registration-tasks/full", "" }, { entry.method, entry.uri, entry.body })
      assert.matches("^aws%-sdk%-%S+/%S+ ua/2%.1 api/iot#2015%-05%-28 os/%S+ .*app/spec$", header(entry, "User-Agent"))
      assert.equal("attempt=1; max=", header(entry, "amz-sdk-request"):match "^attempt=1; max=")
      ids[index] = header(entry, "amz-sdk-invocation-id")
      assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", ids[index])
      assert.equal((sim.endpoint:gsub("^https://", "")), header(entry, "Host"))
      for _, name in ipairs { "Accept-Encoding", "Content-Type", "Content-Length", "Expect", "X-Amzn-Trace-Id" } do
        assert.is_nil(header(entry, name), name)
      end
    end
    assert.not_equal(ids[1], ids[2])
  end)

  local ENDPOINTS = {
    { "over TLS, by an address", function() return (sim.endpoint:gsub("localhost", "127.0.0.1")) end },
    { "in the clear, where that is what was said", function() return sim.plain_endpoint end },
    { "with a slash at the end", function() return sim.endpoint .. "/" end },
    { "in capitals", function() return (sim.endpoint:gsub("https://localhost", "HTTPS://LOCALHOST")) end },
  }
  for _, case in ipairs(ENDPOINTS) do
    it("works " .. case[1], function()
      assert.equal("full", assert(call { endpoint = case[2]() }).taskId)
    end)
  end

  it("works over IPv6", function()
    local interfaces = io.open "/proc/net/if_inet6"
    if not interfaces or not interfaces:read "*a" :find "^0+1 " then
      pending "this machine has no ::1"
      return
    end
    interfaces:close()
    for _, endpoint in ipairs { sim.endpoint, sim.plain_endpoint } do
      assert.equal("full", assert(call { endpoint = (endpoint:gsub("//[^:]+", "//[::1]")) }).taskId)
    end
  end)

  it("keeps the path of the endpoint", function()
    -- The simulator knows no such path; what counts is what it was asked for.
    assert.is_nil((call { endpoint = sim.endpoint .. "/base/path/" }))
    assert.equal("/base/path/thing-registration-tasks/full", sim:journal()[1].uri)
  end)

  it("follows no redirect", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      sim:clear()
      sim:fault { kind = "reply", status = status,
        headers = { Location = sim.endpoint .. "/thing-registration-tasks/full" } }
      local result, message, detail = call()
      failures.check({ kind = "service", code = tostring(status), status = status, retryable = false, attempts = 1 },
        result, message, detail)
      assert.equal(1, #sim:journal())
    end
  end)

  local CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n9\r\n{"taskId"\r\n8;x=y\r\n:"full"}\r\n0\r\nX-Trailer: 1\r\n\r\n'
  local REPLIES = {
    { "in chunks", "HTTP/1.1 200 OK\r\n" .. CHUNKED },
    { "after an informational one", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" .. CHUNKED },
    { "after one with hints", "HTTP/1.1 103 Early Hints\r\nx-amzn-errortype: A\r\n\r\nHTTP/1.1 200 OK\r\n" .. CHUNKED },
    { "without a reason phrase", "HTTP/1.1 200\r\n" .. CHUNKED },
    { "up to the end of the connection", 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"taskId":"full"}' },
    { "of HTTP/1.0", 'HTTP/1.0 200 OK\r\nContent-Length: 17\r\n\r\n{"taskId":"full"}' },
  }
  for _, case in ipairs(REPLIES) do
    it("understands a reply " .. case[1], function()
      for _, endpoint in ipairs { sim.endpoint, sim.plain_endpoint } do
        sim:fault { kind = "raw", body = case[2] }
        assert.same({ taskId = "full" }, assert(call { endpoint = endpoint }))
      end
    end)
  end

  -- Connections --------------------------------------------------------------------------------

  it("keeps one connection for many calls, failures of the service among them", function()
    local client = new_client()
    for index = 1, 20 do
      local task = client:describe_thing_registration_task { taskId = index % 5 == 0 and "no-such-task" or "full" }
      assert.equal(index % 5 ~= 0, task ~= nil)
    end
    client:close()
    local numbers = connections()
    assert.equal(20, #numbers)
    for _, number in ipairs(numbers) do assert.equal(numbers[1], number) end
  end)

  for _, fault in ipairs { "reset", "close", "truncate" } do
    it("takes a new connection after a " .. fault, function()
      for _, endpoint in ipairs { sim.endpoint, sim.plain_endpoint } do
        sim:clear()
        local client = new_client { endpoint = endpoint }
        assert(client:describe_thing_registration_task { taskId = "full" })
        -- Twice: a request that a kept connection does not take is sent again by libcurl itself.
        sim:fault { kind = fault, times = 2 }
        local result, message, detail = client:describe_thing_registration_task { taskId = "full" }
        failures.check({ kind = "transport", code = "ConnectionLost", retryable = true }, result, message, detail)
        sim:call("/clear", {})
        assert.equal("full", assert(client:describe_thing_registration_task { taskId = "full" }).taskId)
        assert(client:describe_thing_registration_task { taskId = "full" })
        client:close()
        local numbers = connections()
        assert.equal(2, #numbers)
        assert.equal(numbers[1], numbers[2])
      end
    end)
  end

  it("survives a server that closes what should be kept", function()
    local client = new_client()
    sim:fault { kind = "drop", times = 3 }
    for _ = 1, 5 do
      assert.equal("full", assert(client:describe_thing_registration_task { taskId = "full" }).taskId)
      core.sleep(0.01)
    end
    client:close()
    local numbers = connections()
    assert.equal(5, #numbers)
    assert.equal(numbers[4], numbers[5])
  end)

  it("has a connection for each client, and closes it with the client", function()
    local before, clients = descriptors.count(), {}
    for index = 1, 20 do
      clients[index] = new_client()
      assert(clients[index]:describe_thing_registration_task { taskId = "full" })
    end
    for index = 1, 20, 2 do assert(clients[index]:describe_thing_registration_task { taskId = "full" }) end
    local different = {}
    for _, number in ipairs(connections()) do different[number] = true end
    local count = 0
    for _ in pairs(different) do count = count + 1 end
    assert.equal(20, count)
    assert.is_true(descriptors.count() >= before + 20)
    for index = 1, 10 do clients[index]:close() end
    clients = nil -- luacheck: ignore 311
    assert.equal(before, descriptors.count())
  end)

  it("is an error with a client that is closed, told where it was called", function()
    local client = new_client()
    assert(client:describe_thing_registration_task { taskId = "full" })
    client:close()
    client:close()
    local ok, message = pcall(function()
      local result = client:describe_thing_registration_task { taskId = "full" }
      return result
    end)
    assert.is_false(ok)
    assert.matches("closed", message)
    assert.matches("^[^:]*describe_spec%.lua:%d+: ", message)
    assert.equal("string", type(tostring(client)))
    assert.equal(sim.region, client.region)
  end)

  -- A process of its own -------------------------------------------------------------------------

  local function with(changes)
    local variables = sim:environment()
    for name, value in pairs(changes or {}) do variables[name] = value end
    return variables
  end

  it("needs no client where the environment says all", function()
    local output = child.output([[
      local iot = require "iot"
      for _ = 1, 2 do
        local task = assert(iot.describe_thing_registration_task { taskId = "full" })
        print(task.taskId, task.status, task.successCount)
      end
    ]], with())
    assert.equal("full\tCompleted\t12\nfull\tCompleted\t12\n", output)
    local numbers = connections()
    assert.equal(2, #numbers)
    assert.equal(numbers[1], numbers[2])
  end)

  it("takes session token, endpoint, app and the trace of a function from the environment", function()
    child.output([[assert(require("iot").describe_thing_registration_task { taskId = "full" })]], with {
      AWS_ACCESS_KEY_ID = sim.temporary_credentials.access_key_id,
      AWS_SECRET_ACCESS_KEY = sim.temporary_credentials.secret_access_key,
      AWS_SESSION_TOKEN = sim.temporary_credentials.session_token,
      AWS_ENDPOINT_URL_IOT = "", AWS_ENDPOINT_URL = sim.endpoint, AWS_REGION = "", AWS_DEFAULT_REGION = sim.region,
      AWS_SDK_UA_APP_ID = "from-the-environment", AWS_EXECUTION_ENV = "AWS_Lambda_provided",
      AWS_LAMBDA_FUNCTION_NAME = "function", _X_AMZN_TRACE_ID = 'Root=1-5759e988;Parent=53995c3f\n"a/b"',
    })
    local entry = sim:journal()[1]
    assert.equal(sim.temporary_credentials.session_token, header(entry, "X-Amz-Security-Token"))
    assert.matches(" exec%-env/AWS_Lambda_provided ", header(entry, "User-Agent"))
    assert.matches(" app/from%-the%-environment$", header(entry, "User-Agent"))
    assert.equal('Root=1-5759e988;Parent=53995c3f%0A"a%2Fb"', header(entry, "X-Amzn-Trace-Id"))
    assert.is_nil(header(entry, "Authorization"):find("trace", 1, true))
  end)

  it("leaves signals as they are, and dies of none", function()
    sim:fault { kind = "drop", times = 4 }
    local output = child.output([[
      local function signals()
        local found = {}
        for line in io.lines "/proc/self/status" do
          if line:find "^Sig[BIC]" then found[#found + 1] = line end
        end
        return table.concat(found, "\n")
      end
      local iot, core = require "iot", require "iot.core" -- with it may come the signals of a library of threads
      local before = signals()
      local function describe(client) return (client:describe_thing_registration_task { taskId = "full" }) end
      local client = assert(iot.new())
      for _ = 1, 6 do assert(describe(client)) end
      local during = signals()
      client:close()
      for _ = 1, 5 do -- a connection that is reset while nobody looks, then used again, or closed
        local other = assert(iot.new { endpoint = os.getenv "RESETTING" })
        for _ = 1, 2 do
          describe(other)
          core.sleep(0.03)
        end
        other:close()
      end
      print(before == during and before == signals())
    ]], with { RESETTING = raw.resetting })
    assert.equal("true\n", output)
  end)

  it("closes with the scope of its variable where Lua has that", function()
    if _VERSION < "Lua 5.4" then
      pending "before Lua 5.4 there is no <close>"
      return
    end
    local output = child.output([[
      local iot = require "iot"
      local kept
      do
        local client <close> = assert(iot.new())
        assert(client:describe_thing_registration_task { taskId = "full" })
        kept = client
      end
      print(pcall(kept.describe_thing_registration_task, kept, { taskId = "full" }))
    ]], with())
    assert.matches("^false\t.*closed", output)
  end)
end)
