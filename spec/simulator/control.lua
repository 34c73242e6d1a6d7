-- The control interface: how a spec, or curl in a terminal, steers the simulator.
--
--   POST /tasks        add a task: the members of a description; with "plan" it goes on from its
--                      creationDate by itself. Answers {"taskId": ...}. Or a list of tasks, of which one with
--                      "count" stands for so many; answers {"taskIds": [...]} then, in their order
--   POST /objects/BUCKET/KEY   keep the body, whatever bytes it has, as an input file: a task that names it
--                      is then what its lines and its template make of it; PUT does the same
--   POST /forget       forget all tasks, input files and things
--   POST /faults       queue a fault, or those of a list (faults.lua); their bodies are percent-encoded
--   POST /settings     change settings (settings.lua);          GET /settings     show them
--   POST /expire       let all the credentials that were issued so far expire now
--   POST /expire-links let all the links to reports that were issued so far expire now
--   GET /secrets       every secret key and token that was issued
--   POST /clear        forget the journal and the faults;       GET /journal      show the journal
--   POST /reset        the same, and all settings back to their defaults
--   POST /save         write all of this to a file, which a start in the same folder reads
--   GET /environment   the region and the long-lived key as NAME=VALUE lines

local cjson = require "cjson.safe"
local accounts = require "simulator.accounts"
local faults = require "simulator.faults"
local journal = require "simulator.journal"
local keys = require "simulator.keys"
local links = require "simulator.links"
local objects = require "simulator.objects"
local outcomes = require "simulator.outcomes"
local settings = require "simulator.settings"
local state = require "simulator.state"
local tasks = require "simulator.tasks"
local things = require "simulator.things"
local uri = require "simulator.uri"

local M = {}

local function environment()
  return ("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_REGION=%s\n"):format(
    accounts.long_lived.access_key_id, accounts.long_lived.secret_access_key, accounts.region)
end

local function clear()
  faults.clear()
  journal.clear()
  return "{}"
end

-- Adds a task of the control interface, or as many as it stands for. Returns their taskIds, or nil and what is
-- wrong.
local function add_task(task)
  local plan, count = task.plan, task.count
  local problem = plan and settings.problem(plan)
    or count and (type(count) ~= "number" or task.taskId) and "'count' must be a number, and goes with no taskId"
  if problem then
    return nil, problem
  end
  local ids = {}
  for number = 1, count or 1 do
    local members = {}
    for name, value in pairs(task) do
      members[name] = value
    end
    members.plan, members.count = nil, nil
    ids[number] = tasks.add(members, plan, ngx.now())
  end
  return ids
end

local function add_tasks(list)
  local all = {}
  for _, task in ipairs(list) do
    local ids, problem = add_task(task)
    if not ids then
      return nil, problem
    end
    for _, id in ipairs(ids) do
      all[#all + 1] = id
    end
  end
  return cjson.encode { taskIds = all }
end

-- Each returns the text of the answer, or nil and what is wrong with the request.
local ROUTES = {
  ["GET /environment"] = environment,
  ["GET /journal"] = journal.read,
  ["GET /settings"] = function() return cjson.encode(settings.all()) end,

  ["GET /secrets"] = function() return cjson.encode(keys.secrets()) end,

  ["POST /tasks"] = function(document)
    if document[1] then
      return add_tasks(document)
    end
    local ids, problem = add_task(document)
    return ids and cjson.encode { taskId = ids[1] }, problem
  end,

  ["POST /forget"] = function()
    for _, kept in ipairs { tasks, objects, outcomes, things } do
      kept.clear()
    end
    return "{}"
  end,

  ["POST /faults"] = function(document)
    for _, fault in ipairs(document[1] and document or { document }) do
      local good, problem = faults.add(fault)
      if not good then
        return nil, problem
      end
    end
    return "{}"
  end,

  ["POST /settings"] = function(changes)
    local good, problem = settings.change(changes)
    return good and cjson.encode(settings.all()), problem
  end,

  ["POST /expire"] = function()
    keys.expire()
    return "{}"
  end,

  ["POST /expire-links"] = function()
    links.expire()
    return "{}"
  end,

  ["POST /save"] = function()
    state.save()
    return "{}"
  end,

  ["POST /clear"] = clear,
  ["POST /reset"] = function()
    settings.reset()
    return clear()
  end,
}

local function refuse(status, problem)
  ngx.status = status
  ngx.print(cjson.encode { message = problem })
end

-- Keeps the body under the name in the raw path. Returns the text of the answer, or nil and what is wrong.
local function put_object(bucket, key)
  ngx.req.read_body()
  local text = ngx.req.get_body_data() or ""
  local good, problem = objects.put(uri.decode(bucket), uri.decode(key), text)
  return good and cjson.encode { bytes = #text }, problem
end

function M.handle()
  ngx.header["Content-Type"] = "application/json"
  local bucket, key = ngx.var.request_uri:match("^/objects/([^/?]+)/([^?]+)$")
  local method = ngx.req.get_method()
  if bucket and (method == "POST" or method == "PUT") then
    local text, problem = put_object(bucket, key)
    return text and ngx.print(text) or refuse(400, problem)
  end
  local route = ROUTES[ngx.req.get_method() .. " " .. ngx.var.uri]
  if not route then
    return refuse(404, "no such control: " .. ngx.req.get_method() .. " " .. ngx.var.uri)
  end
  ngx.req.read_body()
  local document = cjson.decode(ngx.req.get_body_data() or "{}")
  if type(document) ~= "table" then
    return refuse(400, "the body must be a JSON object")
  end
  local text, problem = route(document)
  if not text then
    return refuse(400, problem)
  end
  ngx.print(text)
end

return M
