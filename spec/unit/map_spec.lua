local core = require "iot.core"
local iot = require "iot"
local runtime = require "iot.runtime"

local unpack = rawget(_G, "unpack") or rawget(table, "unpack")

local function range(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

describe("map", function()
  it("gives each item's result at its place, whichever was done first", function()
    local order = {}
    local results, failures = iot.map({ 3, 2, 1 }, function(item, index)
      runtime.sleep(item * 0.02)
      table.insert(order, item)
      return item * 10 + index
    end)
    assert.same({ 31, 22, 13, n = 3 }, results)
    assert.same({}, failures)
    assert.same({ 1, 2, 3 }, order)
  end)

  it("does nothing for no items", function()
    local results, failures = iot.map({}, error)
    assert.same({ n = 0 }, results)
    assert.same({}, failures)
  end)

  it("needs no waiting inside", function()
    local results = iot.map(range(1000), function(item) return item end, { concurrency = 3 })
    assert.equal(1000, #results)
  end)

  it("has as many items under way as was said, and 16 when nothing was", function()
    for _, case in ipairs { { 1, 1 }, { 4, 4 }, { nil, 16 }, { 100, 40 } } do
      local now, most = 0, 0
      iot.map(range(40), function()
        now = now + 1
        most = math.max(most, now)
        runtime.sleep(0.001)
        now = now - 1
      end, case[1] and { concurrency = case[1] })
      assert.equal(case[2], most)
    end
  end)

  it("waits for all at once", function()
    local started = core.monotonic()
    iot.map(range(200), function() runtime.sleep(0.1) end, { concurrency = 200 })
    assert.is_true(core.monotonic() - started < 2) -- one after the other: 20 s
  end)

  it("keeps what failed beside the results, each at its place", function()
    local detail = { code = "Odd" }
    local results, failures = iot.map({ "a", "b", "c" }, function(item, index)
      if index == 2 then return nil, "b is odd", detail end
      return item
    end)
    assert.same({ "a", nil, "c", n = 3 }, results)
    assert.is_nil(failures[1])
    assert.is_nil(failures[3])
    local failure = failures[2]
    assert.same({ 2, "b", "b is odd" }, { failure.index, failure.item, failure.message })
    assert.equal(detail, failure.detail)
    assert.is_nil(failure.raised)
    assert.equal("b is odd", tostring(failure))
  end)

  it("takes nil, or false, without a message for a result", function()
    local results, failures = iot.map({ 1, 2 }, function(item) if item == 2 then return false end end)
    assert.same({ nil, false, n = 2 }, results)
    assert.same({}, failures)
  end)

  it("reports an error raised for an item, and goes on with the others", function()
    local thrown = { "a value" }
    local results, failures = iot.map(range(6), function(item)
      runtime.sleep(0.001)
      if item == 2 then error("two is bad") end
      if item == 4 then error(thrown) end
      return item
    end, { concurrency = 2 })
    assert.same({ 1, nil, 3, nil, 5, 6, n = 6 }, results)
    assert.is_true(failures[2].raised)
    assert.matches("map_spec%.lua:%d+: two is bad$", failures[2].message)
    assert.matches("stack traceback:", failures[2].traceback)
    assert.equal(failures[2].message, failures[2].error)
    assert.equal(thrown, failures[4].error)
    assert.equal(4, failures[4].item)
  end)

  it("survives that every item raises", function()
    local _, failures = iot.map(range(100), function(item) error(item, 0) end, { concurrency = 7 })
    for i = 1, 100 do assert.equal(i, failures[i].error) end
  end)

  it("works within itself, all waits still overlapping", function()
    local started = core.monotonic()
    local results = iot.map(range(10), function(outer)
      local inner = iot.map(range(10), function(item)
        runtime.sleep(0.02)
        return outer * 100 + item
      end)
      runtime.sleep(0.02)
      return inner
    end)
    assert.is_true(core.monotonic() - started < 1) -- one after the other: 2.2 s
    for outer = 1, 10 do
      for item = 1, 10 do assert.equal(outer * 100 + item, results[outer][item]) end
    end
  end)

  it("works within itself for no items, and for items that raise", function()
    local results = iot.map({ 1, 2 }, function()
      local _, failures = iot.map({ 1 }, error)
      return { #iot.map({}, error), failures[1].raised }
    end)
    assert.same({ { 0, true }, { 0, true }, n = 2 }, results)
  end)

  it("works in a coroutine of the caller's", function()
    local thread = coroutine.create(function()
      local results = iot.map(range(5), function(item)
        runtime.sleep(0.001)
        return item
      end)
      coroutine.yield(results.n)
      return "end"
    end)
    assert.same({ true, 5 }, { coroutine.resume(thread) })
    assert.same({ true, "end" }, { coroutine.resume(thread) })
  end)

  it("lets a coroutine inside wait by itself", function()
    local results = iot.map(range(3), function(item)
      local generate = coroutine.wrap(function()
        for i = 1, 2 do
          runtime.sleep(0.001)
          coroutine.yield(item * i)
        end
      end)
      return { generate(), generate() }
    end)
    assert.same({ { 1, 2 }, { 2, 4 }, { 3, 6 }, n = 3 }, results)
  end)

  it("reports a yield that no one would answer", function()
    local _, failures = iot.map({ 1 }, function() coroutine.yield "what" end)
    assert.matches("attempt to yield", failures[1].message)
    assert.is_true(failures[1].raised)
  end)

  it("blames its caller for misuse", function()
    for _, case in ipairs {
      { { 1, error }, "'items' to 'map' %(table expected" },
      { { {}, 1 }, "'fn' to 'map' %(function expected" },
      { { {}, error, 1 }, "'options' to 'map' %(table expected" },
      { { {}, error, { concurrent = 1 } }, "unknown option 'concurrent' to 'map'" },
      { { {}, error, { concurrency = "x" } }, "'concurrency' to 'map' %(number expected" },
      { { {}, error, { concurrency = 0 } }, "'concurrency' to 'map' %(a whole number from 1" },
      { { {}, error, { concurrency = 1.5 } }, "'concurrency' to 'map' %(a whole number from 1" },
    } do
      local ok, message = pcall(function()
        local results = iot.map(unpack(case[1], 1, 3))
        return results
      end)
      assert.is_false(ok)
      assert.matches(case[2], message)
      assert.matches("^[^:]*map_spec%.lua:%d+: ", message)
    end
  end)
end)

describe("a section, inside a map", function()
  local function spans(body)
    local inside, most, owner = 0, 0, {}
    local results, failures = iot.map(range(5), function(item)
      return runtime.serialize(owner, nil, function(...)
        inside = inside + 1
        most = math.max(most, inside)
        runtime.sleep(0.002)
        inside = inside - 1
        return body(item, ...)
      end, "given")
    end)
    return most, results, failures
  end

  it("is one's alone, in the order of arrival, and gives what its function does", function()
    local order = {}
    local most, results = spans(function(item, given)
      table.insert(order, item)
      return item .. given
    end)
    assert.equal(1, most)
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.same({ "1given", "2given", "3given", "4given", "5given", n = 5 }, results)
  end)

  it("is left by an error, which its caller gets", function()
    local raised = {}
    local _, results, failures = spans(function(item)
      if item % 2 == 0 then error(raised) end
      return item
    end)
    assert.same({ 1, nil, 3, nil, 5, n = 5 }, results)
    assert.equal(raised, failures[2].error)
    assert.equal(raised, failures[4].error)
  end)

  it("does not hold up another owner's", function()
    local started = core.monotonic()
    iot.map(range(50), function()
      return runtime.serialize({}, nil, function() runtime.sleep(0.02) end)
    end, { concurrency = 50 })
    assert.is_true(core.monotonic() - started < 0.5) -- one after the other: 1 s
  end)

  it("is given up when its turn does not come in time", function()
    local owner, ran = {}, {}
    local _, failures = iot.map(range(3), function(item)
      local deadline = item == 2 and core.monotonic() + 0.01 or nil
      return runtime.serialize(owner, deadline, function()
        table.insert(ran, item)
        runtime.sleep(0.05)
      end)
    end)
    assert.same({ 1, 3 }, ran)
    assert.equal("Timeout", failures[2].detail)
    assert.matches("did not come in time", failures[2].message)
    assert.is_nil(failures[3])
  end)

  -- As without memory: what is no function cannot become a task.
  it("is left by who died before its function began", function()
    local owner = {}
    local results, failures = iot.map(range(3), function(item)
      return runtime.serialize(owner, nil, item ~= 2 and function()
        runtime.sleep(0.002)
        return item
      end or "none")
    end)
    assert.same({ 1, nil, 3, n = 3 }, results)
    assert.is_true(failures[2].raised)
  end)

  it("returns nils, too", function()
    local counts = iot.map({ 1 }, function()
      return select("#", runtime.serialize({}, nil, function() return nil, 1, nil end))
    end)
    assert.same({ 3, n = 1 }, counts)
  end)
end)

describe("what a map runs", function()
  it("may raise a value whose text cannot be had", function()
    local odd = setmetatable({}, { __tostring = function() error "no text" end })
    local results, failures = iot.map({ 1, 2, 3 }, function(item)
      if item == 2 then error(odd) end
      return item
    end)
    assert.same({ 1, nil, 3, n = 3 }, results)
    assert.equal(odd, failures[2].error)
    assert.equal("string", type(failures[2].message))
  end)

  it("closes its variables whatever ends it", function()
    local load = rawget(_G, "loadstring") or load
    local closes = load "local object = ... local kept <close> = object return (require 'iot.runtime').sleep(0.001)"
    if not closes then return pending "before Lua 5.4 there is no <close>" end
    local raises = assert(load "local object = ... local kept <close> = object error 'raised'")
    local yields = assert(load "local object = ... local kept <close> = object coroutine.yield()")
    local closed = 0
    local object = setmetatable({}, { __close = function() closed = closed + 1 end })
    iot.map({ closes, raises, yields }, function(item) return item(object) end)
    assert.equal(3, closed)
  end)

  it("is an error when a section waits for itself, or for what waits for it", function()
    local owner = {}
    local function within() return runtime.serialize(owner, nil, error) end
    local _, failures = iot.map({ 1, 2 }, function(item)
      return runtime.serialize(owner, nil, function()
        if item == 1 then return within() end
        local _, inner = iot.map({ 1 }, within)
        return nil, inner[1].message
      end)
    end)
    for i = 1, 2 do assert.matches("waits for this", failures[i].message) end
  end)

  it("has its turn while others compute", function()
    local order = {}
    iot.map({ 1, 2 }, function(item)
      if item == 1 then
        iot.map(range(3), function(inner) table.insert(order, "a" .. inner) end, { concurrency = 1 })
      else
        iot.map(range(3), function(inner) table.insert(order, "b" .. inner) end, { concurrency = 1 })
      end
    end)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, order)
  end)

  it("cannot wait across a call of C, and nothing is left half done by the attempt", function()
    local function compare(a, b)
      runtime.sleep(0.001)
      return a < b
    end
    local results, failures = iot.map(range(3), function(item)
      if item ~= 2 then runtime.sleep(0.005) return item end
      table.sort({ 3, 2, 1 }, compare)
      return item
    end)
    assert.equal(3, results[3])
    -- Where Lua can tell that it may not yield, the thread waits.
    assert.is_true(results[2] == 2 or failures[2].raised)
  end)
end)
