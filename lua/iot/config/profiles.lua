---The profiles of the user: both files, read once, and the one that is selected (reference 6.1).
local core = require "iot.core"
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"
local profile_parser = require "iot.config.profile_parser"
local variables = require "iot.config.variables"

local profiles = { sub_properties = profile_parser.sub_properties }

---@class iot.Profiles
---@field profiles table<string, table<string, string>>
---@field sso_sessions table<string, table<string, string>>
---@field services table<string, table<string, string>>
---@field origins table  where each property stands: group, name and key lead to { file, line }
---@field name string  of the selected profile
---@field explicit boolean  whether an option or a variable names it
---@field selected table<string, string>?  the selected profile; nil when there is none
---@field config_path string
---@field credentials_path string
---@field problems string[]  why a file that is there, or is named, was passed over

local files = {
  config = { variable = "AWS_CONFIG_FILE", default = "~/.aws/config" },
  credentials = { variable = "AWS_SHARED_CREDENTIALS_FILE", default = "~/.aws/credentials" },
}
local groups = { "profiles", "sso_sessions", "services" }

-- More than any such file has; a device that never ends must not be read for ever.
local max_size = 1048576

---A path or a name, fit for a message.
---@param text string
---@return string
function profiles.shown(text)
  return excerpt.line(text, 150)
end

local shown = profiles.shown

-- Well-formed characters beyond ASCII, by their first byte (RFC 3629).
local characters = {
  "[\194-\223][\128-\191]",
  "\224[\160-\191][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]", "\237[\128-\159][\128-\191]",
  "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]",
  "\244[\128-\143][\128-\191][\128-\191]",
}

local function is_utf8(text)
  if not text:find("[\128-\255]") then return true end
  for _, character in ipairs(characters) do text = text:gsub(character, ".") end
  return not text:find("[\128-\255]")
end


---A path with the home directory for a "~" at its start.
---@param path string
---@return string? path  nil when the home directory is needed and not known
function profiles.expand_home(path)
  if path:sub(1, 2) ~= "~/" then return path end
  local home = variables.home()
  return home and home .. path:sub(2)
end

-- The text of a file, "" when it must be passed over; then the reason, except for a file that need not exist.
local function read_text(path, variable)
  local text, message, missing = core.read_file(path, max_size)
  if missing then return "", variable and variable .. " names " .. shown(path) .. ", which does not exist" end
  if not text then return "", shown(path) .. ": " .. message end
  if not is_utf8(text) then return "", shown(path) .. ": not a text in UTF-8" end
  return text
end

-- The sections of one file, and its path.
local function load_file(kind, problems)
  local path, variable = variables.get(files[kind].variable)
  path = path or files[kind].default
  local expanded = profiles.expand_home(path)
  local text, problem = "", nil
  if expanded then
    text, problem = read_text(expanded, variable)
  elseif variable then
    problem = variable .. " begins with ~, but HOME is not set"
  end
  problems[#problems + 1] = problem
  local sections, message = profile_parser.parse(text, kind)
  if not sections then
    return errors.fail({ code = "InvalidProfile" },
      ("the file %s is malformed: %s"):format(shown(expanded), message))
  end
  return sections, expanded or path
end

local function add(merged, sections, file)
  for _, group in ipairs(groups) do
    local lines = sections.lines and sections.lines[group] or {}
    for name, section in pairs(sections[group] or {}) do
      merged[group][name] = merged[group][name] or {}
      merged.origins[group][name] = merged.origins[group][name] or {}
      for key, value in pairs(section) do
        merged[group][name][key] = value
        merged.origins[group][name][key] = { file = file, line = lines[name] and lines[name][key] }
      end
    end
  end
end

---The sections of both files together; a property of the credentials file wins.
---@param config iot.ProfileSections
---@param credentials iot.ProfileSections
---@return table  with `profiles`, `sso_sessions`, `services` and `origins` as in iot.Profiles
function profiles.merge(config, credentials)
  local merged = { origins = {} }
  for _, group in ipairs(groups) do
    merged[group], merged.origins[group] = {}, {}
  end
  add(merged, config, "config")
  add(merged, credentials, "credentials")
  return merged
end

---Why files were passed over, to be appended to a message that misses something; often "".
---@param data iot.Profiles
---@return string
function profiles.passed_over(data)
  if #(data.problems or {}) == 0 then return "" end
  return "; passed over: " .. table.concat(data.problems, "; ")
end

local nouns = { profiles = "profile", sso_sessions = "sso-session", services = "services" }

---A section as a message names it, such as `profile "prod"`.
---@param group "profiles"|"sso_sessions"|"services"
---@param name string
---@return string
function profiles.title(group, name)
  return ('%s "%s"'):format(nouns[group], shown(name))
end

---A property as a message names it, such as `region of profile "prod" (line 3 of /home/me/.aws/config)`;
---without the line, and with the config file, when it is not there.
---@param data iot.Profiles
---@param group "profiles"|"sso_sessions"|"services"
---@param name string
---@param key string
---@return string
function profiles.where(data, group, name, key)
  local title = shown(key) .. " of " .. profiles.title(group, name)
  local origin = ((data.origins or {})[group] or {})[name]
  origin = origin and origin[key] or { file = "config" }
  local path = shown(data[origin.file .. "_path"] or ("the " .. origin.file .. " file"))
  return ("%s (%s%s)"):format(title, origin.line and "line " .. origin.line .. " of " or "", path)
end

local function not_found(data, source)
  local name = shown(data.name)
  local heading = name == "default" and name or "profile " .. name
  return errors.fail({ code = "ProfileNotFound" },
    ("%s, named by %s, is neither in %s, as [%s], nor in %s, as [%s]: add it, or name another%s"):format(
      profiles.title("profiles", data.name), source, shown(data.config_path), heading,
      shown(data.credentials_path), name, profiles.passed_over(data)))
end

---Read both files and select a profile. A file that is not there or cannot be read counts as empty
---(reference 6.1); a malformed one, and a profile that is named but missing, are failures.
---@param option string?  the option `profile`
---@return iot.Profiles? data
---@return string? message
---@return iot.Error? detail
function profiles.load(option)
  local name, source = option, "the option profile"
  if not name then name, source = variables.get("AWS_PROFILE", "AWS_DEFAULT_PROFILE") end
  if name == "" then
    return errors.fail({ code = "InvalidConfiguration" },
      "the option profile is empty: name a profile, or leave the option out")
  end
  local problems = {}
  local config, config_path, detail = load_file("config", problems)
  if not config then return nil, config_path, detail end
  local credentials, credentials_path
  credentials, credentials_path, detail = load_file("credentials", problems)
  if not credentials then return nil, credentials_path, detail end

  local data = profiles.merge(config, credentials)
  data.config_path, data.credentials_path, data.problems = config_path, credentials_path, problems
  data.name, data.explicit = name or "default", name ~= nil
  data.selected = data.profiles[data.name]
  if data.explicit and not data.selected then return not_found(data, source) end
  return data
end

return profiles
