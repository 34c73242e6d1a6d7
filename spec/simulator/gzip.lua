-- gzip by zlib, as RFC 1952 has it: one member, made piece by piece.

local ffi = require "ffi"

ffi.cdef [[
  typedef struct {
    const unsigned char *next_in; unsigned int avail_in; unsigned long total_in;
    unsigned char *next_out; unsigned int avail_out; unsigned long total_out;
    const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
    int data_type; unsigned long adler; unsigned long reserved;
  } simulator_z_stream;
  const char *zlibVersion(void);
  int deflateInit2_(simulator_z_stream *stream, int level, int method, int window_bits, int memory_level,
                    int strategy, const char *version, int size);
  int deflate(simulator_z_stream *stream, int flush);
  int deflateEnd(simulator_z_stream *stream);
]]

local found, zlib = pcall(ffi.load, "libz.so.1")
if not found then
  zlib = ffi.load("z")
end

local FAST, DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, DEFAULT_STRATEGY = 1, 8, 31, 8, 0
local NO_FLUSH, FINISH = 0, 4
local CHUNK = 65536
local TURN = 16 * 1048576    -- bytes

local M = {}

local function open()
  local stream = ffi.new("simulator_z_stream")
  assert(zlib.deflateInit2_(stream, FAST, DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, DEFAULT_STRATEGY, zlib.zlibVersion(),
    ffi.sizeof(stream)) == 0, "deflateInit2 failed")
  return ffi.gc(stream, zlib.deflateEnd)
end

-- The texts of an iterator, compressed: a list of texts, and how many bytes they are. Now and then others may run.
function M.compress(pieces)
  local stream, chunk, list, size = open(), ffi.new("unsigned char[?]", CHUNK), {}, 0
  local function feed(text, flush)
    stream.next_in, stream.avail_in = text, #text
    repeat
      stream.next_out, stream.avail_out = chunk, CHUNK
      assert(zlib.deflate(stream, flush) >= 0, "deflate failed")
      local count = CHUNK - stream.avail_out
      if count > 0 then
        list[#list + 1] = ffi.string(chunk, count)
        size = size + count
      end
    until stream.avail_out > 0
  end
  local held = 0
  for piece in pieces do
    feed(piece, NO_FLUSH)
    held = held + #piece
    if held > TURN then
      held = 0
      ngx.sleep(0.001)
    end
  end
  feed("", FINISH)
  zlib.deflateEnd(ffi.gc(stream, nil))
  return list, size
end

return M
