-- lua/iot/lines.lua: the input's first byte is the limit of a line. The lines are those of a plain implementation,
-- however the text comes.
local lines = require "iot.lines"
local pieces = require "spec.support.reply_pieces"
local promises = require "spec.fuzz.promises"

-- Each line with whether it was cut. A carriage return counts, and is a line's end only where the "\n" was kept.
local function plain(text, limit)
  local found, at = {}, 1
  while at <= #text do
    local stop = text:find("\n", at, true) or #text + 1
    local line = text:sub(at, stop - 1)
    local kept = line:sub(1, limit)
    found[#found + 1] = { kept:sub(-1) == "\r" and kept:sub(1, -2) or kept, #line > limit }
    at = stop + 1
  end
  return promises.text_of(found)
end

local function read(text, sizes, limit)
  local found = {}
  local given = pieces.feed(text, sizes)
  for line, cut in lines.new(function() return (given()) end, limit) do found[#found + 1] = { line, cut } end
  return promises.text_of(found)
end

return function(input)
  local limit, text = input:byte() or 0, input:sub(2)
  local expected = plain(text, limit)
  local own = { 1 + limit % 5, 1 + #text % 7, 64 }
  for _, sizes in ipairs { pieces.cuts.whole, pieces.cuts.bytes, pieces.cuts.odd, own } do
    local outcome = read(text, sizes, limit)
    promises.must(outcome == expected, "the lines do not depend on the pieces", expected, outcome)
  end
end
