--- SHA-256, HMAC and SigV4 signatures from the openssl program: an oracle that is not ours.
-- Each call is a process, a few milliseconds; good for a handful of checks, not for thousands.
local command = require "spec.support.command"

local M = {}

local function openssl(words, input)
  local result = command.run(words, { input = input })
  return result.stdout:match "^(%x+)" or error("openssl: " .. result.stderr, 3)
end

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

---@param bytes string
---@return string hex
function M.sha256(bytes)
  return openssl({ "openssl", "dgst", "-sha256", "-r" }, bytes)
end

---@param key_hex string  the key's bytes in hexadecimal, not empty
---@param bytes string
---@return string hex
function M.hmac_sha256(key_hex, bytes)
  return openssl({ "openssl", "dgst", "-sha256", "-r", "-mac", "HMAC", "-macopt", "hexkey:" .. key_hex }, bytes)
end

--- The SigV4 signing key.
---@return string hex
function M.signing_key(secret, date, region, service)
  local key = hex("AWS4" .. secret)
  for _, step in ipairs { date, region, service, "aws4_request" } do key = M.hmac_sha256(key, step) end
  return key
end

--- The SigV4 signature of a string to sign, whose third line names the scope.
---@return string hex
function M.signature(secret, string_to_sign)
  local date, region, service = string_to_sign:match "^[^\n]*\n[^\n]*\n([^/\n]+)/([^/\n]+)/([^/\n]+)/aws4_request\n"
  return M.hmac_sha256(M.signing_key(secret, date, region, service), string_to_sign)
end

return M
