-- The items of lists that come in pages, against the simulator.
local descriptors = require "spec.support.descriptors"
local failures = require "spec.support.failures"
local iot = require "iot"
local simulator = require "spec.support.simulator"

local TASKS = { operation = "list_thing_registration_tasks", name = "ListThingRegistrationTasks", items = "taskIds" }
local LINKS = { operation = "list_thing_registration_task_reports", name = "ListThingRegistrationTaskReports",
  items = "resourceLinks" }

describe("the items of all pages", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, client

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    sim:forget()
    client = assert(iot.new(sim:options()))
  end)
  after_each(function() client:close() end)

  local function collect(next_item, see)
    local items, item = {}, next_item()
    while item do
      items[#items + 1] = item
      if see then see(#items) end
      item = next_item()
    end
    return items
  end

  local function collect_ids(params, see) return collect(client:thing_registration_tasks(params), see) end

  -- What an iterator raises, sooner or later, and the items before.
  local function failure_of(next_item)
    local items = {}
    while true do
      local ok, item = pcall(next_item)
      if not ok then return item, items end
      assert(item, "the list came to an end")
      items[#items + 1] = item
    end
  end

  local function check(expected, detail)
    failures.check(expected, nil, tostring(detail), detail)
  end

  -- As many tasks; their ids in the order in which they are listed.
  local function seed(count, members)
    local task = { count = count, status = "Completed" }
    for name, value in pairs(members or {}) do task[name] = value end
    local ids, listed = sim:seed_many { task }, {}
    for index, id in ipairs(ids) do listed[#ids - index + 1] = id end
    return listed
  end

  -- The queries of all requests, as maps.
  local function queries()
    local all = {}
    for index, entry in ipairs(sim:journal()) do
      all[index] = {}
      for name, value in (entry.uri:match "%?(.*)$" or ""):gmatch "([^&=]+)=([^&]*)" do all[index][name] = value end
    end
    return all
  end

  local function reply(body, times)
    return { kind = "reply", operation = TASKS.name, body = body, times = times or 1 }
  end

  it("are ten thousand, each once, on forty pages", function()
    local ids = seed(10000)
    local found, seen = collect_ids { maxResults = 250 }, {}
    assert.equal(10000, #found)
    for _, id in ipairs(found) do
      assert.is_nil(seen[id])
      seen[id] = true
    end
    assert.same(ids, found)
    local all = queries()
    assert.equal(40, #all)
    for index, query in ipairs(all) do
      assert.equal("250", query.maxResults)
      assert.equal(index > 1, query.nextToken ~= nil)
    end
  end)

  it("come in pages as long as the service likes, without params", function()
    local ids = seed(250)
    assert.same(ids, collect_ids())
    assert.same(ids, collect_ids {})
    local all = queries()
    assert.equal(6, #all) -- the simulator's pages have 100
    for _, query in ipairs(all) do assert.is_nil(query.maxResults) end
  end)

  it("are none where there are none, and stay so", function()
    local next_id = client:thing_registration_tasks()
    for _ = 1, 3 do assert.is_nil((next_id())) end
    assert.equal(1, #sim:journal())
  end)

  it("are fetched when they are due, and no sooner", function()
    seed(20)
    local next_id = client:thing_registration_tasks { maxResults = 5 }
    assert.equal(0, #sim:journal())
    for index = 1, 20 do
      assert(next_id())
      assert.equal(math.ceil(index / 5), #sim:journal())
    end
    for _ = 1, 3 do assert.is_nil((next_id())) end
    assert.equal(4, #sim:journal())
  end)

  it("are those of a status", function()
    local failed, completed = seed(7, { status = "Failed" }), seed(9)
    seed(5, { status = "InProgress" })
    assert.same(failed, collect_ids { status = "Failed", maxResults = 2 })
    assert.same(completed, collect_ids { status = "Completed", maxResults = 9 })
    assert.same({}, collect_ids { status = "Cancelled" })
    for index, query in ipairs(queries()) do assert.is_string(query.status, index) end
  end)

  it("are not moved by what is added meanwhile", function()
    local ids = seed(20)
    assert.same(ids, collect_ids({ maxResults = 3 }, function(count) if count % 5 == 0 then seed(2) end end))
    assert.equal(28, #collect_ids())
  end)

  it("are those of the params as they were, which are not changed", function()
    local failed = seed(6, { status = "Failed" })
    seed(6)
    local params = { status = "Failed", maxResults = 2 }
    local found = collect_ids(params, function()
      params.status, params.maxResults, params.other = "Completed", nil, {}
    end)
    assert.same(failed, found)
    assert.same({ status = "Completed", other = {} }, params)
    for _, query in ipairs(queries()) do assert.same({ "Failed", "2" }, { query.status, query.maxResults }) end
  end)

  it("begin on another page where a token says so", function()
    local ids = seed(10)
    local page = assert(client:list_thing_registration_tasks { maxResults = 4 })
    local params = { maxResults = 4, nextToken = page.nextToken }
    local found = collect_ids(params)
    assert.equal(page.nextToken, params.nextToken)
    for index = 1, 6 do assert.equal(ids[4 + index], found[index]) end
    assert.equal(6, #found)
  end)

  -- Odd pages -------------------------------------------------------------------------------------

  -- Bodies of pages, and the items on them.
  local ODD = {
    { "an empty page", { '{"taskIds":["a"],"nextToken":"1"}', '{"taskIds":[],"nextToken":"2"}',
      '{"taskIds":[],"nextToken":"3"}', '{"taskIds":["b"]}' }, { "a", "b" } },
    { "a page without a list", { '{"taskIds":["a"],"nextToken":"1"}', '{"nextToken":"2"}',
      '{"taskIds":null,"nextToken":"3"}', '{"taskIds":["b"]}' }, { "a", "b" } },
    { "a token that is null or empty", { '{"taskIds":["a"],"nextToken":"1"}', '{"taskIds":["b"],"nextToken":null}',
      '{"taskIds":["c"],"nextToken":""}' }, { "a", "b" } },
    { "an empty token", { '{"taskIds":["a"],"nextToken":""}' }, { "a" } },
    { "a token that was there before, but not on the page before", { '{"taskIds":["a"],"nextToken":"1"}',
      '{"taskIds":["b"],"nextToken":"2"}', '{"taskIds":["c"],"nextToken":"1"}', '{"taskIds":["d"]}' },
      { "a", "b", "c", "d" } },
    { "a last page without anything", { '{"taskIds":["a"],"nextToken":"1"}', "{}" }, { "a" } },
  }
  for _, case in ipairs(ODD) do
    it("are all there in spite of " .. case[1], function()
      local list = {}
      for index, body in ipairs(case[2]) do list[index] = reply(body) end
      sim:fault(list)
      assert.same(case[3], collect_ids { maxResults = 5 })
    end)
  end

  it("end with a failure where a token leads to itself, behind the items of that page", function()
    sim:fault { reply '{"taskIds":["a"],"nextToken":"+/="}', reply('{"taskIds":["b","c"],"nextToken":"+/="}', 9) }
    local next_id = client:thing_registration_tasks()
    for round = 1, 3 do
      local detail, items = failure_of(next_id)
      assert.same(round == 1 and { "a", "b", "c" } or {}, items)
      check({ kind = "response", code = "MalformedResponse", operation = TASKS.operation, message = "nexttoken" },
        detail)
    end
    assert.equal(2, #sim:journal())
    assert.equal("%2B%2F%3D", queries()[2].nextToken)
  end)

  -- Failures --------------------------------------------------------------------------------------

  -- What befalls the third page, and the failure.
  local FAULTS = {
    { { kind = "throttle" }, { kind = "service", code = "ThrottlingException", status = 400, throttled = true } },
    { { kind = "reply", status = 500, body = "<html>" }, { kind = "service", code = "500", retryable = true } },
    { { kind = "reply", body = "[" }, { kind = "response", code = "MalformedResponse", retryable = false } },
    { { kind = "reply", body = '{"taskIds":[5]}' }, { kind = "response", code = "MalformedResponse" } },
    { { kind = "truncate", when = "after" }, { kind = "transport", code = "ConnectionLost", retryable = true } },
    { { kind = "reply", status = 400, headers = { ["x-amzn-ErrorType"] = "InvalidRequestException" },
      body = '{"message":"the token has expired"}' }, { code = "InvalidRequestException", message = "has expired" } },
  }
  for _, case in ipairs(FAULTS) do
    it(("go on with the page that failed, after %s"):format(case[2].code), function()
      local ids = seed(10)
      local fault = { operation = TASKS.name, skip = 2 }
      for name, value in pairs(case[1]) do fault[name] = value end
      sim:fault(fault)
      local next_id = client:thing_registration_tasks { maxResults = 3 }
      local detail, items = failure_of(next_id)
      case[2].operation, case[2].attempts = TASKS.operation, 1
      check(case[2], detail)
      assert.equal(6, #items)
      for _, id in ipairs(collect(next_id)) do items[#items + 1] = id end
      assert.same(ids, items)
      assert.equal(5, #sim:journal())
    end)
  end

  it("are tried again as the client says, page by page", function()
    local ids, statuses = seed(10), {}
    local patient = assert(iot.new(sim:options { retry = { max_attempts = 3 }, on_event = function(event)
      statuses[#statuses + 1] = event.status or event.code
      assert.equal(TASKS.operation, event.operation)
    end }))
    sim:fault { { kind = "throttle", operation = TASKS.name, skip = 1 },
      { kind = "reply", operation = TASKS.name, status = 503, skip = 2, times = 2 } }
    assert.same(ids, collect(patient:thing_registration_tasks { maxResults = 4 }))
    patient:close()
    assert.same({ 200, 400, 200, 503, 503, 200 }, statuses)
  end)

  it("have the time of a call for each page", function()
    seed(8)
    sim:fault { { kind = "delay", operation = TASKS.name, seconds = 0.3, times = 4 }, { kind = "stall" } }
    local next_id = client:thing_registration_tasks({ maxResults = 2 }, { timeout = 1 }) -- less than for all of them
    assert.equal(8, #collect(next_id))
    next_id = client:thing_registration_tasks({ maxResults = 2 }, { timeout = 0.2 })
    check({ kind = "timeout", code = "Timeout", operation = TASKS.operation }, (failure_of(next_id)))
  end)

  it("fail where the params are wrong, and not before the first is due", function()
    for _, params in ipairs { { maxResults = "5" }, { other = 5 }, { status = 5 }, { maxResults = 1.5 } } do
      local next_id = client:thing_registration_tasks(params)
      check({ kind = "validation", code = "InvalidParameter", attempts = 0, operation = TASKS.operation },
        (failure_of(next_id)))
    end
    assert.equal(0, #sim:journal())
    check({ code = "InvalidRequestException", status = 400 },
      (failure_of(client:thing_registration_tasks { maxResults = 251 })))
  end)

  it("of a client that is closed are not there", function()
    seed(10)
    local next_id = client:thing_registration_tasks { maxResults = 5 }
    for _ = 1, 5 do assert(next_id()) end
    client:close()
    for _, call in ipairs { next_id, function() client:thing_registration_tasks() end } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("closed client", tostring(message))
    end
  end)

  -- Links, and maps -------------------------------------------------------------------------------

  it("may be the links to a report", function()
    local id = sim:seed { plan = { things = 40, failures = 20, seconds = 0 } }
    sim:settings { report_links = 10 }
    local params = { taskId = id, reportType = "ERRORS", maxResults = 3 }
    local links, seen = collect(client:thing_registration_task_report_links(params)), {}
    assert.equal(10, #links)
    for _, link in ipairs(links) do
      assert.matches("^https://localhost:%d+/reports%-bucket/.*&X%-Amz%-Signature=%x+$", link)
      assert.is_nil(seen[link])
      seen[link] = true
    end
    local all = queries()
    assert.equal(4, #all)
    for _, query in ipairs(all) do assert.same({ "ERRORS", "3" }, { query.reportType, query.maxResults }) end
    assert.same({ taskId = id, reportType = "ERRORS", maxResults = 3 }, params)
    for _, entry in ipairs(sim:journal()) do assert.equal(LINKS.name, entry.operation) end
    sim:fault { kind = "reply", operation = LINKS.name, status = 500, body = "{}" }
    local detail = failure_of(client:thing_registration_task_report_links(params))
    check({ code = "500", operation = LINKS.operation }, detail)
  end)

  it("of a map may be shared by tasks, each of which gets others", function()
    local ids, found = seed(200), {}
    local next_id = client:thing_registration_tasks { maxResults = 10 }
    local results, failed = iot.map({ 1, 2, 3, 4, 5 }, function() return #collect(next_id) end)
    assert.is_nil(next(failed))
    local sum = 0
    for index = 1, 5 do sum = sum + results[index] end
    assert.equal(200, sum)
    assert.equal(20, #queries())

    next_id = client:thing_registration_tasks { maxResults = 10 }
    failed = select(2, iot.map({ 1, 2, 3, 4, 5 }, function()
      local id = next_id()
      while id do
        local task = assert(client:describe_thing_registration_task { taskId = id })
        found[#found + 1] = task.taskId
        id = next_id()
      end
    end))
    assert.is_nil(next(failed), tostring(failed[next(failed)]))
    assert.equal(200, #found)
    table.sort(found)
    table.sort(ids)
    assert.same(ids, found)
  end)

  it("leave nothing open but the client's connection", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    seed(10)
    local next_id = client:thing_registration_tasks { maxResults = 2 }
    assert(next_id())
    local before = descriptors.count()
    for _ = 1, 5 do assert(next_id()) end
    assert.equal(before, descriptors.count())
    assert.equal(sim:journal()[1].connection, sim:journal()[3].connection)
  end)
end)
