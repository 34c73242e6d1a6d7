-- How the simulator lists tasks, page by page.
local core = require "iot.core"
local service_calls = require "spec.support.service_calls"
local simulator = require "spec.support.simulator"

local TASKS = "/thing-registration-tasks"
local LIST = "ListThingRegistrationTasks"

describe("the simulator's lists", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, calls

  setup(function()
    sim = simulator.start()
    calls = service_calls.new(sim)
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    sim:forget()
  end)

  local function list(query) return calls.get(TASKS, query) end

  local function reversed(items)
    local result = {}
    for index, item in ipairs(items) do result[#items - index + 1] = item end
    return result
  end

  -- All taskIds from a page on, and the number of pages. between(page) is called after each page but the last.
  local function collect(query, between)
    local ids, pages, token = {}, 0, nil
    repeat
      local asked = { nextToken = token }
      for name, value in pairs(query or {}) do asked[name] = value end
      local answer = list(asked)
      assert.equal(200, answer.status, answer.body)
      for _, id in ipairs(answer.document.taskIds) do ids[#ids + 1] = id end
      pages, token = pages + 1, answer.document.nextToken
      if token and between then between(pages) end
    until not token
    return ids, pages
  end

  local function assert_refused(words, query)
    local answer = list(query)
    assert.equal(400, answer.status, answer.body)
    assert.equal("InvalidRequestException", answer.headers["x-amzn-errortype"])
    assert.is_truthy(answer.document.message:find(words, 1, true), answer.document.message)
  end

  it("are empty without tasks", function()
    assert.equal('{"taskIds":[]}', list().body)
    sim:seed { status = "Failed" }
    assert.equal('{"taskIds":[]}', list({ status = "Completed" }).body)
  end)

  it("hold all tasks once, the newest first, however long the pages are", function()
    local ids = reversed(sim:seed_many { { count = 7, status = "Completed" }, { taskId = "a b/c", status = "Failed" } })
    for size, expected in pairs { [1] = 8, [3] = 3, [4] = 2, [7] = 2, [8] = 1, [250] = 1 } do
      local found, pages = collect { maxResults = size }
      assert.same(ids, found)
      assert.equal(expected, pages)
    end
    sim:settings { page_size = 5 }
    local found, pages = collect()
    assert.same({ ids, 2 }, { found, pages })
  end)

  it("hold the tasks of a status, as it is at the moment", function()
    local ids = sim:seed_many {
      { count = 2, status = "Completed" }, { status = "InProgress" }, { plan = { seconds = 0 } },
      { plan = { seconds = 100 } }, { plan = { seconds = 0, status = "Failed" } },
    }
    assert.same({ ids[4], ids[2], ids[1] }, (collect { status = "Completed", maxResults = 1 }))
    assert.same({ ids[5], ids[3] }, (collect { status = "InProgress", maxResults = 1 }))
    assert.same({ ids[6] }, (collect { status = "Failed" }))
    assert.equal(200, calls.put(TASKS .. "/" .. ids[5] .. "/cancel").status)
    assert.same({ ids[5] }, (collect { status = "Cancelling" }))
    assert.same({}, (collect { status = "Cancelled" }))
  end)

  it("are what a task without a taskId is taken for", function()
    sim:seed { taskId = "t", status = "Completed" }
    assert.equal('{"taskIds":["t"]}', calls.get(TASKS .. "/").body)
  end)

  it("are not moved by tasks that are added meanwhile", function()
    local ids = reversed(sim:seed_many { { count = 10, status = "Completed" } })
    local function add(page)
      sim:seed_many { { count = page, status = "Completed" } }
      sim:seed { taskId = ids[10], status = "Completed" } -- one in its own place
    end
    assert.same(ids, (collect({ maxResults = 3 }, add)))
    assert.equal(10 + 1 + 2 + 3, #collect())
  end)

  it("go on after an outage", function()
    local ids = reversed(sim:seed_many { { count = 4, status = "Completed" } })
    assert.same(ids, (collect({ maxResults = 2 }, function()
      sim:halt()
      sim:resume()
    end)))
  end)

  it("take no token but their own", function()
    sim:seed_many { { count = 4, status = "Completed" } }
    local token = list({ maxResults = 2 }).document.nextToken
    assert.equal(200, list({ maxResults = 1, nextToken = token }).status)
    local wrong = { "", "x", token .. "x", token:sub(2), token:sub(1, -2), token:lower(), token .. "=", token .. "A===",
      token:gsub("^..", "AA"), "MQ==" }
    for _, text in ipairs(wrong) do assert_refused("'nextToken'", { nextToken = text }) end
    assert_refused("'nextToken'", { nextToken = token, status = "Completed" })
    token = list({ maxResults = 2, status = "Completed" }).document.nextToken
    assert_refused("'nextToken'", { nextToken = token })
    assert_refused("'nextToken'", { nextToken = token, status = "Failed" })
    assert.equal(200, list({ nextToken = token, status = "Completed" }).status)
  end)

  it("make tokens that have to be encoded", function()
    sim:seed_many { { count = 200, status = "Completed" } }
    local seen, token = "", nil
    for _ = 1, 30 do
      token = list({ nextToken = token, maxResults = 2 }).document.nextToken
      seen = seen .. token
    end
    for _, byte in ipairs { "+", "/", "=" } do assert.is_truthy(seen:find(byte, 1, true), byte) end
  end)

  it("refuse what the model does not allow", function()
    local high, low = "Member must have value less than or equal to 250", "greater than or equal to 1"
    for value, words in pairs { ["0"] = low, ["-1"] = low, ["251"] = high, ["99999999999"] = high,
      [""] = "an integer", ["1.5"] = "an integer", ["1e2"] = "an integer", ["ten"] = "an integer" } do
      assert_refused("Value at 'maxResults' failed to satisfy constraint: ", { maxResults = value })
      assert_refused(words, { maxResults = value })
    end
    for _, status in ipairs { "", "completed", "Running" } do
      assert_refused("Value at 'status' failed to satisfy constraint: Member must satisfy enum value set: "
        .. "[InProgress, Completed, Failed, Cancelled, Cancelling]", { status = status })
    end
    assert_refused("2 validation errors detected", { status = "x", maxResults = 0 })
    assert.equal(403, calls.send({ url = sim.endpoint .. TASKS }).status) -- unsigned
  end)

  it("of ten thousand tasks take no time", function()
    local ids = reversed(sim:seed_many { { count = 10000, status = "Completed", templateBody = ("t"):rep(300) } })
    local started = core.monotonic()
    local found, pages = collect { maxResults = 250 }
    local seconds = core.monotonic() - started
    assert.same({ 40, 10000 }, { pages, #found })
    assert.same(ids, found)
    assert.is_true(seconds < 3, seconds)
    -- Even where each page has to look at many.
    assert.same({}, (collect { maxResults = 250, status = "Failed" }))
  end)

  it("can be seeded with tasks that make sense only", function()
    assert.error_matches(function() sim:seed_many { { count = 2, taskId = "x" } } end, "count")
    assert.error_matches(function() sim:seed_many { { count = "2" } } end, "count")
    assert.error_matches(function() sim:seed_many { { plan = { thingz = 2 } } } end, "thingz")
  end)

  -- Faults -----------------------------------------------------------------------------------

  it("can fail on any page", function()
    sim:seed_many { { count = 6, status = "Completed" } }
    sim:fault { kind = "throttle", operation = LIST, skip = 2 }
    local statuses, token = {}, nil
    for index = 1, 4 do
      local answer = list { maxResults = 2, nextToken = token }
      statuses[index] = answer.status
      if answer.status == 200 then token = answer.document.nextToken end
    end
    assert.same({ 200, 200, 400, 200 }, statuses)
    assert.is_nil(token)
  end)

  it("can be as odd as a fault says", function()
    local token = '"nextToken":"again+/="'
    local bodies = { '{"taskIds":["x"],' .. token .. "}", '{"taskIds":[],' .. token .. "}",
      '{"taskIds":null,' .. token .. "}", "{" .. token .. "}", '{"taskIds":["x"],"nextToken":null}' }
    for _, body in ipairs(bodies) do
      sim:fault { kind = "reply", operation = LIST, body = body, times = 2 }
      for _ = 1, 2 do assert.equal(body, list({ nextToken = "again+/=" }).body) end
    end
  end)
end)
