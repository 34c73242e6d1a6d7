---A reply that comes in pieces, over a cosocket: nothing is read before it is wanted.
local connection = require "iot.runtime.nginx.connection"

local downloads = {}

---@class iot.nginx.Download: iot.Download
local Download = {}
Download.__index = Download

function Download:close()
  local socket = self.socket
  self.socket = nil
  if socket then socket:close() end
end

local function fail(self, message, facts)
  self:close()
  return nil, message, facts
end

local function finish_download(self)
  if self.inflater and not self.inflater.is_complete then
    return fail(self, "what is compressed is not whole", { code = "MalformedResponse" })
  end
  local socket = self.socket
  self.socket, self.headers = nil, self.reply.headers
  connection.give_back(self.target, self.reply, socket)
  return nil
end

-- As the piece is, or what it is compressed of.
local function read_piece(self)
  if not self.inflater then return self.reply:read_piece() end
  while true do
    local piece, damage = self.inflater:next()
    if piece then return piece end
    if damage then return nil, damage, { code = "MalformedResponse" } end
    local message, facts
    piece, message, facts = self.reply:read_piece()
    if not piece then return nil, message, facts end
    self.inflater:feed(piece)
  end
end

function Download:read(deadline)
  if not self.socket then return nil end
  self.limits.deadline = deadline or math.huge
  local piece, message, facts = read_piece(self)
  if piece then return piece end
  if facts then return fail(self, message, facts) end
  return finish_download(self)
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

---@param target iot.nginx.Target
---@param bytes string  of the request
---@param limits table  of connection.limits
---@return iot.Download?
---@return string? message
---@return table? facts
function downloads.begin(target, bytes, limits)
  local reply, socket, facts = connection.begin(target, bytes, limits)
  if not reply then return nil, socket, facts end
  local inflater, message
  inflater, message, facts = inflater_of(reply)
  if facts then
    socket:close()
    return nil, message, facts
  end
  return setmetatable({
    target = target, limits = limits, reply = reply, socket = socket, status = reply.status, inflater = inflater,
  }, Download)
end

return downloads
