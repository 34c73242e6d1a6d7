-- What a reply of failure says about time: the server's clock, and how long to wait (reference 3.5, 5.1;
-- RFC 9110 sections 5.6.7 and 10.2.3).
local core = require "iot.core"

local DESCRIBE = "describe_thing_registration_task"
local NOVEMBER = 784111777 -- 1994-11-06T08:49:37Z
local YEAR = 31536000 -- seconds; the most that a server is believed to ask for

local native = assert(core.client { endpoint = "https://iot.us-east-1.amazonaws.com", region = "us-east-1" })

-- The facts of a reply with these header lines.
local function facts_of(status, lines, body)
  local head = { ("HTTP/1.1 %d Whatever"):format(status) }
  for _, line in ipairs(lines) do head[#head + 1] = line end
  local result, message, facts = native:parse(DESCRIBE, status, table.concat(head, "\r\n") .. "\r\n\r\n", body or "")
  assert.is_nil(result)
  assert.equal("string", type(message))
  return facts
end

local function server_time(text)
  return facts_of(500, { "Date: " .. text }).server_time
end

local function retry_after(status, ...)
  return facts_of(status, { ... }).retry_after
end

-- Text for the title of a spec.
local function shown(text)
  text = text:gsub("%c", function(c) return ("\\%d"):format(c:byte()) end)
  return #text <= 50 and text or text:sub(1, 47) .. "..."
end

-- The start of a year, counted year by year.
local function start_of(year)
  local days = 0
  for y = 1970, year - 1 do
    local leap = y % 4 == 0 and y % 100 ~= 0 or y % 400 == 0
    days = days + (leap and 366 or 365)
  end
  return days * 86400
end

-- Date ---------------------------------------------------------------------------------------

describe("the server's time", function()
  local GOOD = {
    { "Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER },
    { "Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER },
    { "Sun Nov  6 08:49:37 1994", NOVEMBER },
    { "Wed Nov 16 08:49:37 1994", NOVEMBER + 10 * 86400 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
    { "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
    { "Thu, 29 Feb 2024 23:59:59 GMT", 1709251199 },
    { "Mon, 01 Mar 2100 00:00:00 GMT", 4107542400 },
    { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
    { "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 }, -- a leap second
    { "Thursday, 29-Feb-24 00:00:00 GMT", 1709164800 },
    { "Monday, 01-Jan-24 00:00:00 GMT", 1704067200 },
    { "Thu Feb 29 00:00:00 2024", 1709164800 },
    { "Mon, 06 Nov 1994 08:49:37 GMT", NOVEMBER }, -- a Sunday
    { "  Sun, 06 Nov 1994 08:49:37 GMT\t ", NOVEMBER },
  }
  for _, case in ipairs(GOOD) do
    it("is that of " .. shown(case[1]), function() assert.equal(case[2], server_time(case[1])) end)
  end

  it("knows all months and days", function()
    local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
    local days = { "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday" }
    for day = 0, 364 do
      local time = start_of(2023) + day * 86400
      local date = os.date("!*t", time)
      local month, weekday = months[date.month], days[math.floor(time / 86400) % 7 + 1]
      assert.equal(time, server_time(("%s, %02d %s 2023 00:00:00 GMT"):format(weekday:sub(1, 3), date.day, month)))
      assert.equal(time, server_time(("%s, %02d-%s-23 00:00:00 GMT"):format(weekday, date.day, month)))
      assert.equal(time, server_time(("%s %s %2d 00:00:00 2023"):format(weekday:sub(1, 3), month, date.day)))
    end
  end)

  it("is not more than 50 years ahead where the year has two digits", function()
    local this_year = tonumber(os.date "!%Y")
    local function of(form, year) return server_time(form:format(year % 100)) end
    for year = this_year - 48, this_year + 49 do
      assert.equal(start_of(year), of("Monday, 01-Jan-%02d 00:00:00 GMT", year))
    end
    assert.equal(start_of(this_year - 48) - 86400, of("Monday, 31-Dec-%02d 00:00:00 GMT", this_year + 51))
  end)

  local BAD = {
    "", " ", "0", "784111777", "1994-11-06T08:49:37Z", "19941106T084937Z", "now",
    -- Case, spaces, punctuation.
    "sun, 06 Nov 1994 08:49:37 GMT", "SUN, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 NOV 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 gmt", "Sun,06 Nov 1994 08:49:37 GMT",
    "Sun,  06 Nov 1994 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994  08:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37  GMT", "Sun, 06\tNov 1994 08:49:37 GMT",
    -- Names and zones.
    "Xyz, 06 Nov 1994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT", "Sun, 06 November 1994 08:49:37 GMT",
    "06 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 11 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 Z", "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37",
    -- Numbers.
    "Sun, 6 Nov 1994 08:49:37 GMT", "Sun,  6 Nov 1994 08:49:37 GMT", "Sun, 006 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 19940 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37.5 GMT",
    "Sun, 06 Nov 1994 08-49-37 GMT", "Sun, 06 Nov 1994 +8:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 32 Dec 1994 08:49:37 GMT",
    "Tue, 29 Feb 2023 08:49:37 GMT", "Thu, 29 Feb 2100 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
    -- The obsolete forms.
    "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT", "Sunday, 31-Nov-94 08:49:37 GMT", "Sunday, 29-Feb-01 08:49:37 GMT",
    "Sunday, 06-Nov-94 25:49:37 GMT", "Sunday, 06-Nov-94 08:49:37", "sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994", "Sun Nov 06 8:49:37 1994", "Sun Nov  6 08:49:37 94", "Sun Nov   6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT", "Sun Nov  0 08:49:37 1994", "Sun Nov 31 08:49:37 1994",
    -- More than a date.
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMTx",
    "Sun, 06 Nov 1994 08:49:37 GMT\0", "\"Sun, 06 Nov 1994 08:49:37 GMT\"", ("9"):rep(1000),
  }
  for i, text in ipairs(BAD) do
    it(("is not known from `%s` (%d)"):format(shown(text), i), function() assert.is_nil(server_time(text)) end)
  end

  it("is not known from any start of a date", function()
    for _, case in ipairs { GOOD[1], GOOD[2], GOOD[3] } do
      for length = 0, #case[1] - 1 do assert.is_nil(server_time(case[1]:sub(1, length))) end
    end
  end)

  it("is that of the first Date", function()
    local good = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
    assert.equal(NOVEMBER, facts_of(500, { good, "Date: Thu, 01 Jan 1970 00:00:00 GMT" }).server_time)
    assert.equal(NOVEMBER, facts_of(500, { "X-Date: x", "dATE:Sun, 06 Nov 1994 08:49:37 GMT" }).server_time)
    assert.is_nil(facts_of(500, { "Date: soon", good }).server_time)
    assert.is_nil(facts_of(500, {}).server_time)
  end)

  it("is that of any failure, whatever its status", function()
    for _, status in ipairs { 300, 400, 403, 404, 429, 500, 503 } do
      assert.equal(NOVEMBER, facts_of(status, { "Date: Sun, 06 Nov 1994 08:49:37 GMT" }).server_time)
    end
    assert.equal(NOVEMBER, facts_of(200, { "Date: Sun, 06 Nov 1994 08:49:37 GMT" }, "[]").server_time)
  end)

  it("does not come with a result", function()
    local task, facts = native:parse(DESCRIBE, 200,
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-amz-retry-after: 5\r\n\r\n", '{"taskId":"t"}')
    assert.same({ taskId = "t" }, task)
    assert.is_nil(facts)
  end)
end)

-- Retry-After --------------------------------------------------------------------------------

-- What is no number of digits alone.
local NO_NUMBERS = {
  "", " ", "invalid", "-1", "-100", "+5", "5.5", "1e3", "0x10", "5s", "5 5", "5, 5", "5,5", "\"5\"", "NaN", "inf",
  "\217\165", "5\0",
}

describe("the time to wait", function()
  local MILLISECONDS = {
    { "0", 0 }, { "1500", 1.5 }, { "1", 0.001 }, { "10000", 10 }, { "007", 0.007 }, { " 250\t", 0.25 },
    { "31536000000", YEAR }, { "31536000001", YEAR }, { ("9"):rep(30), YEAR }, { ("9"):rep(5000), YEAR },
    { "0" .. ("0"):rep(400) .. "5", 0.005 },
  }
  for _, case in ipairs(MILLISECONDS) do
    it("is x-amz-retry-after, in milliseconds, with any status: " .. shown(case[1]), function()
      for _, status in ipairs { 302, 400, 403, 429, 500, 503, 504 } do
        assert.equal(case[2], retry_after(status, "x-amz-retry-after: " .. case[1]))
        assert.equal(case[2], retry_after(status, "Retry-After: 7", "X-Amz-Retry-After: " .. case[1]))
      end
    end)
  end

  local SECONDS = {
    { "0", 0 }, { "120", 120 }, { "05", 5 }, { "31536001", YEAR }, { ("9"):rep(5000), YEAR },
  }
  for _, case in ipairs(SECONDS) do
    it("is Retry-After, in seconds, of a 429 or a 503: " .. shown(case[1]), function()
      for _, status in ipairs { 429, 503 } do
        assert.equal(case[2], retry_after(status, "Retry-After: " .. case[1]))
      end
      for _, status in ipairs { 301, 400, 403, 408, 500, 502, 504 } do
        assert.is_nil(retry_after(status, "Retry-After: " .. case[1]))
      end
    end)
  end

  for i, text in ipairs(NO_NUMBERS) do
    it(("is nothing else than digits: `%s` (%d)"):format(shown(text), i), function()
      assert.is_nil(retry_after(500, "x-amz-retry-after: " .. text))
      assert.is_nil(retry_after(503, "Retry-After: " .. text))
      assert.equal(7, retry_after(503, "x-amz-retry-after: " .. text, "Retry-After: 7"))
    end)
  end

  it("is the first of two", function()
    assert.equal(2, retry_after(500, "x-amz-retry-after: 2000", "x-amz-retry-after: 1000"))
    assert.is_nil(retry_after(500, "x-amz-retry-after: x", "x-amz-retry-after: 1000"))
    assert.equal(2, retry_after(503, "Retry-After: 2", "Retry-After: 1"))
  end)

  it("is an integer where it is one", function()
    for _, seconds in ipairs {
      retry_after(500, "x-amz-retry-after: 2000"), retry_after(429, "Retry-After: 2"),
      retry_after(429, "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:39 GMT"),
    } do
      assert.equal("2", tostring(seconds))
    end
  end)

  it("comes with a reply that could not be understood, too", function()
    assert.equal(1.5, facts_of(200, { "x-amz-retry-after: 1500" }, "[]").retry_after)
  end)
end)

describe("a date to wait for", function()
  local DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT"

  -- Retry-After, seconds.
  local DATES = {
    { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 1994 08:50:37 GMT", 60 },
    { "Sunday, 06-Nov-94 09:49:37 GMT", 3600 },
    { "Mon Nov  7 08:49:37 1994", 86400 },
    { "Mon, 06 Nov 1995 08:49:37 GMT", YEAR },
    { "Mon, 06 Nov 1995 08:49:38 GMT", YEAR },
    { "Fri, 31 Dec 9999 23:59:59 GMT", YEAR },
  }
  for _, case in ipairs(DATES) do
    it("counts from the reply's own: " .. case[1], function()
      for _, status in ipairs { 429, 503 } do
        assert.equal(case[2], retry_after(status, DATE, "Retry-After: " .. case[1]))
        assert.equal(case[2], retry_after(status, "Retry-After: " .. case[1], DATE))
      end
    end)
  end

  it("is ignored when it has passed", function()
    assert.is_nil(retry_after(503, DATE, "Retry-After: Sun, 06 Nov 1994 08:49:36 GMT"))
    assert.is_nil(retry_after(503, DATE, "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT"))
  end)

  it("is ignored without a date to count from", function()
    local line = "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"
    assert.is_nil(retry_after(503, line))
    assert.is_nil(retry_after(503, "Date: soon", line))
    assert.is_nil(retry_after(503, "Date: 0", line))
  end)

  it("is ignored when it is none, with other statuses, and in x-amz-retry-after", function()
    assert.is_nil(retry_after(503, DATE, "Retry-After: Sun, 06 Nov 1994 08:50:37 CET"))
    assert.is_nil(retry_after(500, DATE, "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT"))
    assert.is_nil(retry_after(503, DATE, "x-amz-retry-after: Sun, 06 Nov 1994 08:50:37 GMT"))
  end)
end)
