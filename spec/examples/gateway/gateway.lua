-- The locations of the gateway: each answers a GET with JSON. One client serves all workers, with a cache, so that
-- any number of people may watch the same tasks.
local cjson = require "cjson.safe"
local iot = require "iot"

local most_tasks = 50 -- described at once; the page says when there are more
local most_records = 100
local seconds = 10 -- for each call; a page is not waited for any longer

local client = assert(iot.new { app_id = "iot-gateway", timeout = seconds, cache = { dict = "tasks", ttl = 1 } })

local gateway = {}

-- Answers ---------------------------------------------------------------------------------------------

-- The members of lists are encoded one by one: to lua-cjson an empty list is an object.
local function list(items)
  local texts = {}
  for i, item in ipairs(items) do texts[i] = cjson.encode(item) end
  return "[" .. table.concat(texts, ",") .. "]"
end

local function say(status, text)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.say(text)
end

-- What the service says of a request is the caller's to know; that the gateway itself may not ask it, is not the
-- caller's fault.
local function status_of(detail)
  if detail.throttled then return 503 end
  if detail.kind == "validation" then return 400 end
  if detail.kind == "timeout" then return 504 end
  if detail.kind == "service" and (detail.status == 400 or detail.status == 404) then return detail.status end
  if detail.kind == "credentials" or detail.kind == "configuration" then return 500 end
  return 502
end

local function error_of(detail)
  return { code = detail.code, message = detail.message, requestId = detail.request_id }
end

local function fail(detail)
  local status = status_of(detail)
  if status == 503 then ngx.header["Retry-After"] = math.max(1, math.ceil(detail.retry_after or 1)) end
  say(status, cjson.encode { error = error_of(detail) })
end

-- Locations -------------------------------------------------------------------------------------------

-- The ids of tasks with one of these statuses, at most so many, and whether there are more.
local function ids_of(statuses)
  local ids = {}
  for _, status in ipairs(statuses) do
    for id in client:thing_registration_tasks { status = status, maxResults = most_tasks } do
      if #ids == most_tasks then return ids, true end
      ids[#ids + 1] = id
    end
  end
  return ids, false
end

-- A task that cannot be described is in the list, with its error.
local function describe_all(ids)
  local tasks, failures = iot.map(ids, function(id)
    return client:describe_thing_registration_task { taskId = id }
  end, { concurrency = 10 })
  for i, id in ipairs(ids) do
    tasks[i] = tasks[i] or { taskId = id, error = error_of(failures[i].detail or failures[i]) }
  end
  return tasks
end

local function tasks()
  local status = ngx.var.arg_status
  local ids, has_more = ids_of(status and { status } or { "InProgress", "Cancelling" })
  say(200, ('{"tasks":%s,"more":%s}'):format(list(describe_all(ids)), tostring(has_more)))
end

local function task(id)
  local found, _, detail = client:describe_thing_registration_task { taskId = id }
  if not found then return fail(detail) end
  say(200, cjson.encode(found))
end

local function failures(id)
  local records, has_more = {}, false
  for record in client:thing_registration_task_report { taskId = id, reportType = "ERRORS" } do
    has_more = #records == most_records
    if has_more then break end
    records[#records + 1] = {
      line = record:input_line(), reason = record:reason() or record.malformed or record.raw, input = record:input(),
    }
  end
  say(200, ('{"failures":%s,"more":%s}'):format(list(records), tostring(has_more)))
end

-- What iterates raises the detail of its failure.
local function answer(location, id)
  local ok, raised = pcall(location, id) -- in LuaJIT a pcall can be waited across
  if ok then return end
  if type(raised) == "table" and raised.kind then return fail(raised) end
  ngx.log(ngx.ERR, tostring(raised))
  say(500, '{"error":{"code":"InternalError","message":"the gateway failed; its log says why"}}')
end

---The content of /tasks and below.
function gateway.answer()
  local method = ngx.req.get_method()
  if method ~= "GET" and method ~= "HEAD" then
    ngx.header["Allow"] = "GET, HEAD"
    return say(405, '{"error":{"code":"MethodNotAllowed","message":"only GET is answered"}}')
  end
  local id, what = ngx.var.uri:match "^/tasks/([^/]+)(/?%a*)$"
  if ngx.var.uri == "/tasks" then return answer(tasks) end
  if id and what == "" then return answer(task, id) end
  if id and what == "/failures" then return answer(failures, id) end
  say(404, '{"error":{"code":"NotFound","message":"there is nothing here"}}')
end

return gateway
