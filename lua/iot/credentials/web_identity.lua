---A role for a token that someone else keeps fresh in a file, as Kubernetes does (reference 7.4).
local core = require "iot.core"
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local sts = require "iot.credentials.sts"
local variables = require "iot.config.variables"

local web_identity = {}

local min_token, max_token = 4, 20000 -- bytes that STS accepts

local token_variable = "AWS_WEB_IDENTITY_TOKEN_FILE"
local variable_names = { role_arn = "AWS_ROLE_ARN", role_session_name = "AWS_ROLE_SESSION_NAME" }

-- The whole file, verbatim. The reason says where it comes from, never what it holds.
local function read_token(path, source)
  local where = ("the token file %s, which %s names, "):format(excerpt.line(path, 256), source)
  local token, message = core.read_file(path, max_token)
  if not token then return nil, where .. "cannot be read: " .. excerpt.line(message, 200) end
  if #token < min_token then return nil, where .. "holds no token" end
  return token
end

-- The file is read on every fetch: tokens are replaced before they expire.
local function new_provider(context, step, feature, source)
  local policy = exchange.policy(context.runtime)
  local function fetch(deadline)
    local token, message = read_token(step.web_identity_token_file, source)
    if not token then return nil, message, "CredentialsFailed" end
    return sts.assume_role_with_web_identity(context, step, token, deadline, policy)
  end
  return { name = "web_identity", feature = feature, fetch = fetch }
end

---The provider of the environment. A profile adds nothing to it: the two never mix.
---@param context iot.Context
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function web_identity.new(context)
  local path = variables.get(token_variable)
  if not path then return nil, token_variable .. " is not set", "NoCredentials" end
  local step = {
    web_identity_token_file = path,
    role_arn = variables.get("AWS_ROLE_ARN"),
    role_session_name = variables.get("AWS_ROLE_SESSION_NAME"),
  }
  if not step.role_arn then
    return nil, token_variable .. " is set, but AWS_ROLE_ARN is not", "InvalidCredentials"
  end
  local ok, message = sts.check(context, step, variable_names)
  if not ok then return nil, message, "InvalidCredentials" end
  return new_provider(context, step, "h,k", token_variable)
end

---The provider of a profile. The environment adds nothing to it.
---@param context iot.Context
---@param step iot.sts.Step  with `web_identity_token_file`, of profile.resolve
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function web_identity.from_profile(context, step)
  local ok, message = sts.check(context, step)
  if not ok then return nil, message, "InvalidProfile" end
  return new_provider(context, step, "q,k", "web_identity_token_file")
end

return web_identity
