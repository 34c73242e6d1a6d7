-- The example gateway's JSON, against the simulator. Its page: spec/nginx/gateway_page_spec.lua.
local gateways = require "spec.support.gateway"
local json = require "spec.support.json"
local nginx_rig = require "spec.support.nginx"
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

  it("lists no tasks as a list", function()
    assert.equal('{"tasks":[],"more":false}\n', gateway:get("/tasks").body)
  end)

  it("lists the tasks that run, or those of a status", function()
    local running = sim:seed { plan = { things = 100, failures = 4, seconds = 60 } }
    local ended = sim:seed { plan = { things = 20, failures = 2, seconds = 0 } }
    local found = get "/tasks"
    assert.equal(1, #found.tasks)
    assert.equal(running, found.tasks[1].taskId)
    assert.equal("InProgress", found.tasks[1].status)
    found = get "/tasks?status=Completed"
    assert.same({ ended, 18, 2 }, { found.tasks[1].taskId, found.tasks[1].successCount, found.tasks[1].failureCount })
  end)

  it("describes no more than fifty at once, and says so", function()
    sim:seed_many { { count = 60, plan = { seconds = 60 } } }
    local found = get "/tasks"
    assert.equal(50, #found.tasks)
    assert.is_true(found.more)
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

  it("asks for a task once a second, whoever watches it", function()
    local id = sim:seed { plan = { things = 10, seconds = 60 } }
    for _ = 1, 20 do get("/tasks/" .. id) end
    assert.is_true(#sim:journal() <= 2, #sim:journal())
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
    { "/tasks/", nil, 404, "NotFound" },
    { "/tasksx", nil, 404, "NotFound" },
    { "/tasks/throttled", { kind = "throttle", times = 9, retry_after = 1 }, 503, "ThrottlingException" },
    { "/tasks/denied", reply_of(401, "UnauthorizedException"), 502, "UnauthorizedException" },
    { "/tasks/broken", { kind = "reply", status = 200, body = "<html>" }, 502, "MalformedResponse" },
    { "/tasks", reply_of(500, "InternalFailureException"), 502, "InternalFailureException" },
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
    sim:seed { taskId = "one", plan = { seconds = 60 } }
    sim:seed { taskId = "two", plan = { seconds = 60 } }
    local fault = reply_of(403, "AccessDeniedException")
    fault.operation, fault.times = "DescribeThingRegistrationTask", 1
    sim:fault(fault)
    local found, codes = get "/tasks", {}
    for _, task in ipairs(found.tasks) do codes[#codes + 1] = task.error and task.error.code or task.status end
    table.sort(codes)
    assert.same({ "AccessDeniedException", "InProgress" }, codes)
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
      assert.matches("default%-src 'self'", reply.headers["content-security-policy"])
      assert.is_nil(reply.body:find("https?://"))
    end
  end)

  it("has logged nothing", function()
    assert.equal("", gateway:log())
  end)
end)
