-- How the command line is read, and the texts that tell of it.
local arguments = require "iot.cli.arguments"
local failures = require "spec.support.failures"
local manual = require "iot.cli.manual"

local function words_of(line)
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  return words
end

local START = "start --template t --bucket b --key k --role-arn r"
local START_OPTIONS = { template = "t", bucket = "b", key = "k", ["role-arn"] = "r" }

local function start_with(options)
  for name, value in pairs(START_OPTIONS) do options[name] = value end
  return options
end

describe("a command line", function()
  -- Command, options, operands, of each line.
  local GOOD = {
    ["describe a"] = { "describe", {}, { "a" } },
    ["--region eu-west-1 describe a"] = { "describe", { region = "eu-west-1" }, { "a" } },
    ["describe --region eu-west-1 a"] = { "describe", { region = "eu-west-1" }, { "a" } },
    ["describe a --region=eu-west-1"] = { "describe", { region = "eu-west-1" }, { "a" } },
    ["describe a --region=x --region=y"] = { "describe", { region = "y" }, { "a" } },
    ["describe --profile=a=b=c d"] = { "describe", { profile = "a=b=c" }, { "d" } },
    ["describe --profile=--x d"] = { "describe", { profile = "--x" }, { "d" } },
    ["describe --profile -x d"] = { "describe", { profile = "-x" }, { "d" } },
    ["describe -- --help"] = { "describe", {}, { "--help" } },
    ["-- describe --a"] = { "describe", {}, { "--a" } },
    ["describe -- --"] = { "describe", {}, { "--" } },
    ["--endpoint-url http://localhost:1 --output json describe a"] =
      { "describe", { ["endpoint-url"] = "http://localhost:1", output = "json" }, { "a" } },
    ["describe help"] = { "describe", {}, { "help" } },
    [START] = { "start", START_OPTIONS, {} },
    [START .. " --wait"] = { "start", start_with { wait = true }, {} },
    [START .. " --wait --timeout 2.5 --interval .5"] =
      { "start", start_with { wait = true, timeout = 2.5, interval = 0.5 }, {} },
    ["wait a --timeout 60 --interval=5"] = { "wait", { timeout = 60, interval = 5 }, { "a" } },
    ["stop a"] = { "stop", {}, { "a" } },
    ["list"] = { "list", {}, {} },
    ["list --status InProgress --limit 10"] = { "list", { status = "InProgress", limit = 10 }, {} },
    ["report a"] = { "report", {}, { "a" } },
    ["report --type results a"] = { "report", { type = "results" }, { "a" } },
    ["report a --type=errors --raw --output text"] =
      { "report", { type = "errors", raw = true, output = "text" }, { "a" } },
    ["check --template t"] = { "check", { template = "t" }, {} },
    ["check --template t input"] = { "check", { template = "t" }, { "input" } },
    ["check --template t -"] = { "check", { template = "t" }, { "-" } },
    ["check --template - input"] = { "check", { template = "-" }, { "input" } },
    ["register --template t"] = { "register", { template = "t" }, {} },
  }

  for line, expected in pairs(GOOD) do
    it("is understood: " .. line, function()
      local request = assert(arguments.read(words_of(line)))
      assert.same(expected, { request.command.name, request.options, request.operands })
      assert.is_nil(request.show)
    end)
  end

  it("may hold any bytes in a value", function()
    local odd = "a b\n\27\255=c"
    local request = assert(arguments.read { "describe", "--region=" .. odd, "--profile", odd, odd })
    assert.same({ region = odd, profile = odd }, request.options)
    assert.same({ odd }, request.operands)
  end)

  it("gives the parameters of a thing", function()
    local request = assert(arguments.read {
      "register", "--template", "t", "Serial=12 3", "Empty=", "Twice=a=b", "CSR=a\nb", "--", "--odd=-" })
    assert.same({ Serial = "12 3", Empty = "", Twice = "a=b", CSR = "a\nb", ["--odd"] = "-" }, request.parameters)
    assert.is_nil(assert(arguments.read(words_of "register --template t")).parameters)
  end)

  -- What is said of a line, and the command whose usage goes with it.
  local BAD = {
    { "", "a command is missing" },
    { "--region x", "a command is missing" },
    { "--", "a command is missing" },
    { "frobnicate", "unknown command 'frobnicate'" },
    { "Describe a", "unknown command 'Describe'" },
    { "frobnicate --help", "unknown command 'frobnicate'" },
    { "help frobnicate", "unknown command 'frobnicate'" },
    { "help list list", "unexpected argument 'list'", "list" },
    { "--frob describe a", "unknown option '--frob'" },
    { "describe a --frob=1", "unknown option '--frob=1'", "describe" },
    { "describe -x a", "unknown option '-x'", "describe" },
    { "describe --=a", "unknown option '--=a'", "describe" },
    { "describe --regio x a", "unknown option '--regio'", "describe" },
    { "describe ---region x a", "unknown option '---region'", "describe" },
    { "describe", "describe needs TASK_ID", "describe" },
    { "describe a b", "unexpected argument 'b'", "describe" },
    { "describe a --region", "--region needs a value: REGION", "describe" },
    { "describe a --region --output json", "--region needs a value: REGION", "describe" },
    { "describe a --output", "--output needs a value: text|json", "describe" },
    { "describe a --output yaml", "--output must be text or json, not 'yaml'", "describe" },
    { "describe a --output=", "--output needs a value: text|json", "describe" },
    { "describe a --profile=", "--profile needs a value: PROFILE", "describe" },
    { "describe a --wait", "describe has no option --wait", "describe" },
    { "describe a --wait --raw --limit 3", "describe has no option --limit", "describe" },
    { "describe a --help=yes", "--help takes no value", "describe" },
    { "start", "start needs --template FILE", "start" },
    { "start --template t --bucket b --key k", "start needs --role-arn ARN", "start" },
    { "start --template t --role-arn r", "start needs --bucket BUCKET", "start" },
    { START .. " task", "unexpected argument 'task'", "start" },
    { START .. " --wait=yes", "--wait takes no value", "start" },
    { START .. " --timeout 5", "--timeout goes with --wait", "start" },
    { START .. " --interval 5", "--interval goes with --wait", "start" },
    { "wait", "wait needs TASK_ID", "wait" },
    { "wait a --limit 5", "wait has no option --limit", "wait" },
    { "stop", "stop needs TASK_ID", "stop" },
    { "stop a b", "unexpected argument 'b'", "stop" },
    { "list a", "unexpected argument 'a'", "list" },
    { "list --timeout 5", "list has no option --timeout", "list" },
    { "report", "report needs TASK_ID", "report" },
    { "report a --type ERRORS", "--type must be errors or results, not 'ERRORS'", "report" },
    { "report a --raw --output json", "--raw and --output json exclude each other", "report" },
    { "check", "check needs --template FILE", "check" },
    { "check input", "check needs --template FILE", "check" },
    { "check --template t a b", "unexpected argument 'b'", "check" },
    { "check --template - -", "only one of template and input file can be standard input", "check" },
    { "register Serial=1", "register needs --template FILE", "register" },
    { "register --template t Serial", "NAME=VALUE expected, not 'Serial'", "register" },
    { "register --template t =1", "NAME=VALUE expected, not '=1'", "register" },
    { "register --template t A=1 A=2", "the parameter 'A' is given twice", "register" },
  }

  for _, case in ipairs(BAD) do
    it(("is refused: %q"):format(case[1]), function()
      local request, message, command = arguments.read(words_of(case[1]))
      assert.is_nil(request)
      assert.equal(case[2], message)
      assert.equal(case[3], command and command.name)
    end)
  end

  for _, word in ipairs { "0", "-1", "x", "1x", "0x10", "1e3", "inf", "nan", "1 2", ".", "0.0", ("9"):rep(400) } do
    it(("takes %q for no number of seconds"):format(word:sub(1, 9)), function()
      for _, option in ipairs { "timeout", "interval" } do
        local request, message = arguments.read { "wait", "a", "--" .. option .. "=" .. word }
        assert.is_nil(request)
        assert.matches("^%-%-" .. option .. " must be a positive number of seconds, not '", message)
      end
    end)
  end

  for _, word in ipairs { "0", "-1", "x", "1.5", "1.0", "0x10", "1e3", "4294967296", ("9"):rep(400) } do
    it(("takes %q for no number of things"):format(word:sub(1, 9)), function()
      local request, message = arguments.read { "list", "--limit=" .. word }
      assert.is_nil(request)
      assert.matches("^%-%-limit must be a whole number from 1 to 2147483647, not '", message)
    end)
  end

  it("is refused in words that a terminal can show", function()
    local evil = "\27]0;x\7\n\194\155" .. ("x"):rep(500)
    for _, words in ipairs {
      { evil }, { "--" .. evil }, { "describe", "a", evil }, { "--output", evil, "list" },
      { "list", "--limit=" .. evil }, { "help", evil }, { "register", "--template=t", evil },
      { "register", "--template=t", evil .. "=", evil .. "=" },
    } do
      local request, message = arguments.read(words)
      assert.is_nil(request)
      assert.is_true(failures.is_printable(message) and #message < 200, message)
    end
  end)
end)

describe("what is shown instead of running a command", function()
  local SHOWN = {
    ["--help"] = { "help" }, ["help"] = { "help" }, ["--version"] = { "version" },
    ["--version --help"] = { "help" },
    ["help describe"] = { "help", "describe" },
    ["describe --help"] = { "help", "describe" }, ["-h"] = { "help" }, ["describe -h a"] = { "help", "describe" },
    ["--help describe a b c"] = { "help", "describe" },
    ["start --help --timeout 5"] = { "help", "start" },
    ["describe --version"] = { "version", "describe" },
  }
  for line, expected in pairs(SHOWN) do
    it("is asked for by " .. line, function()
      local request = assert(arguments.read(words_of(line)))
      assert.same(expected, { request.show, request.command and request.command.name })
    end)
  end
end)

describe("the help", function()
  it("is plain text of lines that fit a window", function()
    local topics = { [0] = false }
    for i, command in ipairs(manual.commands) do topics[i] = command end
    for i = 0, #topics do
      local help = manual.help(topics[i] or nil)
      assert.is_nil(help:find "[^\n\32-\126]")
      assert.is_nil(help:find " \n")
      assert.is_nil(help:find "\n\n\n")
      assert.matches("[^\n]\n$", help)
      for line in help:gmatch "[^\n]+" do
        if not line:find "^usage" then assert.is_true(#line <= 108, line) end
      end
      for code in ("0 1 2 130"):gmatch "%d+" do assert.matches("\n  " .. code .. " +%l", help) end
      assert.matches("\nExamples?:\n  iot%-tasks ", help)
    end
  end)

  it("names every command, and every option of each", function()
    local help = manual.help()
    for _, command in ipairs(manual.commands) do
      assert.matches("\n  " .. command.name .. "[^\n]*" .. command.summary, help)
      local own = manual.help(command)
      for name, option in pairs(manual.options) do
        local row = ("\n  --%s%s "):format(name, option.value and " " .. option.value or "")
        assert.equal(manual.takes(command, name), own:find(row, 1, true) ~= nil, command.name .. " " .. name)
        assert.is_true(not manual.takes(command, name) or own:find(option.help, 1, true) ~= nil)
      end
    end
  end)

  it("tells of exit code 3 where there is one", function()
    for _, command in ipairs(manual.commands) do
      local told = manual.help(command):find "\n  3  " ~= nil
      assert.equal(command.name == "start" or command.name == "wait" or command.name == "check", told)
    end
    assert.matches("\n  3  ", manual.help())
  end)

  it("has examples that are understood", function()
    local count = 0
    for _, command in ipairs(manual.commands) do
      for _, example in ipairs(command.examples) do
        local line = example:gsub("\\\n", " "):gsub("%s[|>].*", "")
        local words = words_of(line)
        assert.equal("iot-tasks", table.remove(words, 1))
        assert.equal(command.name, assert(arguments.read(words)).command.name)
        count = count + 1
      end
    end
    assert.is_true(count >= #manual.commands)
  end)
end)

describe("the usage line", function()
  it("shows what must be given and what may be", function()
    assert.equal("usage: iot-tasks [OPTION ...] COMMAND [ARGUMENT ...]\n", manual.usage())
    assert.equal("usage: iot-tasks report [--type errors|results] [--raw] TASK_ID\n",
      manual.usage(manual.find "report"))
    assert.equal("usage: iot-tasks check --template FILE [--limit COUNT] [INPUT_FILE|-]\n",
      manual.usage(manual.find "check"))
    assert.equal("usage: iot-tasks list [--status STATUS] [--limit COUNT]\n", manual.usage(manual.find "list"))
    assert.is_nil(manual.find "frobnicate")
  end)
end)
