-- What the providers that ask a server have in common: which refusals pass, how long a server asks to
-- wait, and the code of a failure.
local environment = require "spec.support.environment"
local exchange = require "iot.credentials.exchange"

local function detail_of(status, headers, facts)
  return (select(3, exchange.refused({ status = status, headers = headers, body = "" }, facts or {}, "")))
end

describe("a refusal of a provider's server", function()
  it("passes with the statuses and codes of every service, and no other", function()
    for _, status in ipairs { 429, 500, 502, 503, 504 } do
      local detail = detail_of(status)
      assert.is_true(detail.retryable, status)
      assert.equal(status == 429, detail.throttled)
      assert.equal(tostring(status), detail.code)
    end
    for _, status in ipairs { 301, 400, 401, 403, 404, 408, 418, 501, 505, 511 } do
      assert.is_false(detail_of(status).retryable, status)
    end
    assert.is_true(detail_of(400, {}, { code = "ThrottlingException" }).throttled)
  end)

  it("needs no headers", function()
    assert.is_nil(detail_of(503, nil).retry_after)
  end)

  local NOW, LATER, EARLIER =
    "Sat, 25 Dec 2021 13:30:00 GMT", "Sat, 25 Dec 2021 13:30:07 GMT", "Sat, 25 Dec 2021 13:29:59 GMT"
  -- Status, headers, seconds.
  local WAITS = {
    { 429, { ["retry-after"] = "7" }, 7 },
    { 503, { ["retry-after"] = "0" }, 0 },
    { 503, { ["retry-after"] = "010" }, 10 },
    { 500, { ["retry-after"] = "7" } },
    { 400, { ["retry-after"] = "7" } },
    { 503, { ["retry-after"] = "-7" } },
    { 503, { ["retry-after"] = "0x7" } },
    { 503, { ["retry-after"] = "7.5" } },
    { 503, { ["retry-after"] = "soon" } },
    { 503, { ["retry-after"] = "" } },
    { 503, { ["retry-after"] = LATER, date = NOW }, 7 },
    { 503, { ["retry-after"] = EARLIER, date = NOW } },
    { 503, { ["retry-after"] = LATER } },
    { 500, { ["x-amz-retry-after"] = "1500" }, 1.5 },
    { 400, { ["x-amz-retry-after"] = "1500" }, 1.5 },
    { 503, { ["x-amz-retry-after"] = "1500", ["retry-after"] = "7" }, 1.5 },
    { 503, { ["x-amz-retry-after"] = "-1", ["retry-after"] = "7" }, 7 },
    { 500, { ["x-amz-retry-after"] = "invalid" } },
  }

  for _, case in ipairs(WAITS) do
    local words = {}
    for name, text in pairs(case[2]) do words[#words + 1] = ("%s: %s"):format(name, text) end
    table.sort(words)
    it(("with status %d and %s asks for %s"):format(case[1], table.concat(words, ", "),
      case[3] and case[3] .. " s" or "nothing"), function()
      assert.equal(case[3], detail_of(case[1], case[2]).retry_after)
    end)
  end

  it("tells the server's time", function()
    assert.equal(1640439000, detail_of(403, { date = NOW }).server_time)
    assert.is_nil(detail_of(403, { date = "now" }).server_time)
  end)
end)

describe("the code of a provider's failure", function()
  it("is CredentialsFailed, but for an interrupt", function()
    for _, code in ipairs { "Timeout", "ConnectionFailed", "DeadlinePassed", "503" } do
      assert.equal("CredentialsFailed", exchange.code_of(code))
    end
    assert.equal("CredentialsFailed", exchange.code_of(nil))
    assert.equal("Interrupted", exchange.code_of "Interrupted")
  end)
end)

describe("the policy of a provider", function()
  it("has parameters of its own where they are given", function()
    assert.equal(500, exchange.policy(environment.runtime()).quota)
    assert.equal(7, exchange.policy(environment.runtime(), { capacity = 7, max_attempts = 1 }).quota)
  end)
end)
