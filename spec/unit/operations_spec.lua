-- Every operation from parameters to bytes: what is written where, and what is refused before anything is
-- sent. Expected requests come from the project's reference of AWS client behaviour (1, 3.2, 3.4), by way of
-- spec/support/service_model.lua. For labels, bodies and headers in depth see parameters_spec.lua.
local core = require "iot.core"
local dkjson = require "dkjson"
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local http_message = require "spec.support.http_message"
local model = require "spec.support.service_model"
local requests = require "spec.support.requests"

local prepare, shared, with, assert_invalid = requests.prepare, requests.shared, requests.with, requests.assert_invalid

local LIST, REPORTS = model.list_thing_registration_tasks, model.list_thing_registration_task_reports
local REGISTER, STOP = model.register_thing, model.stop_thing_registration_task

-- Reference 1.5 and 1.6: the same set of characters stays as it is.
local function encode(text)
  return (tostring(text):gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function members_of(operation, place)
  local found = {}
  for _, member in ipairs(operation.input) do
    if member.place == place then found[#found + 1] = member end
  end
  return found
end

-- Target and body as they should be: the target's path, its parameters sorted, and the members of the body.
local function expected(operation, params)
  local query, body = {}, nil
  for _, member in ipairs(operation.input) do
    local value = params[member.name]
    if member.place == "query" and value ~= nil then query[#query + 1] = member.name .. "=" .. encode(value) end
    if member.place == "body" then
      body = body or {}
      body[member.name] = value
    end
  end
  table.sort(query)
  return model.path(operation, encode(params.taskId)), query, body
end

local function split(target)
  local path, query = target:match "^([^?]*)%??(.*)$"
  return path, http_message.parameters(query)
end

-- Holds the whole request against the reference. Returns its target, and the body as text.
local function assert_written(operation, params)
  local before = with(params)
  local request, headers = prepare(operation.name, params)
  local path, query, body = expected(operation, params)
  local found_path, found_query = split(request.target)
  assert.equal(operation.method, request.method)
  assert.equal(path, found_path)
  assert.same(query, found_query)
  assert.equal(#query > 0, request.target:find("?", 1, true) ~= nil)

  if body then
    assert.same(body, (dkjson.decode(request.body)))
    assert.is_nil(request.body:find "[%z\1-\31]")
    assert.equal("application/json", headers["content-type"])
    assert.equal(tostring(#request.body), headers["content-length"])
  else
    assert.equal("", request.body)
    assert.is_nil(headers["content-type"])
    assert.equal(operation.method == "PUT" and "0" or nil, headers["content-length"])
  end
  for _, name in ipairs { "transfer-encoding", "expect", "x-amz-content-sha256" } do assert.is_nil(headers[name]) end
  assert.equal(body and "content-type;host;x-amz-date" or "host;x-amz-date", requests.authorization(headers).names)

  assert.is_true(shared:validate(operation.name, params))
  assert.same(before, params)
  return request.target, request.body
end

local thread = coroutine.create(function() end)

-- What is no value of a type.
local WRONG = {
  string = with(requests.NOT_STRINGS, { [6] = { "a file", io.stdout }, [7] = { "a coroutine", thread },
    [8] = { "a list of strings", { "a" } }, [9] = { "a number with a fraction", 0.5 } }),
  integer = {
    { "a string of digits", "5" }, { "a string", "five" }, { "nothing", "" }, { "a boolean", true }, { "false", false },
    { "a table", {} }, { "a list", { 5 } }, { "a function", print }, { "a file", io.stdout }, { "a coroutine", thread },
    { "a fraction", 1.5 }, { "a small fraction", 1e-3 }, { "almost 5", 5.0000001 }, { "infinite", 1 / 0 },
    { "infinite below zero", -1 / 0 }, { "no number", 0 / 0 }, { "beyond all integers", 1e300 },
  },
  map = {
    { "a string", "a" }, { "JSON", '{"a":"b"}' }, { "a number", 7 }, { "a boolean", true }, { "false", false },
    { "a function", print }, { "a file", io.stdout }, { "a coroutine", thread }, { "a list", { "a" } },
    { "a list behind a name", { "a", b = "c" } }, { "with a boolean for a name", { [true] = "a" } },
    { "with a fraction for a name", { [1.5] = "a" } }, { "with a table for a name", { [{}] = "a" } },
  },
}

describe("the library", function()
  it("has the operations of the reference, and no other", function()
    local names, known = {}, {}
    for index, operation in ipairs(model.operations) do names[index] = operation.name end
    for index, name in ipairs(core.operations) do known[index] = name end
    table.sort(names)
    table.sort(known)
    assert.same(names, known)
  end)
end)

for _, operation in ipairs(model.operations) do
  local name = operation.name

  describe(name, function()
    it("is written with what it requires, and with all there is", function()
      assert_written(operation, model.params(operation))
      assert_written(operation, model.all_params(operation))
    end)

    it("leaves out what is not set, in every combination", function()
      local optional = {}
      for _, member in ipairs(operation.input) do
        if not member.required then optional[#optional + 1] = member.name end
      end
      for number = 0, 2 ^ #optional - 1 do
        local wanted = {}
        for index, member in ipairs(optional) do
          wanted[member] = math.floor(number / 2 ^ (index - 1)) % 2 == 1 or nil
        end
        assert_written(operation, model.params(operation, wanted))
      end
    end)

    it("is signed with a session token where there is one", function()
      local _, headers = prepare(name, model.all_params(operation), { credentials = {
        access_key_id = requests.ACCESS_KEY_ID, secret_access_key = requests.SECRET, session_token = "TOKEN" } })
      assert.equal(operation.method == "POST" and "content-type;host;x-amz-date;x-amz-security-token"
        or "host;x-amz-date;x-amz-security-token", requests.authorization(headers).names)
      assert.equal("TOKEN", headers["x-amz-security-token"])
    end)

    it("goes below the path of the endpoint", function()
      local request = prepare(name, model.params(operation), nil, requests.native_client "https://localhost:1/base/v1/")
      assert.equal("/base/v1" .. model.path(operation), (split(request.target)))
    end)

    for _, member in ipairs(operation.input) do
      if member.required then
        it("requires " .. member.name, function()
          local params = model.all_params(operation)
          params[member.name] = nil
          assert_invalid(member.name, name, params)
        end)
      end

      it(("takes no %s of another type"):format(member.name), function()
        for _, case in ipairs(WRONG[member.type]) do
          assert_invalid(member.name, name, with(model.all_params(operation), { [member.name] = case[2] }))
          assert_invalid(member.name, name, with(model.params(operation), { [member.name] = case[2] }))
        end
      end)

      if member.type == "string" then
        it(("takes no %s that is not UTF-8"):format(member.name), function()
          for _, case in ipairs(requests.NOT_UTF8) do
            assert_invalid(member.name, name, with(model.params(operation), { [member.name] = case[2] }))
          end
        end)
      end

      it(("knows %s by no other name"):format(member.name), function()
        local first = member.name:sub(1, 1)
        for _, wrong in ipairs { first:upper() .. member.name:sub(2), member.name:lower(), member.name .. "s",
          member.name .. "\0", (member.name:gsub("%u", function(letter) return "_" .. letter:lower() end)) } do
          if wrong ~= member.name then
            local shown = wrong:find "%z" and "unknown parameter" or wrong
            assert_invalid(shown, name, with(model.params(operation), { [wrong] = model.example(member.name) }))
          end
        end
      end)
    end

    it("takes no member of another operation", function()
      local own = {}
      for _, member in ipairs(operation.input) do own[member.name] = true end
      for _, other in ipairs(model.operations) do
        for _, member in ipairs(other.input) do
          if not own[member.name] then
            local params = with(model.params(operation), { [member.name] = model.example(member.name) })
            assert_invalid(member.name, name, params)
          end
        end
      end
      assert_invalid("unknown parameter", name, with(model.params(operation), { "abc" }))
    end)

    it("is refused before credentials are looked for, as a failure", function()
      local asked = 0
      local runtime = environment.runtime()
      environment.replace()
      local client = assert(iot.new { region = "us-east-1", runtime = runtime,
        credentials = function() asked = asked + 1 return nil, "none" end })
      environment.restore()
      local result, message, detail = client[name](client, { nosuch = 1 })
      client:close()
      failures.check({ kind = "validation", code = "InvalidParameter", operation = name, attempts = 0,
        retryable = false, throttled = false, status = false, message = { name, "nosuch" } }, result, message, detail)
      assert.same({ 0, {} }, { asked, runtime.sent })
    end)

    it("is a function of the module, which raises when it is misused", function()
      for _, case in ipairs { { "params", nil }, { "params", "abc" }, { "params", 7 }, { "options", {}, "soon" },
        { "deadline", {}, { deadline = 1 } }, { "timeout", {}, { timeout = "1" } } } do
        local ok, message = pcall(function() iot[name](case[2], case[3]) end)
        assert.is_false(ok)
        assert.matches("^[^:]*operations_spec%.lua:%d+: ", message)
        for _, word in ipairs { case[1], name } do assert.matches(word, message, 1, true) end
      end
    end)
  end)
end

-- Labels -------------------------------------------------------------------------------------

describe("a label", function()
  -- Reference 1.5, and what would be another request.
  local PATHS = {
    { "abc", "abc" }, { "a/b c", "a%2Fb%20c" }, { "\195\169", "%C3%A9" }, { "a%2Fb", "a%252Fb" },
    { "a+b~c", "a%2Bb~c" },
    { "!'()*:@,;$[]", "%21%27%28%29%2A%3A%40%2C%3B%24%5B%5D" }, { "a?b#c&d=e", "a%3Fb%23c%26d%3De" },
    { "../..", "..%2F.." }, { "...", "..." }, { "{taskId}", "%7BtaskId%7D" }, { "%s", "%25s" }, { "a\0b", "a%00b" },
    { "a\r\nX: 1", "a%0D%0AX%3A%201" }, { "\240\159\152\128", "%F0%9F%98%80" }, { ("x"):rep(41), ("x"):rep(41) },
    { " ", "%20" }, { "cancel", "cancel" },
  }
  for _, operation in ipairs(model.operations) do
    if members_of(operation, "label")[1] then
      it("is one segment of the path: " .. operation.name, function()
        for _, case in ipairs(PATHS) do
          local request = prepare(operation.name, with(model.params(operation), { taskId = case[1] }))
          assert.equal(model.path(operation, case[2]), (split(request.target)))
        end
      end)

      it("may not make another path of it: " .. operation.name, function()
        for _, text in ipairs { "", ".", ".." } do
          assert_invalid("taskId", operation.name, with(model.all_params(operation), { taskId = text }))
        end
      end)
    end
  end
end)

-- The query ----------------------------------------------------------------------------------

describe("a query", function()
  it("is that of botocore for the reference's example", function()
    local request = prepare(LIST.name, { nextToken = "a+b/c= \195\169~*", maxResults = 5, status = "InProgress" })
    local path, query = split(request.target)
    assert.equal("/thing-registration-tasks", path)
    assert.same({ "maxResults=5", "nextToken=a%2Bb%2Fc%3D%20%C3%A9~%2A", "status=InProgress" }, query)
  end)

  local TEXTS = {
    { "plain text", "abc", "abc" },
    { "nothing", "", "" },
    { "a space, never a plus", "a b+c", "a%20b%2Bc" },
    { "what has a meaning in a query", "a&b=c;d?e#f", "a%26b%3Dc%3Bd%3Fe%23f" },
    { "what was encoded already", "a%2Fb%", "a%252Fb%25" },
    { "a token of base64", "eyJhIjoxfQ+/==", "eyJhIjoxfQ%2B%2F%3D%3D" },
    { "what stays", "AZaz09-._~", "AZaz09-._~" },
    { "what some would let stay", "!*'(),/:@$[]", "%21%2A%27%28%29%2C%2F%3A%40%24%5B%5D" },
    { "control characters", "\0\1\t\r\n\127", "%00%01%09%0D%0A%7F" },
    { "dots", "..", ".." },
    { "letters beyond ASCII", "\195\169\226\130\172\240\159\152\128", "%C3%A9%E2%82%AC%F0%9F%98%80" },
  }
  for _, operation in ipairs(model.operations) do
    for _, member in ipairs(members_of(operation, "query")) do
      if member.type == "string" then
        it(("has %s of %s as it was given"):format(member.name, operation.name), function()
          for _, case in ipairs(TEXTS) do
            local params = with(model.params(operation), { [member.name] = case[2] })
            local _, query = split((assert_written(operation, params)))
            local found
            for _, one in ipairs(query) do found = one:match("^" .. member.name .. "=(.*)$") or found end
            assert.equal(case[3], found, case[1])
          end
        end)
      end
    end
  end

  it("has a token of any length that a request may have", function()
    local token = ("a+/="):rep(500)
    assert_written(LIST, { nextToken = token })
    assert_written(REPORTS, { taskId = "abc", reportType = "RESULTS", nextToken = token })
    assert_invalid("", LIST.name, { nextToken = ("x"):rep(100000) })
    assert_invalid("", LIST.name, { nextToken = ("\195\169"):rep(2500000) })
  end)

  it("has states and types of report that nobody has heard of", function()
    assert_written(LIST, { status = "Resting" })
    assert_written(REPORTS, { taskId = "abc", reportType = "SUMMARY" })
  end)

  -- The model's 1 to 250 is the service's to say.
  local INTEGERS = {
    { 1, "1" }, { 250, "250" }, { 0, "0" }, { 251, "251" }, { 100000, "100000" }, { -1, "-1" },
    { 5.0, "5" }, { 1e5, "100000" }, { 1e2, "100" }, { 2 ^ 3, "8" }, { 123456789, "123456789" }, { 1e9, "1000000000" },
    { 2147483647, "2147483647" }, { 2 ^ 31 - 1, "2147483647" }, { -2147483648, "-2147483648" },
  }
  for _, case in ipairs(INTEGERS) do
    it(("has the integer %s in decimal"):format(case[1]), function()
      for _, operation in ipairs { LIST, REPORTS } do
        local params = with(model.params(operation), { maxResults = case[1] })
        local _, query = split(prepare(operation.name, params).target)
        assert.equal("maxResults=" .. case[2], query[1]) -- they are sorted
        assert.is_true(shared:validate(operation.name, params))
      end
    end)
  end

  it("has no sign for a zero", function()
    assert.equal("/thing-registration-tasks?maxResults=0", prepare(LIST.name, { maxResults = -0.0 }).target)
  end)

  it("has an integer beyond 32 bits in decimal, or not at all", function()
    for _, number in ipairs { 2 ^ 31, -2 ^ 31 - 1, 2 ^ 32, 1e15, 2 ^ 53, 2 ^ 62, 2 ^ 63, -2 ^ 63, 2 ^ 64 } do
      local params = { maxResults = number }
      if shared:validate(LIST.name, params) then
        assert.equal(("/thing-registration-tasks?maxResults=%.0f"):format(number), prepare(LIST.name, params).target)
      else
        assert_invalid("maxResults", LIST.name, params)
      end
    end
  end)

  it("leaves no trace in the next request", function()
    prepare(LIST.name, model.all_params(LIST))
    assert.equal("/thing-registration-tasks", prepare(LIST.name, {}).target)
    assert_invalid("status", LIST.name, { nextToken = "abc", status = "\255" })
    assert.equal("/thing-registration-tasks?maxResults=1", prepare(LIST.name, { maxResults = 1 }).target)
    prepare(REGISTER.name, model.all_params(REGISTER))
    local request, headers = prepare(STOP.name, { taskId = "abc" })
    assert.same({ "/thing-registration-tasks/abc/cancel", "", nil },
      { request.target, request.body, headers["content-type"] })
  end)
end)

-- The map ------------------------------------------------------------------------------------

describe("a map", function()
  local controls = {}
  for byte = 0, 31 do controls[#controls + 1] = string.char(byte) end

  local TEXTS = {
    "", "a", "a b", "1", "01", "-1", "1.5", "true", "null", "{}", "[]", "a.b", "a\"b\\c/", "__proto__", "taskId",
    "templateBody", "caf\195\169", "\240\159\152\128", "a\226\128\168b", "\239\187\191", "a\0b",
    table.concat(controls) .. "\127", ("\195\169"):rep(3000),
  }

  it("has keys and values of any characters, alone and together", function()
    local all = {}
    for index, text in ipairs(TEXTS) do
      assert_written(REGISTER, { templateBody = "{}", parameters = { [text] = "value" } })
      assert_written(REGISTER, { templateBody = "{}", parameters = { key = text } })
      all[text] = TEXTS[#TEXTS - index + 1]
    end
    local _, body = assert_written(REGISTER, { templateBody = "{}", parameters = all })
    assert.is_nil(body:find('"":[^"]'))
  end)

  it("of nothing is an object all the same", function()
    local _, body = assert_written(REGISTER, { templateBody = "{}", parameters = {} })
    assert.matches('"parameters"%s*:%s*{%s*}', body)
    assert.is_nil(body:find("[]", 1, true))
  end)

  it("that is not given is not there", function()
    local _, body = assert_written(REGISTER, { templateBody = "{}" })
    assert.is_nil(body:find "parameters")
    assert.is_nil(body:find "null")
  end)

  it("has strings for values: else the message says which", function()
    for _, case in ipairs(WRONG.string) do
      local map = { ThingName = "lamp", SerialNumber = case[2], Color = "red" }
      assert_invalid({ "parameters", "SerialNumber" }, REGISTER.name, { templateBody = "{}", parameters = map })
    end
  end)

  it("has strings for values: else the message is one to read, whatever the key", function()
    for _, key in ipairs {
      "", "\27[31m", "a\nb", "caf\195\169", ("x"):rep(5000), ("\240\159\152\128"):rep(1000), "\194\155",
    } do
      assert_invalid("parameters", REGISTER.name, { templateBody = "{}", parameters = { [key] = 7 } })
    end
  end)

  it("is of UTF-8, keys and values", function()
    for _, case in ipairs(requests.NOT_UTF8) do
      assert_invalid("parameters", REGISTER.name, { templateBody = "{}", parameters = { [case[2]] = "a" } })
      assert_invalid({ "parameters", "Key" }, REGISTER.name, { templateBody = "{}", parameters = { Key = case[2] } })
      assert_invalid("parameters", REGISTER.name, { templateBody = "{}", parameters = { a = "b", [case[2]] = "c" } })
    end
  end)

  it("may be large, but not larger than any request", function()
    local map = {}
    for index = 1, 1000 do map["Parameter" .. index] = ("v"):rep(100) .. index end
    assert_written(REGISTER, { templateBody = ("t"):rep(10240), parameters = map })
    assert_invalid("", REGISTER.name, { templateBody = "{}", parameters = { a = ("x"):rep(5000000) } })
  end)

  it("may be shorter and longer than the model says, which is the service's to say", function()
    assert_written(REGISTER, { templateBody = ("t"):rep(10241), parameters = { [("k"):rep(2049)] = ("v"):rep(4097) } })
    assert_written(REGISTER, { templateBody = "" })
  end)
end)

-- Signatures ---------------------------------------------------------------------------------

describe("the signature", function()
  -- Reference 3.4. That of a start is one of its ways to write the body.
  local VECTORS = {
    { LIST, { status = "InProgress", nextToken = "a+b=", maxResults = 5 },
      "003062ae65148273289eb0bf703cdbdbce405ebc6facdc4a40a4d69d9d79e1e6" },
    { STOP, { taskId = "abc" }, "2a9750a4ef411af85c67e4cce23dc8569088e15030010b15082a7404148a3f71" },
  }
  for _, vector in ipairs(VECTORS) do
    it("is the published one: " .. vector[1].name, function()
      local _, headers = prepare(vector[1].name, vector[2])
      local found = requests.authorization(headers)
      assert.same({ requests.ACCESS_KEY_ID, requests.SCOPE, vector[3] }, { found.key, found.scope, found.signature })
    end)
  end
end)
