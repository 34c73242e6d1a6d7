-- What the simulator can be told about itself, through the control interface.

local M = {}

local DEFAULTS = {
  -- The plan of the tasks that are started from now on: how many things they register, how many of
  -- these fail, how long they take, and how they end (Completed, Failed or Cancelled, with a message).
  things = 10,
  failures = 0,
  seconds = 1,
  status = "Completed",
  message = "",
  -- How many tasks may be started before one has ended.
  concurrent_tasks = 1,
  -- How long a task that is stopped stays Cancelling.
  cancel_seconds = 0.3,
  -- How many items a page has when the caller does not say.
  page_size = 100,
  -- How many links a report has, and for how long these are good; whether there is a dot segment in them, though an
  -- encoded one, which some HTTP libraries do not leave alone; how the report is encoded ("" or "gzip"), and how its
  -- lines tell of errors (reports/errors.lua).
  report_links = 1,
  link_seconds = 3600,
  link_dots = false,
  report_encoding = "",
  report_errors = "list",
  -- How long temporary credentials are good for when the caller does not say; below 0 they have expired.
  credential_seconds = 3600,
  -- For how long the service still takes them then, as it does while what renews them is out of order.
  grace_seconds = 0,
  -- How long the tokens of an SSO session are good for.
  token_seconds = 3600,
  -- The role of the instance ("": none is attached), and whether its metadata service knows the
  -- extended paths.
  imds_role = "gateway-role",
  imds_extended = true,
  -- How many seconds the clock of all services is ahead.
  clock = 0,
  -- How many requests the journal holds before it forgets the oldest; 0 turns it off.
  journal_limit = 1000,
}

local CHOICES = {
  report_encoding = { [""] = true, gzip = true },
  report_errors = { list = true, text = true, response = true, plain = true, mixed = true },
}

local store = ngx.shared.settings

function M.get(name)
  local value = store:get(name)
  if value == nil then
    return DEFAULTS[name]
  end
  return value
end

function M.all()
  local all = {}
  for name in pairs(DEFAULTS) do
    all[name] = M.get(name)
  end
  return all
end

-- Back to the defaults.
function M.reset()
  store:flush_all()
end

-- What is wrong with these changes, or nil.
function M.problem(changes)
  for name, value in pairs(changes) do
    if DEFAULTS[name] == nil then
      return ("there is no setting '%s'"):format(name)
    elseif type(value) ~= type(DEFAULTS[name]) then
      return ("setting '%s' must be a %s"):format(name, type(DEFAULTS[name]))
    elseif CHOICES[name] and not CHOICES[name][value] then
      return ("setting '%s' cannot be \"%s\""):format(name, value)
    end
  end
end

-- Returns true, or nil and what is wrong with the changes.
function M.change(changes)
  local problem = M.problem(changes)
  if problem then
    return nil, problem
  end
  for name, value in pairs(changes) do
    store:set(name, value)
  end
  return true
end

return M
