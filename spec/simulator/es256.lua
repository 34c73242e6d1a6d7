-- ES256 (RFC 7518, 3.4): is this text signed by the holder of that key? By nginx's libcrypto.

local ffi = require "ffi"
require "simulator.digest" -- declares EVP_sha256
local C = ffi.C

ffi.cdef [[
  void *d2i_PUBKEY(void **key, const unsigned char **data, long size);
  void EVP_PKEY_free(void *key);
  void *EVP_MD_CTX_new(void);
  void EVP_MD_CTX_free(void *context);
  int EVP_DigestVerifyInit(void *context, void **key_context, const void *algorithm, void *engine, void *key);
  int EVP_DigestVerify(void *context, const unsigned char *signature, size_t signature_size,
                       const unsigned char *data, size_t size);
]]

local M = {}

-- A SubjectPublicKeyInfo for P-256, up to the two coordinates.
local PREFIX = ("3059301306072a8648ce3d020106082a8648ce3d03010703420004"):gsub("%x%x", function(digits)
  return string.char(tonumber(digits, 16))
end)

local function der_integer(bytes)
  bytes = bytes:gsub("^%z+", "")
  if bytes == "" or bytes:byte() >= 0x80 then
    bytes = "\0" .. bytes
  end
  return "\2" .. string.char(#bytes) .. bytes
end

-- *point* is x and y, *signature* r and s, each number in 32 bytes.
function M.verify(point, text, signature)
  if #point ~= 64 or #signature ~= 64 then
    return false
  end
  local info = PREFIX .. point
  local key = C.d2i_PUBKEY(nil, ffi.new("const unsigned char *[1]", { info }), #info)
  if key == nil then
    return false
  end
  local numbers = der_integer(signature:sub(1, 32)) .. der_integer(signature:sub(33))
  local der = "\48" .. string.char(#numbers) .. numbers
  local context = C.EVP_MD_CTX_new()
  local good = C.EVP_DigestVerifyInit(context, nil, C.EVP_sha256(), nil, key) == 1
    and C.EVP_DigestVerify(context, der, #der, text, #text) == 1
  C.EVP_MD_CTX_free(context)
  C.EVP_PKEY_free(key)
  return good
end

return M
