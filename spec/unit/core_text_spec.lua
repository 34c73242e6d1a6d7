-- Texts that the C module reads and writes: JSON, times, ids; and chance.
local core = require "iot.core"

local integer_type = rawget(math, "type") or function() return "integer" end

local function assert_raises(fn, ...)
  assert.is_false((pcall(fn, ...)))
end

describe("JSON", function()
  -- Text, and the table that it is.
  local GOOD = {
    { "{}", {} },
    { " \n{\"a\":\"b\"} \r\n", { a = "b" } },
    { '{"a":null,"b":1}', { b = 1 } },
    { '{"a":{"b":null,"c":[1,null,2]}}', { a = { c = { 1, 2 } } } },
    { '{"a":true,"b":false,"c":-1.5,"d":1e2}', { a = true, b = false, c = -1.5, d = 100 } },
    { '{"a":"\\u00fc\\n\\u0000"}', { a = "\195\188\n\0" } },
    { '{"a":[]}', { a = {} } },
    { '{"":"empty"}', { [""] = "empty" } },
  }

  for _, case in ipairs(GOOD) do
    it("is read: " .. case[1]:gsub("%s+", " "), function()
      assert.same(case[2], core.decode_json(case[1]))
    end)
  end

  local BAD = {
    "", " ", "null", "5", '"text"', "[]", "[1]", "true", "{", "{}{}", '{"a":}', "{'a':1}", '{"a":1', "{}\0", "\0{}",
    '{"a":"\255"}', '{"a":1e999}', "<html></html>", '{"a":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}",
  }

  for i, text in ipairs(BAD) do
    it(("is not read when it is no object (%d: %s)"):format(i, (text:sub(1, 20):gsub("%c", "?"))), function()
      local value, reason = core.decode_json(text)
      assert.is_nil(value)
      assert.equal("string", type(reason))
      assert.is_true(#reason > 0)
    end)
  end

  it("has whole numbers as integers", function()
    local numbers = core.decode_json '{"a":1,"b":1.0,"c":1640995200000,"d":0.5}'
    assert.equal("integer", integer_type(numbers.a))
    assert.equal("integer", integer_type(numbers.c))
    assert.equal(1640995200000, numbers.c)
    assert.equal(0.5, numbers.d)
  end)

  it("is written so that it is the same when read", function()
    for _, value in ipairs {
      { text = "a\"b\\c\n\0\195\188/", number = 1.5, whole = 1640995200, yes = true, no = false },
      { nested = { list = { 1, 2, 3 }, table = { a = "b" } } },
    } do
      assert.same(value, core.decode_json((assert(core.encode_json(value)))))
    end
  end)

  it("is not written of what it cannot hold", function()
    local round = {}
    round.round = round
    for _, value in ipairs { { fn = print }, { number = 0 / 0 }, { number = math.huge }, { [{}] = 1 }, round } do
      local text, reason = core.encode_json(value)
      assert.is_nil(text)
      assert.equal("string", type(reason))
    end
  end)

  it("is read of a text, and written of a table", function()
    for _, value in ipairs { 5, {}, false } do assert_raises(core.decode_json, value) end
    for _, value in ipairs { 5, "text", false } do assert_raises(core.encode_json, value) end
    assert_raises(core.decode_json)
    assert_raises(core.encode_json)
  end)
end)

describe("a time", function()
  local GOOD = {
    ["1970-01-01T00:00:00Z"] = 0,
    ["2018-01-18T09:18:06Z"] = 1516267086,
    ["2030-01-31T12:00:00Z"] = 1896091200,
    ["2030-01-31T12:00:00z"] = 1896091200,
    ["2030-01-31T13:30:00+01:30"] = 1896091200,
    ["2030-01-31T04:00:00-08:00"] = 1896091200,
    ["2030-01-31T12:00:00+00:00"] = 1896091200,
    ["2030-01-31T12:00:00.5Z"] = 1896091200.5,
    ["2030-01-31T12:00:00.000000000Z"] = 1896091200,
    ["2024-02-29T00:00:00Z"] = 1709164800,
    ["2000-02-29T23:59:59Z"] = 951868799,
    ["9999-12-31T23:59:59Z"] = 253402300799,
    ["1969-12-31T23:59:59Z"] = -1,
  }

  for text, seconds in pairs(GOOD) do
    it("is " .. text, function() assert.equal(seconds, core.parse_time(text)) end)
  end

  local BAD = {
    "", "soon", "1896091200", "2030-01-31", "2030-01-31T12:00:00", "2030-01-31 12:00:00", "2030-01-31T12:00Z",
    "2030-1-31T12:00:00Z", "2030-13-01T12:00:00Z", "2030-00-01T12:00:00Z", "2030-01-32T12:00:00Z",
    "2030-02-29T12:00:00Z", "2100-02-29T12:00:00Z", "2030-01-31T24:00:01Z", "2030-01-31T12:60:00Z",
    "2030-01-31T12:00:61Z", "2030-01-31T12:00:00.Z", "2030-01-31T12:00:00Zx", "2030-01-31T12:00:00Z\0",
    " 2030-01-31T12:00:00Z", "2030-01-31T12:00:00+24:00", "2030-01-31T12:00:00+01:60", "2030-01-31T12:00:00+1:00",
    "2030-01-31T12:00:00+0100", "+030-01-31T12:00:00Z", "2030-01-31T12:-1:00Z", "Thu, 31 Jan 2030 12:00:00 GMT",
  }

  for i, text in ipairs(BAD) do
    it(("is not %d: %s"):format(i, (text:gsub("%c", "?"))), function() assert.is_nil(core.parse_time(text)) end)
  end

  it("is read of a text", function()
    for _, read in ipairs { core.parse_time, core.parse_http_date } do
      for _, value in ipairs { 5, {}, false } do assert_raises(read, value) end
      assert_raises(read)
    end
  end)

  it("is a date of HTTP, too", function()
    assert.equal(784111777, core.parse_http_date "Sun, 06 Nov 1994 08:49:37 GMT")
    assert.is_nil(core.parse_http_date "")
    assert.is_nil(core.parse_http_date "2030-01-31T12:00:00Z")
  end)
end)

describe("chance", function()
  it("gives ids of version 4, each another", function()
    local seen = {}
    for _ = 1, 1000 do
      local id = core.uuid()
      assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", id)
      assert.equal(id:lower(), id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("gives numbers all over from 0 up to, not including, 1", function()
    local tenths = {}
    for _ = 1, 2000 do
      local number = core.random()
      assert.is_true(number >= 0 and number < 1)
      tenths[math.floor(number * 10)] = true
    end
    for i = 0, 9 do assert.is_true(tenths[i], ("none from %g on"):format(i / 10)) end
  end)
end)

describe("a file", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function write(text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
  end

  it("is read whole, up to its limit", function()
    for _, text in ipairs { "", "a", "a\0\r\n\255", ("x"):rep(10000) } do
      write(text)
      assert.equal(text, core.read_file(path, 10000))
    end
    write(("x"):rep(10001))
    assert.same({ nil, "it is larger than 10000 bytes", false }, { core.read_file(path, 10000) })
    assert.equal("", core.read_file("/dev/null", 10))
    assert.same({ nil, "it is larger than 10 bytes", false }, { core.read_file("/dev/zero", 10) })
  end)

  it("that cannot be read says why, and whether it is missing", function()
    assert.same({ nil, "No such file or directory", true }, { core.read_file(path .. ".none", 10) })
    assert.same({ nil, "Not a directory", false }, { core.read_file(path .. "/below", 10) })
    assert.same({ nil, "Is a directory", false }, { core.read_file("/tmp", 10) })
  end)

  it("that is a pipe without a writer holds no one up", function()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local started = core.monotonic()
    assert.equal("", core.read_file(path, 10))
    assert.is_true(core.monotonic() - started < 1)
  end)

  it("may be checked before others read it: a plain one, not huge", function()
    write "a"
    assert.is_true(core.check_file(path))
    assert.same({ nil, path .. ".none: No such file or directory" }, { core.check_file(path .. ".none") })
    assert.same({ nil, "/tmp: Is a directory" }, { core.check_file "/tmp" })
    assert.same({ nil, "/dev/zero: it is no plain file" }, { core.check_file "/dev/zero" })
    local file = assert(io.open(path, "wb"))
    file:seek("set", 2 ^ 24)
    file:write "a"
    file:close()
    assert.same({ nil, path .. ": it is too large to be one" }, { core.check_file(path) })
  end)

  it("is named by a string without a NUL", function()
    assert.same({ nil, "its name holds a NUL", false }, { core.read_file("a\0b", 10) })
    assert.has_error(function() core.read_file({}, 10) end)
    assert.has_error(function() core.read_file(path, 0 / 0) end)
  end)
end)

it("percent-encoding leaves the unreserved characters alone", function()
  assert.equal("aZ0-._~%2F%20%25%00%C3%A9", core.percent_encode "aZ0-._~/ %\0\195\169")
  assert.equal("", core.percent_encode "")
end)

it("white space in the middle of a long text costs no time to trim around", function()
  local trim = require("iot.excerpt").trim
  local long = "x" .. (" "):rep(200000) .. "y"
  local started = core.monotonic()
  assert.equal(long, trim("  " .. long .. "\n"))
  assert.equal("", trim((" "):rep(200000)))
  assert.is_true(core.monotonic() - started < 1)
end)
