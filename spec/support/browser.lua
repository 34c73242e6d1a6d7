--- Headless Chromium, steered over WebDriver (W3C), for specs that look at a page.
--
--   local browser = require("spec.support.browser").start()
--   browser:open "http://127.0.0.1:8080/"
--   browser:run "return document.title"                    -- what a script returns, as JSON has it
--   browser:wait "return document.querySelector('h1')"     -- until it returns neither false nor null
--   browser:screenshot "page.png"
--   browser:stop()
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"
local runtime = require "iot.runtime"

local M = {}
local Browser = {}
Browser.__index = Browser

local LIFETIME = 120 -- seconds, should nobody stop it

-- What else it would do: ask the network for updates, and sandbox itself, which root may not.
local ARGUMENTS = {
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
}

--- Why no browser can be had here, or nil when one can: for pending().
---@return string?
function M.missing()
  if command.run({ "sh", "-c", "command -v chromedriver" }).code == 0 then return nil end
  return "chromedriver is not installed: make deps DEPS=browser"
end

local function call(self, method, path, body)
  local reply = assert(runtime.request {
    method = method, url = self.url .. path, timeout = 60, proxy = "",
    headers = { { "Content-Type", "application/json" } },
    body = method == "POST" and (body or "{}") or nil,
  })
  local value = json.decode(reply.body).value
  if reply.status == 200 then return value end
  error(type(value) == "table" and value.message or reply.body, 0)
end

-- The driver writes which port it took; its browser has a profile in the same folder.
local START = [[
  folder=$(mktemp -d "${TMPDIR:-/tmp}/iot-browser.XXXXXX")
  setsid sh -c '
    trap : TERM
    HOME=$1 timeout --foreground -k 5 "$2" chromedriver --port=0 >"$1/out" 2>&1
    rm -rf "$1"
  ' sh "$folder" "$1" >/dev/null 2>&1 </dev/null &
  for _ in $(seq 1000); do
    port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' "$folder/out" 2>/dev/null)
    [ -z "$port" ] || break
    sleep 0.01
  done
  echo "$folder $port $!"]]

---@param options? { width: integer?, height: integer?, dark: boolean? }
function M.start(options)
  options = options or {}
  local started = command.run { "sh", "-c", START, "sh", tostring(LIFETIME) }
  local folder, port, pid = started.stdout:match "(%S+) (%d+) (%d+)"
  assert(port, "chromedriver did not start")
  local self = setmetatable({ folder = folder, pid = pid, url = "http://127.0.0.1:" .. port }, Browser)
  local arguments = { ("--window-size=%d,%d"):format(options.width or 1100, options.height or 800) }
  for i, argument in ipairs(ARGUMENTS) do arguments[i + 1] = argument end
  arguments[#arguments + 1] = "--user-data-dir=" .. folder .. "/profile"
  if options.dark then arguments[#arguments + 1] = "--force-dark-mode" end
  local session = call(self, "POST", "/session", json.encode {
    capabilities = { alwaysMatch = { ["goog:chromeOptions"] = { args = arguments } } },
  })
  self.session = "/session/" .. session.sessionId
  return self
end

---@param url string
function Browser:open(url)
  call(self, "POST", self.session .. "/url", json.encode { url = url })
end

---@param script string  the body of a function
---@return any  what it returned
function Browser:run(script)
  local body = json.encode({ script = script, args = { 1 } }):gsub('"args":%[1%]', '"args":[]')
  local value = call(self, "POST", self.session .. "/execute/sync", body)
  if type(value) == "userdata" then return nil end -- null
  return value
end

--- Run a script again and again until it gives something.
---@param script string
---@param seconds? number  10
---@return any
function Browser:wait(script, seconds)
  local deadline = runtime.monotonic() + (seconds or 10)
  repeat
    local value = self:run(script)
    if value then return value end
    runtime.sleep(0.05)
  until runtime.monotonic() > deadline
  error("the page does not get there: " .. script, 2)
end

--- Write what is seen to a PNG file.
---@param path string
function Browser:screenshot(path)
  local encoded = call(self, "GET", self.session .. "/screenshot")
  files.write(path .. ".base64", encoded)
  command.run { "sh", "-c", 'base64 -d "$1.base64" >"$1" && rm "$1.base64"', "sh", path }
end

function Browser:stop()
  pcall(call, self, "DELETE", self.session)
  -- Its shell removes the folder when the driver has ended.
  local script = 'kill -s TERM -- "-$1" 2>/dev/null; for _ in $(seq 500); do [ -e "$2" ] || exit 0; sleep 0.01; done'
  command.run { "sh", "-c", script, "sh", self.pid, self.folder }
end

return M
