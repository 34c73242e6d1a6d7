---One HTTP/1.1 reply, read from whoever gives bytes (RFC 9112); strict, because it comes from outside.
---
---It does no I/O of its own and holds no more than a piece and a head. However the bytes are cut up, the
---time is linear in their number. What could be understood in two ways is refused: the next reply on the
---connection would begin at the wrong byte.
local excerpt = require "iot.excerpt"
local options = require "iot.config.options"

local http_reply = {}

local default_max_head, default_max_body = 65536, 16 * 1024 * 1024
local max_interim = 16
local max_size_digits = 8 -- of a chunk
local max_reason = 200
local parts_of_block = 1024

---@class iot.HttpReply
---@field status integer?  200 to 599, once the head was read
---@field head string?  the status line and the header lines as they came, line ends included
---@field headers table<string, string>?  names in lower case; of a name that comes twice, the first
---@field package receive fun(): string?, string?
---@field package max_head integer
---@field package max_body integer
---@field package head_only boolean
---@field package piece string  what was received last
---@field package at integer  where the rest of it begins
---@field package begun boolean  a byte has come
---@field package room integer  bytes that lines may have still
---@field package lines_of string  what the lines are that need the room
---@field package take (fun(self: iot.HttpReply): string?)?  of the body's framing: its next piece
---@field package left number  bytes of the body, or of the chunk, that are to come
---@field package in_chunk boolean?  a chunk has begun whose end was not read
---@field package ended boolean?  all of the body was read
---@field package keeps boolean?  the connection may stay open behind the body
---@field package failure { message: string, facts: table }?  final
local Reply = {}
Reply.__index = Reply

-- The readers below return nil once they have failed; what went wrong is kept for good.

local function fail(self, message, facts)
  self.failure = { message = message, facts = facts }
  return nil
end

local function malformed(self, message)
  return fail(self, message, { code = "MalformedResponse" })
end

local function too_large(self, what, limit)
  return fail(self, ("%s of the reply: more than %d bytes"):format(what, limit), { code = "ResponseTooLarge" })
end

local function cut_short(self, reason)
  if reason == "timeout" then
    return fail(self, "the server did not answer in time", { code = "Timeout", reason = reason })
  end
  local message = self.begun and "the connection ended before the whole reply had come"
    or "the connection ended before a reply came"
  if reason ~= "closed" then message = message .. ": " .. excerpt.line(reason, max_reason) end
  return fail(self, message, { code = "ConnectionLost", reason = reason, before_reply = not self.begun or nil })
end

-- Whether there is another byte; if not, why.
local function fill(self)
  if self.at <= #self.piece then return true end
  local piece, reason = self.receive()
  if not piece then return false, reason end
  self.piece, self.at, self.begun = piece, 1, true
  return true
end

local function need(self)
  local filled, reason = fill(self)
  return filled or cut_short(self, reason)
end

-- The next line: without its end, and as it came.
local function read_line(self)
  local parts = {}
  repeat
    if not need(self) then return nil end
    local stop = self.piece:find("\n", self.at, true)
    local last = stop or #self.piece
    self.room = self.room - (last - self.at + 1)
    if self.room < 0 then return too_large(self, self.lines_of, self.max_head) end
    parts[#parts + 1] = self.piece:sub(self.at, last)
    self.at = last + 1
  until stop
  local raw = table.concat(parts)
  local line = raw:sub(1, raw:byte(-2) == 13 and -3 or -2)
  if line:find("\r", 1, true) or line:find("\0", 1, true) then
    return malformed(self, "a line of the reply has a carriage return or a NUL in it")
  end
  return line, raw
end

-- The name in lower case and the value without the blanks around it; a folded line has no name. No pattern
-- here, or below, goes back over the same bytes again and again: a hostile line has all of the room.
local function parse_field(line)
  local name, behind = line:match("^([A-Za-z0-9!#$%%&'*+%-.^_`|~]+):()")
  if not name then return nil end
  local first = line:find("[^ \t]", behind)
  return name:lower(), first and line:match("^.*[^ \t]", first) or ""
end

-- The lines up to an empty one, which is not seen.
local function read_fields(self, see)
  while true do
    local line, raw = read_line(self)
    if not line then return nil end
    if line == "" then return true end
    local name, value = parse_field(line)
    if not name then return malformed(self, "a header line of the reply does not begin with a name and a colon") end
    see(name, value, raw)
  end
end

-- What begins otherwise may never end a line. A piece that ends within these bytes gets the next one behind it.
local function begins_as_http(self)
  local wanted = "HTTP/"
  if not need(self) then return false end
  local first = self.piece:sub(self.at, self.at + #wanted - 1)
  while #first < #wanted and first == wanted:sub(1, #first) do
    local piece, reason = self.receive()
    if not piece then return cut_short(self, reason) end
    self.piece, self.at = first .. piece, 1
    first = self.piece:sub(1, #wanted)
  end
  return first == wanted or malformed(self, "the reply does not begin with HTTP/")
end

-- One head, of an interim reply or of the last. All values of what frames the body, joined as lists.
local function read_one_head(self)
  if not begins_as_http(self) then return nil end
  local line, status_line = read_line(self)
  if not line then return nil end
  local minor, status = (line .. " "):match("^HTTP/1%.([01]) ([1-5]%d%d) ")
  if not status then return malformed(self, "the reply does not begin with a status line of HTTP/1.0 or 1.1") end
  local head, headers = { status_line }, {}
  local framing = { connection = {}, ["content-length"] = {}, ["transfer-encoding"] = {} }
  local complete = read_fields(self, function(name, value, raw)
    head[#head + 1] = raw
    if not headers[name] then headers[name] = value end
    if framing[name] then table.insert(framing[name], value) end
  end)
  if not complete then return nil end
  self.status, self.head, self.headers = tonumber(status), table.concat(head), headers
  for name, values in pairs(framing) do
    framing[name] = values[1] and table.concat(values, ",")
  end
  framing.minor = minor
  return framing
end

-- The length that all items of the list agree on; nil when one is no length or another one.
local function parse_length(list)
  local agreed
  for item in (list .. ","):gmatch("([^,]*),") do
    local digits = item:match("^[ \t]*(%d+)[ \t]*$")
    digits = digits and digits:match("^0*(.*)")
    if not digits or agreed and digits ~= agreed then return nil end
    agreed = digits
  end
  return tonumber("0" .. agreed)
end

local function has_close(list)
  for item in list:lower():gmatch("[^,]+") do
    if item:find("^[ \t]*close[ \t]*$") then return true end
  end
  return false
end

-- What there is, up to the end of the body or of the chunk.
local function take_some(self)
  if not need(self) then return nil end
  local size = math.min(self.left, #self.piece - self.at + 1)
  local piece = self.piece:sub(self.at, self.at + size - 1)
  self.left, self.at = self.left - size, self.at + size
  return piece
end

local function take_by_length(self)
  local piece = take_some(self)
  self.ended = self.left == 0
  return piece
end

local function take_until_closed(self)
  local filled, reason = fill(self)
  if not filled and reason ~= "closed" then return cut_short(self, reason) end
  if not filled then
    self.ended = true
    return nil
  end
  self.left = #self.piece - self.at + 1
  return take_some(self)
end

local function read_chunk_end(self)
  for _, byte in ipairs { 13, 10 } do
    if not need(self) then return nil end
    if self.piece:byte(self.at) ~= byte then
      return malformed(self, "a chunk of the reply is not as long as it says")
    end
    self.at = self.at + 1
  end
  return true
end

-- Extensions need room as trailers do, which the chunks' bytes make again: a reply of any length may have
-- them, but not one that consists of little else.
local function read_chunk_size(self)
  local room = self.room
  local line = read_line(self)
  if not line then return nil end
  local digits, extension = line:match("^(%x+)[ \t]*(.*)")
  if not digits or #digits > max_size_digits or extension ~= "" and extension:byte() ~= 59 then
    return malformed(self, "a chunk of the reply has no size of 1 to 8 hexadecimal digits")
  end
  local size = tonumber(digits, 16)
  self.room = math.min(room - (#line - #digits) + size, self.max_head)
  return size
end

local function ignore() end

local function take_chunked(self)
  if self.left == 0 then
    if self.in_chunk and not read_chunk_end(self) then return nil end
    local size = read_chunk_size(self)
    if not size then return nil end
    if size == 0 then
      self.ended = read_fields(self, ignore)
      return nil
    end
    self.left, self.in_chunk = size, true
  end
  return take_some(self)
end

-- RFC 9112 section 6.3. A length that is malformed is not overlooked where no body follows anyway.
local function choose_framing(self, framing)
  local coding, list = framing["transfer-encoding"], framing["content-length"]
  local length = list and parse_length(list)
  if coding and list then
    return malformed(self, "the reply has both a Transfer-Encoding and a Content-Length")
  elseif coding and (coding:lower() ~= "chunked" or framing.minor == "0") then
    return malformed(self, "the reply has a Transfer-Encoding that is not chunked, or not of HTTP/1.1")
  elseif list and not length then
    return malformed(self, "the reply has a Content-Length that is no number, or several")
  end
  local empty = self.head_only or self.status == 204 or self.status == 304 or length == 0
  self.keeps = framing.minor == "1" and not has_close(framing.connection or "")
    and (empty or coding ~= nil or length ~= nil)
  self.ended = empty
  self.left = not empty and length or 0
  self.take = coding and take_chunked or length and take_by_length or take_until_closed
  self.room, self.lines_of = self.max_head, "chunk extensions and trailers"
  return true
end

local function read_last_head(self)
  for _ = 0, max_interim do
    local framing = read_one_head(self)
    if not framing then return nil end
    if self.status == 101 then return malformed(self, "the server changed the protocol, for which nobody asked") end
    if self.status >= 200 then return choose_framing(self, framing) end
  end
  return malformed(self, ("more than %d interim replies came before the reply"):format(max_interim))
end

local function failure(self)
  return nil, self.failure.message, options.copy(self.failure.facts)
end

---Read up to the body. Interim replies (1xx) are skipped.
---@return true?
---@return string? message  one line; of what came, it quotes nothing
---@return { code: string, reason: string?, before_reply: boolean? }? facts  code: of `iot.errors`; reason: what
---`receive` gave, when that ended the reply; before_reply: the connection was lost before a byte had come. A failure
---is final: whatever is read next fails the same way
function Reply:read_head()
  if self.take then error("the head was read before", 2) end
  if self.failure or not read_last_head(self) then return failure(self) end
  return true
end

-- The next piece of the body; nil at its end, and when it failed.
local function next_piece(self)
  if self.ended or self.failure then return nil end
  return self.take(self)
end

---The next piece of the body, never an empty one; nil at its end. There is no limit to all of them.
---@return string?
---@return string? message  when it failed
---@return table? facts  as of read_head
function Reply:read_piece()
  if not self.take and not self.failure then error("the head comes before the body", 2) end
  local piece = next_piece(self)
  if self.failure then return failure(self) end
  return piece
end

-- Pieces may be of one byte each: a table of all of them would need many times their size.
local function collect(self)
  local blocks, parts, size = {}, {}, 0
  repeat
    if size + self.left > self.max_body then return too_large(self, "body", self.max_body) end
    local piece = next_piece(self)
    parts[#parts + 1] = piece
    size = size + #(piece or "")
    if #parts == parts_of_block then
      blocks[#blocks + 1] = table.concat(parts)
      parts = {}
    end
  until not piece
  blocks[#blocks + 1] = table.concat(parts)
  return table.concat(blocks)
end

---All of the body, or what is left of it.
---@return string?
---@return string? message
---@return table? facts  as of read_head
function Reply:read_body()
  if not self.take and not self.failure then error("the head comes before the body", 2) end
  local body = not self.failure and collect(self)
  if self.failure then return failure(self) end
  return body
end

---Its connection is not to be used again, whatever the server says.
function Reply:forbid_reuse()
  self.keeps = false
end

---Whether the connection may carry another request: the body was read to its end, which did not need the
---connection's, the server keeps the connection, and nothing came behind the reply.
---@return boolean
function Reply:is_reusable()
  return self.ended == true and self.keeps == true and self.at > #self.piece
end

local schema = { max_head = "number", max_body = "number", head_only = "boolean" }

---@param receive fun(): string?, string?  some bytes, never none; or nil and why: "closed", when the server ended the
---connection properly, "timeout", or another reason. It may yield
---@param given { max_head: integer?, max_body: integer?, head_only: boolean? }?  max_head: bytes of all heads, and of
---trailers, 65536; max_body: of read_body, 16 MiB; head_only: it answers a HEAD, false
---@return iot.HttpReply
function http_reply.new(receive, given)
  options.check_argument("http_reply.new", "receive", receive, "function", 2)
  local limits = options.check("http_reply.new", given, schema, 2)
  options.check_count("http_reply.new", "max_head", limits.max_head, 2)
  options.check_count("http_reply.new", "max_body", limits.max_body, 2)
  local max_head = limits.max_head or default_max_head
  return setmetatable({
    receive = receive, head_only = limits.head_only or false, max_head = max_head,
    max_body = limits.max_body or default_max_body,
    piece = "", at = 1, begun = false, room = max_head, lines_of = "head", left = 0,
  }, Reply)
end

return http_reply
