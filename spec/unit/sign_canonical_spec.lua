-- The canonical request of iot.sign, rule by rule. The expected texts are written by hand from the
-- rules of signature version 4 (reference 3.1 and 3.2).
local iot = require "iot"
local digest = require "spec.support.digest"
local signing = require "spec.support.signing"

local STAMP, HOST, EMPTY_PAYLOAD, options, presign_options =
  signing.STAMP, signing.HOST, signing.EMPTY_PAYLOAD, signing.options, signing.presign_options
local get, parts, sign, presign, given_lines =
  signing.get, signing.parts, signing.sign, signing.presign, signing.given_lines
local header, failure_text, assert_failure, assert_invalid =
  signing.header, signing.failure_text, signing.assert_failure, signing.assert_invalid

-- Path ---------------------------------------------------------------------------------------

describe("the canonical path", function()
  -- URL path, normalised, not normalised: none has anything to encode.
  local NORMALISED = {
    { "", "/", "/" },
    { "/", "/", "/" },
    { "//", "/", "//" },
    { "/a", "/a", "/a" },
    { "/a/", "/a/", "/a/" },
    { "//a//b/", "/a/b/", "//a//b/" },
    { "/a/./b", "/a/b", "/a/./b" },
    { "/./a", "/a", "/./a" },
    { "/a/../b", "/b", "/a/../b" },
    { "/a/b/../../c", "/c", "/a/b/../../c" },
    { "/..", "/", "/.." },
    { "/../../a", "/a", "/../../a" },
    { "/a/../../../b/c", "/b/c", "/a/../../../b/c" },
    { "/./", "/", "/./" },
    { "/a/./", "/a/", "/a/./" },
    { "/a/b/../", "/a/", "/a/b/../" },
    { "/a/../", "/", "/a/../" },
    -- No trailing slash of its own here, unlike in RFC 3986.
    { "/.", "/", "/." },
    { "/a/.", "/a", "/a/." },
    { "/a/b/..", "/a", "/a/b/.." },
    { "/a/..", "/", "/a/.." },
    -- Dots that are no dot segment.
    { "/...", "/...", "/..." },
    { "/.a/b./..c", "/.a/b./..c", "/.a/b./..c" },
    { "/-._~", "/-._~", "/-._~" },
  }

  for _, case in ipairs(NORMALISED) do
    local path, normalised, kept = case[1], case[2], case[3]
    it(("of `%s` is `%s`"):format(path, normalised), function()
      assert.equal(normalised, sign(get(path)).path)
      assert.equal(normalised, sign(get(path), { normalize_path = true }).path)
      assert.equal(normalised, sign(get(path), { double_encode_path = false }).path)
      assert.equal(normalised, sign(get(path .. "?a=b")).path)
    end)
    it(("of `%s` is `%s` without normalisation"):format(path, kept), function()
      assert.equal(kept, sign(get(path), { normalize_path = false }).path)
      assert.equal(kept, presign(get(path), { normalize_path = false }).path)
    end)
  end

  -- URL path, encoded on top of what it holds, encoded once.
  local ENCODED = {
    { "/a%2Fb%20c", "/a%252Fb%2520c", "/a%2Fb%20c" },
    { "/%C3%A9", "/%25C3%25A9", "/%C3%A9" },
    { "/a%252Fb", "/a%25252Fb", "/a%252Fb" },
    { "/a%2Bb~c", "/a%252Bb~c", "/a%2Bb~c" },
    { "/%21%27%28%29%2A%3A%40", "/%2521%2527%2528%2529%252A%253A%2540", "/%21%27%28%29%2A%3A%40" },
    { "/%2E%2E/a", "/%252E%252E/a", "/%2E%2E/a" },
    { "/%00%0D%0A", "/%2500%250D%250A", "/%00%0D%0A" },
    -- Raw text, as a lenient client may send it.
    { "/a b", "/a%20b", "/a%20b" },
    { "/\195\169\225\136\180", "/%C3%A9%E1%88%B4", "/%C3%A9%E1%88%B4" },
    { "/@:!$&'()*+,;=", "/%40%3A%21%24%26%27%28%29%2A%2B%2C%3B%3D", "/%40%3A%21%24%26%27%28%29%2A%2B%2C%3B%3D" },
    { '/"<>[\\]^`{|}', "/%22%3C%3E%5B%5C%5D%5E%60%7B%7C%7D", "/%22%3C%3E%5B%5C%5D%5E%60%7B%7C%7D" },
    -- A percent sign that escapes nothing.
    { "/100%", "/100%25", "/100%25" },
    { "/%zz", "/%25zz", "/%25zz" },
    { "/%4", "/%254", "/%254" },
    { "/%4/1", "/%254/1", "/%254/1" },
    { "/%%41", "/%25%2541", "/%25%41" },
  }

  for _, case in ipairs(ENCODED) do
    local path, twice, once = case[1], case[2], case[3]
    it(("of `%s` is `%s`"):format(path, twice), function()
      assert.equal(twice, sign(get(path)).path)
      assert.equal(twice, sign(get(path), { double_encode_path = true }).path)
      assert.equal(twice, presign(get(path)).path)
    end)
    it(("of `%s` is `%s` without double encoding"):format(path, once), function()
      assert.equal(once, sign(get(path), { double_encode_path = false }).path)
    end)
  end

  it("follows both switches at once", function()
    local request = get "//a%20b/../c d/."
    assert.equal("/c%20d", sign(request).path)
    assert.equal("//a%2520b/../c%20d/.", sign(request, { normalize_path = false }).path)
    assert.equal("//a%20b/../c%20d/.",
      sign(request, { normalize_path = false, double_encode_path = false }).path)
  end)

  it("leaves the URL that is sent as it is", function()
    local request = get "//a/./b%2Fc/"
    local _, signed = sign(request)
    assert.equal(request.url, signed.url)
  end)
end)

-- Query --------------------------------------------------------------------------------------

describe("the canonical query", function()
  local QUERIES = {
    -- URL query, canonical query
    { "", "" },
    { "?", "" },
    { "?a", "a=" },
    { "?a=", "a=" },
    { "?a=b", "a=b" },
    { "?a=b=c", "a=b%3Dc" },
    { "?=b", "=b" },
    { "?b=1&a=2", "a=2&b=1" },
    { "?a=2&a=1&a=", "a=&a=1&a=2" },
    { "?a=b&B=c&A=d", "A=d&B=c&a=b" },
    { "?a=%20b", "a=%20b" },
    { "?a=b c", "a=b%20c" },
    { "?a=1+2", "a=1%2B2" },
    { "?a+b=%2B", "a%2Bb=%2B" },
    { "?a=~*%7E%2a", "a=~%2A~%2A" },
    { "?a=/?:@!$'(),;", "a=%2F%3F%3A%40%21%24%27%28%29%2C%3B" },
    { "?a%5B%5D=%26%3d", "a%5B%5D=%26%3D" },
    { "?%e1%88%b4=bar", "%E1%88%B4=bar" },
    { "?\225\136\180=\195\169", "%E1%88%B4=%C3%A9" },
    { "?a=%61%62", "a=ab" },
    { "?a=%00%0D%0A%FF", "a=%00%0D%0A%FF" },
    -- Decoded once and encoded once, whatever it may look like afterwards.
    { "?a=%252F", "a=%252F" },
    { "?a=%", "a=%25" },
    { "?a=%zz", "a=%25zz" },
    { "?a=%4", "a=%254" },
    -- Encoded bytes are sorted, names before values: not the text of the query, nor its letters.
    { "?P=1&%E1=2&-=3", "%E1=2&-=3&P=1" },
    { "?a-=1&a=2", "a=2&a-=1" },
    { "?a%2D=1&a=2&a0=3", "a=2&a-=1&a0=3" },
    { "?a=b&a=B&a=%C3", "a=%C3&a=B&a=b" },
    -- How the service's own queries look.
    {
      "?nextToken=a%2Bb%2Fc%3D%20%C3%A9~%2A&maxResults=5&status=InProgress",
      "maxResults=5&nextToken=a%2Bb%2Fc%3D%20%C3%A9~%2A&status=InProgress",
    },
  }

  for _, case in ipairs(QUERIES) do
    local query, canonical = case[1], case[2]
    it(("of `%s` is `%s`"):format(query, canonical), function()
      assert.equal(canonical, sign(get("/" .. query)).query)
      assert.equal(canonical, sign({ method = "GET", url = HOST .. query }).query)
    end)
  end

  it("is not touched by the switches of the path", function()
    local request = get "/?a=/../%2F"
    assert.equal("a=%2F..%2F%2F", sign(request, { normalize_path = false }).query)
    assert.equal("a=%2F..%2F%2F", sign(request, { double_encode_path = false }).query)
  end)

  it("sorts many parameters", function()
    local given, expected = {}, {}
    for i = 1, 500 do
      given[i] = ("p%03d=%d"):format((i * 7) % 500, i)
      expected[i] = given[i]
    end
    table.sort(expected)
    assert.equal(table.concat(expected, "&"), sign(get("/?" .. table.concat(given, "&"))).query)
  end)
end)

-- Headers ------------------------------------------------------------------------------------

describe("the canonical headers", function()
  local HEADERS = {
    -- what happens, given headers, canonical lines
    { "lower the name's case, not the value's", { { "My-Header", "VALUE" } }, "my-header:VALUE" },
    { "trim a value", { { "X-A", " \t a \t" } }, "x-a:a" },
    { "collapse runs of spaces and tabs", { { "X-A", "a   b \t c\td" } }, "x-a:a b c d" },
    { "collapse spaces inside quotes", { { "X-A", '"a   b"' } }, 'x-a:"a b"' },
    { "unfold a value", { { "X-A", "a\n  b\n\tc" } }, "x-a:a b c" },
    { "unfold a value with CRLF", { { "X-A", "a\r\n  b" } }, "x-a:a b" },
    { "keep an empty value", { { "X-A", "" } }, "x-a:" },
    { "keep a blank value as empty", { { "X-A", "  \t " } }, "x-a:" },
    { "keep bytes above ASCII", { { "X-A", "\195\169\255" } }, "x-a:\195\169\255" },
    { "keep commas and what follows them", { { "X-A", "a,  b" } }, "x-a:a, b" },
    { "join values of one name in their order", { { "X-A", "b" }, { "X-A", "a" }, { "X-A", "b" } }, "x-a:b,a,b" },
    { "join names that differ in case", { { "x-a", "1" }, { "X-A", "2" } }, "x-a:1,2" },
    { "join names that others stand between", { { "X-A", "1" }, { "X-B", "3" }, { "X-A", "2" } }, "x-a:1,2\nx-b:3" },
    { "trim each value before joining", { { "X-A", " a " }, { "X-A", "" }, { "X-A", "  b" } }, "x-a:a,,b" },
    {
      "sort by the bytes of lower-case names",
      { { "X_A", "1" }, { "x-b", "2" }, { "X-A1", "3" }, { "X-A-B", "4" }, { "X-A", "5" } },
      "x-a:5\nx-a-b:4\nx-a1:3\nx-b:2\nx_a:1",
    },
    { "sign content type and length", { { "Content-Type", "a/b" }, { "Content-Length", "0" } },
      "content-length:0\ncontent-type:a/b" },
    { "sign a date", { { "Date", "Sun, 30 Aug 2015 12:36:00 GMT" } }, "date:Sun, 30 Aug 2015 12:36:00 GMT" },
  }

  for _, case in ipairs(HEADERS) do
    it(case[1], function()
      local canonical = sign(get("/", case[2]))
      assert.equal(case[3], given_lines(canonical))

      local names = {}
      for name in canonical.headers:gmatch "([^\n:]+):[^\n]*" do names[#names + 1] = name end
      assert.equal(table.concat(names, ";"), canonical.names)
      assert.equal(case[3], given_lines(presign(get("/", case[2]))))
    end)
  end

  it("are the same from a list and from a map", function()
    local list = sign(get("/", { { "X-B", "2" }, { "X-A", " 1" } }))
    local map = sign(get("/", { ["X-A"] = " 1", ["X-B"] = "2" }))
    assert.same(list, map)
  end)

  it("are host and date alone when none is given", function()
    for _, headers in ipairs { false, {} } do
      local canonical = sign { method = "GET", url = HOST .. "/", headers = headers or nil }
      assert.equal("host:iot.us-east-1.amazonaws.com\nx-amz-date:" .. STAMP, canonical.headers)
      assert.equal("host;x-amz-date", canonical.names)
    end
  end)

  for _, name in ipairs {
    "Authorization", "User-Agent", "X-Amzn-Trace-Id", "Connection", "Expect", "Keep-Alive",
    "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
  } do
    it("never hold " .. name, function()
      for _, spelling in ipairs { name, name:lower(), name:upper() } do
        local request = get("/", { { spelling, "x" }, { "X-A", "1" } })
        assert.equal("host;x-a;x-amz-date", sign(request).names)
        assert.equal("host;x-a", presign(request).names)
      end
    end)
  end

  it("hold names that only look like unsigned ones", function()
    local canonical = sign(get("/", { { "User-Agents", "a" }, { "X-Te", "b" }, { "Trailers", "c" } }))
    assert.equal("host;trailers;user-agents;x-amz-date;x-te", canonical.names)
  end)

  it("are as many as were given, or too many for a request at all", function()
    for _, count in ipairs { 50, 100, 150, 10000 } do
      local headers, expected = {}, {}
      for i = 1, count do
        headers[i] = { "X-A", tostring(i) }
        expected[i] = tostring(i)
      end
      local signed, message, detail = iot.sign(get("/", headers), options())
      if signed then
        assert.equal("x-a:" .. table.concat(expected, ","), given_lines(parts(signed)))
      else
        assert.is_true(count > 100)
        assert_invalid(signed, message, detail)
      end
    end
  end)

  it("are sent even where they are not signed", function()
    local _, signed = sign(get("/", { { "User-Agent", "lua" }, { "Expect", "100-continue" } }))
    assert.same({ "lua" }, header(signed, "user-agent"))
    assert.same({ "100-continue" }, header(signed, "expect"))
  end)
end)

describe("the host", function()
  local HOSTS = {
    -- origin of the URL, what is signed and sent
    { "https://iot.us-east-1.amazonaws.com", "iot.us-east-1.amazonaws.com" },
    { "https://IoT.US-East-1.Amazonaws.COM", "iot.us-east-1.amazonaws.com" },
    { "https://h:443", "h" },
    { "http://h:80", "h" },
    { "https://h:80", "h:80" },
    { "http://h:443", "h:443" },
    { "http://localhost:4566", "localhost:4566" },
    { "http://127.0.0.1:8080", "127.0.0.1:8080" },
    { "http://[::1]", "[::1]" },
    { "http://[::1]:80", "[::1]" },
    { "https://[2001:DB8::A]:8443", "[2001:db8::a]:8443" },
  }

  for _, case in ipairs(HOSTS) do
    local origin, host = case[1], case[2]
    it(("of `%s` is `%s`"):format(origin, host), function()
      for _, target in ipairs { "", "/", "/a", "?b" } do
        local request = { method = "GET", url = origin .. target }
        local canonical, signed = sign(request)
        assert.equal("host:" .. host .. "\nx-amz-date:" .. STAMP, canonical.headers)
        assert.same({ host }, header(signed, "host"))

        canonical, signed = presign(request)
        assert.equal("host:" .. host, canonical.headers)
        assert.same({ host }, header(signed, "host"))
      end
    end)
  end

  it("may be given as a header, which is then the only one", function()
    for _, headers in ipairs { { { "host", "other:99" } }, { HOST = "other:99" } } do
      local canonical, signed = sign(get("/", headers))
      assert.equal("host:other:99\nx-amz-date:" .. STAMP, canonical.headers)
      assert.same({ "other:99" }, header(signed, "host"))
      canonical, signed = presign(get("/", headers))
      assert.equal("host:other:99", canonical.headers)
      assert.same({ "other:99" }, header(signed, "host"))
    end
  end)

  for _, case in ipairs {
    { "with a fragment", HOST .. "/a#b" },
    { "with an empty fragment", HOST .. "/a#" },
    { "with a fragment behind a query", HOST .. "/?a#b" },
    { "with a user", "https://user@host/" },
    { "with a user and a password", "https://user:password@host/" },
    { "with an unknown scheme", "ftp://host/" },
    { "without a scheme", "host/a" },
    { "with a path alone", "/a" },
    { "without a host", "https:///a" },
    { "with a port that is no number", "https://host:port/" },
    { "with a port out of range", "https://host:65536/" },
    { "with an IPv6 host left open", "https://[::1/" },
    { "with a space in the host", "https://a b/" },
    { "with a line end in the host", "https://a\r\nb/" },
    { "with a NUL", HOST .. "/a\0b" },
    { "that is empty", "" },
  } do
    local what, url = case[1], case[2]
    it("is not taken from a URL " .. what, function()
      assert_failure(nil, iot.sign({ method = "GET", url = url }, options()))
      assert_failure(nil, iot.presign({ method = "GET", url = url }, presign_options()))
    end)
  end

  it("is not taken from a password that then shows in the message", function()
    local _, message, detail = iot.sign({ method = "GET", url = "https://user:hush@host/" }, options())
    assert.is_nil(failure_text(message, detail):find("hush", 1, true))
  end)
end)

-- Method and payload -------------------------------------------------------------------------

describe("the method", function()
  it("is signed in upper case", function()
    for _, method in ipairs { "GET", "get", "Put", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH" } do
      assert.equal(method:upper(), sign({ method = method, url = HOST }).method)
    end
  end)

  it("must be a token", function()
    for _, method in ipairs { "", "GET ", "GET /", "GET\r\nX: y", "G\0T", "GET\n" } do
      assert_invalid(iot.sign({ method = method, url = HOST }, options()))
    end
  end)
end)

describe("the payload hash", function()
  local function payload_of(body, extra)
    return sign({ method = "POST", url = HOST, body = body }, extra).payload
  end

  it("is that of nothing without a body", function()
    assert.equal(EMPTY_PAYLOAD, payload_of(nil))
    assert.equal(EMPTY_PAYLOAD, payload_of "")
  end)

  it("is the SHA-256 of the body's bytes", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", payload_of "abc")
    local every_byte = {}
    for byte = 0, 255 do every_byte[byte + 1] = string.char(byte) end
    local body = table.concat(every_byte)
    assert.equal(digest.sha256(body), payload_of(body))
    assert.equal(digest.sha256(body:rep(4097)), payload_of(body:rep(4097)))
  end)

  it("is signed and sent as a header on demand", function()
    local request = { method = "POST", url = HOST, body = "abc" }
    local canonical, signed = sign(request, { sign_body = true })
    assert.equal("host;x-amz-content-sha256;x-amz-date", canonical.names)
    assert.equal("x-amz-content-sha256:" .. digest.sha256 "abc", given_lines(canonical))
    assert.same({ digest.sha256 "abc" }, header(signed, "x-amz-content-sha256"))

    canonical, signed = sign(request, { sign_body = false })
    assert.equal("host;x-amz-date", canonical.names)
    assert.same({}, header(signed, "x-amz-content-sha256"))
  end)

  it("may be given as a header, which is signed", function()
    for _, given in ipairs { ("0a"):rep(32), "UNSIGNED-PAYLOAD" } do
      for _, sign_body in ipairs { false, true } do
        local canonical, signed = sign(
          { method = "POST", url = HOST, headers = { ["X-Amz-Content-SHA256"] = given }, body = "abc" },
          { sign_body = sign_body })
        assert.equal(given, canonical.payload)
        assert.equal("x-amz-content-sha256:" .. given, given_lines(canonical))
        assert.equal("host;x-amz-content-sha256;x-amz-date", canonical.names)
        assert.same({ given }, header(signed, "x-amz-content-sha256"))
      end
    end
  end)

  it("is never another than the header's", function()
    for _, headers in ipairs {
      { { "x-amz-content-sha256", " UNSIGNED-PAYLOAD\t" } },
      { { "x-amz-content-sha256", "UNSIGNED\n PAYLOAD" } },
      { { "x-amz-content-sha256", "a" }, { "X-Amz-Content-Sha256", "b" } },
    } do
      local signed, message, detail = iot.sign(get("/", headers), options())
      if signed then
        local in_header = signed.canonical_request:match "\nx%-amz%-content%-sha256:([^\n]*)\n"
        assert.equal(in_header, signed.canonical_request:match "\nhost;x%-amz%-content%-sha256;x%-amz%-date\n(.*)$")
      else
        assert_invalid(signed, message, detail)
      end
    end
  end)
end)
