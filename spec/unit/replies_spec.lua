-- What a reply of success means. Expected results are those of the project's reference of AWS client
-- behaviour (1.8, 4.4), not of the code. For replies of failure see error_replies_spec.lua.
local environment = require "spec.support.environment"
local replies = require "spec.support.replies"

local parse, call, assert_malformed = replies.parse, replies.call, replies.assert_malformed

before_each(function() environment.replace() end)
after_each(environment.restore)

local function body(text) return parse { body = text } end

local math_type = rawget(math, "type")

local function assert_integer(expected, value)
  assert.equal("number", type(value))
  assert.equal(expected, value)
  if math_type then
    assert.equal("integer", math_type(value))
  else
    assert.is_nil(tostring(value):find "[.e]")
  end
end

-- Nothing but what plain Lua has, at any depth.
local function assert_plain(value)
  local kind = type(value)
  assert.is_true(kind == "table" or kind == "string" or kind == "number" or kind == "boolean", kind)
  if kind ~= "table" then return end
  assert.is_nil(getmetatable(value))
  for key, inner in pairs(value) do
    assert_plain(key)
    assert_plain(inner)
  end
end

-- Success ------------------------------------------------------------------------------------

describe("a description", function()
  local FULL = [[ {"taskId":"t","creationDate":1555555555.123,"lastModifiedDate":1.5555556E9,"templateBody":"{}",
    "inputFileBucket":"b","inputFileKey":"k","roleArn":"r","status":"Completed","message":"m\u00e9\ud83d\ude00",
    "successCount":12,"failureCount":0,"percentageProgress":100}]] .. "\r\n"

  it("has its twelve members with their types", function()
    local task = assert(body(FULL))
    assert_plain(task)
    assert.same({
      taskId = "t", creationDate = 1555555555.123, lastModifiedDate = 1555555600, templateBody = "{}",
      inputFileBucket = "b", inputFileKey = "k", roleArn = "r", status = "Completed",
      message = "m\195\169\240\159\152\128", successCount = 12, failureCount = 0, percentageProgress = 100,
    }, task)
    for _, name in ipairs { "successCount", "failureCount", "percentageProgress" } do
      assert_integer(task[name], task[name])
    end
    assert.same(task, (call { body = FULL }))
  end)

  for _, status in ipairs { 200, 201, 202, 204, 299 } do
    it("is empty when the body is, with status " .. status, function()
      assert.same({}, (parse { status = status }))
      assert.same({}, (parse { status = status, body = " \t\r\n" }))
      assert.same({}, (call { status = status }))
    end)
  end

  it("keeps members that are not known", function()
    local task = body '{"taskId":"t","new":{"a":[1,"x",true,{"b":false}],"c":"","1":"one"},"flag":false,"list":[]}'
    assert_plain(task)
    assert.same({ taskId = "t", new = { a = { 1, "x", true, { b = false } }, c = "", ["1"] = "one" }, flag = false,
      list = {} }, task)
  end)

  it("has a state that nobody has heard of, and text of any length", function()
    assert.equal("Resting", body('{"status":"Resting"}').status)
    local text = ("x\195\169"):rep(100000)
    assert.equal(text, body('{"templateBody":"' .. text .. '"}').templateBody)
    assert.equal("a\0b", body('{"message":"a\\u0000b"}').message)
  end)

  local NULLS = {
    { "a member", '{"taskId":null,"status":null,"successCount":null,"creationDate":null}', {} },
    { "an unknown member", '{"x":null}', {} },
    { "a member of a member", '{"x":{"a":null,"b":{"c":null,"d":1}}}', { x = { b = { d = 1 } } } },
    { "an element", '{"x":[null]}', { x = {} } },
    { "elements between others", '{"x":[null,1,null,null,2,null]}', { x = { 1, 2 } } },
    { "elements of elements", '{"x":[[null,[null,"a"]],null,{"b":[null]}]}', { x = { { { "a" } }, { b = {} } } } },
    { "all members of an element", '{"x":[{"a":null},{"a":null,"b":2}]}', { x = { {}, { b = 2 } } } },
  }
  for _, case in ipairs(NULLS) do
    it("has no null for " .. case[1], function()
      local task = body(case[2])
      assert_plain(task)
      assert.same(case[3], task)
    end)
  end

  it("has no null at any depth", function()
    local depth = 300
    local task = body('{"x":' .. ('[{"y":null,"z":'):rep(depth) .. "null" .. ("},null]"):rep(depth) .. "}")
    assert_plain(task)
    local inner = task.x
    for _ = 1, depth do
      assert.equal(1, #inner)
      assert.is_nil(inner[1].y)
      inner = inner[1].z
    end
    assert.is_nil(inner)
  end)

  it("may hold a key twice", function()
    assert.equal("B", body('{"status":"A","status":"B"}').status)
    assert.is_nil(body('{"status":"A","status":null}').status)
  end)

  it("may follow a malformed one", function()
    assert.is_nil((body "{"))
    assert.same({ taskId = "t" }, (body '{"taskId":"t"}'))
  end)
end)

describe("a count", function()
  local INTEGERS = {
    { "0", 0 }, { "12", 12 }, { "12.0", 12 }, { "1.2e1", 12 }, { "12E+0", 12 }, { "1200e-2", 12 },
    { "-3", -3 }, { "-0.0", 0 }, { "2147483647", 2147483647 }, { "4294967296.0", 4294967296 },
  }
  for _, case in ipairs(INTEGERS) do
    it(("of %s is an integer"):format(case[1]), function()
      local task = assert(body('{"successCount":' .. case[1] .. ',"failureCount":' .. case[1] .. "}"))
      assert_integer(case[2], task.successCount)
      assert_integer(case[2], task.failureCount)
    end)
  end

  for _, text in ipairs { "1.9", "0.5", "-1.5", "1e-3", "1e300", '"12"', '"x"', "true", "false", "{}", "[]", "[1]" } do
    it(("cannot be %s"):format(text), function()
      for _, name in ipairs { "successCount", "failureCount", "percentageProgress" } do
        assert_malformed { body = ('{"taskId":"t","%s":%s}'):format(name, text) }
      end
    end)
  end
end)

describe("a time", function()
  local TIMES = {
    { "0", 0 }, { "1555555555", 1555555555 }, { "1555555555.123", 1555555555.123 },
    { "1555555555.000001", 1555555555.000001 }, { "1.55e9", 1550000000 }, { "1.555555555123E+9", 1555555555.123 },
    { "-1.5", -1.5 }, { "4102444800.999", 4102444800.999 },
    { '"2018-01-18T09:18:06Z"', 1516267086 }, { '"2018-01-18T09:18:06.250Z"', 1516267086.25 },
    { '"2018-01-18T10:18:06+01:00"', 1516267086 }, { '"2018-01-18T03:48:06.5-05:30"', 1516267086.5 },
    { '"2000-02-29T00:00:00Z"', 951782400 }, { '"1969-12-31T23:59:59Z"', -1 }, { '"2100-03-01T00:00:00Z"', 4107542400 },
    { '"1516267086"', 1516267086 }, { '"1516267086.5"', 1516267086.5 }, { '"1.55e9"', 1550000000 },
  }
  for _, case in ipairs(TIMES) do
    it(("is a number of seconds: %s"):format(case[1]), function()
      local task = assert(body('{"creationDate":' .. case[1] .. ',"lastModifiedDate":' .. case[1] .. "}"))
      for _, name in ipairs { "creationDate", "lastModifiedDate" } do
        assert.equal("number", type(task[name]))
        assert.is_true(math.abs(task[name] - case[2]) < 1e-6, tostring(task[name]))
      end
    end)
  end

  for _, text in ipairs {
    '""', '"yesterday"', '"2018-13-01T00:00:00Z"', '"2018-01-32T00:00:00Z"', '"2018-01-18T24:00:01Z"',
    '"2018-01-18T09:18:06Z and more"', '"NaN"', '"Infinity"', '"1e999"', '"0x10"', '"1 2"', "true", "{}", "[]",
  } do
    it(("cannot be %s"):format(text), function()
      assert_malformed { body = '{"taskId":"t","creationDate":' .. text .. "}" }
      assert_malformed { body = '{"taskId":"t","lastModifiedDate":' .. text .. "}" }
    end)
  end
end)

describe("a text", function()
  for _, text in ipairs { "1", "1.5", "true", "false", "{}", "[]", '["a"]' } do
    it(("cannot be %s"):format(text), function()
      for _, name in ipairs {
        "taskId", "templateBody", "inputFileBucket", "inputFileKey", "roleArn", "status", "message",
      } do
        assert_malformed { body = ('{"%s":%s}'):format(name, text) }
      end
    end)
  end
end)

describe("a reply of success", function()
  local MALFORMED = {
    { "of no JSON", "not json" }, { "of HTML", "<html></html>" }, { "of an array", "[]" },
    { "of an array of descriptions", '[{"taskId":"t"}]' }, { "of null", "null" }, { "of a string", '"s"' },
    { "of a number", "1" }, { "of true", "true" }, { "of an object cut short", '{"taskId":"t"' },
    { "cut inside a string", '{"taskId":"t' }, { "of a brace", "{" }, { "with something behind it", '{"taskId":"t"}x' },
    { "of two objects", "{}{}" }, { "with a comma too many", '{"taskId":"t",}' }, { "with a bare name", "{taskId:1}" },
    { "with a NUL byte", '{"taskId":"a\0b"}' }, { "of a NUL byte", "\0" },
    { "with NaN", '{"x":NaN}' }, { "with nan", '{"successCount":nan}' }, { "with Infinity", '{"x":Infinity}' },
    { "with -Infinity", '{"creationDate":-Infinity}' }, { "with inf", '{"x":inf}' },
    { "with a number beyond all", '{"creationDate":1e999}' }, { "with such a number inside", '{"x":[{"y":-1e999}]}' },
    { "with a hexadecimal number", '{"successCount":0x10}' }, { "with a number with a plus", '{"x":+1}' },
    { "with a number with a leading zero", '{"x":01}' },
    { "with a lone byte above ASCII", '{"status":"caf\233"}' }, { "with an overlong form", '{"status":"\192\175"}' },
    { "with a surrogate", '{"status":"\237\160\128"}' }, { "with a character cut short", '{"status":"\226\130"}' },
    { "with a key that is no UTF-8", '{"a\255":1}' }, { "in UTF-16", "\255\254{\0}\0" },
  }
  for _, case in ipairs(MALFORMED) do
    it("is malformed " .. case[1], function() assert_malformed { body = case[2] } end)
  end

  it("may be nested without end", function()
    for _, pair in ipairs { { "[", "]" }, { '{"x":', "}" }, { '[{"x":', "}]" } } do
      local deep = ('{"x":%s1%s}'):format(pair[1]:rep(2000), pair[2]:rep(2000))
      assert_malformed { body = deep }
      assert_malformed { body = (deep:gsub("[%]}]", "")) }
      local shallow = assert(body(('{"x":%s1%s}'):format(pair[1]:rep(90), pair[2]:rep(90))))
      assert.equal("table", type(shallow.x))
    end
  end)

  it("shows an excerpt when it is malformed", function()
    local _, message, detail = call { body = " not json\r\n", headers = { ["x-amzn-RequestId"] = "id-1" } }
    assert.equal("not json", detail.body)
    assert.equal("id-1", detail.request_id)
    assert.matches("id-1", message, 1, true)
    assert.matches("200", message, 1, true)
  end)

  it("is too large beyond the limits", function()
    local limit = 16 * 1024 * 1024
    assert.same({}, (parse { body = (" "):rep(limit - 2) .. "{}" }))
    replies.assert_failure({ kind = "response", code = "ResponseTooLarge", retryable = false },
      { body = (" "):rep(limit - 1) .. "{}" })
    replies.assert_failure({ kind = "response", code = "ResponseTooLarge", retryable = false },
      { headers = { X = ("x"):rep(65536) } })
  end)
end)
