-- The runtime of plain Lua: real, but short.
local blocking = require "iot.runtime.blocking"
local core = require "iot.core"
local iot = require "iot"

local function elapsed(fn, ...)
  local started = core.monotonic()
  fn(...)
  return core.monotonic() - started
end

describe("the blocking runtime", function()
  it("is one that a client takes", function()
    local client = assert(iot.new {
      region = "eu-west-1", runtime = blocking, endpoint = "https://127.0.0.1:1",
      credentials = { access_key_id = "ID", secret_access_key = "SECRET" },
    })
    local task, _, detail = client:describe_thing_registration_task { taskId = "task" }
    assert.is_nil(task)
    assert.equal("ConnectionFailed", detail.code)
  end)

  it("knows the time of day", function()
    assert.is_true(math.abs(blocking.now() - os.time()) <= 2)
  end)

  it("has a clock that goes forward only", function()
    local last = blocking.monotonic()
    for _ = 1, 1000 do
      local now = blocking.monotonic()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("sleeps for as long as it is told", function()
    for _, seconds in ipairs { 0.001, 0.05 } do
      local took = elapsed(blocking.sleep, seconds)
      assert.is_true(took >= seconds and took < seconds + 1, ("%g s took %g"):format(seconds, took))
    end
  end)

  it("does not sleep when there is nothing to wait for", function()
    for _, seconds in ipairs { 0, -1, -math.huge, 0 / 0 } do
      assert.is_true(elapsed(blocking.sleep, seconds) < 0.5, tostring(seconds))
    end
  end)

  it("has random numbers from 0 up to, not including, 1", function()
    local seen, count, sum = {}, 0, 0
    for _ = 1, 1000 do
      local number = blocking.random()
      assert.is_true(number >= 0 and number < 1)
      if not seen[number] then seen[number], count = true, count + 1 end
      sum = sum + number
    end
    assert.is_true(count > 990)
    assert.is_true(math.abs(sum / 1000 - 0.5) < 0.1)
  end)

  it("makes requests, and tells why one failed", function()
    local response, message, facts = blocking.request { url = "http://127.0.0.1:1/", timeout = 5, proxy = "" }
    assert.is_nil(response)
    assert.equal("string", type(message))
    assert.equal("ConnectionFailed", facts.code)
  end)

  it("runs programs, and tells why one did not start", function()
    local result = assert(blocking.run({ "sh", "-c", "echo out; echo err >&2; exit 3" }, 10))
    assert.same({ status = 3, signal = 0, output = "out\n", errors = "err\n" }, result)
    local none, message, facts = blocking.run({ "/nowhere/program" }, 10)
    assert.is_nil(none)
    assert.equal("string", type(message))
    assert.equal("InvalidConfiguration", facts.code)
  end)
end)

describe("a section of the blocking runtime", function()
  local function results(...)
    return select("#", ...), { ... }
  end

  it("gets the arguments and gives the results, nils too", function()
    local count, values = results(blocking.serialize({}, nil, function(...)
      assert.equal(4, select("#", ...))
      return ...
    end, nil, 1, "two", nil))
    assert.equal(4, count)
    assert.same({ nil, 1, "two", nil }, values)
    assert.equal(0, (results(blocking.serialize({}, nil, function() end))))
  end)

  it("raises what is raised in it, and can be entered again", function()
    local owner, raised = {}, { reason = "a table" }
    local ok, value = pcall(blocking.serialize, owner, nil, function() error(raised) end)
    assert.is_false(ok)
    assert.equal(raised, value)
    assert.equal("done", blocking.serialize(owner, nil, function() return "done" end))
  end)

  it("leaves its owner alone", function()
    local owner = setmetatable({}, { __newindex = error })
    blocking.serialize(owner, nil, function() end)
    assert.is_nil(next(owner))
  end)
end)
