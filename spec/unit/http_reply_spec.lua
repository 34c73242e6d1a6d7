-- Replies of HTTP/1.1 that come in pieces: however they are cut up, they are the same, or fail the same way.
local http_reply = require "iot.http_reply"
local pieces = require "spec.support.reply_pieces"

local assert_failure, cuts, feed, lines = pieces.assert_failure, pieces.cuts, pieces.feed, pieces.lines
local read_pieces = pieces.read_pieces

local function read_body(reply)
  return reply:read_body()
end

-- Calls see(reply, read_body) for a fresh reply with each way of cutting and each way of reading.
local function each_way(text, options, reason, see)
  for _, sizes in pairs(cuts) do
    for _, read in ipairs { read_body, read_pieces } do
      see(http_reply.new(feed(text, sizes, reason), options), read)
    end
  end
end

local ok = "HTTP/1.1 200 OK"
local chunked = "Transfer-Encoding: chunked"

-- { what, text, status, body, reusable, options }
local replies = {
  { "a body with a length", lines(ok, "Content-Length: 5", "") .. "hello", 200, "hello", true },
  { "an empty body", lines(ok, "Content-Length: 0", ""), 200, "", true },
  { "any bytes in the body", lines(ok, "Content-Length: 6", "") .. "\0\r\n\255\r\n", 200, "\0\r\n\255\r\n", true },
  { "a length that is said twice", lines(ok, "Content-Length: 2", "content-length: 2", "") .. "ab", 200, "ab", true },
  { "a length that is a list of one number", lines(ok, "Content-Length: 2, 2 ,02", "") .. "ab", 200, "ab", true },
  { "a length with zeros in front", lines(ok, "Content-Length: 0002", "") .. "ab", 200, "ab", true },
  { "lines that end with a line feed alone", ok .. "\nA: b\nContent-Length: 2\n\nab", 200, "ab", true },
  { "chunks", lines(ok, chunked, "", "5", "hello", "1", " ", "6", "wor\r\nl", "0", ""), 200, "hello wor\r\nl", true },
  { "no chunk", lines(ok, chunked, "", "0", ""), 200, "", true },
  { "a last chunk of many zeros", lines(ok, chunked, "", "00000001", "a", "00000000", ""), 200, "a", true },
  { "sizes in capitals and not", lines(ok, chunked, "", "A", "0123456789", "b", "0123456789a", "0", ""),
    200, "01234567890123456789a", true },
  { "the coding in capitals", lines(ok, "transfer-encoding:CHUNKED", "", "1", "a", "0", ""), 200, "a", true },
  { "chunk extensions", lines(ok, chunked, "", '1;a="b;c";d', "a", "1 ; e", "b", "0;f", ""), 200, "ab", true },
  { "blanks behind a chunk's size", lines(ok, chunked, "", "1  ", "a", "0\t", ""), 200, "a", true },
  { "trailers", lines(ok, chunked, "", "1", "a", "0", "A: b", "Content-Length: 9", ""), 200, "a", true },
  { "a body up to the connection's end", lines(ok, "") .. "all\r\nof it", 200, "all\r\nof it", false },
  { "an empty body up to the connection's end", lines(ok, ""), 200, "", false },
  { "204", lines("HTTP/1.1 204 No Content", ""), 204, "", true },
  { "304 with a length", lines("HTTP/1.1 304 Not Modified", "Content-Length: 5", ""), 304, "", true },
  { "a reply to HEAD", lines(ok, "Content-Length: 5", ""), 200, "", true, { head_only = true } },
  { "a chunked reply to HEAD", lines(ok, chunked, ""), 200, "", true, { head_only = true } },
  { "an error of the service", lines("HTTP/1.1 503 Slow Down", "Content-Length: 2", "") .. "no", 503, "no", true },
  { "the last status", lines("HTTP/1.1 599 ", "Content-Length: 0", ""), 599, "", true },
  { "no reason phrase", lines("HTTP/1.1 200", "Content-Length: 0", ""), 200, "", true },
  { "interim replies", lines("HTTP/1.1 100 Continue", "", "HTTP/1.1 103 Early Hints", "Content-Length: 9", chunked, "",
    ok, "Content-Length: 1", "") .. "a", 200, "a", true },
  { "16 interim replies", lines("HTTP/1.1 102 Processing", ""):rep(16) .. lines(ok, "Content-Length: 0", ""),
    200, "", true },
  { "Connection: close", lines(ok, "Connection: close", "Content-Length: 1", "") .. "a", 200, "a", false },
  { "close in a list", lines(ok, "Connection: Keep-Alive , CLOSE", chunked, "", "0", ""), 200, "", false },
  { "close in a second list", lines(ok, "Connection: a", "Connection:b,, close", "Content-Length: 0", ""),
    200, "", false },
  { "close behind 204", lines("HTTP/1.1 204 No Content", "Connection: close", ""), 204, "", false },
  { "a connection option that is longer", lines(ok, "Connection: closed, not close, x-close", "Content-Length: 0", ""),
    200, "", true },
  { "HTTP/1.0", lines("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 1", "") .. "a", 200, "a", false },
  { "a head of just the limit", lines(ok, "Content-Length: 1", "") .. "a", 200, "a", true, { max_head = 38 } },
  { "a body of just the limit", lines(ok, "Content-Length: 5", "") .. "hello", 200, "hello", true, { max_body = 5 } },
  { "chunks of just the limit", lines(ok, chunked, "", "2", "he", "3", "llo", "0", ""), 200, "hello", true,
    { max_body = 5 } },
}

-- { what, text, code, options }: a head that fails.
local bad_heads = {
  { "an empty line first", lines("", ok, "Content-Length: 0", ""), "MalformedResponse" },
  { "another protocol", "220 SECRET smtp\r\n\r\n", "MalformedResponse" },
  { "a protocol in small letters", lines("http/1.1 200 OK", ""), "MalformedResponse" },
  { "HTTP/1.2", lines("HTTP/1.2 200 OK", ""), "MalformedResponse" },
  { "HTTP/2", lines("HTTP/2 200", ""), "MalformedResponse" },
  { "two spaces in front of the status", lines("HTTP/1.1  200 OK", ""), "MalformedResponse" },
  { "a tab behind the status", lines("HTTP/1.1 200\tOK", ""), "MalformedResponse" },
  { "a status of two digits", lines("HTTP/1.1 20 OK", ""), "MalformedResponse" },
  { "a status of four digits", lines("HTTP/1.1 2000 OK", ""), "MalformedResponse" },
  { "a status below 100", lines("HTTP/1.1 099 OK", ""), "MalformedResponse" },
  { "a status above 599", lines("HTTP/1.1 600 OK", ""), "MalformedResponse" },
  { "a NUL in the status line", lines("HTTP/1.1 200 O\0K", ""), "MalformedResponse" },
  { "a carriage return in the status line", lines("HTTP/1.1 200 O\rK", ""), "MalformedResponse" },
  { "a change of the protocol", lines("HTTP/1.1 101 Switching Protocols", "Upgrade: SECRET", ""), "MalformedResponse" },
  { "17 interim replies", lines("HTTP/1.1 100 Continue", ""):rep(17) .. lines(ok, "Content-Length: 0", ""),
    "MalformedResponse" },
  { "an interim reply with a malformed header", lines("HTTP/1.1 100 Continue", "a b: c", "", ok, ""),
    "MalformedResponse" },
  { "a header without a colon", lines(ok, "SECRET", ""), "MalformedResponse" },
  { "a header without a name", lines(ok, ": SECRET", ""), "MalformedResponse" },
  { "a blank in front of the colon", lines(ok, "Content-Length : 0", ""), "MalformedResponse" },
  { "a blank in a name", lines(ok, "A SECRET: b", ""), "MalformedResponse" },
  { "a name that is no token", lines(ok, "A(SECRET): b", ""), "MalformedResponse" },
  { "a byte above ASCII in a name", lines(ok, "A\228: b", ""), "MalformedResponse" },
  { "a folded line", lines(ok, "A: b", " SECRET", ""), "MalformedResponse" },
  { "a folded line after a tab", lines(ok, "A: b", "\tc: SECRET", ""), "MalformedResponse" },
  { "a blank in front of the first header", lines(ok, " Content-Length: 0", ""), "MalformedResponse" },
  { "a NUL in a value", lines(ok, "A: SECRET\0b", ""), "MalformedResponse" },
  { "a carriage return in a value", lines(ok, "A: SECRET\rContent-Length: 0", ""), "MalformedResponse" },
  { "a carriage return too many", ok .. "\r\r\n\r\n", "MalformedResponse" },
  { "another coding", lines(ok, "Transfer-Encoding: gzip", ""), "MalformedResponse" },
  { "two codings", lines(ok, "Transfer-Encoding: gzip, chunked", ""), "MalformedResponse" },
  { "chunks in chunks", lines(ok, chunked, chunked, ""), "MalformedResponse" },
  { "the identity", lines(ok, "Transfer-Encoding: identity", ""), "MalformedResponse" },
  { "an empty coding", lines(ok, "Transfer-Encoding:", ""), "MalformedResponse" },
  { "a coding with a parameter", lines(ok, "Transfer-Encoding: chunked;a=b", ""), "MalformedResponse" },
  { "chunks of HTTP/1.0", lines("HTTP/1.0 200 OK", chunked, ""), "MalformedResponse" },
  { "a coding and a length", lines(ok, chunked, "Content-Length: 3", ""), "MalformedResponse" },
  { "a length and a coding", lines(ok, "Content-Length: 0", chunked, ""), "MalformedResponse" },
  { "a length that is negative", lines(ok, "Content-Length: -1", ""), "MalformedResponse" },
  { "a length with a sign", lines(ok, "Content-Length: +1", ""), "MalformedResponse" },
  { "a length in hexadecimal", lines(ok, "Content-Length: 0x1", ""), "MalformedResponse" },
  { "a length with a fraction", lines(ok, "Content-Length: 1.0", ""), "MalformedResponse" },
  { "a length with an exponent", lines(ok, "Content-Length: 1e1", ""), "MalformedResponse" },
  { "an empty length", lines(ok, "Content-Length:", ""), "MalformedResponse" },
  { "two numbers in a length", lines(ok, "Content-Length: 1 1", ""), "MalformedResponse" },
  { "a list of lengths with a gap", lines(ok, "Content-Length: 1,,1", ""), "MalformedResponse" },
  { "two lengths", lines(ok, "Content-Length: 1", "Content-Length: 2", ""), "MalformedResponse" },
  { "a list of two lengths", lines(ok, "Content-Length: 1, 2", ""), "MalformedResponse" },
  { "lengths that differ where no number is exact", lines(ok, "Content-Length: 100000000000000000001",
    "Content-Length: 100000000000000000002", ""), "MalformedResponse" },
  { "a malformed length of 204", lines("HTTP/1.1 204 No Content", "Content-Length: x", ""), "MalformedResponse" },
  { "a head above the limit", lines(ok, "Content-Length: 1", "") .. "a", "ResponseTooLarge", { max_head = 37 } },
  { "interim replies above the limit", lines("HTTP/1.1 100 Continue", "", ok, "Content-Length: 0", ""),
    "ResponseTooLarge", { max_head = 62 } },
  { "a line above the limit", ok .. (" "):rep(65536), "ResponseTooLarge" },
  { "a cut status line", "HTTP/1.1 2", "ConnectionLost" },
  { "a status line that had hardly begun", "HTT", "ConnectionLost" },
  { "some bytes", "\0\1\2\255", "MalformedResponse" },
  { "the beginning of another protocol's line", "SSH-2.0", "MalformedResponse" },
  { "the beginning of a line that only looks like HTTP", "HTTX", "MalformedResponse" },
  { "a status line without more", lines(ok), "ConnectionLost" },
  { "a cut header", lines(ok, "A: SECRET") .. "Content-Le", "ConnectionLost" },
  { "a line feed too few", lines(ok, "Content-Length: 0") .. "\r", "ConnectionLost" },
  { "nothing behind an interim reply", lines("HTTP/1.1 100 Continue", ""), "ConnectionLost" },
}

-- { what, text, code, options }: a body that fails behind a head that does not.
local bad_bodies = {
  { "a length that is not reached", lines(ok, "Content-Length: 7", "") .. "SECRET", "ConnectionLost" },
  { "no body", lines(ok, "Content-Length: 1", ""), "ConnectionLost" },
  { "a length beyond every integer", lines(ok, "Content-Length: " .. ("9"):rep(400), "") .. "a", "ConnectionLost",
    { read_pieces = true } },
  { "the length of the largest integer", lines(ok, "Content-Length: 9223372036854775807", "") .. "ab",
    "ConnectionLost", { read_pieces = true } },
  { "no chunk", lines(ok, chunked, ""), "ConnectionLost" },
  { "a cut size of a chunk", lines(ok, chunked, "") .. "1", "ConnectionLost" },
  { "a cut chunk", lines(ok, chunked, "", "7") .. "SECRET", "ConnectionLost" },
  { "a cut end of a chunk", lines(ok, chunked, "", "1") .. "a\r", "ConnectionLost" },
  { "no last chunk", lines(ok, chunked, "", "1", "a"), "ConnectionLost" },
  { "no end of trailers", lines(ok, chunked, "", "0"), "ConnectionLost" },
  { "a cut trailer", lines(ok, chunked, "", "0", "A: b"), "ConnectionLost" },
  { "a chunk longer than it says", lines(ok, chunked, "", "1", "aSECRET", "0", ""), "MalformedResponse" },
  { "a chunk shorter than it says", lines(ok, chunked, "", "2", "a", "0", ""), "MalformedResponse" },
  { "a chunk that ends with a line feed alone", lines(ok, chunked, "", "1") .. "a\n0\r\n\r\n", "MalformedResponse" },
  { "a chunk without a size", lines(ok, chunked, "", ";SECRET", "a", "0", ""), "MalformedResponse" },
  { "an empty line for a size", lines(ok, chunked, "", "", "0", ""), "MalformedResponse" },
  { "a blank in front of a size", lines(ok, chunked, "", " 1", "a", "0", ""), "MalformedResponse" },
  { "a size that is negative", lines(ok, chunked, "", "-1", "a", "0", ""), "MalformedResponse" },
  { "a size with a prefix", lines(ok, chunked, "", "0x1", "a", "0", ""), "MalformedResponse" },
  { "a size that is no number", lines(ok, chunked, "", "SECRET", "a", "0", ""), "MalformedResponse" },
  { "a size with more behind it", lines(ok, chunked, "", "1 1", "a", "0", ""), "MalformedResponse" },
  { "a size of 9 digits", lines(ok, chunked, "", "000000001", "a", "0", ""), "MalformedResponse" },
  { "a size that overflows 64 bits", lines(ok, chunked, "", "10000000000000001", "a", "0", ""), "MalformedResponse" },
  { "a carriage return in an extension", lines(ok, chunked, "", "1;a\rb", "a", "0", ""), "MalformedResponse" },
  { "a NUL in an extension", lines(ok, chunked, "", "1;a\0b", "a", "0", ""), "MalformedResponse" },
  { "a trailer without a colon", lines(ok, chunked, "", "0", "SECRET", ""), "MalformedResponse" },
  { "a folded trailer", lines(ok, chunked, "", "0", "A: b", " SECRET", ""), "MalformedResponse" },
  { "trailers above the limit", lines(ok, chunked, "", "0", "A: " .. ("b"):rep(60), ""), "ResponseTooLarge",
    { max_head = 60 } },
  { "an extension above the limit", lines(ok, chunked, "", "1;" .. ("b"):rep(60), "a", "0", ""), "ResponseTooLarge",
    { max_head = 60 } },
  { "a length above the limit", lines(ok, "Content-Length: 6", "") .. "SECRET", "ResponseTooLarge",
    { max_body = 5, read_body = true } },
  { "a length above every limit", lines(ok, "Content-Length: " .. ("9"):rep(400), "") .. "a", "ResponseTooLarge",
    { read_body = true } },
  { "chunks above the limit", lines(ok, chunked, "", "2", "ab", "4", "cdef", "0", ""), "ResponseTooLarge",
    { max_body = 5, read_body = true } },
  { "a chunk of 4 GiB", lines(ok, chunked, "", "ffffffff", "a"), "ResponseTooLarge", { read_body = true } },
  { "a connection that goes on above the limit", lines(ok, "") .. "abcdef", "ResponseTooLarge",
    { max_body = 5, read_body = true } },
}

-- The options without those of these tables.
local function limits_of(options)
  return options and { max_head = options.max_head, max_body = options.max_body }
end

describe("a reply", function()
  for _, case in ipairs(replies) do
    local text, status, body, reusable = case[2], case[3], case[4], case[5]

    it("is read that has " .. case[1], function()
      each_way(text, case[6], nil, function(reply, read)
        local read_head, message = reply:read_head()
        assert.is_true(read_head, message)
        assert.equal(status, reply.status)
        assert.equal(body, read(reply))
        assert.equal(reusable, reply:is_reusable())
        assert.is_nil(reply:read_piece())
        assert.equal("", reply:read_body())
        assert.equal(reusable, reply:is_reusable())
      end)
    end)
  end

  for _, case in ipairs(bad_heads) do
    it("is refused for its head: " .. case[1], function()
      each_way(case[2], case[4], nil, function(reply, read)
        for _ = 1, 2 do -- a failure is final
          local read_head, message, facts = reply:read_head()
          assert.is_nil(read_head)
          assert_failure(case[3], message, facts)
          assert.is_nil(facts.before_reply)
          facts.code = "whatever becomes of it"
        end
        local body, message, facts = read(reply)
        assert.is_nil(body)
        assert_failure(case[3], message, facts)
        assert.is_false(reply:is_reusable())
      end)
    end)
  end

  for _, case in ipairs(bad_bodies) do
    local options = case[4] or {}

    it("is refused for its body: " .. case[1], function()
      each_way(case[2], limits_of(case[4]), nil, function(reply, read)
        if options.read_body and read ~= read_body or options.read_pieces and read ~= read_pieces then return end
        assert.is_true(reply:read_head())
        for _ = 1, 2 do
          local body, message, facts = read(reply)
          assert.is_nil(body)
          assert_failure(case[3], message, facts)
          assert.is_nil(facts.before_reply)
        end
        local piece, message, facts = reply:read_piece()
        assert.is_nil(piece)
        assert_failure(case[3], message, facts)
        assert.is_false(reply:is_reusable())
      end)
    end)
  end
end)

describe("the head of a reply", function()
  it("is given as it came, and as a map of the first values", function()
    local head = "HTTP/1.1 200 All  is well\r\nX-Amzn-RequestId:\t a b \t\r\nEmpty:\r\nBlank: \t \nDATE: x:y\r\n"
      .. "!#$%&'*+-.^_`|~09azAZ: token\r\nX-AMZN-REQUESTID: c\r\nBytes: \195\169\1\255\r\nContent-Length: 0\r\n"
    each_way(lines("HTTP/1.1 103 Early", "Date: y", "Link: z", "") .. head .. "\r\n", nil, nil, function(reply)
      assert.is_true(reply:read_head())
      assert.equal(head, reply.head)
      assert.same({ ["x-amzn-requestid"] = "a b", empty = "", blank = "", date = "x:y", ["content-length"] = "0",
        ["!#$%&'*+-.^_`|~09azaz"] = "token", bytes = "\195\169\1\255" }, reply.headers)
      assert.equal("200", tostring(reply.status)) -- an integer, where the Lua has them
    end)
  end)

  it("is read without the body, and a body piece by piece", function()
    local given_pieces = { lines(ok, "Content-Length: 6", ""), "ab", "cdef" }
    local given = 0
    local reply = http_reply.new(function()
      given = given + 1
      return given_pieces[given], "closed"
    end)
    assert.is_true(reply:read_head())
    assert.equal(1, given)
    assert.equal("ab", (reply:read_piece()))
    assert.is_false(reply:is_reusable())
    assert.equal("cdef", reply:read_body())
    assert.is_true(reply:is_reusable())
    assert.equal(3, given)
  end)

  it("is for who can wait in any way", function()
    local reader = coroutine.wrap(function()
      local reply = http_reply.new(coroutine.yield)
      assert(reply:read_head())
      return reply:read_body(), reply:is_reusable()
    end)
    assert.is_nil((reader()))
    for byte in lines(ok, chunked, "", "2", "ab", "0", "A: b"):gmatch "." do assert.is_nil((reader(byte))) end
    assert.is_nil((reader "\r"))
    local body, reusable = reader "\n"
    assert.equal("ab", body)
    assert.is_true(reusable)
  end)
end)

describe("a connection", function()
  it("is not used again with bytes behind the reply", function()
    for _, text in ipairs {
      lines(ok, "Content-Length: 2", "") .. "ab", lines(ok, "Content-Length: 0", ""),
      lines(ok, chunked, "", "2", "ab", "0", "A: b", ""), lines("HTTP/1.1 204 No Content", "Content-Length: 1", ""),
    } do
      for _, case in ipairs { { "", true }, { "\r\n", false }, { "H", false } } do
        local reply = http_reply.new(feed(text .. case[1], cuts.whole))
        assert.is_true(reply:read_head())
        assert(reply:read_body())
        assert.equal(case[2], reply:is_reusable())
      end
    end
  end)

  it("is not used again before the end of the body", function()
    for _, text in ipairs {
      lines(ok, "Content-Length: 2", "") .. "ab", lines(ok, chunked, "", "2", "ab", "0", "A: b", ""),
    } do
      local at = 0
      local reply = http_reply.new(function()
        at = at + 1
        return text:sub(at, at)
      end)
      assert.is_false(reply:is_reusable())
      assert.is_true(reply:read_head())
      while at < #text do
        assert.is_false(reply:is_reusable())
        local _, message = reply:read_piece()
        assert.is_nil(message)
      end
      assert.is_true(reply:is_reusable())
    end
  end)

  -- { reason of the end, code, what the message ends with }
  local endings = {
    { "closed", "ConnectionLost", "the connection ended before %s" },
    { "timeout", "Timeout", "the server did not answer in time" },
    { "connection reset by peer", "ConnectionLost", "the connection ended before %s: connection reset by peer" },
    { "a\r\n\27[1mb" .. ("c"):rep(1000), "ConnectionLost", "the connection ended before %s: a [1mb"
      .. ("c"):rep(194) .. "..." },
  }

  for _, ending in ipairs(endings) do
    it("may end early: " .. ending[1]:sub(1, 30):gsub("%c", "."), function()
      for _, text in ipairs {
        "", "H", lines(ok), lines(ok, "Content-Length: 2", "") .. "a", lines(ok, chunked, "", "2") .. "a",
      } do
        each_way(text, nil, ending[1], function(reply, read)
          local body, message, facts = reply:read_head()
          if body then body, message, facts = read(reply) end
          assert.is_nil(body)
          assert_failure(ending[2], message, facts)
          assert.equal(ending[3]:format(text == "" and "a reply came" or "the whole reply had come"), message)
          local before_reply = text == "" and ending[2] == "ConnectionLost" or nil
          assert.same({ code = ending[2], reason = ending[1], before_reply = before_reply }, facts)
          assert.is_false(reply:is_reusable())
        end)
      end
    end)
  end

  it("ends a body only where the server closed it", function()
    for reason, code in pairs { timeout = "Timeout", ["connection reset by peer"] = "ConnectionLost" } do
      each_way(lines(ok, "") .. "abc", nil, reason, function(reply, read)
        assert.is_true(reply:read_head())
        local body, message, facts = read(reply)
        assert.is_nil(body)
        assert_failure(code, message, facts)
      end)
    end
  end)
end)

describe("a reader of replies", function()
  local function receive() return nil, "closed" end

  it("raises for misuse", function()
    local misuses = {
      { "bad argument 'receive' to 'http_reply.new' %(function expected, got nil%)", function() http_reply.new() end },
      { "unknown option 'max' to 'http_reply.new'", function() http_reply.new(receive, { max = 1 }) end },
      { "bad option 'max_head' .- %(number expected", function() http_reply.new(receive, { max_head = "" }) end },
      { "bad option 'max_head' .- %(a whole number", function() http_reply.new(receive, { max_head = 0 }) end },
      { "bad option 'max_body' .- %(a whole number", function() http_reply.new(receive, { max_body = 0.5 }) end },
      { "the head comes before the body", function() http_reply.new(receive):read_piece() end },
      { "the head comes before the body", function() http_reply.new(receive):read_body() end },
      { "the head was read before", function()
        local reply = http_reply.new(feed(lines(ok, ""), cuts.whole))
        assert(reply:read_head())
        reply:read_head()
      end },
    }
    for _, misuse in ipairs(misuses) do
      local done, message = pcall(misuse[2])
      assert.is_false(done)
      assert.is_truthy(message:find("http_reply_spec%.lua:%d+: " .. misuse[1]), message)
    end
  end)

  it("leaves the options alone", function()
    local given = { head_only = true, max_head = 100 }
    http_reply.new(receive, given)
    assert.same({ head_only = true, max_head = 100 }, given)
  end)
end)
