-- The command against the service: as a script runs it, with pipes, JSON and exit codes; and as a person sees
-- it, in a terminal.
local child = require "spec.support.child"
local files = require "spec.support.files"
local json = require "spec.support.json"
local simulator = require "spec.support.simulator"
local terminal = require "spec.support.terminal"

local COMMAND = "lua/iot-tasks"
local UUID = ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12)
local UNREACHABLE = "http://127.0.0.1:1"
local ROLE = "arn:aws:iam::123456789012:role/provisioning"
local TEMPLATE = [[{
  "Parameters": { "SerialNumber": { "Type": "String" } },
  "Resources": {
    "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": { "Ref": "SerialNumber" } } }
  }
}]]

describe("iot-tasks", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, template, input

  setup(function()
    sim = simulator.start()
    template, input = files.temporary(), files.temporary()
    files.write(template, TEMPLATE)
    files.write(input, '{"SerialNumber":"1"}\n{"SerialNumber":"2"}\n')
  end)

  teardown(function()
    sim:stop()
    os.remove(template)
    os.remove(input)
  end)

  -- Tasks of one spec may still run when the next starts one.
  before_each(function()
    sim:reset()
    sim:settings { concurrent_tasks = 100 }
  end)

  -- Run the command as a script does; the last argument may be options of child.run_file.
  local function run(...)
    local words, options = { ... }, nil
    if type(words[#words]) == "table" then options = table.remove(words) end
    local variables = sim:environment()
    for name, value in pairs(options and options.variables or {}) do variables[name] = value end
    return child.run_file(COMMAND, words, variables, options)
  end

  local function output_of(...)
    local result = run(...)
    assert.equal(0, result.code, result.stdout .. result.stderr)
    return result.stdout, result.stderr
  end

  local function start_words(...)
    return "start", "--template", template, "--bucket", "factory", "--key", "batch-7.json", "--role-arn", ROLE, ...
  end

  local function failure_of(result)
    local lines = {}
    for line in result.stderr:gmatch "[^\n]+" do lines[#lines + 1] = line end
    return assert(json.decode(lines[#lines]).error)
  end

  local function full_task(fields)
    local task = {
      status = "Completed", successCount = 117, failureCount = 3, percentageProgress = 100,
      creationDate = 1714554000.5, lastModifiedDate = 1714557845.25, templateBody = TEMPLATE,
      inputFileBucket = "factory", inputFileKey = "batch-7.json", roleArn = ROLE,
    }
    for name, value in pairs(fields or {}) do task[name] = value end
    return task
  end

  -- describe -----------------------------------------------------------------------------------

  it("describes a task to people, failures or not", function()
    local id = sim:seed(full_task())
    assert.equal(([[
task:      %s
status:    Completed
progress:  100 %%
succeeded: 117
failed:    3
created:   2024-05-01 09:00:00 UTC
modified:  2024-05-01 10:04:05 UTC
input:     s3://factory/batch-7.json
role:      %s
template:  %d bytes
]]):format(id, ROLE, #TEMPLATE), output_of("describe", id))
  end)

  it("describes a task to programs", function()
    local id = sim:seed(full_task { message = "odd \27[31m \195\188\n" })
    local expected = full_task { message = "odd \27[31m \195\188\n", taskId = id }
    local output, errors = output_of("describe", id, "--output", "json")
    assert.same(expected, json.decode(output))
    assert.equal("", errors)
    assert.matches("^[^\27\n]+\n$", output)
  end)

  it("takes region and endpoint from its options, wherever they stand", function()
    local id = sim:seed(full_task())
    local none = { variables = { AWS_REGION = "", AWS_DEFAULT_REGION = "", AWS_ENDPOINT_URL_IOT = UNREACHABLE } }
    local region, endpoint = sim.region, sim.endpoint
    assert.matches("^task: ", (output_of("--region", region, "--endpoint-url=" .. endpoint, "describe", id, none)))
    assert.matches("^task: ", (output_of("describe", "--region=" .. region, id, "--endpoint-url", endpoint, none)))
    local result = run("describe", id, none)
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.matches("no region", result.stderr, 1, true)
  end)

  it("says what the service said no with", function()
    local result = run("describe", "nowhere")
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.matches("^iot%-tasks: describe_thing_registration_task: ResourceNotFoundException: [^\n]+\n$", result.stderr)

    result = run("--output=json", "describe", "nowhere")
    assert.same({ 1, "" }, { result.code, result.stdout })
    local failure = failure_of(result)
    assert.same({ "service", "ResourceNotFoundException", 404, 1, "describe_thing_registration_task" },
      { failure.kind, failure.code, failure.status, failure.attempts, failure.operation })
    assert.is_string(failure.requestId)
    assert.matches("ResourceNotFoundException", failure.message, 1, true)
  end)

  it("says what is wrong with the environment", function()
    local result = run("describe", "a", { variables = { AWS_ACCESS_KEY_ID = "" } })
    assert.equal(1, result.code)
    assert.matches("^iot%-tasks: [^\n]*credentials[^\n]*\n$", result.stderr)
    result = run("describe", "a", "--profile", "nobody", "--output", "json")
    assert.same({ 1, "ProfileNotFound" }, { result.code, failure_of(result).code })
    result = run("describe", "a", { variables = { AWS_ENDPOINT_URL_IOT = UNREACHABLE, AWS_MAX_ATTEMPTS = "1" } })
    assert.equal(1, result.code)
    assert.matches("^iot%-tasks: [^\n]*connect[^\n]*\n$", result.stderr:lower())
  end)

  -- start and wait -----------------------------------------------------------------------------

  it("starts a task with what it is given", function()
    local id = assert(output_of(start_words()):match("^(" .. UUID .. ")\n$"))
    local task = json.decode((output_of("describe", "--output=json", id)))
    assert.same({ TEMPLATE, "factory", "batch-7.json", ROLE },
      { task.templateBody, task.inputFileBucket, task.inputFileKey, task.roleArn })
    local started = json.decode((output_of("start", "--template=-", "--bucket=factory", "--key=k",
      "--role-arn=" .. ROLE, "--output=json", { input = "{}" })))
    assert.matches("^" .. UUID .. "$", started.taskId)
    assert.equal("{}", json.decode((output_of("describe", "--output=json", started.taskId))).templateBody)
  end)

  it("starts a task and waits for it", function()
    sim:settings { things = 5, failures = 0, seconds = 0.2 }
    local output, errors = output_of(start_words("--wait", "--interval", "1"))
    local id = assert(errors:match("^started (" .. UUID .. ")\n"))
    assert.matches("^task:      " .. id:gsub("%-", "%%-") .. "\nstatus:    Completed\n", output)
    assert.matches("\nsucceeded: 5\nfailed:    0\n", output)
    assert.matches("\n0:%d%d  Completed, 100 %%, 5 succeeded, 0 failed\n$", errors)
  end)

  it("ends with 3 when things have failed", function()
    local id = sim:seed { status = "Completed", successCount = 5, failureCount = 2 }
    local result = run("wait", id)
    assert.equal(3, result.code, result.stderr)
    assert.matches("\nsucceeded: 5\nfailed:    2\n", result.stdout)
    assert.matches("^0:00  Completed, 5 succeeded, 2 failed\n$", result.stderr)
    sim:settings { things = 5, failures = 2, seconds = 0 }
    result = run(start_words("--wait", "--output", "json"))
    assert.equal(3, result.code, result.stderr)
    assert.equal(2, json.decode(result.stdout).failureCount)
  end)

  it("ends with 1 when the task has failed, was cancelled, or is not done in time", function()
    for code, fields in pairs {
      TaskFailed = { status = "Failed", message = "no such bucket" }, TaskCancelled = { status = "Cancelled" },
      WaitTimeout = { status = "InProgress", percentageProgress = 40 },
    } do
      local id = sim:seed(fields)
      local result = run("wait", id, "--output", "json", "--timeout", "0.8")
      assert.equal(1, result.code)
      assert.same({ id, fields.status }, { json.decode(result.stdout).taskId, json.decode(result.stdout).status })
      assert.same({ "waiter", code }, { failure_of(result).kind, failure_of(result).code })
    end
    local id = sim:seed { status = "Failed", message = "no \27[31m such bucket" }
    local result = run("wait", id)
    assert.equal(1, result.code)
    assert.matches("^task:     [^\n]+\nstatus:   Failed\nmessage:  no %[31m such bucket\n", result.stdout)
    assert.matches("\niot%-tasks: [^\n]+ failed: no %[31m such bucket\n$", result.stderr)
  end)

  it("ends with 1 when there is nothing to wait for", function()
    local result = run("wait", "nowhere")
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.matches("ResourceNotFoundException", result.stderr, 1, true)
  end)

  -- stop, list, report, register ---------------------------------------------------------------

  it("cancels a task", function()
    local id = sim:seed { plan = { things = 100, seconds = 600 } }
    assert.equal("cancelling " .. id .. "\n", (output_of("stop", id)))
    local status = json.decode((output_of("describe", id, "--output=json"))).status
    assert.is_true(status == "Cancelling" or status == "Cancelled", status)
    id = sim:seed { plan = { seconds = 600 } }
    assert.equal('{"taskId":"' .. id .. '"}\n', (output_of("stop", id, "--output=json")))
    assert.equal(1, run("stop", "nowhere").code)
  end)

  it("lists tasks", function()
    local id = sim:seed { status = "Failed" }
    local ids = {}
    for line in output_of("list", "--status", "Failed"):gmatch "([^\n]*)\n" do ids[line] = true end
    assert.is_true(ids[id])
    local listed = json.decode((output_of("list", "--status", "Failed", "--output", "json"))).taskIds
    for _, one in ipairs(listed) do assert.is_true(ids[one]) end
    assert.equal(1, #json.decode((output_of("list", "--limit", "1", "--output", "json"))).taskIds)
    local result = run("list", "--status", "Sleeping", "--output", "json")
    assert.same({ 1, "", "InvalidRequestException" }, { result.code, result.stdout, failure_of(result).code })
  end)

  it("lists none as such", function()
    sim:fault {
      kind = "reply", status = 200, body = '{"taskIds":[]}', operation = "ListThingRegistrationTasks", times = 2,
    }
    assert.equal("", (output_of "list"))
    assert.equal('{"taskIds":[]}\n', (output_of("list", "--output=json")))
  end)

  it("reports what failed, and what was registered", function()
    sim:settings { things = 5, failures = 2, seconds = 0 }
    local id = json.decode((run(start_words("--wait", "--output=json"))).stdout).taskId
    local lines = {}
    for line in output_of("report", id):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal(2, #lines)
    for _, line in ipairs(lines) do assert.matches("^line %d+: .+$", line) end

    local raw = output_of("report", id, "--raw")
    local number = 0
    for line in output_of("report", id, "--output", "json"):gmatch "([^\n]*)\n" do
      number = number + 1
      local record = json.decode(line)
      assert.equal(number, record.number)
      assert.is_truthy(raw:find(record.raw .. "\n", 1, true))
      assert.same(json.decode(record.raw), record.content)
      assert.is_string(record.reason)
      assert.is_nil(record.malformed)
    end
    assert.equal(2, number)

    lines = {}
    for line in output_of("report", "--type", "results", id):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal(3, #lines)
    for _, line in ipairs(lines) do assert.matches("^[lr]%a+ %d+: .*thing=arn:", line) end
  end)

  it("reports nothing of a task without failures", function()
    sim:settings { things = 2, failures = 0, seconds = 0 }
    local id = json.decode((output_of(start_words("--wait", "--output=json")))).taskId
    assert.equal("", (output_of("report", id)))
    assert.equal("", (output_of("report", id, "--output=json")))
  end)

  it("registers a thing", function()
    local output = output_of("register", "--template", template, "SerialNumber=12:3")
    assert.matches("^thing: +arn:[^\n]+\n", output)
    local result = json.decode((output_of("register", "--template", template, "SerialNumber=1", "--output=json")))
    assert.matches("^arn:", result.resourceArns.thing)
    assert.equal(1, run("register", "--template", "README.md", "SerialNumber=1").code)
  end)

  -- check ----------------------------------------------------------------------------------------

  it("checks a template and an input file, and asks no one", function()
    sim:clear()
    local nowhere = { variables = { AWS_ACCESS_KEY_ID = "", AWS_REGION = "", AWS_DEFAULT_REGION = "" } }
    assert.equal("ok\n", (output_of("check", "--template", template, nowhere)))
    assert.equal("ok: 2 lines\n", (output_of("check", "--template", template, input, nowhere)))
    nowhere.input = '{"SerialNumber":"1"}\n'
    assert.equal("ok: 1 line\n", (output_of("check", "--template", template, "-", nowhere)))
    assert.same({}, sim:journal())
  end)

  it("ends with 3 when it found problems", function()
    local result = run("check", "--template", template, "-", { input = '{"SerialNumber":"1"}\n{"Serial\n' })
    assert.equal(3, result.code, result.stderr)
    assert.matches("^line 2: [^\n]+\n.*%d problems?; 1 of 2 lines would fail\n$", result.stdout)
    result = run("check", "--template", template, "-", "--output=json", { input = '{"SerialNumber":"1"}\n{"Serial\n' })
    assert.equal(3, result.code, result.stderr)
    local found = json.decode(result.stdout)
    assert.same({ false, 2, 1, #found.problems, "input", 2 }, { found.ok, found.lines, found.failedLines,
      found.problemCount, found.problems[1].where, found.problems[1].line })
    result = run("check", "--template", "-", { input = "no template" })
    assert.equal(3, result.code, result.stderr)
    assert.matches("^template: [^\n]+\n", result.stdout)
  end)

  it("names files that it cannot read", function()
    for _, words in ipairs {
      { "check", "--template", "/nowhere/t.json" }, { "check", "--template", template, "/nowhere/in.json" },
      { "register", "--template", "/nowhere/t.json" },
    } do
      local result = run(words[1], words[2], words[3], words[4])
      assert.same({ 1, "" }, { result.code, result.stdout })
      assert.matches("^iot%-tasks: cannot open /nowhere/%a+%.json: No such file or directory\n$", result.stderr)
    end
    local result = run("register", "--template", "/")
    assert.same({ 1, "iot-tasks: cannot read /: Is a directory\n" }, { result.code, result.stderr })
  end)

  -- Around the commands --------------------------------------------------------------------------

  it("tells who does not know how to call it", function()
    local result = run "describe"
    assert.same({ 2, "" }, { result.code, result.stdout })
    assert.equal("iot-tasks: describe needs TASK_ID\nusage: iot-tasks describe TASK_ID\n"
      .. "Try: iot-tasks describe --help\n", result.stderr)
    assert.equal(2, run().code)
    assert.matches("^usage: iot%-tasks wait ", (output_of("help", "wait")))
    assert.equal("iot-tasks " .. require("iot")._VERSION .. "\n", (output_of "--version"))
  end)

  local function shell(script, variables)
    local all = sim:environment()
    for name, value in pairs(variables or {}) do all[name] = value end
    return terminal.run({ { command = script } }, all)[1]
  end

  it("fails when its output cannot be written, in one line", function()
    local id = sim:seed(full_task())
    local full = shell(([["$LUA" %s describe %s >/dev/full]]):format(COMMAND, id))
    assert.equal("iot-tasks: cannot write to standard output: No space left on device\n", full.bytes)
    assert.equal(1, full.code)
    local closed = shell(([["$LUA" %s describe %s >&-]]):format(COMMAND, id))
    assert.equal("iot-tasks: cannot write to standard output: Bad file descriptor\n", closed.bytes)
    assert.equal(1, closed.code)
    local gone = shell(([[{ sleep 0.2; "$LUA" %s --help; echo $? >&2; } | true]]):format(COMMAND))
    assert.equal("iot-tasks: cannot write to standard output: Broken pipe\n1\n", gone.bytes)
  end)

  it("ends with 130 at Ctrl-C", function()
    local id = sim:seed { status = "InProgress" }
    local notes = files.temporary()
    local outcome = shell(([["$LUA" %s wait %s 2>%s & id=$!
      until [ -s %s ]; do sleep 0.05; done
      kill -INT $id; wait $id; echo $?; sed 1d %s]]):format(COMMAND, id, notes, notes, notes))
    os.remove(notes)
    assert.equal("130\ninterrupted\n", outcome.bytes)
  end)

  -- Ended by the signal itself, which is what stops a shell's loop; also while Lua computes.
  it("ends by the signal of Ctrl-C", function()
    local script = files.temporary()
    files.write(script, [[
import os, signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)
folder = "/proc/%d/fd" % process.pid
def leads_to(name):
    try:
        return os.readlink(os.path.join(folder, name))
    except OSError:  # closed since it was listed
        return None
def reads():
    return any(leads_to(name) == "/dev/zero" for name in os.listdir(folder))
while process.poll() is None and not reads():
    time.sleep(0.01)
process.send_signal(signal.SIGINT)
print(process.communicate()[1].decode().strip(), process.returncode)
]])
    local outcome = shell(('python3 %s "$LUA" %s check --template %s /dev/zero'):format(script, COMMAND, template))
    os.remove(script)
    assert.equal("interrupted -2\n", outcome.bytes)
  end)

  -- In a terminal ----------------------------------------------------------------------------------

  local function on_terminal(job)
    if terminal.missing() then return nil end
    local variables = sim:environment()
    variables.TERM = "xterm"
    local outcome = terminal.run({ job }, variables)[1]
    return outcome, terminal.replay(outcome.bytes, job.columns)
  end

  it("shows a person a wait, and what came of it", function()
    local id = sim:seed { plan = { things = 250, failures = 4, seconds = 1.5 } }
    local outcome, screen = on_terminal {
      columns = 100, command = ([["$LUA" %s wait --interval 1 %s]]):format(COMMAND, id),
    }
    if not outcome then return pending(terminal.missing()) end -- nowhere to look
    assert.equal(3, outcome.code)
    assert.matches("^%[#+%]  100 %%  246 succeeded, 4 failed  0:%d%d  Completed$", screen.lines[1])
    assert.equal("task:      " .. id, screen.lines[2])
    assert.equal("failed:    4", screen.lines[6])
    assert.equal(0, screen.wraps)
  end)

  it("ends for a person at Ctrl-C, with the prompt in a line of its own", function()
    local id = sim:seed { status = "InProgress", percentageProgress = 40 }
    local outcome, screen = on_terminal {
      columns = 60, interrupt = "40 %", command = ([["$LUA" %s wait %s]]):format(COMMAND, id),
    }
    if not outcome then return pending(terminal.missing()) end -- nowhere to look
    assert.equal(130, outcome.code)
    assert.equal("interrupted", screen.lines[#screen.lines - 1])
    assert.equal("", screen.lines[#screen.lines])
  end)

  it("shows a person nothing harmful", function()
    local id = sim:seed(full_task { message = "\27[2J\27]0;x\7 no\r\nline" })
    local outcome, screen = on_terminal {
      columns = 100, command = ([["$LUA" %s describe %s]]):format(COMMAND, id),
    }
    if not outcome then return pending(terminal.missing()) end -- nowhere to look
    assert.equal("message:   [2J ]0;x no line", screen.lines[3])
  end)
end)
