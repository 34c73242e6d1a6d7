-- Reports, what is done to hostile texts, and what can go wrong around the commands: files, streams, Ctrl-C.
local cli = require "iot.cli"
local cli_rig = require "spec.support.cli_rig"
local command = require "spec.support.command"
local failures = require "spec.support.failures"
local json = require "spec.support.json"

local record = cli_rig.record
local unpack = rawget(table, "unpack") or rawget(_G, "unpack")
local DESCRIBE, WAIT = "describe_thing_registration_task", "wait_for_thing_registration_task"
local LIST, REPORT = "thing_registration_tasks", "thing_registration_task_report"

local rig

before_each(function()
  rig = cli_rig.new()
  rig.files["t.json"] = '{"Resources":{}}'
end)

local function check(expected, code, output, errors)
  assert.same(expected, { code, output, errors })
end

-- Reports ------------------------------------------------------------------------------------

describe("report", function()
  local ERRORS = {
    record { number = 1, raw = '{"line":7,"errors":[]}', content = { line = 7, errors = {} }, input_line = 7,
      reason = "no such policy", input = '{"Serial":"1"}' },
    record { number = 2, raw = '{"b":null,"a":1}', content = { a = 1 }, reason = "odd" },
    record { number = 3, raw = "<html>", malformed = "it is no JSON object" },
    record { number = 4, raw = '{"a":1}', content = { a = 1 }, input_line = 9 },
  }

  it("of errors tells what went wrong with which line", function()
    rig.lists[REPORT] = ERRORS
    check({ 0, [[
line 7: no such policy
record 2: odd
record 3: cannot be read: it is no JSON object; <html>
line 9: {"a":1}
]], "" }, rig:run("report", "a"))
    assert.same({ { name = REPORT, params = { taskId = "a", reportType = "ERRORS" } } }, rig.calls)
  end)

  it("of results tells what was made of which line", function()
    rig.lists[REPORT] = {
      record { number = 1, raw = "{}", content = {}, input_line = 1,
        resource_arns = { thing = "arn:t", certificate = "arn:c" }, certificate_pem = "PEM" },
      record { number = 2, raw = "{}", content = {}, input_line = 2, resource_arns = {} },
      record { number = 3, raw = "{}", content = {}, input_line = 3, resource_arns = { thing = "arn:t" },
        reason = "half" },
    }
    check({ 0, "line 1: certificate=arn:c thing=arn:t\nline 2: {}\nline 3: half; thing=arn:t\n", "" },
      rig:run("report", "a", "--type", "results"))
    assert.equal("RESULTS", rig.calls[1].params.reportType)
  end)

  it("is a JSON object a line to programs, each record as it stands in the report", function()
    rig.lists[REPORT] = ERRORS
    check({ 0, [[{"number":1,"inputLine":7,"reason":"no such policy","input":"{\"Serial\":\"1\"}",]]
      .. [["content":{"line":7,"errors":[]},"raw":"{\"line\":7,\"errors\":[]}"}]] .. "\n" .. [[
{"number":2,"reason":"odd","content":{"b":null,"a":1},"raw":"{\"b\":null,\"a\":1}"}
{"number":3,"malformed":"it is no JSON object","raw":"<html>"}
{"number":4,"inputLine":9,"content":{"a":1},"raw":"{\"a\":1}"}
]], "" }, rig:run("report", "a", "--output", "json"))
  end)

  it("without records is empty", function()
    for _, output in ipairs { "text", "json" } do
      check({ 0, "", "" }, rig:run("report", "a", "--output", output))
    end
  end)

  it("comes record by record", function()
    rig.lists[REPORT] = { ERRORS[1], function()
      assert.equal("line 7: no such policy\n", rig.stdout.text)
    end }
    assert.equal(0, rig:run("report", "a"))
  end)

  it("comes raw, byte for byte", function()
    local odd = "\27[31m  a\9\255\0\r"
    rig.lists[REPORT] = { record { number = 1, raw = odd, malformed = "no" }, record { number = 2, raw = "" } }
    check({ 0, odd .. "\n\n", "" }, rig:run("report", "a", "--raw"))
    rig.terminal = true
    check({ 0, "[31m a\n\n", "" }, rig:run("report", "a", "--raw"))
    rig.lists[REPORT] = { record { number = 1, raw = ("x"):rep(100000) } }
    check({ 0, ("x"):rep(100000) .. "\n", "" }, rig:run("report", "a", "--raw"))
  end)

  it("comes raw with a word about each line that is not whole", function()
    rig.lists[REPORT] = { record { number = 7, raw = "xx", malformed = "the line is too long", was_cut = true } }
    check({ 0, "xx\n", "iot-tasks: record 7 is not whole: the line is too long\n" }, rig:run("report", "a", "--raw"))
  end)

  it("that breaks off says why, after what there was", function()
    local refused = cli_rig.failure({ code = "ConnectionLost" }, "it was lost")
    rig.lists[REPORT] = { ERRORS[4], function() error(refused) end }
    check({ 1, 'line 9: {"a":1}\n', "iot-tasks: it was lost\n" }, rig:run("report", "a"))
    check({ 1, '{"number":4,"inputLine":9,"content":{"a":1},"raw":"{\\"a\\":1}"}\n',
      '{"error":{"kind":"transport","code":"ConnectionLost","message":"it was lost"}}\n' },
      rig:run("report", "a", "--output=json"))
  end)
end)

-- Hostile texts --------------------------------------------------------------------------------

describe("what others wrote", function()
  local EVIL = {
    "\27[2J\27]0;x\7", "a\r\nline 1: forged\n", "\194\1551m", "\255\192\175\237\160\128", "\0\8\127\11", "\226\130",
    ("x"):rep(100000), '"\\', "%s%d%", "",
  }

  local function hostile_task(text)
    return {
      taskId = text, status = text, message = text, roleArn = text, templateBody = text, inputFileBucket = text,
      inputFileKey = text, successCount = 1, odd = { text, [text] = text },
    }
  end

  local function hostile_record(text)
    return record { number = 1, raw = text, malformed = text, reason = text, input = text, input_line = 1,
      resource_arns = { [text] = text } }
  end

  -- Every command that shows something, with all of it hostile.
  local function arrange(text)
    local failure = cli_rig.failure({ code = "Odd", kind = "service", task = hostile_task(text) }, text)
    failure.message = text
    local problem = { where = text, code = text, parameter = text, message = text }
    rig.answers = {
      [DESCRIBE] = { hostile_task(text) },
      [WAIT] = { nil, text, failure },
      start_thing_registration_task = { { taskId = text } },
      register_thing = { { certificatePem = text, resourceArns = { [text] = text } } },
      check_provisioning = { { ok = false, lines = 1, failed_lines = 1, problem_count = 1, problems = { problem } } },
    }
    rig.lists = {
      [LIST] = { text, function() error(failure) end },
      [REPORT] = { hostile_record(text), function() error(failure) end },
    }
    rig.terminal = true
  end

  local COMMANDS = {
    { "describe", "a" }, { "wait", "a" }, { "list" }, { "report", "a" }, { "report", "a", "--type=results" },
    { "check", "--template", "t.json" }, { "register", "--template", "t.json" },
    { "start", "--template=t.json", "--bucket=b", "--key=k", "--role-arn=r" },
    { "start", "--template=t.json", "--bucket=b", "--key=k", "--role-arn=r", "--wait" },
  }

  local function assert_harmless(text)
    for line in text:gmatch "[^\n]*" do
      assert.is_true(failures.is_printable(line), ("%q"):format(line:sub(1, 100)))
    end
  end

  local function with(words, word)
    local more = { unpack(words) }
    more[#more + 1] = word
    return unpack(more)
  end

  for i, text in ipairs(EVIL) do
    it(("never harms a terminal (%d)"):format(i), function()
      arrange(text)
      for _, words in ipairs(COMMANDS) do
        for _, output in ipairs { "text", "json" } do
          rig:run(with(words, "--output=" .. output))
          assert_harmless(rig.stdout.text)
          assert_harmless(rig.stderr.text)
        end
      end
      rig:run("report", "a", "--raw")
      assert_harmless(rig.stdout.text)
      rig:run("describe", text)
      rig:run("stop", text)
      assert_harmless(rig.stdout.text)
      rig:run("check", "--template=" .. text)
      assert_harmless(rig.stderr.text)
    end)
  end

  it("forges no line", function()
    arrange(EVIL[2])
    rig:run("report", "a")
    assert.equal("line 1: cannot be read: a line 1: forged; a line 1: forged; "
      .. "a line 1: forged=a line 1: forged; a line 1: forged\n", rig.stdout.text)
    rig:run "list"
    assert.equal("a line 1: forged\n", rig.stdout.text)
  end)

  it("is valid JSON to every parser", function()
    local documents = {}
    for _, text in ipairs(EVIL) do
      arrange(text)
      for _, words in ipairs(COMMANDS) do
        rig:run(with(words, "--output=json"))
        for line in (rig.stdout.text .. rig.stderr.text):gmatch "[^\n]+" do
          if not line:find "^started" then documents[#documents + 1] = line end
        end
      end
    end
    local result = command.run({ "python3", "-c", [[
import json, sys
for line in sys.stdin.buffer.read().decode("utf-8").splitlines(): json.loads(line)
print("read")]] }, { input = table.concat(documents, "\n") })
    assert.same({ "read\n", "" }, { result.stdout, result.stderr })
    assert.is_true(#documents > 10 * #EVIL)
  end)

  it("is not cut for programs", function()
    local long = ("\195\188"):rep(5000)
    rig.answers[DESCRIBE] = { { message = long } }
    rig:run("describe", "a", "--output=json")
    assert.equal(long, json.decode(rig.stdout.text).message)
  end)
end)

-- Files ----------------------------------------------------------------------------------------

describe("a file", function()
  local function problem_with(...)
    local code, output, errors = rig:run(...)
    assert.same({ 1, "" }, { code, output })
    assert.same({}, rig.calls)
    return errors
  end

  it("that is not there is named", function()
    local expected = "iot-tasks: cannot open no.json: No such file or directory\n"
    assert.equal(expected, problem_with("check", "--template", "no.json"))
    assert.equal(expected, problem_with("check", "--template", "t.json", "no.json"))
    assert.equal(expected, problem_with("register", "--template", "no.json"))
    assert.equal(expected, problem_with("start", "--template", "no.json", "--bucket=b", "--key=k", "--role-arn=r"))
    assert.equal('{"error":{"message":"cannot open no.json: No such file or directory"}}\n',
      problem_with("check", "--template", "no.json", "--output", "json"))
  end)

  it("that cannot be read is named", function()
    rig.files.folder = "/"
    assert.equal("iot-tasks: cannot read folder: Is a directory\n", problem_with("register", "--template", "folder"))
    assert.is_true(rig.opened.folder.closed)
  end)

  it("without an end is no template", function()
    rig.files["big.json"] = (" "):rep(2 ^ 20 + 1)
    assert.equal("iot-tasks: big.json is larger than 1 MiB: it is no template\n",
      problem_with("register", "--template", "big.json"))
    rig.files["big.json"] = (" "):rep(2 ^ 20)
    assert.equal(0, rig:run("register", "--template", "big.json"))
  end)
end)

-- Streams --------------------------------------------------------------------------------------

describe("output that cannot be written", function()
  local MESSAGE = "cannot write to standard output: No space left on device"

  it("is a failure of every command", function()
    rig.stdout = { broken = "No space left on device" }
    rig.lists = { [LIST] = { "a", "b" }, [REPORT] = { record { number = 1, raw = "{}", content = {} } } }
    rig.answers.check_provisioning = { { ok = true, lines = 0, failed_lines = 0, problem_count = 0, problems = {} } }
    rig.answers.start_thing_registration_task = { { taskId = "new" } }
    rig.answers.register_thing = { { resourceArns = { thing = "arn" } } }
    rig.answers[WAIT] = { { status = "Completed" } }
    for _, words in ipairs {
      { "--help" }, { "--version" }, { "describe", "a" }, { "wait", "a" }, { "stop", "a" }, { "list" },
      { "report", "a" }, { "report", "a", "--raw" }, { "check", "--template=t.json" },
      { "register", "--template=t.json" },
      { "start", "--template=t.json", "--bucket=b", "--key=k", "--role-arn=r" },
    } do
      check({ 1, "", "iot-tasks: " .. MESSAGE .. "\n" }, rig:run(unpack(words)))
    end
    assert.equal('{"error":{"message":"' .. MESSAGE .. '"}}\n', (select(3, rig:run("stop", "a", "--output=json"))))
  end)

  it("ends the work", function()
    rig.stdout = { broken = "Broken pipe" }
    rig.lists[LIST] = { "a", "b", "c" }
    assert.equal(1, rig:run "list")
    assert.equal(1, rig.taken)
    assert.equal(1, rig.closed)
  end)

  it("is written natively to files, and seen there too", function()
    local full = io.open("/dev/full", "w")
    if not full then return pending "there is no /dev/full" end -- Linux has it
    local errors = cli_rig.stream()
    assert.equal(1, cli.main({ "--help" }, { iot = rig.iot, stdout = full, stderr = errors }))
    assert.equal("iot-tasks: " .. MESSAGE .. "\n", errors.text)
    pcall(full.close, full)
  end)
end)

describe("messages that cannot be written", function()
  it("change no exit code", function()
    local closed = assert(io.tmpfile())
    closed:close()
    for words, code in pairs { [{ "frob" }] = 2, [{ "describe", "a" }] = 1 } do
      rig.no_client = cli_rig.failure({ code = "MissingRegion" }, "no region is known")
      assert.equal(code, cli.main(words, { iot = rig.iot, stdout = cli_rig.stream(), stderr = closed }))
    end
  end)
end)

-- Interrupts and mistakes ------------------------------------------------------------------------

describe("Ctrl-C", function()
  local DETAIL = cli_rig.failure({ code = "Interrupted", task = { taskId = "a" } }, "a signal ended the waiting")

  local WAYS = {
    ["a failure"] = function() return nil, DETAIL.message, DETAIL end,
    ["an error with its place"] = function() error("interrupted!") end,
    ["an error without"] = function() error("interrupted!", 0) end,
    ["a raised detail"] = function() error(DETAIL) end,
  }
  for name, way in pairs(WAYS) do
    it(("ends with 130, and without output: %s"):format(name), function()
      rig.answers = { [DESCRIBE] = way, [WAIT] = way, check_provisioning = way }
      rig.lists[LIST] = { way }
      for _, words in ipairs { { "describe", "a" }, { "wait", "a" }, { "check", "--template=t.json" } } do
        check({ 130, "", "interrupted\n" }, rig:run(unpack(words)))
      end
      if name ~= "a failure" then check({ 130, "", "interrupted\n" }, rig:run "list") end
      check({ 130, "", '{"error":{"code":"Interrupted","message":"interrupted"}}\n' },
        rig:run("wait", "a", "--output", "json"))
      assert.equal(1, rig.closed)
    end)
  end

  it("leaves the id of a task that was started", function()
    rig.answers = { start_thing_registration_task = { { taskId = "new" } }, [WAIT] = WAYS["a failure"] }
    check({ 130, "", "started new\ninterrupted\n" },
      rig:run("start", "--template=t.json", "--bucket=b", "--key=k", "--role-arn=r", "--wait"))
  end)
end)

describe("a mistake of the program", function()
  it("is a message and exit code 1, not a traceback", function()
    for _, mistake in ipairs { "lua/iot/x.lua:1: attempt to index a nil value", {}, 5, false } do
      rig.answers[DESCRIBE] = function() error(mistake, 0) end
      local code, output, errors = rig:run("describe", "a")
      assert.same({ 1, "" }, { code, output })
      assert.matches("^iot%-tasks: unexpected error: [^\n]+\n$", errors)
      assert.is_nil(errors:find "traceback")
      assert.equal(1, rig.closed)
    end
  end)
end)
