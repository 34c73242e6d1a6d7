-- The records of reports, by reference 9.4, from links that hold what a case says.
local errors = require "iot.errors"
local reports = require "iot.reports"

local OPERATION = "thing_registration_task_report"

-- What fails as links.open does.
local function failure(facts, message)
  facts.operation = OPERATION
  return function() return errors.fail(facts, message) end
end

local function expired()
  return errors.fail({ kind = "service", status = 403, code = "AccessDenied" }, "Request has expired")
end

-- A source of links. `documents` leads from a link to its text, the list of its pieces, or a function that opens it.
local function source(lists, documents)
  local self = { operation = OPERATION, listed = 0, opened = {}, closed = 0 }
  function self.serialize(_, _, fn, ...) return fn(...) end
  function self.list()
    self.listed = self.listed + 1
    local list, at = lists[math.min(self.listed, #lists)], 0
    return function()
      at = at + 1
      return list[at]
    end
  end
  function self.open(link)
    table.insert(self.opened, link)
    local document = documents[link]
    if type(document) == "function" then return document() end
    local pieces = type(document) == "table" and document or { document }
    local at = 0
    return {
      read = function()
        at = at + 1
        if type(pieces[at]) == "function" then return pieces[at]() end
        return pieces[at]
      end,
      close = function() self.closed = self.closed + 1 end,
    }
  end
  return self
end

local function one(text) return source({ { "x" } }, { x = text }) end

local function collect(from)
  local records = {}
  for record in reports.records(from) do records[#records + 1] = record end
  return records
end

local function raises(next_record)
  local ok, detail = pcall(next_record)
  assert.is_false(ok)
  assert.equal("table", type(detail), tostring(detail))
  return detail
end

describe("the records of a report", function()
  it("are its lines, decoded, over all links", function()
    local from = source({ { "x", "y", "z" } },
      { x = '{"a":1}\n{"a":2}\n', y = "", z = { '{"a"', ":3}\r\n", '{"a":4}' } })
    local records = collect(from)
    assert.equal(4, #records)
    for i, record in ipairs(records) do
      assert.equal(i, record.number)
      assert.same({ a = i }, record.content)
      assert.equal(('{"a":%d}'):format(i), record.raw)
      assert.is_nil(record.malformed)
    end
    assert.same({ "x", "y", "z" }, from.opened)
    assert.equal(3, from.closed)
    assert.equal(1, from.listed)
  end)

  it("are none without links", function()
    assert.same({}, collect(source({ {} }, {})))
  end)

  it("leave out blank lines", function()
    local records = collect(one "\n{}\n  \r\n\n{}\n\n")
    assert.equal(2, #records)
    assert.equal(2, records[2].number)
  end)

  for _, line in ipairs { "no JSON", "[1]", '"text"', "{", '{"a":NaN}', '{"a":"\255"}', "{}{}", "\0" } do
    it(("keep a line that holds no object, and say why: %q"):format(line), function()
      local records = collect(one("{}\n" .. line .. "\n{}\n"))
      assert.equal(3, #records)
      assert.equal(line, records[2].raw)
      assert.is_nil(records[2].content)
      assert.equal("string", type(records[2].malformed))
      for _, method in ipairs { "reason", "input_line", "input", "certificate_pem", "resource_arns" } do
        assert.is_nil(records[2][method](records[2]), method)
      end
    end)
  end

  it("are cut when they are too long, and marked", function()
    local records = collect(one('{"a":"' .. ("x"):rep(1024 * 1024) .. '"}\n{}\n'))
    assert.equal(2, #records)
    assert.equal(1024 * 1024, #records[1].raw)
    assert.is_nil(records[1].content)
    assert.matches("longer than 1048576 bytes", records[1].malformed, 1, true)
    assert.is_true(records[1].was_cut)
    assert.is_nil(records[2].was_cut)
    assert.same({}, records[2].content)
  end)

  it("hold no nulls", function()
    assert.same({ b = { 1 } }, collect(one '{"a":null,"b":[null,1]}\n')[1].content)
  end)
end)

describe("a record", function()
  local REASONS = {
    { "errors as objects", { errors = { { code = "A", message = "b" }, { message = "c" } } }, "A: b; c" },
    { "errors as texts", { errors = { "a", "b" } }, "a; b" },
    { "one text", { errors = "a" }, "a" },
    { "an error", { error = { Code = "A", Message = "b" } }, "A: b" },
    { "a message", { message = "a" }, "a" },
    { "an errorMessage with a code", { errorMessage = "a", errorCode = "B" }, "B: a" },
    { "a code alone", { errorCode = "B" }, "B" },
    { "a text as response", { response = "a" }, "a" },
    { "errors in the response", { response = { errors = { "a" } } }, "a" },
    { "a message in the response", { response = { Message = "a" } }, "a" },
    { "what is nested deeply", { response = { errors = { { error = { message = "a" } } } } }, "a" },
    { "no error", { response = { CertificatePem = "p", ResourceArns = {} } }, nil },
    { "empty errors", { errors = {}, message = "" }, nil },
    { "another type", { errors = 7 }, nil },
    { "nothing", {}, nil },
  }
  for _, case in ipairs(REASONS) do
    it("tells its reason: " .. case[1], function()
      local text = require("dkjson").encode(case[2])
      assert.equal(case[3], collect(one(text))[1]:reason())
    end)
  end

  it("does not look for a reason without end", function()
    assert.is_nil(collect(one(('{"error":'):rep(200) .. '{"message":"a"}' .. ("}"):rep(200)))[1]:reason())
  end)

  it("tells the line of the input file", function()
    local record = collect(one '{"lineNumber":7,"input":"{\\"a\\":\\"b\\"}"}')[1]
    assert.equal(7, record:input_line())
    assert.equal('{"a":"b"}', record:input())
    record = collect(one '{"line":8,"inputLine":"x"}')[1]
    assert.equal(8, record:input_line())
    assert.equal("x", record:input())
    for _, number in ipairs { "7.5", "0", "-1", "1e300" } do
      assert.is_nil(collect(one('{"lineNumber":' .. number .. "}"))[1]:input_line())
    end
  end)

  -- The first form is known from the service (reference 9.4), the second is that of register_thing.
  for _, line in ipairs {
    '{"response":{"CertificatePem":"p","ResourceArns":{"thing":"arn:a"}}}',
    '{"certificatePem":"p","resourceArns":{"thing":"arn:a"}}',
  } do
    it("tells what was registered: " .. line, function()
      local record = collect(one(line))[1]
      assert.equal("p", record:certificate_pem())
      assert.same({ thing = "arn:a" }, record:resource_arns())
      assert.is_nil(record:reason())
      assert.is_nil(record:input_line())
    end)
  end
end)

describe("a link", function()
  it("that has expired is listed again, with those behind it", function()
    local from = source({ { "x?1", "y?1", "z?1" }, { "x?2", "y?2", "z?2" } },
      { ["x?1"] = "{}", ["y?1"] = expired, ["y?2"] = '{"a":1}', ["z?2"] = '{"a":2}' })
    local records = collect(from)
    assert.same({ "x?1", "y?1", "y?2", "z?2" }, from.opened)
    assert.equal(2, from.listed)
    assert.equal(3, #records)
    assert.equal(2, records[3].content.a)
  end)

  it("that has expired is found where it stands then, by what it leads to", function()
    local from = source({ { "x?1", "y?1" }, { "new?2", "x?2", "more?2", "y?2" } },
      { ["x?1"] = "{}", ["y?1"] = expired, ["y?2"] = '{"a":1}' })
    local records = collect(from)
    assert.same({ "x?1", "y?1", "y?2" }, from.opened)
    assert.equal(1, records[2].content.a)
  end)

  it("that has expired again is the failure; one behind it may be listed again, too", function()
    local from = source({ { "x" }, { "x" } }, { x = expired })
    local detail = raises(reports.records(from))
    assert.equal(403, detail.status)
    assert.equal(2, from.listed)
    from = source({ { "x?1", "y?1" }, { "x?2", "y?2" }, { "x?3", "y?3" } },
      { ["x?1"] = expired, ["x?2"] = "{}", ["y?2"] = expired, ["y?3"] = "{}" })
    assert.equal(2, #collect(from))
    assert.equal(3, from.listed)
  end)

  it("that is gone from the new list is the failure, and stays it", function()
    local next_record = reports.records(source({ { "x", "y" }, { "y" } }, { x = expired, y = "{}" }))
    assert.equal("AccessDenied", raises(next_record).code)
    assert.equal("AccessDenied", raises(next_record).code)
  end)

  for _, case in ipairs {
    { "ExpiredToken", { kind = "service", status = 400, code = "ExpiredToken" }, 2 },
    { "NoSuchKey", { kind = "service", status = 404, code = "NoSuchKey" }, 1 },
    { "a lost connection", { code = "ConnectionLost" }, 1 },
  } do
    it("is listed again for no other reason: " .. case[1], function()
      local from = source({ { "x" } }, { x = failure(case[2], "no") })
      raises(reports.records(from))
      assert.equal(case[3], from.listed)
    end)
  end

  it("that could not be opened is tried again when the iterator is called again", function()
    local down = true
    local from = source({ { "x", "y" } }, { x = '{"a":1}', y = function()
      if down then return errors.fail({ code = "ConnectionFailed", operation = OPERATION }, "refused") end
      return { read = (function()
        local texts = { '{"a":2}' }
        return function() return table.remove(texts) end
      end)(), close = function() end }
    end })
    local next_record = reports.records(from)
    assert.equal(1, next_record().content.a)
    assert.equal("ConnectionFailed", raises(next_record).code)
    assert.equal("ConnectionFailed", raises(next_record).code)
    down = false
    assert.equal(2, next_record().content.a)
    assert.is_nil(next_record())
    assert.equal(1, from.listed)
  end)

  it("that fails in the middle ends the iteration for good", function()
    local function lost() return nil, "it was lost", { code = "ConnectionLost" } end
    local from = source({ { "x", "y" } }, { x = { '{"a":1}\n{"a', lost }, y = "{}" })
    local next_record = reports.records(from)
    assert.equal(1, next_record().content.a)
    for _ = 1, 2 do
      local detail = raises(next_record)
      assert.equal("ConnectionLost", detail.code)
      assert.equal(OPERATION, detail.operation)
      assert.equal(OPERATION .. ": it was lost", tostring(detail))
    end
    assert.equal(1, from.closed)
    assert.same({ "x" }, from.opened)
  end)

  it("that is compressed without saying so is an error, not a heap of records", function()
    for _, document in ipairs { "\31\139\8\0\n\n", { "\31", "\139\8\0\n", "\n" } } do
      local detail = raises(reports.records(one(document)))
      assert.equal("MalformedResponse", detail.code)
      assert.matches("Content-Encoding", detail.message, 1, true)
    end
    assert.equal(2, #collect(one { "{}\n", "\31\139\n" }))
  end)

  it("is closed by the closing value of the loop", function()
    local from = one '{}\n{}\n'
    local next_record, _, _, closing = reports.records(from)
    next_record()
    assert.equal(0, from.closed)
    getmetatable(closing).__close(closing)
    assert.equal(1, from.closed)
    getmetatable(closing).__close(closing)
    assert.equal(1, from.closed)
    assert.has_error(next_record, "attempt to go on with a report whose loop was left")
  end)

  it("that was read to its end is none that was left", function()
    local from = one "{}\n{}"
    local next_record, _, _, closing = reports.records(from)
    while next_record() do end
    getmetatable(closing).__close(closing)
    assert.is_nil(next_record())
  end)
end)
