-- Every text that a caller, a variable or a file gives, times every text that an attacker would put there: what came
-- over the wire is what it should be, or nothing came and the failure is clear. What is tried elsewhere: the form of
-- labels and queries (spec/unit/operations_spec.lua, spec/conformance), regions and endpoints
-- (endpoint_spec, settings_spec), headers to sign (sign_misuse_spec), the container's URI (credentials_container_spec).
-- Credentials and the files that hold them: attacks_credentials_spec.lua; replies: attacks_replies_spec.lua.
local attacks = require "spec.support.attacks"
local environment = require "spec.support.environment"
local home = require "spec.support.home"
local files = require "spec.support.files"
local iot = require "iot"
local simulator = require "spec.support.simulator"

local sim, at_home, usual_client

local function encoded(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The one request of an outcome. nginx refuses a NUL before it knows what was asked for.
local function path_is(prefix, suffix)
  return function(entry, text)
    local path = prefix .. encoded(text) .. (suffix or "")
    if not text:find "%z" then assert.equal(path, entry.uri) end
  end
end

local function body_has(name)
  return function(entry, text)
    assert.equal("/thing-registration-tasks", entry.uri)
    assert.equal(text, sim.decode(entry.body)[name])
  end
end

-- The texts differ, the request is always the same.
local function same_request(entry)
  assert.equal("/thing-registration-tasks/full", entry.uri)
  assert.equal("GET", entry.method)
end

local function call(operation, params, changes)
  return function(text)
    if not changes then return usual_client[operation](usual_client, params(text)) end
    local options = sim:options { endpoint = sim.plain_endpoint }
    for name, value in pairs(changes(text)) do options[name] = value or nil end -- false: not that one
    local client, message, detail = iot.new(options)
    if not client then return nil, message, detail end
    local result
    result, message, detail = client[operation](client, params(text))
    client:close()
    return result, message, detail
  end
end

local function describe_full() return { taskId = "full" } end

-- A call of which the options, or what the environment gives instead of them, have the text.
local function describing(changes, variables, config)
  local run = call("describe_thing_registration_task", describe_full, changes or function() return {} end)
  return function(text)
    local all = { HOME = at_home, AWS_REGION = sim.region }
    for name, value in pairs(variables and variables(text) or {}) do all[name] = value or nil end
    environment.replace(all)
    files.write(at_home .. "/.aws/config", config and config(text) or "")
    return run(text)
  end
end

local DESCRIBE = "describe_thing_registration_task"
local valid = { templateBody = "{}", inputFileBucket = "factory", inputFileKey = "key",
  roleArn = "arn:aws:iam::123456789012:role/Provisioner" }

local function start_with(name)
  return call("start_thing_registration_task", function(text)
    local params = {}
    for key, value in pairs(valid) do params[key] = value end
    params[name] = text
    return params
  end)
end

-- What a text is in, how it is used, and what must be seen: `check` of the request where one may come; `never` when
-- none may.
local PLACES = {
  { "taskId of describe", call(DESCRIBE, function(text) return { taskId = text } end),
    check = path_is "/thing-registration-tasks/" },
  { "taskId of stop", call("stop_thing_registration_task", function(text) return { taskId = text } end),
    check = path_is("/thing-registration-tasks/", "/cancel") },
  { "taskId of reports", call("list_thing_registration_task_reports", function(text)
    return { taskId = text, reportType = "ERRORS" }
  end), check = path_is("/thing-registration-tasks/", "/reports?reportType=ERRORS") },
  { "reportType", call("list_thing_registration_task_reports", function(text)
    return { taskId = "full", reportType = text }
  end), check = path_is "/thing-registration-tasks/full/reports?reportType=" },
  { "nextToken", call("list_thing_registration_tasks", function(text) return { nextToken = text } end),
    check = path_is "/thing-registration-tasks?nextToken=" },
  { "status", call("list_thing_registration_tasks", function(text) return { status = text } end),
    check = path_is "/thing-registration-tasks?status=" },
  { "templateBody", start_with "templateBody", check = body_has "templateBody" },
  { "inputFileBucket", start_with "inputFileBucket", check = body_has "inputFileBucket" },
  { "inputFileKey", start_with "inputFileKey", check = body_has "inputFileKey" },
  { "roleArn", start_with "roleArn", check = body_has "roleArn" },
  { "a parameter of a thing", call("register_thing", function(text)
    return { templateBody = "{}", parameters = { [text] = text } }
  end), check = function(entry, text)
    assert.equal("/things", entry.uri)
    assert.equal(text, sim.decode(entry.body).parameters[text])
  end },
  { "an unknown parameter", call(DESCRIBE, function(text) return { taskId = "full", [text] = "x" } end), never = true },

  { "the option region", describing(function(text) return { region = text } end), never = true },
  { "AWS_REGION", describing(function() return { region = false } end,
    function(text) return { AWS_REGION = text } end), never = true },
  { "the profile's region", describing(function() return { region = false } end,
    function() return { AWS_REGION = false } end,
    function(text) return "[default]\nregion = " .. text .. "\n" end), never = true },
  { "the option endpoint", describing(function(text) return { endpoint = text } end), never = true },
  { "the host of the endpoint", describing(function(text) return { endpoint = "https://" .. text .. ":1" } end),
    never = true },
  { "the path of the endpoint", describing(function(text)
    return { endpoint = sim.plain_endpoint .. "/base/" .. text }
  end), check = function(entry) assert.truthy(entry.uri:find("^/base/[^?#]*/thing%-registration%-tasks/full$")) end },
  { "AWS_ENDPOINT_URL_IOT", describing(function() return { endpoint = false } end,
    function(text) return { AWS_ENDPOINT_URL_IOT = text } end), never = true },
  { "endpoint_url of the profile", describing(function() return { endpoint = false } end, nil,
    function(text) return "[default]\nendpoint_url = " .. text .. "\n" end), never = true },
  { "the option proxy", describing(function(text) return { proxy = text } end), never = true },
  { "the proxy's user", describing(function(text) return { proxy = "http://" .. text .. ":b@127.0.0.1:1" } end),
    never = true },
  { "the option ca_bundle", describing(function(text)
    return { ca_bundle = text, endpoint = sim.endpoint }
  end), never = true },
  { "AWS_CA_BUNDLE", describing(function() return { ca_bundle = false, endpoint = sim.endpoint } end,
    function(text) return { AWS_CA_BUNDLE = text } end), never = true },
  { "the option profile", describing(function(text) return { profile = text } end), never = true },
  { "AWS_PROFILE", describing(nil, function(text) return { AWS_PROFILE = text } end), never = true },
  { "the option app_id", describing(function(text) return { app_id = text } end), check = same_request },
  { "AWS_SDK_UA_APP_ID", describing(nil, function(text) return { AWS_SDK_UA_APP_ID = text } end),
    check = same_request },
  { "sdk_ua_app_id of the profile", describing(nil, nil,
    function(text) return "[default]\nsdk_ua_app_id = " .. text .. "\n" end), check = same_request },
  { "AWS_EXECUTION_ENV", describing(nil, function(text) return { AWS_EXECUTION_ENV = text } end),
    check = same_request },
  { "the trace id of Lambda", describing(nil, function(text)
    return { AWS_LAMBDA_FUNCTION_NAME = text, _X_AMZN_TRACE_ID = text }
  end), check = same_request },
  { "the access key id", describing(function(text)
    return { credentials = { access_key_id = text, secret_access_key = "s" } }
  end), check = same_request },
  { "the secret key", describing(function(text)
    return { credentials = { access_key_id = "AKID", secret_access_key = text } }
  end), check = same_request },
  { "the session token", describing(function(text)
    return { credentials = { access_key_id = "AKID", secret_access_key = "s", session_token = text } }
  end), check = same_request },
  { "aws_access_key_id of the profile", describing(function() return { credentials = false } end, nil, function(text)
    return "[default]\naws_access_key_id = " .. text .. "\naws_secret_access_key = s\n"
  end), check = same_request },
  { "AWS_SESSION_TOKEN", describing(function() return { credentials = false } end, function(text)
    return { AWS_ACCESS_KEY_ID = "AKID", AWS_SECRET_ACCESS_KEY = "s", AWS_SESSION_TOKEN = text }
  end), check = same_request },
}

describe("an attacker gains nothing", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim.decode = require("spec.support.json").decode
    sim:seed { taskId = "full", status = "Completed" }
    at_home = home.new()
    environment.replace { HOME = at_home }
    usual_client = assert(iot.new(sim:options()))
  end)
  teardown(function()
    usual_client:close()
    environment.restore()
    sim:stop()
    home.remove(at_home)
  end)
  before_each(function()
    environment.replace { HOME = at_home }
    sim:clear()
  end)
  after_each(environment.restore)

  -- All texts, then the journal once: what was asked for, in this order.
  local function try_all(place)
    local tried = {}
    for _, attack in ipairs(attacks.texts) do
      local result, message, detail = place[2](attack[2])
      if result == nil then attacks.assert_clear_failure(message, detail) end
      if result ~= nil or detail.status then tried[#tried + 1] = attack[2] end
    end
    return tried, sim:journal()
  end

  for _, place in ipairs(PLACES) do
    it("by " .. place[1], function()
      local tried, journal = try_all(place)
      assert.equal(#tried, #journal)
      if place.never then assert.equal(0, #journal) end
      for i, entry in ipairs(journal) do
        attacks.assert_usual_headers(entry)
        place.check(entry, tried[i])
      end
    end)
  end
end)
