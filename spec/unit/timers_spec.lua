local timers = require "iot.runtime.timers"
local random = require "spec.support.random"

describe("timers", function()
  it("are none at first", function()
    local heap = timers.new()
    assert.is_nil(heap:next())
    assert.is_nil(heap:take(math.huge))
  end)

  it("come when they are due, and not before", function()
    local heap = timers.new()
    heap:add(2, "late")
    heap:add(1, "early")
    assert.equal(1, heap:next())
    assert.is_nil(heap:take(0.999))
    assert.equal("early", heap:take(1))
    assert.is_nil(heap:take(1.5))
    assert.equal(2, heap:next())
    assert.equal("late", heap:take(5))
    assert.is_nil(heap:next())
  end)

  it("can be removed", function()
    local heap = timers.new()
    local first, second = heap:add(1, "first"), heap:add(2, "second")
    heap:remove(first)
    assert.equal(2, heap:next())
    heap:remove(second)
    assert.is_nil(heap:next())
    assert.equal(0, heap.count)
  end)

  it("come in the order of their times, whatever came and went before", function()
    local generator = random.new(1)
    for _ = 1, 300 do
      local heap, there = timers.new(), {}
      for _ = 1, generator:integer(1, 60) do
        table.insert(there, heap:add(generator:integer(0, 20), "timer"))
        table.sort(there, function(a, b) return a.time < b.time end)
        if generator:chance(25) then
          assert.equal(there[1].time, heap:next())
          assert.equal("timer", heap:take(math.huge))
          for i, timer in ipairs(there) do -- of several at one time, any
            if heap[timer.at] ~= timer then
              table.remove(there, i)
              break
            end
          end
        elseif generator:chance(25) then
          heap:remove(table.remove(there, generator:integer(1, #there)))
        end
      end
      for _, timer in ipairs(there) do
        assert.equal(timer.time, heap:next())
        assert.equal("timer", heap:take(timer.time))
      end
      assert.is_nil(heap:next())
    end
  end)
end)
