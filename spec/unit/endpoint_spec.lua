-- Where the service is: partitions of regions that no table lists, and what may be a region at all.
local endpoint = require "iot.endpoint"

local SUFFIXES = {
  ["aws"] = { "amazonaws.com", "api.aws" },
  ["aws-cn"] = { "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
  ["aws-eusc"] = { "amazonaws.eu", "api.amazonwebservices.eu" },
  ["aws-iso"] = { "c2s.ic.gov", "api.aws.ic.gov" },
  ["aws-iso-b"] = { "sc2s.sgov.gov", "api.aws.scloud" },
  ["aws-iso-e"] = { "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk" },
  ["aws-iso-f"] = { "csp.hci.ic.gov", "api.aws.hci.ic.gov" },
  ["aws-us-gov"] = { "amazonaws.com", "api.aws" },
}

local REGIONS = {
  ["aws"] = {
    "us-east-1", "eu-central-1", "ap-southeast-7", "sa-east-1", "ca-west-1", "me-south-1", "af-south-1",
    "il-central-1", "mx-central-1", "aws-global",
    -- Of a form that is known.
    "us-foo-1", "eu-foo-22", "mx-Foo9-001", "af-a_b-1",
    -- Without a partition's middle part it is one of "us-" or "eu-".
    "us-gov-1", "us-iso-1", "us-isob-1", "us-isof-1", "eu-isoe-1",
  },
  ["aws-cn"] = { "cn-north-1", "cn-northwest-1", "cn-foo-1", "cn-foo-12", "cn-Foo_9-1", "aws-cn-global" },
  ["aws-eusc"] = { "eusc-de-east-1", "eusc-de-foo-2" },
  ["aws-iso"] = { "us-iso-east-1", "us-iso-west-1", "us-iso-foo-1", "aws-iso-global" },
  ["aws-iso-b"] = { "us-isob-east-1", "us-isob-foo-1", "aws-iso-b-global" },
  ["aws-iso-e"] = { "eu-isoe-west-1", "eu-isoe-foo-1", "aws-iso-e-global" },
  ["aws-iso-f"] = { "us-isof-south-1", "us-isof-foo-1", "aws-iso-f-global" },
  ["aws-us-gov"] = { "us-gov-west-1", "us-gov-east-1", "us-gov-foo-1", "aws-us-gov-global" },
}

-- Of no form that is known, so of "aws".
local UNKNOWN_REGIONS = {
  "xx-foo-1", "foo", "moon", "cn-foo-1x", "xcn-foo-1", "cn-foo", "cn-foo-", "cn--1", "cn-north-1-x",
  "cn-a-b-1", "eusc-fr-east-1", "eusc-east-1", "aws-eusc-global", "us-isoz-east-1", "us-gov-a-b-1",
  "US-EAST-1", "CN-NORTH-1", "Us-Gov-West-1", "AWS-CN-GLOBAL", "aws-cn-globa", "aws-cn-global-1",
}

local function assert_hosts(partition, region)
  local suffix, dualstack_suffix = SUFFIXES[partition][1], SUFFIXES[partition][2]
  for _, case in ipairs {
    { false, false, "iot", suffix },
    { true, false, "iot-fips", suffix },
    { false, true, "iot", dualstack_suffix },
    { true, true, "iot-fips", dualstack_suffix },
  } do
    local use_fips, use_dualstack, host, expected = case[1], case[2], case[3], case[4]
    assert.equal(("https://%s.%s.%s"):format(host, region, expected),
      endpoint.resolve { region = region, use_fips = use_fips, use_dualstack = use_dualstack })
  end
  assert.equal(("https://iot.%s.%s"):format(region, suffix), endpoint.resolve { region = region })
end

describe("a region", function()
  for partition, regions in pairs(REGIONS) do
    it("is of " .. partition, function()
      for _, region in ipairs(regions) do assert_hosts(partition, region) end
    end)
  end

  it("is of aws when nothing is known of it", function()
    for _, region in ipairs(UNKNOWN_REGIONS) do assert_hosts("aws", region) end
  end)

  it("is needed", function()
    for _, switches in ipairs { {}, { use_fips = true }, { use_dualstack = true } } do
      local url, message = endpoint.resolve(switches)
      assert.is_nil(url)
      assert.equal("Invalid Configuration: Missing Region", message)
    end
  end)
end)

describe("a custom endpoint", function()
  local URL = "https://example.com:8443/base"

  it("is taken as it is, with and without a region", function()
    assert.equal(URL, endpoint.resolve { endpoint = URL })
    assert.equal(URL, endpoint.resolve { endpoint = URL, region = "cn-north-1" })
    assert.equal(URL, endpoint.resolve { endpoint = URL, use_fips = false, use_dualstack = false })
  end)

  it("excludes FIPS and dual stack", function()
    local fips = "Invalid Configuration: FIPS and custom endpoint are not supported"
    local dualstack = "Invalid Configuration: Dualstack and custom endpoint are not supported"
    for _, case in ipairs {
      { { use_fips = true }, fips },
      { { use_dualstack = true }, dualstack },
      { { use_fips = true, use_dualstack = true }, fips },
    } do
      for _, region in ipairs { "us-east-1", false } do
        local parameters, expected = case[1], case[2]
        parameters.endpoint, parameters.region = URL, region or nil
        local url, message = endpoint.resolve(parameters)
        assert.is_nil(url)
        assert.equal(expected, message)
      end
    end
  end)
end)

describe("the host of another service", function()
  -- Service, region; plain, FIPS, dual stack, both.
  local HOSTS = {
    { "sts", "us-east-1", "sts.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com",
      "sts.us-east-1.api.aws", "sts-fips.us-east-1.api.aws" },
    { "sts", "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com",
      "sts.us-gov-west-1.api.aws", "sts-fips.us-gov-west-1.api.aws" },
    { "sts", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "sts-fips.cn-north-1.amazonaws.com.cn",
      "sts.cn-north-1.api.amazonwebservices.com.cn", "sts-fips.cn-north-1.api.amazonwebservices.com.cn" },
    { "sts", "aws-global", "sts.amazonaws.com", "sts-fips.aws-global.amazonaws.com",
      "sts.aws-global.api.aws", "sts-fips.aws-global.api.aws" },
    { "sso", "eu-west-1", "portal.sso.eu-west-1.amazonaws.com", "portal.sso-fips.eu-west-1.amazonaws.com",
      "portal.sso.eu-west-1.api.aws", "portal.sso-fips.eu-west-1.api.aws" },
    { "sso", "us-gov-east-1", "portal.sso.us-gov-east-1.amazonaws.com", "portal.sso.us-gov-east-1.amazonaws.com",
      "portal.sso.us-gov-east-1.api.aws", "portal.sso-fips.us-gov-east-1.api.aws" },
    { "oidc", "us-iso-east-1", "oidc.us-iso-east-1.c2s.ic.gov", "oidc-fips.us-iso-east-1.c2s.ic.gov",
      "oidc.us-iso-east-1.api.aws.ic.gov", "oidc-fips.us-iso-east-1.api.aws.ic.gov" },
    { "oidc", "us-gov-west-1", "oidc.us-gov-west-1.amazonaws.com", "oidc.us-gov-west-1.amazonaws.com",
      "oidc.us-gov-west-1.api.aws", "oidc-fips.us-gov-west-1.api.aws" },
    { "signin", "us-east-1", "us-east-1.signin.aws.amazon.com", "signin-fips.us-east-1.amazonaws.com",
      "signin.us-east-1.api.aws", "signin-fips.us-east-1.api.aws" },
    { "signin", "cn-north-1", "cn-north-1.signin.amazonaws.cn", "signin-fips.cn-north-1.amazonaws.com.cn",
      "signin.cn-north-1.api.amazonwebservices.com.cn", "signin-fips.cn-north-1.api.amazonwebservices.com.cn" },
    { "signin", "us-gov-west-1", "us-gov-west-1.signin.amazonaws-us-gov.com",
      "signin-fips.us-gov-west-1.amazonaws.com", "signin.us-gov-west-1.api.aws",
      "signin-fips.us-gov-west-1.api.aws" },
    { "signin", "eusc-de-east-1", "signin.eusc-de-east-1.amazonaws.eu", "signin-fips.eusc-de-east-1.amazonaws.eu",
      "signin.eusc-de-east-1.api.amazonwebservices.eu", "signin-fips.eusc-de-east-1.api.amazonwebservices.eu" },
  }

  for _, case in ipairs(HOSTS) do
    it(("is known: %s in %s"):format(case[1], case[2]), function()
      for number, switches in ipairs { { false, false }, { true, false }, { false, true }, { true, true } } do
        assert.equal("https://" .. case[2 + number], endpoint.resolve {
          service = case[1], region = case[2], use_fips = switches[1], use_dualstack = switches[2],
        })
      end
    end)
  end

  it("needs a region, and takes a custom endpoint, like any other", function()
    for _, service in ipairs { "sts", "sso", "oidc", "signin" } do
      local url, message = endpoint.resolve { service = service }
      assert.is_nil(url)
      assert.equal("Invalid Configuration: Missing Region", message)
      assert.equal("http://a", endpoint.resolve { service = service, region = "us-east-1", endpoint = "http://a" })
      assert.is_nil((endpoint.resolve { service = service, endpoint = "http://a", use_fips = true }))
    end
  end)

  it("of STS is the global one in the old regions, where that is wanted", function()
    local function sts(region, more)
      local parameters = { service = "sts", region = region, legacy_global_sts = true }
      for name, value in pairs(more or {}) do parameters[name] = value end
      return endpoint.resolve(parameters), endpoint.signing_region(parameters)
    end
    for _, region in ipairs {
      "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1",
      "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1",
      "us-west-2", "aws-global",
    } do
      assert.same({ "https://sts.amazonaws.com", "us-east-1" }, { sts(region) })
      for _, more in ipairs { { use_fips = true }, { use_dualstack = true }, { endpoint = "https://a" } } do
        local url, signing_region = sts(region, more)
        assert.are_not.equal("https://sts.amazonaws.com", url)
        assert.equal(region, signing_region)
      end
    end
    for _, region in ipairs { "eu-south-1", "ap-northeast-2", "xx-foo-1" } do
      assert.same({ "https://sts." .. region .. ".amazonaws.com", region }, { sts(region) })
    end
    assert.same({ "https://sts.us-gov-west-1.amazonaws.com", "us-gov-west-1" }, { sts "us-gov-west-1" })
    assert.same({ "https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1" }, { sts "cn-north-1" })
    assert.equal("https://iot.us-east-1.amazonaws.com",
      endpoint.resolve { region = "us-east-1", legacy_global_sts = true })
  end)
end)

describe("the base of requests", function()
  it("is a URL with a host, perhaps a port and a path", function()
    for _, url in ipairs { "http://a", "HTTPS://a.example:8443", "https://[::1]:1/base/", "https://a/b@c:d" } do
      assert.is_true(endpoint.is_base(url), url)
    end
  end)

  it("is nothing else", function()
    for _, url in ipairs {
      "", "a", "//a", "http:a", "http:/a", "http://", "http:///a", "ftp://a", "http://u@a", "http://u:p@a/b",
      "http://a?b", "http://a/b?c", "http://a#b", "http://a/#", "http://a b", "http://a/b c", " http://a",
      "http://a\n", "http://a/\0", "xhttp://a",
    } do
      assert.is_false(endpoint.is_base(url), url)
    end
  end)
end)

describe("the name of a region", function()
  local GOOD = {
    "us-east-1", "US-EAST-1", "cn-foo-1x", "aws-global", "fips-us-east-1", "a", "A", "1a", "a1", "1-1",
    "x--y", "moon", ("a"):rep(63), "a" .. ("-"):rep(61) .. "1",
  }
  local BAD = {
    "", ("a"):rep(64), "-", "-a", "a-", "-us-east-1", "us-east-1-", "1", "123", ("1"):rep(63),
    "us_east_1", "us.east.1", "us-east-1.evil.example", ".", "..", "us/east", "us-east-1/", "a@b", "a#b",
    "a?b", "a:b", "a%2Fb", "a\\b", "a,b", "a=b", "a&b", "*", "[a]", "us east", " us-east-1",
    "us-east-1 ", "us-east-1\n", "\nus-east-1", "us-east-1\r\n", "us-east-1\0", "us\0east", "us-east-1\t",
    "\127", "us-\195\169st-1", "\255",
  }

  it("is one host label", function()
    for _, region in ipairs(GOOD) do assert.is_true(endpoint.is_region(region), region) end
  end)

  it("is nothing else", function()
    for _, region in ipairs(BAD) do
      assert.is_false(endpoint.is_region(region), ("%q"):format(region))
    end
  end)
end)
