--- A home directory for a spec, with the files that hold profiles.
--
--   local directory
--   before_each(function() directory = home.new() end)
--   after_each(function() home.remove(directory) end)
--
--   home.write(directory, { config = "[default]\nregion = eu-west-1\n" })
--   environment.replace { HOME = directory }
local command = require "spec.support.command"
local files = require "spec.support.files"

local M = {}

local function run(...)
  local result = command.run { ... }
  assert(result.code == 0, result.stderr)
end

---@return string directory  with an empty .aws in it
function M.new()
  local directory = os.tmpname()
  os.remove(directory)
  run("mkdir", "-p", directory .. "/.aws")
  return directory
end

---@param directory string
---@param texts { config?: string, credentials?: string }  of the files in .aws
function M.write(directory, texts)
  for name, text in pairs(texts) do files.write(directory .. "/.aws/" .. name, text) end
end

---@param directory string
function M.remove(directory)
  run("rm", "-rf", directory)
end

return M
