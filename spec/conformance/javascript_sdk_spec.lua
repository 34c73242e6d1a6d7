-- The AWS SDK for JavaScript against the simulator: what a client that AWS wrote understands is what
-- the service would have said. The SDK is installed once, outside the tree, in a cache folder.

local core = require "iot.core"
local iot = require "iot"
local json = require "cjson.safe"
local environment = require "spec.support.environment"
local model = require "spec.support.service_model"
local simulator = require "spec.support.simulator"

local VERSION = "3.1169.0"
local OLDEST_NODE = 20

local function quote(text)
  return "'" .. (text:gsub("'", "'\\''")) .. "'"
end

-- What a shell script writes, errors included.
local function shell(script)
  local pipe = assert(io.popen("unset LD_PRELOAD; " .. script .. " 2>&1", "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

local function exists(name)
  local file = io.open(name, "rb")
  return file ~= nil and file:close()
end

-- Installs into a folder of its own and renames it, so that two runs at once do not meet: the one
-- that comes second finds the place taken, and leaves it.
local INSTALL = [[(
  mkdir -p "$cache" && new=$(mktemp -d "$cache/installing.XXXXXX") && trap 'rm -rf "$new"' EXIT
  cd "$new" && echo '{"private":true}' > package.json &&
  timeout 120 npm install --ignore-scripts --no-audit --no-fund --fetch-timeout 20000 --fetch-retries 2 \
    --fetch-retry-mintimeout 500 "@aws-sdk/client-iot@$version" && mv -T "$new" "$cache/client-iot-$version"
)]]

-- The folder that holds the SDK; or nil and why there is none.
local function find_sdk()
  local node = shell "node --version"
  local major = tonumber(node:match "^v(%d+)")
  if not major or major < OLDEST_NODE then
    return nil, ("node %d or newer is not installed"):format(OLDEST_NODE)
  end
  local home = os.getenv "XDG_CACHE_HOME"
  local cache = (home and home ~= "" and home or (os.getenv "HOME" or "/tmp") .. "/.cache") .. "/iot-spec"
  local folder = ("%s/client-iot-%s"):format(cache, VERSION)
  local marker = folder .. "/node_modules/@aws-sdk/client-iot/package.json"
  if not exists(marker) then
    local output = shell(("cache=%s version=%s; %s"):format(quote(cache), VERSION, INSTALL))
    if not exists(marker) then
      return nil, "npm could not install @aws-sdk/client-iot: " .. (output:match "npm %S+ code [^\n]+" or output)
    end
  end
  return folder
end

describe("the AWS SDK for JavaScript", function()
  local missing, folder = simulator.missing(), nil
  if not missing then
    folder, missing = find_sdk()
  end
  if not folder then
    pending(missing) -- npm and the network bring it; not every machine has them
    return
  end

  local sim

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)
  before_each(function() sim:clear() end)

  -- Makes these calls, each { command, input } or as javascript_sdk.mjs takes it, and returns their outcomes.
  local function node(calls)
    local words = {
      "cd", quote(folder), "&&", "env", "-i", "PATH=" .. quote(os.getenv "PATH"),
      "NODE_EXTRA_CA_CERTS=" .. quote(sim.ca_bundle),
    }
    for name, value in pairs(sim:environment()) do
      words[#words + 1] = name .. "=" .. quote(value)
    end
    for index, call in ipairs(calls) do
      if call[1] then calls[index] = { command = call[1], input = call[2] } end
    end
    words[#words + 1] = "CALLS=" .. quote(json.encode(calls))
    words[#words + 1] = 'node --no-warnings "$OLDPWD/spec/conformance/javascript_sdk.mjs"'
    local output = shell(table.concat(words, " "))
    return assert(json.decode(output), output)
  end

  local function describe_task(task_id)
    return { "DescribeThingRegistrationTaskCommand", { taskId = task_id } }
  end

  it("describes tasks, whatever their taskId", function()
    sim:seed { taskId = "plain", status = "Failed", message = "caf\195\169", successCount = 7, failureCount = 2,
      percentageProgress = 45, creationDate = 1555555555.125, lastModifiedDate = 1555555556 }
    sim:seed { taskId = "a/b c+d%2F\195\169~!'()*", status = "Cancelled" }
    local outcomes = node { describe_task "plain", describe_task "a/b c+d%2F\195\169~!'()*" }

    assert.same({ taskId = "plain", status = "Failed", message = "caf\195\169", successCount = 7, failureCount = 2,
      percentageProgress = 45, creationDate = "2019-04-18T02:45:55.125Z",
      lastModifiedDate = "2019-04-18T02:45:56.000Z" }, outcomes[1].output)
    assert.equal("Cancelled", outcomes[2].output.status)
    assert.equal("/thing-registration-tasks/a%2Fb%20c%2Bd%252F%C3%A9~%21%27%28%29%2A", sim:journal()[2].uri)
  end)

  it("starts a task and sees it running", function()
    sim:settings { things = 1000, seconds = 100 }
    local input = { templateBody = '{"Resources":{}}', inputFileBucket = "factory", inputFileKey = "batch.json",
      roleArn = "arn:aws:iam::123456789012:role/x" }
    local started = node({ { "StartThingRegistrationTaskCommand", input } })[1]
    assert.is_string(started.output.taskId)
    assert.is_string(started.requestId)

    local task = node({ describe_task(started.output.taskId) })[1].output
    assert.equal("InProgress", task.status)
    for name, value in pairs(input) do
      assert.equal(value, task[name])
    end
  end)

  it("sees refusals as what they are", function()
    sim:fault { kind = "throttle", times = 2 }
    local outcomes = node { describe_task "plain", describe_task "no-such-task", describe_task(("x"):rep(41)) }
    local expected = {
      { "ThrottlingException", 400, 2 }, { "ResourceNotFoundException", 404, 1 }, { "InvalidRequestException", 400, 1 },
    }
    for index, one in ipairs(expected) do
      local outcome = outcomes[index]
      assert.same(one, { outcome.error, outcome.status, outcome.attempts })
      assert.is_true(outcome.modeled)
      assert.is_true(#outcome.message > 0)
    end
  end)

  it("recovers from a fault", function()
    sim:seed { taskId = "plain", status = "Completed" }
    sim:fault { kind = "reset" }
    local outcome = node({ describe_task "plain" })[1]
    assert.same({ "Completed", 2 }, { outcome.output and outcome.output.status, outcome.attempts })
  end)

  -- Beside our client --------------------------------------------------------------------------

  local LIST, REPORTS = "list_thing_registration_tasks", "list_thing_registration_task_reports"
  local DESCRIBE, STOP = "describe_thing_registration_task", "stop_thing_registration_task"
  local FORGED = "a+b/c= \195\169~*&x=1"
  local START = { templateBody = '{"Resources":{}} caf\195\169', inputFileBucket = "factory", inputFileKey = "a/b.json",
    roleArn = "arn:aws:iam::123456789012:role/x" }
  local TEMPLATE = [[{ "Parameters": { "Name": { "Type": "String" }, "CSR": { "Type": "String", "Default": "csr" } },
    "Resources": {
      "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": { "Ref": "Name" } } },
      "certificate": { "Type": "AWS::IoT::Certificate",
        "Properties": { "CertificateSigningRequest": { "Ref": "CSR" }, "Status": "ACTIVE" } } } }]]

  -- These leave the service as it is.
  local READING = {
    { DESCRIBE, { taskId = "full" } }, { DESCRIBE, { taskId = "small" } },
    { DESCRIBE, { taskId = "a/b?c%2F \195\169" } },
    { LIST, {} }, { LIST, { status = "Failed" } }, { LIST, { status = "Completed", maxResults = 2 } },
    { LIST, { status = "Cancelling", maxResults = 250 } },
    { REPORTS, { taskId = "reported", reportType = "ERRORS" } },
    { REPORTS, { taskId = "reported", reportType = "RESULTS", maxResults = 2 } },
    { REPORTS, { taskId = "running", reportType = "ERRORS" } },
  }
  local REFUSED = {
    { DESCRIBE, { taskId = "no-such-task" } }, { DESCRIBE, { taskId = ("x"):rep(41) } },
    { STOP, { taskId = "no-such-task" } }, { STOP, { taskId = "full" } }, { STOP, { taskId = ("x"):rep(41) } },
    { LIST, { maxResults = 0 } }, { LIST, { maxResults = 251 } }, { LIST, { status = "Resting" } },
    { LIST, { nextToken = FORGED } }, { LIST, { status = "" } },
    { REPORTS, { taskId = "reported", reportType = "SUMMARY" } },
    { REPORTS, { taskId = "reported", reportType = "ERRORS", nextToken = FORGED } },
    { "start_thing_registration_task",
      { templateBody = "{}", inputFileBucket = "b", inputFileKey = "", roleArn = "" } },
    { "register_thing", { templateBody = "no JSON" } },
    { "register_thing", { templateBody = TEMPLATE, parameters = { Name = ("x"):rep(5000) } } },
  }
  -- Each client does these to something of its own.
  local function writing(name)
    return {
      { "start_thing_registration_task", START }, { STOP, { taskId = name } }, { STOP, { taskId = name } },
      { DESCRIBE, { taskId = name } }, { "register_thing", { templateBody = TEMPLATE, parameters = { Name = name } } },
      { "register_thing", { templateBody = '{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"'
        .. name .. '2"}}}}', parameters = {} } },
    }
  end

  local function command(call) return { model[call[1]].aws .. "Command", call[2] } end

  -- A date as JavaScript writes it.
  local function written(seconds)
    local whole = math.floor(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%S", whole) .. (".%03dZ"):format(math.floor((seconds - whole) * 1000 + 0.5))
  end

  -- What our client makes of a call, in the shape of the SDK's outcomes.
  local function own(client, call)
    local result, message, detail = client[call[1]](client, call[2])
    if not result then return { error = detail.code, status = detail.status, message = message } end
    for _, name in ipairs { "creationDate", "lastModifiedDate" } do
      if result[name] then result[name] = written(result[name]) end
    end
    return { output = result }
  end

  -- What differs from one call to the next is as good as its kind; a link is as good as its path.
  local function comparable(output, name)
    local copy = {}
    for key, value in pairs(output) do copy[key] = value end
    for _, key in ipairs { "nextToken", "certificatePem" } do copy[key] = copy[key] and type(copy[key]) end
    if copy.taskId and not copy.status then copy.taskId = #copy.taskId end
    copy.resourceLinks = copy.resourceLinks and {}
    for index, link in ipairs(output.resourceLinks or {}) do copy.resourceLinks[index] = link:match "^[^?]*" end
    if name then
      local text = json.encode(copy):gsub(name, "NAME"):gsub("%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x+", "HEX")
      copy = json.decode((text:gsub("%d+%-%d+%-%d+T[%d:.]+Z", "DATE")))
    end
    return copy
  end

  -- The outcomes of lists of calls, in that order, by one process.
  local function by_list(lists)
    local calls, outcomes = {}, {}
    for _, list in ipairs(lists) do
      for _, call in ipairs(list) do calls[#calls + 1] = call[2] and command(call) or call end
    end
    local all = node(calls)
    for number, list in ipairs(lists) do
      outcomes[number] = {}
      for index in ipairs(list) do outcomes[number][index] = table.remove(all, 1) end
    end
    return outcomes
  end

  describe("beside our client", function()
    local client, theirs, token

    setup(function()
      sim:settings { concurrent_tasks = 100, cancel_seconds = 60, report_links = 3, things = 10, seconds = 1000 }
      sim:seed { taskId = "full", status = "Completed", message = "caf\195\169 \240\159\152\128", successCount = 12,
        failureCount = 0, percentageProgress = 100, creationDate = 1555555555.123, lastModifiedDate = 1555555666.5,
        templateBody = '{"Resources":{}}', inputFileBucket = "factory", inputFileKey = "a/b.json",
        roleArn = "arn:aws:iam::123456789012:role/x" }
      sim:seed { taskId = "small", status = "Failed", creationDate = 1555555555, lastModifiedDate = 1555555555.001 }
      sim:seed { taskId = "a/b?c%2F \195\169", status = "Cancelled", creationDate = 1e9, lastModifiedDate = 1e9 }
      for index = 1, 5 do sim:seed { taskId = "done" .. index, status = "Completed" } end
      sim:seed { taskId = "reported", creationDate = 1e9, plan = { things = 20, failures = 5, seconds = 0 } }
      sim:seed { taskId = "running", plan = { things = 20, failures = 5, seconds = 1e6 } }
      for _, name in ipairs { "for-us", "for-them" } do
        sim:seed { taskId = name, plan = { things = 100, failures = 10, seconds = 1e6 } }
      end
      environment.replace()
      client = assert(iot.new(sim:options()))
      environment.restore()
      token = assert(client:list_thing_registration_tasks { status = "Completed", maxResults = 2 }).nextToken

      -- They change what they change before they read: we find it as they did.
      local outcomes = by_list { writing "for-them", READING, REFUSED, {
        { LIST, { status = "Completed", maxResults = 2, nextToken = token } },
        { paginate = "paginateListThingRegistrationTasks", pageSize = 2, input = { status = "Completed" } },
        { paginate = "paginateListThingRegistrationTaskReports", pageSize = 2,
          input = { taskId = "reported", reportType = "RESULTS" } },
        { links = { taskId = "reported", reportType = "ERRORS" } },
      } }
      theirs = { writing = outcomes[1], reading = outcomes[2], refused = outcomes[3], paging = outcomes[4] }
    end)
    teardown(function() client:close() end)

    it("gives the same", function()
      for index, call in ipairs(READING) do
        local mine, other = own(client, call), theirs.reading[index]
        assert.is_nil(other.error, other.message)
        assert.same(comparable(other.output), comparable(mine.output))
      end
    end)

    it("is refused the same", function()
      for index, call in ipairs(REFUSED) do
        local mine, other = own(client, call), theirs.refused[index]
        assert.same({ other.error, other.status }, { mine.error, mine.status })
        assert.is_true(other.modeled)
        assert.matches(other.message, mine.message, 1, true)
      end
    end)

    it("changes the same", function()
      for index, call in ipairs(writing "for-us") do
        local mine, other = own(client, call), theirs.writing[index]
        assert.is_nil(other.error, other.message)
        assert.same(comparable(other.output, "for%-them"), comparable(mine.output, "for%-us"))
      end
    end)

    it("goes on where the other stopped, and turns the same pages", function()
      local LISTS = { { LIST, { status = "Completed", maxResults = 2 } },
        { REPORTS, { taskId = "reported", reportType = "RESULTS", maxResults = 2 } } }
      local second = own(client, { LIST, { status = "Completed", maxResults = 2, nextToken = token } })
      assert.same(comparable(theirs.paging[1].output), comparable(second.output))
      for number, list in ipairs(LISTS) do
        local pages = {}
        repeat
          list[2].nextToken = pages[1] and pages[#pages].nextToken
          pages[#pages + 1] = assert(client[list[1]](client, list[2]))
        until not pages[#pages].nextToken
        local others = theirs.paging[number + 1].output
        assert.is_true(#pages > 1)
        assert.equal(#pages, #others)
        for index, page in ipairs(pages) do assert.same(comparable(others[index]), comparable(page)) end
      end
    end)

    it("has links that lead to the same", function()
      local page = assert(client[REPORTS](client, { taskId = "reported", reportType = "ERRORS" }))
      local others = theirs.paging[4].output
      assert.equal(3, #others)
      for index, link in ipairs(page.resourceLinks) do
        local reply = assert(core.request { method = "GET", url = link, ca_bundle = sim.ca_bundle, timeout = 10 })
        assert.same({ status = 200, text = reply.body }, others[index])
        assert.equal(200, reply.status)
      end
    end)
  end)
end)
