-- The locations of the gateway: each answers a GET with JSON. One client serves all workers. It keeps what the service
-- said of a task for a second, as shared.lua keeps lists and reports, so that any number of people may watch.
local answers = require "answers"
local iot = require "iot"
local shared = require "shared"

local most_tasks = 20 -- described for one list; the page says when there are more
local most_records = 100
local most_bytes = 1000 -- of a record's text
local seconds = 10 -- for each answer; nobody waits for it any longer

local running = { "InProgress", "Cancelling" }
-- How long a list is kept: what has ended stays as it is. The service takes ten requests a second.
local keep = { InProgress = 1, Cancelling = 1, Completed = 30, Failed = 30, Cancelled = 30 }
local keep_failures = 5

local client = assert(iot.new { app_id = "iot-gateway", timeout = seconds, cache = { dict = "tasks", ttl = 1 } })

local gateway = {}

local function left(deadline)
  return math.max(0.001, deadline - ngx.now())
end

-- Locations -------------------------------------------------------------------------------------------
-- Each returns an answer, or raises the detail of a failure as iterators do.

-- The ids of tasks with one of these statuses, at most so many, and whether there are more.
local function ids_of(statuses, deadline)
  local ids = {}
  for _, status in ipairs(statuses) do
    local params = { status = status, maxResults = most_tasks }
    for id in client:thing_registration_tasks(params, { timeout = left(deadline) }) do
      if #ids == most_tasks then return ids, true end
      ids[#ids + 1] = id
    end
  end
  return ids, false
end

-- A task that cannot be described is in the list, with its error. Templates, which are long, are not.
local function tasks(statuses)
  local deadline = ngx.now() + seconds
  local ids, has_more = ids_of(statuses, deadline)
  local found, failures = iot.map(ids, function(id)
    return client:describe_thing_registration_task({ taskId = id }, { timeout = left(deadline) })
  end, { concurrency = 5 })
  for i, id in ipairs(ids) do
    local failure = failures[i]
    found[i] = found[i] or { taskId = id, error = answers.error_of(assert(failure.detail, failure.message)) }
    found[i].templateBody = nil
  end
  return answers.list('{"tasks":%s,"more":%s}', found, has_more)
end

local function task(id)
  local found, _, detail = client:describe_thing_registration_task { taskId = id }
  if not found then error(detail, 0) end
  return answers.one(found)
end

-- A text in its first bytes, none of them a part of a character.
local function clip(text)
  if not text or #text <= most_bytes then return text end
  return text:sub(1, most_bytes):gsub("[\192-\255][\128-\191]*$", "") .. " ..."
end

local function failures(id)
  local deadline = ngx.now() + seconds
  local params = { taskId = id, reportType = "ERRORS" }
  local records, has_more = {}, false
  for record in client:thing_registration_task_report(params, { timeout = seconds }) do
    has_more = #records == most_records or ngx.now() > deadline
    if has_more then break end
    records[#records + 1] = {
      line = record:input_line(), reason = clip(record:reason() or record.malformed or record.raw),
      input = clip(record:input()),
    }
  end
  return answers.list('{"failures":%s,"more":%s}', records, has_more)
end

-- Answers ---------------------------------------------------------------------------------------------

local function answer_of(location, argument)
  local ok, answer = pcall(location, argument) -- in LuaJIT a pcall can be waited across
  if ok then return answer end
  local is_failure = type(answer) == "table" and answer.kind ~= nil
  if not is_failure or answers.is_own(answer) then ngx.log(ngx.ERR, tostring(answer)) end
  return is_failure and answers.failure(answer)
    or answers.refuse(500, "InternalError", "the gateway failed; its log says why")
end

local function shared_answer(key, kept_for, location, argument)
  local answer = shared.once(key, function()
    local made = answer_of(location, argument)
    return made, made.status == 200 and kept_for or made.retry_after or 1
  end)
  return answer or answers.refuse(504, "Timeout", "another request for the same did not end in time")
end

local function route(uri, status)
  if uri == "/tasks" and not status then return shared_answer("list", keep[running[1]], tasks, running) end
  if uri == "/tasks" then
    if keep[status] then return shared_answer("list " .. status, keep[status], tasks, { status }) end
    return answers.refuse(400, "InvalidParameter", "there is no such status")
  end
  local id, what = uri:match "^/tasks/([^/]+)(/?%a*)$"
  if id and what == "" then return answer_of(task, id) end
  if id and what == "/failures" then return shared_answer("failures " .. id, keep_failures, failures, id) end
  return answers.refuse(404, "NotFound", "there is nothing here")
end

local function say(answer)
  ngx.status = answer.status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.header["Retry-After"] = answer.retry_after
  ngx.say(answer.text)
end

---The content of /tasks and below.
function gateway.answer()
  local method = ngx.req.get_method()
  if method == "GET" or method == "HEAD" then return say(route(ngx.var.uri, ngx.var.arg_status)) end
  ngx.header["Allow"] = "GET, HEAD"
  say(answers.refuse(405, "MethodNotAllowed", "only GET is answered"))
end

return gateway
