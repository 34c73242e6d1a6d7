-- iot.sign and iot.presign beyond the canonical request: time, signature, token, presigned URLs.
-- Signatures come from published examples or from the openssl program.
local iot = require "iot"
local digest = require "spec.support.digest"
local http_message = require "spec.support.http_message"
local signing = require "spec.support.signing"

local SECRET, TIME, STAMP, HOST, EMPTY_PAYLOAD =
  signing.SECRET, signing.TIME, signing.STAMP, signing.HOST, signing.EMPTY_PAYLOAD
local MAKE_OPTIONS, credentials, options, presign_options, get =
  signing.MAKE_OPTIONS, signing.credentials, signing.options, signing.presign_options, signing.get
local sign, presign, given_lines, header, url_parameters =
  signing.sign, signing.presign, signing.given_lines, signing.header, signing.url_parameters
local query_without, assert_invalid, assert_refused =
  signing.query_without, signing.assert_invalid, signing.assert_refused

-- Time ---------------------------------------------------------------------------------------

describe("the time", function()
  for _, case in ipairs {
    { 0, "19700101T000000Z" },
    { 31536000, "19710101T000000Z" },
    { 951782400, "20000229T000000Z" },
    { 951868799, "20000229T235959Z" },
    { 1440938160, "20150830T123600Z" },
    { 1440938160.999, "20150830T123600Z" },
    { 2147483648, "20380119T031408Z" },
    { 4102444799, "20991231T235959Z" },
    { 4107542400, "21000301T000000Z" },
  } do
    local time, stamp = case[1], case[2]
    it(("%.3f is %s"):format(time, stamp), function()
      local canonical, signed = sign(get(), { time = time })
      local scope = stamp:sub(1, 8) .. "/us-east-1/iot/aws4_request"
      assert.equal("host:iot.us-east-1.amazonaws.com\nx-amz-date:" .. stamp, canonical.headers)
      assert.same({ stamp }, header(signed, "x-amz-date"))
      assert.equal(("AWS4-HMAC-SHA256\n%s\n%s\n"):format(stamp, scope), signed.string_to_sign:sub(1, -65))

      local _, presigned = presign(get(), { time = time })
      assert.equal(stamp, url_parameters(presigned)["X-Amz-Date"])
    end)
  end

  it("is now when none is given", function()
    local given = options()
    given.time = nil
    local before = os.time()
    local stamp = header(assert(iot.sign(get(), given)), "x-amz-date")[1]
    local after = os.time()

    local possible = {}
    for time = before - 2, after + 2 do possible[os.date("!%Y%m%dT%H%M%SZ", time)] = true end
    assert.is_true(possible[stamp], tostring(stamp))
  end)

  it("is refused where no date can be made of it", function()
    for _, time in ipairs { 0 / 0, 1 / 0, -1 / 0, 1e300, -1e300, 253402300800 } do
      assert_refused("time", "sign", get(), options { time = time })
    end
  end)
end)

-- Signature ----------------------------------------------------------------------------------

describe("the signature", function()
  -- Of the documentation of IAM and S3, which publish these.
  local S3_CREDENTIALS = {
    access_key_id = "AKIAIOSFODNN7EXAMPLE",
    secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  }
  local S3 = "https://examplebucket.s3.amazonaws.com"
  local S3_OPTIONS = {
    credentials = S3_CREDENTIALS,
    region = "us-east-1",
    service = "s3",
    time = 1369353600, -- 2013-05-24T00:00:00Z
    sign_body = true,
    normalize_path = false,
    double_encode_path = false,
  }

  it("of IAM's ListUsers is the published one", function()
    local _, signed = sign({
      method = "GET",
      url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8" },
    }, { service = "iam" })
    assert.equal("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7", signed.signature)
  end)

  it("of S3's GetObject is the published one", function()
    local signed = assert(iot.sign(
      { method = "GET", url = S3 .. "/test.txt", headers = { Range = "bytes=0-9" } }, S3_OPTIONS))
    assert.equal("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", signed.signature)
  end)

  it("of S3's PutObject, with a raw path, is the published one", function()
    local signed = assert(iot.sign({
      method = "PUT",
      url = S3 .. "/test$file.text",
      headers = { Date = "Fri, 24 May 2013 00:00:00 GMT", ["x-amz-storage-class"] = "REDUCED_REDUNDANCY" },
      body = "Welcome to Amazon S3.",
    }, S3_OPTIONS))
    assert.equal("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", signed.signature)
  end)

  it("of S3's presigned GetObject is the published one", function()
    local signed = assert(iot.presign({ method = "GET", url = S3 .. "/test.txt" }, {
      credentials = S3_CREDENTIALS,
      region = "us-east-1",
      service = "s3",
      time = 1369353600,
      expires_in = 86400,
      normalize_path = false,
      double_encode_path = false,
    }))
    assert.matches("\nUNSIGNED%-PAYLOAD$", signed.canonical_request)
    assert.equal("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", signed.signature)
  end)

  it("is made of the string to sign, and that of the canonical request", function()
    for form, make_options in pairs(MAKE_OPTIONS) do
      local signed = assert(iot[form](get "/a b?c=d", make_options { region = "eu-west-1", service = "sts" }))
      assert.equal("AWS4-HMAC-SHA256\n" .. STAMP .. "\n20150830/eu-west-1/sts/aws4_request\n"
        .. digest.sha256(signed.canonical_request), signed.string_to_sign)
      assert.equal(digest.signature(SECRET, signed.string_to_sign), signed.signature)
    end
  end)

  it("takes the secret's bytes as they are, short and long", function()
    -- HMAC hashes keys above 64 bytes; the key is "AWS4" and the secret.
    for _, secret in ipairs {
      "s", "a/b+c=", " spaces ", "\195\169\255", ("k"):rep(60), ("k"):rep(61), ("k"):rep(500),
    } do
      local _, signed = sign(get(), { credentials = credentials { secret_access_key = secret } })
      assert.equal(digest.signature(secret, signed.string_to_sign), signed.signature)
    end
  end)

  it("never comes from a key that was derived for something else", function()
    local function variant(extra, secret)
      extra.credentials = credentials { secret_access_key = secret or SECRET }
      local _, signed = sign(get(), extra)
      return { signature = signed.signature, expected = digest.signature(secret or SECRET, signed.string_to_sign) }
    end
    for _ = 1, 2 do -- the second time round, all keys may be cached
      for _, made in ipairs {
        variant {},
        variant({}, "another secret under the same access key"),
        variant { region = "eu-west-1" },
        variant { service = "sts" },
        variant { time = TIME + 86400 },
        variant { time = TIME + 60 },
        variant { region = "us-east-1i", service = "ot" },
        variant { region = "us-east-", service = "1iot" },
      } do
        assert.equal(made.expected, made.signature)
      end
    end
  end)

  it("is sent with its scope and the signed names", function()
    local _, signed = sign(get("/", { { "X-B", "2" } }))
    assert.same({
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iot/aws4_request, "
        .. "SignedHeaders=host;x-amz-date;x-b, Signature=" .. signed.signature,
    }, header(signed, "authorization"))
    assert.matches("^%x+$", signed.signature)
    assert.equal(64, #signed.signature)
    assert.equal(signed.signature:lower(), signed.signature)
  end)

  it("comes with the given headers, in order, and the added ones, once each", function()
    local given = { { "X-B", " 2" }, { "x-a", "1\n  1" }, { "X-B", "3" } }
    local _, signed = sign(get("/", given), { credentials = credentials { session_token = "T" }, sign_body = true })
    local found = http_message.by_name(signed.headers)
    assert.same({ " 2", "3" }, found["x-b"])
    assert.same({ "1\n  1" }, found["x-a"])
    for _, name in ipairs { "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization" } do
      assert.equal(1, #(found[name] or {}), name)
    end
    assert.equal(#given + 5, #signed.headers)
  end)
end)

-- Session token ------------------------------------------------------------------------------

describe("the session token", function()
  local TOKEN = "AQoDYXdzEPT//wEXAMPLE+token=="
  local WITH_TOKEN = { credentials = credentials { session_token = TOKEN } }

  it("is signed and sent in a header", function()
    local canonical, signed = sign(get(), WITH_TOKEN)
    assert.equal("x-amz-security-token:" .. TOKEN, given_lines(canonical))
    assert.equal("host;x-amz-date;x-amz-security-token", canonical.names)
    assert.same({ TOKEN }, header(signed, "x-amz-security-token"))
  end)

  it("is sent unsigned in a header on demand", function()
    local canonical, signed = sign(get(), {
      credentials = WITH_TOKEN.credentials, omit_session_token = true,
    })
    assert.equal("host;x-amz-date", canonical.names)
    assert.same({ TOKEN }, header(signed, "x-amz-security-token"))
    local _, without = sign(get())
    assert.equal(without.signature, signed.signature)
  end)

  it("is signed and sent in the query", function()
    local canonical, signed = presign(get(), WITH_TOKEN)
    assert.is_truthy(canonical.query:find(
      "&X-Amz-Security-Token=AQoDYXdzEPT%2F%2FwEXAMPLE%2Btoken%3D%3D&", 1, true), canonical.query)
    assert.equal("host", canonical.names)
    assert.equal(TOKEN, url_parameters(signed)["X-Amz-Security-Token"])
    assert.same({}, header(signed, "x-amz-security-token"))
  end)

  it("is sent unsigned in the query on demand", function()
    local canonical, signed = presign(get "/?a=b", {
      credentials = WITH_TOKEN.credentials, omit_session_token = true,
    })
    assert.is_nil(canonical.query:find("Security-Token", 1, true))
    assert.equal(TOKEN, url_parameters(signed)["X-Amz-Security-Token"])
    assert.equal(canonical.query, query_without(signed.url, "X-Amz-Security-Token", "X-Amz-Signature"))
    local _, without = presign(get "/?a=b")
    assert.equal(without.signature, signed.signature)
  end)

  it("is nowhere when there is none", function()
    for _, omit in ipairs { false, true } do
      local canonical, signed = sign(get(), { omit_session_token = omit })
      assert.equal("host;x-amz-date", canonical.names)
      assert.same({}, header(signed, "x-amz-security-token"))
      local _, presigned = presign(get(), { omit_session_token = omit })
      assert.is_nil(url_parameters(presigned)["X-Amz-Security-Token"])
    end
  end)
end)

describe("signing again", function()
  local STALE = {
    { "authorization", "AWS4-HMAC-SHA256 Credential=OLD/20140101/us-east-1/iot/aws4_request, "
      .. "SignedHeaders=host, Signature=00" },
    { "X-AMZ-DATE", "20140101T000000Z" },
    { "x-amz-security-token", "OLD" },
    { "X-A", "1" },
  }

  it("replaces what an earlier signature left", function()
    local extra = { credentials = credentials { session_token = "NEW" } }
    local canonical, signed = sign(get("/", STALE), extra)
    local fresh_canonical, fresh = sign(get("/", { { "X-A", "1" } }), extra)
    assert.same(fresh_canonical, canonical)
    assert.same({ STAMP }, header(signed, "x-amz-date"))
    assert.same({ "NEW" }, header(signed, "x-amz-security-token"))
    assert.same(header(fresh, "authorization"), header(signed, "authorization"))
  end)

  it("drops an old token where there is no new one", function()
    local canonical, signed = sign(get("/", STALE))
    assert.equal("host;x-a;x-amz-date", canonical.names)
    assert.same({}, header(signed, "x-amz-security-token"))
  end)

  it("signs none of it in a presigned URL", function()
    assert.equal("host;x-a", presign(get("/", STALE)).names)
  end)

  it("of what was signed gives the same", function()
    local extra = { credentials = credentials { session_token = "T" }, sign_body = true }
    local request = get("/", { { "X-A", "1" } })
    local _, first = sign(request, extra)
    request.headers = first.headers
    local _, second = sign(request, extra)
    assert.equal(first.canonical_request, second.canonical_request)
    assert.same(http_message.by_name(first.headers), http_message.by_name(second.headers))
  end)
end)

-- Presigned URLs -----------------------------------------------------------------------------

describe("a presigned URL", function()
  it("carries the signature's parameters", function()
    local _, signed = presign(get("/a", { { "X-A", "1" } }))
    assert.same({
      ["X-Amz-Algorithm"] = "AWS4-HMAC-SHA256",
      ["X-Amz-Credential"] = "AKIDEXAMPLE/20150830/us-east-1/iot/aws4_request",
      ["X-Amz-Date"] = STAMP,
      ["X-Amz-Expires"] = "3600",
      ["X-Amz-SignedHeaders"] = "host;x-a",
      ["X-Amz-Signature"] = signed.signature,
    }, url_parameters(signed))
  end)

  it("keeps its path and the parameters it had", function()
    for _, case in ipairs {
      { "/a%2F/./b", "/a%2F/./b", {} },
      { "/a?x=%20y&z=", "/a", { "x=%20y", "z=" } },
      { "?x=1", "", { "x=1" } },
      { "", "", {} },
    } do
      local target, expected_path, expected = case[1], case[2], case[3]
      local _, signed = presign { method = "GET", url = HOST .. target }
      local origin, path, query = http_message.split_url(signed.url)
      assert.equal(HOST, origin)
      assert.is_true(path == expected_path or expected_path == "" and path == "/", signed.url)
      assert.equal(6 + #expected, #http_message.parameters(query))
      for _, parameter in ipairs(expected) do
        assert.is_truthy(("&" .. query .. "&"):find("&" .. parameter .. "&", 1, true), signed.url)
      end
    end
  end)

  it("is signed with all parameters but the signature", function()
    local canonical, signed = presign(get "/?b=2&a=1")
    assert.equal(canonical.query, query_without(signed.url, "X-Amz-Signature"))
    assert.equal("X-Amz-Algorithm=AWS4-HMAC-SHA256"
      .. "&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiot%2Faws4_request"
      .. "&X-Amz-Date=" .. STAMP .. "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&a=1&b=2", canonical.query)
  end)

  it("needs no header but those that were given, and the host", function()
    local _, signed = presign(get("/", { { "X-A", "1" }, { "User-Agent", "lua" } }), {
      credentials = credentials { session_token = "T" },
    })
    assert.same({ host = { "iot.us-east-1.amazonaws.com" }, ["x-a"] = { "1" }, ["user-agent"] = { "lua" } },
      http_message.by_name(signed.headers))
  end)

  it("covers the body, except for S3", function()
    local request = { method = "PUT", url = HOST .. "/a", body = "abc" }
    assert.equal(digest.sha256 "abc", presign(request).payload)
    assert.equal("UNSIGNED-PAYLOAD", presign(request, { service = "s3" }).payload)
    assert.equal(EMPTY_PAYLOAD, presign(get()).payload)
  end)

  it("holds for 1 second to 7 days", function()
    for expires_in, text in pairs { [1] = "1", [60.0] = "60", [604800] = "604800" } do
      local _, signed = presign(get(), { expires_in = expires_in })
      assert.equal(text, url_parameters(signed)["X-Amz-Expires"])
    end
    for _, expires_in in ipairs { 0, -1, 604801, 1.5, 1e300, 1 / 0, 0 / 0 } do
      assert_invalid(iot.presign(get(), presign_options { expires_in = expires_in }))
    end
  end)
end)
