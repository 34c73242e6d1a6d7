--- The example gateway, started against a simulator as its own script does it.
--
--   local gateway = require("spec.support.gateway").start(sim)
--   gateway.url           -- "http://127.0.0.1:23456"
--   gateway:get "/tasks"  -- { status = 200, headers = { ... }, body = "..." }
--   gateway:log()         -- what nginx wrote: "" while all is well
--   gateway:stop()
local command = require "spec.support.command"
local files = require "spec.support.files"
local runtime = require "iot.runtime"

local M = {}
local Gateway = {}
Gateway.__index = Gateway

-- Runs on when the shell has ended; the first line that it writes is the URL.
local START = [[
  out=$1
  shift
  setsid "$@" >"$out" 2>&1 </dev/null &
  for _ in $(seq 500); do
    [ ! -s "$out" ] || break
    kill -0 $! 2>/dev/null || break
    sleep 0.01
  done
  echo $!]]

local function try(sim, port)
  local self = setmetatable({ out = files.temporary() }, Gateway)
  local words = { "sh", "-c", START, "sh", self.out, "env", "-i", "PATH=" .. os.getenv "PATH" }
  for name, value in pairs(sim:environment()) do words[#words + 1] = name .. "=" .. value end
  words[#words + 1] = "spec/examples/gateway/run"
  words[#words + 1] = tostring(port)
  self.pid = command.run(words).stdout:match "%d+"
  self.url = files.read(self.out):match "^http://[^\n/]+"
  return self
end

---@param sim table  a simulator
function M.start(sim)
  local self
  for _ = 1, 5 do
    self = try(sim, 10000 + math.floor(runtime.random() * 20000))
    if self.url then return self end
    self:stop()
  end
  error("the gateway did not start: " .. tostring(self.said))
end

---@param path string
---@param options? { method: string?, timeout: number? }
---@return { status: integer, headers: table<string, string>, body: string }
function Gateway:get(path, options)
  options = options or {}
  return assert(runtime.request {
    method = options.method or "GET", url = self.url .. path, timeout = options.timeout or 15, proxy = "",
  })
end

function Gateway:log()
  return (files.read(self.out) or ""):gsub("^http[^\n]*\n", "")
end

function Gateway:stop()
  self.said = files.read(self.out)
  local script = 'kill "$1" 2>/dev/null; while kill -0 "$1" 2>/dev/null; do sleep 0.01; done'
  command.run { "sh", "-c", script, "sh", self.pid }
  os.remove(self.out)
end

return M
