---What can be wrong with a provisioning template and its input, and a report that counts what was found.
local excerpt = require "iot.excerpt"

local problems = {}

---@class iot.ProblemCode
---@field where "template"|"input"|"both"  where it is found
---@field meaning string

local function code(where, meaning)
  return { where = where, meaning = meaning }
end

---Every code of a problem.
---@type table<string, iot.ProblemCode>
problems.codes = {
  ByteOrderMark = code("both", "a byte order mark, which is no JSON"),
  InvalidUTF8 = code("both", "bytes that are not UTF-8"),
  InvalidJSON = code("both", "no valid JSON, or not all of it on one line"),
  NotAnObject = code("both", "JSON, but no object"),
  NameTooLong = code("both", "a parameter's name of more than 2,048 characters"),
  ValueTooLong = code("both", "a parameter's value or Default of more than 4,096 characters"),
  InvalidThingName = code("both", "a thing name that is not 1 to 128 of a-z, A-Z, 0-9, ':', '_' and '-'"),

  TemplateTooLong = code("template", "a template of more than 10,240 characters"),
  MissingResources = code("template", "no resource at all"),
  InvalidStructure = code("template", "something else where an object is due"),
  InvalidParameterType = code("template", "a parameter whose Type is not String"),
  InvalidDefault = code("template", "a Default that is no string"),
  UnknownResourceType = code("template", "a resource whose Type is no thing, certificate or policy of AWS IoT"),
  UnknownOverride = code("template", "an override setting that such a resource does not have"),
  InvalidOverride = code("template", "an override setting with a value that there is not"),
  InvalidReference = code("template", "a Ref that is no string"),
  UndeclaredReference = code("template", "a Ref to what is neither declared as a parameter nor a resource"),
  InvalidCertificateSource = code("template",
    "not exactly one of CertificateSigningRequest, CertificateId and CertificatePem"),
  InvalidPolicySource = code("template", "not exactly one of PolicyName and PolicyDocument"),
  InvalidPolicyDocument = code("template", "a PolicyDocument that is no string, such as the document itself"),

  EmptyInput = code("input", "no line at all"),
  BlankLine = code("input", "a line of white space only"),
  LineTooLong = code("input", "a line of more than 1 MiB; what it holds is not looked at"),
  ValueNotString = code("input", "a parameter's value that is no string"),
  MissingParameter = code("input", "no value for a parameter that a Ref uses and that has no Default"),
  UndeclaredParameter = code("input", "a parameter that the template does not declare"),
  DuplicateThingName = code("input", "the thing name of an earlier line"),
}

local shown_bytes = 64 -- of what others wrote, in a message
local kept_bytes = 4 * 2048 -- of a name in a problem: all of a name that is not too long

-- What others wrote, for a message: in quotes, unless it is a plain word.
local function show(value)
  if type(value) ~= "string" then return value end
  if #value <= shown_bytes and value:find "^[a-zA-Z0-9_.:%-]+$" then return value end
  return "'" .. excerpt.line(value:sub(1, 4 * shown_bytes), shown_bytes) .. "'"
end

---What was found, as it is found. The first problems are kept; all are counted, and shown to whoever wants to see.
---@class iot.provisioning.Report
---@field count integer  of all problems
---@field list iot.Problem[]  the first of them
---@field limit integer  of the list
---@field on_problem fun(problem: iot.Problem)?
---@field where "template"|"input"  what is looked at; may be set
---@field line integer?  likewise, of the input
local Report = {}
Report.__index = Report

local function prefix(report)
  return report.line and "line " .. report.line .. ": " or report.where .. ": "
end

---Note a problem of what is looked at.
---@param word string  its code
---@param subject { resource: string?, parameter: string? }?
---@param format string  of the message: one line, and only the arguments are what others wrote
---@param a string|integer|nil
---@param b string|integer|nil
function Report:add(word, subject, format, a, b)
  self.count = self.count + 1
  local listed = #self.list < self.limit
  if not listed and not self.on_problem then return end
  local parameter = subject and subject.parameter
  local problem = {
    where = self.where, line = self.line, code = word, resource = subject and subject.resource,
    parameter = parameter and parameter:sub(1, kept_bytes),
    message = prefix(self) .. format:format(show(a), show(b)),
  }
  if listed then self.list[#self.list + 1] = problem end
  if self.on_problem then self.on_problem(problem) end
end

---@param limit integer
---@param on_problem fun(problem: iot.Problem)?
---@return iot.provisioning.Report
function problems.report(limit, on_problem)
  return setmetatable({ count = 0, list = {}, limit = limit, on_problem = on_problem, where = "template" }, Report)
end

return problems
