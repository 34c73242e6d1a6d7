-- Servers that send replies to do harm: what a reader takes from them is bounded, and so is its time.
local http_reply = require "iot.http_reply"
local pieces = require "spec.support.reply_pieces"

local assert_failure, cuts, feed, lines = pieces.assert_failure, pieces.cuts, pieces.feed, pieces.lines

local ok = "HTTP/1.1 200 OK"
local chunked = "Transfer-Encoding: chunked"

describe("a hostile server", function()
  -- Gives a beginning, and then the same for ever; how much, the table tells.
  local function endless(beginning, more)
    local given = { size = #beginning }
    local piece
    return function()
      if not piece then
        piece = more:rep(math.ceil(1000 / #more))
        return beginning
      end
      given.size = given.size + #piece
      return piece
    end, given
  end

  -- { what goes on for ever, beginning, more, code }
  local streams = {
    { "a line", ok, "x", "ResponseTooLarge" },
    { "a header", lines(ok) .. "A: ", "x", "ResponseTooLarge" },
    { "a name", lines(ok), "x", "ResponseTooLarge" },
    { "headers", lines(ok), "A: b\r\n", "ResponseTooLarge" },
    { "line feeds", "\n", "\n", "MalformedResponse" },
    { "short interim replies", ok:gsub("200", "100") .. "\n\n", "HTTP/1.1 100\n\n", "MalformedResponse" },
    { "long interim replies", "HTTP/1.1 100\n", ("A: b\n"):rep(2000) .. "\nHTTP/1.1 100\n", "ResponseTooLarge" },
    { "a chunk's size", lines(ok, chunked, ""), "0", "ResponseTooLarge" },
    { "an extension", lines(ok, chunked, "") .. "1;", "x", "ResponseTooLarge" },
    { "extensions of small chunks", lines(ok, chunked, ""), lines("1;" .. ("x"):rep(100), "a"), "ResponseTooLarge" },
    { "a trailer", lines(ok, chunked, "", "0") .. "A: ", "x", "ResponseTooLarge" },
    { "trailers", lines(ok, chunked, "", "0"), "A: b\r\n", "ResponseTooLarge" },
  }

  for _, case in ipairs(streams) do
    it("is not listened to for ever: " .. case[1], function()
      local receive, given = endless(case[2], case[3])
      local reply = http_reply.new(receive)
      local body, message, facts = reply:read_head()
      if body then body, message, facts = pieces.read_pieces(reply) end
      assert.is_nil(body)
      assert_failure(case[4], message, facts)
      assert.is_true(given.size < 65536 * 1.1 + 12000, given.size)
    end)
  end

  it("does not fill the memory with a body", function()
    for _, beginning in ipairs { lines(ok, ""), lines(ok, chunked, "") } do
      local receive, given = endless(beginning, lines("10", "0123456789abcdef"))
      local reply = http_reply.new(receive, { max_body = 100000 })
      assert.is_true(reply:read_head())
      local body, message, facts = reply:read_body()
      assert.is_nil(body)
      assert_failure("ResponseTooLarge", message, facts)
      assert.is_true(given.size < 150000)
    end
  end)

  it("may have as many extensions as there are bytes", function()
    local chunk = lines("64;" .. ("x"):rep(90), ("a"):rep(100))
    local reply = http_reply.new(feed(lines(ok, chunked, "") .. chunk:rep(5000) .. lines("0", ""), { 5000 }))
    assert.is_true(reply:read_head())
    assert.equal(500000, #assert(reply:read_body()))
    assert.is_true(reply:is_reusable())
  end)

  it("gains nothing with 100,000 headers, even where they are allowed", function()
    local text = lines(ok, "Content-Length: 0") .. ("A: b\r\n"):rep(100000) .. "\r\n"
    local reply = http_reply.new(feed(text, { 1000 }))
    local read_head, message, facts = reply:read_head()
    assert.is_nil(read_head)
    assert_failure("ResponseTooLarge", message, facts)
    reply = http_reply.new(feed(text, { 1000 }), { max_head = 1000000 })
    assert.is_true(reply:read_head())
    assert.equal(#text - 2, #reply.head)
  end)

  local function cpu_seconds(fn)
    local start = os.clock()
    fn()
    return os.clock() - start
  end

  it("gains nothing with long lines of blanks, zeros or commas", function()
    local blanks, zeros, commas = (" "):rep(300000), ("0"):rep(300000), ("5,"):rep(150000)
    local heads = {
      "A:" .. blanks .. "x" .. blanks .. "y" .. blanks, "A:" .. blanks, "Connection: x" .. blanks .. "y, " .. blanks,
      "Content-Length: " .. zeros .. "x", "Content-Length: 1" .. blanks .. "x", "Content-Length: " .. commas,
      "Content-Length: " .. zeros .. "," .. zeros .. "1", "Transfer-Encoding: " .. blanks .. "x",
      ("x"):rep(300000), "A" .. blanks .. ":", "Connection: " .. (","):rep(300000) .. "close",
    }
    assert.is_true(cpu_seconds(function()
      for _, line in ipairs(heads) do
        http_reply.new(feed(lines(ok, line, ""), cuts.whole), { max_head = 1000000 }):read_head()
      end
      for _, line in ipairs { "1" .. blanks .. "x", zeros, "1;" .. blanks, "0" .. blanks } do
        local reply = http_reply.new(feed(lines(ok, chunked, "", line, ""), cuts.whole), { max_head = 1000000 })
        assert.is_true(reply:read_head())
        reply:read_body()
      end
    end) < 2)
  end)

  it("gains nothing with small pieces", function()
    local text = ("0123456789abcdef"):rep(32000)
    local half = text:sub(1, #text / 2)
    local framings = {
      { lines(ok, "Content-Length: " .. #text, "") .. text, cuts.bytes },
      { lines(ok, "") .. text, cuts.bytes },
      { lines(ok, chunked, "", "7d000", text, "0", ""), cuts.bytes },
      { lines(ok, chunked, "") .. half:gsub(".", "1\r\n%0\r\n") .. lines("0", ""), cuts.whole },
      { lines(ok, "A: " .. text, "Content-Length: 0", ""), cuts.bytes },
    }
    for _, framing in ipairs(framings) do
      assert.is_true(cpu_seconds(function()
        local reply = http_reply.new(feed(framing[1], framing[2]), { max_head = 1000000 })
        assert.is_true(reply:read_head())
        local body = assert(reply:read_body())
        assert.is_true(body == text or body == half or reply.headers.a == text)
      end) < 2)
    end
  end)
end)
