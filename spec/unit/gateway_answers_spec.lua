-- What each kind of failure is over HTTP, in the example gateway.
local answers = require "spec.examples.gateway.answers"
local json = require "spec.support.json"

describe("the example gateway's answers", function()
  -- The detail, the status, Retry-After, and whether its message is shown.
  local CASES = {
    { { kind = "service", code = "ResourceNotFoundException", status = 404 }, 404, nil, true },
    { { kind = "service", code = "InvalidRequestException", status = 400 }, 400, nil, true },
    { { kind = "service", code = "UnauthorizedException", status = 401 }, 502, nil, true },
    { { kind = "service", code = "AccessDeniedException", status = 403 }, 502, nil, true },
    { { kind = "service", code = "InternalFailureException", status = 500 }, 502, nil, true },
    { { kind = "service", code = "ThrottlingException", status = 400, throttled = true }, 503, 1, true },
    { { kind = "service", code = "TooManyRequestsException", throttled = true, retry_after = 2.2 }, 503, 3, true },
    { { kind = "validation", code = "InvalidParameter" }, 400, nil, true },
    { { kind = "transport", code = "ConnectionLost" }, 502, nil, true },
    { { kind = "response", code = "MalformedResponse", status = 200 }, 502, nil, true },
    { { kind = "timeout", code = "Timeout" }, 504, nil, true },
    { { kind = "credentials", code = "NoCredentials" }, 500, nil, false },
    { { kind = "configuration", code = "InvalidProfile" }, 500, nil, false },
  }
  for _, case in ipairs(CASES) do
    local detail, status, retry_after, is_shown = case[1], case[2], case[3], case[4]
    it(("are %d to %s"):format(status, detail.code), function()
      detail.message = "the file /home/gateway/.aws/config"
      local answer = answers.failure(detail)
      local said = json.decode(answer.text).error
      assert.same({ status, retry_after }, { answer.status, answer.retry_after })
      assert.equal(detail.code, said.code)
      assert.equal(is_shown, said.message == detail.message)
      assert.equal(not is_shown, answers.is_own(detail))
      assert.equal(is_shown, answer.text:find("home", 1, true) ~= nil)
    end)
  end

  it("list nothing as a list", function()
    assert.equal('{"all":[],"more":false}', answers.list('{"all":%s,"more":%s}', {}, false).text)
    assert.equal('{"all":[1,"100 %s"],"more":true}', answers.list('{"all":%s,"more":%s}', { 1, "100 %s" }, true).text)
  end)
end)
