-- The control interface: how a spec, or curl in a terminal, steers the simulator.
--
--   POST /tasks        add a task: the members of a description; with "plan" it goes on from its
--                      creationDate by itself. Answers {"taskId": ...}
--   POST /faults       queue a fault, or those of a list (faults.lua); their bodies are percent-encoded
--   POST /settings     change settings (settings.lua);          GET /settings     show them
--   POST /expire       let all the credentials that were issued so far expire now
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
local settings = require "simulator.settings"
local state = require "simulator.state"
local tasks = require "simulator.tasks"

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

-- Each returns the text of the answer, or nil and what is wrong with the request.
local ROUTES = {
  ["GET /environment"] = environment,
  ["GET /journal"] = journal.read,
  ["GET /settings"] = function() return cjson.encode(settings.all()) end,

  ["GET /secrets"] = function() return cjson.encode(keys.secrets()) end,

  ["POST /tasks"] = function(task)
    local plan = task.plan
    task.plan = nil
    local problem = plan and settings.problem(plan)
    if problem then
      return nil, problem
    end
    return cjson.encode { taskId = tasks.add(task, plan, ngx.now()) }
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

function M.handle()
  ngx.header["Content-Type"] = "application/json"
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
