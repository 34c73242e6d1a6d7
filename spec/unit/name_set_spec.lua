-- The set of names that tells on which line one was seen before.
local core = require "iot.core"

local integer_type = rawget(math, "type") or function() return "integer" end

local function assert_raises(message, fn, ...)
  local ok, raised = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(message, raised, 1, true)
end

describe("a set of names", function()
  it("tells the line of the first of a name, and takes no other", function()
    local set = assert(core.name_set())
    assert.is_nil(set:add("a", 3))
    assert.is_nil(set:add("b", 4))
    assert.equal(3, set:add("a", 5))
    assert.equal(3, set:add("a", 6))
    assert.equal(4, set:add("b", 6))
    assert.equal("integer", integer_type(set:add("a", 7)))
  end)

  it("tells names apart by every byte and their length", function()
    local set = assert(core.name_set())
    local names = {
      "", "\0", "\0\0", "a", "A", "a\0", "\0a", "aa", ("a"):rep(1023), ("a"):rep(1024), "\255", "ab", "ba",
    }
    for line, name in ipairs(names) do assert.is_nil(set:add(name, line)) end
    for line, name in ipairs(names) do assert.equal(line, set:add(name, 100)) end
  end)

  it("keeps all of them while it grows", function()
    local set = assert(core.name_set())
    for line = 1, 20000 do
      if set:add("thing-" .. line, line) then error("line " .. line) end
    end
    for line = 20000, 1, -1 do
      if set:add("thing-" .. line, 1) ~= line then error("line " .. line) end
    end
    assert.is_nil(set:add("thing-0", 7))
  end)

  it("knows nothing of another", function()
    local one, other = assert(core.name_set()), assert(core.name_set())
    assert.is_nil(one:add("a", 1))
    assert.is_nil(other:add("a", 2))
    assert.equal(1, one:add("a", 3))
    assert.equal(2, other:add("a", 3))
  end)

  it("is empty again once it was cleared, more than once too", function()
    local set = assert(core.name_set())
    set:clear()
    for line = 1, 1000 do set:add("thing-" .. line, line) end
    set:clear()
    set:clear()
    assert.is_nil(set:add("thing-1", 5))
    assert.equal(5, set:add("thing-1", 6))
  end)

  it("takes lines from 1 to the last that 32 bits hold", function()
    local set = assert(core.name_set())
    assert.is_nil(set:add("first", 1))
    assert.is_nil(set:add("last", 4294967295))
    assert.equal(4294967295, set:add("last", 1))
    for _, line in ipairs { 0, -1, 1.5, 4294967296, math.huge, -math.huge, 0 / 0 } do
      assert_raises("no line number", set.add, set, "a", line)
    end
    assert.is_nil(set:add("a", 2))
  end)

  it("takes strings of up to 1024 bytes, and is what it is called on", function()
    local set = assert(core.name_set())
    assert_raises("not valid", set.add, set, ("a"):rep(1025), 1)
    assert_raises("string expected", set.add, set, 5, 1)
    assert_raises("number expected", set.add, set, "a", {})
    assert_raises("iot.name_set expected", set.add, io.stdout, "a", 1)
    assert_raises("iot.name_set expected", set.clear, {})
  end)

  it("keeps its names out of Lua's memory", function()
    local set = assert(core.name_set())
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    for line = 1, 50000 do set:add(("%d"):format(line), line) end
    collectgarbage()
    collectgarbage()
    -- As Lua's strings they would take 3 MB or more. LuaJIT does not shrink at once where it looks for strings.
    assert.is_true(collectgarbage "count" - before < 1024)
    assert.equal(50000, set:add("50000", 1))
  end)
end)
