--- An nginx that calls the simulated service for whoever asks it: many requests at once, how long they take, what
--- they get, and what of it stays.
--
--   local nginx = endurance.start(sim, { workers = 4 })
--   local load = endurance.begin(nginx, "/describe?id=t&n=[1-1000]", 20)   -- twenty at a time
--   endurance.measure(nginx, "/quick", 300).longest
--   for _, line in ipairs(load:finish()) do ... end                        -- "t t=7 PID"
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"
local rig = require "spec.support.nginx"

local M = {}

local LOCATIONS = [[
  keepalive_requests 1000000;
  location = /describe { content_by_lua_block { require("spec.nginx.handlers").describe() } }
  location = /wait { content_by_lua_block { require("spec.nginx.handlers").wait() } }
  location = /memory { content_by_lua_block { require("spec.nginx.handlers").memory() } }
  location = /quick { content_by_lua_block { ngx.say "quick" } }
]]

--- Start it, with a client "usual" and others, all made in init_by_lua.
---@param sim table
---@param options { clients: table<string, table>?, server: string? }?  and those of spec/support/nginx.lua
function M.start(sim, options)
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  local clients = given.clients or {}
  clients.usual = clients.usual or sim:options()
  given.clients, given.sim = nil, sim
  given.server = LOCATIONS .. (given.server or "")
  given.init = ("require('spec.nginx.handlers').open(require('cjson').decode [====[%s]====])\n%s"):format(
    json.encode(clients), given.init or "")
  return rig.start(given)
end

local CURL = "exec env -u LD_PRELOAD curl -q -sS --noproxy '*' --max-time 60 "

---@class spec.endurance.Load
local Load = {}
Load.__index = Load

--- Wait for all replies; raises when one did not come.
---@return string[] lines
function Load:finish()
  local text = self.pipe:read "*a"
  self.pipe:close()
  local complaint = files.read(self.errors)
  os.remove(self.errors)
  if complaint ~= "" then error("a request was not answered: " .. complaint, 2) end
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

--- Begin many requests, so many at a time.
---@param nginx table
---@param paths string[]  with ranges as curl takes them: "/describe?id=task-[1-1000]"
---@param parallel integer
---@return spec.endurance.Load
function M.begin_all(nginx, paths, parallel)
  local errors, urls = files.temporary(), {}
  for i, path in ipairs(paths) do urls[i] = ("'%s%s'"):format(nginx.url, path) end
  local line = ("%s -f -Z --parallel-immediate --no-progress-meter --parallel-max %d %s 2>%s"):format(
    CURL, parallel, table.concat(urls, " "), errors)
  return setmetatable({ pipe = assert(io.popen(line)), errors = errors }, Load)
end

--- The same with one path.
---@param path string
function M.begin(nginx, path, parallel)
  return M.begin_all(nginx, { path }, parallel)
end

--- How long requests take, one after the other.
---@return { median: number, longest: number }  seconds
function M.measure(nginx, path, count)
  local pipe = assert(io.popen(("%s -f -o /dev/null -w '%%{time_total}\\n' '%s%s?[1-%d]'"):format(
    CURL, nginx.url, path, count)))
  local times = {}
  for line in pipe:lines() do times[#times + 1] = tonumber((line:gsub(",", "."))) end
  pipe:close()
  assert(#times == count, "not all requests were answered")
  table.sort(times)
  return { median = times[math.ceil(count / 2)], longest = times[count] }
end

--- Count equal lines, without the process that answered.
---@param lines string[]
---@return table<string, integer> counts
---@return table<integer, integer> processes
function M.tally(lines)
  local counts, processes = {}, {}
  for _, line in ipairs(lines) do
    local outcome, pid = line:match "^(.*) (%d+)$"
    counts[outcome] = (counts[outcome] or 0) + 1
    processes[tonumber(pid)] = (processes[tonumber(pid)] or 0) + 1
  end
  return counts, processes
end

--- What nginx's one worker holds.
---@return { resident: integer, lua: number, descriptors: integer }  kilobytes, and how many
function M.figures(nginx)
  local lua = tonumber((nginx:get("/memory").body:gsub("%s", "")))
  local listed = command.run { "sh", "-c", 'ls "/proc/$1/fd" | wc -l', "sh", tostring(nginx:pids()[1]) }
  return { resident = nginx:memory(), lua = lua, descriptors = tonumber(listed.stdout) }
end

return M
