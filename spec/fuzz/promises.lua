--- What the Lua targets have in common: how they read an input, and what they hold results against.
local core = require "iot.core"
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"

local M = {}

--- Raises unless it holds.
---@param holds any
---@param what string
---@param ... any  what it was about
function M.must(holds, what, ...)
  if holds then return end
  local parts = { what }
  for i = 1, select("#", ...) do parts[i + 1] = ("%q"):format(tostring((select(i, ...)))) end
  error(table.concat(parts, "\n  "), 2)
end

--- The lines of an input before the last, up to `count`, and the rest of it.
---@param input string
---@param count integer
---@return string[] lines
---@return string rest
function M.split(input, count)
  local found, at = {}, 1
  for i = 1, count do
    local stop = input:find("\n", at, true) or #input + 1
    found[i] = input:sub(at, stop - 1)
    at = stop + 1
  end
  return found, input:sub(at)
end

--- A value as a text that is the same for the same value.
---@param value any
---@return string
function M.text_of(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local list, parts = {}, {}
  for i, inner in ipairs(value) do list[i] = M.text_of(inner) end
  for key, inner in pairs(value) do
    if not list[key] then parts[#parts + 1] = M.text_of(key) .. "=" .. M.text_of(inner) end
  end
  table.sort(parts)
  return "{" .. table.concat(list, ",") .. ";" .. table.concat(parts, ",") .. "}"
end

--- One printable line: in UTF-8 unless what it quotes is not, and without control characters.
---@param message any
---@param secret string?  that must not be in it
function M.must_be_message(message, secret)
  M.must(type(message) == "string" and message ~= "", "a message is expected", message)
  M.must(not message:find "%c", "a message has no control character", message)
  M.must(#message < 4096, "a message is short", message)
  if secret and #secret >= 8 then M.must(not message:find(secret, 1, true), "a message holds no secret", message) end
end

--- The failure triple of the library.
function M.must_be_failure(message, detail)
  M.must_be_message(message)
  M.must(type(detail) == "table" and detail.message == message, "the detail has the message", message)
  M.must(type(detail.code) == "string" and detail.code ~= "", "the detail has a code", message)
  M.must(detail.kind == "service" or errors.codes[detail.code], "the code is known", detail.code)
  M.must(type(detail.retryable) == "boolean", "it is known whether it is retryable", message)
end

--- Credentials as a provider gives them, or why there are none.
function M.must_be_record(record, message, code, secret)
  if not record then
    M.must_be_message(message, secret)
    return M.must(errors.codes[code], "the code is known", code)
  end
  for _, name in ipairs { "access_key_id", "secret_access_key" } do
    M.must(type(record[name]) == "string" and record[name] ~= "", "the record is complete", name)
  end
  for _, name in ipairs { "session_token", "account_id" } do
    M.must(record[name] == nil or type(record[name]) == "string", "the record has texts", name)
  end
  local expiration = record.expiration
  M.must(expiration == nil or type(expiration) == "number" and expiration == expiration, "the record ends in time")
end

--- A clock, chance and answers that an input decides.
---@param answer fun(request: table): table?, string?, table?
---@return table runtime
function M.runtime(answer)
  local runtime = { clock = 5000, wall = 1640439000, requests = 0 }
  function runtime.now() return runtime.wall end
  function runtime.monotonic() return runtime.clock end
  function runtime.random() return 0.5 end
  function runtime.serialize(_, _, fn, ...) return fn(...) end
  function runtime.run() return nil, "there are no programs", { code = "InvalidConfiguration" } end
  function runtime.sleep(seconds)
    M.must(seconds >= 0 and seconds < 1e9, "a pause is one", seconds)
    runtime.clock, runtime.wall = runtime.clock + seconds, runtime.wall + seconds
  end
  function runtime.request(request)
    runtime.requests = runtime.requests + 1
    M.must(runtime.requests <= 100, "the requests have an end")
    return answer(request)
  end
  return runtime
end

--- A reply by its text: a line with the status, header lines, an empty line, the body.
---@param text string
---@return table response
function M.reply(text)
  local lines, rest = M.split(text, 1)
  local response = { status = 200, headers = {}, body = "" }
  local status = tonumber(lines[1]:match "^[1-5]%d%d")
  if status and status >= 200 then response.status = status end
  while true do
    lines, rest = M.split(rest, 1)
    local name, value = lines[1]:match "^([%w-]+): *(.*)$"
    if not name then break end
    response.headers[name:lower()] = value
  end
  response.body = rest
  return response
end

--- Whether a text is a line that `excerpt.line` would leave as it is.
function M.is_line(text)
  return excerpt.line(text, math.huge) == text
end

M.is_utf8 = core.is_utf8

return M
