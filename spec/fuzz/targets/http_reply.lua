-- lua/iot/http_reply.lua. The input: a byte of options, then what a server sends until it ends the connection.
-- However that is cut into pieces, the outcome is the same.
local http_reply = require "iot.http_reply"
local pieces = require "spec.support.reply_pieces"
local promises = require "spec.fuzz.promises"

local must = promises.must

local reasons = { [0] = "closed", "timeout", "closed", "it broke\r\n" }

-- The options that a byte stands for.
local function options_of(byte)
  local small = math.floor(byte / 4) % 2 == 1
  return {
    head_only = byte % 2 == 1, max_head = small and 100 or nil, max_body = small and 50 or nil,
  }, math.floor(byte / 2) % 2 == 1, reasons[math.floor(byte / 8) % 4]
end

-- Whatever the pieces of one reply come to, and how many bytes were asked for.
local function read(text, sizes, options, by_pieces, reason)
  local given, size = pieces.feed(text, sizes, reason), 0
  local reply = http_reply.new(function()
    local piece, why = given()
    size = size + #(piece or "")
    return piece, why
  end, options)
  local body, message, facts = reply:read_head()
  if body then
    if by_pieces then body, message, facts = pieces.read_pieces(reply) else body, message, facts = reply:read_body() end
  end
  if not body then
    promises.must_be_message(message)
    must(facts.code, "a failure has a code")
    must(not reply:is_reusable(), "a reply that failed is not reusable")
    local _, again = reply:read_piece()
    must(again == message, "a failure is final", again)
  end
  return promises.text_of { status = reply.status, head = reply.head, headers = reply.headers, body = body,
    message = message, facts = facts }, reply:is_reusable(), size
end

return function(input)
  local byte, text = (input:byte() or 0), input:sub(2)
  local options, by_pieces, reason = options_of(byte)
  local expected, is_reusable, read_size = read(text, pieces.cuts.bytes, options, by_pieces, reason)
  local own = { 1 + byte % 7, 1 + #text % 11, 5 }
  for _, sizes in ipairs { pieces.cuts.whole, pieces.cuts.odd, own } do
    local outcome, reusable = read(text, sizes, options, by_pieces, reason)
    must(outcome == expected, "the outcome does not depend on the pieces", expected, outcome)
    if sizes == pieces.cuts.whole then
      must(reusable == (is_reusable and read_size == #text), "reusable is what has no bytes left")
    end
    must(not reusable or is_reusable, "reusable in pieces, but not byte by byte")
  end
end
