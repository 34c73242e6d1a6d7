---The format of the files `config` and `credentials` (reference 6.2).
local profile_parser = {}

---Properties by the names of sections. `lines` says where in the file each property stands.
---@class iot.ProfileSections
---@field profiles table<string, table<string, string>>
---@field sso_sessions table<string, table<string, string>>
---@field services table<string, table<string, string>>
---@field lines table<"profiles"|"sso_sessions"|"services", table<string, table<string, integer>>>

-- Where the sections of the config file go, by their first word. Others are for other programs.
local groups = { profile = "profiles", ["sso-session"] = "sso_sessions", services = "services" }

-- Linear in the length also for a line that is all blanks, which "^%s*(.-)%s*$" is not.
local function trim(text)
  local first = text:find("[^ \t]")
  return first and text:match("^.*[^ \t]", first) or ""
end

local function is_name(text)
  return text:find("^[A-Za-z0-9_%-/.%%@:+]+$") ~= nil
end

-- The key and the value of "key = value"; what is wrong names it as `noun`.
local function split_property(line, noun)
  local comment = line:find("[ \t][#;]")
  local key, value = line:sub(1, (comment or 0) - 1):match("^([^=]*)=(.*)$")
  if not key then return nil, "Expected an '=' sign defining a " .. noun end
  key = trim(key)
  if key == "" then return nil, noun:gsub("^%l", string.upper) .. " did not have a name" end
  return key, trim(value)
end

-- The group and the name of a section by the text in its brackets; nil when it is none of ours.
local function identify(inner, kind)
  local prefix, name = inner:match("^([^ \t]+)[ \t]+(.*)$")
  if kind == "credentials" then
    if not prefix and is_name(inner) then return "profiles", inner end
  elseif prefix then
    if groups[prefix] and is_name(name) then return groups[prefix], name end
  elseif inner == "default" then
    return "profiles", inner
  end
end

local function begin_section(state, line)
  local inner = trim(line:match("^[^#;]*")):match("^%[(.*)%]$")
  if not inner then return "Profile definition must end with ']'" end
  inner = trim(inner)
  local group, name = identify(inner, state.kind)
  local is_default = state.kind == "config" and group == "profiles" and name == "default"
  if is_default and inner ~= "default" and not state.has_prefixed_default then
    -- [profile default] replaces [default], whichever comes first.
    state.has_prefixed_default = true
    state.sections.profiles.default = nil
  elseif is_default and inner == "default" and state.has_prefixed_default then
    group = nil
  end
  state.parts = nil
  state.section, state.lines = {}, {}
  if group then
    local sections, lines = state.sections[group], state.sections.lines[group]
    state.section = sections[name] or state.section
    state.lines = sections[name] and lines[name] or state.lines
    sections[name], lines[name] = state.section, state.lines
  end
end

local function add_property(state, line, number)
  if not state.section then return "Expected a profile definition" end
  local key, value = split_property(line, "property")
  if not key then return value end
  -- A list until the end: to append to a string for each line would copy it each time.
  state.parts = { value }
  state.has_children = value == ""
  if is_name(key) then
    key = key:lower()
    state.section[key], state.lines[key] = state.parts, number
  end
end

local function continue_property(state, line)
  if not state.section then return "Expected a profile definition" end
  if not state.parts then return "Expected a property definition, found continuation" end
  line = trim(line)
  if state.has_children then
    local key, message = split_property(line, "sub-property")
    if not key then return message end
  end
  state.parts[#state.parts + 1] = line
end

local function join_parts(sections)
  for _, group in pairs(groups) do
    for _, section in pairs(sections[group]) do
      for key, parts in pairs(section) do section[key] = table.concat(parts, "\n") end
    end
  end
end

-- What is wrong with a line, if anything.
local function read_line(state, line, number)
  local first = line:sub(1, 1)
  if not line:find("[^ \t]") or first == "#" or first == ";" then
    return nil
  elseif first == "[" then
    return begin_section(state, line)
  elseif first == " " or first == "\t" then
    return continue_property(state, line)
  end
  return add_property(state, line, number)
end

---Parse the text of a file. Sections and keys that cannot be used are passed over. A message never
---quotes the text, which may be a secret.
---@param text string
---@param kind "config"|"credentials"
---@return iot.ProfileSections? sections
---@return string? message  such as "line 3: Property did not have a name"
function profile_parser.parse(text, kind)
  local sections = { profiles = {}, sso_sessions = {}, services = {}, lines = {} }
  for _, group in pairs(groups) do sections.lines[group] = {} end
  local state = { sections = sections, kind = kind }
  local number = 0
  for line in text:gsub("^\239\187\191", ""):gmatch("([^\n]*)\n?") do
    number = number + 1
    local message = read_line(state, line:gsub("\r$", "", 1), number)
    if message then return nil, ("line %d: %s"):format(number, message) end
  end
  join_parts(sections)
  return sections
end

---The properties that are nested under one, such as `iot =` of a services section.
---@param value string  of a property, as `parse` gives it
---@return table<string, string>  empty for a plain value
function profile_parser.sub_properties(value)
  local map = {}
  if value:sub(1, 1) ~= "\n" then return map end
  for line in value:gmatch("[^\n]+") do
    local key, text = line:match("^([^=]*)=(.*)$")
    if key then map[trim(key)] = trim(text) end
  end
  return map
end

return profile_parser
