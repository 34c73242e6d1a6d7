---Credentials of a profile: a base, and the roles that are assumed with it, one after the other
---(reference 7.5).
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local profiles = require "iot.config.profiles"
local sts = require "iot.credentials.sts"
local web_identity = require "iot.credentials.web_identity"

local profile = {}

---How a profile gets its credentials: the first step is the base, the others are "AssumeRole".
---@class iot.profile.Step: iot.sts.Step
---@field kind "AccessKey"|"NamedSource"|"WebIdentityToken"|"Sso"|"Process"|"Login"|"AssumeRole"
---@field profile string  the profile that it stands in

-- By what they are called in lower case.
local named_sources = {
  environment = { name = "Environment", module = "iot.credentials.environment" },
  ecscontainer = { name = "EcsContainer", module = "iot.credentials.container" },
  ec2instancemetadata = { name = "Ec2InstanceMetadata", module = "iot.credentials.imds" },
}

local base_modules = {
  Sso = "iot.credentials.sso", Login = "iot.credentials.login", Process = "iot.credentials.process",
}

local sources = "set aws_access_key_id and aws_secret_access_key, or one of role_arn, sso_session, "
  .. "login_session and credential_process"

-- An empty value counts as none (reference 6.1).
local function value_of(section, key)
  local value = section[key]
  return value ~= "" and value or nil
end

local function shown(name)
  return excerpt.line(name, 100)
end

local function wrong(...)
  return nil, table.concat { ... }, "InvalidProfile"
end

-- The steps. Each function takes the data and the name of a profile, and returns a step, nil when the
-- profile has no such thing, or nil, a message and a code.

local function static_keys(data, name)
  local section = data.profiles[name]
  local id, secret = value_of(section, "aws_access_key_id"), value_of(section, "aws_secret_access_key")
  if not id and not secret then return nil end
  if not secret then
    return wrong("profile missing aws_secret_access_key: it must stand beside ",
      profiles.where(data, "profiles", name, "aws_access_key_id"))
  elseif not id then
    return wrong("profile missing aws_access_key_id: it must stand beside ",
      profiles.where(data, "profiles", name, "aws_secret_access_key"))
  end
  return {
    kind = "AccessKey", profile = name, access_key_id = id, secret_access_key = secret,
    session_token = value_of(section, "aws_session_token") or value_of(section, "aws_security_token"),
    account_id = value_of(section, "aws_account_id"),
  }
end

local function role(data, name, kind)
  local section = data.profiles[name]
  return {
    kind = kind, profile = name, role_arn = value_of(section, "role_arn"),
    role_session_name = value_of(section, "role_session_name"),
    duration_seconds = value_of(section, "duration_seconds"),
  }
end

local function web_identity_role(data, name)
  local path = value_of(data.profiles[name], "web_identity_token_file")
  if not path then return nil end
  local step = role(data, name, "WebIdentityToken")
  if not step.role_arn then
    return wrong("`role_arn` was missing: it must stand beside ",
      profiles.where(data, "profiles", name, "web_identity_token_file"))
  end
  step.web_identity_token_file = path
  return step
end

local function named_source(data, name)
  local text = value_of(data.profiles[name], "credential_source")
  if not text then return nil end
  local source = named_sources[text:lower()]
  if not source then
    return wrong(profiles.where(data, "profiles", name, "credential_source"),
      " must be Environment, EcsContainer or Ec2InstanceMetadata")
  end
  return { kind = "NamedSource", profile = name, credential_source = source.name }
end

-- Some programs want region and URL in the profile too. They may be there if they say the same.
local function check_sso_session(data, name, session_name)
  local section, session = data.profiles[name], (data.sso_sessions or {})[session_name]
  if not session then
    return wrong(("sso-session named `%s` (referenced by profile `%s`) was not found: "
      .. "add [sso-session %s] to the config file"):format(shown(session_name), shown(name), shown(session_name)))
  end
  for _, key in ipairs { "sso_start_url", "sso_region" } do
    local own = value_of(section, key)
    if own and own ~= value_of(session, key) then
      return wrong(("`%s` can only be specified in the [sso-session] config when a session name is given: "
        .. "remove %s"):format(key, profiles.where(data, "profiles", name, key)))
    end
  end
  return session
end

local sso_keys = { "sso_session", "sso_account_id", "sso_role_name", "sso_region", "sso_start_url" }

local function sso(data, name)
  local section, step = data.profiles[name], { kind = "Sso", profile = name }
  local found = false
  for _, key in ipairs(sso_keys) do
    step[key] = value_of(section, key)
    found = found or step[key] ~= nil
  end
  if not found then return nil end
  local where = ": see " .. profiles.title("profiles", name)
  if step.sso_session then
    local session, message, code = check_sso_session(data, name, step.sso_session)
    if not session then return nil, message, code end
    step.sso_region, step.sso_start_url = value_of(session, "sso_region"), value_of(session, "sso_start_url")
    where = ": see " .. profiles.title("sso_sessions", step.sso_session)
  end
  if step.sso_role_name and not step.sso_account_id then
    return wrong("if `sso_role_name` is set, then `sso_account_id` must also be set", where)
  elseif step.sso_account_id and not step.sso_role_name then
    return wrong("if `sso_account_id` is set, then `sso_role_name` must also be set", where)
  elseif not step.sso_region or not step.sso_start_url then
    return wrong("`", step.sso_region and "sso_start_url" or "sso_region", "` was missing", where)
  end
  return step
end

local function plain_step(kind, key)
  return function(data, name)
    local value = value_of(data.profiles[name], key)
    return value and { kind = kind, profile = name, [key] = value } or nil
  end
end

-- In the order in which they are looked for.
local bases = {
  named_source, web_identity_role, sso, plain_step("Login", "login_session"),
  plain_step("Process", "credential_process"), static_keys,
}

-- A base of any kind; a profile without one is no failure unless another one needs it.
local function base(data, name, is_source)
  for _, look in ipairs(bases) do
    local step, message, code = look(data, name)
    if step or message then return step, message, code end
  end
  return nil, ("profile `%s` did not contain credential information: %s"):format(shown(name), sources),
    is_source and "InvalidProfile" or "NoCredentials"
end

-- The role of a profile, which needs a source; a role of a web identity is a base.
local function assumed_role(data, name)
  local section = data.profiles[name]
  if not value_of(section, "role_arn") or value_of(section, "web_identity_token_file") then return nil end
  local step = role(data, name, "AssumeRole")
  step.external_id, step.mfa_serial = value_of(section, "external_id"), value_of(section, "mfa_serial")
  return step
end

-- Where the credentials for the role of a profile come from: the step of the base, or the name of the
-- profile to go on with.
local function source_of(data, name)
  local section = data.profiles[name]
  local source, named = value_of(section, "source_profile"), value_of(section, "credential_source")
  if source and named then
    return wrong("profile contained both source_profile and credential_source: remove one of them from ",
      profiles.title("profiles", name))
  elseif named then
    return named_source(data, name)
  elseif not source then
    return wrong("profile must contain `source_profile` or `credential_source` beside ",
      profiles.where(data, "profiles", name, "role_arn"))
  elseif source ~= name then
    return source
  end
  -- It names itself: its own keys, which otherwise the role comes before.
  local step, message, code = static_keys(data, name)
  if step or message then return step, message, code end
  return wrong(("profile `%s` did not contain credential information, but names itself as source_profile: %s")
    :format(shown(name), "set aws_access_key_id and aws_secret_access_key, or name another profile"))
end

-- What one profile of the chain adds: a role for the list, and the base or the name of the next one.
local function visit(data, name, is_source, roles)
  if is_source then
    local step, message, code = static_keys(data, name)
    if step or message then return step, message, code end
  end
  local section = data.profiles[name]
  if value_of(section, "web_identity_token_file") and value_of(section, "credential_source") then
    return wrong("profile contained both web_identity_token_file and credential_source: remove one of them from ",
      profiles.title("profiles", name))
  end
  local step = assumed_role(data, name)
  if not step then return base(data, name, is_source) end
  roles[#roles + 1] = step
  return source_of(data, name)
end

local function check_next(data, path, seen, name)
  if seen[name] then
    return wrong("profile formed an infinite loop: ", table.concat(path, " -> "), " -> ", shown(name))
  elseif not data.profiles[name] then
    return wrong("could not find source profile ", shown(name), " referenced from ", path[#path])
  end
  return true
end

local function check_start(data, name)
  if next(data.profiles) == nil then
    local where = data.config_path and data.credentials_path
      and (" in %s and %s"):format(shown(data.config_path), shown(data.credentials_path)) or ""
    return nil, "No profiles were defined" .. where, "NoCredentials"
  elseif not data.profiles[name] then
    return nil, ("there is no profile `%s`"):format(shown(name)),
      name == "default" and "NoCredentials" or "InvalidProfile"
  end
  return true
end

---How a profile gets its credentials; no file, variable or server is asked.
---@param data iot.Profiles
---@param name string
---@return iot.profile.Step[]? steps
---@return string? message
---@return "NoCredentials"|"InvalidProfile"|nil code
function profile.resolve(data, name)
  local ok, message, code = check_start(data, name)
  if not ok then return nil, message, code end
  local roles, path, seen, found = {}, {}, {}, name
  while type(found) ~= "table" do
    if #path > 0 then
      ok, message, code = check_next(data, path, seen, found)
      if not ok then return nil, message, code end
    end
    seen[found], path[#path + 1] = true, shown(found)
    found, message, code = visit(data, found, #path > 1, roles)
    if not found then return nil, message, code end
  end
  local steps = { found }
  for i = #roles, 1, -1 do steps[#steps + 1] = roles[i] end
  return steps
end

local function new_static(step)
  local function fetch()
    return {
      access_key_id = step.access_key_id, secret_access_key = step.secret_access_key,
      session_token = step.session_token, account_id = step.account_id,
    }
  end
  return { name = "profile", feature = "n", fetch = fetch }
end

local function copy(from, changes)
  local to = {}
  for key, value in pairs(from) do to[key] = value end
  for key, value in pairs(changes) do to[key] = value end
  return to
end

-- The context of a base that reads its settings from the profile it stands in.
local function within(context, name)
  local section = context.profiles.profiles[name]
  return copy(context, {
    profile = section, profiles = copy(context.profiles, { name = name, selected = section }),
  })
end

-- A base that a profile asks for, but that is not there, is a wrong profile.
local function new_base(context, step)
  if step.kind == "AccessKey" then return new_static(step) end
  local provider, message, code
  if step.kind == "WebIdentityToken" then
    provider, message, code = web_identity.from_profile(context, step)
  elseif step.kind == "NamedSource" then
    local module = require(named_sources[step.credential_source:lower()].module)
    provider, message, code = module.new(context)
    message = message and ("credential_source is %s, but %s"):format(step.credential_source, message)
  else
    provider, message, code = require(base_modules[step.kind]).new(within(context, step.profile))
  end
  if provider then return provider end
  return nil, message, code == "NoCredentials" and "InvalidProfile" or code
end

-- Of the base, and of the roles (reference 8.1).
local function features_of(provider, steps)
  local features = provider.feature
  if #steps == 1 then return features end
  return (features and features .. "," or "") .. (steps[1].kind == "NamedSource" and "p" or "o") .. ",i"
end

-- The name of the profile that a failure is about, and that of the selected one where it is another.
local function in_profile(data, step, message)
  if step.profile == data.name then return profiles.title("profiles", data.name) .. ": " .. message end
  return ("%s, by way of %s: %s"):format(profiles.title("profiles", data.name),
    profiles.title("profiles", step.profile), message)
end

---@param context iot.Context
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function profile.new(context)
  local data = context.profiles
  if not data then return nil, "there are no profiles", "NoCredentials" end
  local steps, message, code = profile.resolve(data, data.name)
  if not steps then return nil, message, code end
  local provider
  provider, message, code = new_base(context, steps[1])
  if not provider then return nil, in_profile(data, steps[1], message), code end
  for i = 2, #steps do
    local ok
    ok, message = sts.check(context, steps[i])
    if not ok then return nil, in_profile(data, steps[i], message), "InvalidProfile" end
  end

  local policy = exchange.policy(context.runtime)
  -- From the base outward; each role is assumed with the credentials of the one before.
  local function fetch(deadline)
    local record, reason, why = provider.fetch(deadline)
    for i = 2, #steps + 1 do
      if not record then
        return nil, in_profile(data, steps[i - 1], tostring(reason)),
          why == "InvalidCredentials" and why or exchange.code_of(why)
      elseif i <= #steps then
        record, reason, why = sts.assume_role(context, record, steps[i], deadline, policy)
      end
    end
    return record
  end
  return { name = "profile", feature = features_of(provider, steps), fetch = fetch }
end

return profile
