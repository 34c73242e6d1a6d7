---The User-Agent header, in the structure that AWS's SDKs share (reference 8.1).
local core = require "iot.core"
local variables = require "iot.config.variables"

local user_agent = {}

local families = { Linux = "linux", Darwin = "macos", Windows = "windows" }

local retry_features = { standard = "E", adaptive = "F" }

-- What a token may not hold becomes "-".
local function token(text)
  return (text:gsub("[^%w!$%%&'*+%-.^_`|~,]", "-"))
end

local function pair(name, value)
  return name .. "#" .. token(value)
end

local function system_part(system)
  local name = system.name or "unknown"
  local family = families[name]
  if family then return pair("os/" .. family, system.release or "unknown") end
  return "os/other " .. pair("md/" .. token(name), system.release or "unknown")
end

local function language_part()
  local part = pair("lang/lua", _VERSION:match("%d+%.%d+") or "unknown")
  local jit = rawget(_G, "jit")
  return jit and part .. " " .. pair("md/luajit", jit.version:match("%d.*") or "unknown") or part
end

---@param facts { credentials_feature: string?, custom_endpoint: boolean, app_id: string?,
---retry_mode: ("standard"|"adaptive")?, waiter: boolean? }
---`credentials_feature` is the SDKs' id of the way the credentials came; `waiter` tells that the call is one
---of a wait.
---@return string
function user_agent.build(facts)
  local system = core.system()
  local execution = variables.get("AWS_EXECUTION_ENV")
  local features = {}
  if facts.waiter then features[#features + 1] = "B" end
  features[#features + 1] = retry_features[facts.retry_mode]
  if facts.custom_endpoint then features[#features + 1] = "N" end
  features[#features + 1] = facts.credentials_feature

  local parts = {
    "aws-sdk-lua-iot/" .. token(core.version), "ua/2.1", "api/iot#2015-05-28", system_part(system),
    pair("md/arch", system.machine or "unknown"), language_part(), pair("md/libcurl", system.libcurl),
  }
  local function add(condition, part)
    if condition then parts[#parts + 1] = part() end
  end
  add(execution, function() return "exec-env/" .. token(execution) end)
  add(#features > 0, function() return "m/" .. table.concat(features, ",") end)
  add(facts.retry_mode, function() return pair("cfg/retry-mode", facts.retry_mode) end)
  add(facts.app_id, function() return "app/" .. token(facts.app_id) end)
  return table.concat(parts, " ")
end

return user_agent
