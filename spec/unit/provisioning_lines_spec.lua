-- What iot.check_provisioning says of the lines of an input, wherever they come from.
local child = require "spec.support.child"
local core = require "iot.core"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local iot = require "iot"
local line_checks = require "iot.provisioning.line"
local problems = require "iot.provisioning.problems"

local MARK = "\239\187\191"
local WIDE = "\195\188" -- one character

-- Two parameters have no Default and are used, one has one, one is used nowhere.
local TEMPLATE = [[{
  "Parameters": {
    "Name": { "Type": "String" }, "Serial": { "Type": "String" }, "Unused": { "Type": "String" },
    "Place": { "Type": "String", "Default": "hall" }
  },
  "Resources": {
    "thing": { "Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": { "Ref": "Name" }, "AttributePayload": { "s": { "Ref": "Serial" }, "p": { "Ref": "Place" } } } }
  }
}]]

-- A template of things with these names, and these Parameters.
local function things(names, parameters)
  local list = {}
  for i, name in ipairs(names) do
    list[i] = ('"t%d":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":%s}}'):format(i, name)
  end
  return ('{"Parameters":{%s},"Resources":{%s}}'):format(parameters or '"A":{"Type":"String"},"B":{"Type":"String"}',
    table.concat(list, ","))
end

-- Each problem as { line, code, message without its line, parameter = }.
local function told(result)
  local found = {}
  for i, problem in ipairs(result.problems) do
    assert.equal("input", problem.where)
    assert.is_true(failures.is_printable(problem.message))
    local start = problem.line and "line " .. problem.line .. ": " or "input: "
    assert.equal(start, problem.message:sub(1, #start))
    found[i] = { problem.line, problem.code, problem.message:sub(#start + 1), parameter = problem.parameter }
  end
  return found
end

local GOOD = {
  '{"Name":"a","Serial":"1"}',
  ' \t{ "Serial" : "1" , "Name" : "a" }\t ',
  '{"Name":"a","Serial":"","Unused":"x","Place":"yard"}',
  '{"Name":"a","Serial":"-----BEGIN\\n\\u0000\\ud83d\\ude00' .. WIDE .. '"}',
  '{"Name":"' .. ("a"):rep(128) .. '","Serial":"' .. WIDE:rep(4096) .. '"}',
  '{"Name":"azAZ09:_-","Serial":"1"}',
}

-- A line, and its problems.
local NOT_JSON = { "InvalidJSON", "it is not valid JSON: *" }
local BAD = {
  { "", { { "BlankLine", "it is blank" } } },
  { " \t ", { { "BlankLine", "it is blank" } } },
  { "[", { NOT_JSON } },
  { '{"Name":"a","Serial":"1"},', { NOT_JSON } },
  { '{"Name":"a","Serial":"1"}{}', { NOT_JSON } },
  { '{"Name":"a",', { NOT_JSON } },
  { "{'Name':'a'}", { NOT_JSON } },
  { '{"Name":"a\tb","Serial":"1"}', { { "InvalidJSON", "it is not valid JSON: a control character is not escaped" } } },
  { '{"Name":"a"}\0', { { "InvalidJSON", "it is not valid JSON: a control character is not escaped" } } },
  { '{"Name":"\255","Serial":"1"}', { { "InvalidUTF8", "it is not valid UTF-8" } } },
  { '{"Name":"a","Serial":"\237\160\128"}', { { "InvalidUTF8", "it is not valid UTF-8" } } },
  { "\255\254{\0}\0", { { "InvalidUTF8", "it is not valid UTF-8" } } },
  { "[]", { { "NotAnObject", "it is an array, not a JSON object" } } },
  { '[{"Name":"a"}]', { { "NotAnObject", "it is an array, not a JSON object" } } },
  { '"text"', { { "NotAnObject", "it is a string, not a JSON object" } } },
  { "17", { { "NotAnObject", "it is a number, not a JSON object" } } },
  { "null", { { "NotAnObject", "it is null, not a JSON object" } } },
  { MARK .. '{"Name":"a","Serial":"1"}', { { "ByteOrderMark", "it begins with a byte order mark" } } },
  { MARK, { { "ByteOrderMark", "it begins with a byte order mark" }, { "BlankLine", "it is blank" } } },
  { "{}", {
    { "MissingParameter", "the parameter Name is missing, and has no Default", parameter = "Name" },
    { "MissingParameter", "the parameter Serial is missing, and has no Default", parameter = "Serial" } } },
  { '{"Name":"a","Serial":5}', {
    { "ValueNotString", "the value of Serial is a number, not a string", parameter = "Serial" } } },
  { '{"Name":"a","Serial":1e999}', {
    { "ValueNotString", "the value of Serial is a number, not a string", parameter = "Serial" } } },
  { '{"Name":"a","Serial":null}', {
    { "ValueNotString", "the value of Serial is null, not a string", parameter = "Serial" } } },
  { '{"Name":true,"Serial":{"a":1},"Place":[1],"Unused":{}}', {
    { "ValueNotString", "the value of Name is a boolean, not a string", parameter = "Name" },
    { "ValueNotString", "the value of Place is an array, not a string", parameter = "Place" },
    { "ValueNotString", "the value of Serial is an object, not a string", parameter = "Serial" },
    { "ValueNotString", "the value of Unused is an object or an array, not a string", parameter = "Unused" } } },
  { '{"Name":"a","Serial":"' .. WIDE:rep(4097) .. '"}', {
    { "ValueTooLong", "the value of Serial is longer than 4,096 characters", parameter = "Serial" } } },
  { '{"Name":"a","Serial":"1","' .. ("x"):rep(2049) .. '":"2"}', {
    { "UndeclaredParameter", "the template declares no parameter '" .. ("x"):rep(64) .. "...'",
      parameter = ("x"):rep(2049) },
    { "NameTooLong", "the parameter name '" .. ("x"):rep(64) .. "...' is longer than 2,048 characters",
      parameter = ("x"):rep(2049) } } },
  { '{"Name":"a","serial":"1","":null}', {
    { "UndeclaredParameter", "the template declares no parameter ''", parameter = "" },
    { "ValueNotString", "the value of '' is null, not a string", parameter = "" },
    { "MissingParameter", "the parameter Serial is missing, and has no Default", parameter = "Serial" },
    { "UndeclaredParameter", "the template declares no parameter serial", parameter = "serial" } } },
  { '{"Name":"","Serial":"1"}', { { "InvalidThingName", "the thing name is empty" } } },
  { '{"Name":"' .. ("a"):rep(129) .. '","Serial":"1"}', {
    { "InvalidThingName", "the thing name '" .. ("a"):rep(64) .. "...' is longer than 128 characters" } } },
  { '{"Name":"a/b","Serial":"1"}', {
    { "InvalidThingName", "the thing name 'a/b' has characters other than a-z, A-Z, 0-9, ':', '_' and '-'" } } },
  { '{"Name":"' .. WIDE .. '","Serial":2}', {
    { "ValueNotString", "the value of Serial is a number, not a string", parameter = "Serial" },
    { "InvalidThingName",
      "the thing name '" .. WIDE .. "' has characters other than a-z, A-Z, 0-9, ':', '_' and '-'" } } },
}

-- With the words of the JSON library as "*", where the case has it so.
local function alike(wanted, found)
  if wanted and wanted[2]:find "%*$" and found[3]:sub(1, #wanted[2] - 1) == wanted[2]:sub(1, -2) then
    return { found[1], found[2], wanted[2] }
  end
  return found
end

describe("a line is good", function()
  for i, line in ipairs(GOOD) do
    it(("%d: %s"):format(i, (line:sub(1, 60):gsub("%c", "?"))), function()
      assert.same({ ok = true, lines = 1, failed_lines = 0, problem_count = 0, problems = {} },
        (assert(iot.check_provisioning(TEMPLATE, line .. "\n"))))
    end)
  end
end)

describe("a line is bad", function()
  for i, case in ipairs(BAD) do
    it(("%d: %s"):format(i, (case[1]:sub(1, 60):gsub("[%c\128-\255]", "?"))), function()
      local input = '{"Name":"before","Serial":"1"}\n' .. case[1] .. '\n{"Name":"behind","Serial":"1"}\n'
      local result = assert(iot.check_provisioning(TEMPLATE, input))
      local wanted, found = {}, told(result)
      for k, problem in ipairs(case[2]) do
        wanted[k] = { 2, problem[1], problem[2], parameter = problem.parameter }
      end
      for k in ipairs(found) do found[k] = alike(case[2][k], found[k]) end
      assert.same(wanted, found)
      assert.same({ false, 3, 1, #wanted }, { result.ok, result.lines, result.failed_lines, result.problem_count })
    end)
  end

  it("when it is too long, and those behind it are good", function()
    local most = 1024 * 1024
    local line = ('{"Name":"a","Serial":"1"%s}'):format((" "):rep(most - #'{"Name":"a","Serial":"1"}'))
    assert.equal(most, #line)
    assert.is_true(iot.check_provisioning(TEMPLATE, line .. "\n").ok)
    local result = assert(iot.check_provisioning(TEMPLATE, line .. ' \n{"Name":"b","Serial":"1"}'))
    assert.same({ { 1, "LineTooLong", "it is longer than 1 MiB" } }, told(result))
    assert.equal(2, result.lines)
  end)

  it("in all the ways that there are codes for", function()
    local missing = {}
    for code, entry in pairs(problems.codes) do missing[code] = entry.where ~= "template" or nil end
    for _, case in ipairs(BAD) do
      for _, problem in ipairs(case[2]) do missing[problem[1]] = nil end
    end
    -- Those have cases of their own here.
    assert.same({ LineTooLong = true, EmptyInput = true, DuplicateThingName = true }, missing)
  end)

  it("whatever it is made of: what is said of it is one line, and short", function()
    local hostile = "\\u0000\\u001b[31m\\nline 1: all is well" .. ("%s%n%"):rep(2000)
    local line = ('{"Name":"%s","Serial":"1","%s":5}'):format(hostile, hostile)
    local result = assert(iot.check_provisioning(TEMPLATE, line))
    assert.equal(5, #told(result))
    for _, problem in ipairs(result.problems) do
      assert.is_true(#problem.message < 300)
      assert.is_true(#(problem.parameter or "") <= 8192)
    end
  end)
end)

describe("an input", function()
  it("without lines is a problem of its own", function()
    local result = assert(iot.check_provisioning(TEMPLATE, ""))
    assert.same({ { nil, "EmptyInput", "it has no lines" } }, told(result))
    assert.same({ false, 0, 0, 1 }, { result.ok, result.lines, result.failed_lines, result.problem_count })
  end)

  it("that was not given is not looked for", function()
    assert.is_true(iot.check_provisioning(TEMPLATE).ok)
    assert.is_true(iot.check_provisioning(TEMPLATE, nil, {}).ok)
  end)

  it("is checked as far as that goes without a usable template", function()
    local result = assert(iot.check_provisioning("{", '{"A":1,"B":"x"}\n{}\n[]\n{"' .. ("x"):rep(2049) .. '":"y"}'))
    local codes = {}
    for i, problem in ipairs(result.problems) do codes[i] = { problem.line, problem.code } end
    assert.same({ { nil, "InvalidJSON" }, { 1, "ValueNotString" }, { 3, "NotAnObject" }, { 4, "NameTooLong" } }, codes)
    assert.equal(3, result.failed_lines)
  end)

  it("has no use for parameters where the template declares none", function()
    local result = assert(iot.check_provisioning('{"Resources":{"p":{"Type":"AWS::IoT::Policy","Properties":'
      .. '{"PolicyName":"p"}}}}', '{}\n{"A":"x"}\n'))
    assert.same({ { 2, "UndeclaredParameter", "the template declares no parameter A", parameter = "A" } }, told(result))
  end)

  it("need not have a value where the Default is bad: that was told", function()
    local template = things({ '{"Ref":"A"}' }, '"A":{"Type":"String","Default":5}')
    local result = assert(iot.check_provisioning(template, "{}\n"))
    assert.same({ 1, 0, "InvalidDefault" }, { result.problem_count, result.failed_lines, result.problems[1].code })
  end)
end)

describe("what was said of the template", function()
  it("is not said of each line again", function()
    local name = ("x"):rep(2049)
    local result = assert(iot.check_provisioning(things({ "{}" }, ('"%s":{"Type":"Number"}'):format(name)),
      ('{"%s":"1"}\n{"%s":1}\n'):format(name, name)))
    local codes = {}
    for i, problem in ipairs(result.problems) do codes[i] = { problem.line, problem.code } end
    assert.same({ { nil, "NameTooLong" }, { nil, "InvalidParameterType" }, { 2, "ValueNotString" } }, codes)
  end)
end)

describe("thing names", function()
  local function duplicate(line, name, earlier)
    return { line, "DuplicateThingName", ("the thing name %s is that of line %d already"):format(name, earlier) }
  end

  local PAIR = '{"A":"a","B":"b"}\n'
  local CASES = {
    { "of a Ref", things { '{"Ref":"A"}' }, '{"A":"x"}\n{"A":"y"}\n{"A":"x"}\n{"A":"x"}\n{"A":"X"}\n', {
      duplicate(3, "x", 1), duplicate(4, "x", 1) } },
    { "of a line that is bad otherwise", things { '{"Ref":"A"}' }, '{"A":"x"}\n{"A":"x","C":"1"}\n{"A":"x"}\n', {
      { 2, "UndeclaredParameter", "the template declares no parameter C", parameter = "C" }, duplicate(2, "x", 1),
      duplicate(3, "x", 1) } },
    { "that are bad", things { '{"Ref":"A"}' }, '{"A":"/"}\n{"A":"/"}\n', {
      { 1, "InvalidThingName", "the thing name '/' has characters other than a-z, A-Z, 0-9, ':', '_' and '-'" },
      { 2, "InvalidThingName", "the thing name '/' has characters other than a-z, A-Z, 0-9, ':', '_' and '-'" } } },
    { "of the template", things { '"one"' }, PAIR .. PAIR, { duplicate(2, "one", 1) } },
    { "of a Default", things({ '{"Ref":"A"}' }, '"A":{"Type":"String","Default":"d"}'),
      '{}\n{"A":"e"}\n{}\n{"A":"d"}\n', { duplicate(3, "d", 1), duplicate(4, "d", 1) } },
    { "that are joined", things { '{"Fn::Join":["-",["x",{"Ref":"A"},{"Fn::Join":["",[{"Ref":"B"},"z"]]}]]}' },
      PAIR .. '{"A":"a","B":"c"}\n' .. PAIR, { duplicate(3, "x-a-bz", 1) } },
    { "of two things", things { '{"Ref":"A"}', '{"Ref":"B"}' },
      '{"A":"a","B":"b"}\n{"A":"c","B":"c"}\n{"A":"b","B":"d"}\n', {
        { 2, "DuplicateThingName", "two things have the name c" }, duplicate(3, "b", 1) } },
    { "that cannot be told", things { '{"Fn::Sub":"${A}"}', '{"Fn::Join":["-",["x",{"Fn::Sub":"${B}"}]]}',
      '{"Fn::Join":"x"}', '{"Fn::Join":[1,2]}', "{}" }, "{}\n{}\n", {} },
    { "of which a part is missing", things({ '{"Fn::Join":["-",["x",{"Ref":"A"},{"Ref":"B"}]]}' },
      '"A":{"Type":"String"},"B":{"Type":"String","Default":null}'), '{"A":"a"}\n{"A":"a"}\n', {} },
    { "of a value that is no text", things { '{"Ref":"A"}' }, '{"A":1}\n{"A":null}\n', {
      { 1, "ValueNotString", "the value of A is a number, not a string", parameter = "A" },
      { 2, "ValueNotString", "the value of A is null, not a string", parameter = "A" } } },
  }

  for _, case in ipairs(CASES) do
    it(case[1] .. " are compared", function()
      local result = assert(iot.check_provisioning(case[2], case[3]))
      if result.problems[1] and result.problems[1].where == "template" then table.remove(result.problems, 1) end
      assert.same(case[4], told(result))
    end)
  end

  it("are compared on lines of any number, though the greatest cannot be told", function()
    local report = problems.report(10)
    local checker = line_checks.checker(report, { required = {}, names = { function(object) return object.A end } })
    report.where = "input"
    for number = 2 ^ 32 + 5, 2 ^ 32 + 6 do
      report.line = number
      checker:check('{"A":"x"}', false)
    end
    assert.equal(1, report.count)
    assert.matches("is that of line 4294967295 already$", report.list[1].message)
  end)

  it("cost no time, however long they are", function()
    local started = core.monotonic()
    local lines = ('{"A":"%s"}\n'):format(("/ "):rep(5e5)):rep(10)
    assert.equal(2 * 10, iot.check_provisioning(things { '{"Ref":"A"}' }, lines).problem_count)
    assert.is_true(core.monotonic() - started < 1.5)
  end)
end)

-- Sources ------------------------------------------------------------------------------------

-- An object with a method `read` that gives the text in pieces, whatever is asked for.
local function pieces(text, size)
  local at = 1
  return { read = function()
    at = at + size
    return at - size <= #text and text:sub(at - size, at - 1) or nil
  end }
end

local function each_line(text)
  return (text:gsub("\n?$", "\n", 1)):gmatch "([^\n]*)\n"
end

describe("the same lines", function()
  local path
  before_each(function() path = files.temporary() end)
  after_each(function() os.remove(path) end)

  local text = { "\239\187\191", '{"Name":"a","Serial":"1"}\n', "\n", '{"Name":"a"}\n', "  \n", "[]" }
  local TEXTS = {
    table.concat(text), table.concat(text) .. "\n", "\n" .. table.concat(text, "", 2), "\n", '{"Name":"a"}',
    MARK .. '{"Name":"a"}',
  }

  local function check_all(wanted, given)
    files.write(path, given)
    local file = assert(io.open(path, "rb"))
    local sources = { named = path, open = file, given = given, lines = io.lines(path), iterator = each_line(given) }
    for size = 1, 7 do sources["in pieces of " .. size] = pieces(given, size) end
    for name, source in pairs(sources) do
      assert.same(wanted, (assert(iot.check_provisioning(TEMPLATE, source))), name)
    end
    assert.equal("file", io.type(file))
    file:close()
  end

  for i, given in ipairs(TEXTS) do
    it(("say the same, wherever they come from, and whatever ends them (%d)"):format(i), function()
      local wanted = assert(iot.check_provisioning(TEMPLATE, given))
      assert.is_false(wanted.ok)
      check_all(wanted, given)
      check_all(wanted, (given:gsub("\n", "\r\n")))
    end)
  end

  it("may come with their ends", function()
    local given = TEXTS[2]
    local ended = each_line(given)
    assert.same(iot.check_provisioning(TEMPLATE, given), (iot.check_provisioning(TEMPLATE, function()
      local line = ended()
      return line and line .. "\n"
    end)))
  end)

  it("are split where they hold line ends, as in a file", function()
    local given = { '{"Name":"a",\n"Serial":"1"}' }
    local result = assert(iot.check_provisioning(TEMPLATE, function() return table.remove(given) end))
    assert.equal(2, result.lines)
  end)

  it("of a file are read from where it is, and of a name to its end, in the middle of a block too", function()
    files.write(path, ('{"Name":"thing-%05d","Serial":"1"}\n'):rep(10000):gsub("%%05d", "x") .. "{}")
    local file = assert(io.open(path, "rb"))
    file:seek("end", -2)
    assert.equal(1, iot.check_provisioning(TEMPLATE, file).lines)
    file:close()
    assert.equal(10001, iot.check_provisioning(TEMPLATE, path).lines)
  end)

  it("may be waited for: a function that gives them can yield", function()
    local co = coroutine.wrap(function()
      return iot.check_provisioning(TEMPLATE, function() return coroutine.yield "next" end)
    end)
    assert.equal("next", co())
    assert.equal("next", co '{"Name":"a","Serial":"1"}')
    assert.equal("next", co "[]")
    local result = co(nil)
    assert.same({ 2, 1 }, { result.lines, result.failed_lines })
  end)
end)

describe("an input that cannot be read", function()
  local function check_failure(message, lines)
    local told_message = failures.check({ kind = "validation", code = "InvalidParameter",
      operation = "check_provisioning", retryable = false }, iot.check_provisioning(TEMPLATE, lines))
    assert.equal("check_provisioning: the input cannot be read: " .. message, told_message)
  end

  it("is a failure that says why", function()
    check_failure("/nowhere/input.json: No such file or directory", "/nowhere/input.json")
    check_failure("/tmp: Is a directory", "/tmp")
    check_failure("odd [0m name: No such file or directory", "odd\27[0m\rname")
    check_failure("odd name" .. ("x"):rep(192) .. "...: File name too long", "odd\255name" .. ("x"):rep(1000))
    check_failure("input json: the name of a file cannot hold a NUL", "input\0json")
  end)

  it("is one when it breaks off in the middle, too", function()
    local function broken(...)
      local given, message = { "[]", '{"Name":"a"}' }, ...
      return function()
        local line = table.remove(given)
        if line then return line end
        return nil, message
      end
    end
    check_failure("the disk is on fire", broken "the disk is on fire")
    check_failure("the disk is on fire", { read = broken "the disk is on fire" })
    check_failure(("x"):rep(300) .. "...", broken(("x"):rep(1000)))
    assert.equal(2, iot.check_provisioning(TEMPLATE, broken(nil)).lines)
    assert.equal(2, iot.check_provisioning(TEMPLATE, broken(5)).lines)
  end)

  it("is one when it gives what is no text", function()
    check_failure("a string was expected of it, not a number", function() return 5 end)
    check_failure("a string was expected of it, not a boolean", { read = function() return true end })
  end)

  it("raises what the function that gives the lines raises", function()
    local thrown = {}
    local ok, raised = pcall(iot.check_provisioning, TEMPLATE, function() error(thrown) end)
    assert.is_false(ok)
    assert.equal(thrown, raised)
  end)

  it("is closed, as one that was read is, unless it is its owner's", function()
    local open, opened = io.open, {}
    finally(function() io.open = open end) -- luacheck: ignore 122
    io.open = function(...) -- luacheck: ignore 122
      opened[#opened + 1] = open(...)
      return opened[#opened]
    end
    for _, name in ipairs { "README.md", "/tmp" } do iot.check_provisioning(TEMPLATE, name) end
    assert.equal(2, #opened)
    for _, file in ipairs(opened) do assert.equal("closed file", io.type(file)) end
  end)
end)

-- Options and misuse -------------------------------------------------------------------------

describe("problems", function()
  local MANY = ("[]\n"):rep(1500)

  it("are kept up to a number, and counted beyond", function()
    for _, case in ipairs { { nil, 1000 }, { 0, 0 }, { 1, 1 }, { 1499, 1499 }, { 1501, 1500 }, { math.huge } } do
      if case[2] then
        local result = assert(iot.check_provisioning(TEMPLATE, MANY, { max_problems = case[1] }))
        assert.same({ case[2], 1500, 1500 }, { #result.problems, result.problem_count, result.failed_lines })
        assert.is_false(result.ok)
      else
        assert.is_false((pcall(iot.check_provisioning, TEMPLATE, MANY, { max_problems = case[1] })))
      end
    end
  end)

  it("are all seen when they are found, in the order in which they are kept", function()
    local seen = {}
    local result = assert(iot.check_provisioning("[]", MANY, { max_problems = 3, on_problem = function(problem)
      seen[#seen + 1] = problem
    end }))
    assert.equal(1501, #seen)
    assert.equal(1501, result.problem_count)
    for i = 1, 3 do assert.equal(seen[i], result.problems[i]) end
    assert.equal("template", seen[1].where)
    for i = 2, 1501 do assert.equal(i - 1, seen[i].line) end
  end)

  it("may end it by an error", function()
    local ok, raised = pcall(iot.check_provisioning, TEMPLATE, MANY, { on_problem = function(problem)
      if problem.line == 3 then error("enough", 0) end
    end })
    assert.same({ false, "enough" }, { ok, raised })
  end)
end)

describe("misuse", function()
  local closed = io.tmpfile()
  closed:close()
  -- Without the name of what was called.
  local CASES = {
    { "bad argument 'template' (string expected, got nil)" },
    { "bad argument 'template' (string expected, got table)", {} },
    { "bad argument 'lines' (string, function or open file expected, got number)", "{}", 5 },
    { "bad argument 'lines' (string, function or open file expected, got table)", "{}", {} },
    { "bad argument 'lines' (string, function or open file expected, got boolean)", "{}", false },
    { "bad argument 'lines' (string, function or open file expected, got closed file)", "{}", closed },
    { "bad argument 'options' (table expected, got string)", "{}", "", "x" },
    { "unknown option 'max_problem'", "{}", "", { max_problem = 1 } },
    { "bad option 'on_problem' (function expected, got table)", "{}", "", { on_problem = {} } },
    { "bad option 'max_problems' (number expected, got string)", "{}", "", { max_problems = "1" } },
    { "bad option 'max_problems' (a whole number from 0 expected)", "{}", "", { max_problems = -1 } },
    { "bad option 'max_problems' (a whole number from 0 expected)", "{}", "",
      { max_problems = 1.5 } },
    { "bad option 'max_problems' (a whole number from 0 expected)", "{}", "",
      { max_problems = 0 / 0 } },
  }

  for i, case in ipairs(CASES) do
    it(("raises at its caller: %d, %s"):format(i, case[1]), function()
      local ok, message = pcall(function()
        iot.check_provisioning(case[2], case[3], case[4])
      end)
      assert.is_false(ok)
      assert.matches("^%S*provisioning_lines_spec%.lua:%d+: ", message)
      assert.equal(case[1], (message:gsub("^%S+: ", "", 1):gsub(" to 'check_provisioning'", "", 1)))
    end)
  end

  it("does not begin with options that are changed", function()
    local given = { max_problems = 1 }
    iot.check_provisioning("[]", "[]\n", given)
    assert.same({ max_problems = 1 }, given)
  end)
end)

-- Much -----------------------------------------------------------------------------------------

describe("many lines", function()
  -- In pieces of a hundred lines, made when they are asked for; see() is called now and then.
  local function source(count, form, see)
    local number = 0
    return { read = function()
      if number >= count then return nil end
      if number % 10000 == 0 then see(number) end
      local list = {}
      for i = 1, 100 do list[i] = form:format(number + i) end
      number = number + 100
      return table.concat(list, "\n") .. "\n"
    end }
  end

  -- The result, and how far Lua's memory grew from 10,000 lines on.
  local function measure(count, form, options)
    local first, most
    local started = core.monotonic()
    local result = assert(iot.check_provisioning(TEMPLATE, source(count, form, function(number)
      if number == 0 then return end
      collectgarbage()
      collectgarbage()
      local now = collectgarbage "count"
      first = first or now
      most = math.max(most or now, now)
    end), options))
    return result, most - first, core.monotonic() - started
  end

  -- The names of 100,000 things and of 400,000: what each of the others costs the process.
  it("cost the process no more memory than their names need", function()
    -- AddressSanitizer keeps what was freed.
    if (os.getenv "LUA" or ""):find("sanitized", 1, true) then return end
    local peaks = {}
    for i, count in ipairs { 100000, 400000 } do
      local output = child.output(([[
        local number = 0
        local template = '{"Parameters":{"N":{"Type":"String"}},"Resources":{"t":{"Type":"AWS::IoT::Thing",'
          .. '"Properties":{"ThingName":{"Ref":"N"}}}}}'
        local result = assert(require("iot").check_provisioning(template, function()
          number = number + 1
          return number <= %d and '{"N":"thing-' .. number .. '"}' or nil
        end))
        local file = assert(io.open "/proc/self/status")
        print(result.ok and result.lines, (file:read "*a":match "VmHWM:%%s*(%%d+) kB"))
      ]]):format(count), {})
      local lines, peak = output:match "^(%d+)\t(%d+)\n$"
      assert.equal(tostring(count), lines, output)
      peaks[i] = tonumber(peak)
    end
    assert.is_true((peaks[2] - peaks[1]) * 1024 / 300000 < 100, peaks[2] .. " kB after " .. peaks[1])
  end)

  it("are checked quickly, and take no memory of Lua", function()
    local result, growth, seconds = measure(200000, '{"Name":"thing-%d","Serial":"SN-0001","Place":"hall"}')
    assert.same({ ok = true, lines = 200000, failed_lines = 0, problem_count = 0, problems = {} }, result)
    assert.is_true(growth < 64, "KiB: " .. growth)
    assert.is_true(seconds < 15, "seconds: " .. seconds)
  end)

  it("that are all bad take no more than the problems that are kept", function()
    local result, growth = measure(30000, '{"Name":"thing","Serial":%d,"Other":"x"}', { max_problems = 100 })
    assert.same({ 30000, 30000, 30000 * 3 - 1 }, { result.lines, result.failed_lines, result.problem_count })
    assert.equal(100, #result.problems)
    assert.is_true(growth < 64, "KiB: " .. growth)
  end)
end)
