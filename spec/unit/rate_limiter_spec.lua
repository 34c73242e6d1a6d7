-- The limiter of adaptive retries: the numbers of reference 5.4, and what follows from its rules.
local rate_limiter = require "iot.rate_limiter"

-- The times and rates of the reference, start 0. A number says what it is to so many decimals.
local RATES = {
  -- time, throttled, measured, fill_rate
  { 0.2, false, 0, 0.5 },
  { 0.4, false, 0, 0.5 },
  { 0.6, false, 4.8, 0.5 },
  { 0.8, false, 4.8, 0.5 },
  { 1.0, false, 4.16, 0.5 },
  { 1.2, false, 4.16, 0.6912 },
  { 1.4, false, 4.16, 1.0976 },
  { 1.6, false, 5.632, 1.6384 },
  { 1.8, false, 5.632, 2.3328 },
  { 2.0, true, 4.3264, 3.02848 },
  { 2.2, false, 4.3264, 3.486639 },
  { 2.4, false, 4.3264, 3.821874 },
  { 2.6, false, 5.66528, 4.053386 },
  { 2.8, false, 5.66528, 4.200373 },
  { 3.0, false, 4.333056, 4.282037 },
  { 3.2, true, 4.333056, 2.997426 },
  { 3.4, false, 4.333056, 3.452226 },
}
local SIX_DECIMALS = 5e-7

local CUBIC = {
  { 5, 7.0 }, { 6, 9.64893600966 }, { 7, 10.000030849917364 }, { 8, 10.453284520772092 },
  { 9, 13.408697022224185 }, { 10, 21.26626835427364 }, { 11, 36.425998516920465 },
}
local CUBIC_WITH_THROTTLES = {
  { 5, 7.0 }, { 6, 9.64893600966 }, { 7, 6.754255206761999, true }, { 8, 4.727978644733399, true },
  { 9, 6.606547753887045 }, { 10, 6.763279816944947 }, { 11, 7.598174833907107 }, { 12, 11.511232804773524 },
}

-- As many digits as a double has, but for the last one or two.
local function assert_digits(expected, actual, context)
  assert.near(expected, actual, math.max(1, math.abs(expected)) * 2e-15, context)
end

-- A limiter that was throttled at once, in its first half second: 0.5 tokens a second, room for one.
local function throttled_at(time)
  local limiter = rate_limiter.new(time)
  limiter:update(time, true)
  return limiter
end

describe("the rates of the limiter", function()
  -- A monotonic clock may stand anywhere. Binary fractions of a greater number are less exact.
  for _, start in ipairs { 0, 5000, 2 ^ 22 } do
    it("follow the reference from the time " .. start, function()
      local limiter = rate_limiter.new(start)
      for _, row in ipairs(RATES) do
        local time, throttled, measured, fill_rate = row[1], row[2], row[3], row[4]
        limiter:update(start + time, throttled)
        local context = "at " .. time
        assert.near(measured, limiter.measured, 1e-9, context)
        assert.near(fill_rate, limiter.fill_rate, SIX_DECIMALS, context)
        assert.near(math.max(1, fill_rate), limiter.max_capacity, SIX_DECIMALS, context)
        assert.equal(time >= 2.0, limiter.enabled, context)
      end
    end)
  end

  it("remember the rate and the time of the last throttling", function()
    local limiter = rate_limiter.new(0)
    assert.same({ 0, 0 }, { limiter.w_max, limiter.t_fail })
    for _, row in ipairs(RATES) do
      limiter:update(row[1], row[2])
      if row[1] == 1.8 then assert.same({ 0, 0 }, { limiter.w_max, limiter.t_fail }) end
      -- The first: nothing bounded the rate, so it is the measured one; then the lesser of both.
      if row[1] == 2.0 or row[1] == 3.0 then
        assert.near(4.3264, limiter.w_max, 1e-9)
        assert.equal(2.0, limiter.t_fail)
      end
    end
    assert.near(4.282037, limiter.w_max, SIX_DECIMALS)
    assert.equal(3.2, limiter.t_fail)
  end)

  it("count half seconds from the whole second of the start", function()
    -- From 10 to 10.5 is one; two replies came in it: 0.8 * 2 / 0.5.
    local limiter = rate_limiter.new(10.45)
    limiter:update(10.49, false)
    assert.equal(0, limiter.measured)
    limiter:update(10.5, false)
    assert.near(3.2, limiter.measured, 1e-12)
    -- The count began anew; two and a half seconds passed: 0.8 * 3 / 2.5 + 0.2 * 3.2.
    limiter:update(10.6, false)
    limiter:update(10.99, false)
    assert.near(3.2, limiter.measured, 1e-12)
    limiter:update(13.2, false)
    assert.near(1.6, limiter.measured, 1e-12)
    -- From the start of 10.7 on as well, which is in the second half of its second.
    limiter = rate_limiter.new(10.7)
    limiter:update(10.8, false)
    assert.near(1.6, limiter.measured, 1e-12)
  end)

  it("are never below half a token a second, with room for one", function()
    local limiter = throttled_at(5000)
    for index = 1, 50 do
      limiter:update(5000 + index * 7, true)
      assert.equal(0.5, limiter.fill_rate)
      assert.equal(1, limiter.max_capacity)
    end
  end)

  it("are never above twice what is measured", function()
    local limiter = throttled_at(0)
    for index = 1000, 1100 do -- ten replies a second, where cubic growth would be enormous
      limiter:update(index / 10, false)
      assert.is_true(limiter:cubic(index / 10) > 1e4)
      assert.equal(math.max(0.5, 2 * limiter.measured), limiter.fill_rate)
    end
    assert.near(2 * 10, limiter.fill_rate, 1e-3)
  end)
end)

describe("the CUBIC function of the limiter", function()
  local function limiter_at_five()
    local limiter = rate_limiter.new(0)
    limiter.w_max, limiter.t_fail = 10, 5
    return limiter
  end

  it("follows the reference without throttling", function()
    local limiter = limiter_at_five()
    for _, row in ipairs(CUBIC) do assert_digits(row[2], limiter:cubic(row[1]), "at " .. row[1]) end
    assert.same({ 10, 5 }, { limiter.w_max, limiter.t_fail })
  end)

  it("follows the reference where the last rate is throttled", function()
    local limiter = limiter_at_five()
    local rate
    for _, row in ipairs(CUBIC_WITH_THROTTLES) do
      local time, expected, throttled = row[1], row[2], row[3]
      if throttled then
        local before = rate
        rate = limiter:throttle(rate, time)
        assert.same({ before, time }, { limiter.w_max, limiter.t_fail })
      else
        rate = limiter:cubic(time)
      end
      assert_digits(expected, rate, "at " .. time)
    end
  end)

  it("reduces a rate to seven tenths, and grows back to it after the time K", function()
    local limiter = rate_limiter.new(0)
    assert_digits(5.6, limiter:throttle(8, 100))
    assert_digits(5.6, limiter:cubic(100))
    assert_digits(8, limiter:cubic(100 + (8 * 0.3 / 0.4) ^ (1 / 3)))
  end)

  it("starts from nothing where nothing was measured", function()
    local limiter = rate_limiter.new(3)
    assert.equal(0, limiter:throttle(0, 4))
    assert_digits(0.4, limiter:cubic(5))
    assert_digits(3.2, limiter:cubic(6))
  end)
end)

describe("a token of the limiter", function()
  it("is for everyone before the first throttling, whatever comes back", function()
    local limiter = rate_limiter.new(0)
    for index = 1, 100 do
      assert.equal(0, limiter:acquire(index / 1000))
      limiter:update(index / 1000, false)
    end
    assert.is_false(limiter.enabled)
  end)

  it("is not there at once after the first throttling", function()
    local limiter = throttled_at(5000)
    assert.is_true(limiter.enabled)
    assert.equal(0, limiter.capacity)
    assert.equal(2, limiter:acquire(5000))
    assert.equal(1.75, limiter:acquire(5000.25))
    assert.equal(1, limiter:acquire(5001))
    assert.equal(0, limiter:acquire(5002))
    assert.equal(0, limiter.capacity)
    assert.equal(2, limiter:acquire(5002))
  end)

  it("takes as long as the rate says", function()
    local limiter = rate_limiter.new(0)
    limiter:update(0.6, true) -- measured 0.8 * 1 / 0.5 = 1.6; seven tenths of it
    assert_digits(1.12, limiter.fill_rate)
    assert_digits(1 / 1.12, limiter:acquire(0.6))
    assert_digits((1 - 0.5 * 1.12) / 1.12, limiter:acquire(1.1))
    assert.equal(0, limiter:acquire(1.6))
    assert_digits(0.12, limiter.capacity)
    assert_digits(0.88 / 1.12, limiter:acquire(1.6))
  end)

  it("is not saved up beyond the capacity", function()
    local limiter = rate_limiter.new(0)
    for _, row in ipairs(RATES) do limiter:update(row[1], row[2]) end
    -- Full at the smaller capacity of 3.2 s, and filled at the rate of then up to the last reply.
    assert.near(2.997426, limiter.capacity, SIX_DECIMALS)
    for _ = 1, 3 do assert.equal(0, limiter:acquire(1000)) end
    assert.near(0.452226, limiter.capacity, SIX_DECIMALS)
    assert.near((1 - 0.452226) / 3.452226, limiter:acquire(1000), 1e-6)
  end)

  it("is lost when throttling leaves less room", function()
    local limiter = rate_limiter.new(0)
    for index = 1, 15 do limiter:update(RATES[index][1], RATES[index][2]) end
    assert.near(4.200373, limiter.capacity, SIX_DECIMALS) -- the room before the reply at 3.0
    limiter:update(3.2, true)
    assert.near(2.997426, limiter.capacity, SIX_DECIMALS)
  end)

  it("is counted with every reply, before the first throttling too", function()
    local limiter = rate_limiter.new(0)
    for index = 1, 10 do limiter:update(RATES[index][1], RATES[index][2]) end
    -- 0.5 a second from 0.2 to 1.2, then the rates of 1.2, 1.4, 1.6 and 1.8 for 0.2 s each.
    assert_digits(0.5 + 0.2 * (0.6912 + 1.0976 + 1.6384 + 2.3328), limiter.capacity)
    assert.equal(0, limiter:acquire(2.0))
    assert_digits(0.652, limiter.capacity)
  end)

  it("is there when less than a nanosecond is missing", function()
    for _, case in ipairs { { 5e-10, true }, { 1e-12, true }, { 3e-9, false }, { 1e-6, false } } do
      local short, enough = case[1], case[2]
      local limiter = throttled_at(0)
      limiter.fill_rate, limiter.capacity = 1, 1 - short
      local seconds = limiter:acquire(0)
      if enough then
        assert.equal(0, seconds, short)
        assert.equal(0, limiter.capacity, short)
      else
        assert.near(short, seconds, 1e-12)
      end
    end
  end)

  it("is never owed", function()
    local limiter = throttled_at(7)
    local time = 7
    for index = 1, 200 do
      local seconds = limiter:acquire(time)
      assert.is_true(limiter.capacity >= 0)
      time = time + (seconds > 0 and seconds or 0.01)
      if index % 3 == 0 then limiter:update(time, index % 9 == 0) end
    end
  end)

  it("is granted after the wait that was told, as often as one asks", function()
    local limiter, time = throttled_at(0.1), 0.1
    for index = 1, 500 do
      local seconds = limiter:acquire(time)
      if seconds > 0 then
        time = time + seconds
        assert.equal(0, limiter:acquire(time), "the token " .. index)
      end
      limiter:update(time, index % 50 == 0)
    end
  end)
end)
