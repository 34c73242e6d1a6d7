---The providers of a client, asked in their order (reference 7.1).
local profiles = require "iot.config.profiles"
local static = require "iot.credentials.static"
local variables = require "iot.config.variables"

local chain = {}

---All that a provider may know of the client it works for.
---@class iot.Context
---@field runtime iot.Runtime
---@field region string
---@field profiles iot.Profiles  what the files hold
---@field profile table<string, string>?  the selected one
---@field endpoint_for fun(service: iot.ServiceName, region: string?): string?, string?, string?
---@field clock_skew iot.ClockSkew?  of the client; learnt from any service that it signs for
---@field connect_timeout number
---@field ca_bundle string?
---@field proxy string?
---@field mfa_code (fun(serial: string): string?, string?)?  asks the user
---@field device table?  the option `device`

-- A profile that the caller names by the option leaves the keys of the environment out.
local default_order = { "environment", "profile", "web_identity", "container", "imds" }
local profile_order = { "profile", "web_identity", "container", "imds" }

local function ready(provider)
  return function() return provider end
end

---The makers of the providers to ask, which are made when it is their turn.
---@param context iot.Context
---@param option iot.Credentials|fun(): iot.Credentials?, string?|nil  the option `credentials`
---@param names_profile boolean  the option `profile` was given
---@return table[]? makers  each { name, make }; `note` is for the message when none has any
---@return string? message
function chain.makers(context, option, names_profile)
  if type(option) == "function" then
    return { { name = "function", make = ready(static.from_function(option)) } }
  elseif option ~= nil then
    local provider, message = static.from_record(option)
    if not provider then return nil, message end
    return { { name = "static", make = ready(provider) } }
  end
  local makers = { note = context.profiles and profiles.passed_over(context.profiles) }
  local order = context.device and { "device" } or names_profile and profile_order or default_order
  for _, name in ipairs(order) do
    makers[#makers + 1] = { name = name, make = function()
      return require("iot.credentials." .. name).new(context)
    end }
  end
  return makers
end

local function prefixed(name, message)
  return name .. ": " .. tostring(message or "no reason was given")
end

-- The provider of a maker and its credentials; or nil, the reason and a code.
local function try(maker, deadline)
  local provider, message, code = maker.make()
  if not provider then return nil, nil, message, code end
  local record
  record, message, code = provider.fetch(deadline)
  return record, provider, message, code
end

---The credentials of the first provider that has any. One that is not set up is passed over; one that
---is, but fails, ends the search with its reason, and so does an interrupt.
---@param makers table[]
---@param deadline number?
---@return iot.Credentials? record
---@return iot.Provider|string provider  or the message
---@return string? code
function chain.fetch(makers, deadline)
  local reasons = {}
  for _, maker in ipairs(makers) do
    local record, provider, message, code = try(maker, deadline)
    if record then return record, provider end
    reasons[#reasons + 1] = prefixed(maker.name, message)
    if code == "Interrupted" then
      return nil, "the search for credentials was interrupted: " .. reasons[#reasons], code
    elseif code ~= "NoCredentials" then
      return nil, "the credentials cannot be used: " .. reasons[#reasons], code or "CredentialsFailed"
    end
  end
  return nil, "no credentials were found: " .. table.concat(reasons, "; ") .. (makers.note or "")
    .. variables.note(), "NoCredentials"
end

return chain
