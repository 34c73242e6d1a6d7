-- The option `cache` in a real nginx: workers share what the service said of a task, and ask it once at a time.
local iot = require "iot"
local nginx_rig = require "spec.support.nginx"
local runtime = require "iot.runtime"
local simulator = require "spec.support.simulator"
local json = require "spec.support.json"

local WORKERS = 4

-- GET /describe?ID: the outcome as JSON, with the events of the call, and in a header which worker gave it.
local SERVER = [[
  location = /describe {
    content_by_lua_block {
      ngx.ctx.events = {}
      local task, message, detail = client:describe_thing_registration_task({ taskId = ngx.var.args },
        { timeout = tonumber(ngx.var.http_x_timeout) })
      ngx.header["X-Worker"] = ngx.worker.pid()
      ngx.say(require("cjson").encode {
        task = task, message = message, code = detail and detail.code, kind = detail and detail.kind,
        status = detail and detail.status, request_id = detail and detail.request_id, events = ngx.ctx.events,
        text = detail and tostring(detail),
      })
    }
  }
  location = /stop {
    content_by_lua_block {
      assert(client:stop_thing_registration_task { taskId = ngx.var.args })
    }
  }
  location = /kept {
    content_by_lua_block {
      for _, key in ipairs(ngx.shared.tasks:get_keys(0)) do ngx.say(key, " ", ngx.shared.tasks:get(key)) end
    }
  }
  location = /cut { # ends while its call is under way
    content_by_lua_block {
      ngx.thread.spawn(client.describe_thing_registration_task, client, { taskId = ngx.var.args })
      ngx.sleep(0.2)
      ngx.exit(204)
    }
  }
  location = /die { # likewise, with its worker
    content_by_lua_block {
      ngx.thread.spawn(client.describe_thing_registration_task, client, { taskId = ngx.var.args })
      ngx.sleep(0.2)
      local ffi = require "ffi"
      ffi.cdef "int kill(int process, int signal);"
      ffi.C.kill(ngx.worker.pid(), 9)
    }
  }
  location = /forget {
    content_by_lua_block { ngx.shared.tasks:flush_all() }
  }
]]

-- A client in the master, for all workers; `given` is a table of options as JSON.
local INIT = [[
  local options = require("cjson").decode(%q)
  options.on_event = function(event)
    if ngx.get_phase() ~= "init" and ngx.ctx.events then table.insert(ngx.ctx.events, event) end
  end
  client = assert(require("iot").new(options))
]]

describe("a cache that workers share", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx, task_id

  local function start(cache)
    return nginx_rig.start {
      sim = sim, workers = WORKERS, directives = "lua_shared_dict tasks 1m; lua_shared_dict others 1m;",
      server = SERVER, init = INIT:format(json.encode(sim:options { cache = cache, retry = { max_attempts = 1 } })),
    }
  end

  setup(function()
    sim = simulator.start { seconds = 0, concurrent_tasks = 100 }
    task_id = sim:seed { status = "InProgress", percentageProgress = 7 }
    nginx = start { dict = "tasks", ttl = 60, failure_ttl = 0.3 }
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)
  before_each(function()
    nginx:get "/forget"
    sim:clear()
  end)

  local function ask(query, from)
    local reply = (from or nginx):get("/describe?" .. query)
    assert.equal(200, reply.status, reply.body)
    return json.decode(reply.body), reply.headers["x-worker"]
  end

  -- Many requests at once, answered by whichever worker takes each; the outcomes, and which workers there were.
  local function crowd(count, query, from)
    local items, workers, worker_count, outcomes = {}, {}, 0, {}
    for i = 1, count do items[i] = i end
    local replies, failed = iot.map(items, function()
      return runtime.request { method = "GET", url = (from or nginx).url .. "/describe?" .. query, timeout = 20 }
    end, { concurrency = count })
    for i = 1, count do
      assert.equal(200, replies[i] and replies[i].status, failed[i] and failed[i].message)
      outcomes[i] = json.decode(replies[i].body)
      local worker = replies[i].headers["x-worker"]
      if not workers[worker] then workers[worker], worker_count = true, worker_count + 1 end
    end
    return outcomes, worker_count
  end

  it("answers from what is kept, exactly, and tells of it", function()
    sim:fault { kind = "raw", body = 'HTTP/1.1 200 OK\r\n\r\n{"creationDate":1700000000.1234567,"percentageProgress":7,'
      .. '"status":"InProgress","new":{"list":[1,"#2","=3",true],"none":null},"message":"#1"}' }
    local first, second = ask(task_id), ask(task_id)
    assert.same({ "miss" }, { first.events[1].cache, first.events[1].age })
    assert.same({ 0, 1, 200 }, { first.events[1].attempt, first.events[2].attempt, first.events[2].status })
    assert.equal(1, #second.events)
    local event = second.events[1]
    assert.same({ "hit", 0, 0, "describe_thing_registration_task" },
      { event.cache, event.attempt, event.delay, event.operation })
    assert.is_true(event.age > 0 and event.age < 5, event.age)
    assert.same(first.task, second.task)
    assert.same({ list = { 1, "#2", "=3", true } }, second.task.new)
    assert.equal(1, #sim:journal())
    assert.is_true(nginx:run("content", ([[
      local task = client:describe_thing_registration_task { taskId = %q }
      return task.creationDate == 1700000000.1234567]]):format(task_id)))
    assert.equal(1, #sim:journal())
  end)

  it("asks once for a thousand at a time, over all workers", function()
    sim:fault { kind = "delay", seconds = 0.2 }
    local outcomes, workers = crowd(1000, task_id)
    for _, outcome in ipairs(outcomes) do
      assert.equal(7, outcome.task and outcome.task.percentageProgress, outcome.text)
    end
    assert.equal(1, #sim:journal())
    assert.equal(WORKERS, workers)
  end)

  it("asks once a second, however many want to know", function()
    local brief = start { dict = "tasks", ttl = 1 }
    local started, asked = runtime.monotonic(), 0
    local seconds
    repeat
      crowd(500, task_id, brief)
      asked, seconds = asked + 500, runtime.monotonic() - started
    until seconds > 2.2
    local calls = #sim:journal()
    brief:stop()
    assert.is_true(calls >= 2 and calls <= 1 + seconds,
      ("%d calls in %.1f s for %d requests"):format(calls, seconds, asked))
  end)

  it("asks for each task by itself", function()
    local other = sim:seed { status = "InProgress", percentageProgress = 9 }
    assert.equal(7, ask(task_id).task.percentageProgress)
    assert.equal(9, ask(other).task.percentageProgress)
    assert.equal(7, ask(task_id).task.percentageProgress)
    assert.equal(2, #sim:journal())
  end)

  it("keeps a failure of the service, for a shorter while", function()
    local first, second = ask "missing", ask "missing"
    assert.equal("ResourceNotFoundException", second.code)
    assert.equal("miss", first.events[1].cache)
    assert.same({ "hit", "ResourceNotFoundException" }, { second.events[1].cache, second.events[1].code })
    for _, name in ipairs { "message", "code", "kind", "status", "request_id", "text" } do
      assert.equal(first[name], second[name])
    end
    assert.equal(1, #sim:journal())
    runtime.sleep(0.35)
    ask "missing"
    assert.equal(2, #sim:journal())
  end)

  it("asks for nothing that can only fail", function()
    assert.equal("InvalidParameter", ask("").code)
    assert.equal("", nginx:get("/kept").body)
  end)

  it("asks anew about a task that is stopped", function()
    local id = sim:seed { plan = { seconds = 60, things = 10 } }
    assert.equal("InProgress", ask(id).task.status)
    assert.equal(200, nginx:get("/stop?" .. id).status)
    assert.not_equal("InProgress", ask(id).task.status)
  end)

  it("keeps no secret", function()
    ask(task_id)
    ask "missing"
    local kept = nginx:get("/kept").body
    assert.matches("percentageProgress", kept)
    for _, secret in pairs(sim.credentials) do assert.is_nil(kept:find(tostring(secret), 1, true)) end
  end)

  it("shows nobody what another asked for", function()
    ask(task_id)
    local function code(options)
      options.cache = { dict = "tasks", ttl = 60 }
      return nginx:run("content", [[
        local given = ...
        local task, _, detail = assert(require("iot").new(given.options))
          :describe_thing_registration_task { taskId = given.id }
        return task and "a task" or detail.code .. detail.attempts]], { options = options, id = task_id })
    end
    local stranger = { access_key_id = "AKIASTRANGER", secret_access_key = "x" }
    assert.equal("a task", code(sim:options()))
    assert.equal(1, #sim:journal())
    assert.equal("UnrecognizedClientException1", code(sim:options { credentials = stranger }))
    assert.equal("ConnectionFailed1", code(sim:options { endpoint = "https://localhost:1",
      retry = { max_attempts = 1 } }))
    assert.equal("a task", nginx:run("content", [[ -- a function's credentials are known when it was called
      local given = ...
      local record = given.options.credentials
      given.options.credentials = function() return record end
      local task = assert(require("iot").new(given.options))
        :describe_thing_registration_task { taskId = given.id }
      return task and "a task"]], { options = sim:options { cache = { dict = "tasks" } }, id = task_id }))
    assert.equal(2, #sim:journal())
  end)

  -- What goes wrong ------------------------------------------------------------------------------------

  it("waits for another's answer no longer than it may", function()
    sim:fault { kind = "delay", seconds = 1 }
    local request = { method = "GET", url = nginx.url .. "/describe?" .. task_id, timeout = 20 }
    local hasty = { method = "GET", url = request.url, timeout = 20, headers = { { "X-Timeout", "0.3" } } }
    local replies = iot.map({ request, hasty }, function(each)
      if each == hasty then runtime.sleep(0.2) end
      return runtime.request(each)
    end)
    assert.equal(7, json.decode(replies[1].body).task.percentageProgress)
    local late = json.decode(replies[2].body)
    assert.same({ "timeout", "Timeout" }, { late.kind, late.code })
    assert.matches("another request for the same task", late.message)
    assert.equal(1, #sim:journal())
  end)

  for what, location in pairs { ["worker that has died"] = "/die", ["request that was cut off"] = "/cut" } do
    it("waits a moment only for a " .. what, function()
      sim:fault { kind = "delay", seconds = 30 }
      pcall(nginx.get, nginx, location .. "?" .. task_id)
      local started = runtime.monotonic()
      local outcomes = crowd(40, task_id)
      assert.equal(7, outcomes[40].task and outcomes[40].task.percentageProgress, outcomes[40].text)
      assert.is_true(runtime.monotonic() - started < 3)
      assert.equal(2, #sim:journal())
    end)
  end

  it("says which directive is missing", function()
    local message, code = nginx:run("content", [[
      local given = ...
      local _, message, detail = require("iot").new(given)
      return message, detail.code]], sim:options { cache = { dict = "nothing" } })
    assert.equal("InvalidConfiguration", code)
    assert.matches("lua_shared_dict nothing 10m", message)
  end)
end)
