---Lines of a text that comes in pieces: reports, and input files. No more of it is held than a piece and a line.
local lines = {}

-- The line without the carriage return of a "\r\n".
local function bare(line)
  return line:byte(-1) == 13 and line:sub(1, -2) or line
end

---Takes pieces, gives lines.
---@class iot.LineSplitter
---@field package limit integer
---@field package piece string
---@field package at integer  where the rest of the piece begins
---@field package parts table?  of a line that goes on over several pieces
---@field package ended boolean
local Splitter = {}
Splitter.__index = Splitter

-- What is beyond the limit is counted, but not kept.
local function keep(self, to)
  local parts = self.parts or { size = 0, cut = false }
  local room = self.limit - parts.size
  local size = to - self.at + 1
  if size > room then parts.cut, to, size = true, self.at + room - 1, room end
  parts[#parts + 1] = self.piece:sub(self.at, to)
  parts.size = parts.size + size
  self.parts = parts
end

local function take_parts(self)
  local parts = self.parts
  self.parts = nil
  if not parts then return nil end
  return bare(table.concat(parts)), parts.cut
end

---Give it the next piece, once there is no line left in those before; nil is the end.
---@param piece string?
function Splitter:feed(piece)
  if self.at <= #self.piece then keep(self, #self.piece) end
  self.piece, self.at, self.ended = piece or "", 1, piece == nil
end

---Whether there is a line without another piece. False at the end, too.
---@return boolean
function Splitter:has_line()
  return self.piece:find("\n", self.at, true) ~= nil or self.ended and self.parts ~= nil
end

---The next line and whether it was cut; nil when that needs another piece, or there is none.
---@return string?
---@return boolean?
function Splitter:next()
  local stop = self.piece:find("\n", self.at, true)
  if stop and not self.parts and stop - self.at <= self.limit then
    local from = self.at
    self.at = stop + 1
    return bare(self.piece:sub(from, stop - 1)), false
  end
  local last = stop and stop - 1 or #self.piece
  if stop or self.at <= last then keep(self, last) end
  self.at = (stop or #self.piece) + 1
  if stop or self.ended then return take_parts(self) end
  return nil
end

---Split pieces into lines. A line ends with "\n" or "\r\n", which is left out; the last one needs no end.
---@param limit integer  bytes of a line; the rest of a longer one is left out
---@return iot.LineSplitter
function lines.splitter(limit)
  return setmetatable({ limit = limit, piece = "", at = 1, ended = false }, Splitter)
end

---The lines of the pieces that a function reads.
---@param read fun(): string?  the next piece, which may be empty; nil at the end. What it raises passes through,
---and the next call goes on where that came
---@param limit integer  as of lines.splitter
---@return fun(): string?, boolean?  the next line and whether it was cut; nil at the end
function lines.new(read, limit)
  local splitter = lines.splitter(limit)
  return function()
    while true do
      local line, cut = splitter:next()
      if line or splitter.ended then return line, cut end
      splitter:feed(read())
    end
  end
end

return lines
