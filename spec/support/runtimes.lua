--- Where the specs themselves run: in plain Lua or, so that every call waits with another runtime, in functions that
--- iot.map runs, or inside a real nginx. The variable IOT_SPEC_RUNTIME says where: empty, "concurrent" or "nginx".
--- What is left out there stands in spec/support/left_out.lua.
--
--   runtimes.run()     -- busted, with the arguments of this program
local M = {}

---@type "blocking"|"concurrent"|"nginx"
M.name = os.getenv "IOT_SPEC_RUNTIME" or ""
if M.name == "" then M.name = "blocking" end

M.WHERE = { concurrent = "in iot.map", nginx = "inside nginx" }

-- Whether libcurl sends, whose words are in messages.
M.is_curl = M.name ~= "nginx"

-- Whether the runtime can start programs: nginx needs a patch of OpenResty's for that.
M.has_programs = M.is_curl or (pcall(require, "ngx.pipe"))

-- What nginx, and the commands that specs run there, need of the environment.
local KEPT = { "HOME", "TMPDIR", "CC", "LUA", "LUA_PATH", "LUA_CPATH", "LD_LIBRARY_PATH", "NGINX", "IOT_SPEC_RUNTIME" }

local SECONDS = 300 -- that all specs may take inside nginx

-- The timer that runs them.
local CHUNK = [[return require("spec.support.runtimes").inside(...)]]

local function busted()
  require "busted.runner" { standalone = false }
end

--- For what can run in plain Lua alone: elsewhere the spec that asks for it is left out.
---@param reason string
function M.leave_out(reason)
  if M.pending then M.pending(reason) end
end

--- Inside nginx: busted, which ends by itself, not with the worker, and writes to a file.
---@param given { output: string, arguments: string[] }
---@return boolean  whether all is well
function M.inside(given)
  local exit, ended = os.exit, {}
  function os.exit(code) -- luacheck: ignore 122
    ended.well = code == 0 or code == true
    error(ended, 0)
  end
  rawset(_G, "arg", given.arguments)
  io.output(given.output)
  local ok, raised = pcall(busted)
  if raised and raised ~= ended and not ok then io.write(tostring(raised), "\n") end
  io.close(io.output())
  io.output(io.stdout)
  os.exit = exit -- luacheck: ignore 122
  return ok or ended.well == true
end

local function in_nginx()
  local files = require "spec.support.files"
  local rig, simulator = require "spec.support.nginx", require "spec.support.simulator"
  local missing = rig.missing() or simulator.missing()
  if missing then error("no specs can run inside nginx: " .. missing, 0) end
  -- Whom its Lua trusts nginx knows from the start on, so all simulators there have the certificates of this one.
  local sim = simulator.start()
  local variables = { PATH = os.getenv "PATH", SIMULATOR_CERTIFICATES = sim.folder }
  for _, name in ipairs(KEPT) do variables[name] = os.getenv(name) end
  local nginx = rig.start { sim = sim, env = variables, directives = "lua_socket_pool_size 256;" }

  local given = { output = nginx.folder .. "/output", arguments = {} }
  for index, argument in ipairs(arg) do given.arguments[index] = argument end
  table.insert(given.arguments, 1, "--directory=" .. require("lfs").currentdir())
  local ran, is_well = pcall(nginx.run, nginx, "timer", CHUNK, given, SECONDS)
  io.write(files.read(given.output) or "")
  if not ran then io.stderr:write(is_well, "\n", nginx:log()) end
  nginx:stop()
  sim:stop()
  os.exit(ran and is_well and 0 or 1, true)
end

--- Ends the process when a spec has failed.
function M.run()
  if M.name == "blocking" then return busted() end
  assert(M.WHERE[M.name], "there is no runtime " .. M.name)
  if M.name == "concurrent" and _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
    error("no specs can run in iot.map on Lua 5.1, where nothing waits across a pcall", 0)
  end
  table.insert(arg, 1, "--helper=spec.support.left_out")
  if M.name == "nginx" then in_nginx() else busted() end
end

return M
