-- The records of reports, against the simulator: what they hold, links that expire, and how a report fails.
local core = require "iot.core"
local iot = require "iot"
local download_rig = require "spec.support.download_rig"
local failures = require "spec.support.failures"
local json = require "spec.support.json"
local simulator = require "spec.support.simulator"

local OPERATION = "thing_registration_task_report"
local LIST, LIST_NAME = "list_thing_registration_task_reports", "ListThingRegistrationTaskReports"

local sim, client, task_id

-- Begin the RESULTS, or another report, of the task of these specs, or of another.
local function begin(report_type, id, from)
  local params = { taskId = id or task_id, reportType = report_type or "RESULTS" }
  local next_record = (from or client):thing_registration_task_report(params)
  return next_record
end

-- All records of an iterator. No generic for, which could not wait within a map in Lua 5.1.
local function collect(next_record)
  local records, record = {}, next_record()
  while record do
    records[#records + 1] = record
    record = next_record()
  end
  return records
end

-- What an iterator raises, sooner or later, and the records before.
local function failure_of(next_record)
  local records = {}
  while true do
    local ok, record = pcall(next_record)
    if not ok then return record, records end
    assert(record, "the report came to an end")
    records[#records + 1] = record
  end
end

local function check(expected, detail)
  failures.check(expected, nil, tostring(detail), detail)
end

local function journal_of(operation)
  local entries = {}
  for _, entry in ipairs(sim:journal()) do
    if entry.operation == operation then entries[#entries + 1] = entry end
  end
  return entries
end

local function refusal(status, code, message)
  local body = '<?xml version="1.0"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>'
  return { kind = "reply", operation = "report", status = status, body = body:format(code, message or "no") }
end

-- The links of the next report are these.
local function link_to(...)
  local links = { ... }
  for index, link in ipairs(links) do links[index] = ('"%s"'):format(link) end
  local body = ('{"resourceLinks":[%s]}'):format(table.concat(links, ","))
  sim:fault { kind = "reply", operation = LIST_NAME, body = body }
end

-- The document behind the next link.
local function document(body, headers)
  sim:fault { kind = "reply", operation = "report", body = body, headers = headers }
end

local function new_client(changes)
  return assert(iot.new(sim:options(changes)))
end

describe("a report", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    task_id = sim:seed { plan = { things = 300, failures = 60, seconds = 0 } }
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    sim:settings { report_links = 3 }
    client = new_client()
  end)
  after_each(function() client:close() end)

  -- Records ---------------------------------------------------------------------------------------

  for _, encoding in ipairs { "", "gzip" } do
    local how = encoding == "" and "plain" or "compressed"

    it("of successes has a record for each, over all links, " .. how, function()
      sim:settings { report_encoding = encoding }
      local lines, records = {}, collect(begin())
      assert.equal(240, #records)
      for number, record in ipairs(records) do
        assert.equal(number, record.number)
        assert.is_nil(record.malformed)
        assert.is_nil(record:reason())
        assert.same(json.decode(record.raw), record.content)
        lines[record:input_line()] = true
        assert.matches((":thing/thing%%-%08d$"):format(record:input_line()), record:resource_arns().thing)
        assert.matches("^%-+BEGIN CERTIFICATE.*\n%-+END CERTIFICATE%-+\n$", record:certificate_pem())
      end
      for line = 1, 300 do assert.equal(line % 5 ~= 0, lines[line] == true) end
      assert.equal(3, #journal_of "report")
      assert.equal(1, #journal_of(LIST_NAME))
    end)

    it("of failures has a record for each, with its reason, " .. how, function()
      sim:settings { report_encoding = encoding }
      local shapes = {
        list = "^%a+Exception: .", text = "^%a+Exception: .", response = "^%a+Exception: .", mixed = true, plain = true,
      }
      for shape, reason in pairs(shapes) do
        sim:settings { report_errors = shape }
        local records = collect(begin "ERRORS")
        assert.equal(60, #records)
        for number, record in ipairs(records) do
          assert.equal(number, record.number)
          if shape == "plain" or shape == "mixed" and number % 4 == 0 then
            assert.matches("^Line " .. number * 5 .. ": %a+Exception: .", record.raw)
            assert.is_nil(record.content)
            assert.is_string(record.malformed)
            assert.is_nil(record:reason() or record:input() or record:input_line() or record:certificate_pem())
          else
            assert.is_nil(record.malformed)
            assert.equal(number * 5, record:input_line())
            assert.matches(reason == true and shapes.list or reason, record:reason())
            if shape == "list" or shape == "text" then assert.matches('^{"ThingName":', record:input()) end
          end
        end
      end
    end)
  end

  it("loses no line, whatever it is", function()
    local max = 1024 * 1024
    local long = ("x"):rep(max + 5)
    local just = '{"a":"' .. ("y"):rep(max - 8) .. '"}'
    assert.equal(max, #just)
    local body = '\n{"lineNumber":1}\n \t\r\n\r\nno JSON\n[1,2]\n"text"\n{"lineNumber":2}\r\n' .. long .. "\n" .. just
      .. '\n{"a":\n\255\254\n\0\n{"lineNumber":3}'
    for _, headers in ipairs { {}, { ["Content-Encoding"] = "gzip" } } do
      link_to(sim.endpoint .. "/reports-bucket/x?y")
      document(next(headers) and download_rig.gzip(body) or body, headers)
      local found = {}
      for _, record in ipairs(collect(begin())) do
        assert.equal(#found + 1, record.number)
        assert.is_true((record.content == nil) == (record.malformed ~= nil), record.malformed)
        assert.is_true(not record.malformed or failures.is_printable(record.malformed))
        found[record.number] = record
      end
      local raws = {}
      for number, record in ipairs(found) do raws[number] = #record.raw < 100 and record.raw or #record.raw end
      assert.same({ '{"lineNumber":1}', "no JSON", "[1,2]", '"text"', '{"lineNumber":2}', max, max, '{"a":', "\255\254",
        "\0", '{"lineNumber":3}' }, raws)
      assert.matches("longer than 1048576 bytes", found[6].malformed)
      assert.equal(max - 8, #found[7].content.a)
      for _, number in ipairs { 2, 4, 6, 8, 9, 10 } do assert.is_string(found[number].malformed, number) end
      assert.equal(3, found[11]:input_line())
    end
  end)

  it("that has no links has no record", function()
    for _, kind in ipairs { "RESULTS", "ERRORS" } do
      local next_record = begin(kind, sim:seed { status = "InProgress" })
      for _ = 1, 3 do assert.is_nil((next_record())) end
    end
    assert.equal(0, #journal_of "report")
  end)

  it("asks for its links as they are, unsigned", function()
    local path = "/reports-bucket//a%2f..%2F/./b/../it's(1)+~*!?X-Amz-Signature=%7e~&&x=&y+%20#"
    link_to(sim.endpoint .. path:gsub("#", ""), sim.endpoint .. path:gsub("#", "2"))
    document "{}\n"
    document "{}\n"
    assert.equal(2, #collect(begin()))
    local entries = journal_of "report"
    assert.same({ (path:gsub("#", "")), (path:gsub("#", "2")) }, { entries[1].uri, entries[2].uri })
    for _, entry in ipairs(entries) do
      assert.same({ { "Host", sim.endpoint:match "//(.*)$" } }, entry.headers)
      assert.equal("GET", entry.method)
    end
  end)

  it("does not mind what becomes of the params", function()
    sim:settings { page_size = 1 }
    local params = { taskId = task_id, reportType = "ERRORS" }
    local next_record = client:thing_registration_task_report(params)
    assert(next_record())
    params.taskId, params.reportType = "other", nil
    assert.equal(59, #collect(next_record))
    assert.same({ taskId = "other" }, params)
  end)

  -- Links that expire -----------------------------------------------------------------------------

  it("lists a link that has expired again, and goes on where it was", function()
    local next_record = begin()
    local records = { assert(next_record()) }
    sim:expire_links()
    for _, record in ipairs(collect(next_record)) do records[#records + 1] = record end
    assert.equal(240, #records)
    for number, record in ipairs(records) do assert.equal(number, record.number) end
    local lines = {}
    for _, record in ipairs(records) do
      assert.is_nil(lines[record:input_line()])
      lines[record:input_line()] = true
    end
    assert.equal(2, #journal_of(LIST_NAME)) -- the second time for both links that were left
    assert.equal(4, #journal_of "report")
  end)

  it("lists a link again after whatever refusal tells that its time is over", function()
    for _, fault in ipairs { refusal(400, "ExpiredToken"), refusal(403, "SignatureDoesNotMatch"),
      { kind = "reply", operation = "report", status = 403, body = "" } } do
      sim:clear()
      sim:fault(fault)
      assert.equal(60, #collect(begin "ERRORS"))
      assert.equal(2, #journal_of(LIST_NAME))
    end
  end)

  it("fails when a link has expired again", function()
    sim:settings { link_seconds = -1 }
    local next_record = begin()
    local expected = { kind = "service", code = "AccessDenied", status = 403, operation = OPERATION, attempts = 1,
      retryable = false, message = "expired" }
    check(expected, (failure_of(next_record)))
    assert.equal(2, #journal_of(LIST_NAME))
    assert.equal(2, #journal_of "report")
    check(expected, (failure_of(next_record)))
    sim:settings { link_seconds = 3600 }
    assert.equal(240, #collect(next_record))
  end)

  it("fails when the list that is asked for again does", function()
    local next_record = begin()
    assert(next_record())
    sim:expire_links()
    sim:fault { kind = "reply", operation = LIST_NAME, status = 400, body = '{"message":"gone"}' }
    local detail, records = failure_of(next_record)
    check({ kind = "service", code = "400", operation = LIST, message = "gone" }, detail)
    assert.equal(79, #records)
    assert.equal(160, #collect(next_record))
  end)

  -- Failures --------------------------------------------------------------------------------------

  it("is tried again as the client says, and each attempt is an event", function()
    local own = {}
    local patient = new_client { retry = { max_attempts = 3 }, on_event = function(event) own[#own + 1] = event end }
    sim:fault { { kind = "reply", operation = "report", status = 503 }, refusal(500, "InternalError"),
      { kind = "truncate", operation = "report", bytes = 0, skip = 1 },
      { kind = "truncate", operation = "report", bytes = 0, skip = 1 } }
    assert.equal(240, #collect(begin("RESULTS", nil, patient)))
    patient:close()
    local seen = {}
    for _, event in ipairs(own) do
      if event.operation == OPERATION then
        seen[#seen + 1] = ("%d %s %s"):format(event.attempt, tostring(event.status), tostring(event.code))
        assert.is_true(event.duration >= 0 and event.delay >= 0)
        assert.equal("static", event.credentials_source)
      else
        assert.equal(LIST, event.operation)
      end
    end
    assert.same({ "1 503 503", "2 500 InternalError", "3 200 nil", "1 nil ConnectionLost", "2 nil ConnectionLost",
      "3 200 nil", "1 200 nil" }, seen)
  end)

  it("that could not be opened is tried again with the next call", function()
    sim:fault { refusal(503, "SlowDown", "Please reduce your request rate."), refusal(404, "NoSuchKey") }
    local next_record = begin()
    check({ kind = "service", code = "SlowDown", status = 503, throttled = true, retryable = true,
      operation = OPERATION, message = "reduce your request rate" }, (failure_of(next_record)))
    check({ kind = "service", code = "NoSuchKey", status = 404, throttled = false, retryable = false },
      (failure_of(next_record)))
    assert.equal(240, #collect(next_record))
    assert.equal(1, #journal_of(LIST_NAME))
  end)

  -- What fails in the middle of a document, after its first 100 kB: the fault, and what is expected.
  local MIDDLE = {
    { "a connection that ends", { kind = "truncate", bytes = 100000 },
      { kind = "transport", code = "ConnectionLost" } },
    { "silence", { kind = "stall", bytes = 100000 },
      { kind = "timeout", code = "Timeout" } },
  }
  for _, case in ipairs(MIDDLE) do
    it("fails for good in the middle of a document, for " .. case[1], function()
      local fault = { operation = "report", skip = 1 }
      for name, value in pairs(case[2]) do fault[name] = value end
      sim:fault(fault)
      local other = new_client { read_timeout = 0.2, retry = { max_attempts = 3 } }
      local next_record = begin("RESULTS", nil, other)
      local detail, records = failure_of(next_record)
      case[3].operation, case[3].retryable = OPERATION, true
      check(case[3], detail)
      assert.is_true(#records > 100 and #records < 160, #records)
      for _, record in ipairs(records) do assert.is_nil(record.malformed) end
      for _ = 1, 3 do
        local again, none = failure_of(next_record)
        assert.equal(detail, again)
        assert.same({}, none)
      end
      other:close()
      assert.equal(2, #journal_of "report")
    end)
  end

  it("fails when a document is compressed and does not say so, or says so and is not", function()
    local text = download_rig.text(5000)
    for _, case in ipairs { { download_rig.gzip(text), {}, "Content%-Encoding" },
      { text, { ["Content-Encoding"] = "gzip" }, "" },
      { text, { ["Content-Encoding"] = "rot13" }, "not gzip" } } do
      link_to(sim.endpoint .. "/reports-bucket/x")
      document(case[1], case[2])
      local detail, records = failure_of(begin())
      check({ kind = "response", code = "MalformedResponse", operation = OPERATION, retryable = false }, detail)
      assert.matches(case[3], tostring(detail))
      assert.same({}, records)
    end
  end)

  -- What the service's list says, and what comes of it.
  local LISTS = {
    { "a link that is no URL", '["reports/7.json?X-Amz-Signature=SECRET"]', "MalformedResponse", OPERATION },
    { "a link with a user", '["https://user:SECRET@localhost/"]', "MalformedResponse", OPERATION },
    { "a link that is empty", '[""]', "MalformedResponse", OPERATION },
    { "a link in the clear", '["http://127.0.0.1:1/?SECRET"]', "MalformedResponse", OPERATION },
    { "a link in the clear, in capitals", '["HTTP://127.0.0.1:1/?SECRET"]', "MalformedResponse", OPERATION },
    { "a link to nowhere", '["https://127.0.0.1:1/?SECRET"]', "ConnectionFailed", OPERATION },
    { "links that are no texts", "[1]", "MalformedResponse", LIST },
    { "links that are no list", '"https://localhost/SECRET"', "MalformedResponse", LIST },
  }
  for _, case in ipairs(LISTS) do
    it("fails for " .. case[1], function()
      sim:fault { kind = "reply", operation = LIST_NAME, body = ('{"resourceLinks":%s}'):format(case[2]) }
      local detail = failure_of(begin())
      check({ code = case[3], operation = case[4] }, detail)
      assert.is_nil(tostring(detail):find("SECRET", 1, true))
    end)
  end

  it("follows a link in the clear when its endpoint is", function()
    local plain = new_client { endpoint = sim.plain_endpoint }
    link_to(sim.plain_endpoint .. "/reports-bucket/x")
    document '{"lineNumber":7}'
    assert.equal(7, begin("RESULTS", nil, plain)():input_line())
    plain:close()
  end)

  it("of a task that is unknown fails, and so does one that cannot be asked for", function()
    check({ kind = "service", code = "InvalidRequestException", status = 400, operation = LIST, message = "nobody" },
      (failure_of(begin("RESULTS", "nobody"))))
    check({ kind = "service", code = "InvalidRequestException", operation = LIST, message = "reporttype" },
      (failure_of(begin "results")))
    sim:clear()
    for _, params in ipairs { {}, { taskId = "", reportType = "ERRORS" }, { taskId = "a" },
      { taskId = "a", reportType = 5 }, { taskId = "a", reportType = "ERRORS", other = "x" } } do
      check({ kind = "validation", code = "InvalidParameter", operation = LIST, attempts = 0 },
        (failure_of(client:thing_registration_task_report(params))))
    end
    assert.equal(0, #sim:journal())
  end)

  it("of a closed client, or of what is no client, raises at once", function()
    local other = new_client()
    other:close()
    for words, call in pairs {
      ["closed client"] = function() begin("RESULTS", nil, other) end,
      ["with a colon"] = function() client.thing_registration_task_report { taskId = task_id } end,
      ["'params'"] = function() client:thing_registration_task_report(5) end,
      ["'limit'"] = function() client:thing_registration_task_report({}, { limit = 5 }) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches(words, message)
      assert.matches("report_spec.lua:%d+:", message)
    end
  end)

  it("whose links are slow to come is waited for no longer than the call may take", function()
    sim:fault { kind = "stall", operation = LIST_NAME }
    local started = core.monotonic()
    local next_record = client:thing_registration_task_report({ taskId = task_id, reportType = "ERRORS" },
      { timeout = 0.2 })
    check({ kind = "timeout", code = "Timeout", operation = LIST }, (failure_of(next_record)))
    assert.is_true(core.monotonic() - started < 2)
    assert.equal(60, #collect(next_record))
  end)

  it("whose document does not come is waited for no longer than the call may take, in a map too", function()
    local function wait()
      sim:fault { kind = "delay", seconds = 5, operation = "report" }
      local started = core.monotonic()
      local next_record = client:thing_registration_task_report({ taskId = task_id, reportType = "ERRORS" },
        { timeout = 0.2 })
      local detail = failure_of(next_record)
      check({ kind = "timeout", code = "Timeout", operation = OPERATION, message = "did not answer in time" }, detail)
      assert.is_true(core.monotonic() - started < 2)
      assert.equal(60, #collect(next_record))
      return true
    end
    wait()
    -- In Lua 5.1 nothing can wait across the pcall of failure_of.
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then return end
    local results, failed = iot.map({ 1 }, wait)
    assert.is_true(results[1], failed[1] and failed[1].traceback)
  end)

  it("that goes on with a client that was closed meanwhile raises", function()
    sim:settings { report_links = 2 }
    local other = new_client()
    local next_record = begin("RESULTS", nil, other)
    next_record()
    other:close()
    assert.has_error(function() collect(next_record) end, "attempt to use a closed client")
  end)
end)
