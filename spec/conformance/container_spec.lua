-- The public cases of where a container asks for its credentials (smithy-lang/smithy-rs).
local container = require "iot.credentials.container"
local environment = require "spec.support.environment"
local fake_http = require "spec.support.fake_http"
local files = require "spec.support.files"
local json = require "spec.support.json"

local DATA = "../shared/conformance/profiles/ecs-tests.json"
local CASE_COUNT = 11
local BODY = '{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"secret","Token":"token"}'

describe("the public container cases", function()
  local text = files.read(DATA)
  local cases = text and json.decode(text).tests or {}

  after_each(environment.restore)

  it("are all there", function()
    if not text then pending "no conformance data beside the project" end
    assert.equal(CASE_COUNT, #cases)
  end)

  for _, case in ipairs(cases) do
    it(case.docs, function()
      environment.replace(case.env)
      local expected = case.result.Ok
      local http = fake_http.new { ["GET " .. (expected or "")] = BODY }
      local provider, message = container.new { runtime = http.runtime }
      if expected then
        assert.is_truthy(provider, message)
        assert.is_truthy(provider.fetch())
        assert.same({ "GET " .. expected }, http:calls())
      else
        assert.is_nil(provider)
        assert.is_truthy(message:find(case.result.ErrorContains, 1, true), message)
      end
    end)
  end
end)
