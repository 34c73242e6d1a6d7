-- Reports that are left, shared or very long; the default client's; and that no link is told.
local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local failures = require "spec.support.failures"
local iot = require "iot"
local simulator = require "spec.support.simulator"

local LIST_NAME = "ListThingRegistrationTaskReports"

-- A generic for closes what it iterates over from Lua 5.4 on.
local HAS_CLOSE = rawget(coroutine, "close") ~= nil

-- A sanitizer keeps what was freed, so that no bound on memory holds; and it is slow.
local IS_SANITIZED = (os.getenv "LUA" or ""):find("sanitized", 1, true) ~= nil

-- All three iterators of the default client; what they raise is told with its type.
local DEFAULT_CLIENT = [[
  local iot = require "iot"
  local params = { taskId = os.getenv "TASK_ID", reportType = "ERRORS" }
  local function tell(name, own)
    local count, where = 0, "at once"
    local ok, reason = pcall(function()
      local next_item = iot[name](own)
      where = "later"
      while next_item() do count = count + 1 end
    end)
    local detail = type(reason) == "table" and reason.code .. " " .. reason.operation .. " " .. where or reason
    print(name, ok and count or detail)
  end
  tell("thing_registration_tasks")
  tell("thing_registration_task_report_links", params)
  tell("thing_registration_task_report", params)
]]

-- A whole report: how many records, their bytes, the last line, and the most memory that it took, in kB.
local WHOLE_REPORT = [[
  local client = assert(require("iot").new())
  local count, size, last = 0, 0, nil
  for record in client:thing_registration_task_report { taskId = os.getenv "TASK_ID", reportType = "RESULTS" } do
    count, size, last = count + 1, size + #record.raw + 1, record:input_line()
    assert(not record.malformed)
  end
  local file = assert(io.open "/proc/self/status")
  print(count, ("%.0f"):format(size), last, (file:read "*a":match "VmHWM:%s*(%d+) kB"))
]]

describe("a report", function()
  local missing = simulator.missing() or descriptors.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask; /proc alone counts descriptors
    return
  end

  local sim, client, task_id, params, events

  setup(function()
    sim = simulator.start()
    task_id = sim:seed { plan = { things = 3000, failures = 60, seconds = 0 } }
    params = { taskId = task_id, reportType = "RESULTS" }
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    sim:settings { report_links = 3 }
    events = {}
    client = assert(iot.new(sim:options { on_event = function(event) events[#events + 1] = event end }))
  end)
  after_each(function() client:close() end)

  -- Left ------------------------------------------------------------------------------------------

  -- A loop that is left after so many records.
  local function leave_after(count, next_record, ...)
    for record in next_record, ... do
      if record.number == count then break end
    end
  end

  it("that is left early keeps no connection", function()
    local next_record = client:thing_registration_task_report(params)
    assert(next_record()) -- the client's own connection, to list, stays
    next_record = nil -- luacheck: ignore 311
    local before = descriptors.count()
    for _ = 1, 3 do
      collectgarbage "stop"
      leave_after(10, client:thing_registration_task_report(params))
      local after = descriptors.count_all()
      collectgarbage "restart"
      if HAS_CLOSE then assert.equal(before, after) end -- at once; elsewhere with the garbage
      assert.equal(before, descriptors.settle(before))
    end
    leave_after(1e9, client:thing_registration_task_report(params)) -- to its end
    assert.equal(before, descriptors.count_all())
  end)

  it("that is left in the middle of a document does not go on with the next one", function()
    local next_record, state, first, closing = client:thing_registration_task_report(params)
    leave_after(10, next_record, state, first, closing)
    if HAS_CLOSE then
      local ok, message = pcall(next_record)
      assert.is_false(ok)
      assert.matches("whose loop was left", message)
    else
      assert.equal(11, next_record().number)
    end
  end)

  it("goes on after a loop that was left because a link could not be opened", function()
    sim:fault { kind = "reply", operation = "report", status = 404, skip = 1 }
    local next_record, state, first, closing = client:thing_registration_task_report(params)
    local ok, detail = pcall(leave_after, 1e9, next_record, state, first, closing)
    assert.is_false(ok)
    assert.equal(404, detail.status)
    assert.equal(981, next_record().number)
  end)

  -- In a map --------------------------------------------------------------------------------------

  -- Count what an iterator gives. No generic for: it could not wait within a map in Lua 5.1.
  local function count(next_item, see)
    local number, item = 0, next_item()
    while item do
      number = number + 1
      if see then see(item) end
      item = next_item()
    end
    return number
  end

  it("of a map is one of many, and other calls go on", function()
    local results, failed = iot.map({ "RESULTS", "ERRORS", "describe", "RESULTS", "ERRORS", "nothing" }, function(what)
      if what == "describe" then return assert(client:describe_thing_registration_task { taskId = task_id }).status end
      return count(client:thing_registration_task_report { taskId = task_id, reportType = what })
    end)
    assert.same({ 2940, 60, "Completed", 2940, 60, n = 6 }, results)
    assert.equal("InvalidRequestException", failed[6].error.code)
    failed[6] = nil
    assert.is_nil(next(failed))
  end)

  it("of a map may be shared by tasks, each of which gets other records", function()
    local next_record = client:thing_registration_task_report(params)
    local seen = {}
    local results, failed = iot.map({ 1, 2, 3, 4 }, function()
      return count(next_record, function(record)
        assert(not record.malformed and not seen[record:input_line()])
        seen[record:input_line()] = true
        if record.number % 100 == 0 then client:describe_thing_registration_task { taskId = task_id } end
      end)
    end)
    assert.is_nil(next(failed), tostring(failed[next(failed)]))
    local sum = 0
    for index = 1, 4 do sum = sum + results[index] end
    assert.equal(2940, sum)
  end)

  it("whose loops are left again and again holds few descriptors", function()
    sim:settings { report_links = 1 }
    collectgarbage()
    collectgarbage()
    local before, most = descriptors.count_all(), 0
    for _ = 1, 100 do
      local next_record = client:thing_registration_task_report(params)
      assert.is_not_nil(next_record())
      most = math.max(most, descriptors.count_all() - before)
    end
    assert.is_true(most < 150, most .. " descriptors")
  end)

  it("of a map ends with it", function()
    local next_record
    iot.map({ 1 }, function()
      next_record = client:thing_registration_task_report(params)
      return next_record().number
    end)
    local ok, message = pcall(function() return count(next_record) end)
    assert.is_false(ok)
    assert.matches("its iot.map has ended", tostring(message))
  end)

  -- The default client ----------------------------------------------------------------------------

  it("of the default client, its links, and tasks", function()
    local all = sim:environment()
    all.TASK_ID, all.AWS_MAX_ATTEMPTS = task_id, "1"
    local function output(changes)
      local variables = {}
      for name, value in pairs(all) do variables[name] = changes[name] or value end
      local told = {}
      for name, text in child.output(DEFAULT_CLIENT, variables):gmatch "(%S+)\t([^\n]*)\n" do told[name] = text end
      return told
    end
    assert.same({ thing_registration_tasks = "1", thing_registration_task_report_links = "3",
      thing_registration_task_report = "60" }, output {})
    for _, case in ipairs {
      { { AWS_REGION = "", AWS_DEFAULT_REGION = "" }, "MissingRegion %s at once", "" },
      { { AWS_SECRET_ACCESS_KEY = "", AWS_ACCESS_KEY_ID = "" }, "NoCredentials %s later", "list" },
      { { TASK_ID = "nobody" }, "InvalidRequestException %s later", "list" },
    } do
      local names = { thing_registration_task_report_links = "list_thing_registration_task_reports",
        thing_registration_task_report = "list_thing_registration_task_reports",
        thing_registration_tasks = "list_thing_registration_tasks" }
      for name, text in pairs(output(case[1])) do
        local expected = case[2]:format(case[3] == "list" and names[name] or name)
        if case[1].TASK_ID and name == "thing_registration_tasks" then expected = "1" end
        assert.equal(expected, text)
      end
    end
  end)

  it("of the default client raises for misuse where it is called", function()
    for _, name in ipairs { "thing_registration_task_report", "thing_registration_task_report_links",
      "thing_registration_tasks" } do
      for _, arguments in ipairs { { 5 }, { {}, 5 }, { {}, { retries = 5 } }, { {}, { timeout = -1 } } } do
        local ok, message = pcall(function()
          local next_item = iot[name](arguments[1], arguments[2])
          return next_item
        end)
        assert.is_false(ok)
        assert.matches("report_ends_spec.lua:%d+: .* '" .. name .. "'", message)
      end
    end
  end)

  -- Secrets ---------------------------------------------------------------------------------------

  -- What of a link is secret: the signature and the token, as they stand and decoded.
  local function secrets_of(uri)
    local found = { uri, assert(uri:match "X%-Amz%-Signature=(%x+)") }
    local token = assert(uri:match "X%-Amz%-Security%-Token=([^&]+)")
    found[3] = token
    found[4] = token:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    return found
  end

  local function assert_silent(...)
    local texts, links = failures.texts({ ... }), 0
    assert.is_true(#texts > 3)
    for _, entry in ipairs(sim:journal()) do
      if entry.operation == "report" then
        links = links + 1
        for _, secret in ipairs(secrets_of(entry.uri)) do
          for _, text in ipairs(texts) do assert.is_nil(text:find(secret, 1, true), text) end
        end
      end
    end
    assert.is_true(links > 0)
  end

  -- What befalls the second link.
  local FAULTS = {
    { "that is refused", { kind = "reply", status = 404 } },
    { "that cannot be reached for now", { kind = "reply", status = 503, times = 3 } },
    { "that is lost on the way", { kind = "reset", times = 3 } },
    { "that is cut short", { kind = "truncate", bytes = 5000, when = "after" } },
    { "that leads elsewhere", { kind = "reply", status = 307, headers = { Location = "https://localhost/" } } },
    { "that leads to no HTTP", { kind = "raw", body = "SSH-2.0\r\n" } },
  }
  for _, case in ipairs(FAULTS) do
    it("tells nothing of a link " .. case[1], function()
      local fault = { operation = "report", skip = 1 }
      for name, value in pairs(case[2]) do fault[name] = value end
      sim:fault(fault)
      local next_record, _, _, closing = client:thing_registration_task_report(params)
      local ok, detail = pcall(count, next_record)
      assert.is_false(ok)
      assert.equal("thing_registration_task_report", detail.operation)
      assert_silent(detail, tostring(detail), events, tostring(next_record), tostring(closing), tostring(client),
        select(2, pcall(next_record)))
    end)
  end

  it("tells nothing of a link that has expired", function()
    sim:settings { link_seconds = -1 }
    local ok, detail = pcall(client:thing_registration_task_report(params))
    assert.is_false(ok)
    assert_silent(detail, tostring(detail), events, tostring(client), "and")
  end)

  local SIGNATURE = ("0123456789abcdef"):rep(4)
  local TOKEN, DECODED = "IQoJb3JpZ2luX2VjEPn%2F%2Bw%3D%3DTOKEN", "IQoJb3JpZ2luX2VjEPn/+w==TOKEN"

  -- Documents that quote the request. %s is the whole link, or a part of it.
  local QUOTING = {
    { "in a message", 400, "<Error><Code>Bad</Code><Message>no: %s</Message></Error>" },
    { "in a code", 403, "<Error><Code>%s</Code><Message>no</Message></Error>" },
    { "in a request id", 500, "<Error><Code>Bad</Code><RequestId>%s</RequestId></Error>" },
    { "elsewhere", 400, "<Error><Code>Bad</Code><Message>no</Message><Resource>%s</Resource></Error>" },
    { "in a page", 502, "<html>%s</html>" },
    { "in a text", 500, "%s" },
  }
  for _, case in ipairs(QUOTING) do
    it("tells nothing of a link that a refusal quotes " .. case[1], function()
      local path = ("/reports-bucket/x?X-Amz-Security-Token=%s&X-Amz-Expires=60&X-Amz-Signature=%s"):format(
        TOKEN, SIGNATURE)
      for _, part in ipairs { sim.endpoint .. path, path, path:match "%?(.*)", SIGNATURE, TOKEN, DECODED } do
        local list = { kind = "reply", operation = LIST_NAME, times = 2,
          body = ('{"resourceLinks":["%s"]}'):format(sim.endpoint .. path) }
        local quoted = part:gsub("&", "&amp;"):gsub("%%", "%%%%")
        local body = case[3]:gsub("%%s", (quoted))
        sim:clear()
        sim:fault { list, { kind = "reply", operation = "report", status = case[2], body = body, times = 2 } }
        local ok, detail = pcall(client:thing_registration_task_report(params))
        assert.is_false(ok)
        assert.equal(case[2], detail.status)
        for _, text in ipairs(failures.texts { detail, tostring(detail), events }) do
          for _, secret in ipairs { SIGNATURE, TOKEN, DECODED } do assert.is_nil(text:find(secret, 1, true), text) end
        end
      end
    end)
  end

  it("has one line to say of a refusal, whatever that says", function()
    sim:settings { report_links = 1 }
    sim:fault { kind = "reply", operation = "report", status = 400, body = "<Error><Code>Bad</Code><Message>a\n\tb"
      .. ("c"):rep(3000) .. "</Message><RequestId>1\n2" .. ("3"):rep(3000) .. "</RequestId></Error>" }
    local ok, detail = pcall(client:thing_registration_task_report(params))
    assert.is_false(ok)
    failures.check({ code = "Bad", status = 400, message = "a bccc", request_id = false }, nil, tostring(detail),
      detail)
  end)

  -- Length ----------------------------------------------------------------------------------------

  it("of a gigabyte needs less than 30 MB of memory", function()
    local things = IS_SANITIZED and 5000 or 672200
    local all = sim:environment()
    all.TASK_ID = sim:seed { plan = { things = things, failures = 0, seconds = 0 } }
    local records, size, last, peak = child.output(WHOLE_REPORT, all, { timeout = 120 })
      :match "^(%d+)\t(%d+)\t(%d+)\t(%d+)\n$"
    assert.same({ things, things }, { tonumber(records), tonumber(last) })
    if IS_SANITIZED then return end
    assert.is_true(tonumber(size) >= 2 ^ 30, size .. " bytes")
    assert.is_true(tonumber(peak) < 30 * 1024, peak .. " kB")
  end)
end)
