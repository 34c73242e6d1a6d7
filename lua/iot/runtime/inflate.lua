---Uncompressing gzip (RFC 1952) piece by piece, where there is no libcurl to do it: by the zlib that nginx is linked
---with, through LuaJIT's FFI.
local inflate = {}

local room_size = 65536 -- bytes of a piece that comes out
local end_of_stream, needs_input = 1, -5 -- zlib's Z_STREAM_END and Z_BUF_ERROR
local gzip_only = 15 + 16 -- the window's size, and that a gzip header is expected

local declarations = [[
  typedef struct {
    const unsigned char *next_in; unsigned avail_in; unsigned long total_in;
    unsigned char *next_out; unsigned avail_out; unsigned long total_out;
    const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
    int data_type; unsigned long adler; unsigned long reserved;
  } iot_z_stream;
  const char *zlibVersion(void);
  int inflateInit2_(iot_z_stream *stream, int bits, const char *version, int size);
  int inflate(iot_z_stream *stream, int flush);
  int inflateEnd(iot_z_stream *stream);
]]

-- The library, and the FFI; nil where there is none.
local function load_zlib()
  local found, ffi = pcall(require, "ffi")
  if not found then return nil end
  pcall(ffi.cdef, declarations) -- which may be known already
  for _, name in ipairs { "", "z", "libz.so.1" } do
    local ok, library = pcall(function()
      local opened = name == "" and ffi.C or ffi.load(name)
      return opened.inflateInit2_ and opened
    end)
    if ok then return library, ffi end
  end
end

---@class iot.Inflater
---@field package stream any
---@field package room any
---@field package input string  that the stream reads
---@field is_complete boolean  the end of what is compressed has come
local Inflater = {}
Inflater.__index = Inflater

---@return iot.Inflater?
---@return string? message
function inflate.new()
  local zlib, ffi = load_zlib()
  if not zlib then return nil, "zlib cannot be found" end
  local stream = ffi.gc(ffi.new "iot_z_stream", zlib.inflateEnd)
  if zlib.inflateInit2_(stream, gzip_only, zlib.zlibVersion(), ffi.sizeof "iot_z_stream") ~= 0 then
    return nil, "zlib cannot begin"
  end
  return setmetatable({
    zlib = zlib, ffi = ffi, stream = stream, room = ffi.new("unsigned char[?]", room_size), input = "",
    is_complete = false,
  }, Inflater)
end

---Give it what comes next, once `next` has given all of what came before.
---@param bytes string
function Inflater:feed(bytes)
  self.input = bytes -- which anchors it
  self.stream.next_in, self.stream.avail_in = self.ffi.cast("const unsigned char *", bytes), #bytes
end

---A piece that is uncompressed, never an empty one; nil when that needs more input, or when it is complete.
---@return string?
---@return string? message  when it is no gzip, or goes on behind its end
function Inflater:next()
  local stream = self.stream
  if self.is_complete then
    if stream.avail_in > 0 then return nil, "it goes on behind the end of what is compressed" end
    return nil
  end
  if stream.avail_in == 0 and stream.avail_out > 0 then return nil end
  stream.next_out, stream.avail_out = self.room, room_size
  local status = self.zlib.inflate(stream, 0)
  if status == end_of_stream then
    self.is_complete = true
  elseif status ~= 0 and status ~= needs_input then
    return nil, "what is compressed is damaged"
  end
  local size = room_size - stream.avail_out
  if size > 0 then return self.ffi.string(self.room, size) end
  return self.is_complete and self:next() or nil
end

return inflate
