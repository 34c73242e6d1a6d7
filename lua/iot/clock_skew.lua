---A wrong local clock, corrected from what replies say of the time (reference 3.5).
local clock_skew = {}

-- Codes that only a wrong time has, and those that a wrong key has, too.
local definite = { RequestTimeTooSkewed = true, RequestExpired = true, RequestInTheFuture = true }
local possible = { InvalidSignatureException = true, SignatureDoesNotMatch = true, AuthFailure = true }

-- Seconds: the service takes signatures that are up to five minutes off.
local threshold = 240

---What is to be added to the local clock.
---@class iot.ClockSkew
---@field offset number  seconds
local ClockSkew = {}
ClockSkew.__index = ClockSkew

---@return iot.ClockSkew
function clock_skew.new()
  return setmetatable({ offset = 0 }, ClockSkew)
end

---Learn from a refusal. Kept for all later requests.
---@param signed number  the time of the request's signature, seconds since the epoch
---@param offset number  that this time was made with: it may be another's by now
---@param detail { code: string, server_time: number? }
---@return boolean  whether the time was wrong, so that another attempt may succeed
function ClockSkew:correct(signed, offset, detail)
  local error_of_clock = detail.server_time and detail.server_time - signed
  if not error_of_clock then return false end
  if not definite[detail.code] and not (possible[detail.code] and math.abs(error_of_clock) >= threshold) then
    return false
  end
  self.offset = offset + error_of_clock
  return true
end

return clock_skew
