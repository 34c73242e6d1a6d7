--- Bytes of HTTP replies as a connection gives them, and what a reader's failures have in common.
local errors = require "iot.errors"

local M = {}

--- Sizes of pieces, over and over.
---@type table<string, number[]>
M.cuts = { whole = { math.huge }, bytes = { 1 }, pairs = { 2 }, odd = { 3, 1, 7, 2, 13, 5 } }

--- A function that gives the text in pieces, and then ends for a reason.
---@param text string
---@param sizes number[]
---@param reason string?  "closed"
---@return fun(): string?, string?
function M.feed(text, sizes, reason)
  local at, turn = 1, 0
  return function()
    if at > #text then return nil, reason or "closed" end
    local size = math.min(sizes[turn % #sizes + 1], #text)
    turn, at = turn + 1, at + size
    return text:sub(at - size, at - 1)
  end
end

--- Lines with their ends.
---@param ... string
---@return string
function M.lines(...)
  return table.concat({ ... }, "\r\n") .. "\r\n"
end

--- All of a body, piece by piece.
---@param reply iot.HttpReply
---@return string?
---@return string? message
---@return table? facts
function M.read_pieces(reply)
  local parts = {}
  while true do
    local piece, message, facts = reply:read_piece()
    if message then return nil, message, facts end
    if not piece then return table.concat(parts) end
    assert(#piece > 0, "a piece is empty")
    parts[#parts + 1] = piece
  end
end

--- The code is a known one, and the message one short line without what the specs' servers call SECRET.
---@param code string
---@param message string
---@param facts table
function M.assert_failure(code, message, facts)
  assert(message:find "^[\32-\126]+$", message)
  assert(#message < 300 and not message:find "SECRET", message)
  assert(errors.codes[code], code)
  assert(facts.code == code, message)
end

return M
