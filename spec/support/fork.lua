--- fork() and signals, which plain Lua has not: from a small C module that is compiled when it is first asked for.
--
-- A program that calls it runs in a process of its own (spec.support.child), never in that of the specs:
--
--   local fork, wait, leave = require("spec.support.fork").load(PATH)   -- what library() gave
--   if fork() == 0 then leave() end
--   assert(wait() == 0)
local M = {}

--- The path of the compiled module, which the caller removes; or nil where no compiler is.
---@return string?
function M.library()
  local command = require "spec.support.command"
  local path = os.tmpname()
  local built = command.run { os.getenv "CC" or "cc", "-shared", "-fPIC", "-o", path, "spec/support/fork.c" }
  if built.code == 0 then return path end
  os.remove(path)
end

--- The functions fork, wait and leave, of a library that library() made; then storm and ignore_children.
function M.load(path)
  local function named(name) return assert(package.loadlib(path, name)) end
  return named "spec_fork", named "spec_wait", named "spec_leave",
    named "spec_storm", named "spec_ignore_children"
end

return M
