-- The public cases of assume-role profiles (smithy-lang/smithy-rs): from profiles to the steps that give
-- credentials, before any I/O.
local files = require "spec.support.files"
local json = require "spec.support.json"
local profile = require "iot.credentials.profile"

local PATH = "../shared/conformance/profiles/assume-role-tests.json"
local CASE_COUNT = 28

-- What is in a step that the cases do not speak of.
local OWN = { kind = true, profile = true }

local function load_cases()
  local text = files.read(PATH)
  return text and json.decode(text)
end

local function assert_step(expected, step)
  local kind, members = next(expected)
  if type(members) == "string" then members = { credential_source = members } end
  assert.equal(kind, step.kind)
  local found = {}
  for name, value in pairs(step) do
    if not OWN[name] then found[name] = value end
  end
  assert.same(members, found)
end

describe("the public assume-role cases", function()
  local cases = load_cases()

  it("are all there", function()
    if not cases then pending "no conformance data beside the project" end
    assert.equal(CASE_COUNT, #cases)
  end)

  for number, case in ipairs(cases or {}) do
    it(("%d: %s"):format(number, case.docs), function()
      local steps, message, code = profile.resolve(
        { profiles = case.input.profiles, sso_sessions = case.input.sso_sessions }, case.input.selected_profile)
      if case.output.Error then
        assert.is_nil(steps)
        assert.is_truthy(message:find(case.output.Error, 1, true), message)
        assert.is_truthy(code == "InvalidProfile" or code == "NoCredentials", code)
      else
        assert.is_nil(message)
        assert.equal(#case.output.ProfileChain, #steps)
        for i, step in ipairs(steps) do assert_step(case.output.ProfileChain[i], step) end
      end
    end)
  end
end)
