---What the command understands, as data, and the texts that tell of it: usage lines and help.
local manual = { program = "iot-tasks" }

---@class iot.cli.Option
---@field name string  without the dashes
---@field value string?  what its value is called; a switch has none
---@field type "seconds"|"count"|nil  of the value; else any text
---@field choices string[]?  all that the value may be
---@field help string

---@class iot.cli.Command
---@field name string
---@field options string[]  the names of its own
---@field required string[]  those of them that must be given
---@field operands string  what stands after the options, for the usage line
---@field least integer  how many operands there must be
---@field most integer
---@field summary string
---@field about string
---@field partly string?  what exit code 3 means
---@field examples string[]

---@type iot.cli.Option[]
local options = {
  { name = "region", value = "REGION", help = "the AWS region; else that of the environment or the profile" },
  { name = "profile", value = "PROFILE", help = "the profile of the AWS configuration files" },
  { name = "endpoint-url", value = "URL", help = "the URL of the service; else as environment or profile say" },
  { name = "output", value = "text|json", choices = { "text", "json" }, help = "for people, or for programs; text" },
  { name = "version", help = "print the version" },
  { name = "help", help = "print this help" },

  { name = "template", value = "FILE", help = "the provisioning template; - for standard input" },
  { name = "bucket", value = "BUCKET", help = "the S3 bucket of the input file" },
  { name = "key", value = "KEY", help = "the input file's key in it" },
  { name = "role-arn", value = "ARN", help = "the role that AWS IoT takes on to register the things" },
  { name = "wait", help = "wait until the task has ended" },
  { name = "timeout", value = "SECONDS", type = "seconds", help = "how long to wait at most; 3600" },
  { name = "interval", value = "SECONDS", type = "seconds",
    help = "between two looks at the task, at least 1; 5, growing to 30" },
  { name = "status", value = "STATUS", help = "InProgress, Completed, Failed, Cancelled or Cancelling; any" },
  { name = "limit", value = "COUNT", type = "count", help = "how many to show at most; all" },
  { name = "type", value = "errors|results", choices = { "errors", "results" }, help = "which report; errors" },
  { name = "raw", help = "each line as it came; on a terminal without what could harm it" },
}

---Of every command.
manual.common = { "region", "profile", "endpoint-url", "output", "version", "help" }

---@type table<string, iot.cli.Option>
manual.options = {}
for _, option in ipairs(options) do manual.options[option.name] = option end

---@type iot.cli.Command[]
manual.commands = {
  {
    name = "describe", options = {}, required = {}, operands = "TASK_ID", least = 1, most = 1,
    summary = "show a task",
    about = "Shows a task: its status, its progress, and what it was started with.",
    examples = {
      "iot-tasks describe 9d5a2f3e-5d1c-4a7b-8a53-0f6c2f1f7a10",
      "iot-tasks describe --output json TASK_ID | jq .failureCount",
    },
  },
  {
    name = "start", options = { "template", "bucket", "key", "role-arn", "wait", "timeout", "interval" },
    required = { "template", "bucket", "key", "role-arn" }, operands = "", least = 0, most = 0,
    summary = "start a task, and wait for it if told so",
    about = [[
Starts a task and prints its id. With --wait it goes on as the command wait does; the id is
then told on standard error before that, and with the task on standard output after it.]],
    partly = "with --wait: the task is completed, but some things were not registered",
    examples = {
      "iot-tasks start --template template.json --bucket factory --key batch-7.json \\\n"
        .. "    --role-arn arn:aws:iam::123456789012:role/provisioning --wait",
    },
  },
  {
    name = "wait", options = { "timeout", "interval" }, required = {}, operands = "TASK_ID", least = 1, most = 1,
    summary = "wait until a task has ended",
    about = [[
Waits until a task has ended, and shows it. Its progress is shown on standard error meanwhile.
Outages of network and service are waited out.]],
    partly = "the task is completed, but some things were not registered",
    examples = { "iot-tasks wait --timeout 600 TASK_ID || echo \"exit code $?\"" },
  },
  {
    name = "stop", options = {}, required = {}, operands = "TASK_ID", least = 1, most = 1,
    summary = "cancel a task",
    about = "Cancels a task. That takes a while: see the command wait.",
    examples = { "iot-tasks stop TASK_ID" },
  },
  {
    name = "list", options = { "status", "limit" }, required = {}, operands = "", least = 0, most = 0,
    summary = "list tasks",
    about = "Prints the ids of the account's tasks in the region, one a line.",
    examples = { "iot-tasks list --status InProgress" },
  },
  {
    name = "report", options = { "type", "raw" }, required = {}, operands = "TASK_ID", least = 1, most = 1,
    summary = "show what failed, or what was registered",
    about = [[
Shows the records of a task's report: of errors, what went wrong with which line of the input file; of
results, what was made of it. With --output json each record is a JSON object on a line of its own.]],
    examples = {
      "iot-tasks report TASK_ID",
      "iot-tasks report --output json TASK_ID | jq -r 'select(.input) | .input' >again.json",
    },
  },
  {
    name = "check", options = { "template", "limit" }, required = { "template" }, operands = "[INPUT_FILE|-]",
    least = 0, most = 1,
    summary = "look for mistakes in a template and an input file",
    about = [[
Looks for mistakes in a template and, where one is given, in an input file: what a task would fail of.
Nothing is sent to anyone. With --output json 1000 problems are told, unless --limit says otherwise.]],
    partly = "problems were found",
    examples = { "iot-tasks check --template template.json batch-7.json" },
  },
  {
    name = "register", options = { "template" }, required = { "template" }, operands = "[NAME=VALUE ...]",
    least = 0, most = math.huge,
    summary = "register one thing",
    about = "Registers one thing by a template, whose parameters are given as NAME=VALUE; shows what was made.",
    examples = { "iot-tasks register --template template.json SerialNumber=1234" },
  },
}

---@param name string
---@return iot.cli.Command?
function manual.find(name)
  for _, command in ipairs(manual.commands) do
    if command.name == name then return command end
  end
end

local function with_value(option)
  return "--" .. option.name .. (option.value and " " .. option.value or "")
end

local function holds(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then return true end
  end
  return false
end

---@param command iot.cli.Command
---@param name string  of an option
---@return boolean
function manual.takes(command, name)
  return holds(manual.common, name) or holds(command.options, name)
end

---The usage line.
---@param command iot.cli.Command?  else of all
---@return string
function manual.usage(command)
  if not command then return ("usage: %s [OPTION ...] COMMAND [ARGUMENT ...]\n"):format(manual.program) end
  local parts = { "usage:", manual.program, command.name }
  for _, name in ipairs(command.options) do
    local text = with_value(manual.options[name])
    parts[#parts + 1] = holds(command.required, name) and text or "[" .. text .. "]"
  end
  if command.operands ~= "" then parts[#parts + 1] = command.operands end
  return table.concat(parts, " ") .. "\n"
end

---Where to read more.
---@param command iot.cli.Command?
---@return string
function manual.hint(command)
  return ("Try: %s --help\n"):format(command and manual.program .. " " .. command.name or manual.program)
end

-- Rows of two columns under a title.
local function list_of(title, rows)
  local width, lines = 0, { title }
  for _, row in ipairs(rows) do width = math.max(width, #row[1]) end
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("  %s%s  %s"):format(row[1], (" "):rep(width - #row[1]), row[2])
  end
  return table.concat(lines, "\n") .. "\n"
end

local function list_options(title, names)
  local rows = {}
  for i, name in ipairs(names) do rows[i] = { with_value(manual.options[name]), manual.options[name].help } end
  return list_of(title, rows)
end

local function list_exit_codes(partly)
  local rows = {
    { "0", "done" },
    { "1", "the service refused, the task failed or was cancelled, or what was asked for could not be done" },
    { "2", "wrong usage" },
    { "3", partly },
    { "130", "interrupted, by Ctrl-C" },
  }
  if not partly then table.remove(rows, 4) end
  return list_of("Exit codes:", rows)
end

local function help_of_all()
  local rows = {}
  for i, command in ipairs(manual.commands) do
    local text = command.name .. (command.most == 1 and " " .. command.operands or "")
    rows[i] = { text, command.summary }
  end
  return table.concat({
    manual.usage(),
    "Bulk provisioning with AWS IoT: starts thing registration tasks, and follows them to their reports.\n",
    list_of("Commands:", rows),
    list_options("Options, before or after the command:", manual.common),
    list_exit_codes "done, but the task has failed things, or the check found problems",
    ("Example:\n  %s wait --region eu-west-1 TASK_ID\n"):format(manual.program),
    ("More of a command: %s COMMAND --help\n"):format(manual.program),
  }, "\n")
end

---The help.
---@param command iot.cli.Command?  else of all
---@return string
function manual.help(command)
  if not command then return help_of_all() end
  local parts = { manual.usage(command), command.about .. "\n" }
  if #command.options > 0 then parts[3] = list_options("Options:", command.options) end
  parts[#parts + 1] = list_options("Options of every command:", manual.common)
  parts[#parts + 1] = list_exit_codes(command.partly)
  parts[#parts + 1] = (#command.examples > 1 and "Examples:\n  " or "Example:\n  ")
    .. table.concat(command.examples, "\n  ") .. "\n"
  return table.concat(parts, "\n")
end

return manual
