-- Lines of a text that comes in pieces: however it is cut up, the lines are the same.
local lines = require "iot.lines"

-- A function that reads the text in pieces of a size.
local function pieces(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    at = at + size
    return text:sub(at - size, at - 1)
  end
end

local function split(read, limit)
  local found = {}
  for line, cut in lines.new(read, limit or 1000) do found[#found + 1] = cut and { line } or line end
  return found
end

local cases = {
  { "nothing", "", {} },
  { "one line without an end", "abc", { "abc" } },
  { "an end that is no line more", "abc\n", { "abc" } },
  { "several", "a\nbc\ndef", { "a", "bc", "def" } },
  { "empty lines", "\n\na\n\n", { "", "", "a", "" } },
  { "carriage returns before the ends", "a\r\nb\r\n\r\n", { "a", "b", "" } },
  { "carriage returns elsewhere", "a\rb\n\r\r\n", { "a\rb", "\r" } },
  { "bytes of any value", "\0\255\n\0", { "\0\255", "\0" } },
}

describe("lines", function()
  for _, case in ipairs(cases) do
    it("are found in " .. case[1], function()
      for size = 1, math.max(1, #case[2]) do
        assert.same(case[3], split(pieces(case[2], size)), "in pieces of " .. size)
      end
    end)
  end

  it("are found whatever empty pieces come in between", function()
    local given = { "", "a", "", "b\n", "", "", "c", "" }
    local at = 0
    assert.same({ "ab", "c" }, split(function()
      at = at + 1
      return given[at]
    end))
  end)

  it("are found by who feeds a splitter too early, as long as there is none", function()
    local splitter = lines.splitter(100)
    for _, piece in ipairs { "a", "b", "", "c" } do
      splitter:feed(piece)
      assert.is_false(splitter:has_line())
    end
    splitter:feed "d\ne\nf"
    assert.is_true(splitter:has_line())
    assert.equal("abcd", (splitter:next()))
    assert.is_true(splitter:has_line())
    assert.equal("e", (splitter:next()))
    assert.is_false(splitter:has_line())
    splitter:feed(nil)
    assert.is_true(splitter:has_line())
    assert.equal("f", (splitter:next()))
    assert.is_false(splitter:has_line())
    assert.is_nil((splitter:next()))
  end)

  it("that are too long are cut, and those behind them are whole", function()
    local text = ("x"):rep(10) .. "\n" .. ("y"):rep(11) .. "\nz\n" .. ("w"):rep(25)
    for size = 1, #text do
      assert.same({ ("x"):rep(10), { ("y"):rep(10) }, "z", { ("w"):rep(10) } }, split(pieces(text, size), 10),
        "in pieces of " .. size)
    end
  end)

  it("do not read on before the next is asked for", function()
    local reads = 0
    local next_line = lines.new(function()
      reads = reads + 1
      return "a\nb\n"
    end, 10)
    assert.equal(0, reads)
    assert.equal("a", (next_line()))
    assert.equal("b", (next_line()))
    assert.equal(1, reads)
  end)

  it("pass on what reading raises, and end for good", function()
    local next_line = lines.new(function() error("gone", 0) end, 10)
    assert.has_error(next_line, "gone")
    next_line = lines.new(function() return nil end, 10)
    assert.is_nil(next_line())
    assert.is_nil(next_line())
  end)

  it("do not lose the beginning of a line when reading raises in its middle", function()
    local given = { "ab", "cd", false, "ef\ng", false, "h\n" }
    local at = 0
    local next_line = lines.new(function()
      at = at + 1
      if given[at] == false then error("interrupted!", 0) end
      return given[at]
    end, 10)
    assert.has_error(next_line, "interrupted!")
    assert.equal("abcdef", (next_line()))
    assert.has_error(next_line, "interrupted!")
    assert.equal("gh", (next_line()))
    assert.is_nil(next_line())
  end)

  it("hold no more than a piece and a line", function()
    collectgarbage()
    local before, count, held = collectgarbage "count", 0, nil
    local next_line = lines.new(function()
      count = count + 1
      if count == 400 then
        collectgarbage()
        collectgarbage()
        held = collectgarbage "count" - before
      end
      return count <= 500 and ("x"):rep(65536 + count) or nil -- each another one: Lua keeps equal strings once
    end, 1024)
    local line, cut = next_line()
    assert.equal(1024, #line)
    assert.is_true(cut)
    assert.is_true(held < 1024, held .. " KiB")
  end)
end)
