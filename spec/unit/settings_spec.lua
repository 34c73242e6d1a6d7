-- What a client is made of: option, else environment, else default; and every way in which that
-- can be wrong.
local iot = require "iot"
local settings = require "iot.config.settings"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"

local REGION = "us-east-1"
local REGION_URL = "https://iot.us-east-1.amazonaws.com"
local PASSWORD = "PASSWORD-OF-THE-SPEC"

before_each(function() environment.replace() end)
after_each(environment.restore)

-- Helpers ------------------------------------------------------------------------------------

-- The settings of these options and variables. AWS_REGION is set where nothing else is said.
local function resolve(options, variables)
  local all = { AWS_REGION = REGION }
  for name, text in pairs(variables or {}) do all[name] = text end
  environment.replace(all)
  return settings.resolve(options or {})
end

local function new(options, variables)
  environment.replace(variables)
  return iot.new(options)
end

-- Text for the title of a spec, on one line.
local function shown(text)
  local line = text:gsub("%c", function(c) return ("\\%d"):format(c:byte()) end)
  return #line <= 60 and line or line:sub(1, 57) .. "..."
end

-- Whether a message names an option or a variable. An option may be named by the words of its name.
local function is_named(name, message)
  if message:find(name, 1, true) then return true end
  local is_option = name:find "^%l" ~= nil
  return is_option and message:lower():gsub("[_ ]", ""):find((name:gsub("_", "")), 1, true) ~= nil
end

-- A failure to make a client, which is `result, message, detail`; it names `name`.
local function assert_configuration_failure(code, name, result, message, detail)
  failures.check({ kind = "configuration", code = code, retryable = false }, result, message, detail)
  assert.is_nil(message:find(PASSWORD, 1, true), message)
  assert.is_true(is_named(name, message), ("%q does not name %s"):format(message, name))
end

-- Precedence ---------------------------------------------------------------------------------

describe("a setting", function()
  -- Field, option, its value, variable, its text, what that means, default.
  local SETTINGS = {
    { "region", "region", "eu-west-1", "AWS_REGION", "eu-west-2", "eu-west-2" },
    { "region", "region", "eu-west-1", "AWS_DEFAULT_REGION", "eu-west-2", "eu-west-2" },
    { "endpoint", "endpoint", "https://a.example", "AWS_ENDPOINT_URL_IOT", "https://b.example",
      "https://b.example", REGION_URL },
    { "endpoint", "endpoint", "https://a.example", "AWS_ENDPOINT_URL", "https://b.example",
      "https://b.example", REGION_URL },
    { "use_fips", "use_fips_endpoint", false, "AWS_USE_FIPS_ENDPOINT", "true", true, false },
    { "use_fips", "use_fips_endpoint", true, "AWS_USE_FIPS_ENDPOINT", "false", false, false },
    { "use_dualstack", "use_dualstack_endpoint", false, "AWS_USE_DUALSTACK_ENDPOINT", "true", true, false },
    { "use_dualstack", "use_dualstack_endpoint", true, "AWS_USE_DUALSTACK_ENDPOINT", "false", false, false },
    { "ca_bundle", "ca_bundle", "/a.pem", "AWS_CA_BUNDLE", "/b.pem", "/b.pem" },
    { "app_id", "app_id", "a", "AWS_SDK_UA_APP_ID", "b", "b" },
  }

  for _, case in ipairs(SETTINGS) do
    local field, option, value, variable, text = case[1], case[2], case[3], case[4], case[5]
    local meaning, default = case[6], case[7]
    -- Something else must give a region where none is set on purpose.
    local others = field == "region" and { AWS_REGION = "" } or {}

    local function with(variables)
      for name, other in pairs(others) do
        if variables[name] == nil then variables[name] = other end
      end
      return variables
    end

    describe(("%s (%s, %s)"):format(field, tostring(value), variable), function()
      it("is the option's", function()
        local found = assert(resolve({ [option] = value }, with {}))
        assert.equal(value, found[field])
        found = assert(resolve({ [option] = value }, with { [variable] = text }))
        assert.equal(value, found[field])
      end)

      it("is the variable's without the option", function()
        local found = assert(resolve({}, with { [variable] = text }))
        assert.equal(meaning, found[field])
      end)

      it("has its default with neither, or with an empty variable", function()
        if field == "region" then
          assert_configuration_failure("MissingRegion", variable == "AWS_REGION" and variable or "region",
            resolve({}, with { [variable] = "" }))
        else
          assert.equal(default, assert(resolve({}, {}))[field])
          assert.equal(default, assert(resolve({}, { [variable] = "" }))[field])
        end
      end)
    end)
  end

  it("for a time is the option's, or its default", function()
    local found = assert(resolve())
    assert.equal(3.1, found.connect_timeout)
    assert.equal(60, found.read_timeout)
    assert.is_true(found.timeout > 0 and found.timeout < math.huge, "every call has a bound")
    found = assert(resolve { connect_timeout = 0.5, read_timeout = 1, timeout = 2 })
    assert.equal(0.5, found.connect_timeout)
    assert.equal(1, found.read_timeout)
    assert.equal(2, found.timeout)
  end)
end)

describe("a switch in the environment", function()
  local SWITCHES = {
    AWS_USE_FIPS_ENDPOINT = "https://iot-fips.us-east-1.amazonaws.com",
    AWS_USE_DUALSTACK_ENDPOINT = "https://iot.us-east-1.api.aws",
  }
  local MALFORMED = { "yes", "no", "on", "off", "1", "0", "t", "tru", "truefalse", "nil", "true;", "\n" }

  for variable, url in pairs(SWITCHES) do
    it("is true or false in any case: " .. variable, function()
      for _, text in ipairs { "true", "TRUE", "True", "tRuE" } do
        assert.equal(url, assert(resolve({}, { [variable] = text })).endpoint)
      end
      for _, text in ipairs { "false", "FALSE", "False", "" } do
        assert.equal(REGION_URL, assert(resolve({}, { [variable] = text })).endpoint)
      end
    end)
  end

  for _, variable in ipairs {
    "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
  } do
    it("is nothing else: " .. variable, function()
      for _, text in ipairs(MALFORMED) do
        assert_configuration_failure("InvalidConfiguration", variable,
          new(nil, { AWS_REGION = REGION, AWS_ENDPOINT_URL = "https://a.example", [variable] = text }))
      end
    end)
  end

  it("is not looked at when there is the option", function()
    local variables = { AWS_USE_FIPS_ENDPOINT = "maybe", AWS_USE_DUALSTACK_ENDPOINT = "perhaps" }
    local options = { use_fips_endpoint = false, use_dualstack_endpoint = true }
    assert.equal("https://iot.us-east-1.api.aws", assert(resolve(options, variables)).endpoint)
  end)

  it("can be joined with the other", function()
    assert.equal("https://iot-fips.us-east-1.api.aws",
      assert(resolve({ use_fips_endpoint = true }, { AWS_USE_DUALSTACK_ENDPOINT = "true" })).endpoint)
  end)
end)

-- Retries ------------------------------------------------------------------------------------

describe("the retry setting", function()
  -- Field; options and their value; variable; texts and what they mean; texts that mean nothing; default.
  local SETTINGS = {
    { "mode", { standard = "standard", adaptive = "adaptive" }, "AWS_RETRY_MODE",
      { standard = "standard", adaptive = "adaptive", legacy = "standard", [" Adaptive\t"] = "adaptive",
        LEGACY = "standard" },
      { "none", "adaptive!", "standard adaptive", " ", "1" }, "standard" },
    { "max_attempts", { [1] = 1, [7] = 7, [1e6] = 1e6 }, "AWS_MAX_ATTEMPTS",
      { ["1"] = 1, ["5"] = 5, [" 10 "] = 10, ["007"] = 7, ["9999999999"] = 9999999999 },
      { "0", "000", "-1", "+3", "2.5", "3.0", "1e1", "0x10", "many", "3 4", ("9"):rep(400) }, 3 },
    { "parameters", {}, "AWS_NEW_RETRIES_2026",
      { ["true"] = "2.1", ["TRUE"] = "2.1", ["false"] = "2.0", ["False"] = "2.0" },
      { "yes", "0", "2.1", "truefalse" }, "2.1" },
  }

  for _, case in ipairs(SETTINGS) do
    local field, values, variable, texts, wrong, default = case[1], case[2], case[3], case[4], case[5], case[6]

    it(field .. " has its default without option and variable", function()
      assert.equal(default, assert(resolve()).retry[field])
      assert.equal(default, assert(resolve({ retry = {} }, { [variable] = "" })).retry[field])
    end)

    it(field .. " is the variable's", function()
      for text, meaning in pairs(texts) do
        assert.equal(meaning, assert(resolve({}, { [variable] = text })).retry[field], text)
      end
    end)

    it(field .. " is the option's first", function()
      for value, meaning in pairs(values) do
        for _, text in ipairs { "", next(texts), wrong[1] } do
          local found = assert(resolve({ retry = { [field] = value } }, { [variable] = text }))
          assert.equal(meaning, found.retry[field])
        end
      end
    end)

    it(field .. " must mean something, or the message names the variable", function()
      for _, text in ipairs(wrong) do
        assert_configuration_failure("InvalidConfiguration", variable, resolve({}, { [variable] = text }))
      end
    end)
  end

  it("of the option may be wrong as well", function()
    for _, mode in ipairs { "legacy", "Standard", "", "none" } do
      assert_configuration_failure("InvalidConfiguration", "retry.mode", resolve { retry = { mode = mode } })
    end
    for _, attempts in ipairs { 0, -1, 2.5, math.huge, -math.huge, 0 / 0 } do
      assert_configuration_failure("InvalidConfiguration", "retry.max_attempts",
        resolve { retry = { max_attempts = attempts } })
    end
  end)

  it("leaves the options as they are", function()
    local retry = { mode = "adaptive" }
    assert(resolve({ retry = retry }, { AWS_MAX_ATTEMPTS = "2" }))
    assert.same({ mode = "adaptive" }, retry)
  end)
end)

describe("the defaults mode", function()
  -- Mode, variables, connect timeout.
  local MODES = {
    { "", {}, 3.1 }, { "legacy", {}, 3.1 }, { "standard", {}, 3.1 }, { "In-Region", {}, 1.1 },
    { "cross-region", {}, 3.1 }, { "mobile", {}, 30 }, { "auto", {}, 3.1 },
    { "auto", { AWS_EXECUTION_ENV = "AWS_Lambda_x" }, 1.1 },
    { "auto", { AWS_EXECUTION_ENV = "AWS_Lambda_x", AWS_REGION = "eu-west-1" }, 3.1, "us-east-1" },
    { "auto", { AWS_EXECUTION_ENV = "x", AWS_REGION = "", AWS_DEFAULT_REGION = "us-east-1" }, 1.1, "us-east-1" },
  }
  for i, case in ipairs(MODES) do
    it(("gives a time to connect, and no mode of retries but the usual one (%d: %s)"):format(i, case[1]), function()
      local variables = { AWS_DEFAULTS_MODE = case[1] }
      for name, text in pairs(case[2]) do variables[name] = text end
      local found = assert(resolve({ region = case[4] }, variables))
      assert.equal(case[3], found.connect_timeout)
      assert.equal("standard", found.retry.mode)
      assert.equal(0.5, assert(resolve({ region = case[4], connect_timeout = 0.5 }, variables)).connect_timeout)
      variables.AWS_RETRY_MODE = "adaptive"
      assert.equal("adaptive", assert(resolve({ region = case[4] }, variables)).retry.mode)
    end)
  end

  it("is one of six words", function()
    for _, text in ipairs { "none", "in region", "standard;", "1", " " } do
      assert_configuration_failure("InvalidConfiguration", "AWS_DEFAULTS_MODE",
        resolve({}, { AWS_DEFAULTS_MODE = text }))
    end
  end)
end)

-- Region -------------------------------------------------------------------------------------

describe("the region", function()
  it("comes from AWS_REGION before AWS_DEFAULT_REGION", function()
    local client = assert(new(nil, { AWS_REGION = "eu-west-1", AWS_DEFAULT_REGION = "eu-west-2" }))
    assert.equal("eu-west-1", client.region)
    assert.equal("https://iot.eu-west-1.amazonaws.com", client.endpoint)
  end)

  it("comes from AWS_DEFAULT_REGION when AWS_REGION is unset or empty", function()
    assert.equal("eu-west-2", assert(new(nil, { AWS_DEFAULT_REGION = "eu-west-2" })).region)
    assert.equal("eu-west-2", assert(new(nil, { AWS_REGION = "", AWS_DEFAULT_REGION = "eu-west-2" })).region)
  end)

  it("keeps its case", function()
    local client = assert(new { region = "US-East-1" })
    assert.equal("US-East-1", client.region)
    assert.equal(REGION_URL, client.endpoint:lower())
  end)

  it("decides the partition", function()
    assert.equal("https://iot.cn-north-1.amazonaws.com.cn", assert(new { region = "cn-north-1" }).endpoint)
    assert.equal("https://iot-fips.us-gov-west-1.amazonaws.com",
      assert(new { region = "us-gov-west-1", use_fips_endpoint = true }).endpoint)
  end)

  it("is needed, and the message says where to set it", function()
    for _, variables in ipairs {
      {},
      { AWS_REGION = "" },
      { AWS_REGION = "", AWS_DEFAULT_REGION = "" },
      { AWS_ENDPOINT_URL = "https://a.example" },
      { AWS_USE_FIPS_ENDPOINT = "true" },
    } do
      variables.AWS_EC2_METADATA_DISABLED = "true" -- or the instance would be asked
      assert_configuration_failure("MissingRegion", "AWS_REGION", new(nil, variables))
      assert_configuration_failure("MissingRegion", "region", new({}, variables))
    end
    -- Signing needs it also where the URL does not.
    assert_configuration_failure("MissingRegion", "AWS_REGION", new(
      { endpoint = "https://a.example" }, { AWS_EC2_METADATA_DISABLED = "true" }))
  end)

  local BAD = {
    ("a"):rep(64), "-us-east-1", "us-east-1-", "123", "us_east_1", "us.east.1", "us-east-1.evil.example",
    "us-east-1/", "a@b", "a#b", "a?b", "a:443", " us-east-1", "us-east-1 ", "us-east-1\n",
    "us-east-1\r\nX-Evil: 1", "us-east-1\0", "us-\195\169st-1",
    -- FIPS regions whose other part is none.
    "fips--us-east-1", "us-east-1--fips", "fips-1", "1-fips", "fips-", "-fips",
  }

  for _, region in ipairs(BAD) do
    it(("is a host label: not `%s`"):format(shown(region)), function()
      assert_configuration_failure("InvalidRegion", "region", new { region = region })
      assert_configuration_failure("InvalidRegion", "region",
        new({ region = region, endpoint = "https://a.example" }, { AWS_REGION = REGION }))
      assert_configuration_failure("InvalidRegion", "AWS_REGION",
        new(nil, { AWS_REGION = region, AWS_DEFAULT_REGION = REGION }))
      assert_configuration_failure("InvalidRegion", "AWS_DEFAULT_REGION", new(nil, { AWS_DEFAULT_REGION = region }))
    end)
  end

  it("is not empty where the option gives it", function()
    assert_configuration_failure("InvalidRegion", "region", new({ region = "" }, { AWS_REGION = REGION }))
  end)

  -- Region, what it stands for, its URL, its dual-stack URL.
  local FIPS = {
    { "fips-us-east-1", "us-east-1", "https://iot-fips.us-east-1.amazonaws.com",
      "https://iot-fips.us-east-1.api.aws" },
    { "us-east-1-fips", "us-east-1", "https://iot-fips.us-east-1.amazonaws.com",
      "https://iot-fips.us-east-1.api.aws" },
    { "fips-us-gov-west-1", "us-gov-west-1", "https://iot-fips.us-gov-west-1.amazonaws.com",
      "https://iot-fips.us-gov-west-1.api.aws" },
    { "cn-north-1-fips", "cn-north-1", "https://iot-fips.cn-north-1.amazonaws.com.cn",
      "https://iot-fips.cn-north-1.api.amazonwebservices.com.cn" },
  }

  for _, case in ipairs(FIPS) do
    local name, region, url, dualstack_url = case[1], case[2], case[3], case[4]

    it(("can say FIPS: %s"):format(name), function()
      for _, client in ipairs {
        assert(new { region = name }),
        assert(new(nil, { AWS_REGION = name })),
        assert(new(nil, { AWS_DEFAULT_REGION = name })),
        assert(new { region = name, use_fips_endpoint = true }),
      } do
        assert.equal(region, client.region)
        assert.equal(url, client.endpoint)
      end
      assert.equal(dualstack_url, assert(new { region = name, use_dualstack_endpoint = true }).endpoint)
    end)
  end

  it("says FIPS only as a word of its own", function()
    for _, region in ipairs { "fips", "fipsus-east-1", "us-east-1fips", "us-fips-1" } do
      local client = assert(new { region = region })
      assert.equal(region, client.region)
      assert.equal("https://iot." .. region .. ".amazonaws.com", client.endpoint)
    end
  end)
end)

-- Endpoint -----------------------------------------------------------------------------------

describe("the endpoint", function()
  local SPECIFIC, GENERAL, OWN = "https://specific.example", "https://general.example", "https://own.example"

  -- What happens, option, AWS_ENDPOINT_URL_IOT, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, result
  local ORDER = {
    { "the region's", nil, nil, nil, nil, REGION_URL },
    { "the general variable's", nil, nil, GENERAL, nil, GENERAL },
    { "the service's variable's", nil, SPECIFIC, nil, nil, SPECIFIC },
    { "the service's variable's before the general one's", nil, SPECIFIC, GENERAL, nil, SPECIFIC },
    { "the general variable's when the service's is empty", nil, "", GENERAL, nil, GENERAL },
    { "the region's when both variables are empty", nil, "", "", nil, REGION_URL },
    { "the option's before both", OWN, SPECIFIC, GENERAL, nil, OWN },
    { "the option's also when those configured are ignored", OWN, SPECIFIC, GENERAL, "true", OWN },
    { "the region's when those configured are ignored", nil, SPECIFIC, GENERAL, "true", REGION_URL },
    { "the region's when they are ignored in capitals", nil, SPECIFIC, GENERAL, "TRUE", REGION_URL },
    { "the variable's when they are not ignored", nil, SPECIFIC, GENERAL, "false", SPECIFIC },
    { "the variable's when it is not said", nil, SPECIFIC, GENERAL, "", SPECIFIC },
    { "the region's when a bad one is ignored", nil, "nowhere", "nowhere", "true", REGION_URL },
  }

  for _, case in ipairs(ORDER) do
    it("is " .. case[1], function()
      local client = assert(new({ endpoint = case[2] }, {
        AWS_REGION = REGION, AWS_ENDPOINT_URL_IOT = case[3], AWS_ENDPOINT_URL = case[4],
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = case[5],
      }))
      assert.equal(case[6], client.endpoint)
      assert.equal(REGION, client.region)
    end)
  end

  -- Given, shown.
  local LONG_NAME = table.concat({ ("a"):rep(63), ("b"):rep(63), ("c"):rep(63), ("d"):rep(63) }, ".")
  local GOOD = {
    { "https://example.com", "https://example.com" },
    { "https://example.com/", "https://example.com" },
    { "http://example.com", "http://example.com" },
    { "http://localhost:4566", "http://localhost:4566" },
    { "http://localhost:4566/", "http://localhost:4566" },
    { "https://10.0.0.1:1", "https://10.0.0.1:1" },
    { "https://10.0.0.1:65535", "https://10.0.0.1:65535" },
    { "https://vpce-01-ab.iot.us-east-1.vpce.amazonaws.com", "https://vpce-01-ab.iot.us-east-1.vpce.amazonaws.com" },
    { "https://" .. ("a"):rep(63) .. ".example", "https://" .. ("a"):rep(63) .. ".example" },
    { "https://" .. LONG_NAME, "https://" .. LONG_NAME },
    { "https://EXAMPLE.Com/Base", "https://example.com/Base" },
    { "HTTPS://example.com", "https://example.com" },
    { "https://example.com/base", "https://example.com/base" },
    { "https://example.com/base/", "https://example.com/base" },
    { "https://example.com:8443/a/b.c/", "https://example.com:8443/a/b.c" },
    { "https://example.com/a%20b/%C3%A9", "https://example.com/a%20b/%C3%A9" },
    { "https://example.com/a@b:1", "https://example.com/a@b:1" },
    { "http://[::1]", "http://[::1]" },
    { "http://[::1]:4566/base/", "http://[::1]:4566/base" },
    { "https://[FD00::A]:8443", "https://[fd00::a]:8443" },
    { "https://[::ffff:10.0.0.1]", "https://[::ffff:10.0.0.1]" },
  }

  for _, case in ipairs(GOOD) do
    local given, expected = case[1], case[2]
    it(("may be `%s`"):format(shown(given)), function()
      assert.equal(expected, assert(new { region = REGION, endpoint = given }).endpoint)
      assert.equal(expected, assert(new(nil, { AWS_REGION = REGION, AWS_ENDPOINT_URL = given })).endpoint)
    end)
  end

  local BAD = {
    -- No scheme, or another.
    "example.com", "example.com:8080", "localhost", "//example.com", "/base", "https", "https:",
    "https:/example.com", "https//example.com", "://example.com", "ftp://example.com", "file:///etc/passwd",
    "httpss://example.com", "ws://example.com", "xhttps://example.com",
    -- No host.
    "https://", "http://", "https:///base", "https://:8080", "https://:8080/base", "https://.",
    -- A user, a query, a fragment.
    "https://user@example.com", "https://user:" .. PASSWORD .. "@example.com", "https://@example.com",
    "https://:" .. PASSWORD .. "@example.com:443/base", "https://a@b@example.com",
    "https://example.com?a=b", "https://example.com/?", "https://example.com/base?a", "https://?a",
    "https://example.com#a", "https://example.com/base#", "https://example.com/#/a?b",
    -- Spaces and control characters, anywhere.
    " https://example.com", "https://example.com ", "https://exa mple.com", "https://example.com:80 80",
    "https://example.com/a b", "https://example.com/base ", "https://example.com/a HTTP/1.1",
    "https://example.com\n", "\nhttps://example.com", "https://example.com\r\nX-Evil: 1",
    "https://example.com/base\r\nHost: evil.example", "https://example.com/base\n", "https://exam\tple.com",
    "https://example.com/a\tb", "https://example.com\0", "https://example.com/a\0b", "https://example.com/\127",
    -- Ports.
    "https://example.com:0", "https://example.com:65536", "https://example.com:abc", "https://example.com:-1",
    "https://example.com:+80", "https://example.com:80x", "https://example.com:80:80", "https://example.com:1.5",
    "https://example.com:0x50", "https://example.com:4294967376", "https://example.com:18446744073709551696",
    "http://[::1]:0", "http://[::1]:65536", "http://[::1]:abc",
    -- Host names.
    "https://" .. ("a"):rep(64) .. ".example", "https://" .. LONG_NAME .. ".e", "https://example..com",
    "https://.example.com", "https://exa_mple.com", "https://*.example.com", "https://exa,mple.com",
    "https://exam%70le.com", "https://ex\195\169mple.com", "https://example.com\\evil", "https://$(id).example",
    -- Literals of IPv6.
    "https://[::1", "https://::1]", "https://::1", "https://[]", "https://[:]", "https://[::1]x",
    "https://x[::1]", "https://[::g]", "https://[10.0.0.1]", "https://[example.com]", "https://[[::1]]",
    "https://[::1]x:80", "https://[::1] :80",
    -- Paths that others may take for another.
    "https://example.com/..", "https://example.com/a/../b", "https://example.com/./a", "https://example.com/%2e%2E/a",
    "https://example.com/.%2e/", "https://example.com/a/%2E",
  }

  for _, url in ipairs(BAD) do
    it(("may not be `%s`"):format(shown(url)), function()
      assert_configuration_failure("InvalidEndpoint", "endpoint",
        new({ endpoint = url }, { AWS_REGION = REGION, AWS_ENDPOINT_URL = GENERAL }))
      for _, variable in ipairs { "AWS_ENDPOINT_URL_IOT", "AWS_ENDPOINT_URL" } do
        assert_configuration_failure("InvalidEndpoint", variable,
          new({ region = REGION }, { [variable] = url }))
      end
    end)
  end

  it("is not empty where the option gives it", function()
    assert_configuration_failure("InvalidEndpoint", "endpoint",
      new({ region = REGION, endpoint = "" }, { AWS_ENDPOINT_URL = GENERAL }))
  end)

  it("may not be longer than any request", function()
    assert_configuration_failure("InvalidEndpoint", "endpoint",
      new { region = REGION, endpoint = "https://example.com/" .. ("a"):rep(1e6) })
  end)

  describe("of one's own", function()
    -- Options, variables, what the message is about, whose endpoint it was.
    local CONFLICTS = {
      { { use_fips_endpoint = true, endpoint = OWN }, {}, "FIPS", "endpoint" },
      { { use_fips_endpoint = true }, { AWS_ENDPOINT_URL_IOT = SPECIFIC }, "FIPS", "AWS_ENDPOINT_URL_IOT" },
      { { use_fips_endpoint = true }, { AWS_ENDPOINT_URL = GENERAL }, "FIPS", "AWS_ENDPOINT_URL" },
      { { endpoint = OWN }, { AWS_USE_FIPS_ENDPOINT = "true" }, "FIPS", "endpoint" },
      { { endpoint = OWN, region = "fips-us-east-1" }, {}, "FIPS", "endpoint" },
      { {}, { AWS_REGION = "us-east-1-fips", AWS_ENDPOINT_URL = GENERAL }, "FIPS", "AWS_ENDPOINT_URL" },
      { { use_dualstack_endpoint = true, endpoint = OWN }, {}, "Dualstack", "endpoint" },
      { { use_dualstack_endpoint = true }, { AWS_ENDPOINT_URL = GENERAL }, "Dualstack", "AWS_ENDPOINT_URL" },
      { { endpoint = OWN }, { AWS_USE_DUALSTACK_ENDPOINT = "true" }, "Dualstack", "endpoint" },
    }

    for i, case in ipairs(CONFLICTS) do
      local options, variables, about, source = case[1], case[2], case[3], case[4]
      variables.AWS_REGION = variables.AWS_REGION or REGION

      it(("excludes %s (%d)"):format(about, i), function()
        assert_configuration_failure("InvalidConfiguration", about, new(options, variables))
      end)

      it(("excludes %s, and says who gave it (%d)"):format(about, i), function()
        assert_configuration_failure("InvalidConfiguration", source, new(options, variables))
      end)
    end

    it("goes with FIPS when it is ignored", function()
      assert.equal("https://iot-fips.us-east-1.amazonaws.com", assert(new({ use_fips_endpoint = true }, {
        AWS_REGION = REGION, AWS_ENDPOINT_URL = GENERAL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "true",
      })).endpoint)
    end)
  end)
end)

-- CA bundle, proxy ---------------------------------------------------------------------------

describe("a CA bundle", function()
  local BAD = { "/no/such/file.pem", "no-such-file.pem", "/dev/null/ca.pem", "/no/such\nfile.pem" }

  for _, path in ipairs(BAD) do
    it(("may not be `%s`"):format(shown(path)), function()
      assert_configuration_failure("InvalidCABundle", "ca_bundle", new { region = REGION, ca_bundle = path })
      assert_configuration_failure("InvalidCABundle", "AWS_CA_BUNDLE",
        new({ region = REGION }, { AWS_CA_BUNDLE = path }))
    end)
  end

  it("is not empty where the option gives it", function()
    assert_configuration_failure("InvalidCABundle", "ca_bundle", new { region = REGION, ca_bundle = "" })
  end)

  it("has no NUL in its name", function()
    assert_configuration_failure("InvalidCABundle", "ca_bundle", new { region = REGION, ca_bundle = "/dev/null\0" })
  end)
end)

describe("a proxy", function()
  it("has no NUL in its name, and no password in a message", function()
    local proxy = "http://user:" .. PASSWORD .. "@localhost:3128/\0"
    local client, message, detail = new { region = REGION, proxy = proxy }
    assert_configuration_failure("InvalidConfiguration", "proxy", client, message, detail)
  end)
end)
