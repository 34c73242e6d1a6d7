---Reading the words of a command line.
local excerpt = require "iot.excerpt"
local manual = require "iot.cli.manual"

local arguments = {}

---@class iot.cli.Request
---@field show "help"|"version"|nil  instead of running the command
---@field command iot.cli.Command?
---@field options table<string, string|number|boolean>  switches are true
---@field operands string[]
---@field parameters table<string, string>?  of the command register

local function quoted(word)
  return "'" .. excerpt.line(word, 64) .. "'"
end

local types = {
  seconds = { "a positive number of seconds", function(text)
    local number = tonumber(text:match "^%d+%.?%d*$" or text:match "^%.%d+$")
    return number and number > 0 and number < math.huge and number or nil
  end },
  count = { "a whole number from 1 to 2147483647", function(text)
    local number = tonumber(text:match "^%d+$")
    return number and number >= 1 and number < 2 ^ 31 and number or nil
  end },
}

-- Returns the value, or nil and the reason.
local function read_value(option, text)
  if option.choices then
    for _, choice in ipairs(option.choices) do
      if text == choice then return text end
    end
    return nil, ("--%s must be %s, not %s"):format(option.name, table.concat(option.choices, " or "), quoted(text))
  end
  local kind = types[option.type]
  if not kind then return text end
  local value = kind[2](text)
  if value then return value end
  return nil, ("--%s must be %s, not %s"):format(option.name, kind[1], quoted(text))
end

-- An option word: its name, and the value that stands behind a "=".
local function split(word)
  if word == "-h" then return "help" end
  local name, value = word:match "^%-%-([^=]*)=(.*)$"
  if name then return name, value end
  return word:match "^%-%-(.*)$"
end

-- Take the option at `words[at]`, and its value. Returns how many words that were, or nil and the reason.
local function take_option(words, at, into)
  local name, text = split(words[at])
  local option, used = manual.options[name or ""], 1
  if not option then return nil, "unknown option " .. quoted(words[at]) end
  if not option.value then
    if text then return nil, ("--%s takes no value"):format(name) end
    into[name] = true
    return used
  end
  if not text then
    text, used = words[at + 1], 2
    -- That more likely is the next option. One that is a value can be told by "=".
    if text and text:find "^%-%-" then text = nil end
  end
  if not text or text == "" then return nil, ("--%s needs a value: %s"):format(name, option.value) end
  local value, reason = read_value(option, text)
  if value == nil then return nil, reason end
  into[name] = value
  return used
end

-- Sort words into options and others. Returns nil, the reason, and the others so far on failure.
local function sort_words(words)
  local options, others, at, literal = {}, {}, 1, false
  while at <= #words do
    local word, used = words[at], 1
    if literal or word == "-" or word:sub(1, 1) ~= "-" then
      others[#others + 1] = word
    elseif word == "--" then
      literal = true
    else
      local reason
      used, reason = take_option(words, at, options)
      if not used then return nil, reason, others end
    end
    at = at + used
  end
  return options, others
end

-- What one command alone asks for; each returns the reason of a refusal.
local rules = {}

function rules.start(request)
  for _, name in ipairs { "timeout", "interval" } do
    if request.options[name] and not request.options.wait then return ("--%s goes with --wait"):format(name) end
  end
end

function rules.check(request)
  if request.options.template == "-" and request.operands[1] == "-" then
    return "only one of template and input file can be standard input"
  end
end

function rules.report(request)
  if request.options.raw and request.options.output == "json" then
    return "--raw and --output json exclude each other"
  end
end

function rules.register(request)
  for _, word in ipairs(request.operands) do
    local name, value = word:match "^([^=]+)=(.*)$"
    if not name then return "NAME=VALUE expected, not " .. quoted(word) end
    request.parameters = request.parameters or {}
    if request.parameters[name] then return ("the parameter %s is given twice"):format(quoted(name)) end
    request.parameters[name] = value
  end
end

-- Why a command cannot be run with these options and operands, or nil.
local function refusal(request)
  local command, operands = request.command, request.operands
  local names = {}
  for name in pairs(request.options) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if not manual.takes(command, name) then return ("%s has no option --%s"):format(command.name, name) end
  end
  for _, name in ipairs(command.required) do
    if not request.options[name] then
      return ("%s needs --%s %s"):format(command.name, name, manual.options[name].value)
    end
  end
  if #operands < command.least or command.least > 0 and operands[1] == "" then
    return ("%s needs %s"):format(command.name, command.operands)
  end
  if #operands > command.most then return "unexpected argument " .. quoted(operands[command.most + 1]) end
  return rules[command.name] and rules[command.name](request)
end

-- "help", "help COMMAND"
local function read_help(request)
  local topic = request.operands[1]
  request.show, request.command = "help", topic and manual.find(topic) or nil
  if topic and not request.command then return nil, "unknown command " .. quoted(topic) end
  if request.operands[2] then return nil, "unexpected argument " .. quoted(request.operands[2]), request.command end
  return request
end

---Read a command line.
---@param words string[]  without the name of the program
---@return iot.cli.Request?
---@return string? message  why it cannot be understood
---@return iot.cli.Command? command  the one that it is about, as far as known
function arguments.read(words)
  local options, others, so_far = sort_words(words)
  if not options then return nil, others, manual.find(so_far[1] or "") end
  local request = { options = options, operands = others }
  local name = table.remove(others, 1)
  if name == "help" then return read_help(request) end
  request.command = name and manual.find(name) or nil
  if name and not request.command then return nil, "unknown command " .. quoted(name) end
  if options.version or options.help then
    request.show = options.help and "help" or "version"
    return request
  end
  if not name then return nil, "a command is missing" end
  local reason = refusal(request)
  if reason then return nil, reason, request.command end
  return request
end

return arguments
