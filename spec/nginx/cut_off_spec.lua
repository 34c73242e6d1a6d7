-- Requests that are cut off in the middle of something: nginx ends their threads wherever they are. Nobody else may
-- notice.
local command = require "spec.support.command"
local core = require "iot.core"
local endurance = require "spec.support.endurance"
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

local DIRECTIVES = "lua_check_client_abort on;"

local LOCATIONS = [[
  location = /exit {
    content_by_lua_block {
      ngx.thread.spawn(function()
        ngx.sleep(0.1)
        ngx.exit(204)
      end)
      require("spec.nginx.handlers").describe()
    }
  }
  location = /map {
    content_by_lua_block {
      local client = require("spec.nginx.handlers").clients.usual
      require("iot").map({ 1, 2, 3, 4 }, function()
        return client:describe_thing_registration_task { taskId = "task" }
      end)
      ngx.say "mapped"
    }
  }
  location = /report {
    content_by_lua_block {
      local client, count = require("spec.nginx.handlers").clients.usual, 0
      for _ in client:thing_registration_task_report { taskId = "ended", reportType = "RESULTS" } do
        count = count + 1
      end
      ngx.say(count)
    }
  }
  location = /key { content_by_lua_block { ngx.say(package.loaded.get_key()) } }
  location = /section {
    content_by_lua_block {
      local runtime, core = require "iot.runtime", require "iot.core"
      local shared = package.loaded["spec.shared"] or { owner = {} }
      package.loaded["spec.shared"] = shared
      local entered
      local thread = ngx.thread.spawn(function()
        runtime.serialize(shared.owner, core.monotonic() + tonumber(ngx.var.arg_time), function()
          entered = true
          ngx.sleep(tonumber(ngx.var.arg_seconds))
        end)
      end)
      if ngx.var.arg_kill then
        ngx.sleep(tonumber(ngx.var.arg_kill))
        ngx.thread.kill(thread)
        ngx.sleep(4) -- the request goes on
      else
        ngx.thread.wait(thread)
      end
      ngx.say(tostring(entered))
    }
  }]]

-- A store of credentials that are good for a while and to be renewed, which takes 0.4 s.
local STORE = [[
  local core = require "iot.core"
  local ahead, fetched = 0, 0
  local runtime = setmetatable({ now = function() return core.now() + ahead end }, { __index = require "iot.runtime" })
  local provider = { name = "slow" }
  function provider.fetch()
    fetched = fetched + 1
    if fetched > 1 then ngx.sleep(0.4) end
    return { access_key_id = "ID" .. fetched, secret_access_key = "s", expiration = runtime.now() + 3600 }
  end
  local store = require("iot.credentials.refresh").new({ { name = "slow", make = function() return provider end } },
    runtime)
  assert(store:get(core.monotonic() + 60))
  ahead = 3400 -- seconds
  function package.loaded.get_key() return store:get(core.monotonic() + 60).access_key_id end]]

-- What a request gets while another, a timer's, renews them, and afterwards.
local MEANWHILE = [[
  local core, get_key = require "iot.core", package.loaded.get_key
  assert(ngx.timer.at(0, get_key))
  ngx.sleep(0.02)
  local started = core.monotonic()
  local first = get_key()
  local took = core.monotonic() - started
  ngx.sleep(0.42)
  return first, took, get_key()]]

describe("a request that is cut off", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx

  setup(function()
    sim = simulator.start { seconds = 0 }
    sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }
    sim:seed { taskId = "ended", plan = { things = 5, seconds = 0 } }
    local device = sim:options { device = sim.device }
    device.credentials = nil
    nginx = endurance.start(sim, { clients = { device = device }, directives = DIRECTIVES, server = LOCATIONS })
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  -- From outside, and given up after so many seconds.
  local function cut(path, seconds)
    local done = command.run { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", tostring(seconds),
      nginx.url .. path }
    assert.equal(28, done.code, done.stdout .. done.stderr)
  end

  -- In the background.
  local function begin_quietly(path, seconds)
    command.run { "sh", "-c", 'curl -q -s --noproxy "*" --max-time "$1" "$2" >/dev/null 2>&1 &', "sh",
      tostring(seconds), nginx.url .. path }
  end

  local CASES = { -- the path; how it is met by the service; whether it ends by itself
    { "a call", "/describe?id=task", { kind = "stall", bytes = 30 } },
    { "a call that nothing was heard of", "/describe?id=task", { kind = "delay", seconds = 0.2 } },
    { "a call, by a thread of its own", "/exit?id=task", { kind = "stall", bytes = 30 }, true },
    { "a map", "/map", { kind = "stall", bytes = 30, times = 4 } },
    { "a report", "/report", { kind = "stall", bytes = 100, operation = "report" } },
  }
  for _, case in ipairs(CASES) do
    it("in the middle of " .. case[1] .. " leaves nothing half-read", function()
      sim:fault(case[3])
      if case[4] then assert.equal(204, nginx:get(case[2]).status) else cut(case[2], 0.1) end
      if case[3].seconds then command.run { "sleep", tostring(case[3].seconds) } end
      local used = {}
      for _, entry in ipairs(sim:journal()) do
        if entry.fault then used[entry.connection] = true end
      end
      local count = #sim:journal()
      assert.is_truthy(next(used))
      local load = endurance.begin(nginx, "/describe?id=task&n=[1-4]", 1)
      assert.same({ ["task task=7"] = 4 }, (endurance.tally(load:finish())))
      assert.equal("5\n", nginx:get("/report").body)
      for i, entry in ipairs(sim:journal()) do
        assert.is_true(i <= count or not used[entry.connection], "a connection was used again")
      end
    end)
  end

  it("while it fetches credentials lets the next one do so", function()
    sim:fault { kind = "delay", seconds = 4, operation = "device" }
    begin_quietly("/describe?id=task&client=device", 0.2)
    command.run { "sleep", "0.1" }
    local started = core.monotonic()
    assert.matches("^task task=7 ", nginx:get("/describe?id=task&client=device").body)
    local waited = core.monotonic() - started
    assert.is_true(waited > 0.05 and waited < 2, ("it waited for %g s"):format(waited))
  end)

  it("whose thread was killed in a section lets the next one in when its time is over", function()
    begin_quietly("/section?seconds=5&time=0.3&kill=0.1", 5)
    command.run { "sleep", "0.05" }
    local started = core.monotonic()
    assert.equal("true\n", nginx:get("/section?seconds=0&time=10").body)
    local waited = core.monotonic() - started
    assert.is_true(waited > 0.1 and waited < 3, ("it waited for %g s"):format(waited))
  end)

  it("or not, while it renews credentials that are good for a while makes no other wait", function()
    nginx:run("content", STORE)
    local first, took, second = nginx:run("content", MEANWHILE)
    assert.same({ "ID1", "ID2" }, { first, second })
    assert.is_true(took < 0.2, ("it waited for %g s"):format(took))
  end)

  it("while it renews such credentials leaves that to the next one", function()
    local pid = nginx:pids()[1]
    nginx:run("content", STORE)
    cut("/key", 0.1)
    endurance.begin(nginx, "/quick?[1-20]", 5):finish() -- what it left in memory is used again
    assert.equal("ID3\n", nginx:get("/key").body)
    assert.equal(pid, nginx:pids()[1])
  end)
end)
