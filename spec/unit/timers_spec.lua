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
    heap:add(2, "late", 7)
    heap:add(1, "early", 8)
    assert.equal(1, heap:next())
    assert.is_nil(heap:take(0.999))
    assert.same({ "early", 8 }, { heap:take(1) })
    assert.is_nil(heap:take(1.5))
    assert.equal(2, heap:next())
    assert.same({ "late", 7 }, { heap:take(5) })
    assert.is_nil(heap:next())
  end)

  it("come in the order of their times, whatever the order they went in", function()
    local generator = random.new(1)
    for _ = 1, 300 do
      local heap, sorted = timers.new(), {}
      for turn = 1, generator:integer(1, 60) do
        local time = generator:integer(0, 20)
        heap:add(time, time, turn)
        table.insert(sorted, time)
        table.sort(sorted)
        if generator:chance(25) then assert.equal(table.remove(sorted, 1), (heap:take(math.huge))) end
      end
      for _, time in ipairs(sorted) do
        assert.equal(time, heap:next())
        assert.equal(time, (heap:take(time)))
      end
      assert.is_nil(heap:next())
    end
  end)
end)
