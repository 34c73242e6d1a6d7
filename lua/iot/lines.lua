---Lines of a text that comes in pieces: reports, and input files. No more of it is held than a piece and a line.
local lines = {}

-- The line without the carriage return of a "\r\n".
local function bare(line)
  return line:byte(-1) == 13 and line:sub(1, -2) or line
end

-- A line that goes on over several pieces; what is beyond the limit is counted, but not kept.
local function keep(parts, piece, from, to, limit)
  local room = limit - parts.size
  local size = to - from + 1
  if size > room then parts.cut, to = true, from + room - 1 end
  parts[#parts + 1] = piece:sub(from, to)
  parts.size = parts.size + math.min(size, room)
end

---Split pieces into lines. A line ends with "\n" or "\r\n", which is left out; the last one needs no end.
---@param read fun(): string?  the next piece, which may be empty; nil at the end. What it raises passes through,
---and the next call goes on where that came
---@param limit integer  bytes of a line; the rest of a longer one is left out
---@return fun(): string?, boolean?  the next line and whether it was cut; nil at the end
function lines.new(read, limit)
  local piece, at = "", 1
  local parts -- of the line that is under way
  return function()
    while piece do
      local stop = piece:find("\n", at, true)
      local from = at
      if stop and not parts and stop - from <= limit then
        at = stop + 1
        return bare(piece:sub(from, stop - 1)), false
      end
      if stop or from <= #piece then
        parts = parts or { size = 0, cut = false }
        keep(parts, piece, from, stop and stop - 1 or #piece, limit)
        at = (stop or #piece) + 1
      end
      if stop then break end
      piece, at = read(), 1
    end
    local whole = parts
    parts = nil
    if whole then return bare(table.concat(whole)), whole.cut end
  end
end

return lines
