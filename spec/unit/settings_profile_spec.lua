-- What a client takes from the selected profile, and what comes before it: option, environment.
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local home = require "spec.support.home"
local settings = require "iot.config.settings"

local REGION_URL = "https://iot.us-east-1.amazonaws.com"
local PASSWORD = "PASSWORD-OF-THE-SPEC"
local directory

before_each(function() directory = home.new() end)
after_each(function()
  environment.restore()
  home.remove(directory)
end)

-- Helpers ------------------------------------------------------------------------------------

-- The settings of these options, variables and this config file.
local function resolve(config, variables, options)
  home.write(directory, { config = config })
  local all = { HOME = directory }
  for name, value in pairs(variables or {}) do all[name] = value end
  environment.replace(all)
  return settings.resolve(options or {})
end

-- The same with a region where nothing else gives one.
local function resolve_with_region(config, variables, options)
  local all = { AWS_REGION = "us-east-1" }
  for name, value in pairs(variables or {}) do all[name] = value end
  return resolve(config, all, options)
end

local function assert_failure(code, parts, ...)
  local message = failures.check({ kind = "configuration", code = code, retryable = false }, ...)
  for _, part in ipairs(parts) do
    assert.is_truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
  end
  assert.is_nil(message:find(PASSWORD, 1, true), message)
end

-- As a message names a key of the selected profile.
local function place(key, line, name)
  return ('%s of profile "%s" (line %d of %s/.aws/config)'):format(key, name or "default", line, directory)
end

-- Precedence ---------------------------------------------------------------------------------

describe("a setting", function()
  -- Field; option and value; variable, its text and meaning; key, its text and meaning; default.
  local SETTINGS = {
    { "region", "region", "eu-west-1", "AWS_REGION", "eu-west-2", "eu-west-2", "region", "eu-west-3", "eu-west-3" },
    { "region", "region", "eu-west-1", "AWS_DEFAULT_REGION", "eu-west-2", "eu-west-2", "region", "eu-west-3",
      "eu-west-3" },
    { "use_fips", "use_fips_endpoint", false, "AWS_USE_FIPS_ENDPOINT", "FALSE", false, "use_fips_endpoint", "True",
      true, false },
    { "use_fips", "use_fips_endpoint", true, "AWS_USE_FIPS_ENDPOINT", "true", true, "use_fips_endpoint", "false",
      false, false },
    { "use_dualstack", "use_dualstack_endpoint", false, "AWS_USE_DUALSTACK_ENDPOINT", "false", false,
      "use_dualstack_endpoint", "true", true, false },
    { "use_dualstack", "use_dualstack_endpoint", true, "AWS_USE_DUALSTACK_ENDPOINT", "true", true,
      "use_dualstack_endpoint", "FALSE", false, false },
    { "ca_bundle", "ca_bundle", "/a.pem", "AWS_CA_BUNDLE", "/b.pem", "/b.pem", "ca_bundle", "/c d.pem",
      "/c d.pem" },
    { "app_id", "app_id", "a", "AWS_SDK_UA_APP_ID", "b", "b", "sdk_ua_app_id", "c", "c" },
    { "endpoint", "endpoint", "https://a.example", "AWS_ENDPOINT_URL_IOT", "https://b.example",
      "https://b.example", "endpoint_url", "https://c.example", "https://c.example", REGION_URL },
    { "endpoint", "endpoint", "https://a.example", "AWS_ENDPOINT_URL", "https://b.example",
      "https://b.example", "endpoint_url", "https://c.example", "https://c.example", REGION_URL },
    { "legacy_global_sts", nil, nil, "AWS_STS_REGIONAL_ENDPOINTS", "regional", false, "sts_regional_endpoints",
      "legacy", true, false },
    { "ignore_endpoints", nil, nil, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", false,
      "ignore_configured_endpoint_urls", "true", true, false },
  }

  for _, case in ipairs(SETTINGS) do
    local field, option, value, variable, text, meaning = case[1], case[2], case[3], case[4], case[5], case[6]
    local key, profile_text, profile_meaning, default = case[7], case[8], case[9], case[10]
    local with = field == "region" and resolve or resolve_with_region
    local config = ("[default]\n%s = %s\n"):format(key, profile_text)

    describe(("%s (%s, %s)"):format(field, tostring(meaning), variable), function()
      it("is the profile's", function()
        assert.equal(profile_meaning, assert(with(config))[field])
        assert.equal(profile_meaning, assert(with(config, { [variable] = "" }))[field])
      end)

      it("is the variable's before the profile's", function()
        assert.equal(meaning, assert(with(config, { [variable] = text }))[field])
      end)

      if option then
        it("is the option's before both", function()
          assert.equal(value, assert(with(config, { [variable] = text }, { [option] = value }))[field])
          assert.equal(value, assert(with(config, {}, { [option] = value }))[field])
        end)
      end

      it("is neither that of another profile, nor that of another section", function()
        local others = ("[profile p]\n%s = %s\n[services default]\n%s = %s\n[default]\n"):format(
          key, profile_text, key, profile_text)
        if field == "region" then
          assert_failure("MissingRegion", { "AWS_REGION" }, with(others))
        else
          assert.equal(default, assert(with(others))[field])
        end
      end)

      it("is that of the selected profile", function()
        local both = ("[default]\nx = 1\n[profile p]\n%s = %s\n"):format(key, profile_text)
        assert.equal(profile_meaning, assert(with(both, { AWS_PROFILE = "p" }))[field])
        assert.equal(profile_meaning, assert(with(both, { AWS_PROFILE = "absent" }, { profile = "p" }))[field])
      end)

      if field ~= "region" and field ~= "ca_bundle" then -- those are below
        it("has its default when the profile's is empty", function()
          assert.equal(default, assert(with("[default]\n" .. key .. " =\n"))[field])
        end)
      end
    end)
  end

  it("may stand in the credentials file, which comes first", function()
    home.write(directory, { credentials = "[default]\nregion = eu-west-1\n" })
    assert.equal("eu-west-1", assert(resolve("[default]\nregion = eu-west-2\n")).region)
  end)
end)

describe("the profiles", function()
  it("are in the result, for those who need more of them", function()
    local found = assert(resolve("[profile p]\nregion = eu-west-1\nrole_arn = x\n[sso-session s]\n", {},
      { profile = "p" }))
    assert.equal("p", found.profiles.name)
    assert.is_true(found.profiles.explicit)
    assert.equal("x", found.profiles.selected.role_arn)
    assert.same({ s = {} }, found.profiles.sso_sessions)
  end)

  it("fail a client when the one that is named is missing, or the file is malformed", function()
    assert_failure("ProfileNotFound", { '"absent"', "AWS_PROFILE" },
      resolve_with_region("[default]\n", { AWS_PROFILE = "absent" }))
    assert_failure("InvalidProfile", { directory .. "/.aws/config", "line 2" },
      resolve_with_region("[default]\n" .. PASSWORD))
  end)
end)

-- Values -------------------------------------------------------------------------------------

describe("a wrong value in a profile", function()
  -- Code, key, text.
  local CASES = {
    { "InvalidConfiguration", "use_fips_endpoint", "yes" },
    { "InvalidConfiguration", "use_dualstack_endpoint", "1" },
    { "InvalidConfiguration", "ignore_configured_endpoint_urls", "on" },
    { "InvalidConfiguration", "sts_regional_endpoints", "global" },
    { "InvalidConfiguration", "use_fips_endpoint", "true\n true" },
    { "InvalidConfiguration", "retry_mode", "none" },
    { "InvalidConfiguration", "retry_mode", "standard\n adaptive" },
    { "InvalidConfiguration", "max_attempts", "0" },
    { "InvalidConfiguration", "max_attempts", "three" },
    { "InvalidConfiguration", "defaults_mode", "fast" },
    { "InvalidRegion", "region", "us_east_1" },
    { "InvalidRegion", "region", "us-east-1\n x" },
    { "InvalidRegion", "region", "fips-1" },
    { "InvalidCABundle", "ca_bundle", "" },
  }

  for _, case in ipairs(CASES) do
    local code, key, text = case[1], case[2], case[3]
    it(("is named by key, profile, file and line: %s (%s)"):format(key, text:gsub("\n", "\\n")), function()
      local with = key == "region" and resolve or resolve_with_region
      local body = "x = 1\n\n" .. key .. " = " .. text .. "\n"
      assert_failure(code, { place(key, 4) }, with("[default]\n" .. body))
      assert_failure(code, { place(key, 4, "p") }, with("[profile p]\n" .. body, { AWS_PROFILE = "p" }))
    end)
  end

  it("does no harm where the option or the variable says otherwise", function()
    local config = "[default]\nuse_fips_endpoint = x\nregion = _\n"
    local found = assert(resolve(config, { AWS_USE_FIPS_ENDPOINT = "false" }, { region = "us-east-1" }))
    assert.equal(REGION_URL, found.endpoint)
  end)

  it("is named by the variable, where that is wrong", function()
    assert_failure("InvalidConfiguration", { "AWS_STS_REGIONAL_ENDPOINTS", "regional or legacy" },
      resolve_with_region("", { AWS_STS_REGIONAL_ENDPOINTS = "x" }))
  end)
end)

describe("a profile", function()
  -- Key, text; field, what it means; variable, its text and meaning; option and meaning.
  local RETRY = {
    { "retry_mode", "Adaptive", "mode", "adaptive", "AWS_RETRY_MODE", "legacy", "standard", "adaptive" },
    { "max_attempts", "8", "max_attempts", 8, "AWS_MAX_ATTEMPTS", "2", 2, 1 },
  }

  for _, case in ipairs(RETRY) do
    local key, text, field, meaning = case[1], case[2], case[3], case[4]
    local variable, variable_text, variable_meaning, option = case[5], case[6], case[7], case[8]
    local config = ("[default]\n%s = %s\n"):format(key, text)

    it("says how to retry, after option and variable: " .. key, function()
      assert.equal(meaning, assert(resolve_with_region(config)).retry[field])
      assert.equal(meaning, assert(resolve_with_region(config, { [variable] = "" })).retry[field])
      assert.equal(variable_meaning,
        assert(resolve_with_region(config, { [variable] = variable_text })).retry[field])
      assert.equal(option, assert(resolve_with_region(config, { [variable] = variable_text },
        { retry = { [field] = option } })).retry[field])
    end)

    it("says nothing with an empty value: " .. key, function()
      local found = assert(resolve_with_region("[default]\n" .. key .. " =\n"))
      assert.same({ mode = "standard", max_attempts = 3, parameters = "2.1" }, found.retry)
    end)
  end

  it("cannot choose the generation of the rules", function()
    local found = assert(resolve_with_region "[default]\naws_new_retries_2026 = false\nnew_retries = false\n")
    assert.equal("2.1", found.retry.parameters)
  end)

  it("may have a defaults mode, which the variable comes before", function()
    local config = "[default]\ndefaults_mode = mobile\n"
    assert.equal(30, assert(resolve_with_region(config)).connect_timeout)
    assert.equal(1.1, assert(resolve_with_region(config, { AWS_DEFAULTS_MODE = "in-region" })).connect_timeout)
  end)
end)

describe("a missing region", function()
  it("can be added to the profile that the message names", function()
    assert_failure("MissingRegion", { "AWS_REGION", 'region of profile "default" (' .. directory .. "/.aws/config)" },
      resolve "")
    assert_failure("MissingRegion", { "AWS_REGION", 'profile "p"' }, resolve("[profile p]\n", { AWS_PROFILE = "p" }))
  end)

  it("is an empty one, too", function()
    assert_failure("MissingRegion", { place("region", 2) }, resolve "[default]\nregion =\n")
  end)

  it("may be in a file that was passed over", function()
    assert_failure("MissingRegion", { "passed over: " .. directory .. "/.aws/config: not a text in UTF-8" },
      resolve "[default]\nregion = eu-west-1\nx = \255\n")
  end)
end)

-- Endpoints ----------------------------------------------------------------------------------

describe("the endpoint", function()
  local OPTION, IOT_VARIABLE, VARIABLE = "https://o.example", "https://iv.example", "https://v.example"
  local SECTION, KEY = "https://s.example", "https://k.example"
  local BOTH = table.concat({
    "[default]", "services = s", "endpoint_url = " .. KEY, "[services s]", "iot =",
    "  endpoint_url = " .. SECTION, "sts =", "  endpoint_url = https://sts.example", "",
  }, "\n")
  local WITHOUT_IOT = "[default]\nservices = s\nendpoint_url = " .. KEY .. "\n[services s]\nsts =\n a = b\n"
  local IGNORED = BOTH:gsub("services = s", "services = s\nignore_configured_endpoint_urls = TRUE")

  -- What happens, config file, variables, option, result.
  local ORDER = {
    { "the services section's before the profile's", BOTH, {}, nil, SECTION },
    { "the profile's without the section", "[default]\nendpoint_url = " .. KEY, {}, nil, KEY },
    { "the profile's when the section lacks the service", WITHOUT_IOT, {}, nil, KEY },
    { "the profile's when the section's is empty", BOTH:gsub(SECTION, ""), {}, nil, KEY },
    { "the profile's when the service has no endpoint in its section",
      BOTH:gsub("endpoint_url = " .. SECTION, "max_attempts = 1"), {}, nil, KEY },
    { "the profile's when it names no section", BOTH:gsub("services = s", "services ="), {}, nil, KEY },
    { "the region's when all are empty", BOTH:gsub("https://[ks]%.example", ""), {}, nil, REGION_URL },
    { "the general variable's before all of the profile", BOTH, { AWS_ENDPOINT_URL = VARIABLE }, nil, VARIABLE },
    { "the service's variable's before the general one", BOTH,
      { AWS_ENDPOINT_URL = VARIABLE, AWS_ENDPOINT_URL_IOT = IOT_VARIABLE }, nil, IOT_VARIABLE },
    { "the section's when the variables are empty", BOTH, { AWS_ENDPOINT_URL = "", AWS_ENDPOINT_URL_IOT = "" }, nil,
      SECTION },
    { "the option's before all", BOTH, { AWS_ENDPOINT_URL_IOT = IOT_VARIABLE }, OPTION, OPTION },
    { "the region's when the profile ignores all", IGNORED, { AWS_ENDPOINT_URL = VARIABLE }, nil, REGION_URL },
    { "the region's when the environment ignores all", BOTH, { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "true" }, nil,
      REGION_URL },
    { "the section's when the environment takes that back", IGNORED,
      { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "false" }, nil, SECTION },
    { "the option's also when all are ignored", IGNORED, {}, OPTION, OPTION },
    { "a variable's when the section does not exist", "[default]\nservices = absent\n",
      { AWS_ENDPOINT_URL = VARIABLE }, nil, VARIABLE },
    { "the region's when a section that does not exist is ignored",
      "[default]\nservices = absent\nignore_configured_endpoint_urls = true\n", {}, nil, REGION_URL },
  }

  for _, case in ipairs(ORDER) do
    it("is " .. case[1], function()
      local found = assert(resolve_with_region(case[2], case[3], { endpoint = case[4] }))
      assert.equal(case[5], found.endpoint)
      assert.equal(case[5] ~= REGION_URL, found.custom_endpoint)
    end)
  end

  it("has a source for messages", function()
    assert.equal('endpoint_url under iot of services "s" (line 5 of ' .. directory .. "/.aws/config)",
      assert(resolve_with_region(BOTH)).endpoint_source)
    assert.equal(place("endpoint_url", 2),
      assert(resolve_with_region("[default]\nendpoint_url = " .. KEY)).endpoint_source)
    assert.equal("the region", assert(resolve_with_region("")).endpoint_source)
  end)

  it("is wrong when the services section does not exist, or is plain", function()
    assert_failure("InvalidProfile", { place("services", 2), "[services absent]" },
      resolve_with_region "[default]\nservices = absent\n")
    assert_failure("InvalidProfile", { 'iot of services "s" (line 4 of ', "endpoint_url" },
      resolve_with_region("[default]\nservices = s\n[services s]\niot = https://u:" .. PASSWORD .. "@a.example\n"))
  end)

  it("of the profile excludes FIPS and dual stack", function()
    local config = "[default]\nendpoint_url = https://u:" .. PASSWORD .. "@a.example\n"
    assert_failure("InvalidConfiguration", { "FIPS", place("endpoint_url", 2) },
      resolve_with_region(config, {}, { use_fips_endpoint = true }))
    assert_failure("InvalidConfiguration", { "Dualstack", place("endpoint_url", 2) },
      resolve_with_region(config .. "use_dualstack_endpoint = true\n"))
    assert_failure("InvalidConfiguration", { "FIPS" }, resolve_with_region(config, {}, { region = "fips-us-east-1" }))
  end)
end)

describe("the endpoint of another service", function()
  local SERVICES = {
    sts = { "https://sts.us-east-1.amazonaws.com", "AWS_ENDPOINT_URL_STS", "sts" },
    sso = { "https://portal.sso.us-east-1.amazonaws.com", "AWS_ENDPOINT_URL_SSO", "sso" },
    oidc = { "https://oidc.us-east-1.amazonaws.com", "AWS_ENDPOINT_URL_SSO_OIDC", "sso_oidc" },
    signin = { "https://us-east-1.signin.aws.amazon.com", "AWS_ENDPOINT_URL_SIGNIN", "signin" },
  }

  local function endpoint_for(service, config, variables, options, region)
    return assert(resolve_with_region(config, variables, options)).endpoint_for(service, region)
  end

  for service, case in pairs(SERVICES) do
    local usual, variable, key = case[1], case[2], case[3]

    it("is its own: " .. service, function()
      local section = "[services s]\niot =\n endpoint_url = https://iot.example\n" .. key
        .. " =\n endpoint_url = http://s.example/\n"
      local config = "[default]\nservices = s\nendpoint_url = https://k.example/base/\n" .. section
      assert.equal(usual, endpoint_for(service, ""))
      assert.equal(usual, endpoint_for(service, "", {}, { endpoint = "https://iot.example" }))
      assert.equal("https://own.example", endpoint_for(service, config,
        { [variable] = "https://own.example", AWS_ENDPOINT_URL = "https://v.example" }))
      assert.equal("https://v.example:8443", endpoint_for(service, config,
        { AWS_ENDPOINT_URL = "https://v.example:8443", AWS_ENDPOINT_URL_IOT = "https://iot.example" }))
      assert.equal("http://s.example", endpoint_for(service, config))
      assert.equal("https://k.example/base", endpoint_for(service, (config:gsub("services = s", "x = y"))))
      assert.equal(usual, endpoint_for(service, config, {
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "true", [variable] = "https://own.example",
      }))
    end)

    it("must be a URL: " .. service, function()
      for _, url in ipairs {
        "nowhere", "ftp://a.example", "https://", "https://u:" .. PASSWORD .. "@a.example", "https://a.example?b",
        "https://a.example/b?c", "https://a.example#b", "https://a.example/b c", "https://a.example\nx", "//a",
      } do
        local result, message, code = endpoint_for(service, "", { [variable] = url })
        assert.is_nil(result)
        assert.equal("InvalidEndpoint", code)
        assert.is_truthy(message:find(variable, 1, true), message)
        assert.is_nil(message:find(PASSWORD, 1, true), message)
      end
    end)

    it("excludes FIPS and dual stack when it is custom: " .. service, function()
      local result, message, code = endpoint_for(service, "", { [variable] = "https://own.example" },
        { use_fips_endpoint = true })
      assert.is_nil(result)
      assert.equal("InvalidConfiguration", code)
      assert.is_truthy(message:find("FIPS", 1, true) and message:find(variable, 1, true), message)
    end)

    it("can be in another region: " .. service, function()
      local url, region = endpoint_for(service, "", {}, {}, "cn-north-1")
      assert.equal("cn-north-1", region)
      assert.is_truthy(url:find("cn-north-1", 1, true) and url:find("%.cn$"), url)
      for _, bad in ipairs { "", "a.b", "a/b", "x@evil.example" } do
        local result, message, code = endpoint_for(service, "", {}, {}, bad)
        assert.is_nil(result)
        assert.equal("InvalidRegion", code)
        assert.is_truthy(message:find(service, 1, true), message)
      end
    end)

    it("fails where it is needed when the services section is wrong: " .. service, function()
      local result, message, code = endpoint_for(service, "[default]\nservices = absent\n",
        { AWS_ENDPOINT_URL_IOT = "https://iot.example" })
      assert.is_nil(result)
      assert.equal("InvalidProfile", code)
      assert.is_truthy(message:find("absent", 1, true), message)
    end)
  end

  it("is of the kind that was asked for", function()
    assert.equal("https://sts-fips.us-east-1.amazonaws.com",
      endpoint_for("sts", "[default]\nuse_fips_endpoint = true\n"))
    assert.equal("https://oidc.us-east-1.api.aws", endpoint_for("oidc", "", { AWS_USE_DUALSTACK_ENDPOINT = "true" }))
  end)

  it("is the global one of STS when the setting is legacy", function()
    local config = "[default]\nsts_regional_endpoints = legacy\n"
    local url, region = endpoint_for("sts", config, {}, { region = "eu-west-1" })
    assert.equal("https://sts.amazonaws.com", url)
    assert.equal("us-east-1", region)
    url, region = endpoint_for("sts", "", {}, { region = "eu-west-1" })
    assert.equal("https://sts.eu-west-1.amazonaws.com", url)
    assert.equal("eu-west-1", region)
  end)

  it("is what it was when the client was made", function()
    local found = assert(resolve_with_region("", { AWS_ENDPOINT_URL_STS = "https://own.example" }))
    environment.replace()
    assert.equal("https://own.example", found.endpoint_for "sts")
  end)
end)
