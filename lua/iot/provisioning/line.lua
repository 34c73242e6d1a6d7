---The checks of an input's lines (reference 9.3).
local core = require "iot.core"
local document = require "iot.provisioning.document"
local thing_name = require "iot.provisioning.thing_name"

local line = {}

local max_name, max_value = 2048, 4096
local max_number = 2 ^ 32 - 1 -- of a line that the set of names can note

---@class iot.provisioning.Checker
---@field report iot.provisioning.Report
---@field template iot.provisioning.Template
---@field weights table<string, integer>  of each declared parameter: 1 when it is required
---@field seen userdata?  the names of things, with their lines; where the template tells them
---@field failure table?  facts and message, of why the names could not be told apart
local Checker = {}
Checker.__index = Checker

-- Whether all members are as they should be. What is not sure is false: most lines are good, and those are quick.
local function are_good(self, object)
  local weights, found = self.weights, 0
  for name, value in pairs(object) do
    local weight = weights[name]
    if not weight or type(value) ~= "string" or #value > max_value then return false end
    found = found + weight
  end
  return found == #self.template.required
end

local function check_value(report, name, value)
  local subject = { parameter = name }
  if type(value) ~= "string" then
    report:add("ValueNotString", subject, "the value of %s is " .. document.kind(value) .. ", not a string", name)
  elseif document.exceeds(value, max_value) then
    report:add("ValueTooLong", subject, "the value of %s is longer than 4,096 characters", name)
  end
end

local function check_member(self, name, value)
  local report, declared = self.report, self.template.declared
  if value == nil then
    return report:add("MissingParameter", { parameter = name }, "the parameter %s is missing, and has no Default", name)
  end
  if declared and not declared[name] then
    report:add("UndeclaredParameter", { parameter = name }, "the template declares no parameter %s", name)
  end
  if document.exceeds(name, max_name) and not (declared and declared[name]) then
    report:add("NameTooLong", { parameter = name }, "the parameter name %s is longer than 2,048 characters", name)
  end
  check_value(report, name, value)
end

local function check_members(self, object)
  local names = document.sorted_names(object)
  local given = #names
  for _, name in ipairs(self.template.required) do
    if object[name] == nil then names[#names + 1] = name end
  end
  if #names > given then table.sort(names) end
  for _, name in ipairs(names) do check_member(self, name, object[name]) end
end

local function check_thing(self, name)
  local report = self.report
  local fault = thing_name.fault(name)
  if fault then return report:add("InvalidThingName", nil, fault, name) end
  local earlier, message, facts = self.seen:add(name, math.min(report.line, max_number))
  if earlier == false then
    facts.message = message
    self.failure = facts
  elseif earlier == report.line then
    report:add("DuplicateThingName", nil, "two things have the name %s", name)
  elseif earlier then
    report:add("DuplicateThingName", nil, "the thing name %s is that of line %d already", name, earlier)
  end
end

---Check the line that the report is at.
---@param text string
---@param cut boolean  it is longer than what is here
function Checker:check(text, cut)
  if cut then return self.report:add("LineTooLong", nil, "it is longer than 1 MiB") end
  local object = document.read(text, self.report)
  if not object then return end
  if not are_good(self, object) then check_members(self, object) end
  for _, name_of in ipairs(self.template.names) do
    local name = name_of(object)
    if name then check_thing(self, name) end
  end
end

---Free what is kept of the lines.
function Checker:close()
  if self.seen then self.seen:clear() end
end

---@param report iot.provisioning.Report
---@param template iot.provisioning.Template
---@return iot.provisioning.Checker? checker
---@return string? message
---@return table? facts
function line.checker(report, template)
  local weights = {}
  for name in pairs(template.declared or {}) do weights[name] = 0 end
  for _, name in ipairs(template.required) do weights[name] = 1 end
  local checker = setmetatable({ report = report, template = template, weights = weights }, Checker)
  if #template.names > 0 then
    local seen, message, facts = core.name_set()
    if not seen then return nil, message, facts end
    checker.seen = seen
  end
  return checker
end

return line
