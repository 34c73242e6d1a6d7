---Base64 with the alphabet of URLs and without padding (RFC 4648, section 5), as JWTs want it.
local base64url = {}

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- By arithmetic: Lua 5.1 has no operators on bits.
local function digit(number, unit)
  local at = math.floor(number / unit) % 64 + 1
  return alphabet:sub(at, at)
end

---@param bytes string
---@return string
function base64url.encode(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local first, second, third = bytes:byte(at, at + 2)
    local number = first * 65536 + (second or 0) * 256 + (third or 0)
    out[#out + 1] = digit(number, 262144)
    out[#out + 1] = digit(number, 4096)
    if second then out[#out + 1] = digit(number, 64) end
    if third then out[#out + 1] = digit(number, 1) end
  end
  return table.concat(out)
end

return base64url
