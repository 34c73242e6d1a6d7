---The commands. Each returns its exit code, or nil, a message and a detail.
local text = require "iot.cli.text"

---@type table<string, fun(session: iot.cli.Session): integer?, string?, iot.Error?>
local commands = {}

local done, partly = 0, 3 -- exit codes
local largest_page = 250 -- of a list

function commands.describe(session)
  local task, message, detail = session:call("describe_thing_registration_task", { taskId = session.operands[1] })
  if not task then return nil, message, detail end
  session:write(session.form.task(task))
  return done
end

-- Shows the task when it has ended; of one that ended badly the last that is known, `known` at least.
local function wait_for(session, id, known)
  local interval = session.options.interval
  local task, message, detail = session:call("wait_for_thing_registration_task", { taskId = id }, {
    timeout = session.options.timeout, interval = interval, max_interval = interval,
    on_progress = session:display(),
  })
  if task then
    session:write(session.form.task(task))
    return (task.failureCount or 0) > 0 and partly or done
  end
  local last = detail and detail.task or known
  if last and not (detail and detail.code == "Interrupted") then session:write(session.form.task(last)) end
  return nil, message, detail
end

function commands.wait(session)
  return wait_for(session, session.operands[1])
end

function commands.start(session)
  local options = session.options
  local template, message = session:read_template()
  if not template then return nil, message end
  local started, reason, detail = session:call("start_thing_registration_task", {
    templateBody = template, inputFileBucket = options.bucket, inputFileKey = options.key,
    roleArn = options["role-arn"],
  })
  if not started then return nil, reason, detail end
  if not options.wait then
    session:write(session.form.started(started.taskId))
    return done
  end
  -- Whatever becomes of the wait, the id is not lost.
  session:tell("started " .. text.id(started.taskId))
  return wait_for(session, started.taskId, { taskId = started.taskId })
end

function commands.stop(session)
  local id = session.operands[1]
  local stopped, message, detail = session:call("stop_thing_registration_task", { taskId = id })
  if not stopped then return nil, message, detail end
  session:write(session.form.stopped(id))
  return done
end

function commands.list(session)
  local limit, form = session.options.limit or math.huge, session.form
  local each, message, detail = session:call("thing_registration_tasks", {
    status = session.options.status, maxResults = math.min(limit, largest_page),
  })
  if not each then return nil, message, detail end
  local ids, count = {}, 0
  for id in each do
    count = count + 1
    if form.id then session:write(form.id(id)) else ids[count] = id end
    if count >= limit then break end
  end
  if form.ids then session:write(form.ids(ids)) end
  return done
end

-- How to show a record. A terminal gets nothing that could harm it, not even of a raw line.
local function record_writer(session)
  if not session.options.raw then return session.form.record end
  local is_terminal = session.is_terminal(session.stdout)
  return function(record)
    if record.was_cut then session:tell(text.failure(text.cut(record))) end
    return is_terminal and text.raw(record.raw) or record.raw .. "\n"
  end
end

function commands.report(session)
  local show = record_writer(session)
  local each, message, detail = session:call("thing_registration_task_report", {
    taskId = session.operands[1], reportType = (session.options.type or "errors"):upper(),
  })
  if not each then return nil, message, detail end
  for record in each do session:write(show(record)) end
  return done
end

-- People see each problem as it is found; a document has a list of them, which is bounded.
local function check_options(session)
  local form, limit = session.form, session.options.limit
  if not form.problem then return { max_problems = limit } end
  local shown = 0
  return { max_problems = 0, on_problem = function(problem)
    shown = shown + 1
    if shown <= (limit or math.huge) then session:write(form.problem(problem)) end
  end }
end

function commands.check(session)
  local template, reason = session:read_template()
  if not template then return nil, reason end
  local name, input = session.operands[1], nil
  if name then
    input, reason = session:open_input(name)
    if not input then return nil, reason end
  end
  local result, message, detail = session.iot.check_provisioning(template, input, check_options(session))
  if input then session:close_input(input) end
  if not result then return nil, name and text.name(name) .. ": " .. message or message, detail end
  session:write(session.form.check(result, input ~= nil))
  return result.ok and done or partly
end

function commands.register(session)
  local template, reason = session:read_template()
  if not template then return nil, reason end
  local result, message, detail = session:call("register_thing", {
    templateBody = template, parameters = session.parameters,
  })
  if not result then return nil, message, detail end
  session:write(session.form.registered(result))
  return done
end

return commands
