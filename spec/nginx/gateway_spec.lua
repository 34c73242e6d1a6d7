-- The example gateway's JSON, against the simulator. Its page: spec/nginx/gateway_page_spec.lua.
local gateways = require "spec.support.gateway"
local iot = require "iot"
local json = require "spec.support.json"
local nginx_rig = require "spec.support.nginx"
local runtime = require "iot.runtime"
local simulator = require "spec.support.simulator"

describe("the example gateway", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, gateway

  setup(function()
    sim = simulator.start { concurrent_tasks = 100 }
    gateway = gateways.start(sim)
  end)
  teardown(function()
    gateway:stop()
    sim:stop()
  end)
  before_each(function()
    sim:forget()
    sim:clear()
  end)

  local function get(path, status)
    local reply = gateway:get(path)
    assert.equal(status or 200, reply.status, reply.body)
    assert.equal("application/json", reply.headers["content-type"])
    assert.equal("no-store", reply.headers["cache-control"])
    return json.decode(reply.body), reply
  end

  local function asked(operation)
    local count = 0
    for _, entry in ipairs(sim:journal()) do count = count + (entry.operation == operation and 1 or 0) end
    return count
  end

  -- Lists are kept for a while: of each status, only one spec looks at one.

  it("lists no tasks as a list", function()
    assert.equal('{"tasks":[],"more":false}\n', gateway:get("/tasks?status=Cancelling").body)
  end)

  it("lists the tasks that run, or those of a status", function()
    local running = sim:seed { plan = { things = 100, failures = 4, seconds = 60 }, templateBody = "{}" }
    local ended = sim:seed { plan = { things = 20, failures = 2, seconds = 0 } }
    local found = get "/tasks"
    assert.equal(1, #found.tasks)
    assert.same({ running, "InProgress" }, { found.tasks[1].taskId, found.tasks[1].status })
    assert.is_nil(found.tasks[1].templateBody)
    found = get "/tasks?status=Completed"
    assert.same({ ended, 18, 2 }, { found.tasks[1].taskId, found.tasks[1].successCount, found.tasks[1].failureCount })
  end)

  it("describes no more than twenty for a list, and says so", function()
    sim:seed_many { { count = 30, plan = { seconds = 60 } } }
    local found = get "/tasks?status=InProgress"
    assert.equal(20, #found.tasks)
    assert.is_true(found.more)
    assert.equal(20, asked "DescribeThingRegistrationTask")
  end)

  it("gives a task, and what could not be registered", function()
    local id = sim:seed { plan = { things = 300, failures = 120, seconds = 0 } }
    assert.equal(180, get("/tasks/" .. id).successCount)
    local found = get("/tasks/" .. id .. "/failures")
    assert.equal(100, #found.failures)
    assert.is_true(found.more)
    assert.equal("number", type(found.failures[1].line))
    assert.equal("string", type(found.failures[1].reason))
    id = sim:seed { plan = { things = 3, failures = 0, seconds = 0 } }
    assert.equal('{"failures":[],"more":false}\n', gateway:get("/tasks/" .. id .. "/failures").body)
  end)

  it("gives the beginning of a long record", function()
    local id = sim:seed { plan = { things = 2, failures = 1, seconds = 0 } }
    local input = ("x"):rep(999) .. "\195\164" .. ("y"):rep(300000)
    sim:fault { kind = "reply", status = 200, operation = "report",
      body = json.encode { lineNumber = 7, input = input, errors = { "no" } } .. "\nno JSON\n" }
    local found = get("/tasks/" .. id .. "/failures")
    assert.same({ line = 7, reason = "no", input = ("x"):rep(999) .. " ..." }, found.failures[1])
    assert.equal("string", type(found.failures[2].reason))
  end)

  -- So many at once. Returns what they got.
  local function crowd(count, path)
    local items = {}
    for i = 1, count do items[i] = path:gsub("#", i) end
    return iot.map(items, function(item) return gateway:get(item) end, { concurrency = count })
  end

  it("asks the service once a second, whoever watches", function()
    local id = sim:seed { plan = { things = 300, failures = 2, seconds = 60 } }
    local started = runtime.monotonic()
    for _, path in ipairs { "/tasks", "/tasks/" .. id, "/tasks/" .. id .. "/failures" } do
      for _, reply in ipairs(crowd(40, path)) do assert.equal(200, reply.status) end
    end
    local rounds = math.ceil(runtime.monotonic() - started) + 1
    assert.is_true(asked "ListThingRegistrationTasks" <= 2 * rounds)
    assert.is_true(asked "DescribeThingRegistrationTask" <= 2 * rounds)
    assert.equal(1, asked "ListThingRegistrationTaskReports")
  end)

  it("goes on with other requests while the service takes its time", function()
    sim:fault { kind = "delay", seconds = 0.8, times = 40, operation = "DescribeThingRegistrationTask" }
    local slow, quick = 0, 0
    iot.map({ "/tasks/late-#", "/page.css" }, function(path)
      local started = runtime.monotonic()
      if path == "/page.css" then
        runtime.sleep(0.2)
        gateway:get(path)
        quick = runtime.monotonic() - started - 0.2
      else
        crowd(40, path)
        slow = runtime.monotonic() - started
      end
      return true
    end)
    assert.is_true(slow >= 0.8, slow)
    assert.is_true(quick < 0.6, quick) -- so before any of the slow ones
  end)

  it("takes no id for a sign that another request is under way", function()
    local id = sim:seed { plan = { things = 3, failures = 1, seconds = 0 } }
    gateway:get("/tasks/" .. id .. ":asked/failures")
    local started = runtime.monotonic()
    assert.equal(200, gateway:get("/tasks/" .. id .. "/failures").status)
    assert.is_true(runtime.monotonic() - started < 0.9)
  end)

  -- What goes wrong ------------------------------------------------------------------------------------

  local function reply_of(status, code)
    return { kind = "reply", status = status, times = 9, headers = { ["x-amzn-errortype"] = code },
      body = '{"message":"the reason"}' }
  end

  local CASES = {
    { "/tasks/nothing", nil, 404, "ResourceNotFoundException" },
    { "/tasks/nothing/failures", nil, 400, "InvalidRequestException" },
    { "/tasks/x%2f..%2f..%2ftasks%2fx%2fy", nil, 404, "NotFound" },
    { "/tasks/%ff", nil, 400, "InvalidParameter" },
    { "/tasks/" .. ("x"):rep(41), nil, 400, "InvalidRequestException" },
    { "/tasks/a%0d%0ab", nil, 404, "ResourceNotFoundException" },
    { "/tasks/a%3fb=c%23d", nil, 404, "ResourceNotFoundException" },
    { "/tasks/a/b", nil, 404, "NotFound" },
    { "/tasks/a/failures/b", nil, 404, "NotFound" },
    { "/tasks?status=Nonsense", nil, 400, "InvalidParameter" },
    { "/tasks?status=", nil, 400, "InvalidParameter" },
    { "/tasks/", nil, 404, "NotFound" },
    { "/tasksx", nil, 404, "NotFound" },
    { "/tasks/throttled", { kind = "throttle", times = 9, retry_after = 1 }, 503, "ThrottlingException" },
    { "/tasks/denied", reply_of(401, "UnauthorizedException"), 502, "UnauthorizedException" },
    { "/tasks/broken", { kind = "reply", status = 200, body = "<html>" }, 502, "MalformedResponse" },
    { "/tasks/lost", { kind = "reset", times = 99 }, 502, "ConnectionLost" },
    { "/tasks?status=Cancelled", reply_of(500, "InternalFailureException"), 502, "InternalFailureException" },
  }
  for _, case in ipairs(CASES) do
    it(("answers %s with %d %s"):format(case[1]:sub(1, 30), case[3], case[4]), function()
      if case[2] then sim:fault(case[2]) end
      local found, reply = get(case[1], case[3])
      assert.equal(case[4], found.error.code)
      assert.equal("string", type(found.error.message))
      assert.is_nil(reply.body:find("traceback", 1, true))
      for _, secret in pairs(sim.credentials) do assert.is_nil(reply.body:find(tostring(secret), 1, true)) end
      assert.equal(case[3] == 503, reply.headers["retry-after"] ~= nil)
    end)
  end

  it("shows a task that cannot be described with its error, beside the others", function()
    sim:seed { taskId = "one", status = "Failed" }
    sim:seed { taskId = "two", status = "Failed" }
    local fault = reply_of(403, "AccessDeniedException")
    fault.operation, fault.times = "DescribeThingRegistrationTask", 1
    sim:fault(fault)
    local found, codes = get "/tasks?status=Failed", {}
    for _, task in ipairs(found.tasks) do codes[#codes + 1] = task.error and task.error.code or task.status end
    table.sort(codes)
    assert.same({ "AccessDeniedException", "Failed" }, codes)
  end)

  it("answers nothing but GET", function()
    local reply = gateway:get("/tasks", { method = "DELETE" })
    assert.equal(405, reply.status)
    assert.equal("GET, HEAD", reply.headers.allow)
  end)

  it("lets its page load nothing from elsewhere", function()
    for _, path in ipairs { "/", "/page.js", "/page.css" } do
      local reply = gateway:get(path)
      assert.equal(200, reply.status)
      assert.matches("default%-src 'none'", reply.headers["content-security-policy"])
      assert.is_nil(reply.body:find("https?://"))
    end
  end)

  it("has logged nothing", function()
    assert.equal("", gateway:log())
  end)
end)
