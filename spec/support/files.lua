--- Whole files in and out, as bytes.
local M = {}

---@param path string
---@return string? bytes
---@return string? message  why not, naming the path
function M.read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local bytes = file:read "*a"
  file:close()
  if not bytes then return nil, path .. ": cannot be read" end
  return bytes
end

---@param path string
---@param bytes string
function M.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

--- The name of a new, empty file that the caller removes.
---@return string path
function M.temporary()
  local path = os.tmpname()
  M.write(path, "")
  return path
end

return M
