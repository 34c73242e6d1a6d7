-- SHA-256, HMAC and random bytes from the libcrypto that nginx itself is linked with. Nothing here
-- is shared with the library under test.

local ffi = require "ffi"
local C = ffi.C

ffi.cdef [[
  unsigned char *SHA256(const unsigned char *data, size_t size, unsigned char *digest);
  const void *EVP_sha256(void);
  unsigned char *HMAC(const void *algorithm, const void *key, int key_size,
                      const unsigned char *data, size_t size, unsigned char *digest, unsigned int *digest_size);
  int RAND_bytes(unsigned char *bytes, int size);
]]

local DIGEST_SIZE = 32
local digest = ffi.new("unsigned char[?]", DIGEST_SIZE)

local M = {}

function M.sha256(data)
  assert(C.SHA256(data, #data, digest) ~= nil, "SHA256 failed")
  return ffi.string(digest, DIGEST_SIZE)
end

function M.hmac(key, data)
  assert(C.HMAC(C.EVP_sha256(), key, #key, data, #data, digest, nil) ~= nil, "HMAC failed")
  return ffi.string(digest, DIGEST_SIZE)
end

local HEX = {}
for byte = 0, 255 do
  HEX[string.char(byte)] = ("%02x"):format(byte)
end

function M.hex(bytes)
  return (bytes:gsub(".", HEX))
end

function M.random(size)
  local bytes = ffi.new("unsigned char[?]", size)
  assert(C.RAND_bytes(bytes, size) == 1, "RAND_bytes failed")
  return ffi.string(bytes, size)
end

-- A random identifier, as tasks and requests have them (UUID version 4).
function M.uuid()
  local bytes = { M.random(16):byte(1, -1) }
  bytes[7] = bytes[7] % 16 + 0x40
  bytes[9] = bytes[9] % 64 + 0x80
  return (M.hex(string.char(unpack(bytes))):gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)", "%1-%2-%3-%4-"))
end

return M
