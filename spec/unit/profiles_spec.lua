-- The profiles of the user: where the files are, what becomes of both, and which profile is selected.
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local home = require "spec.support.home"
local core = require "iot.core"
local profiles = require "iot.config.profiles"

local SECRET = "SECRET-OF-THE-SPEC"
local directory

before_each(function()
  directory = home.new()
  environment.replace { HOME = directory }
end)
after_each(function()
  environment.restore()
  home.remove(directory)
end)

-- Helpers ------------------------------------------------------------------------------------

-- What is loaded from these files with these variables; HOME is the spec's where nothing else is said.
local function load(texts, variables, option)
  home.write(directory, texts or {})
  local all = { HOME = directory }
  for name, value in pairs(variables or {}) do all[name] = value end
  environment.replace(all)
  return profiles.load(option)
end

local function assert_failure(code, parts, ...)
  local message = failures.check({ kind = "configuration", code = code, retryable = false }, ...)
  for _, part in ipairs(parts) do
    assert.is_truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
  end
  assert.is_nil(message:find(SECRET, 1, true), message)
end

-- Places -------------------------------------------------------------------------------------

describe("the files", function()
  it("are in .aws in the home directory", function()
    local data = assert(load { config = "[default]\na = 1", credentials = "[default]\nb = 2" })
    assert.same({ default = { a = "1", b = "2" } }, data.profiles)
    assert.equal(directory .. "/.aws/config", data.config_path)
    assert.equal(directory .. "/.aws/credentials", data.credentials_path)
    assert.same({}, data.problems)
  end)

  it("are where the variables say", function()
    files.write(directory .. "/c", "[profile c]\na = 1")
    files.write(directory .. "/d", "[d]\na = 2")
    local texts = { config = "[profile x]", credentials = "[y]" }
    local data = assert(load(texts, {
      AWS_CONFIG_FILE = directory .. "/c", AWS_SHARED_CREDENTIALS_FILE = directory .. "/d",
    }))
    assert.same({ c = { a = "1" }, d = { a = "2" } }, data.profiles)
    assert.equal(directory .. "/c", data.config_path)
    assert.equal(directory .. "/d", data.credentials_path)
  end)

  it("are in .aws when the variables are empty", function()
    local data = assert(load({ config = "[profile x]", credentials = "[y]" },
      { AWS_CONFIG_FILE = "", AWS_SHARED_CREDENTIALS_FILE = "" }))
    assert.same({ x = {}, y = {} }, data.profiles)
  end)

  it("may be named with ~ for the home directory", function()
    files.write(directory .. "/c", "[profile c]")
    files.write(directory .. "/.aws/d", "[d]")
    local data = assert(load({}, { AWS_CONFIG_FILE = "~/c", AWS_SHARED_CREDENTIALS_FILE = "~/.aws/d" }))
    assert.same({ c = {}, d = {} }, data.profiles)
    assert.equal(directory .. "/c", data.config_path)
  end)

  it("need not exist", function()
    local data = assert(load())
    assert.same({}, data.profiles)
    assert.is_nil(data.selected)
    assert.same({}, data.problems)
    assert.equal("", profiles.passed_over(data))
  end)

  it("are not looked for without a home directory", function()
    for _, value in ipairs { false, "" } do
      environment.replace { HOME = value or nil }
      local data = assert(profiles.load())
      assert.same({}, data.profiles)
      assert.same({}, data.problems)
      assert.equal("~/.aws/config", data.config_path)
    end
  end)

  it("are passed over when they cannot be read, and it is said why", function()
    home.write(directory, { credentials = "[default]\nb = 2" })
    files.write(directory .. "/latin", "[default]\na = \233\n" .. SECRET)
    files.write(directory .. "/large", "[default]\n" .. ("#\n"):rep(600000) .. SECRET)
    files.write(directory .. "/surrogate", "[default]\na = \237\160\128\n" .. SECRET)
    local CASES = {
      [directory] = "directory", -- is a directory
      [directory .. "/latin"] = "UTF-8",
      [directory .. "/surrogate"] = "UTF-8",
      [directory .. "/large"] = "large",
      [directory .. "/absent"] = "exist",
      [directory .. "/latin/x"] = "directory", -- is not one
      ["/dev/zero"] = "large",
    }
    for path, reason in pairs(CASES) do
      local data = assert(load({}, { AWS_CONFIG_FILE = path }))
      assert.same({ default = { b = "2" } }, data.profiles)
      assert.equal(1, #data.problems)
      local text = profiles.passed_over(data)
      assert.is_truthy(text:find(reason, 1, true), text)
      assert.is_truthy(text:find(path, 1, true), text)
      assert.is_nil(text:find(SECRET, 1, true))
    end
  end)

  it("are passed over when access is denied", function()
    local real = core.read_file
    core.read_file = function(path, limit)
      if path:match "config$" then return nil, "Permission denied", false end
      return real(path, limit)
    end
    local ok, data, message = pcall(load, { credentials = "[default]\nb = 2" })
    core.read_file = real
    assert.is_true(ok)
    assert.is_nil(message)
    assert.same({ default = { b = "2" } }, data.profiles)
    assert.equal("; passed over: " .. directory .. "/.aws/config: Permission denied", profiles.passed_over(data))
  end)

  it("are passed over when ~ means nothing", function()
    environment.replace { AWS_CONFIG_FILE = "~/config" }
    local data = assert(profiles.load())
    assert.equal("; passed over: AWS_CONFIG_FILE begins with ~, but HOME is not set", profiles.passed_over(data))
  end)

  it("are read once", function()
    local opened, real = {}, core.read_file
    core.read_file = function(path, limit)
      opened[#opened + 1] = path
      return real(path, limit)
    end
    local ok, data = pcall(load, {})
    core.read_file = real
    assert.is_true(ok)
    assert.same({ data.config_path, data.credentials_path }, opened)
  end)

  it("may end their lines with CRLF", function()
    local data = assert(load { config = "[profile a]\r\nb = 1\r\n", credentials = "[a]\r\nc = 2\r\n" })
    assert.same({ a = { b = "1", c = "2" } }, data.profiles)
  end)

  it("may hold characters beyond ASCII", function()
    local value = "\195\169\226\130\172\240\159\152\130"
    assert.equal(value, assert(load { config = "[default]\na = " .. value }).selected.a)
  end)

  it("fail when they are malformed, with file and line", function()
    assert_failure("InvalidProfile", { directory .. "/.aws/config", "line 3", "'='" },
      load { config = "[default]\na = 1\n" .. SECRET })
    assert_failure("InvalidProfile", { directory .. "/.aws/credentials", "line 2", "name" },
      load { config = "", credentials = "[default]\n= " .. SECRET })
    files.write(directory .. "/a\nb", SECRET)
    assert_failure("InvalidProfile", { directory .. "/a b", "line 1" },
      load({}, { AWS_CONFIG_FILE = directory .. "/a\nb" }))
  end)
end)

-- Both files ---------------------------------------------------------------------------------

describe("a profile in both files", function()
  it("has the properties of both, those of the credentials file first", function()
    local data = assert(load {
      config = "[profile a]\nx = 1\ny = 1\n[default]\nz = 1",
      credentials = "[a]\ny = 2\nw = 2\n[default]\nz = 2",
    })
    assert.same({ a = { x = "1", y = "2", w = "2" }, default = { z = "2" } }, data.profiles)
  end)

  it("is merged from copies", function()
    local config = { profiles = { a = { x = "1" } }, sso_sessions = {}, services = { s = { iot = "" } } }
    local credentials = { profiles = { a = { x = "2" } }, sso_sessions = {}, services = {} }
    local merged = profiles.merge(config, credentials)
    assert.equal("2", merged.profiles.a.x)
    assert.equal("1", config.profiles.a.x)
    assert.are_not.equal(config.services.s, merged.services.s)
    assert.same({ s = { iot = "" } }, merged.services)
  end)

  it("has sections of other kinds beside it", function()
    local data = assert(load {
      config = "[sso-session a]\nsso_region = b\n[services a]\niot =\n endpoint_url = c\n",
      credentials = "[sso-session a]\nsso_region = x\n[services a]\niot = y",
    })
    assert.same({}, data.profiles)
    assert.same({ a = { sso_region = "b" } }, data.sso_sessions)
    assert.same({ endpoint_url = "c" }, profiles.sub_properties(data.services.a.iot))
  end)

  it("knows where each property stands", function()
    local data = assert(load {
      config = "[profile a]\nx = 1\ny = 1\n[services s]\n\niot =\n endpoint_url = c\n",
      credentials = "[a]\n\n\ny = 2",
    })
    local path = directory .. "/.aws/"
    assert.equal('x of profile "a" (line 2 of ' .. path .. "config)", profiles.where(data, "profiles", "a", "x"))
    assert.equal('y of profile "a" (line 4 of ' .. path .. "credentials)",
      profiles.where(data, "profiles", "a", "y"))
    assert.equal('iot of services "s" (line 6 of ' .. path .. "config)",
      profiles.where(data, "services", "s", "iot"))
    assert.equal('z of profile "a" (' .. path .. "config)", profiles.where(data, "profiles", "a", "z"))
    assert.equal('z of sso-session "b" (' .. path .. "config)", profiles.where(data, "sso_sessions", "b", "z"))
  end)
end)

-- Selection ----------------------------------------------------------------------------------

describe("the selected profile", function()
  local TEXTS = { config = "[default]\na = 0\n[profile p]\na = 1\n[profile q]\na = 2", credentials = "[r]\na = 3" }

  -- Variables, option, name, explicit.
  local CASES = {
    { {}, nil, "default", false },
    { { AWS_PROFILE = "" }, nil, "default", false },
    { { AWS_PROFILE = "p" }, nil, "p", true },
    { { AWS_PROFILE = "default" }, nil, "default", true },
    { { AWS_DEFAULT_PROFILE = "q" }, nil, "q", true },
    { { AWS_PROFILE = "p", AWS_DEFAULT_PROFILE = "q" }, nil, "p", true },
    { { AWS_PROFILE = "", AWS_DEFAULT_PROFILE = "q" }, nil, "q", true },
    { { AWS_PROFILE = "p" }, "r", "r", true },
    { { AWS_PROFILE = "absent" }, "q", "q", true },
    { {}, "default", "default", true },
  }

  for number, case in ipairs(CASES) do
    it(("is %s (%d)"):format(case[3], number), function()
      local data = assert(load(TEXTS, case[1], case[2]))
      assert.equal(case[3], data.name)
      assert.equal(case[4], data.explicit)
      assert.equal(data.profiles[case[3]], data.selected)
      assert.is_table(data.selected)
    end)
  end

  it("is none when there is no default and none was named", function()
    local data = assert(load { config = "[profile p]\na = 1" })
    assert.equal("default", data.name)
    assert.is_false(data.explicit)
    assert.is_nil(data.selected)
  end)

  it("must exist when it is named, and the message says what to do", function()
    local paths = { directory .. "/.aws/config", directory .. "/.aws/credentials" }
    local function assert_missing(parts, ...)
      for _, path in ipairs(paths) do parts[#parts + 1] = path end
      assert_failure("ProfileNotFound", parts, ...)
    end
    assert_missing({ '"absent"', "the option profile", "[profile absent]", "[absent]" }, load(TEXTS, {}, "absent"))
    assert_missing({ '"absent"', "AWS_PROFILE" }, load(TEXTS, { AWS_PROFILE = "absent" }))
    assert_missing({ '"absent"', "AWS_DEFAULT_PROFILE" }, load(TEXTS, { AWS_DEFAULT_PROFILE = "absent" }))
    assert_missing({ '"P"' }, load(TEXTS, { AWS_PROFILE = "P" }))
    home.write(directory, { config = "", credentials = "" })
    assert_missing({ '"default"', "as [default]" }, load({}, {}, "default"))
    -- A section of the config file needs its word.
    assert_missing({ "[profile p]" }, load({ config = "[p]\na = 1" }, { AWS_PROFILE = "p" }))
  end)

  it("that is missing may be in a file that was passed over", function()
    local path = directory .. "/.aws/config"
    assert_failure("ProfileNotFound", { "passed over: " .. path .. ": not a text in UTF-8" },
      load({ config = "[profile p]\na = \255" }, { AWS_PROFILE = "p" }))
    assert_failure("ProfileNotFound", { "AWS_CONFIG_FILE names /absent, which does not exist" },
      load({}, { AWS_PROFILE = "p", AWS_CONFIG_FILE = "/absent" }))
  end)

  it("has a name that a message can show", function()
    for _, name in ipairs { "a\nb", "\27[31m", ("x"):rep(5000), "\255", "a\0b" } do
      assert_failure("ProfileNotFound", { "option profile" }, load(TEXTS, {}, name))
    end
  end)

  it("is not an empty option", function()
    assert_failure("InvalidConfiguration", { "option profile" }, load(TEXTS, { AWS_PROFILE = "p" }, ""))
  end)
end)

describe("a home directory", function()
  it("takes the place of ~ before /, at the start", function()
    environment.replace { HOME = "/h" }
    assert.equal("/h/a", profiles.expand_home "~/a")
    assert.equal("/h/", profiles.expand_home "~/")
    for _, path in ipairs { "~", "~a/b", "a/~/b", "/~/a", "./~", "" } do
      assert.equal(path, profiles.expand_home(path))
    end
    environment.replace()
    assert.is_nil(profiles.expand_home "~/a")
    assert.equal("a", profiles.expand_home "a")
  end)
end)
