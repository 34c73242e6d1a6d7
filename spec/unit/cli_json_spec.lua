-- JSON as the command writes it: its order and its exactness, and that every parser takes it.
local command = require "spec.support.command"
local core = require "iot.core"
local json = require "iot.cli.json"
local parser = require "spec.support.json"
local random = require "spec.support.random"

-- Python's parser, which takes no invalid UTF-8 and no control characters in strings; NaN it would take.
local PROGRAM = [[
import json, sys
def refuse(name): raise ValueError(name)
for line in sys.stdin.buffer.read().decode("utf-8").splitlines():
    json.loads(line, parse_constant=refuse)
    print("read")
]]

local function assert_read(lines)
  local result = command.run({ "python3", "-c", PROGRAM }, { input = table.concat(lines, "\n") })
  assert.equal("", result.stderr)
  assert.equal(("read\n"):rep(#lines), result.stdout)
end

describe("a value", function()
  local VALUES = {
    { '""', "" }, { '"a"', "a" }, { "true", true }, { "false", false },
    { '"\\"\\\\/"', '"\\/' }, { '"\\b\\t\\n\\f\\r"', "\b\t\n\f\r" },
    { '"\\u0000\\u0001\\u001b\\u001f\\u007f"', "\0\1\27\31\127" },
    { '"\195\188\226\130\172\240\159\152\128"', "\195\188\226\130\172\240\159\152\128" },
    { '"\\u0080\\u009b\\u009f\194\160"', "\194\128\194\155\194\159\194\160" },
    { "0", 0 }, { "-1", -1 }, { "1500000000000", 1500000000000 }, { "9007199254740991", 2 ^ 53 - 1 },
    { "3", 3.0 }, { "0.5", 0.5 }, { "0.1", 0.1 }, { "1512675720.123", 1512675720.123 }, { "null", 0 / 0 },
    { "null", math.huge }, { "null", -math.huge }, { "1e+300", 1e300 }, { "0.30000000000000004", 0.1 + 0.2 },
    { "[1,2]", { 1, 2 } }, { "{}", {} }, { '{"a":{"b":[{"c":1}]}}', { a = { b = { { c = 1 } } } } },
    { '{"a":1,"b":2,"c":3}', { c = 3, a = 1, b = 2 } },
    { "[]", json.list {} }, { '["a"]', json.list { "a" } }, { "{}", json.object({}, {}) },
    { '{"b":1,"a":2,"c":false,"d":[]}',
      json.object({ "b", "missing", "a" }, { a = 2, b = 1, d = json.list {}, c = false }) },
    { '{"\\u001b":1}', { ["\27"] = 1 } },
  }
  for i, case in ipairs(VALUES) do
    it(("is written as JSON has it (%d)"):format(i), function() assert.equal(case[1], json.encode(case[2])) end)
  end

  it("of a number is that number when read", function()
    local numbers = random.new(7)
    for exponent = -300, 300, 7 do
      local number = numbers:integer(1, 2147483646) * 10 ^ exponent
      assert.equal(number, tonumber(json.encode(number)))
    end
  end)
end)

describe("what is no UTF-8", function()
  local R = "\239\191\189"
  local CASES = {
    { "\255", R }, { "a\255b", "a" .. R .. "b" }, { "\195", R }, { "\195\188\195", "\195\188" .. R },
    { "\128\128", R .. R }, { "\192\175", R .. R }, { "\193\191", R .. R }, { "\224\128\175", R .. R .. R },
    { "\237\160\128", R .. R .. R }, { "\240\128\128\175", R .. R .. R .. R }, { "\244\144\128\128", R .. R .. R .. R },
    { "\245\128\128\128", R .. R .. R .. R }, { "\226\130", R .. R }, { "\226\130x", R .. R .. "x" },
    { "\237\159\191\238\128\128\244\143\191\191", "\237\159\191\238\128\128\244\143\191\191" },
    { "\194\155\155", "\\u009b" .. R },
  }
  for i, case in ipairs(CASES) do
    it(("is replaced (%d)"):format(i), function() assert.equal('"' .. case[2] .. '"', json.encode(case[1])) end)
  end

  it("is taken by every parser then, whatever the bytes", function()
    local lines, numbers = {}, random.new(8)
    for _ = 1, 300 do
      local bytes = {}
      for i = 1, 40 do -- many of them such as begin and continue characters
        local range = numbers:pick { { 0, 255 }, { 192, 247 }, { 128, 191 } }
        bytes[i] = string.char(numbers:integer(range[1], range[2]))
      end
      local text = table.concat(bytes)
      lines[#lines + 1] = json.encode { text = text, [text] = true }
    end
    assert_read(lines)
  end)
end)

describe("an object that was read of a text", function()
  local function rewrite(text)
    return json.encode(json.object_of_text(text, assert(core.decode_json(text))))
  end

  local EXACT = {
    "{}", "{ }", '{"b":[],"a":null,"c":{}}', '{"n":12345678901234567890,"f":1.50,"e":1E5,"m":-0.5e-7,"z":0}',
    '{"text":"\\"\\\\\\u001b\\/\195\188"}', '{"a":[1,null,2]}', '{ "a" : true , "b" : false }', '{"a":"}{"}',
    '{"a":"NaN, 01, -.5"}',
  }
  for i, text in ipairs(EXACT) do
    it(("stays as it stands there (%d)"):format(i), function()
      assert.equal(text, rewrite(text))
      assert.equal(text, rewrite("  " .. text .. " "))
      assert_read { rewrite(text) }
    end)
  end

  it("holds nothing that a terminal would obey", function()
    assert.equal('{"a":"\\u009b1m\\u007f"}', rewrite '{"a":"\194\1551m\127"}')
    assert.equal('{"a\\u009b":1}', rewrite '{"a\194\155":1}')
  end)

  it("is written anew where only a lenient reader takes it", function()
    local lines = {}
    for text, expected in pairs {
      ['{"b":"\27[1m\t","a":1}'] = '{"a":1,"b":"\\u001b[1m\\t"}',
      ['{"b":-.5,"a":1}'] = '{"a":1,"b":-0.5}',
      ['{"b":1.,"a":1}'] = '{"a":1,"b":1}',
    } do
      if core.decode_json(text) then -- what the codec takes is its own affair
        lines[#lines + 1] = rewrite(text)
        assert.equal(expected, lines[#lines])
      end
    end
    assert.is_true(#lines >= 1)
    assert_read(lines)
  end)

  it("says the same", function()
    local text = '{"a":{"b":["c",1,{"d":"\\u00fc"}]},"e":"f"}'
    assert.same(parser.decode(text), parser.decode(rewrite(text)))
  end)
end)
