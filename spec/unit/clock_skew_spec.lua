-- A local clock that is wrong, and what a client learns of it from the replies (reference 3.5).
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"

local HOUR = 3600

-- A whole second, as the Date header has it.
local WALL = 1440938160

-- Always taken for a matter of the clock; and only where that is off by four minutes.
local DEFINITE = { "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture" }
local POSSIBLE = { "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure" }
local OTHER = {
  "AccessDeniedException", "ForbiddenException", "UnrecognizedClientException", "ResourceNotFoundException",
  "IncompleteSignatureException", "403",
}

local function both(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, value in ipairs(list) do all[#all + 1] = value end
  end
  return all
end

describe("a wrong clock", function()
  local runtime, times, answer, slept

  before_each(function()
    environment.replace()
    times, slept = {}, 0
    -- The attempt may be one table for all attempts.
    runtime = environment.runtime(function(_, _, _, attempt)
      times[#times + 1] = attempt.time
      return answer(attempt)
    end)
    runtime.wall = WALL
    function runtime.sleep(seconds)
      slept = slept + seconds
      runtime.clock, runtime.wall = runtime.clock + seconds, runtime.wall + seconds
    end
    function runtime.random() return 1 end
  end)
  after_each(environment.restore)

  local function new(extra)
    local options = {
      region = "us-east-1", runtime = runtime,
      credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "SECRET" },
    }
    for name, value in pairs(extra or {}) do options[name] = value end
    return assert(iot.new(options))
  end

  local function describe_task(client)
    return client:describe_thing_registration_task { taskId = "task" }
  end

  local function refuse(code, server_time)
    return nil, "the spec's refusal", { kind = "service", code = code, status = 403, server_time = server_time }
  end

  -- A service whose clock is so many seconds ahead of the local one, and which minds five minutes.
  local function serve(ahead, code)
    function answer(attempt)
      local server_time = math.floor(runtime.wall + ahead)
      if math.abs(server_time - attempt.time) <= 300 then return {} end
      return refuse(code, server_time)
    end
  end

  -- Refuses once, with this time of the server, then takes anything.
  local function refuse_once(code, server_time)
    function answer()
      if #times > 1 then return {} end
      return refuse(code, server_time)
    end
  end

  local function assert_corrected(code, ahead)
    refuse_once(code, WALL + ahead)
    assert(describe_task(new()))
    assert.equal(2, #times)
    assert.equal(WALL, times[1])
    assert.near(runtime.wall + ahead, times[2], 1e-6)
    assert.near(0.05, slept, 1e-9)
  end

  local function assert_not_corrected(code, server_time)
    refuse_once(code, server_time)
    local client = new()
    failures.check({ kind = "service", code = code, status = 403, attempts = 1, retryable = false },
      describe_task(client))
    assert.same({ WALL }, times)
    runtime.wall = WALL + 10
    assert(describe_task(client))
    assert.same({ WALL, WALL + 10 }, times)
    assert.equal(0, slept)
  end

  for _, code in ipairs(DEFINITE) do
    for _, ahead in ipairs { 1, -1, 30, -30, 239, 240, HOUR, -HOUR, 400 * 24 * HOUR } do
      it(("is corrected: %s, %d s"):format(code, ahead), function() assert_corrected(code, ahead) end)
    end
  end

  for _, code in ipairs(POSSIBLE) do
    for _, ahead in ipairs { 240, -240, 241, HOUR, -HOUR, -400 * 24 * HOUR } do
      it(("is corrected: %s, %d s"):format(code, ahead), function() assert_corrected(code, ahead) end)
    end
    for _, ahead in ipairs { 0, 1, -1, 239, -239 } do
      it(("is not to blame: %s, %d s"):format(code, ahead), function() assert_not_corrected(code, WALL + ahead) end)
    end
  end

  for _, code in ipairs(OTHER) do
    it("is not corrected by what says nothing of it: " .. code, function()
      assert_not_corrected(code, WALL + HOUR)
    end)
  end

  for _, code in ipairs(both(DEFINITE, POSSIBLE)) do
    it("is not corrected where the server's is not known: " .. code, function() assert_not_corrected(code, nil) end)
  end

  it("is corrected by a definite code whatever the status, which may be one that is retried anyhow", function()
    function answer()
      if #times > 1 then return {} end
      return nil, "too late", { kind = "service", code = "RequestExpired", status = 503, server_time = WALL + HOUR }
    end
    assert(describe_task(new()))
    assert.equal(2, #times)
    assert.near(runtime.wall + HOUR, times[2], 1e-6)
  end)

  it("is not corrected by a failure that is retried anyhow", function()
    for _, facts in ipairs {
      { kind = "service", code = "InternalFailureException", status = 500 },
      { kind = "service", code = "ThrottlingException", status = 400 },
      { code = "ConnectionLost" },
    } do
      times = {}
      function answer()
        if #times > 1 then return {} end
        return nil, "later", { kind = facts.kind, code = facts.code, status = facts.status, server_time = WALL + HOUR }
      end
      runtime.wall = WALL
      assert(describe_task(new()))
      assert.equal(2, #times)
      assert.near(runtime.wall, times[2], 1e-6)
    end
  end)

  it("is known from then on to all calls of the client", function()
    for _, ahead in ipairs { HOUR, -HOUR } do
      times, runtime.wall = {}, WALL
      serve(ahead, "InvalidSignatureException")
      local client = new()
      assert(describe_task(client))
      assert.equal(2, #times)
      for index = 3, 5 do
        runtime.wall = runtime.wall + 1000
        if index == 4 then
          local start = { templateBody = "{}", inputFileBucket = "bucket", inputFileKey = "key", roleArn = "arn" }
          assert(client:start_thing_registration_task(start))
        else
          assert(describe_task(client))
        end
        assert.equal(index, #times)
        assert.near(runtime.wall + ahead, times[index], 1e-6)
      end
    end
  end)

  it("is no matter of another client", function()
    serve(HOUR, "RequestTimeTooSkewed")
    assert(describe_task(new()))
    times = {}
    local fresh = new()
    assert(describe_task(fresh))
    assert.equal(2, #times)
    assert.near(runtime.wall, times[1], 1)
  end)

  it("is learnt anew when it changes", function()
    for _, code in ipairs { "RequestExpired", "InvalidSignatureException" } do
      local client = new()
      -- Set by hand, put right, set into the past.
      for _, ahead in ipairs { HOUR, 3 * HOUR, 0, -HOUR, -HOUR - 600 } do
        times = {}
        serve(ahead, code)
        assert(describe_task(client))
        assert.equal(2, #times)
        assert.near(runtime.wall + ahead, times[2], 1) -- the Date header has whole seconds
        assert(describe_task(client))
        assert.equal(3, #times)
        assert.near(runtime.wall + ahead, times[3], 1)
      end
    end
  end)

  -- The time to hold against the server's is the one of the signature, not the clock's.
  it("does not excuse a wrong key once it is known", function()
    serve(HOUR, "SignatureDoesNotMatch")
    local client = new()
    assert(describe_task(client))
    times = {}
    function answer() return refuse("SignatureDoesNotMatch", math.floor(runtime.wall + HOUR)) end
    failures.check({ code = "SignatureDoesNotMatch", attempts = 1, retryable = false }, describe_task(client))
    assert.equal(1, #times)
  end)

  it("does not lead to more attempts than others", function()
    local ahead = 0
    function answer()
      ahead = ahead + HOUR -- a clock that no one can follow
      return refuse("RequestTimeTooSkewed", math.floor(runtime.wall) + ahead)
    end
    failures.check({ code = "RequestTimeTooSkewed", attempts = 3, retryable = true, throttled = false },
      describe_task(new()))
    assert.equal(3, #times)
    assert.near(0.15, slept, 1e-9)
    times = {}
    failures.check({ code = "RequestTimeTooSkewed", attempts = 5 }, describe_task(new { retry = { max_attempts = 5 } }))
    assert.equal(5, #times)
  end)

  it("is learnt by a call that may not try again", function()
    serve(HOUR, "InvalidSignatureException")
    local client = new { retry = { max_attempts = 1 } }
    failures.check({ code = "InvalidSignatureException", attempts = 1, retryable = true }, describe_task(client))
    assert(describe_task(client))
    assert.equal(2, #times)
    assert.near(runtime.wall + HOUR, times[2], 1e-6)
  end)

  it("costs of the quota what another failure costs", function()
    -- 500 / 14: 35 corrections, each of a call that then fails for good.
    local client = new()
    local corrected = 0
    for _ = 1, 40 do
      times = {}
      function answer()
        if #times > 1 then return refuse("AccessDeniedException") end
        return refuse("RequestTimeTooSkewed", math.floor(runtime.wall))
      end
      local _, _, detail = describe_task(client)
      if detail.code == "AccessDeniedException" then corrected = corrected + 1 end
    end
    assert.equal(35, corrected)
  end)

  it("has no part in when credentials expire", function()
    for _, ahead in ipairs { HOUR, -HOUR } do
      local asked, expiration = 0, nil
      runtime.wall = WALL
      local client = new {
        credentials = function()
          asked, expiration = asked + 1, runtime.wall + 2000
          return { access_key_id = "AKIDEXAMPLE", secret_access_key = "SECRET", session_token = "T",
            expiration = expiration }
        end,
      }
      serve(ahead, "RequestTimeTooSkewed")
      for _ = 1, 3 do assert(describe_task(client)) end
      assert.equal(1, asked)
      -- Well before their end by the local clock; then after it.
      runtime.wall = WALL + 1000
      assert(describe_task(client))
      assert.equal(1, asked)
      runtime.wall = WALL + 2001
      assert(describe_task(client))
      assert.equal(2, asked)
    end
  end)
end)
