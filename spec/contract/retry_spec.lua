-- Retries against the simulator's faults: how many attempts it saw, how long the client waited between
-- them on a clock of the spec's own, what came of it, and what each attempt said of itself.
local iot = require "iot"
local core = require "iot.core"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local simulator = require "spec.support.simulator"
local virtual_clock = require "spec.support.virtual_clock"

local HOUR = 3600
local OPERATION = "describe_thing_registration_task"
local NOISE = 1e-9

-- Made by the setup below.
local sim

-- Faults -------------------------------------------------------------------------------------

local JSON = { ["Content-Type"] = "application/json" }
local HTML = { ["Content-Type"] = "text/html" }

local function reply(status, headers, body)
  return { kind = "reply", status = status, headers = headers, body = body }
end

-- A 500 of the service, with more headers; and other replies with a header.
local function with_header(status, name, value)
  return reply(status, { ["Content-Type"] = "application/json", [name] = value }, '{"message":"Later"}')
end

local function retry_after_ms(value) return with_header(500, "x-amz-retry-after", value) end

local function http_date(seconds_from_now)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(core.now()) + seconds_from_now)
end

-- What an attempt meets, and what on_event then has to tell: `status` and `code`.
local RESET = { { kind = "reset" }, code = "ConnectionLost" }
local TRUNCATED = { { kind = "truncate" }, code = "ConnectionLost" }
local CLOSED = { { kind = "close" }, code = "ConnectionLost" }
-- Delays last longer than this file: the simulator notes what became of a request when it is done with it.
local SLOW = { { kind = "delay", seconds = 60 }, code = "Timeout" }
local STALLED = { { kind = "stall", seconds = 60 }, code = "Timeout" }
local THROTTLED = { { kind = "throttle" }, status = 400, code = "ThrottlingException" }
local TOO_MANY = { { kind = "throttle", status = 429 }, status = 429, code = "TooManyRequestsException" }
local INTERNAL = {
  reply(500, JSON, '{"__type":"InternalFailureException","message":"Internal failure"}'),
  status = 500, code = "InternalFailureException",
}
local OK = { status = 200 }

local function throttled(fields)
  fields.kind = "throttle"
  local code = fields.status == 429 and "TooManyRequestsException" or "ThrottlingException"
  return { fields, status = fields.status or 400, code = code }
end

local function answered(fault) return { fault, status = fault.status, code = tostring(fault.status) } end

-- Cases --------------------------------------------------------------------------------------

-- A case: `what` is met; `meets`, one entry for each attempt, of which the last decides the outcome;
-- `delays` before the second attempt and those that follow; more fields of the `failure`, if it is one;
-- `options` of iot.new (or a function that makes them); `variables` of the environment.
local CASES = {
  -- No whole reply.
  { what = "a reset", meets = { RESET, OK }, delays = { 0.05 } },
  { what = "resets", meets = { RESET, RESET, OK }, delays = { 0.05, 0.1 } },
  { what = "nothing but resets", meets = { RESET, RESET, RESET }, delays = { 0.05, 0.1 },
    failure = { kind = "transport", retryable = true } },
  { what = "a body cut short", meets = { TRUNCATED, OK }, delays = { 0.05 } },
  { what = "bodies cut short", meets = { TRUNCATED, TRUNCATED, TRUNCATED }, delays = { 0.05, 0.1 },
    failure = { kind = "transport", retryable = true } },
  { what = "connections that end", meets = { CLOSED, CLOSED, OK }, delays = { 0.05, 0.1 } },
  { what = "a reply that is slow", meets = { SLOW, OK }, delays = { 0.05 }, options = { read_timeout = 0.5 } },
  { what = "replies that are slow", meets = { SLOW, SLOW, SLOW }, delays = { 0.05, 0.1 },
    options = { read_timeout = 0.5 }, failure = { kind = "timeout", retryable = true } },
  { what = "a reply that is slow, but not too slow", meets = { { { kind = "delay", seconds = 0.05 }, status = 200 } },
    delays = {} },
  { what = "a reply that stops", meets = { STALLED, OK }, delays = { 0.05 }, options = { read_timeout = 0.5 } },
  { what = "one of each", meets = { RESET, TRUNCATED, INTERNAL, THROTTLED, OK }, delays = { 0.05, 0.1, 0.2, 8 },
    options = { retry = { max_attempts = 5 } } },

  -- Throttling.
  { what = "throttling with status 400", meets = { THROTTLED, OK }, delays = { 1 } },
  { what = "throttling without end", meets = { THROTTLED, THROTTLED, THROTTLED }, delays = { 1, 2 },
    failure = { kind = "service", retryable = true, throttled = true } },
  { what = "throttling with status 429", meets = { TOO_MANY, TOO_MANY, OK }, delays = { 1, 2 } },
  { what = "status 429 with a code that nobody knows", delays = { 1, 2 },
    meets = {
      { reply(429, JSON, '{"__type":"OddException"}'), status = 429, code = "OddException" },
      answered(reply(429, JSON, '{"message":"Too many"}')), OK } },
  { what = "status 429 without a body, without end", delays = { 1, 2 },
    meets = { answered(reply(429)), answered(reply(429)), answered(reply(429)) },
    failure = { kind = "service", retryable = true, throttled = true } },
  { what = "status 503 that is throttling", delays = { 1 },
    meets = { { reply(503, JSON, '{"__type":"SlowDown"}'), status = 503, code = "SlowDown" }, OK } },
  { what = "throttling after a failure, and the other way round", delays = { 0.05, 2, 0.2 },
    meets = { INTERNAL, THROTTLED, INTERNAL, OK }, options = { retry = { max_attempts = 4 } } },

  -- The service says when.
  { what = "throttling, x-amz-retry-after 1500", delays = { 1.5 },
    meets = { throttled { retry_after_ms = 1500 }, OK } },
  { what = "throttling, x-amz-retry-after 500", delays = { 1 },
    meets = { throttled { retry_after_ms = 500 }, OK } },
  { what = "throttling, x-amz-retry-after 60000", delays = { 6 },
    meets = { throttled { retry_after_ms = 60000 }, OK } },
  { what = "429, x-amz-retry-after 1500 and Retry-After 2", delays = { 1.5 },
    meets = { throttled { status = 429, retry_after_ms = 1500, retry_after = 2 }, OK } },
  { what = "429, Retry-After 2", meets = { throttled { status = 429, retry_after = 2 }, OK }, delays = { 2 } },
  { what = "429, Retry-After 0", meets = { throttled { status = 429, retry_after = 0 }, OK }, delays = { 1 } },
  { what = "429, Retry-After 120", delays = { 6, 7 },
    meets = { throttled { status = 429, retry_after = 120 }, throttled { status = 429, retry_after = 120 }, OK } },
  { what = "throttling with status 400, whose Retry-After means nothing",
    meets = { throttled { retry_after = 3 }, OK }, delays = { 1 } },
  { what = "503, Retry-After 1", meets = { answered(with_header(503, "Retry-After", "1")), OK }, delays = { 1 } },
  { what = "503, Retry-After 60", delays = { 5.05 },
    meets = { answered(with_header(503, "Retry-After", "60")), OK } },
  { what = "503, a Retry-After that is none", delays = { 0.05, 0.1 },
    meets = {
      answered(with_header(503, "Retry-After", "soon")), answered(with_header(503, "Retry-After", "-5")), OK } },
  { what = "503, a Retry-After of an hour from now",
    meets = { answered(with_header(503, "Retry-After", http_date(HOUR))), OK }, delays = { 5.05 } },
  { what = "503, a Retry-After of an hour ago",
    meets = { answered(with_header(503, "Retry-After", http_date(-HOUR))), OK }, delays = { 0.05 } },
  { what = "500, whose Retry-After means nothing",
    meets = { answered(with_header(500, "Retry-After", "3")), OK }, delays = { 0.05 } },
  { what = "500, x-amz-retry-after 1500", meets = { answered(retry_after_ms "1500"), OK }, delays = { 1.5 } },
  { what = "500, x-amz-retry-after 0", meets = { answered(retry_after_ms "0"), OK }, delays = { 0.05 } },
  { what = "500, x-amz-retry-after 10000", meets = { answered(retry_after_ms "10000"), OK }, delays = { 5.05 } },
  { what = "500, x-amz-retry-after invalid", meets = { answered(retry_after_ms "invalid"), OK }, delays = { 0.05 } },
  { what = "500, x-amz-retry-after -100", meets = { answered(retry_after_ms "-100"), OK }, delays = { 0.05 } },
  { what = "404 with an x-amz-retry-after", delays = {}, failure = { kind = "service", retryable = false },
    meets = { answered(with_header(404, "x-amz-retry-after", "100")) } },

  -- What is not retried.
  { what = "403", delays = {}, failure = { kind = "service", retryable = false, throttled = false },
    meets = { { reply(403, JSON, '{"__type":"AccessDeniedException","message":"No"}'), status = 403,
      code = "AccessDeniedException" } } },
  { what = "409", meets = { answered(reply(409)) }, delays = {}, failure = { kind = "service", retryable = false } },
  { what = "501", meets = { answered(reply(501)) }, delays = {}, failure = { kind = "service", retryable = false } },
  { what = "a success that is none", delays = {}, failure = { kind = "response", retryable = false },
    meets = { { reply(200, JSON, "not json"), status = 200, code = "MalformedResponse" } } },
  { what = "403 after a failure", delays = { 0.05 }, failure = { kind = "service", retryable = false },
    meets = { INTERNAL, answered(reply(403)) } },

  -- Settings.
  { what = "500, one attempt", meets = { INTERNAL }, delays = {}, options = { retry = { max_attempts = 1 } },
    failure = { kind = "service", retryable = true } },
  { what = "500, five attempts", meets = { INTERNAL, INTERNAL, INTERNAL, INTERNAL, INTERNAL },
    delays = { 0.05, 0.1, 0.2, 0.4 }, options = { retry = { max_attempts = 5 } }, failure = { kind = "service" } },
  { what = "500, AWS_MAX_ATTEMPTS=2", meets = { INTERNAL, INTERNAL }, delays = { 0.05 },
    variables = { AWS_MAX_ATTEMPTS = "2" }, failure = { kind = "service" } },
  { what = "500, AWS_MAX_ATTEMPTS=2 and an option", meets = { INTERNAL, INTERNAL, INTERNAL, OK },
    delays = { 0.05, 0.1, 0.2 }, variables = { AWS_MAX_ATTEMPTS = "2" }, options = { retry = { max_attempts = 4 } } },
  { what = "500, AWS_NEW_RETRIES_2026=false", meets = { INTERNAL, INTERNAL, OK }, delays = { 1, 2 },
    variables = { AWS_NEW_RETRIES_2026 = "false" } },
  { what = "throttling, AWS_NEW_RETRIES_2026=false", delays = { 1.5, 20 },
    meets = { throttled { retry_after_ms = 1500 }, throttled { retry_after_ms = 60000 }, OK },
    variables = { AWS_NEW_RETRIES_2026 = "false" } },
  -- A backoff of 1 s and of 2 s, and half a token a second.
  { what = "throttling, adaptive", meets = { THROTTLED, THROTTLED, OK }, delays = { 2, 2 },
    options = { retry = { mode = "adaptive" } } },
  { what = "throttling, AWS_RETRY_MODE=adaptive", meets = { THROTTLED, OK }, delays = { 2 },
    variables = { AWS_RETRY_MODE = "adaptive" } },
  { what = "500, adaptive", meets = { INTERNAL, INTERNAL, OK }, delays = { 0.05, 0.1 },
    options = { retry = { mode = "adaptive" } } },
}

-- Every transient status, with what may come with it.
local BODIES = {
  { "with a code", JSON, '{"__type":"InternalFailureException","message":"Internal failure"}',
    code = "InternalFailureException", body = false },
  { "with JSON that has no code", JSON, '{"message":"Internal failure"}' },
  { "with JSON that is no object", JSON, "[1]" },
  { "without a body" },
  { "with HTML", HTML, "<html><body><h1>Down</h1></body></html>" },
  { "with HTML of another kind", HTML, "<!DOCTYPE html>\n<HTML>Down</HTML>" },
}
for _, status in ipairs { 500, 502, 503, 504 } do
  for _, body in ipairs(BODIES) do
    local met = { reply(status, body[2], body[3]), status = status, code = body.code or tostring(status) }
    local what = ("%d %s"):format(status, body[1])
    table.insert(CASES, { what = what, meets = { met, met, OK }, delays = { 0.05, 0.1 } })
    table.insert(CASES, { what = what .. ", without end", meets = { met, met, met }, delays = { 0.05, 0.1 },
      failure = { kind = "service", status = status, retryable = true, throttled = false, body = body.body } })
  end
end

-- The specs ----------------------------------------------------------------------------------

describe("retries", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local runtime, events, open

  setup(function()
    sim = simulator.start { concurrent_tasks = 1000 }
    sim:seed { taskId = "task", status = "InProgress" }
  end)
  teardown(function() sim:stop() end)
  before_each(function()
    environment.replace()
    sim:clear()
    runtime, events, open = virtual_clock.runtime(), {}, {}
  end)
  after_each(function()
    environment.restore()
    for _, client in ipairs(open) do client:close() end
  end)

  local function new_client(overrides)
    local options = sim:options(overrides)
    options.retry = overrides and overrides.retry -- else the client's defaults, not the simulator's
    options.runtime = options.runtime or runtime
    options.on_event = function(event) table.insert(events, event) end
    local client = assert(iot.new(options))
    table.insert(open, client)
    return client
  end

  local function describe_task(client, options)
    return client:describe_thing_registration_task({ taskId = "task" }, options)
  end

  local function start_task(client, options)
    return client:start_thing_registration_task(
      { templateBody = "{}", inputFileBucket = "bucket", inputFileKey = "key", roleArn = "arn:aws:iam::1:role/x" },
      options)
  end

  local function header(entry, wanted)
    for _, pair in ipairs(entry.headers) do
      if pair[1]:lower() == wanted:lower() then return pair[2] end
    end
  end

  local function headers(wanted)
    local values = {}
    for index, entry in ipairs(sim:journal()) do values[index] = header(entry, wanted) or false end
    return values
  end

  local function queue(meets)
    local faults = {}
    for _, met in ipairs(meets) do
      if met[1] then table.insert(faults, met[1]) end
    end
    if faults[1] then sim:fault(faults) end
  end

  -- The headers that tell of the attempt, as the simulator saw them.
  local function assert_told(count, max)
    local ids, requests = headers "amz-sdk-invocation-id", headers "amz-sdk-request"
    assert.equal(count, #ids)
    for index = 1, count do
      assert.equal(ids[1], ids[index])
      assert.equal(("attempt=%d; max=%d"):format(index, max), requests[index]:match "attempt=.*")
    end
  end

  local function assert_events(case)
    assert.equal(#case.meets, #events)
    for index, event in ipairs(events) do
      local met = case.meets[index]
      assert.same({ OPERATION, index, met.status, met.code },
        { event.operation, event.attempt, event.status, event.code })
      assert.near(index == 1 and 0 or case.delays[index - 1], event.delay, NOISE)
      assert.is_true(event.duration >= 0)
    end
  end

  for _, case in ipairs(CASES) do
    it(("meet %s: %d attempts"):format(case.what, #case.meets), function()
      environment.replace(case.variables)
      queue(case.meets)
      local client = new_client(case.options)
      local result, message, detail = describe_task(client)
      local last = case.meets[#case.meets]
      if case.failure then
        failures.check({ code = last.code, attempts = #case.meets, operation = OPERATION }, result, message, detail)
        failures.check(case.failure, result, message, detail)
        if last.code ~= "Timeout" then assert.is_nil(detail.cause) end
      else
        assert.equal("task", assert(result, message).taskId)
      end
      local total = 0
      for _, delay in ipairs(case.delays) do total = total + delay end
      assert.near(total, runtime.slept, NOISE)
      local retry = case.options and case.options.retry or {}
      assert_told(#case.meets, retry.max_attempts or tonumber((case.variables or {}).AWS_MAX_ATTEMPTS) or 3)
      assert_events(case)
    end)
  end

  it("wait until the date of a Retry-After", function()
    -- Whole seconds, on clocks that go on: in the third second from now.
    queue { { with_header(429, "Retry-After", http_date(3)) } }
    assert(describe_task(new_client()))
    assert.is_true(runtime.slept > 1.5 and runtime.slept <= 3.5, runtime.slept)
    assert.equal(2, #sim:journal())
  end)

  it("are not made of what cannot be cured", function()
    local client = new_client()
    failures.check({ kind = "service", code = "ResourceNotFoundException", status = 404, attempts = 1 },
      client:describe_thing_registration_task { taskId = "no-such-task" })
    assert.equal(1, #sim:journal())
    failures.check({ kind = "validation", code = "InvalidParameter", attempts = 0 },
      client:describe_thing_registration_task { taskId = "" })
    assert.equal(1, #sim:journal())
    for _, endpoint in ipairs { sim.wrong_host_endpoint, sim.expired_endpoint } do
      events = {}
      failures.check({ kind = "transport", code = "CertificateInvalid", attempts = 1, retryable = false },
        describe_task(new_client { endpoint = endpoint }))
      assert.equal(1, #events)
    end
    assert.equal(1, #sim:journal())
    assert.equal(0, runtime.slept)
  end)

  -- What each attempt says of itself ---------------------------------------------------------

  -- Whether a time as X-Amz-Date has it is that of a moment, give or take three seconds.
  local function is_about(text, seconds)
    for off = -3, 3 do
      if os.date("!%Y%m%dT%H%M%SZ", math.floor(seconds) + off) == text then return true end
    end
    return false
  end

  it("are signed anew", function()
    queue { THROTTLED, THROTTLED }
    assert(describe_task(new_client()))
    local dates, signatures = headers "X-Amz-Date", headers "Authorization"
    for index, seconds in ipairs { 0, 1, 3 } do
      assert.is_true(is_about(dates[index], core.now() + seconds), dates[index])
    end
    assert.is_true(dates[1] < dates[2] and dates[2] < dates[3])
    assert.is_true(signatures[1] ~= signatures[2] and signatures[2] ~= signatures[3])
  end)

  it("take the credentials of their time", function()
    queue { THROTTLED, THROTTLED }
    local client = new_client {
      credentials = function()
        local record, expires = {}, runtime.slept < 1
        for name, value in pairs(expires and sim.credentials or sim.temporary_credentials) do record[name] = value end
        -- Renewed when half of their life is over, which is so after the second backoff.
        record.expiration = expires and core.now() + 4 or nil
        return record
      end,
    }
    assert(describe_task(client))
    local signatures = headers "Authorization"
    assert.is_truthy(signatures[1]:find(sim.credentials.access_key_id, 1, true))
    assert.is_truthy(signatures[3]:find(sim.temporary_credentials.access_key_id, 1, true))
    assert.same({ false, sim.temporary_credentials.session_token },
      { headers "X-Amz-Security-Token" [1], headers "X-Amz-Security-Token" [3] })
  end)

  it("have one invocation id for each call", function()
    local client = new_client()
    queue { INTERNAL, OK }
    assert(describe_task(client))
    queue { INTERNAL, OK }
    assert(describe_task(client))
    local ids = headers "amz-sdk-invocation-id"
    assert.equal(4, #ids)
    assert.is_true(ids[1] == ids[2] and ids[2] ~= ids[3] and ids[3] == ids[4])
  end)

  it("tell when their replies are waited for no longer, after a reply", function()
    queue { INTERNAL, INTERNAL }
    local now = core.now()
    assert(describe_task(new_client { read_timeout = 20 }))
    local requests = headers "amz-sdk-request"
    assert.equal("attempt=1; max=3", requests[1])
    for index = 2, 3 do
      local ttl, rest = requests[index]:match "^ttl=(%d+T%d+Z); (.*)$"
      assert.equal(("attempt=%d; max=3"):format(index), rest)
      assert.is_true(is_about(ttl, now + 20), ttl)
    end
  end)

  it("do not tell so where there was no reply", function()
    queue { RESET }
    assert(describe_task(new_client()))
    assert.same({ "attempt=1; max=3", "attempt=2; max=3" }, headers "amz-sdk-request")
  end)

  it("tell so in the time of the server", function()
    queue { { { kind = "reply", status = 500, headers = { Date = http_date(HOUR) } } } }
    local now = core.now()
    assert(describe_task(new_client { read_timeout = 20 }))
    local ttl = headers "amz-sdk-request" [2]:match "^ttl=(%d+T%d+Z); attempt=2; max=3$"
    assert.is_true(is_about(ttl, now + HOUR + 20), ttl)
  end)

  -- The clock --------------------------------------------------------------------------------

  for _, ahead in ipairs { HOUR, -HOUR } do
    it(("correct a clock that the server's is %d s ahead of"):format(ahead), function()
      finally(function() sim:settings { clock = 0 } end)
      sim:settings { clock = ahead }
      local client = new_client()
      assert.equal("task", assert(describe_task(client)).taskId)
      assert.near(0.05, runtime.slept, NOISE)
      assert.same({ 1, 403, "InvalidSignatureException", 0 },
        { events[1].attempt, events[1].status, events[1].code, events[1].delay })
      assert.same({ 2, 200, 0.05 }, { events[2].attempt, events[2].status, events[2].delay })
      assert_told(2, 3)
      -- From then on it is known.
      assert(describe_task(client))
      assert(start_task(client))
      local dates = headers "X-Amz-Date"
      assert.equal(4, #dates)
      assert.is_true(is_about(dates[1], core.now()), dates[1])
      for index = 2, 4 do assert.is_true(is_about(dates[index], core.now() + ahead), dates[index]) end
      assert.near(0.05, runtime.slept, NOISE)
    end)
  end

  it("find back from a server whose clock was wrong once", function()
    queue { { { kind = "skew", seconds = HOUR } } }
    assert(describe_task(new_client()))
    local dates = headers "X-Amz-Date"
    assert.equal(3, #dates)
    for index, ahead in ipairs { 0, HOUR, 0 } do
      assert.is_true(is_about(dates[index], core.now() + ahead), dates[index])
    end
    assert.near(0.15, runtime.slept, NOISE)
  end)

  it("do not take a wrong key for a wrong clock", function()
    finally(function() sim:settings { clock = 0 } end)
    sim:settings { clock = 60 }
    local credentials = { access_key_id = sim.credentials.access_key_id, secret_access_key = "wrong" }
    failures.check({ kind = "service", code = "InvalidSignatureException", attempts = 1, retryable = false },
      describe_task(new_client { credentials = credentials }))
    assert.equal(1, #sim:journal())
  end)

  it("try a wrong key on a wrong clock once more", function()
    finally(function() sim:settings { clock = 0 } end)
    sim:settings { clock = HOUR }
    local credentials = { access_key_id = sim.credentials.access_key_id, secret_access_key = "wrong" }
    failures.check({ kind = "service", code = "InvalidSignatureException", attempts = 2, retryable = false },
      describe_task(new_client { credentials = credentials }))
    assert.equal(2, #sim:journal())
  end)

  -- Expired tokens ---------------------------------------------------------------------------

  -- A provider of a token that has expired, until the service has said so.
  local function provider()
    for _, event in ipairs(events) do
      if event.code == "ExpiredTokenException" then return sim.temporary_credentials end
    end
    return sim.expired_credentials
  end

  it("renew a token that has expired", function()
    local client = new_client { credentials = provider }
    assert.equal("task", assert(describe_task(client)).taskId)
    assert_told(2, 3)
    local tokens = headers "X-Amz-Security-Token"
    assert.same({ sim.expired_credentials.session_token, sim.temporary_credentials.session_token }, tokens)
    assert.same({ "ExpiredTokenException", 403, 200 }, { events[1].code, events[1].status, events[2].status })
    assert.near(0.05, runtime.slept, NOISE)
    assert(describe_task(client))
    assert.equal(3, #sim:journal())
  end)

  it("go on after the renewal as before", function()
    queue { INTERNAL }
    local client = new_client { credentials = provider }
    assert.equal("task", assert(describe_task(client)).taskId)
    assert_told(3, 3)
    assert.same({ "InternalFailureException", "ExpiredTokenException" }, { events[1].code, events[2].code })
  end)

  it("do not help where every token has expired", function()
    local result, message, detail = describe_task(new_client {
      credentials = function() return sim.expired_credentials end,
    })
    failures.check({ kind = "service", code = "ExpiredTokenException", status = 403, attempts = 2, retryable = false },
      result, message, detail)
    assert.equal(2, #sim:journal())
    assert.near(0.05, runtime.slept, NOISE)
    sim:clear()
    failures.check({ kind = "service", code = "ExpiredTokenException", attempts = 1, retryable = false },
      describe_task(new_client { credentials = sim.expired_credentials }))
    assert.equal(1, #sim:journal())
    assert.near(0.05, runtime.slept, NOISE)
  end)

  -- Deadlines --------------------------------------------------------------------------------

  -- The delay of 5 s is the server's wish, so that a slow machine makes no difference.
  for _, where in ipairs { "client", "call" } do
    it(("end where the next would begin after the deadline of the %s"):format(where), function()
      queue { answered(retry_after_ms "5000") }
      local limit = { timeout = 4 }
      local client = new_client(where == "client" and limit or nil)
      local result, message, detail = describe_task(client, where == "call" and limit or nil)
      failures.check({ kind = "timeout", code = "Timeout", operation = OPERATION, attempts = 1 },
        result, message, detail)
      assert.same({ "service", "500", 500, 1 },
        { detail.cause.kind, detail.cause.code, detail.cause.status, detail.cause.attempts })
      assert.is_truthy(message:find("Later", 1, true) and message:find("HTTP status 500", 1, true), message)
      assert.equal(1, #sim:journal())
      assert.equal(1, #events)
      assert.equal(0, runtime.slept)
    end)
  end

  it("end so after some", function()
    queue { INTERNAL, answered(retry_after_ms "5000") }
    local result, message, detail = describe_task(new_client(), { timeout = 4 })
    failures.check({ code = "Timeout", attempts = 2 }, result, message, detail)
    assert.equal("500", detail.cause.code)
    assert.equal(2, #sim:journal())
    assert.near(0.05, runtime.slept, NOISE)
  end)

  it("are made where there is time", function()
    queue { answered(retry_after_ms "5000") }
    assert(describe_task(new_client(), { timeout = 30 }))
    assert.equal(5, runtime.slept)
  end)

  it("are not made of a call that has taken all its time", function()
    queue { SLOW }
    runtime.monotonic = core.monotonic -- which sees how long the requests take
    local result, message, detail = describe_task(new_client { timeout = 0.3 })
    failures.check({ kind = "timeout", code = "Timeout", attempts = 1, cause = false }, result, message, detail)
    assert.equal(1, #sim:journal())
  end)

  it("tell what came before the one that took the rest of the time", function()
    queue { INTERNAL, SLOW }
    runtime.monotonic = core.monotonic
    local result, message, detail = describe_task(new_client { timeout = 1.5 })
    failures.check({ kind = "timeout", code = "Timeout", attempts = 2 }, result, message, detail)
    assert.equal("InternalFailureException", detail.cause.code)
    assert.equal(2, #sim:journal())
  end)

  -- Starting a task --------------------------------------------------------------------------

  it("start a task again whose reply was lost", function()
    sim:fault { kind = "close", when = "after" }
    local started = assert(start_task(new_client()))
    local entries = sim:journal()
    assert.equal(2, #entries)
    assert.equal(entries[1].body, entries[2].body)
    assert.equal("task", assert(describe_task(new_client())).taskId)
    assert.equal("string", type(started.taskId))
  end)

  it("show how often a task may have been started", function()
    queue { RESET, RESET, RESET }
    failures.check({ code = "ConnectionLost", operation = "start_thing_registration_task", attempts = 3 },
      start_task(new_client()))
    assert.equal(3, #sim:journal())
    sim:clear()
    queue { INTERNAL, { { kind = "reply", status = 400, headers = JSON,
      body = '{"__type":"InvalidRequestException","message":"one task at a time"}' } } }
    failures.check({ code = "InvalidRequestException", attempts = 2 }, start_task(new_client()))
  end)

  -- The quota --------------------------------------------------------------------------------

  it("stop while nothing works, and come back with success", function()
    local client = new_client()
    local function fail(attempts, exceeded)
      sim:clear()
      sim:fault { kind = "reply", status = 500, times = 10 }
      local result, message, detail = describe_task(client)
      failures.check({ code = "500", attempts = attempts, quota_exceeded = exceeded }, result, message, detail)
      assert.equal(attempts, #sim:journal())
    end
    local function succeed()
      sim:clear()
      assert(describe_task(client))
    end
    for _ = 1, 17 do fail(3, false) end -- 34 retries at 14 each of 500: 24 are left
    fail(2, true)
    for _ = 1, 3 do fail(1, true) end
    for _ = 1, 3 do succeed() end
    fail(1, true) -- 13
    succeed()
    fail(2, true)
    -- Another client has its own.
    client = new_client()
    fail(3, false)
  end)
end)
