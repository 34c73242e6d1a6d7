-- The public cases of where the instance metadata service is (smithy-lang/smithy-rs).
local imds = require "iot.credentials.imds"
local profile_parser = require "iot.config.profile_parser"
local environment = require "spec.support.environment"
local fake_http = require "spec.support.fake_http"
local files = require "spec.support.files"
local json = require "spec.support.json"

local DATA = "../shared/conformance/profiles/imds-endpoint-tests.json"
local CASE_COUNT = 14

local function context_of(case, runtime)
  local name = case.env.AWS_CONFIG_FILE
  local sections = assert(profile_parser.parse(name and case.fs[name] or "", "config"))
  local selected = sections.profiles.default
  return {
    runtime = runtime, profile = selected,
    profiles = { profiles = sections.profiles, name = "default", selected = selected },
    imds = { endpoint = case.endpoint_override, mode = case.mode_override },
  }
end

describe("the public cases of the metadata endpoint", function()
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
      local http = fake_http.new {
        ["PUT " .. (expected or "")] = fake_http.failure("ConnectionFailed", "no connection could be made"),
      }
      local provider, message, code = imds.new(context_of(case, http.runtime))
      if expected then
        assert.is_truthy(provider, message)
        assert.is_nil(provider.fetch())
        assert.same({ "PUT " .. expected }, http:calls())
      else
        assert.is_nil(provider)
        assert.equal("InvalidConfiguration", code)
        assert.is_truthy(message:find(case.result.Err, 1, true), message)
      end
    end)
  end
end)
