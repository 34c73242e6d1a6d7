-- The AWS SDK for JavaScript against the simulator: what a client that AWS wrote understands is what
-- the service would have said. The SDK is installed once, outside the tree, in a cache folder.

local json = require "cjson.safe"
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

  -- Makes these calls, each { command, input }, and returns their outcomes.
  local function node(calls)
    local words = {
      "cd", quote(folder), "&&", "env", "-i", "PATH=" .. quote(os.getenv "PATH"),
      "NODE_EXTRA_CA_CERTS=" .. quote(sim.ca_bundle),
    }
    for name, value in pairs(sim:environment()) do
      words[#words + 1] = name .. "=" .. quote(value)
    end
    for index, call in ipairs(calls) do
      calls[index] = { command = call[1], input = call[2] }
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
end)
