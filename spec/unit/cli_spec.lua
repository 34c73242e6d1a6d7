-- The commands over a library that answers as it is told: what each asks of it, prints, and ends with.
local cli_rig = require "spec.support.cli_rig"
local json = require "spec.support.json"
local manual = require "iot.cli.manual"

local TASK = {
  taskId = "9d5a", status = "Completed", successCount = 117, failureCount = 3, percentageProgress = 100,
  creationDate = 1714554000.5, lastModifiedDate = 1714557845.25, inputFileBucket = "factory",
  inputFileKey = "batch-7.json", roleArn = "arn:aws:iam::1:role/p", templateBody = '{"Resources":{}}',
}
local TASK_LINES = [[
task:      9d5a
status:    Completed
progress:  100 %
succeeded: 117
failed:    3
created:   2024-05-01 09:00:00 UTC
modified:  2024-05-01 10:04:05 UTC
input:     s3://factory/batch-7.json
role:      arn:aws:iam::1:role/p
template:  16 bytes
]]
local TASK_JSON = [[{"taskId":"9d5a","creationDate":1714554000.5,"lastModifiedDate":1714557845.25,]]
  .. [["templateBody":"{\"Resources\":{}}","inputFileBucket":"factory","inputFileKey":"batch-7.json",]]
  .. [["roleArn":"arn:aws:iam::1:role/p","status":"Completed","successCount":117,"failureCount":3,]]
  .. [["percentageProgress":100}]] .. "\n"

local REFUSED = cli_rig.failure({
  kind = "service", code = "ResourceNotFoundException", status = 404, request_id = "r-1", attempts = 1,
  operation = "describe_thing_registration_task",
}, "Task a does not exist.")
local REFUSED_LINE = "iot-tasks: describe_thing_registration_task: ResourceNotFoundException: Task a does not exist. "
  .. "(HTTP status 404, request id r-1)\n"

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")
local DESCRIBE, WAIT = "describe_thing_registration_task", "wait_for_thing_registration_task"
local START = { "start", "--template", "t.json", "--bucket", "factory", "--key", "k", "--role-arn", "r" }

local rig

before_each(function()
  rig = cli_rig.new()
  rig.files["t.json"] = '{"Resources":{}}'
end)

local function failing(failure)
  return { nil, failure.message, failure }
end

-- The words of START and some more.
local function start(...)
  local words = {}
  for i, word in ipairs(START) do words[i] = word end
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return unpack(words)
end

-- Hold what a run came to against what was expected.
local function check(expected, code, output, errors)
  assert.same(expected, { code, output, errors })
end

describe("the client", function()
  it("is made of the options that were given, and closed", function()
    rig:run("describe", "a", "--region", "eu-west-1", "--profile", "prod", "--endpoint-url", "https://localhost")
    assert.same({ region = "eu-west-1", profile = "prod", endpoint = "https://localhost", app_id = "iot-tasks" },
      rig.client_options)
    assert.equal(1, rig.closed)
    rig:run("describe", "a")
    assert.same({ app_id = "iot-tasks" }, rig.client_options)
  end)

  it("is not made where none is needed", function()
    rig.answers.check_provisioning = { { ok = true, lines = 0, failed_lines = 0, problem_count = 0, problems = {} } }
    for _, words in ipairs { { "--help" }, { "--version" }, { "describe" }, { "check", "--template", "t.json" } } do
      rig:run(words[1], words[2], words[3])
      assert.is_nil(rig.client_options)
    end
  end)

  it("that cannot be made is a failure of every command that needs it", function()
    rig.no_client = cli_rig.failure({ code = "MissingRegion" }, "no region is known")
    for _, words in ipairs {
      { "describe", "a" }, { "wait", "a" }, { "stop", "a" }, { "list" }, { "report", "a" },
      { "register", "--template", "t.json" }, { start() },
    } do
      check({ 1, "", "iot-tasks: no region is known\n" }, rig:run(unpack(words)))
      assert.same({}, rig.calls)
    end
  end)
end)

describe("describe", function()
  it("shows a task", function()
    rig.answers[DESCRIBE] = { TASK }
    check({ 0, TASK_LINES, "" }, rig:run("describe", "a"))
    assert.same({ { name = DESCRIBE, params = { taskId = "a" } } }, rig.calls)
    check({ 0, TASK_JSON, "" }, rig:run("describe", "a", "--output", "json"))
  end)

  it("shows what is known, and more than is known here", function()
    rig.answers[DESCRIBE] = {
      { status = "Failed", message = "no\nway", percentageProgress = 0, zeta = { 1 }, alpha = {} },
    }
    check({ 0, "status:   Failed\nmessage:  no way\nprogress: 0 %\n", "" }, rig:run("describe", "a"))
    check({ 0, '{"status":"Failed","message":"no\\nway","percentageProgress":0,"alpha":{},"zeta":[1]}\n', "" },
      rig:run("describe", "a", "--output=json"))
    rig.answers[DESCRIBE] = { { inputFileKey = "k", creationDate = 1e300, templateBody = "x" } }
    check({ 0, "created:  1e+300\ninput:    s3:///k\ntemplate: 1 byte\n", "" }, rig:run("describe", "a"))
    rig.answers[DESCRIBE] = { {} }
    check({ 0, "{}\n", "" }, rig:run("describe", "a", "--output=json"))
  end)

  it("says why it cannot", function()
    rig.answers[DESCRIBE] = failing(REFUSED)
    check({ 1, "", REFUSED_LINE }, rig:run("describe", "a"))
    assert.equal(1, rig.closed)
  end)

  it("says why it cannot to programs", function()
    rig.answers[DESCRIBE] = failing(REFUSED)
    check({ 1, "", '{"error":{"kind":"service","code":"ResourceNotFoundException","message":"' .. REFUSED.message
      .. '","status":404,"requestId":"r-1","attempts":1,"operation":"describe_thing_registration_task"}}\n' },
      rig:run("describe", "a", "--output", "json"))
  end)
end)

describe("start", function()
  before_each(function() rig.answers.start_thing_registration_task = { { taskId = "new" } } end)

  it("prints the id of the task", function()
    check({ 0, "new\n", "" }, rig:run(start()))
    assert.same({ { name = "start_thing_registration_task", params = {
      templateBody = '{"Resources":{}}', inputFileBucket = "factory", inputFileKey = "k", roleArn = "r",
    } } }, rig.calls)
    assert.is_true(rig.opened["t.json"].closed)
    check({ 0, '{"taskId":"new"}\n', "" }, rig:run(start("--output", "json")))
  end)

  it("reads the template from standard input", function()
    rig.stdin = ("x"):rep(10240)
    assert.equal(0, rig:run("start", "--template=-", "--bucket", "b", "--key", "k", "--role-arn", "r"))
    assert.equal(rig.stdin, rig.calls[1].params.templateBody)
    assert.is_false(rig.input.closed)
  end)

  it("leaves an empty template to the service", function()
    rig.files["t.json"] = ""
    rig:run(start())
    assert.equal("", rig.calls[1].params.templateBody)
  end)

  it("waits when told so, and tells the id before", function()
    rig.answers[WAIT] = function()
      assert.equal("started new\n", rig.stderr.text)
      return TASK
    end
    check({ 3, TASK_LINES, "started new\n" }, rig:run(start("--wait", "--timeout", "60", "--interval", "2")))
    local options = rig.calls[2].options
    options.on_progress = type(options.on_progress)
    assert.same({ name = WAIT, params = { taskId = "new" }, options = {
      timeout = 60, interval = 2, max_interval = 2, on_progress = "function" } }, rig.calls[2])
    check({ 3, TASK_JSON, "started new\n" }, rig:run(start("--wait", "--output", "json")))
  end)

  it("shows the id even of a task that could not be waited for", function()
    rig.answers[WAIT] = failing(REFUSED)
    check({ 1, "task: new\n", "started new\n" .. REFUSED_LINE }, rig:run(start "--wait"))
    local code, output = rig:run(start("--wait", "--output=json"))
    assert.same({ 1, '{"taskId":"new"}\n' }, { code, output })
  end)

  it("says why it cannot", function()
    rig.answers.start_thing_registration_task = failing(REFUSED)
    check({ 1, "", REFUSED_LINE }, rig:run(start "--wait"))
    assert.equal(1, #rig.calls)
  end)
end)

describe("wait", function()
  it("shows the task that has ended", function()
    rig.answers[WAIT] = { { taskId = "a", status = "Completed", successCount = 2, failureCount = 0 } }
    check({ 0, "task:      a\nstatus:    Completed\nsucceeded: 2\nfailed:    0\n", "" }, rig:run("wait", "a"))
    assert.same({ WAIT, { taskId = "a" } }, { rig.calls[1].name, rig.calls[1].params })
    local names = {}
    for name in pairs(rig.calls[1].options) do names[#names + 1] = name end
    assert.same({ "on_progress" }, names)
    check({ 0, '{"taskId":"a","status":"Completed","successCount":2,"failureCount":0}\n', "" },
      rig:run("wait", "a", "--output=json"))
    rig.answers[WAIT] = { { status = "Completed" } }
    check({ 0, "status: Completed\n", "" }, rig:run("wait", "a"))
  end)

  it("shows the progress on standard error", function()
    rig.answers[WAIT] = function(_, options)
      options.on_progress {}
      options.on_progress { done = true }
      return TASK
    end
    for _, is_terminal in ipairs { false, true } do
      rig.terminal = is_terminal
      check({ 3, TASK_LINES, "drawndone\n" }, rig:run("wait", "a"))
      check({ 3, TASK_JSON, "drawndone\n" }, rig:run("wait", "a", "--output", "json"))
    end
  end)

  it("that is torn off leaves the line of progress", function()
    rig.answers[WAIT] = function(_, options)
      options.on_progress {}
      error "interrupted!"
    end
    rig.terminal = true
    check({ 130, "", "drawn\ninterrupted\n" }, rig:run("wait", "a"))
    rig.terminal = false
    check({ 130, "", "drawninterrupted\n" }, rig:run("wait", "a")) -- where the display writes whole lines
  end)

  it("ends with 3 when things have failed", function()
    rig.answers[WAIT] = { TASK }
    check({ 3, TASK_LINES, "" }, rig:run("wait", "a", "--timeout", "1.5"))
    assert.equal(1.5, rig.calls[1].options.timeout)
    check({ 3, TASK_JSON, "" }, rig:run("wait", "a", "--output", "json"))
  end)

  for code, message in pairs {
    TaskFailed = "the task a failed: no role", TaskCancelled = "the task a was cancelled",
    WaitTimeout = "the task a was not done within 5 s",
  } do
    it("shows the task that ended badly, and says why: " .. code, function()
      local detail = cli_rig.failure({ code = code, attempts = 7, task = { taskId = "a", status = "Odd" } }, message)
      rig.answers[WAIT] = failing(detail)
      check({ 1, "task:   a\nstatus: Odd\n", "iot-tasks: " .. message .. "\n" }, rig:run("wait", "a"))
      local failure = '{"error":{"kind":"waiter","code":"%s","message":"%s","attempts":7}}\n'
      check({ 1, '{"taskId":"a","status":"Odd"}\n', failure:format(code, message) },
        rig:run("wait", "a", "--output", "json"))
    end)
  end

  it("says why it cannot", function()
    rig.answers[WAIT] = failing(REFUSED)
    check({ 1, "", REFUSED_LINE }, rig:run("wait", "a"))
  end)
end)

describe("stop", function()
  it("cancels a task", function()
    check({ 0, "cancelling a\n", "" }, rig:run("stop", "a"))
    assert.same({ { name = "stop_thing_registration_task", params = { taskId = "a" } } }, rig.calls)
    check({ 0, '{"taskId":"a"}\n', "" }, rig:run("--output", "json", "stop", "a"))
  end)

  it("says why it cannot", function()
    rig.answers.stop_thing_registration_task = failing(REFUSED)
    check({ 1, "", REFUSED_LINE }, rig:run("stop", "a"))
  end)
end)

describe("list", function()
  local LIST = "thing_registration_tasks"

  it("prints the ids", function()
    rig.lists[LIST] = { "a", "b", "c" }
    check({ 0, "a\nb\nc\n", "" }, rig:run "list")
    assert.same({ { name = LIST, params = { maxResults = 250 } } }, rig.calls)
    check({ 0, '{"taskIds":["a","b","c"]}\n', "" }, rig:run("list", "--output", "json"))
  end)

  it("of none is empty", function()
    check({ 0, "", "" }, rig:run "list")
    check({ 0, '{"taskIds":[]}\n', "" }, rig:run("list", "--output", "json"))
  end)

  it("asks for a status, and for no more than is wanted", function()
    rig.lists[LIST] = { "a", "b", "c" }
    check({ 0, "a\nb\n", "" }, rig:run("list", "--status", "InProgress", "--limit", "2"))
    assert.same({ { name = LIST, params = { status = "InProgress", maxResults = 2 } } }, rig.calls)
    assert.equal(2, rig.taken) -- the next one may be a page away
    check({ 0, '{"taskIds":["a"]}\n', "" }, rig:run("list", "--limit=1", "--output=json"))
    rig:run("list", "--limit", "1000")
    assert.equal(250, rig.calls[1].params.maxResults)
  end)

  it("that breaks off says why, after what there was", function()
    rig.lists[LIST] = { "a", function() error(REFUSED) end }
    check({ 1, "a\n", REFUSED_LINE }, rig:run "list")
    local code, output, errors = rig:run("list", "--output", "json")
    assert.same({ 1, "" }, { code, output })
    assert.equal("ResourceNotFoundException", json.decode(errors).error.code)
  end)
end)

describe("check", function()
  local function result(fields)
    local base = { ok = true, lines = 0, failed_lines = 0, problem_count = 0, problems = {} }
    for name, value in pairs(fields or {}) do base[name] = value end
    -- As the library has it: all problems are told, and so many kept.
    rig.answers.check_provisioning = function(_, _, options)
      local all = base.problems
      base.problems = {}
      for i, problem in ipairs(all) do
        if options.on_problem then options.on_problem(problem) end
        if i <= (options.max_problems or 1000) then base.problems[i] = problem end
      end
      return base
    end
  end
  local BROKEN = { ok = false, lines = 12, failed_lines = 1, problem_count = 4, problems = {
    { where = "template", code = "Unused", parameter = "A", message = "template: the parameter A is not used" },
    { where = "input", line = 7, code = "NoObject", message = "line 7: it is no JSON object" },
    { where = "input", line = 7, code = "Odd", message = "line 7: odd" },
  } }

  it("is content with what is good", function()
    result()
    check({ 0, "ok\n", "" }, rig:run("check", "--template", "t.json"))
    assert.equal('{"Resources":{}}', rig.calls[1].params)
    assert.is_nil(rig.calls[1].options)
    result()
    check({ 0, '{"ok":true,"lines":0,"failedLines":0,"problemCount":0,"problems":[]}\n', "" },
      rig:run("check", "--template", "t.json", "--output", "json"))
  end)

  it("reads an input file", function()
    result { lines = 1 }
    rig.files["in.json"] = "{}"
    check({ 0, "ok: 1 line\n", "" }, rig:run("check", "--template", "t.json", "in.json"))
    assert.equal(rig.opened["in.json"], rig.calls[1].options)
    assert.is_true(rig.opened["in.json"].closed)
  end)

  it("reads standard input", function()
    result { lines = 2 }
    check({ 0, "ok: 2 lines\n", "" }, rig:run("check", "--template", "t.json", "-"))
    assert.equal(rig.input, rig.calls[1].options)
    assert.is_false(rig.input.closed)
  end)

  it("tells of problems", function()
    result(BROKEN)
    rig.files["in.json"] = "{}"
    check({ 3, [[
template: the parameter A is not used
line 7: it is no JSON object
line 7: odd
4 problems; 1 of 12 lines would fail
]], "" }, rig:run("check", "--template", "t.json", "in.json"))
    result(BROKEN)
    check({ 3, '{"ok":false,"lines":12,"failedLines":1,"problemCount":4,"problems":['
      .. '{"where":"template","code":"Unused","parameter":"A","message":"template: the parameter A is not used"},'
      .. '{"where":"input","line":7,"code":"NoObject","message":"line 7: it is no JSON object"},'
      .. '{"where":"input","line":7,"code":"Odd","message":"line 7: odd"}]}\n', "" },
      rig:run("check", "--template", "t.json", "in.json", "--output=json"))
    result { ok = false, problem_count = 1, problems = {
      { where = "template", resource = "r", message = "template: it is no JSON object" },
    } }
    check({ 3, "template: it is no JSON object\n1 problem\n", "" }, rig:run("check", "--template", "t.json"))
  end)

  it("tells of no more problems than it may", function()
    rig.files["in.json"] = "{}"
    result(BROKEN)
    check({ 3, "template: the parameter A is not used\n4 problems; 1 of 12 lines would fail\n", "" },
      rig:run("check", "--template", "t.json", "in.json", "--limit", "1"))
    result(BROKEN)
    local code, output = rig:run("check", "--template", "t.json", "in.json", "--limit", "2", "--output", "json")
    assert.same({ 3, 2, 4 }, { code, #json.decode(output).problems, json.decode(output).problemCount })
  end)

  it("says why it cannot", function()
    local detail = cli_rig.failure({ code = "InvalidParameter" }, "no")
    rig.answers.check_provisioning = failing(detail)
    check({ 1, "", "iot-tasks: no\n" }, rig:run("check", "--template", "t.json"))
    check({ 1, "", "iot-tasks: -: no\n" }, rig:run("check", "--template", "t.json", "-"))
  end)
end)

describe("register", function()
  local RESULT = {
    certificatePem = "-----BEGIN-----\nAB\n-----END-----\n",
    resourceArns = { thing = "arn:t", certificate = "arn:c" },
  }

  it("shows what was made", function()
    rig.answers.register_thing = { RESULT }
    check({ 0, "certificate: arn:c\nthing:       arn:t\n-----BEGIN-----\nAB\n-----END-----\n", "" },
      rig:run("register", "--template", "t.json", "Serial=12", "Place=a b"))
    assert.same({ { name = "register_thing", params = {
      templateBody = '{"Resources":{}}', parameters = { Serial = "12", Place = "a b" } } } }, rig.calls)
    check({ 0, '{"certificatePem":"-----BEGIN-----\\nAB\\n-----END-----\\n",'
      .. '"resourceArns":{"certificate":"arn:c","thing":"arn:t"}}\n', "" },
      rig:run("register", "--template", "t.json", "--output=json"))
    assert.same({ templateBody = '{"Resources":{}}' }, rig.calls[1].params)
  end)

  it("shows that nothing was made", function()
    check({ 0, "", "" }, rig:run("register", "--template", "t.json"))
    check({ 0, '{"resourceArns":{}}\n', "" }, rig:run("register", "--template", "t.json", "--output=json"))
  end)

  it("says why it cannot", function()
    rig.answers.register_thing = failing(REFUSED)
    check({ 1, "", REFUSED_LINE }, rig:run("register", "--template", "t.json"))
  end)
end)

describe("help and version", function()
  it("are printed where output goes", function()
    check({ 0, "iot-tasks 1.2.3\n", "" }, rig:run "--version")
    check({ 0, manual.help(), "" }, rig:run "--help")
    check({ 0, manual.help(), "" }, rig:run "help")
    for _, command in ipairs(manual.commands) do
      check({ 0, manual.help(command), "" }, rig:run(command.name, "--help"))
      check({ 0, manual.help(command), "" }, rig:run("help", command.name))
    end
  end)
end)

describe("wrong usage", function()
  it("is told with the usage line and where to read more", function()
    check({ 2, "", "iot-tasks: a command is missing\n" .. manual.usage() .. "Try: iot-tasks --help\n" }, rig:run())
    check({ 2, "", "iot-tasks: unknown command 'frob'\n" .. manual.usage() .. "Try: iot-tasks --help\n" },
      rig:run("frob", "a"))
    check({ 2, "", "iot-tasks: wait needs TASK_ID\nusage: iot-tasks wait [--timeout SECONDS] [--interval SECONDS] "
      .. "TASK_ID\nTry: iot-tasks wait --help\n" }, rig:run("wait", "--output", "json"))
    check({ 2, "", "iot-tasks: unknown option '--no'\n" .. manual.usage(manual.find "list")
      .. "Try: iot-tasks list --help\n" }, rig:run("list", "--no"))
  end)
end)
