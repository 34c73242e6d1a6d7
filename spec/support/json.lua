--- JSON for the specs, from whichever library is installed: cjson, else dkjson.
-- Failures raise: what the specs read is either their own or data they can do nothing without.
local has_cjson, cjson = pcall(require, "cjson")
local dkjson = not has_cjson and require "dkjson"

local M = {}

---@param text string
---@return any value
function M.decode(text)
  if has_cjson then return cjson.decode(text) end
  local value, _, message = dkjson.decode(text)
  return message and error(message, 2) or value
end

---@param value any
---@return string text
function M.encode(value)
  return (has_cjson and cjson or dkjson).encode(value)
end

return M
