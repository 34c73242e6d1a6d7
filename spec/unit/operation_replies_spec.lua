-- What replies mean, for every operation: its members with their types, and its errors. Expected results are
-- those of the project's reference of AWS client behaviour (1.1 to 1.3, 1.8, 5.2), by way of
-- spec/support/service_model.lua. For replies in depth see replies_spec.lua and error_replies_spec.lua.
local dkjson = require "dkjson"
local environment = require "spec.support.environment"
local model = require "spec.support.service_model"
local replies = require "spec.support.replies"

local parse, call, assert_malformed = replies.parse, replies.call, replies.assert_malformed

before_each(function() environment.replace() end)
after_each(environment.restore)

local math_type = rawget(math, "type")

-- A value of a type: as JSON, and as it should come out.
local VALUES = {
  string = { '"caf\\u00e9 \\ud83d\\ude00 \\"/\\/"', "caf\195\169 \240\159\152\128 \"//" },
  integer = { "12.0", 12 },
  timestamp = { "1555555555.123", 1555555555.123 },
  list = { '["a","","caf\195\169","a"]', { "a", "", "caf\195\169", "a" } },
  map = { '{"thing":"arn:1","1":"one","":"nothing","caf\195\169":""}',
    { thing = "arn:1", ["1"] = "one", [""] = "nothing", ["caf\195\169"] = "" } },
}

local WRONG = {
  string = { "7", "1.5", "true", "false", "{}", "[]", '["a"]', '{"a":"b"}' },
  integer = { '"x"', '"12"', "1.5", "true", "{}", "[]", "[1]", "1e300" },
  timestamp = { '"yesterday"', "true", "{}", "[]", "[1]", '""' },
  list = { '"a"', '""', "7", "0", "true", "false", '{"a":"b"}', '{"1":"a"}', "[7]", '["a",7]', "[true]", "[false]",
    "[[]]", '[["a"]]', "[{}]", '["a",{"b":"c"}]', '["a",["b"]]' },
  map = { '"a"', '""', "7", "0", "true", "false", '["a"]', '[{"a":"b"}]', '{"a":7}', '{"a":"b","c":7}', '{"a":true}',
    '{"a":false}', '{"a":{}}', '{"a":{"b":"c"}}', '{"a":[]}', '{"a":["b"]}' },
}

-- A reply with these members, each written by json_of.
local function reply_of(members) return { body = "{" .. table.concat(members, ",") .. "}" } end

local function json_of(member, text) return ('"%s":%s'):format(member.name, text or VALUES[member.type][1]) end

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

local function assert_same(expected, result, message)
  assert.equal("table", type(result), message)
  assert_plain(result)
  assert.same(expected, result)
end

for _, operation in ipairs(model.operations) do
  local name = operation.name

  -- Natively and for a caller.
  local function assert_result(expected, reply)
    assert_same(expected, parse(reply, name))
    assert_same(expected, call(reply, name))
  end

  describe("a reply to " .. name, function()
    it("has its members with their types, all together and each alone", function()
      local members, all = {}, {}
      for index, member in ipairs(operation.output) do
        members[index] = json_of(member)
        all[member.name] = VALUES[member.type][2]
        assert_result({ [member.name] = VALUES[member.type][2] }, reply_of { members[index] })
      end
      assert_result(all, reply_of(members))
      local result = parse(reply_of(members), name)
      for _, member in ipairs(operation.output) do
        if member.type == "integer" and math_type then assert.equal("integer", math_type(result[member.name])) end
      end
    end)

    it("may have nothing to tell", function()
      for _, status in ipairs { 200, 202, 204 } do
        assert_result({}, { status = status })
        assert_result({}, { status = status, body = " \r\n" })
      end
      assert_result({}, { body = "{}" })
      assert_result({}, { body = " { } " })
    end)

    it("keeps what is not known, without nulls", function()
      assert_result({ new = { { a = 1 }, "x" }, flag = false, n = 1.5, taskids = { 1 } },
        { body = '{"new":[{"a":1,"b":null},null,"x"],"flag":false,"n":1.5,"taskids":[1],"none":null}' })
    end)

    it("has no members that are null", function()
      for _, member in ipairs(operation.output) do
        assert_result({ x = "y" }, reply_of { json_of(member, "null"), '"x":"y"' })
      end
    end)

    for _, member in ipairs(operation.output) do
      it(("is malformed when %s is of another type"):format(member.name), function()
        for _, text in ipairs(WRONG[member.type]) do
          assert_malformed(reply_of { json_of(member, text) }, name)
          assert_malformed(reply_of { '"x":"y"', json_of(member, text) }, name)
        end
      end)
    end

    it("is malformed when it is no object", function()
      for _, text in ipairs { "[]", "null", '"s"', "7", "true", "not json", "<html>", "{", '{"a":"b"', "{}{}" } do
        assert_malformed({ body = text }, name)
      end
    end)
  end)

  describe("an error of " .. name, function()
    local codes = {}
    for code in pairs(operation.errors) do codes[#codes + 1] = code end
    table.sort(codes)

    for _, code in ipairs(codes) do
      it("is what it is: " .. code, function()
        local status = operation.errors[code]
        local expected = {
          code = code, status = status, request_id = "id-7", message = { "because", code:lower(), name },
          throttled = code == "ThrottlingException", retryable = code == "ThrottlingException" or status >= 500,
        }
        for _, form in ipairs { code, code .. ":http://internal.amazon.com/coral/com.amazon.coral.service/",
          "com.amazonaws.iot#" .. code } do
          replies.assert_service(expected, { status = status, body = '{"message":"Because."}',
            headers = { ["x-amzn-ErrorType"] = form, ["x-amzn-RequestId"] = "id-7" } }, name)
          replies.assert_service(expected, { status = status, headers = { ["x-amzn-RequestId"] = "id-7" },
            body = dkjson.encode { __type = form, Message = "Because." } }, name)
        end
      end)
    end

    -- Any operation may have any code (reference 1.3): those of others, and the front end's.
    it("may be one that is not its own", function()
      local others = { UnrecognizedClientException = 403, AccessDeniedException = 403, SomethingNewException = 400 }
      for _, other in ipairs(model.operations) do
        for code, status in pairs(other.errors) do others[code] = status end
      end
      for code, status in pairs(others) do
        replies.assert_service({ code = code, status = status }, { status = status, body = '{"message":"m"}',
          headers = { ["x-amzn-ErrorType"] = code } }, name)
      end
    end)

    it("has no part of what a success has", function()
      local members = {}
      for index, member in ipairs(operation.output) do members[index] = json_of(member) end
      local reply = reply_of(members)
      reply.status = 404
      replies.assert_service({ code = "404", status = 404, retryable = false }, reply, name)
    end)
  end)
end

-- Lists and maps -----------------------------------------------------------------------------

for _, case in ipairs {
  { "list_thing_registration_tasks", "taskIds" }, { "list_thing_registration_task_reports", "resourceLinks" },
} do
  local name, list = case[1], case[2]

  describe("a page of " .. name, function()
    local function page(text) return parse({ body = text:gsub("LIST", list) }, name) end

    it("may be empty, and may have no list", function()
      assert_same({ [list] = {} }, page '{"LIST":[]}')
      assert_same({ [list] = {}, nextToken = "t" }, page '{"LIST":[],"nextToken":"t"}')
      assert_same({ nextToken = "t" }, page '{"nextToken":"t"}')
      assert_same({ nextToken = "t" }, page '{"LIST":null,"nextToken":"t"}')
      assert_same({ [list] = { "a" } }, page '{"LIST":["a"],"nextToken":null}')
      assert_same({ [list] = { "a" }, nextToken = "" }, page '{"LIST":["a"],"nextToken":""}')
    end)

    it("has a list without nulls", function()
      assert_same({ [list] = { "a", "b" } }, page '{"LIST":[null,"a",null,null,"b",null]}')
      assert_same({ [list] = {} }, page '{"LIST":[null,null]}')
    end)

    it("has as many as there are, in order, and as often as they come", function()
      local ids, texts = {}, {}
      for index = 1, 1000 do
        ids[index] = ("%x"):format(index * 2654435 % 500)
        texts[index] = '"' .. ids[index] .. '"'
      end
      local result = page('{"LIST":[' .. table.concat(texts, ", ") .. "]}")
      assert.equal(1000, #result[list])
      assert.same(ids, result[list])
    end)

    it("keeps texts as they are: escapes, length, bytes", function()
      local long = ("x"):rep(65535)
      local link = "https://b.s3.amazonaws.com/a%2Fb/%2f//..%2F?X-Amz-Signature=a+b&empty=&~=%7E"
      assert_same({ [list] = { long, link, "a\0b", "/" } },
        page('{"LIST":["' .. long .. '","' .. link .. '","a\\u0000b","\\/"]}'))
    end)

    it("is malformed with text that is no UTF-8, or no text", function()
      for _, text in ipairs { '{"LIST":["caf\233"]}', '{"LIST":["\\ud800"]}', '{"LIST":["a",]}', '{"LIST":["a"' } do
        assert_malformed({ body = (text:gsub("LIST", list)) }, name)
      end
    end)
  end)
end

describe("the report of another type", function()
  it("is passed on", function()
    assert_same({ resourceLinks = {}, reportType = "SUMMARY" },
      parse({ body = '{"resourceLinks":[],"reportType":"SUMMARY"}' }, "list_thing_registration_task_reports"))
  end)
end)

describe("a thing that was registered", function()
  local function thing(text) return parse({ body = text }, "register_thing") end

  it("may have no ARNs, none at all or none of a resource", function()
    assert_same({ resourceArns = {} }, thing '{"resourceArns":{}}')
    assert_same({ resourceArns = {} }, thing '{"resourceArns":{"thing":null}}')
    assert_same({ resourceArns = { certificate = "arn" } }, thing '{"resourceArns":{"thing":null,"certificate":"arn"}}')
    assert_same({ certificatePem = "pem" }, thing '{"certificatePem":"pem","resourceArns":null}')
  end)

  it("has names of resources as they are", function()
    local arns = {}
    for index = 1, 300 do arns["Resource" .. index] = "arn:aws:iot:::thing/" .. index end
    assert_same({ resourceArns = arns }, thing('{"resourceArns":' .. dkjson.encode(arns) .. "}"))
    assert_same({ resourceArns = { ["1"] = "a", ["2"] = "b", nextToken = "c" } },
      thing '{"resourceArns":{"1":"a","2":"b","nextToken":"c"}}')
  end)

  it("has a certificate with its line ends", function()
    local pem = "-----BEGIN CERTIFICATE-----\n" .. ("MIIC+/x\n"):rep(8000) .. "-----END CERTIFICATE-----\n"
    assert_same({ certificatePem = pem }, thing('{"certificatePem":"' .. pem:gsub("\n", "\\n") .. '"}'))
  end)
end)

describe("what does not matter to an operation", function()
  -- A name is a member where the operation has it; elsewhere it is unknown, and may be of any type.
  it("is a name that another operation gives a type", function()
    assert_same({ resourceArns = { 7 }, taskIds = 1 },
      parse({ body = '{"resourceArns":[7],"taskIds":1}' }, "describe_thing_registration_task"))
    assert_same({ taskId = 7, status = false }, parse({ body = '{"taskId":7,"status":false}' }, "register_thing"))
    assert_same({ taskId = { 1 } }, parse({ body = '{"taskId":[1]}' }, "stop_thing_registration_task"))
    assert_same({ resourceLinks = 7 }, parse({ body = '{"resourceLinks":7}' }, "list_thing_registration_tasks"))
  end)
end)
