-- The operations that the simulator knows, found by method and path. To add one, write its file in
-- operations/ and name it here.
--
-- An operation has name, method, path (a template, reference section 1) and run(call), where *call*
-- holds request, labels (decoded) and now. run returns the body of the answer as a table or as JSON, or
-- nil with the code and message of a refusal.
--
-- The services that give credentials are in credentials/. Their paths and those of AWS IoT are all
-- different, so that one endpoint serves for all of them. Each file returns a list of operations with
-- answer(call) instead of run: it sees for itself who calls, and returns a whole answer (answer.lua). So
-- does the storage of the reports, which has a prefix of the raw path, where nothing is decoded, instead of
-- method and path.

local storage = require "simulator.storage"
local uri = require "simulator.uri"

local M = {}

local OPERATIONS = {
  require "simulator.operations.describe_thing_registration_task",
  require "simulator.operations.start_thing_registration_task",
  require "simulator.operations.stop_thing_registration_task",
  require "simulator.operations.list_thing_registration_tasks",
  require "simulator.operations.list_thing_registration_task_reports",
  require "simulator.operations.register_thing",
}

for _, name in ipairs { "sts", "sso", "signin", "imds", "container", "device" } do
  for _, operation in ipairs(require("simulator.credentials." .. name)) do
    table.insert(OPERATIONS, operation)
  end
end

local templates = {}
for _, operation in ipairs(OPERATIONS) do
  templates[operation] = uri.segments(operation.path)
end

-- The labels when the segments of a path are those of a template. A label is decoded once.
local function match(template, segments)
  if #template ~= #segments then
    return nil
  end
  local labels = {}
  for index, part in ipairs(template) do
    local label = part:match("^{(.*)}$")
    if label then
      labels[label] = uri.decode(segments[index])
    elseif part ~= uri.decode(segments[index]) then
      return nil
    end
  end
  return labels
end

-- The operation and its labels, or nil. *path* is the raw one.
function M.find(method, path)
  if path:sub(1, #storage.prefix) == storage.prefix then
    return storage, {}
  end
  local segments = uri.segments(path)
  for _, operation in ipairs(OPERATIONS) do
    if operation.method == method then
      local labels = match(templates[operation], segments)
      if labels then
        return operation, labels
      end
    end
  end
end

return M
