-- lua/iot/config/profile_parser.lua and profiles.lua: the text of a config file, and, behind a NUL, that of a
-- credentials file.
local core = require "iot.core"
local files = require "spec.support.files"
local profile_parser = require "iot.config.profile_parser"
local profiles = require "iot.config.profiles"
local promises = require "spec.fuzz.promises"

local must = promises.must
local groups = { "profiles", "sso_sessions", "services" }

local function must_be_name(name)
  must(name:find "^[%w_%-/.%%@:+]+$", "a name is one", name)
end

local function check_property(section_lines, key, value, count)
  must_be_name(key)
  must(key == key:lower(), "a key is in lower case", key)
  local line = section_lines[key]
  must(line and line >= 1 and line <= count, "a property has a line", key, line)
  must(not value:find "^[ \t]", "a value has no blanks before it", value)
  for name, text in pairs(profile_parser.sub_properties(value)) do
    must(not name:find "^[ \t]" and not text:find "[ \t]$", "a sub-property is trimmed", name, text)
  end
end

local function check_sections(sections, text)
  local count = select(2, text:gsub("\n", "")) + 1
  for _, group in ipairs(groups) do
    for name, section in pairs(sections[group]) do
      must_be_name(name)
      for key, value in pairs(section) do check_property(sections.lines[group][name], key, value, count) end
    end
  end
end

local function parse(text, kind)
  local sections, message = profile_parser.parse(text, kind)
  if sections then
    check_sections(sections, text)
    local in_windows = profile_parser.parse(text:gsub("\r?\n", "\r\n"), kind)
    must(promises.text_of(in_windows) == promises.text_of(sections), "line ends do not matter")
    return sections
  end
  must(message:find "^line %d+: [%w '%]=,-]+$", "a message quotes nothing", message)
end

local function check_names(data)
  for _, group in ipairs(groups) do
    for name, section in pairs(data[group]) do
      for key in pairs(section) do
        local where = profiles.where(data, group, name, key)
        must(promises.is_line(where) and where:find "line %d+ of ", "a property has a place", where)
      end
    end
  end
end

return function(input)
  local stop = input:find("\0", 1, true) or #input + 1
  local texts = { config = input:sub(1, stop - 1), credentials = input:sub(stop + 1) }
  local parsed = { config = parse(texts.config, "config"), credentials = parse(texts.credentials, "credentials") }
  files.write(os.getenv "AWS_CONFIG_FILE", texts.config)
  files.write(os.getenv "AWS_SHARED_CREDENTIALS_FILE", texts.credentials)
  local data, message, detail = profiles.load()
  if not data then return promises.must_be_failure(message, detail) end
  local strange = 0
  for kind, text in pairs(texts) do
    if not core.is_utf8(text) then
      strange, parsed[kind] = strange + 1, { profiles = {}, sso_sessions = {}, services = {} }
    end
  end
  must(#data.problems == strange, "what is no UTF-8 is passed over", profiles.passed_over(data))
  must(parsed.config and parsed.credentials, "what was loaded can be parsed")
  local merged = profiles.merge(parsed.config, parsed.credentials)
  for _, group in ipairs(groups) do
    must(promises.text_of(data[group]) == promises.text_of(merged[group]), "files are as their texts", group)
  end
  check_names(data)
end
