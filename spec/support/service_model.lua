--- The service as the project's reference of AWS client behaviour tells of it (1.1 to 1.4): what the specs
-- hold the library against, so it shares nothing with csrc/.
--
-- An operation has name (as Lua calls it), aws (its own name), method, path (with its label), input: a
-- list of { name, place, type, required }, output: a list of { name, type }, and errors: a map from code
-- to the status of HTTP.
local M = {}

local PATH = "/thing-registration-tasks"

local function member(name, place, kind, required)
  return { name = name, place = place, type = kind, required = required or false }
end

local function out(name, kind) return { name = name, type = kind } end

local function errors(more)
  local codes = {
    InvalidRequestException = 400, ThrottlingException = 400, UnauthorizedException = 401,
    InternalFailureException = 500,
  }
  for code, status in pairs(more or {}) do codes[code] = status end
  return codes
end

local not_found = { ResourceNotFoundException = 404 }

M.operations = {
  {
    name = "describe_thing_registration_task", aws = "DescribeThingRegistrationTask",
    method = "GET", path = PATH .. "/{taskId}",
    input = { member("taskId", "label", "string", true) },
    output = {
      out("taskId", "string"), out("creationDate", "timestamp"), out("lastModifiedDate", "timestamp"),
      out("templateBody", "string"), out("inputFileBucket", "string"), out("inputFileKey", "string"),
      out("roleArn", "string"), out("status", "string"), out("message", "string"), out("successCount", "integer"),
      out("failureCount", "integer"), out("percentageProgress", "integer"),
    },
    errors = errors(not_found),
  },
  {
    name = "start_thing_registration_task", aws = "StartThingRegistrationTask",
    method = "POST", path = PATH,
    input = {
      member("templateBody", "body", "string", true), member("inputFileBucket", "body", "string", true),
      member("inputFileKey", "body", "string", true), member("roleArn", "body", "string", true),
    },
    output = { out("taskId", "string") },
    errors = errors(),
  },
  {
    name = "stop_thing_registration_task", aws = "StopThingRegistrationTask",
    method = "PUT", path = PATH .. "/{taskId}/cancel",
    input = { member("taskId", "label", "string", true) },
    output = {},
    errors = errors(not_found),
  },
  {
    name = "list_thing_registration_tasks", aws = "ListThingRegistrationTasks",
    method = "GET", path = PATH,
    input = {
      member("nextToken", "query", "string"), member("maxResults", "query", "integer"),
      member("status", "query", "string"),
    },
    output = { out("taskIds", "list"), out("nextToken", "string") },
    errors = errors(),
  },
  {
    name = "list_thing_registration_task_reports", aws = "ListThingRegistrationTaskReports",
    method = "GET", path = PATH .. "/{taskId}/reports",
    input = {
      member("taskId", "label", "string", true), member("reportType", "query", "string", true),
      member("nextToken", "query", "string"), member("maxResults", "query", "integer"),
    },
    output = { out("resourceLinks", "list"), out("reportType", "string"), out("nextToken", "string") },
    errors = errors(),
  },
  {
    name = "register_thing", aws = "RegisterThing",
    method = "POST", path = "/things",
    input = { member("templateBody", "body", "string", true), member("parameters", "body", "map") },
    output = { out("certificatePem", "string"), out("resourceArns", "map") },
    errors = errors { ServiceUnavailableException = 503, ConflictingResourceUpdateException = 409,
      ResourceRegistrationFailureException = 400 },
  },
}

for _, operation in ipairs(M.operations) do M[operation.name] = operation end

local EXAMPLES = {
  taskId = "6d2f0c1e-aaaa-4bbb-8ccc-0123456789ab", templateBody = '{"Resources":{"thing":{}}}',
  inputFileBucket = "bkt", inputFileKey = "a/b.json", roleArn = "arn:aws:iam::123456789012:role/x",
  nextToken = "AbC/+=", maxResults = 25, status = "InProgress", reportType = "ERRORS",
}

--- A good value for an input member.
---@return any
function M.example(name)
  if name == "parameters" then return { ThingName = "lamp-1", SerialNumber = "0001" } end
  return EXAMPLES[name]
end

--- Parameters that an operation takes: the required ones, and those that `wanted` has.
---@param operation table
---@param wanted? table<string, boolean>
---@return table
function M.params(operation, wanted)
  local params = {}
  for _, one in ipairs(operation.input) do
    if one.required or wanted and wanted[one.name] then params[one.name] = M.example(one.name) end
  end
  return params
end

--- Parameters with every member.
---@return table
function M.all_params(operation)
  local wanted = {}
  for _, one in ipairs(operation.input) do wanted[one.name] = true end
  return M.params(operation, wanted)
end

--- The path of an operation, with its label filled in.
---@param encoded? string  the label as it is written
---@return string
function M.path(operation, encoded)
  return (operation.path:gsub("{taskId}", function() return encoded or EXAMPLES.taskId end))
end

return M
