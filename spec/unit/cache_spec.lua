-- The option `cache`: what may be given to it, and what is kept. Workers that share it: spec/nginx/cache_spec.lua.
local environment = require "spec.support.environment"
local iot = require "iot"
local iot_runtime = require "iot.runtime"
local scheduler = require "spec.support.scheduler"

local RECORD = { access_key_id = "AKIDEXAMPLE", secret_access_key = "SECRET" }

before_each(function() environment.replace() end)
after_each(environment.restore)

-- A dictionary as the workers have one, of which a clock lets things expire.
local function new_store(runtime)
  local store = { kept = {}, held = {}, clock = runtime.monotonic }
  function store:get(key)
    local entry = self.kept[key]
    return entry and entry.until_ > self.clock() and entry.text or nil
  end
  function store:set(key, text, seconds)
    if self.is_full then return false end
    self.kept[key] = { text = text, until_ = self.clock() + seconds }
    return true
  end
  function store:delete(key) self.kept[key], self.held[key] = nil, nil end
  function store:exclusively(key, fn, ...)
    if self.held[key] then return false end
    local turn = {}
    self.held[key] = turn
    local results = { fn(function() return self.held[key] == turn end, ...) }
    if self.held[key] == turn then self.held[key] = nil end
    return true, results[1], results[2], results[3]
  end
  return store
end

describe("the cache", function()
  local tasks, store, open_store, asked, answer, events

  before_each(function()
    tasks = scheduler.new()
    store, asked, events = new_store(tasks.runtime), 0, {}
    answer = function() return { status = "InProgress" }, 200 end
    function tasks.runtime.send(...)
      asked = asked + 1
      tasks:wait(0.1)
      return answer(...)
    end
    open_store = iot_runtime.store
    iot_runtime.store = function(name)
      if name == "tasks" then return store end
      return nil, "there is none"
    end
  end)
  after_each(function() iot_runtime.store = open_store end)

  local function new(overrides)
    local options = {
      region = "us-east-1", credentials = RECORD, runtime = tasks.runtime, retry = { max_attempts = 1 },
      cache = { dict = "tasks", ttl = 10 }, on_event = function(event) table.insert(events, event.cache or "sent") end,
    }
    for name, value in pairs(overrides or {}) do options[name] = value end
    return assert(iot.new(options))
  end

  local function describe_task(client, id, options)
    return client:describe_thing_registration_task({ taskId = id or "task" }, options)
  end

  it("is asked before the service, until it is too old", function()
    local client = new()
    for _ = 1, 3 do assert.equal("InProgress", describe_task(client).status) end
    assert.same({ "miss", "sent", "hit", "hit" }, events)
    tasks:wait(9.7)
    describe_task(client)
    assert.equal(1, asked)
    tasks:wait(0.4)
    describe_task(client)
    assert.equal(2, asked)
  end)

  it("gives everyone tables of their own", function()
    local client = new()
    describe_task(client).status = "changed"
    assert.equal("InProgress", describe_task(client).status)
  end)

  it("has one ask, and the others wait", function()
    local client = new()
    for _ = 1, 50 do tasks:spawn(describe_task, client) end
    for _, task in ipairs(tasks:run()) do assert.equal("InProgress", task[1] and task[1].status, task[2]) end
    assert.equal(1, asked)
  end)

  it("has the next one ask when what came is not kept", function()
    local client = new()
    answer = function() return nil, "slow", { code = "Timeout" } end
    for _ = 1, 3 do tasks:spawn(describe_task, client) end
    for _, task in ipairs(tasks:run()) do assert.equal("Timeout", task[3].code) end
    assert.equal(3, asked)
  end)

  it("goes without when it has no room", function()
    local client = new()
    store.is_full = true
    for _ = 1, 3 do assert.equal("InProgress", describe_task(client).status) end
    assert.equal(3, asked)
    assert.same({ "miss", "sent", "full" }, { events[1], events[2], events[3] })
  end)

  it("keeps no answer that was asked for before a stop", function()
    local client = new()
    tasks:spawn(function()
      tasks:wait(0.05)
      assert(client:stop_thing_registration_task { taskId = "task" })
    end)
    tasks:spawn(describe_task, client)
    tasks:run()
    describe_task(client)
    assert.equal(3, asked)
  end)

  it("keeps nothing for longer by a clock that was set back", function()
    local client = new()
    describe_task(client)
    local kept = store.get
    function store:get(key) return kept({ kept = self.kept, clock = function() return 0 end }, key) end
    tasks:wait(10.2)
    describe_task(client)
    assert.equal(2, asked)
  end)

  it("keeps a task and who asks for another apart, whatever their names", function()
    local client = new()
    describe_task(client, "task:asked")
    describe_task(client, "asked:task")
    assert.equal("InProgress", describe_task(client, "task", { timeout = 1 }).status)
    assert.equal(3, asked)
  end)

  it("keeps no answer to a request that was signed as another", function()
    local records = { RECORD, { access_key_id = "AKIDOTHER", secret_access_key = "SECRET" } }
    local client = new { credentials = function() return table.remove(records, 1) or RECORD end }
    describe_task(client)
    describe_task(new())
    assert.equal(2, asked)
  end)

  it("belongs to a scope, if it has one, whoever signs", function()
    local cache = { dict = "tasks", ttl = 10, scope = "factory" }
    describe_task(new { cache = cache })
    describe_task(new { cache = cache, credentials = { access_key_id = "AKIDOTHER", secret_access_key = "SECRET" } })
    assert.equal(1, asked)
    describe_task(new())
    assert.equal(2, asked)
  end)

  local KEPT = {
    { true, "what the service refuses", { kind = "service", code = "ResourceNotFoundException", status = 404 } },
    { true, "throttling", { kind = "service", code = "ThrottlingException", status = 400 } },
    { true, "an outage", { code = "ConnectionFailed" } },
    { true, "a reply that means nothing", { code = "MalformedResponse", status = 200 } },
    { false, "a limit of time", { code = "Timeout" } },
    { false, "an interrupt", { code = "Interrupted" } },
    { false, "a phase in which nothing can be asked", { code = "PhaseCannotWait" } },
  }
  for _, case in ipairs(KEPT) do
    it((case[1] and "keeps " or "does not keep ") .. case[2], function()
      local client = new()
      local facts = case[3]
      answer = function()
        local copy = {}
        for name, value in pairs(facts) do copy[name] = value end
        return nil, "reason", copy
      end
      local _, first, detail = describe_task(client)
      answer = function() return { status = "Completed" }, 200 end
      local task, second, again = describe_task(client)
      if not case[1] then
        assert.equal("Completed", task.status)
        return
      end
      assert.equal(first, second)
      assert.same(detail, again)
      assert.equal(tostring(detail), tostring(again))
      tasks:wait(1.1) -- as long as failures are kept, unless it is said otherwise
      assert.equal("Completed", describe_task(client).status)
    end)
  end

  it("does not keep that credentials are missing", function()
    local record
    local client = new { credentials = function() return record, "later" end }
    assert.equal("NoCredentials", select(3, describe_task(client)).code)
    record = RECORD
    assert.equal("InProgress", describe_task(client).status)
  end)

  it("keeps the answers of two owners apart", function()
    local other = { access_key_id = "AKIDOTHER", secret_access_key = "SECRET" }
    describe_task(new())
    local guess = { access_key_id = "AKIDEXAMPLE", secret_access_key = "x" }
    for name, options in pairs {
      key = { credentials = other }, secret = { credentials = guess }, proxy = { proxy = "http://localhost:1" },
      place = { endpoint = "https://localhost:1" }, region = { region = "eu-west-1" },
      source = { credentials = function() return other end, endpoint = "https://localhost:2" },
    } do
      local before = asked
      describe_task(new(options))
      assert.equal(before + 1, asked, name)
    end
    local before = asked
    describe_task(new { credentials = function() return RECORD end })
    assert.equal(before, asked)
  end)

  it("is what a wait looks into", function()
    local client = new { cache = { dict = "tasks", ttl = 1000 } }
    answer = function() return { status = "Completed" }, 200 end
    describe_task(client)
    assert.equal("Completed", client:wait_for_thing_registration_task({ taskId = "task" }).status)
    assert.equal(1, asked)
  end)

  it("is left alone by the other operations, but for a stop", function()
    local client = new()
    describe_task(client)
    answer = function() return {}, 200 end
    client:list_thing_registration_tasks {}
    describe_task(client)
    assert.equal(2, asked)
    client:stop_thing_registration_task { taskId = "task" }
    describe_task(client)
    assert.equal(4, asked)
  end)

  -- What may be given ----------------------------------------------------------------------------------

  local MISUSE = {
    { "field 'dict' is missing", {} },
    { "unknown field of cache 'size'", { dict = "tasks", size = 1 } },
    { "bad field of cache 'dict'", { dict = 1 } },
    { "bad option 'cache.ttl'", { dict = "tasks", ttl = 0 } },
    { "bad option 'cache.failure_ttl'", { dict = "tasks", failure_ttl = -1 } },
  }
  for _, case in ipairs(MISUSE) do
    it("raises: " .. case[1], function()
      local ok, message = pcall(function()
        local client = iot.new { region = "us-east-1", credentials = RECORD, cache = case[2] }
        return client
      end)
      assert.is_false(ok)
      assert.matches(case[1], message, 1, true)
      assert.matches("cache_spec", message)
    end)
  end

  it("is refused where nothing is shared", function()
    iot_runtime.store = open_store
    local client, message, detail = iot.new { region = "us-east-1", credentials = RECORD, cache = { dict = "tasks" } }
    assert.is_nil(client)
    assert.equal("InvalidConfiguration", detail.code)
    assert.matches("only the workers of nginx", message)
  end)
end)
