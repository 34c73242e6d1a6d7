-- Ctrl-C while something waits: it ends at once, the host's handler gets its way, and the Lua state is sound.
local child = require "spec.support.child"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local jit = rawget(_G, "jit")

-- Before each program: what waits, and what tells that the state is sound.
local PRELUDE = [[
  local unpack = table.unpack or unpack
  local core, iot, interrupt = require "iot.core", require "iot", require "spec.support.interrupt"
  local silent, endpoint, ca_bundle = os.getenv "SILENT", os.getenv "ENDPOINT", os.getenv "AWS_CA_BUNDLE"
  local native = assert(core.client { endpoint = endpoint, ca_bundle = ca_bundle, region = "us-east-1", proxy = "" })
  local to_silent = assert(core.client { endpoint = silent, region = "us-east-1", proxy = "" })
  local attempt = {
    credentials = {
      access_key_id = os.getenv "AWS_ACCESS_KEY_ID", secret_access_key = os.getenv "AWS_SECRET_ACCESS_KEY",
    },
    timeout = 60,
  }
  local multi = assert(core.multi(4))
  local function describe(client) return core.describe_thing_registration_task(client, { taskId = "full" }, attempt) end
  local function check_state()
    assert(describe(native).taskId == "full")
    assert(core.sleep(0.01) == true)
    assert(core.run({ "echo", "a" }, 10).output == "a\n")
    local slot = assert(multi:start(native, "describe_thing_registration_task", { taskId = "full" }, attempt))
    local done = {}
    repeat assert(core.monotonic() < 1e9) until multi:wait(10, done) == 1 and done[1] == slot
    assert(multi:finish(slot).taskId == "full")
  end
  check_state()
  -- What raises is the next piece of Lua.
  local function interrupted(fn, ...)
    local arguments = { ... }
    local ok, message = pcall(function()
      fn(unpack(arguments))
      error "not interrupted"
    end)
    assert(not ok and message:find "interrupted!", message)
  end
]]

-- What waits for longer than the spec does, and what it gives when interrupted; a map raises.
local WAITS = {
  { "a describe", "return describe(to_silent)", "nil, code" },
  { "a describe of a client", [[
      local client = assert(iot.new { endpoint = silent, proxy = "" })
      return client:describe_thing_registration_task { taskId = "a" }]], "nil, code" },
  { "a plain request", "return core.request { url = silent .. '/', timeout = 60, proxy = '' }", "nil, code" },
  { "a sleep", "return core.sleep(60)", "false" },
  { "a sleep of the blocking runtime", "return require('iot.runtime.blocking').sleep(60)", "false" },
  { "a program", "return core.run({ 'sleep', '60' }, 60)", "nil, code" },
  { "a wait for many", [[
      for _ = 1, 3 do
        assert(multi:start(to_silent, "describe_thing_registration_task", { taskId = "a" }, attempt))
      end
      assert(multi:run({ "sleep", "60" }, 60))
      return multi:wait(60, {})]], "0" },
  { "a wait without an end", "return multi:wait(math.huge, {})", "0" },
  { "a pause before a retry", [[
      local function fail() return nil, "no", { retryable = true, retry_after = 60 } end
      return iot.retry(fail, { max_attempts = 99 })]],
    "nil, code" },
  { "a wait for a task", [[
      local client = assert(iot.new { endpoint = endpoint, proxy = "" })
      return client:wait_for_thing_registration_task({ taskId = "running" }, { interval = 60 })]], "nil, code" },
  { "a download", [[
      local download = assert(require("iot.runtime").download { url = silent .. "/", proxy = "" })
      return download:read()]], "nil, code" },
  { "a report", [[
      local client = assert(iot.new { endpoint = endpoint, proxy = "" })
      local ok, reason = pcall(client:thing_registration_task_report { taskId = "stalled", reportType = "RESULTS" })
      if type(reason) == "string" then error(reason, 0) end
      assert(not ok)
      return nil, reason.message, reason]], "nil, code" },
  { "a map of downloads", [[
      return iot.map({ 1, 2, 3 }, function()
        return assert(require("iot.runtime").download { url = silent .. "/", proxy = "" }):read()
      end)]] },
  { "a map", [[
      local client = assert(iot.new { endpoint = silent, proxy = "" })
      return iot.map({ 1, 2, 3 }, function(item)
        if item == 1 then require("iot.runtime").sleep(60) end
        return client:describe_thing_registration_task { taskId = "a" }
      end)]] },
  { "a map that only sleeps", [[
      return iot.map({ 1, 2, 3 }, function() require("iot.runtime").sleep(60) end)]] },
}

describe("an interrupt", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, raw

  setup(function()
    sim = simulator.start()
    raw = raw_server.start(sim)
    sim:seed { taskId = "full", status = "Completed" }
    sim:seed { taskId = "running", status = "InProgress" }
    sim:seed { taskId = "stalled", status = "Completed", successCount = 10 }
    sim:fault { kind = "stall", operation = "report", bytes = 10, times = 1000 }
  end)
  teardown(function()
    raw:stop()
    sim:stop()
  end)

  local function run(program)
    local all = sim:environment()
    all.SILENT, all.ENDPOINT = raw.silent, sim.endpoint
    return child.output(PRELUDE .. program, all, { timeout = 25 })
  end

  for _, wait in ipairs(WAITS) do
    it(("ends %s at once, and leaves a state that works"):format(wait[1]), function()
      assert.equal("sound\n", run(([[
        local since = interrupt.arrange(0.3)
        interrupted(function() %s end)
        local took = since()
        assert(took >= 0 and took < 1, "it took " .. took .. " s")
        multi:close()
        multi = assert(core.multi(4))
        check_state()
        print "sound"
      ]]):format(wait[2])))
    end)

    -- The hook is the main thread's, so a coroutine goes on. LuaJIT has one hook for all.
    if wait[3] and not jit then
      it(("is told to a coroutine that waits for %s"):format(wait[1]), function()
        assert.equal(wait[3] .. "\n", run(([[
          local since = interrupt.arrange(0.3)
          local told, took
          local ended, reason = pcall(coroutine.wrap(function()
            local first, words, facts = (function() %s end)()
            took = since()
            if first == nil then
              assert(facts.code == "Interrupted", words)
              assert(words:find "signal" or words:find "interrupted", words)
              told = "nil, code"
            else
              told = tostring(first)
            end
          end))
          if not told then error(reason) end
          assert(took >= 0 and took < 1, "it took " .. took .. " s")
          print(told)
        ]]):format(wait[2])))
      end)
    end
  end

  if not jit then
    it("ends what a coroutine waits for, though it came while that computed, and each wait after it", function()
      assert.equal("false\tInterrupted\t0\ttrue\traised\n", run [[
        local since, told = interrupt.arrange(0.05), {}
        pcall(coroutine.wrap(function()
          local stop = core.monotonic() + 0.3
          while core.monotonic() < stop do end
          local began = core.monotonic()
          told[1] = tostring(core.sleep(60))
          told[2] = select(3, describe(to_silent)).code
          told[3], told[4] = multi:wait(60, {})
          told[4] = tostring(told[4])
          told[5] = pcall(iot.map, { 1 }, function() require("iot.runtime").sleep(60) end) and "went on" or "raised"
          assert(core.monotonic() - began < 2)
        end))
        print(table.concat(told, "\t"))
      ]])
    end)

    it("is none when the host sets a hook of its own after the library was loaded", function()
      assert.equal("true\tfull\n", run [[
        debug.sethook(function() end, "l")
        print(coroutine.wrap(function()
          return core.sleep(0.6), describe(native).taskId
        end)())
      ]])
    end)
  end

  it("kills the program that it ends the wait for", function()
    assert.equal("gone\n", run [[
      interrupt.arrange(0.3)
      local note = os.tmpname()
      interrupted(core.run, { "sh", "-c", "trap '' INT; echo $$ >'" .. note .. "'; exec sleep 60" }, 60)
      local file = assert(io.open(note))
      local id = assert(file:read "*a":match "%d+")
      file:close()
      os.remove(note)
      local pipe = io.popen("kill -0 " .. id .. " 2>/dev/null && echo there || echo gone")
      io.write(pipe:read "*a")
    ]])
  end)

  it("closes the connection that it ends an exchange on, and no other", function()
    sim:clear()
    run [[
      local slot = assert(multi:request { url = silent .. "/", timeout = 60, proxy = "" })
      interrupt.arrange(0.3)
      interrupted(multi.wait, multi, 60, {})
      multi:cancel(slot)
      check_state()
    ]]
    local seen, count = {}, 0
    for _, entry in ipairs(sim:journal()) do
      if not seen[entry.connection] then seen[entry.connection], count = true, count + 1 end
    end
    assert.equal(2, count) -- one of the client, one of the multi
  end)

  it("is none when a signal means nothing to the Lua state", function()
    assert.equal("true\n", run [[
      local started = core.monotonic()
      interrupt.arrange(0.2, { "STOP", "CONT", "WINCH", "URG", "STOP", "CONT" })
      local whole = core.sleep(1.2)
      local took = core.monotonic() - started
      assert(took >= 1.2 and took < 6, took .. " s")
      print(whole)
    ]])
  end)

  it("is none when the host has a hook of its own", function()
    assert.equal("true\tfull\ta\n\t1\n", run [[
      debug.sethook(function() end, "crl", 1)
      local whole = core.sleep(0.6)
      local slot = assert(multi:start(native, "describe_thing_registration_task", { taskId = "full" }, attempt))
      local task = describe(native)
      local output = core.run({ "sh", "-c", "sleep 0.1; echo a" }, 10).output
      print(whole, task.taskId, output, (multi:wait(10, {})))
    ]])
  end)

  it("is one when the host has a hook of its own", function()
    assert.equal("interrupted\n", run [[
      debug.sethook(function() end, "l")
      local since = interrupt.arrange(0.3)
      interrupted(core.sleep, 60)
      assert(since() < 1)
      print "interrupted"
    ]])
  end)
end)
