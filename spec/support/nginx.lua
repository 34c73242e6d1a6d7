--- A real nginx in which specs run Lua. Its Lua is LuaJIT, whatever runs the specs; `require "iot"` finds this tree.
--
--   local nginx = require("spec.support.nginx").start { sim = sim, workers = 2 }
--   local task = nginx:run("content", [[
--     local client = assert(require("iot").new(...))
--     return client:describe_thing_registration_task { taskId = "t" }]], sim:options())
--   nginx:get "/status"  -- { status = 404, headers = { ["content-type"] = "text/html" }, body = "<html>..." }
--   nginx:log()          -- the error log: a text that is empty while all is well
--   nginx:stop()
--
-- Phases of `run`: set, rewrite, access, content, timer, balancer, header_filter, body_filter, log, ssl_cert, and
-- init and init_worker, for which nginx loads its configuration again: from then on all is as the chunk leaves it.
--
-- Nothing of the caller's environment reaches nginx, and os.getenv sees there what `env` names alone.
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"

local M = {}
local Nginx = {}
Nginx.__index = Nginx

-- How a request gets to each phase; those that need none have false.
local PHASES = { init = false, init_worker = false, ssl_cert = "https" }
for name in ("set rewrite access content timer balancer header_filter body_filter log"):gmatch "%S+" do
  PHASES[name] = "http"
end

---@class spec.nginx.options
---@field sim? table           a simulator, whose certificates nginx's Lua then trusts
---@field trusted? boolean     false: it has no lua_ssl_trusted_certificate all the same
---@field resolver? boolean    false: nginx has no resolver; else one that knows localhost and names below it
---@field workers? integer     1
---@field directives? string   more of the level http
---@field server? string       more of the level server, locations say
---@field env? table<string, string>         variables that `env` directives name
---@field hidden_env? table<string, string>  variables that none names: nginx drops them
---@field init? string         a chunk for init_by_lua; its results are nginx:result "init"
---@field init_worker? string  a chunk for init_worker_by_lua; its results are nginx:result "init_worker"
---@field log_level? string    of the error log: warn
---@field lifetime? integer    seconds after which nginx ends by itself: 600

-- What a command writes; raises when it fails.
local function output_of(words, options)
  local result = command.run(words, options)
  return result.code == 0 and result.stdout or error(
    ("exit code %d: %s%s"):format(result.code, result.stdout, result.stderr), 3)
end

--- Why no nginx can run Lua here, or nil when one can: for pending().
---@return string?
function M.missing()
  local reason = output_of({ "spec/nginx/launch", "missing" }):gsub("%s+$", "")
  return reason ~= "" and reason or nil
end

local function write_configuration(folder, options)
  local main = {
    ("error_log error.log %s;"):format(options.log_level or "warn"),
    ("worker_processes %d;"):format(options.workers or 1),
  }
  for name in pairs(options.env or {}) do main[#main + 1] = ("env %s;"):format(name) end
  local trusted = options.sim and options.trusted ~= false
    and ("lua_ssl_trusted_certificate %s;\n"):format(options.sim.ca_bundle)
  files.write(folder .. "/main.conf", table.concat(main, "\n") .. "\n")
  files.write(folder .. "/http.conf", (trusted or "") .. (options.directives or "") .. "\n")
  files.write(folder .. "/server.conf", (options.server or "") .. "\n")
end

--- Start an nginx, with all its workers ready when this returns.
---@param options? spec.nginx.options
function M.start(options)
  options = options or {}
  local folder = output_of({ "sh", "-c", 'mktemp -d "${TMPDIR:-/tmp}/iot-nginx.XXXXXX"' }):gsub("%s+$", "")
  local self = setmetatable({ folder = folder, workers = options.workers or 1, chunks = 0 }, Nginx)
  write_configuration(folder, options)
  if options.init then self:place("init", options.init) end
  if options.init_worker then self:place("init_worker", options.init_worker) end

  local words = { "spec/nginx/launch", folder, tostring(options.lifetime or 600),
    options.resolver == false and "no" or "yes" }
  for _, variables in ipairs { options.env or {}, options.hidden_env or {} } do
    for name, value in pairs(variables) do words[#words + 1] = name .. "=" .. value end
  end
  local lines = output_of(words)
  self.pid = tonumber(lines:match "NGINX_PID=(%d+)")
  self.url = "http://127.0.0.1:" .. lines:match "NGINX_HTTP=(%d+)"
  self.https_port = lines:match "NGINX_HTTPS=(%d+)"
  self:await_workers {}
  return self
end

-- Leave a chunk where nginx looks for it.
function Nginx:place(name, source, argument)
  local path = self.folder .. "/" .. name
  os.remove(path .. ".result")
  if argument ~= nil then files.write(path .. ".json", json.encode(argument)) else os.remove(path .. ".json") end
  files.write(path .. ".lua", source)
end

local function results(document)
  if document.error then error(document.error, 0) end
  local values = {}
  for i = 1, document.count do values[i] = document.values[tostring(i)] end
  return values, document.count
end

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

--- What the chunk of the phase init or init_worker returned (of several workers: in the last one); raises its error.
---@param phase "init"|"init_worker"
function Nginx:result(phase)
  local text = assert(files.read(self.folder .. "/" .. phase .. ".result"))
  local values, count = results(json.decode(text))
  return unpack(values, 1, count)
end

-- The file is there once the chunk has ended, which after some phases is later than the reply.
local REQUEST = [[
  url=$1 result=$2 seconds=$3 looks=$4
  shift 4
  curl -q -sS -o /dev/null --noproxy '*' --max-time "$seconds" "$@" "$url" 2>&1 || looks=1
  for _ in $(seq "$looks"); do
    [ ! -e "$result" ] || exit 0
    sleep 0.01
  done
  exit 1]]

local function request(self, phase, name, seconds)
  local url, more = self.url .. "/run/" .. phase .. "?" .. name, {}
  if PHASES[phase] == "https" then
    url = ("https://%s.localhost:%s/"):format(name, self.https_port)
    more = { "-k", "--resolve", ("%s.localhost:%s:127.0.0.1"):format(name, self.https_port) }
  end
  local result = self.folder .. "/" .. name .. ".result"
  local looks = ("%d"):format(math.ceil(seconds * 100))
  local done = command.run({ "sh", "-c", REQUEST, "sh", url, result, tostring(seconds), looks, unpack(more) },
    { timeout = 2 * seconds + 10 })
  if done.code ~= 0 then
    error(("nothing came of the chunk in the phase %s: %s%s"):format(phase, done.stdout, self:log()), 3)
  end
end

--- Run a chunk in this phase of a request, or of nginx's life. It gets the argument as `...`.
---@param phase string
---@param source string  Lua
---@param argument? any  of JSON
---@param seconds? number  how long it may take: 10
---@return any ...  what the chunk returned, as JSON has it; its error is raised
function Nginx:run(phase, source, argument, seconds)
  assert(PHASES[phase] ~= nil, "no phase " .. phase)
  local name = phase
  if PHASES[phase] then
    self.chunks = self.chunks + 1
    name = "chunk-" .. self.chunks
  end
  self:place(name, source, argument)
  if PHASES[phase] then request(self, phase, name, seconds or 10) else self:reload() end
  return self:result(name)
end

--- A GET from outside.
---@param path string  with a query, or without
---@param options? { timeout: number?, headers: table<string, string>? }
---@return { status: integer, headers: table<string, string>, body: string }  names of headers in small letters
function Nginx:get(path, options)
  options = options or {}
  local words = { "curl", "-q", "-sS", "-i", "--noproxy", "*", "--path-as-is", "--max-time",
    tostring(options.timeout or 10) }
  for name, value in pairs(options.headers or {}) do
    words[#words + 1] = "-H"
    words[#words + 1] = name .. ": " .. value
  end
  words[#words + 1] = self.url .. path
  local head, body = output_of(words, { timeout = (options.timeout or 10) + 5 }):match "^(.-\r\n)\r\n(.*)$"
  local headers = {}
  for name, value in head:gmatch "\n([^:\r\n]+): *([^\r\n]*)" do headers[name:lower()] = value end
  return { status = tonumber(head:match "^HTTP/%S+ (%d+)"), headers = headers, body = body }
end

--- The error log so far.
---@return string
function Nginx:log()
  return files.read(self.folder .. "/error.log") or ""
end

-- Processes of the master, by the titles that nginx gives them: a worker has its own when it is ready, and another
-- while it finishes its last requests.
local WORKERS = [==[
  for status in $(grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status); do
    process=${status%/status}
    title=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
    case $title in
      'nginx: worker process is shutting down'*) ;;
      'nginx: worker process'*) echo "${process#/proc/}" ;;
    esac
  done]==]

--- The process ids of the workers that take requests.
---@return integer[]
function Nginx:pids()
  local pids = {}
  for pid in output_of({ "sh", "-c", WORKERS, "sh", tostring(self.pid) }):gmatch "%d+" do
    pids[#pids + 1] = tonumber(pid)
  end
  return pids
end

--- The resident memory of these workers.
---@return integer kilobytes
function Nginx:memory()
  local total = 0
  for _, pid in ipairs(self:pids()) do
    total = total + tonumber((files.read(("/proc/%d/status"):format(pid)) or ""):match "VmRSS:%s*(%d+)" or 0)
  end
  return total
end

--- Wait until as many workers take requests as there are to be, none of which is in `old`.
---@param old table<integer, boolean>
function Nginx:await_workers(old)
  for _ = 1, 200 do
    local pids, fresh = self:pids(), 0
    for _, pid in ipairs(pids) do fresh = fresh + (old[pid] and 0 or 1) end
    if fresh == self.workers and #pids == fresh then return end
    command.run { "sleep", "0.02" }
  end
  error("nginx has not got its workers: " .. self:log(), 3)
end

--- Have the configuration loaded again; other workers take the requests when this returns.
function Nginx:reload()
  local old = {}
  for _, pid in ipairs(self:pids()) do old[pid] = true end
  output_of { "sh", "-c", 'kill -HUP "$1"', "sh", tostring(self.pid) }
  self:await_workers(old)
end

--- Stop, and wait until nginx's folder is gone. Safe to call twice.
function Nginx:stop()
  if not self.pid then return end
  local script = 'kill "$1"; for _ in $(seq 500); do [ -e "$2" ] || exit 0; sleep 0.01; done; exit 1'
  output_of { "sh", "-c", script, "sh", tostring(self.pid), self.folder }
  self.pid = nil
end

return M
