-- The public cases of the parser of profile files (smithy-lang/smithy-rs).
local files = require "spec.support.files"
local json = require "spec.support.json"
local profile_parser = require "iot.config.profile_parser"
local profiles = require "iot.config.profiles"

local DATA = "../shared/conformance/profiles/profile-parser-tests.json"
local CASE_COUNT = 65

-- Both files as a client sees them.
local function read(input)
  local config, message = profile_parser.parse(input.configFile or "", "config")
  if not config then return nil, message end
  local credentials
  credentials, message = profile_parser.parse(input.credentialsFile or "", "credentials")
  if not credentials then return nil, message end
  return profiles.merge(config, credentials)
end

describe("the public cases of profile files", function()
  local text = files.read(DATA)
  local cases = text and json.decode(text).tests or {}

  it("are all there", function()
    if not text then pending "no conformance data beside the project" end
    assert.equal(CASE_COUNT, #cases)
  end)

  for number, case in ipairs(cases) do
    it(("%d: %s"):format(number, case.name), function()
      local sections, message = read(case.input)
      local expected = case.output
      if expected.errorContaining then
        assert.is_nil(sections)
        assert.is_truthy(message:find(expected.errorContaining, 1, true), message)
        return
      end
      assert.is_nil(message)
      assert.same(expected.config.profiles, sections.profiles)
      assert.same(expected.config.sso_sessions or {}, sections.sso_sessions)
      assert.same({}, sections.services)
    end)
  end
end)
