-- Inside nginx: what requests, clients and workers share, and what they must not.
local endurance = require "spec.support.endurance"
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

local LOCATIONS = [[
  location = /each {
    content_by_lua_block {
      local clients = require("spec.nginx.handlers").clients
      for name in ngx.var.arg_clients:gmatch "%w+" do
        ngx.say(assert(clients[name]:describe_thing_registration_task { taskId = "task" }).percentageProgress)
      end
    }
  }
  location = /credential {
    content_by_lua_block {
      local reply, message = require("iot.runtime").request(require("cjson").decode(ngx.unescape_uri(ngx.var.args)))
      ngx.print(reply and reply.status or message)
    }
  }
  location = /everything {
    content_by_lua_block {
      local client = require("spec.nginx.handlers").clients.usual
      local id = assert(client:start_thing_registration_task {
        templateBody = "{}", inputFileBucket = "factory", inputFileKey = "key",
        roleArn = "arn:aws:iam::123456789012:role/r",
      }).taskId
      assert(client:list_thing_registration_tasks {})
      assert(client:stop_thing_registration_task { taskId = id })
      assert(client:list_thing_registration_task_reports { taskId = "ended", reportType = "RESULTS" })
      assert(client:register_thing {
        templateBody = '{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}',
      })
      local count = 0
      for _ in client:thing_registration_task_report { taskId = "ended", reportType = "RESULTS" } do
        count = count + 1
      end
      ngx.say(client:wait_for_thing_registration_task({ taskId = "ended" }).status, " ", count, " ", ngx.worker.pid())
    }
  }]]

-- A client that is closed while its call is under way, and one that asks a function for credentials at each call.
local CLOSED = [[
  location = /closed {
    content_by_lua_block {
      local options = require("spec.nginx.handlers").options.usual
      local client = assert(require("iot").new(options))
      ngx.thread.spawn(function()
        ngx.sleep(0.1)
        client:close()
      end)
      local id = ngx.var.arg_id
      local called, task, message = pcall(client.describe_thing_registration_task, client, { taskId = id })
      ngx.say(id, " ", called and task and task.taskId .. "=" .. task.percentageProgress or message or task, " 0")
    }
  }
  location = /asked {
    content_by_lua_block {
      local options = require("spec.nginx.handlers").options
      local client = assert(require("iot").new {
        region = options.usual.region, endpoint = options.usual.endpoint, retry = { max_attempts = 1 },
        credentials = function()
          ngx.sleep(0.01)
          return options[ngx.var.arg_client].credentials
        end,
      })
      local id = ngx.var.arg_id
      local task, message = client:describe_thing_registration_task { taskId = id }
      ngx.say(id, " ", task and task.taskId .. "=" .. task.percentageProgress or message, " 0")
    }
  }]]

local function header_of(entry, name)
  for _, header in ipairs(entry.headers) do
    if header[1]:lower() == name then return header[2] end
  end
end

describe("inside nginx", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx

  setup(function()
    sim = simulator.start { seconds = 0, concurrent_tasks = 1000 }
    sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }
    sim:seed { taskId = "ended", plan = { things = 5, seconds = 0 } }
    local port = sim.plain_endpoint:match "%d+$"
    nginx = endurance.start(sim, {
      clients = {
        second = sim:options(),
        plain = sim:options { endpoint = "http://localhost:" .. port },
        address = sim:options { endpoint = "http://127.0.0.1:" .. port },
        temporary = sim:options { credentials = sim.temporary_credentials },
      },
      server = LOCATIONS .. CLOSED,
    })
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)
  before_each(function() sim:clear() end)

  -- The connections that carried requests: their number, and what each carried.
  local function connections()
    local carried, count = {}, 0
    for _, entry in ipairs(sim:journal()) do
      if not carried[entry.connection] then carried[entry.connection], count = {}, count + 1 end
      carried[entry.connection][(entry.tls and "https " or "http ") .. header_of(entry, "host")] = true
    end
    return count, carried
  end

  it("requests and clients use the same connections, each for one host and one kind", function()
    for _ = 1, 4 do
      assert.equal("7\n7\n7\n7\n7\n", nginx:get("/each?clients=usual,plain,address,second,plain").body)
    end
    assert.equal(20, #sim:journal())
    local count, carried = connections()
    assert.equal(3, count)
    for _, what in pairs(carried) do
      local first = next(what)
      assert.is_nil(next(what, first))
    end
  end)

  it("many requests at once use as many connections as they need, again and again", function()
    for _ = 1, 3 do
      sim:fault { kind = "delay", seconds = 0.1, times = 10 }
      endurance.begin(nginx, "/describe?id=task&n=[1-10]", 10):finish()
    end
    local count = connections()
    assert.is_true(count >= 10 and count <= 11, count .. " connections")
  end)

  it("a connection with a client certificate serves no one else, nor another one's", function()
    local function status(certificate, key)
      local request = ('{"method":"GET","url":"%s/role-aliases/%s/credentials","timeout":5,"headers":%s%s}'):format(
        sim.device.endpoint:gsub("^([^h])", "https://%1"), sim.device.role_alias,
        ('[["x-amzn-iot-thingname","%s"]]'):format(sim.device.thing_name),
        certificate and (',"client_certificate":"%s","client_key":"%s"'):format(certificate, key) or "")
      return nginx:get("/credential?" .. request:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)).body
    end
    for _ = 1, 2 do
      assert.equal("200", status(sim.device.certificate, sim.device.key))
      assert.equal("403", status())
      assert.equal("403", status(nginx.folder .. "/server.pem", nginx.folder .. "/server.key"))
    end
  end)

  it("each request gets its own answer, signed with its own credentials, in its own time", function()
    local tasks, kinds = {}, { "usual", "temporary", "second", "plain" }
    for i = 1, 60 do
      tasks[i] = { taskId = ("t%d"):format(i), status = "InProgress", percentageProgress = i }
    end
    sim:seed_many(tasks)
    sim:fault { kind = "delay", seconds = 0.4, times = 1000 }
    local loads = {}
    for i = 1, 60 do
      local client = kinds[i % #kinds + 1]
      local path = i % 10 == 9 and "/closed?" or i % 10 == 8 and "/asked?" or "/describe?"
      if i % 10 < 3 then path = path .. "timeout=0.2&" end
      loads[i] = ("%sclient=%s&id=t%d"):format(path, client, i)
    end
    local counts = endurance.tally(endurance.begin_all(nginx, loads, 60):finish())
    for i = 1, 60 do
      local outcome = i % 10 < 3 and ("t%d Timeout"):format(i) or ("t%d t%d=%d"):format(i, i, i)
      assert.equal(1, counts[outcome], outcome)
    end
    local signed, ids = 0, {}
    for _, entry in ipairs(sim:journal()) do
      local i = tonumber(entry.uri:match "/t(%d+)$")
      local is_temporary = kinds[i % #kinds + 1] == "temporary" and i % 10 ~= 9
      local credentials = is_temporary and sim.temporary_credentials or sim.credentials
      assert.matches("Credential=" .. credentials.access_key_id .. "/", header_of(entry, "authorization"))
      assert.equal(credentials.session_token, (header_of(entry, "x-amz-security-token")))
      assert.equal(200, entry.status)
      ids[header_of(entry, "amz-sdk-invocation-id")], signed = true, signed + 1
    end
    local count = 0
    for _ in pairs(ids) do count = count + 1 end
    assert.equal(60, signed)
    assert.equal(60, count)
  end)

  it("a client of init_by_lua serves all workers, which share neither its connection nor a renewal", function()
    sim:settings { seconds = 60 } -- of a task that is stopped
    local four = endurance.start(sim, {
      workers = 4,
      clients = { device = { region = sim.region, endpoint = sim.endpoint, ca_bundle = sim.ca_bundle,
        device = sim.device } },
      init = [[
        local client = require("spec.nginx.handlers").clients.usual
        return assert(client:describe_thing_registration_task { taskId = "task" }).percentageProgress]],
      server = LOCATIONS,
    })
    finally(function() four:stop() end)
    assert.equal(7, (four:result "init"))
    local first = sim:journal()[1].connection
    local function spread(path, outcome)
      local seen, count = {}, 0
      for _ = 1, 20 do
        local counts, processes = endurance.tally(endurance.begin(four, path .. "&n=[1-40]", 40):finish())
        assert.same({ [outcome] = 40 }, counts)
        for pid in pairs(processes) do
          if not seen[pid] then seen[pid], count = true, count + 1 end
        end
        if count == 4 then return end
      end
      error("not all workers answered")
    end
    spread("/everything?", "Completed 5")
    spread("/describe?id=task&client=device", "task task=7")
    local renewals = 0
    for i, entry in ipairs(sim:journal()) do
      if i > 1 then assert.is_true(entry.connection ~= first) end
      if entry.operation == "device" then renewals = renewals + 1 end
    end
    assert.equal(4, renewals)
    assert.equal("", four:log())
  end)
end)
