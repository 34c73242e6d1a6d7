-- When credentials are kept, when they are renewed, and by how many (reference 7.2 and 7.9): the store
-- of a client over a provider that counts, on a clock that the spec sets.
local environment = require "spec.support.environment"
local refresh = require "iot.credentials.refresh"
local scheduler = require "spec.support.scheduler"
local static = require "iot.credentials.static"

-- Seconds before the expiration, and the least time between two attempts.
local ADVISORY, MANDATORY, BACK_OFF = 300, 60, 1
local HOUR = 3600
-- An instance's credentials that have expired are used on for as long, and up to as much more.
local EXTENSION, EXTENSION_SPREAD = 600, 300

-- Helpers ------------------------------------------------------------------------------------

local function record(number, fields)
  local all = { access_key_id = "ID" .. number, secret_access_key = "SECRET" .. number }
  for name, value in pairs(fields or {}) do all[name] = value end
  return all
end

-- A provider that counts. `answer(count)` gives a record, or nil, a message and a code.
local function provider_of(answer, fields)
  local provider = { name = "fake", feature = "z", count = 0, deadlines = {} }
  for name, value in pairs(fields or {}) do provider[name] = value end
  function provider.fetch(deadline)
    provider.count = provider.count + 1
    provider.deadlines[provider.count] = deadline
    return answer(provider.count)
  end
  return provider
end

local function store_of(provider, runtime)
  return refresh.new({ { name = provider.name, make = function() return provider end } }, runtime)
end

-- A store whose provider gives records that live for `life` seconds (nil: for ever), the first of them
-- already there. From then on `rig.fails` makes the provider fail, `rig.life` and `rig.extra` change what it gives.
local function new_rig(life, extra)
  local rig = { runtime = environment.runtime(), life = life, extra = extra or {} }
  rig.provider = provider_of(function(count)
    if rig.fails then return nil, "the source is dry", "CredentialsFailed" end
    local fields = { expiration = rig.life and rig.runtime.wall + rig.life }
    for name, value in pairs(rig.extra) do fields[name] = value end
    return record(count, fields)
  end)
  rig.store = store_of(rig.provider, rig.runtime)
  assert(rig.store:get())
  return rig
end

local function pass(rig, seconds)
  rig.runtime.clock, rig.runtime.wall = rig.runtime.clock + seconds, rig.runtime.wall + seconds
end

-- The number of the record that a call gets now, or nil and why.
local function get(rig, deadline)
  local found, provider, code = rig.store:get(deadline)
  if not found then return nil, provider, code end
  assert.equal(rig.provider, provider)
  return tonumber((found.access_key_id:match "%d+"))
end

local function assert_failure(rig, code)
  local found, message, actual = get(rig)
  assert.is_nil(found)
  assert.equal(code or "CredentialsFailed", actual)
  assert.is_truthy(message:find("fake", 1, true), message)
  assert.is_truthy(message:find("the source is dry", 1, true), message)
end

-- The windows --------------------------------------------------------------------------------

describe("credentials with an expiration", function()
  -- Seconds that are left, and the number of the record that a call then gets.
  local WINDOWS = {
    { HOUR, 1 }, { ADVISORY + 1, 1 }, { ADVISORY, 2 }, { ADVISORY - 1, 2 }, { MANDATORY + 1, 2 },
    { MANDATORY, 2 }, { 1, 2 }, { 0, 2 }, { -1, 2 }, { -HOUR, 2 },
  }

  for _, case in ipairs(WINDOWS) do
    local left, number = case[1], case[2]
    it(("are %s when %d seconds are left"):format(number == 1 and "kept" or "renewed", left), function()
      local rig = new_rig(HOUR)
      pass(rig, HOUR - left)
      assert.equal(number, get(rig))
      assert.equal(number, get(rig)) -- and not again
      assert.equal(number, rig.provider.count)
    end)
  end

  -- Seconds left, and whether the old ones do when they cannot be renewed: as long as they are valid.
  local FAILURES = {
    { ADVISORY, true }, { MANDATORY + 1, true }, { MANDATORY, true }, { 1, true }, { 0, false }, { -1, false },
  }

  for _, case in ipairs(FAILURES) do
    local left, stays = case[1], case[2]
    it(("%s when %d seconds are left and the renewal fails"):format(stays and "stay in use" or "are gone", left),
      function()
        local rig = new_rig(HOUR)
        pass(rig, HOUR - left)
        rig.fails = true
        if stays then return assert.equal(1, (get(rig))) end
        assert_failure(rig)
      end)
  end

  it("are not asked for again at once after a failure", function()
    local rig = new_rig(HOUR)
    pass(rig, HOUR - ADVISORY)
    rig.fails = true
    for _ = 1, 10 do assert.equal(1, get(rig)) end
    assert.equal(2, rig.provider.count)
    pass(rig, BACK_OFF - 0.01)
    assert.equal(1, get(rig))
    assert.equal(2, rig.provider.count)
    pass(rig, 0.02)
    assert.equal(1, get(rig))
    assert.equal(3, rig.provider.count)
  end)

  it("are renewed by the first call after the source works again", function()
    for _, left in ipairs { ADVISORY, 0 } do
      local rig = new_rig(HOUR)
      pass(rig, HOUR - left)
      rig.fails = true
      get(rig)
      rig.fails = false
      pass(rig, BACK_OFF)
      assert.equal(3, get(rig))
      assert.equal(3, get(rig))
    end
  end)

  it("are not asked for with each call when the source has none that live longer", function()
    -- Agents hand out what they have until shortly before it expires.
    for _, life in ipairs { ADVISORY, 200, MANDATORY + 1 } do
      local rig = new_rig(life)
      for _ = 1, 10 do assert.is_number(get(rig)) end
      assert.is_true(rig.provider.count <= 2, ("%d s to live: %d fetches"):format(life, rig.provider.count))
    end
  end)

  it("tell their provider how much time there is", function()
    local rig = new_rig(HOUR)
    pass(rig, HOUR)
    assert.equal(2, (get(rig, 9000)))
    assert.equal(9000, rig.provider.deadlines[2])
  end)

  it("survive a clock that is set back", function()
    local rig = new_rig(HOUR)
    rig.runtime.wall = rig.runtime.wall - 86400
    assert.equal(1, get(rig))
    assert.equal(1, rig.provider.count)
  end)
end)

describe("credentials without an expiration", function()
  it("are kept for ever", function()
    local rig = new_rig(nil)
    for _ = 1, 3 do
      pass(rig, 1e9)
      assert.equal(1, get(rig))
    end
    assert.equal(1, rig.provider.count)
  end)
end)

describe("a first fetch that fails", function()
  it("is tried again by the next call", function()
    local answers = { false, false, record(3) }
    local provider = provider_of(function(count)
      if answers[count] then return answers[count] end
      return nil, "the source is dry", "NoCredentials"
    end)
    local store = store_of(provider, environment.runtime())
    for _ = 1, 2 do
      local found, message, code = store:get()
      assert.is_nil(found)
      assert.is_truthy(message:find("the source is dry", 1, true))
      assert.equal("NoCredentials", code)
    end
    assert.equal("ID3", assert(store:get()).access_key_id)
    assert.equal(3, provider.count)
  end)
end)

-- The user's own -----------------------------------------------------------------------------

describe("a user's own credentials", function()
  local function function_store(runtime, provide)
    return store_of(static.from_function(provide), runtime)
  end

  it("are asked for with each call when a function gives them without an expiration", function()
    local count = 0
    local store = function_store(environment.runtime(), function()
      count = count + 1
      return record(count)
    end)
    for i = 1, 3 do assert.equal("ID" .. i, assert(store:get()).access_key_id) end
  end)

  it("are kept when a function gives them with one", function()
    local count, runtime = 0, environment.runtime()
    local store = function_store(runtime, function()
      count = count + 1
      return record(count, { expiration = runtime.wall + HOUR })
    end)
    for _ = 1, 3 do assert.equal("ID1", assert(store:get()).access_key_id) end
    runtime.wall = runtime.wall + HOUR - ADVISORY
    for _ = 1, 3 do assert.equal("ID2", assert(store:get()).access_key_id) end
    assert.equal(2, count)
  end)

  it("go from the one kind to the other as the function says", function()
    local count, runtime = 0, environment.runtime()
    local store = function_store(runtime, function()
      count = count + 1
      return record(count, { expiration = count >= 3 and runtime.wall + HOUR or nil })
    end)
    for _, expected in ipairs { "ID1", "ID2", "ID3", "ID3" } do
      assert.equal(expected, assert(store:get()).access_key_id)
    end
  end)

  it("never need the old ones of a function that has no more", function()
    local answer = record(1)
    local store = function_store(environment.runtime(), function() return answer, "the vault is sealed" end)
    assert(store:get())
    answer = nil
    local found, message, code = store:get()
    assert.is_nil(found)
    assert.is_truthy(message:find("the vault is sealed", 1, true))
    assert.equal("CredentialsFailed", code)
  end)

  it("are none as long as a function has given none, and a failure from then on", function()
    local answer
    local store = function_store(environment.runtime(), function() return answer, "the vault is sealed" end)
    for _ = 1, 2 do assert.equal("NoCredentials", (select(3, store:get()))) end
    answer = record(1)
    assert(store:get())
    answer = nil
    for _ = 1, 2 do assert.equal("CredentialsFailed", (select(3, store:get()))) end
  end)

  it("are never renewed when they are a record, whatever its expiration", function()
    local runtime = environment.runtime()
    local provider = assert(static.from_record(record(1, { expiration = runtime.wall + 1 })))
    local store = store_of(provider, runtime)
    local first = assert(store:get())
    runtime.wall = runtime.wall + 1e9
    assert.equal(first, assert(store:get()))
    assert.is_false(store:refuse(first))
    assert.equal("ID1", assert(store:get()).access_key_id)
  end)
end)

-- Static stability (reference 7.9) -----------------------------------------------------------

describe("an instance's credentials", function()
  local STALE = { stale_allowed = true }

  -- Seconds that they live when they arrive, and whether they are used beyond that.
  for _, life in ipairs { -HOUR, -1, 0, 1, MANDATORY } do
    it(("are used for about ten minutes more when %d seconds are left on arrival"):format(life), function()
      local rig = new_rig(life, STALE)
      for _ = 1, 3 do assert.equal(1, get(rig)) end
      pass(rig, EXTENSION - 1)
      assert.equal(1, get(rig))
      assert.equal(1, rig.provider.count)
      pass(rig, EXTENSION_SPREAD + 2)
      assert.equal(2, get(rig))
      assert.equal(2, get(rig))
      assert.equal(2, rig.provider.count)
    end)
  end

  it("are asked for again at times that differ from one client to the next", function()
    local rig = new_rig(HOUR, STALE)
    local until_next = {}
    for i, random in ipairs { 0, 0.999 } do
      rig.runtime.random = function() return random end
      rig.store, rig.provider.count, rig.life = store_of(rig.provider, rig.runtime), 0, -1
      until_next[i] = 0
      repeat
        get(rig)
        pass(rig, 1)
        until_next[i] = until_next[i] + 1
      until rig.provider.count > 1
    end
    assert.is_true(math.abs(until_next[1] - EXTENSION) <= 2, until_next[1])
    assert.is_true(math.abs(until_next[2] - EXTENSION - EXTENSION_SPREAD) <= 2, until_next[2])
  end)

  it("stay in use when the service is gone, however old they are", function()
    local rig = new_rig(HOUR, STALE)
    rig.fails = true
    for _ = 1, 100 do
      pass(rig, HOUR)
      assert.equal(1, get(rig))
      assert.equal(1, get(rig))
    end
    assert.equal(101, rig.provider.count) -- of an hour's calls, one asked
  end)

  it("are replaced by new ones as soon as there are any", function()
    local rig = new_rig(-1, STALE)
    pass(rig, EXTENSION + EXTENSION_SPREAD)
    rig.life = HOUR
    assert.equal(2, get(rig))
    pass(rig, HOUR - ADVISORY - 1)
    assert.equal(2, get(rig))
    assert.equal(2, rig.provider.count)
  end)

  it("have the windows of others while they are valid", function()
    local rig = new_rig(HOUR, STALE)
    pass(rig, HOUR - ADVISORY)
    assert.equal(2, get(rig))
    assert.equal(2, rig.provider.count)
  end)
end)

-- Interrupts ---------------------------------------------------------------------------------

describe("an interrupted renewal", function()
  local function interrupt(rig)
    rig.interrupted = true
    local found, message, code = rig.store:get()
    rig.interrupted = false
    assert.is_nil(found)
    assert.equal("Interrupted", code)
    assert.is_truthy(message:find("a signal came", 1, true), message)
  end

  local function interruptible(life, extra)
    local rig = new_rig(life, extra)
    local fetch = rig.provider.fetch
    function rig.provider.fetch(deadline)
      if rig.interrupted then return nil, "a signal came", "Interrupted" end
      return fetch(deadline)
    end
    return rig
  end

  for _, left in ipairs { ADVISORY, MANDATORY, 1, 0 } do
    it(("ends the call when %d seconds are left, and the next call renews"):format(left), function()
      local rig = interruptible(HOUR)
      pass(rig, HOUR - left)
      interrupt(rig)
      assert.equal(2, get(rig))
      assert.equal(2, rig.provider.count)
    end)
  end

  it("does not make an instance's credentials last longer", function()
    local rig = interruptible(HOUR, { stale_allowed = true })
    pass(rig, HOUR)
    interrupt(rig)
    assert.equal(2, get(rig))
  end)

  it("leaves the failure before it, and its back-off, as they were", function()
    local rig = interruptible(HOUR)
    pass(rig, HOUR)
    rig.fails = true
    assert_failure(rig)
    pass(rig, BACK_OFF)
    interrupt(rig)
    assert_failure(rig)
    assert.equal(3, rig.provider.count)
    pass(rig, BACK_OFF - 0.01)
    assert_failure(rig)
    assert.equal(3, rig.provider.count)
  end)

  it("leaves credentials that the service refused to the next call", function()
    local rig = interruptible(HOUR)
    rig.store:refuse(assert(rig.store:get()))
    interrupt(rig)
    assert.equal(2, get(rig))
  end)

  it("is one of the first fetch, too", function()
    local rig = interruptible(HOUR)
    rig.store = store_of(rig.provider, rig.runtime)
    interrupt(rig)
    assert.equal(2, get(rig))
  end)
end)

-- Refusals -----------------------------------------------------------------------------------

describe("credentials that the service refuses", function()
  it("are renewed, however long they had to live", function()
    for _, life in ipairs { HOUR, false } do
      local rig = new_rig(life or nil)
      assert.is_true(rig.store:refuse(assert(rig.store:get())))
      assert.equal(2, get(rig))
      assert.equal(2, get(rig))
      assert.equal(2, rig.provider.count)
    end
  end)

  it("are renewed within the back-off of an earlier failure, too", function()
    local rig = new_rig(HOUR)
    local refused = assert(rig.store:get())
    pass(rig, HOUR - ADVISORY)
    rig.fails = true
    assert.equal(1, get(rig))
    rig.fails = false
    assert.is_true(rig.store:refuse(refused))
    assert.equal(3, get(rig))
  end)

  it("are not renewed when another call has done so", function()
    local rig = new_rig(HOUR)
    local refused = assert(rig.store:get())
    assert.is_true(rig.store:refuse(refused))
    assert.equal(2, get(rig))
    assert.is_true(rig.store:refuse(refused))
    assert.equal(2, get(rig))
    assert.equal(2, rig.provider.count)
  end)

  it("are gone when they cannot be renewed, an instance's too", function()
    for _, extra in ipairs { {}, { stale_allowed = true } } do
      local rig = new_rig(HOUR, extra)
      rig.store:refuse(assert(rig.store:get()))
      rig.fails = true
      assert_failure(rig)
      rig.fails = false
      pass(rig, BACK_OFF)
      assert.equal(3, get(rig))
      assert.equal(3, get(rig))
    end
  end)
end)

-- Many at once -------------------------------------------------------------------------------

describe("100 coroutines", function()
  local COUNT = 100

  -- A rig whose provider takes a second, over a scheduler.
  local function new_crowd(life, extra)
    local tasks = scheduler.new { latency = 1, answer = function() return {} end }
    local crowd = { tasks = tasks, runtime = tasks.runtime, life = life, extra = extra or {} }
    crowd.provider = provider_of(function(count)
      assert(tasks.runtime.request { url = "http://keys.example" })
      if crowd.interrupted then
        crowd.interrupted = false
        return nil, "a signal came", "Interrupted"
      end
      if crowd.raises then error("a fault in a provider", 0) end
      if crowd.fails then return nil, "the source is dry", "CredentialsFailed" end
      local fields = { expiration = tasks.runtime.wall + crowd.life }
      for name, value in pairs(crowd.extra) do fields[name] = value end
      return record(count, fields)
    end)
    crowd.store = store_of(crowd.provider, tasks.runtime)
    return crowd
  end

  local function run(crowd, deadline)
    crowd.started = crowd.runtime.clock
    for _ = 1, COUNT do
      crowd.tasks:spawn(function() return crowd.store:get(deadline and crowd.started + deadline) end)
    end
    return crowd.tasks:run()
  end

  -- How many got which record, "none" for a failure, and how many raised.
  local function tally(tasks)
    local counts = { raised = 0, none = 0 }
    for _, task in ipairs(tasks) do
      local name = task.raised and "raised" or task[1] and task[1].access_key_id or "none"
      counts[name] = (counts[name] or 0) + 1
    end
    return counts
  end

  local function assert_all(crowd, name, tasks, fetches)
    assert.equal(COUNT, tally(tasks)[name])
    assert.equal(fetches, crowd.provider.count)
    assert.is_true(crowd.runtime.clock - crowd.started <= 2, "they waited one after the other")
  end

  it("that have no credentials yet cause one fetch", function()
    local crowd = new_crowd(HOUR)
    assert_all(crowd, "ID1", run(crowd), 1)
  end)

  for _, left in ipairs { MANDATORY, 0, -HOUR } do
    it(("that find %d seconds left cause one fetch"):format(left), function()
      local crowd = new_crowd(HOUR)
      assert(crowd.store:get())
      pass(crowd, HOUR - left)
      assert_all(crowd, "ID2", run(crowd), 2)
    end)
  end

  it("whose credentials were refused cause one fetch", function()
    local crowd = new_crowd(HOUR)
    local refused = assert(crowd.store:get())
    for _ = 1, COUNT do
      crowd.tasks:spawn(function()
        crowd.store:refuse(refused)
        return crowd.store:get()
      end)
    end
    crowd.started = crowd.runtime.clock
    assert_all(crowd, "ID2", crowd.tasks:run(), 2)
  end)

  it("cause one fetch of credentials that live for less than the windows", function()
    for _, life in ipairs { ADVISORY, 200, MANDATORY - 1 } do
      local crowd = new_crowd(life)
      assert_all(crowd, "ID1", run(crowd), 1)
    end
  end)

  it("go on with the old ones while one of them renews, when there is time", function()
    local crowd = new_crowd(HOUR)
    assert(crowd.store:get())
    pass(crowd, HOUR - ADVISORY)
    local tasks = run(crowd)
    assert.same({ ID1 = COUNT - 1, ID2 = 1, none = 0, raised = 0 }, tally(tasks))
    for _, task in ipairs(tasks) do
      if task[1].access_key_id == "ID1" then assert.equal(crowd.started, task.ended) end
    end
    assert.equal(2, crowd.provider.count)
    assert_all(crowd, "ID2", run(crowd), 2)
  end)

  it("do not each try what has just failed for one of them", function()
    local crowd = new_crowd(HOUR)
    assert(crowd.store:get())
    pass(crowd, HOUR)
    crowd.fails = true
    assert_all(crowd, "none", run(crowd), 2)
  end)

  it("do not wait for another's refresh beyond their own time", function()
    local crowd = new_crowd(HOUR)
    crowd.tasks.latency = 1000 -- of a provider that does not keep the deadline either
    local tasks = { crowd.tasks:spawn(function() return crowd.store:get() end) }
    local started = crowd.runtime.clock
    tasks[2] = crowd.tasks:spawn(function() return crowd.store:get(started + 5) end)
    crowd.tasks:run()
    assert.is_true(tasks[2].ended - started <= 5.1, ("it waited for %g s"):format(tasks[2].ended - started))
    assert.is_nil(tasks[2][1])
    assert.equal("another call's renewal of the credentials took too long", tasks[2][2])
    assert.equal("Timeout", tasks[2][3])
  end)

  it("renew by themselves when the one whose renewal they wait for was interrupted", function()
    for _, left in ipairs { HOUR, 0 } do -- of the first ones, and of those that have ended
      local crowd = new_crowd(HOUR)
      if left == 0 then
        assert(crowd.store:get())
        pass(crowd, HOUR)
      end
      local count = crowd.provider.count
      crowd.interrupted = true
      local tasks = run(crowd)
      assert.same({ ["ID" .. count + 2] = COUNT - 1, none = 1, raised = 0 }, tally(tasks))
      assert.equal("Interrupted", tasks[1][3])
      assert.equal(count + 2, crowd.provider.count)
    end
  end)

  it("are not stuck behind an error that a user's function raises", function()
    local crowd = new_crowd(HOUR)
    crowd.raises = true
    local counts = tally(run(crowd))
    assert.equal(COUNT, counts.raised)
    crowd.raises = false
    local count = crowd.provider.count
    assert_all(crowd, "ID" .. count + 1, run(crowd), count + 1)
  end)

  it("renew early after an error that a user's function raised in the middle of it", function()
    local crowd = new_crowd(HOUR)
    assert(crowd.store:get())
    pass(crowd, HOUR - ADVISORY)
    crowd.raises = true
    assert.same({ ID1 = COUNT - 1, none = 0, raised = 1 }, tally(run(crowd)))
    crowd.raises = false
    pass(crowd, BACK_OFF)
    assert.same({ ID1 = COUNT - 1, ID3 = 1, none = 0, raised = 0 }, tally(run(crowd)))
  end)
end)

-- Faults that were mended ----------------------------------------------------------------------

describe("a source of credentials", function()
  it("that has none that live longer is not asked with each call near their end", function()
    local rig = new_rig(HOUR)
    rig.extra = { expiration = rig.runtime.wall + HOUR } -- the same ones, each time
    for left = ADVISORY, MANDATORY + 1, -1 do
      pass(rig, left == ADVISORY and HOUR - ADVISORY or 1)
      assert.is_number(get(rig))
    end
    local asked = rig.provider.count - 1
    assert.is_true(asked >= 1 and asked <= (ADVISORY - MANDATORY) / 5 + 1, asked .. " times in four minutes")
  end)

  it("that fails is not asked with each call in the last minute, nor after the end", function()
    for _, left in ipairs { MANDATORY - 10, -10 } do
      local rig = new_rig(HOUR)
      pass(rig, HOUR - left)
      rig.fails = true
      for _ = 1, 100 do get(rig) end
      assert.equal(2, rig.provider.count, left .. " s left")
    end
  end)

  it("that hands out the same expired ones of an instance is asked every ten minutes, not with each call", function()
    local rig = new_rig(HOUR, { stale_allowed = true })
    rig.extra.expiration = rig.runtime.wall + HOUR -- the same ones, for good
    pass(rig, HOUR + 1)
    for _ = 1, 60 do
      pass(rig, 60)
      for _ = 1, 10 do assert.is_number(get(rig)) end
    end
    local asked = rig.provider.count - 1
    assert.is_true(asked >= 3 and asked <= HOUR / EXTENSION + 1, asked .. " times in an hour")
  end)

  it("that fails slowly is left alone for longer", function()
    local rig = new_rig(HOUR)
    pass(rig, HOUR - ADVISORY)
    local fetch = rig.provider.fetch
    rig.provider.fetch = function(deadline)
      rig.runtime.clock = rig.runtime.clock + 4
      return fetch(deadline)
    end
    rig.fails = true
    assert.equal(1, get(rig))
    pass(rig, 7)
    assert.equal(1, get(rig))
    assert.equal(2, rig.provider.count)
    pass(rig, 2)
    assert.equal(1, get(rig))
    assert.equal(3, rig.provider.count)
  end)
end)
