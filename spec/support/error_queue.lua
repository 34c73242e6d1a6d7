--- OpenSSL's error queue, which all that use OpenSSL in a thread share: from a small C module, like fork().
--
--   local path = error_queue.library()       -- nil: it cannot be built
--   local count = error_queue.load(path)
--   assert.equal(0, count())                 -- the errors in the queue, which is empty then
local command = require "spec.support.command"

local M = {}

--- The path of the compiled module, which the caller removes; or nil where no compiler is.
---@return string?
function M.library()
  local path = os.tmpname()
  local built = command.run { os.getenv "CC" or "cc", "-shared", "-fPIC", "-o", path, "spec/support/error_queue.c",
    "-lcrypto" }
  if built.code == 0 then return path end
  os.remove(path)
end

--- The function, of a library that library() made.
---@return fun(): integer
function M.load(path)
  local take = assert(package.loadlib(path, "spec_take_error"))
  return function()
    local count = 0
    while take() ~= 0 do count = count + 1 end
    return count
  end
end

return M
