-- The JSON and the times of iot.core: what is decoded, encoded again, decodes to the same.
local core = require "iot.core"
local promises = require "spec.fuzz.promises"

local must = promises.must

local function must_be_plain(value)
  local kind = type(value)
  must(kind == "table" or kind == "string" or kind == "number" or kind == "boolean", "it is plain", kind)
  must(kind ~= "number" or value == value and math.abs(value) ~= math.huge, "a number is finite", value)
  must(kind ~= "string" or core.is_utf8(value), "a text is UTF-8", value)
  if kind ~= "table" then return end
  for key, inner in pairs(value) do
    must_be_plain(key)
    must_be_plain(inner)
  end
end

-- The encoder has its own limits: of depth, and of arrays that are mostly holes.
local function check_again(value)
  local text, message = core.encode_json(value)
  if not text then return promises.must_be_message(message) end
  local again = core.decode_json(text)
  if next(value) == nil or value[1] ~= nil then return end -- an array, as an empty object is written
  must(again, "what is encoded can be decoded", text)
  local third = core.encode_json(again)
  must(third and promises.text_of(core.decode_json(third)) == promises.text_of(again), "it stays the same", text)
end

local function check_times(text)
  local time = core.parse_time(text)
  must(time == nil or time == time and math.abs(time) < 3e11, "a time is one", time)
  local date = core.parse_http_date(text)
  must(date == nil or date % 1 == 0, "a date is a whole second", date)
end

return function(input)
  local value, message = core.decode_json(input)
  if value then
    must(type(value) == "table" and core.is_utf8(input) and not input:find "%z", "it is an object in UTF-8")
    must_be_plain(value)
    check_again(value)
  else
    promises.must_be_message(message)
  end
  local any, reason = core.decode_value(input)
  must(any ~= nil or type(reason) == "string", "there is a value or a reason")
  must(any == nil or core.is_utf8(input), "a value is of UTF-8")
  must(value == nil or any ~= nil or reason:find "control character" or input:find "^%s" or input:find "%s$",
    "an object is a value", reason)
  check_times(input)
  local encoded = core.percent_encode(input)
  must(not encoded:find "[^%w%-._~%%]", "what is encoded holds no other character", encoded)
end
