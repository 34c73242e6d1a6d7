-- The public SigV4 test suite (awslabs/aws-c-auth, see its README), at every stage.
--
-- A case is a raw request and what becomes of it: canonical request, string to sign, signature and
-- signed request, once signed by an Authorization header and once by query parameters. The paths
-- in the raw requests are raw text that stands for the path on the wire, so double encoding stays
-- on: it encodes that text once, as the suite expects.
--
-- The signed request is compared as HTTP means it. Headers of different names may come in any
-- order and query parameters too (the signature sorts both); headers of one name keep their order,
-- and all values, and the path, must be the suite's to the byte.
local iot = require "iot"
local files = require "spec.support.files"
local http_message = require "spec.support.http_message"
local json = require "spec.support.json"

local SUITE = "../shared/conformance/sigv4/"

-- By name, since Lua cannot list a folder, and so that a case that goes missing is missed.
local CASES = {
  "get-header-key-duplicate", "get-header-value-multiline", "get-header-value-order",
  "get-relative-normalized", "get-relative-relative-normalized",
  "get-relative-relative-unnormalized", "get-relative-unnormalized",
  "get-slash-dot-slash-normalized", "get-slash-dot-slash-unnormalized", "get-slash-normalized",
  "get-slash-pointless-dot-normalized", "get-slash-pointless-dot-unnormalized",
  "get-slash-unnormalized", "get-slashes-unnormalized", "get-space-normalized",
  "get-space-unnormalized", "get-unreserved", "get-vanilla", "get-vanilla-empty-query-key",
  "get-vanilla-query", "get-vanilla-query-order-encoded", "get-vanilla-query-order-key-case",
  "get-vanilla-query-unreserved", "get-vanilla-utf8-query", "post-header-key-case",
  "post-header-value-case", "post-sts-header-after", "post-sts-header-before", "post-vanilla",
  "post-vanilla-empty-query-value", "post-vanilla-query", "post-x-www-form-urlencoded",
}

-- All cases are of one moment, which spares a parser of times.
local TIMESTAMP, TIME = "2015-08-30T12:36:00Z", 1440938160

---@class conformance.case
---@field request table
---@field options table
---@field expires_in integer
---@field text fun(name: string): string  a file of the case

---@param name string
---@return conformance.case? nil where the suite is not beside the project
local function load_case(name)
  local function text(file) return assert(files.read(SUITE .. name .. "/" .. file)) end
  if not files.read(SUITE .. name .. "/context.json") then
    -- One case alone that is missing is a broken suite; only a missing suite excuses.
    for _, other in ipairs(CASES) do
      assert(not files.read(SUITE .. other .. "/context.json"), "the suite has no " .. name)
    end
    return nil
  end

  local context = json.decode(text "context.json")
  assert(context.timestamp == TIMESTAMP, name .. " is of another time: " .. context.timestamp)
  local message = http_message.parse(text "request.txt")
  local host = http_message.by_name(message.headers).host[1]
  return {
    request = {
      method = message.method,
      url = "https://" .. host .. message.target,
      headers = message.headers,
      body = message.body,
    },
    options = {
      credentials = {
        access_key_id = context.credentials.access_key_id,
        secret_access_key = context.credentials.secret_access_key,
        session_token = context.credentials.token,
      },
      region = context.region,
      service = context.service,
      time = TIME,
      normalize_path = context.normalize,
      sign_body = context.sign_body,
      omit_session_token = context.omit_session_token,
    },
    expires_in = context.expiration_in_seconds,
    text = text,
  }
end

local function assert_stages(case, form, signed)
  assert.equal(case.text(form .. "-canonical-request.txt"), signed.canonical_request)
  assert.equal(case.text(form .. "-string-to-sign.txt"), signed.string_to_sign)
  assert.equal(case.text(form .. "-signature.txt"), signed.signature)
end

-- What both forms have in common of the signed request: the path and the headers.
local function assert_request(case, form, signed)
  local expected = http_message.parse(case.text(form .. "-signed-request.txt"))
  local _, expected_path, expected_query = http_message.split_url("https://host" .. expected.target)
  local _, path, query = http_message.split_url(signed.url)

  assert.same(http_message.by_name(expected.headers), http_message.by_name(signed.headers))
  assert.equal(expected_path, path)
  assert.same(http_message.parameters(expected_query or ""), http_message.parameters(query or ""))
end

describe("the public SigV4 suite", function()
  for _, name in ipairs(CASES) do
    describe(name, function()
      local case = load_case(name)

      it("is signed in a header", function()
        if not case then pending "no conformance data beside the project" end
        local signed = assert(iot.sign(case.request, case.options))
        assert_stages(case, "header", signed)
        assert_request(case, "header", signed)
      end)

      it("is signed in the query", function()
        if not case then pending "no conformance data beside the project" end
        case.options.expires_in = case.expires_in
        local signed = assert(iot.presign(case.request, case.options))
        assert_stages(case, "query", signed)
        assert_request(case, "query", signed)
      end)
    end)
  end
end)
