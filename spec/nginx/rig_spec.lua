-- The rig itself: that chunks run where they are told to, and that what a spec asks of nginx is so.
local command = require "spec.support.command"
local files = require "spec.support.files"
local rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

-- Each phase, with the name that nginx has for it.
local PHASES = {
  "set", "rewrite", "access", "content", "timer", "balancer", "header_filter", "body_filter", "log", "ssl_cert",
  "init", "init_worker",
}

local CONNECT = [[
  local given = ...
  local socket = ngx.socket.tcp()
  socket:settimeout(2000)
  local connected, message = socket:connect(given.host, given.port)
  if not connected then return nil, message end
  -- nginx's Lua module 0.10.23 raises where a handshake fails before it has waited.
  local _, session = pcall(socket.sslhandshake, socket, nil, "localhost", true)
  return type(session) == "userdata" or type(session) == "cdata"]]

local function failure_of(...)
  local succeeded, message = pcall(...)
  assert.is_false(succeeded)
  return message
end

describe("the rig of nginx", function()
  local missing = rig.missing() or simulator.missing()
  if missing then
    pending(missing) -- without nginx and what its Lua loads there is nothing to run chunks in
    return
  end

  local sim, nginx

  setup(function()
    sim = simulator.start()
    nginx = rig.start {
      sim = sim, workers = 2, env = { SEEN = "a 'word' $HOME" }, hidden_env = { HIDDEN = "here" },
      init = "return ngx.get_phase(), os.getenv 'SEEN', os.getenv 'HIDDEN', os.getenv 'HOME'",
      init_worker = "return ngx.get_phase(), ngx.worker.pid()",
      directives = "lua_shared_dict counts 1m;",
      server = [[
        location = /count {
          content_by_lua_block {
            ngx.header["X-Asked"] = ngx.var.http_x_question
            ngx.print(ngx.shared.counts:incr("count", 1, 0), " ", ngx.var.args)
          }
        }
        location = /slow {
          content_by_lua_block { ngx.sleep(0.3) ngx.print(ngx.worker.pid()) }
        }]],
    }
  end)
  teardown(function()
    nginx:stop()
    sim:stop()
  end)

  it("has run the chunks of its start", function()
    -- The process that reads the configuration sees all of its environment.
    assert.same({ "init", "a 'word' $HOME", "here" }, { nginx:result "init" })
    local worker_phase, pid = nginx:result "init_worker"
    assert.equal("init_worker", worker_phase)
    local pids = nginx:pids()
    assert.is_true(pid == pids[1] or pid == pids[2])
  end)

  for _, phase in ipairs(PHASES) do
    it("runs a chunk in the phase " .. phase, function()
      local source = "local given = ... return ngx.get_phase(), given.list[2], given.text"
      local name, number, text = nginx:run(phase, source, { list = { 1, 7 }, text = 'a "\n\\' })
      assert.same({ phase, 7, 'a "\n\\' }, { name, number, text })
    end)

    it("raises what a chunk raises in the phase " .. phase, function()
      assert.equal("chunk:2: a bang", failure_of(nginx.run, nginx, phase, "local nothing\nerror 'a bang'"))
    end)
  end

  it("returns what the chunk returned, and as many", function()
    local values = { nginx:run("content", "return 'a', nil, { b = { true, 1.5 } }, false, nil") }
    assert.same({ "a", nil, { b = { true, 1.5 } }, false }, values)
    assert.equal(5, select("#", nginx:run("content", "return 'a', nil, {}, false, nil")))
    assert.equal(0, select("#", nginx:run("content", "local unused")))
    assert.is_nil((nginx:run("content", "return ...")))
  end)

  for text, source in pairs {
    ["^chunk:1: unexpected symbol"] = "error(",
    ["^nothing but a table$"] = "error(setmetatable({}, { __tostring = function() return 'nothing but a table' end }))",
    ["^the results are no JSON: .*function"] = "return print",
  } do
    it("raises what matches " .. text, function()
      assert.matches(text, failure_of(nginx.run, nginx, "content", source))
    end)
  end

  it("lets a chunk wait where nginx can, and not for ever", function()
    assert.equal("slept", (nginx:run("access", "ngx.sleep(0.01) return 'slept'")))
    assert.matches("^nothing came of the chunk in the phase content: curl: .*timed out",
      failure_of(nginx.run, nginx, "content", "ngx.sleep(3)", nil, 0.2))
  end)

  it("has the library of this tree, built for LuaJIT", function()
    local version, path = nginx:run("content", [[
      return require("iot")._VERSION, package.searchpath("iot.core", package.cpath)]])
    assert.equal(require("iot")._VERSION, version)
    assert.matches("/build/luajit/iot/core%.so$", path)
  end)

  it("shows Lua the variables that it was told to, and no others", function()
    local source = "return os.getenv 'SEEN', os.getenv 'HIDDEN', os.getenv 'HOME'"
    assert.same({ "a 'word' $HOME" }, { nginx:run("content", source) })
  end)

  it("answers requests from outside", function()
    local first = nginx:get "/count?a=%20b"
    assert.same({ 200, "1 a=%20b" }, { first.status, first.body })
    local second = nginx:get("/count", { headers = { ["X-Question"] = "why: so" } })
    assert.same({ 200, "2 nil", "why: so" }, { second.status, second.body, second.headers["x-asked"] })
    assert.equal(404, nginx:get("/nowhere").status)
    assert.matches("timed out", failure_of(nginx.get, nginx, "/slow", { timeout = 0.1 }))
  end)

  it("finds localhost by name and trusts the simulator", function()
    local port = tonumber(sim.endpoint:match "%d+$")
    assert.is_true((nginx:run("content", CONNECT, { host = "localhost", port = port })))
    assert.is_true((nginx:run("timer", CONNECT, { host = "imds.LOCALHOST", port = port })))
    local _, message = nginx:run("content", CONNECT, { host = "elsewhere.test", port = port })
    assert.matches("elsewhere.test could not be resolved %(3: Host not found%)", message)
  end)

  it("does neither where it is told not to", function()
    local bare = rig.start { sim = sim, trusted = false, resolver = false }
    finally(function() bare:stop() end)
    local port = tonumber(sim.endpoint:match "%d+$")
    local _, unresolved = bare:run("content", CONNECT, { host = "localhost", port = port })
    local secure = bare:run("content", CONNECT, { host = "127.0.0.1", port = port })
    assert.equal('no resolver defined to resolve "localhost"', unresolved)
    assert.is_false(secure)
    assert.matches("verify error: %(20: unable to get local issuer certificate%)", bare:log())
  end)

  it("logs warnings, and nothing less", function()
    nginx:run("content", "ngx.log(ngx.INFO, 'no ', 'news') ngx.log(ngx.WARN, 'some ', 'news')")
    assert.matches("%[warn%] [^\n]*some news", nginx:log())
    assert.is_nil(nginx:log():find("no news", 1, true))
  end)

  it("has as many workers as it was told, and tells their memory", function()
    local pids = nginx:pids()
    assert.equal(2, #pids)
    local total = 0
    for _, pid in ipairs(pids) do
      total = total + tonumber(files.read("/proc/" .. pid .. "/status"):match "VmRSS:%s*(%d+)")
    end
    assert.is_true(math.abs(nginx:memory() - total) < total / 10)
  end)

  it("loads its configuration again while a request goes on", function()
    local old = nginx:pids()
    local pipe = assert(io.popen(("curl -q -sS --noproxy '*' --max-time 5 %s/slow"):format(nginx.url)))
    command.run { "sleep", "0.1" }
    nginx:reload()
    local pids = nginx:pids()
    local pid = tonumber(pipe:read "*a")
    pipe:close()
    assert.is_true(pid == old[1] or pid == old[2])
    assert.equal(2, #pids)
    for _, now in ipairs(pids) do assert.is_true(now ~= old[1] and now ~= old[2]) end
    assert.equal(200, nginx:get("/count").status)
  end)

  it("says why an nginx does not start, and leaves nothing behind", function()
    assert.matches('unknown directive "no_such_directive"',
      failure_of(rig.start, { directives = "no_such_directive;" }))
  end)

  it("ends nginx when it is told to, or when its time is over", function()
    local short = rig.start { lifetime = 1 }
    for _ = 1, 100 do
      if not files.read(short.folder .. "/nginx.conf") then break end
      command.run { "sleep", "0.05" }
    end
    assert.is_nil((files.read(short.folder .. "/nginx.conf")))

    local other = rig.start()
    other:stop()
    assert.is_nil((files.read(other.folder .. "/nginx.conf")))
    assert.has_error(function() other:get "/" end)
    other:stop()
  end)
end)
