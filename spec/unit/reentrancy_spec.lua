-- Any allocation of Lua may run a finaliser, and that may use what the interrupted call uses, or close
-- it. Each case makes garbage whose finaliser does so, over and over, while calls go on.
local core = require "iot.core"
local collector = require "spec.support.collector"

local CREDENTIALS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }
local DESCRIBE = "describe_thing_registration_task"
local START = "start_thing_registration_task"

local function new_client()
  return assert(core.client { endpoint = "http://127.0.0.1:1", region = "us-east-1" })
end

-- Something with a finaliser: tables have none in Lua 5.1 and LuaJIT, where newproxy has.
local function collectable(finalise)
  local newproxy = rawget(_G, "newproxy")
  if not newproxy then return setmetatable({}, { __gc = finalise }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = finalise
  return proxy
end

-- Runs `work` over and over, with garbage around whose finaliser runs `disturb`, and a collector that
-- is always at work: how often it comes to that depends on all that lives in the process.
local function disturbed(disturb, work)
  local restore = collector.make_busy()
  local stopped, ran = false, 0
  local function lay()
    collectable(function()
      ran = ran + 1
      disturb()
      if not stopped and ran < 500 then lay() end
    end)
  end
  lay()
  local i = 0
  repeat
    i = i + 1
    work(i)
  until ran >= 20 and i >= 200 or i >= 400000
  stopped = true
  restore()
  collectgarbage()
  assert.is_true(ran >= 3, "the finaliser ran " .. ran .. " times")
end

describe("a finaliser in the middle of a call", function()
  it("that closes the client leaves memory sound", function()
    local head = "HTTP/1.1 400 Bad\r\nX-Amzn-ErrorType: " .. ("E"):rep(300) .. "\r\n"
    local body = ('{"message":"%s"}'):format(("m"):rep(300))
    for _ = 1, 1000 do
      local client = new_client()
      collectable(function() client:close() end)
      for _ = 1, 3 do
        local ok, _, message, facts = pcall(client.parse, client, DESCRIBE, 400, head, body)
        assert.equal(ok and ("m"):rep(300), ok and message)
        assert.equal(ok and ("E"):rep(300), ok and facts.code)
      end
    end
  end)

  -- Nothing is made between a client and its first use: there the collector has its turn.
  it("that closes the client leaves the endpoint that it tells whole", function()
    local endpoint = "http://" .. ("label-of-the-host."):rep(13) .. "example/" .. ("p"):rep(3000)
    local options = { endpoint = endpoint, region = "us-east-1" }
    local restore = collector.make_busy()
    local client
    for i = 1, 1000 do
      collectable(function() if client then client:close() end end)
      for k = 1, i % 40 do assert { k } end
      client = assert(core.client(options))
      for _ = 1, 3 do
        local ok, told = pcall(client.endpoint, client)
        assert(told == endpoint or not ok and told:find "closed client", told)
      end
    end
    restore()
  end)

  it("that closes the client lets nothing be validated with it", function()
    local params = { templateBody = ("t"):rep(3000), inputFileBucket = "b", inputFileKey = "k", roleArn = "r" }
    local restore = collector.make_busy()
    local client, closed
    for i = 1, 1000 do
      collectable(function()
        closed = true
        if client then client:close() end
      end)
      for k = 1, i % 40 do assert { k } end
      client, closed = new_client(), false
      for _ = 1, 3 do
        local ok, valid = pcall(client.validate, client, START, params)
        assert(not closed and valid == true or not ok and valid:find "closed client", valid)
      end
    end
    restore()
  end)

  it("that uses the same client mixes no two requests", function()
    local client = new_client()
    local function disturb()
      client:validate(DESCRIBE, { taskId = "other" })
      client:prepare(DESCRIBE, { taskId = ("other"):rep(99) }, { credentials = CREDENTIALS })
    end
    disturbed(disturb, function(i)
      local bytes = assert(client:prepare(START, {
        templateBody = "t" .. i, inputFileBucket = "b" .. i, inputFileKey = "k" .. i, roleArn = "r" .. i,
      }, { credentials = CREDENTIALS }))
      assert(bytes:find("^POST /thing%-registration%-tasks HTTP/1%.1\r\nHost: 127%.0%.0%.1:1\r\n"), bytes)
      assert(bytes:find(('{"templateBody":"t%d","inputFileBucket":"b%d","inputFileKey":"k%d","roleArn":"r%d"}')
        :format(i, i, i, i), 1, true), bytes)
    end)
  end)

  it("that uses the same client mixes no two replies", function()
    local client = new_client()
    local function disturb()
      client:parse(DESCRIBE, 500, "HTTP/1.1 500 Other\r\n", ("other "):rep(99))
    end
    disturbed(disturb, function(i)
      local _, message, facts = client:parse(DESCRIBE, 503, "HTTP/1.1 503 Mine\r\nX-Amzn-RequestId: id" .. i
        .. "\r\n", "<html>" .. i)
      assert(message == "Mine" and facts.request_id == "id" .. i and facts.body == "<html>" .. i, message)
    end)
  end)

  it("that signs mixes no two signatures", function()
    local options = { region = "us-east-1", service = "iot", credentials = CREDENTIALS, time = 0 }
    local function disturb()
      core.sign({ method = "PUT", url = "https://other.example/" .. ("z"):rep(5000) }, options)
    end
    disturbed(disturb, function(i)
      local signed = assert(core.sign({ method = "GET", url = "https://h.example/p" .. i }, options))
      assert(signed.headers[3][2]:find(signed.signature, 1, true)
        and signed.canonical_request:find("GET\n/p" .. i .. "\n", 1, true), signed.canonical_request)
    end)
  end)

  it("that changes the tables which a call was given leaves memory sound", function()
    local client, round, is_rotating = new_client(), 0, false
    local credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }
    local attempt = { credentials = credentials, invocation_id = "id" }
    local header = { "X-A" }
    local request = { method = "GET", headers = { header } }
    -- And sees to it, where a finaliser may, that the former strings are gone at once.
    local function rotate()
      if is_rotating then return end
      is_rotating, round = true, round + 1
      credentials.session_token = ("t"):rep(5000) .. round
      attempt.user_agent = ("u"):rep(3000) .. round
      header[2] = ("v"):rep(3000) .. round
      request.url = "https://h.example/" .. ("p"):rep(3000) .. round
      collectgarbage()
      is_rotating = false
    end
    rotate()
    local params = { inputFileBucket = "b", inputFileKey = "k", roleArn = "r" }
    local options = { region = "us-east-1", service = "iot", credentials = credentials, time = 0 }
    local restore = collector.make_busy()
    for i = 1, 500 do
      collectable(rotate)
      params.templateBody = ("{}"):rep(5000 + i)
      local bytes = assert(client:prepare(START, params, attempt))
      assert(bytes:find "\r\nX%-Amz%-Security%-Token: t+%d+\r\n" and bytes:find "\r\nUser%-Agent: u+%d+\r\n", bytes)
      local signed = assert(core.sign(request, options))
      assert(signed.url:find "^https://h%.example/p+%d+$" and signed.headers[1][2]:find "^v+%d+$", signed.url)
    end
    restore()
  end)

  -- Nobody listens there: an exchange ends at once, without a server.
  local NOWHERE = { url = "http://127.0.0.1:1/" .. ("x"):rep(300), timeout = 5, proxy = "",
    headers = { { "X-A", ("a"):rep(300) } } }

  local function attempt_of(i)
    return { credentials = CREDENTIALS, timeout = 5, user_agent = "agent " .. i, invocation_id = "id " .. i }
  end

  it("that closes a multi leaves memory sound", function()
    for i = 1, 1000 do
      local client, multi, done = new_client(), core.multi(2), {}
      collectable(function() multi:close() end)
      for _ = 1, 3 do
        -- Each works, or says that the multi is closed.
        local ok, slot = pcall(multi.start, multi, client, DESCRIBE, { taskId = "t" .. i }, attempt_of(i))
        if not ok then assert(slot:find "closed multi", slot) end
        ok, slot = pcall(multi.request, multi, NOWHERE)
        if not ok then assert(slot:find "closed multi", slot) end
        local waited, count = pcall(multi.wait, multi, 1, done)
        for k = 1, waited and count or 0 do
          local finished, result, _, facts = pcall(multi.finish, multi, done[k])
          if finished then
            assert.is_nil(result)
            assert.equal("ConnectionFailed", facts.code)
          else
            assert(result:find "closed multi" or result:find "not in use", result)
          end
        end
      end
      client:close()
    end
  end)

  it("that uses the same multi mixes no two exchanges", function()
    local client, multi, others = new_client(), core.multi(2), 0
    local function disturb()
      local slot = multi:start(client, DESCRIBE, { taskId = ("other"):rep(99) }, attempt_of(0))
      if others < 3 then -- no more than the loop below can keep up with
        others = others + 1
        multi:request(NOWHERE)
      end
      multi:cancel(slot)
    end
    disturbed(disturb, function(i)
      local done = {}
      local slot = assert(multi:start(client, DESCRIBE, { taskId = "mine" .. i }, attempt_of(i)))
      local ended = false
      while not ended do
        for k = 1, multi:wait(5, done) do
          local result, message, facts = multi:finish(done[k])
          assert(result == nil and message:find "127%.0%.0%.1" and facts.code == "ConnectionFailed", message)
          if done[k] == slot then ended = true else others = others - 1 end
        end
      end
    end)
    multi:close()
  end)
end)

describe("closing a client", function()
  it("leaves the reply good of a request that is under way", function()
    local client = new_client()
    assert(client:prepare(DESCRIBE, { taskId = "mine" }, { credentials = CREDENTIALS }))
    client:close()
    for _ = 1, 3 do
      assert.equal("mine", assert(client:parse(DESCRIBE, 200, "HTTP/1.1 200 OK\r\n", '{"taskId":"mine"}')).taskId)
    end
    assert.has_error(function() client:prepare(DESCRIBE, { taskId = "mine" }, { credentials = CREDENTIALS }) end,
      "attempt to use a closed client")
    assert.has_error(function() client:endpoint() end, "attempt to use a closed client")
  end)
end)
