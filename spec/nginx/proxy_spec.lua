-- Proxies inside nginx: as with libcurl outside.
local core = require "iot.core"
local iot = require "iot"
local nginx_rig = require "spec.support.nginx"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

-- What a call comes to, and its message.
local OUTCOME = [[
  local given = ...
  local client = assert(require("iot").new(given.options))
  local task, message, detail = client:describe_thing_registration_task { taskId = given.id }
  return task and task.percentageProgress or detail.code, message]]

describe("a proxy inside nginx", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, raw, nginx, task_id

  setup(function()
    sim = simulator.start { seconds = 0 }
    raw = raw_server.start(sim)
    task_id = sim:seed { status = "InProgress", percentageProgress = 7 }
    nginx = nginx_rig.start { sim = sim }
  end)
  teardown(function()
    nginx:stop()
    raw:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  local function options(overrides)
    local all = sim:options { retry = { max_attempts = 1 } }
    for name, value in pairs(overrides) do all[name] = value end
    return all
  end

  local function with_user(url, user_info)
    return "http://" .. user_info .. url:gsub("^http://", "@")
  end

  local function outside(given)
    local task, message, detail = assert(iot.new(given)):describe_thing_registration_task { taskId = task_id }
    return task and task.percentageProgress or detail.code, message
  end

  local CASES = {
    { "that tunnels, with its password", function()
      return { proxy = with_user(raw.tunnelling_proxy, "user:pa%20ss") } end, 7 },
    { "without a scheme", function()
      return { proxy = with_user(raw.tunnelling_proxy, "user:pa%20ss"):gsub("^http://", "") .. "/" } end, 7 },
    { "that tunnels, with another password", function()
      return { proxy = with_user(raw.tunnelling_proxy, "user:pass") } end, "ProxyFailed", "407" },
    { "that wants a password", function() return { proxy = raw.refusing_proxy } end, "ProxyFailed", "407" },
    { "that does not tunnel", function() return { proxy = sim.plain_endpoint } end, "ProxyFailed" },
    { "that does not listen", function() return { proxy = "http://127.0.0.1:1" } end, "ProxyFailed", "port 1 " },
    { "that says nothing", function() return { proxy = raw.silent, connect_timeout = 0.3 } end, "Timeout" },
    { "for what is plain", function()
      return { endpoint = "http://iot.example.invalid:8080", proxy = sim.plain_endpoint } end, 7 },
    { "that is none", function() return { proxy = "" } end, 7 },
  }
  for _, case in ipairs(CASES) do
    it(case[1] .. " is what it is elsewhere", function()
      local given = options(case[2]())
      local expected = outside(given)
      assert.equal(case[3], expected)
      local requests = #sim:journal()
      sim:clear()
      local found, message = nginx:run("content", OUTCOME, { options = given, id = task_id })
      assert.equal(expected, found, message)
      assert.matches(case[4] or "", message or "")
      assert.equal(requests, #sim:journal())
      if message then assert.is_nil(message:find("pass", 1, true)) end
    end)
  end

  local NONE = { "http://us%0d:pw@127.0.0.1:1", "http://user:77#ss@127.0.0.1:1", "http://user:1/ss@127.0.0.1:1",
    "http://127.0.0.1:0", "http://[a]:80" }
  for _, url in ipairs(NONE) do
    it("is none elsewhere, nor here: " .. url, function()
      local _, _, detail = iot.new(options { proxy = url })
      assert.equal("InvalidConfiguration", detail and detail.code)
      local other = nginx_rig.start { sim = sim, env = { https_proxy = url } }
      local code, message = other:run("content", OUTCOME, { options = options {}, id = task_id })
      other:stop()
      assert.equal("InvalidConfiguration", code)
      assert.is_nil(message:find("ss", 1, true) and message:find("77", 1, true))
    end)
  end

  it("that drips has as long as a connection may take", function()
    local started = core.monotonic()
    local code = nginx:run("content", OUTCOME,
      { options = options { proxy = raw.dripping_head, connect_timeout = 0.5 }, id = task_id })
    assert.equal("Timeout", code)
    assert.is_true(core.monotonic() - started < 3)
  end)

  for _, url in ipairs { "https://127.0.0.1:1", "socks5://127.0.0.1:1" } do
    it("is refused as " .. url:match "^%w+" .. ", which nginx cannot speak", function()
      local code, message = nginx:run("content", OUTCOME, { options = options { proxy = url }, id = task_id })
      assert.equal("InvalidConfiguration", code)
      assert.matches("http://", message)
    end)
  end

  it("keeps its tunnels, each for its host", function()
    for _ = 1, 3 do
      nginx:run("content", OUTCOME,
        { options = options { proxy = with_user(raw.tunnelling_proxy, "user:pa%20ss") }, id = task_id })
    end
    nginx:run("content", OUTCOME, { options = options {}, id = task_id })
    local seen = {}
    for i, entry in ipairs(sim:journal()) do seen[i] = entry.connection end
    assert.equal(seen[1], seen[3])
    assert.not_equal(seen[3], seen[4])
  end)

  it("is the environment's, as far as nginx passes it on", function()
    local function run(variables, hidden)
      local other = nginx_rig.start { sim = sim, env = variables, hidden_env = hidden }
      local found, message = other:run("content", OUTCOME, { options = options {}, id = task_id })
      other:stop()
      return found, message
    end
    local tunnel = with_user(raw.tunnelling_proxy, "user:pa%20ss")
    assert.equal("ProxyFailed", (run { https_proxy = "http://127.0.0.1:1" }))
    assert.equal("ProxyFailed", (run { ALL_PROXY = "http://127.0.0.1:1", no_proxy = "other, ocalhost" }))
    assert.equal(7, run { https_proxy = tunnel, http_proxy = "http://127.0.0.1:1" })
    assert.equal(7, run { https_proxy = "http://127.0.0.1:1", no_proxy = "x,.localhost" })
    assert.equal(7, run({}, { https_proxy = "http://127.0.0.1:1" }))
  end)
end)
