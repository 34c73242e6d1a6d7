---What the providers that ask a server have in common: URLs, one bounded request, what its refusal means
---for another attempt, the record in its answer.
local core = require "iot.core"
local errors = require "iot.errors"
local excerpt = require "iot.excerpt"
local retry = require "iot.retry"

local exchange = {}

local max_body = 64 * 1024 -- bytes; answers with credentials have less than 4 KiB
local max_quote = 200 -- bytes

---A server's words, fit for a message: one short line, without the secret that it was sent.
---@param text string
---@param secret string?
---@return string
function exchange.quote(text, secret)
  return excerpt.line(excerpt.redact(text, { secret }), max_quote)
end

---@class iot.exchange.Url
---@field scheme "http"|"https"
---@field authority string  host and port, as they were written
---@field host string  in lower case; an IPv6 address without its brackets
---@field path string  "" or from its "/" on, with the query

local function split_host(authority)
  local address, port = authority:match("^%[([%x:.]+)%](.*)$")
  if not address then address, port = authority:match("^([%w.-]+)(.*)$") end
  if not address then return nil, "URI did not specify a host" end
  local number = tonumber(port:match("^:(%d%d?%d?%d?%d?)$"))
  if port ~= "" and not (number and number >= 1 and number <= 65535) then
    return nil, "the port is none"
  end
  return address:lower()
end

---The parts of a URL that someone configured.
---@param text string
---@return iot.exchange.Url? url
---@return string? reason  it never quotes the text, whose query may be a secret
function exchange.split_url(text)
  if text:find("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]") then return nil, "invalid uri character" end
  local scheme, authority, path = text:match("^(%a+)://([^/?#]*)(.*)$")
  if not scheme then
    return nil, "URI did not specify a host: it must start with http:// or https://"
  end
  scheme = scheme:lower()
  if scheme ~= "http" and scheme ~= "https" then
    return nil, "it must start with http:// or https://"
  elseif authority:find("@", 1, true) then
    return nil, "user names are not accepted"
  elseif path:find("#", 1, true) then
    return nil, "a fragment (#) is not accepted"
  end
  local host, reason = split_host(authority)
  if not host then return nil, reason end
  return { scheme = scheme, authority = authority, host = host, path = path }
end

---Send one request.
---@param runtime iot.Runtime
---@param request table  for `runtime.request`; its `timeout` is the most that it may take
---@param deadline number?  of runtime.monotonic(), which is kept too
---@return table? response
---@return string? message
---@return string? code  of iot.errors, or "DeadlinePassed" when nothing was sent
function exchange.send(runtime, request, deadline)
  if deadline then
    request.timeout = math.min(request.timeout, deadline - runtime.monotonic())
    if request.timeout <= 0 then return nil, "no time was left for the request", "DeadlinePassed" end
  end
  local response, message, facts = runtime.request(request)
  if not response then return nil, message, facts and facts.code end
  if #response.body > max_body then
    return nil, "the answer is larger than 64 KiB", "ResponseTooLarge"
  end
  return response
end

---How the requests of a provider are retried; all of them share one policy.
---@param runtime iot.Runtime
---@param parameters iot.retry.Parameters?  its own
---@return iot.retry.Policy
function exchange.policy(runtime, parameters)
  return retry.new { runtime = runtime, parameters = parameters }
end

-- The seconds that a server asks its client to wait (reference 5.1). A date is held against the server's own.
local function retry_after(status, headers)
  local milliseconds = (headers["x-amz-retry-after"] or ""):match("^%d+$")
  if milliseconds then return tonumber(milliseconds) / 1000 end
  local text = (status == 429 or status == 503) and headers["retry-after"] or ""
  if text:find("^%d+$") then return tonumber(text) end
  local from, to = core.parse_http_date(headers.date or ""), core.parse_http_date(text)
  return from and to and to >= from and to - from or nil
end

---The failure triple of a server's refusal. Whether it may pass is for `iot.errors` to say, as it is for
---the replies of the service (reference 5.2); a provider adds what the reference says of it alone.
---@param response table  of a status that is no success
---@param facts table  what is known beside the status: `code`, `operation`, `request_id`; it becomes the detail
---@param message string  the server's words
---@return nil
---@return string message
---@return iot.Error detail  for iot.retry
function exchange.refused(response, facts, message)
  local status, headers = response.status, response.headers or {}
  facts.kind, facts.status, facts.code = "service", status, facts.code or tostring(status)
  facts.retry_after = retry_after(status, headers)
  facts.server_time = core.parse_http_date(headers.date or "")
  return errors.fail(facts, message)
end

---Whether a run of attempts ended with an interrupt. A server may have an error of the same name.
---@param detail iot.Error?
---@return boolean
function exchange.is_interrupt(detail)
  return detail ~= nil and detail.code == "Interrupted" and detail.kind ~= "service"
end

---The code of a provider that is set up, but gave nothing: an interrupt stays one, for no one may go on
---after it.
---@param code string?  of what failed
---@return "CredentialsFailed"|"Interrupted"
function exchange.code_of(code)
  return code == "Interrupted" and code or "CredentialsFailed"
end

-- Names are matched without regard to case (reference 7.10); an exact match wins, then the first of
-- the alphabet, so that the same text always gives the same record.
local function member(document, name)
  if document[name] ~= nil then return document[name] end
  local lower, found = name:lower(), nil
  for key in pairs(document) do
    if type(key) == "string" and key:lower() == lower and (not found or key < found) then
      found = key
    end
  end
  return found and document[found]
end

---A text of an answer; nil for an empty one, too.
---@param document table
---@param name string  in any case
---@return string?
function exchange.text(document, name)
  local value = member(document, name)
  return type(value) == "string" and value ~= "" and value or nil
end

---An object in an answer.
---@param document table
---@param name string  in any case
---@return table?
function exchange.object(document, name)
  local value = member(document, name)
  return type(value) == "table" and value or nil
end

---The object that an answer holds.
---@param response table
---@return table? document
---@return string? reason
function exchange.decode(response)
  local document, reason = core.decode_json(response.body)
  if document then return document end
  if response.body:find("^%s*<") then
    return nil, "an HTML or XML page instead of JSON: is there a proxy or a login page in between?"
  end
  return nil, "no JSON: " .. reason
end

---What a status other than 200 says: "HTTP status 403: AccessDenied: no such task".
---@param response table
---@param secret string?  that must not be quoted
---@return string
function exchange.refusal(response, secret)
  local parts = { "HTTP status " .. response.status }
  local document = core.decode_json(response.body)
  if document then
    for _, name in ipairs { "code", "message" } do
      local text = exchange.text(document, name)
      if text then parts[#parts + 1] = exchange.quote(text, secret) end
    end
  elseif response.body:find("^%s*<") then
    parts[1] = parts[1] .. " and a page"
  end
  if response.status >= 300 and response.status < 400 then
    parts[1] = parts[1] .. " (redirects are not followed)"
  end
  return table.concat(parts, ": ")
end

---The record that an answer holds.
---@param document table
---@param token string  the name of its member with the session token
---@param required table<string, true>  fields of the record, beside the keys, that must be there
---@return iot.Credentials? record
---@return string? reason  which never quotes a value
function exchange.record(document, token, required)
  local names = {
    { "access_key_id", "AccessKeyId" }, { "secret_access_key", "SecretAccessKey" },
    { "session_token", token }, { "expiration", "Expiration" }, { "account_id", "AccountId" },
  }
  local record = {}
  for i, name in ipairs(names) do
    record[name[1]] = exchange.text(document, name[2])
    if not record[name[1]] and (i <= 2 or required[name[1]]) then
      return nil, "the answer has no " .. name[2]
    end
  end
  if record.expiration then
    record.expiration = core.parse_time(record.expiration)
    if not record.expiration then
      return nil, "the answer's Expiration is no time such as 2030-01-31T12:00:00Z"
    end
  end
  return record
end

return exchange
