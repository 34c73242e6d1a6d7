-- The public endpoint cases of the service (boto/botocore), and every region of the public table of
-- partitions.
local endpoint = require "iot.endpoint"
local files = require "spec.support.files"
local json = require "spec.support.json"

local DATA = "../shared/conformance/endpoints/"
local CASE_COUNT, PARTITION_COUNT = 45, 8

-- nil where the data is not beside the project; one file alone that is missing is broken data.
local function load_data(name)
  local text = files.read(DATA .. name)
  if text then return json.decode(text) end
  for _, other in ipairs { "iot-endpoint-tests.json", "partitions.json" } do
    assert(not files.read(DATA .. other), "there is no " .. name)
  end
  return nil
end

local function title(parameters)
  local words = { parameters.Region or "no region" }
  if parameters.UseFIPS then words[#words + 1] = "with FIPS" end
  if parameters.UseDualStack then words[#words + 1] = "with dual stack" end
  if parameters.Endpoint then words[#words + 1] = "with endpoint " .. parameters.Endpoint end
  return table.concat(words, " ")
end

describe("the public endpoint cases", function()
  local data = load_data "iot-endpoint-tests.json"

  it("are all there", function()
    if not data then pending "no conformance data beside the project" end
    assert.equal(CASE_COUNT, #data.testCases)
  end)

  for _, case in ipairs(data and data.testCases or {}) do
    local parameters = case.params or {}

    it(title(parameters), function()
      local url, message = endpoint.resolve {
        region = parameters.Region,
        use_fips = parameters.UseFIPS,
        use_dualstack = parameters.UseDualStack,
        endpoint = parameters.Endpoint,
      }
      if case.expect.error then
        assert.is_nil(url)
        assert.equal(case.expect.error, message)
      else
        assert.equal(case.expect.endpoint.url, url)
        assert.is_nil(message)
      end
    end)
  end
end)

describe("the public table of partitions", function()
  local data = load_data "partitions.json"

  it("is all there", function()
    if not data then pending "no conformance data beside the project" end
    assert.equal(PARTITION_COUNT, #data.partitions)
  end)

  for _, partition in ipairs(data and data.partitions or {}) do
    local outputs = partition.outputs

    it("has the regions of " .. partition.id, function()
      -- Were one of these false, the rules would ask for an error.
      assert.is_true(outputs.supportsFIPS and outputs.supportsDualStack)
      local count = 0
      for region in pairs(partition.regions) do
        count = count + 1
        for fips, host in pairs { [false] = "iot.", [true] = "iot-fips." } do
          assert.equal("https://" .. host .. region .. "." .. outputs.dnsSuffix,
            endpoint.resolve { region = region, use_fips = fips })
          assert.equal("https://" .. host .. region .. "." .. outputs.dualStackDnsSuffix,
            endpoint.resolve { region = region, use_fips = fips, use_dualstack = true })
        end
        assert.is_true(endpoint.is_region(region), region)
      end
      assert.is_true(count > 0)
      assert.equal("https://iot." .. outputs.implicitGlobalRegion .. "." .. outputs.dnsSuffix,
        endpoint.resolve { region = outputs.implicitGlobalRegion })
    end)
  end
end)
