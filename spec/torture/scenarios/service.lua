-- Calls of the service, and what goes on with them; see ../scenarios.lua.
local core = require "iot.core"
local iot = require "iot"
local tools = require "spec.torture.scenarios.tools"

local attempt = tools.attempt
local close = tools.close
local describe = tools.describe
local due = tools.due
local native = tools.native
local options = tools.options
local template = tools.template

local scenarios, scenario = tools.list()

-- The service ----------------------------------------------------------------------------------------

local function open_client(place) return assert(iot.new(options(place))) end

scenario("native describe", {
  open = native, close = close,
  run = function(client) return core[describe](client, { taskId = "task" }, attempt()) end,
})

scenario("describe", {
  open = open_client, close = close,
  run = function(client) return client[describe](client, { taskId = "task" }) end,
})

scenario("describe, refused", {
  open = open_client, close = close,
  run = function(client) return due("ResourceNotFoundException", client[describe](client, { taskId = "gone" })) end,
})

scenario("describe, malformed", {
  open = open_client, close = close,
  run = function(client) return due("MalformedResponse", client[describe](client, { taskId = "garbled" })) end,
})

-- Whoever has no connection yet.
local function once(endpoint_of)
  return function(place)
    local client, message, detail = iot.new(options(place, endpoint_of(place)))
    if not client then return nil, message, detail end
    local task
    task, message, detail = client[describe](client, { taskId = "task" })
    client:close()
    return task, message, detail
  end
end

scenario("describe once", {
  open = function(place) return place end, run = once(function(place) return place.plain end),
})

scenario("describe once, TLS", {
  open = function(place) return place end, run = once(function(place) return place.tls end),
})

scenario("operations", {
  open = native, close = close,
  run = function(client)
    local params = {
      start_thing_registration_task = {
        templateBody = template, inputFileBucket = "factory", inputFileKey = "k", roleArn = "arn:aws:iam::1:role/r",
      },
      stop_thing_registration_task = { taskId = "task" },
      list_thing_registration_tasks = { maxResults = 2, status = "Completed" },
      list_thing_registration_task_reports = { taskId = "task", reportType = "ERRORS" },
      register_thing = { templateBody = template, parameters = { Name = "n", Serial = "s" } },
    }
    local seen = {}
    for _, name in ipairs(core.operations) do
      if params[name] then
        local result, message, facts = core[name](client, params[name], attempt())
        if not result then return nil, message, facts end
        seen[#seen + 1] = result
      end
    end
    return seen
  end,
})

scenario("pages", {
  open = open_client, close = close,
  run = function(client)
    local seen = {}
    for id in client:thing_registration_tasks { status = "Completed" } do seen[#seen + 1] = id end
    return seen
  end,
})

scenario("report", {
  open = open_client, close = close,
  run = function(client)
    local seen = {}
    for record in client:thing_registration_task_report { taskId = "task", reportType = "ERRORS" } do
      seen[#seen + 1] = record:reason()
    end
    return seen
  end,
})

-- Each item right, or a failure, which may be one that an iterator raised.
local function tells_why(failure)
  if type(failure) == "table" then return failure.code ~= nil end
  failure = tostring(failure)
  return failure:find "memory" or failure:find "Memory" or failure:find "stack overflow %("
end

local function check_map(result, expected, same)
  local results, failures = result[1], result[2]
  for i = 1, expected[1].n do
    local wanted, failure = expected[1][i], failures[i]
    if results[i] ~= nil then
      if not wanted or not same(results[i], wanted) then return false end
    elseif not failure or type(failure.message) ~= "string" then
      return false
    elseif failure.raised and not tells_why(failure.error) then
      return false, failure.message .. "\n" .. tostring(failure.traceback)
    end
  end
  return results.n == expected[1].n
end

scenario("map", {
  open = open_client, close = close,
  run = function(client)
    local results, failures = iot.map({ "a", "bb", "gone", "dddd", "eeeee" }, function(id)
      return client[describe](client, { taskId = id })
    end, { concurrency = 3 })
    return { results, failures }
  end,
  check = check_map,
  whole = function(result, expected, same)
    return same(result[1], expected[1]) and result[2][3].detail.code == "ResourceNotFoundException"
  end,
})

-- What waits for its turn: pages of one iterator, and credentials that expire at once.
scenario("map, sharing", {
  open = function(place)
    local given = options(place)
    given.credentials = function()
      return { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", expiration = core.now() + 1 }
    end
    return assert(iot.new(given))
  end,
  close = close,
  run = function(client)
    local following = client:thing_registration_tasks { status = "Completed" }
    local results, failures = iot.map({ 1, 2, 3, 4 }, function()
      local id = following() or "none"
      local task, message, detail = client[describe](client, { taskId = "task" })
      if not task then return nil, message, detail end
      return { #id > 0, task }
    end, { concurrency = 4 })
    return { results, failures }
  end,
  check = check_map,
})

-- After a failure that may pass, it sleeps for a second: so not under failures of others than Lua and the core.
scenario("wait", {
  sources = { lua = true, core = true },
  open = open_client, close = close,
  run = function(client)
    local heard = 0
    local task, message, detail = client:wait_for_thing_registration_task({ taskId = "task" }, {
      timeout = 4, on_progress = function() heard = heard + 1 end,
    })
    if not task then return nil, message, detail end
    return { task, heard }
  end,
})

return scenarios
