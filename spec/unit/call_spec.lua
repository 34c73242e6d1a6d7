-- One call with its attempts, over a runtime that sends nothing: what is the call's own, and what the client's.
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"

local DESCRIBE = "describe_thing_registration_task"
local CREDENTIALS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }

local function new(runtime, extra)
  local options = { region = "us-east-1", credentials = CREDENTIALS, runtime = runtime }
  for name, value in pairs(extra or {}) do options[name] = value end
  return assert(iot.new(options))
end

local function refusal(code, status, server_time)
  return nil, "no", { kind = "service", code = code, status = status, server_time = server_time }
end

describe("a call", function()
  before_each(function() environment.replace() end)
  after_each(environment.restore)

  it("goes on with the parameters that it was made with, though the caller changes them meanwhile", function()
    local params = { taskId = "first" }
    local runtime
    runtime = environment.runtime(function(_, _, given)
      table.insert(runtime.seen, given.taskId)
      if #runtime.seen < 3 then return refusal("InternalFailureException", 500) end
      return {}
    end)
    runtime.seen = {}
    function runtime.sleep() params.taskId = "another" end
    assert(new(runtime)[DESCRIBE](new(runtime), params))
    assert.same({ "first", "first", "first" }, runtime.seen)
  end)

  it("of a wait does so, too", function()
    local params = { taskId = "first" }
    local runtime
    runtime = environment.runtime(function(_, _, given)
      table.insert(runtime.seen, given.taskId)
      return { status = #runtime.seen < 3 and "InProgress" or "Completed" }
    end)
    runtime.seen = {}
    assert(new(runtime):wait_for_thing_registration_task(params, { on_progress = function()
      params.taskId = "another"
    end }))
    assert.same({ "first", "first", "first" }, runtime.seen)
  end)

  it("that was signed before another call corrected the clock is tried again without a correction", function()
    local runtime = environment.runtime()
    local real, signed = runtime.wall + 3600, {}
    local client
    -- Another call is made, refused and corrected while the first is under way.
    function runtime.send(_, _, params, attempt)
      table.insert(signed, { params.taskId, attempt.time - real })
      if #signed == 1 then assert(client[DESCRIBE](client, { taskId = "inner" })) end
      if math.abs(attempt.time - real) > 300 then return refusal("RequestTimeTooSkewed", 403, real) end
      return {}
    end
    client = new(runtime)
    assert(client[DESCRIBE](client, { taskId = "outer" }))
    assert.same({ { "outer", -3600 }, { "inner", -3600 }, { "inner", 0 }, { "outer", 0 } }, signed)
  end)

  it("pays for one correction of the clock, not for each call that met the same wrong time", function()
    local runtime = environment.runtime()
    local real, depth = runtime.wall + 3600, 0
    local client
    function runtime.send(_, _, _, attempt)
      depth = depth + 1
      if depth <= 100 then assert(client[DESCRIBE](client, { taskId = "inner" })) end
      if math.abs(attempt.time - real) > 300 then return refusal("RequestTimeTooSkewed", 403, real) end
      return {}
    end
    client = new(runtime, { retry = { max_attempts = 2 } })
    assert(client[DESCRIBE](client, { taskId = "outer" })) -- 100 at 14 tokens each are more than the quota has
  end)

  it("without time is a Timeout of its operation, before anything is sent", function()
    local runtime = environment.runtime()
    failures.check(
      { kind = "timeout", code = "Timeout", operation = DESCRIBE, attempts = 0, message = "^" .. DESCRIBE },
      new(runtime)[DESCRIBE](new(runtime), { taskId = "task" }, { timeout = 1e-300 }))
    assert.equal(0, #runtime.sent)
  end)

  it("whose time went into finding credentials is a Timeout with the reason as its cause", function()
    local runtime = environment.runtime()
    local client = new(runtime, { timeout = 10, credentials = function()
      runtime.clock = runtime.clock + 11
      return nil, "the vault is sealed"
    end })
    local _, message, detail = client[DESCRIBE](client, { taskId = "task" })
    assert.same({ "timeout", "Timeout", 0 }, { detail.kind, detail.code, detail.attempts })
    assert.matches("the vault is sealed", message)
    assert.equal("credentials", detail.cause.kind)
  end)

  it("that an interrupt ended says so, and is not tried again", function()
    local runtime = environment.runtime(function() return nil, "a signal", { code = "Interrupted" } end)
    local client = new(runtime)
    failures.check({ kind = "transport", code = "Interrupted", attempts = 1, retryable = false },
      client[DESCRIBE](client, { taskId = "task" }))
    assert.equal(1, #runtime.sent)
  end)
end)

describe("the retry of a client", function()
  local function misuse(retry)
    local ok, message = pcall(function()
      local client = iot.new { region = "us-east-1", retry = retry }
      return client
    end)
    assert.is_false(ok)
    assert.matches("^[^:]*call_spec%.lua:%d+: ", message)
    return message
  end

  it("is checked where it is given", function()
    assert.matches("unknown field of retry 'attempts'", misuse { attempts = 1 })
    assert.matches("'max_attempts' to 'new' %(number expected", misuse { max_attempts = "3" })
    for _, count in ipairs { 0, -1, 1.5, math.huge, 2 ^ 40 } do
      assert.matches("'max_attempts' to 'new' %(a whole number from 1", misuse { max_attempts = count })
    end
    assert.matches("'mode' to 'new' %('standard' or 'adaptive'", misuse { mode = "legacy" })
    assert.matches("'retry' to 'new' %(table expected", misuse(3))
  end)
end)
