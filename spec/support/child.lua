--- Lua programs in processes of their own: for what the environment, or a whole process, decides.
local command = require "spec.support.command"
local files = require "spec.support.files"
local runtimes = require "spec.support.runtimes"

-- The real one: a spec may have replaced it by the time that it starts a child.
local getenv = os.getenv

local M = {}

-- What a child needs of the environment. Nothing else of it is passed on, neither an account's
-- variables nor a proxy's.
local KEPT = {
  "PATH", "HOME", "TMPDIR", "LUA_PATH", "LUA_CPATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS",
  "LSAN_OPTIONS",
}

local function interpreter()
  local named = getenv "LUA"
  if named and named ~= "" then return named end
  return rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d%.%d"
end

--- Run a program in a file with these variables and none else, signals at their defaults.
---@param path string
---@param arguments string[]
---@param variables? table<string, string>
---@param options? { timeout: number?, input: string? }
---@return spec.command.result
function M.run_file(path, arguments, variables, options)
  runtimes.leave_out "it is about a program in a process of its own, which runs in plain Lua"
  local words = { "env", "--default-signal", "-i" }
  for _, name in ipairs(KEPT) do
    local value = getenv(name)
    if value then words[#words + 1] = name .. "=" .. value end
  end
  for name, value in pairs(variables or {}) do words[#words + 1] = name .. "=" .. value end
  words[#words + 1] = interpreter()
  words[#words + 1] = path
  for _, argument in ipairs(arguments) do words[#words + 1] = argument end
  return command.run(words, options)
end

--- The same, for a program as a text.
---@param program string  Lua source
---@param variables? table<string, string>
---@param options? { timeout: number? }
---@return spec.command.result
function M.run(program, variables, options)
  local path = files.temporary()
  files.write(path, program)
  local result = M.run_file(path, {}, variables, options)
  os.remove(path)
  return result
end

--- The same, for a program that must succeed; returns what it wrote.
---@return string
function M.output(program, variables, options)
  local result = M.run(program, variables, options)
  return result.code == 0 and result.stdout or error(
    ("exit code %s: %s%s"):format(tostring(result.code), result.stdout, result.stderr), 2)
end

return M
