---A reply that comes in pieces, over a cosocket: nothing is sent or read before it is wanted.
local connection = require "iot.runtime.nginx.connection"

local downloads = {}

---@class iot.nginx.Download: iot.Download
---@field package target iot.nginx.Target
---@field package bytes string  of the request
---@field package limits table  of connection.limits
---@field package latest number  when all of it must have come
---@field package reply table?  once its head was read
---@field package socket any  while the connection is open
---@field package was_fed boolean?  something came that was compressed; nothing at all is whole without an end
---@field package is_read boolean?  a thread waits for a piece
---@field package has_ended boolean?
local Download = {}
Download.__index = Download

local function release(self)
  local socket = self.socket
  self.socket = nil
  if socket then socket:close() end
end

-- No thread can close a cosocket that another one reads: that does it when it has its piece.
function Download:close()
  self.has_ended = true
  if not self.is_read then release(self) end
end

-- What undoes the encoding of a reply; nil when there is none.
local function inflater_of(reply)
  local encoding = (reply.headers["content-encoding"] or "identity"):lower()
  if encoding == "identity" then return nil end
  if encoding ~= "gzip" and encoding ~= "x-gzip" then
    return nil, "its Content-Encoding is not gzip", { code = "MalformedResponse" }
  end
  local inflater, message = require("iot.runtime.inflate").new()
  if inflater then return inflater end
  return nil, "its Content-Encoding is gzip, and " .. message, { code = "MalformedResponse" }
end

-- The exchange, up to the head of the reply.
local function begin(self)
  local reply, socket, facts = connection.begin(self.target, self.bytes, self.limits)
  if not reply then return nil, socket, facts end
  self.reply, self.socket, self.status = reply, socket, reply.status
  local message
  self.inflater, message, facts = inflater_of(reply)
  return facts == nil, message, facts
end

-- The next piece as it is, or what it is compressed of.
local function read_piece(self)
  if not self.reply then
    local ok, message, facts = begin(self)
    if not ok then return nil, message, facts end
  end
  if not self.inflater then return self.reply:read_piece() end
  while true do
    local piece, damage = self.inflater:next()
    if piece then return piece end
    if damage then return nil, damage, { code = "MalformedResponse" } end
    local message, facts
    piece, message, facts = self.reply:read_piece()
    if not piece then return nil, message, facts end
    self.was_fed = true
    self.inflater:feed(piece)
  end
end

local function finish_download(self)
  if self.was_fed and not self.inflater.is_complete then
    self:close()
    return nil, "what is compressed is not whole", { code = "MalformedResponse" }
  end
  local socket = self.socket
  self.socket, self.has_ended, self.headers = nil, true, self.reply.headers
  connection.give_back(self.target, self.reply, socket)
  return nil
end

function Download:read(deadline)
  if self.is_read then error("attempt to read a download that another task waits for", 0) end
  if self.has_ended then return nil end
  self.limits.deadline = math.min(deadline or math.huge, self.latest)
  self.is_read = true
  local piece, message, facts = read_piece(self)
  self.is_read = nil
  if self.has_ended then -- it was closed meanwhile
    release(self)
    return nil
  end
  if piece then return piece end
  if not facts then return finish_download(self) end
  self:close()
  return nil, message, facts
end

---@param target iot.nginx.Target
---@param bytes string  of the request
---@param limits table  of connection.limits
---@param latest number?  of core.monotonic(), for all of it
---@return iot.Download
function downloads.new(target, bytes, limits, latest)
  return setmetatable({ target = target, bytes = bytes, limits = limits, latest = latest or math.huge }, Download)
end

return downloads
