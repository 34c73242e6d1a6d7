-- Answers as the service gives them, and the ways to send one, the broken ways included. An answer
-- is { status, headers, body, code }: headers a list of pairs, code the error's name, if it is one.

local cjson = require "cjson.safe"
local digest = require "simulator.digest"

local M = {}

-- reference 1.3, and the codes of the front end
local STATUS = {
  InvalidRequestException = 400,
  ThrottlingException = 400,
  UnauthorizedException = 401,
  ForbiddenException = 403,
  MissingAuthenticationTokenException = 403,
  IncompleteSignatureException = 403,
  InvalidSignatureException = 403,
  UnrecognizedClientException = 403,
  ExpiredTokenException = 403,
  ResourceNotFoundException = 404,
  ConflictingResourceUpdateException = 409,
  TooManyRequestsException = 429,
  InternalFailureException = 500,
  ServiceUnavailableException = 503,
}

local CHUNK = 65536

-- A body of a type, as it is.
function M.text(status, content_type, body, code)
  local headers = {
    { "Content-Type", content_type },
    { "x-amzn-RequestId", digest.uuid() },
  }
  return { status = status, headers = headers, body = body, code = code }
end

-- *body* as JSON.
function M.document(status, body, code)
  local answer = M.text(status, "application/json", cjson.encode(body), code)
  if code then
    answer.headers[3] = { "x-amzn-ErrorType", code }
  end
  return answer
end

function M.success(body)
  return M.document(200, body)
end

-- *status* only where it is another than the code's own.
function M.refusal(code, message, status)
  return M.document(status or STATUS[code], { message = message }, code)
end

-- One header may be given several times: nginx takes these as a list.
local function set_headers(headers)
  local values = {}
  for _, header in ipairs(headers) do
    local name, value = header[1], header[2]
    values[name] = values[name] or {}
    table.insert(values[name], value)
    ngx.header[name] = values[name][2] and values[name] or value
  end
end

-- Sends the whole answer and keeps the connection. A `filler` stands for so many bytes of body.
function M.send(answer, now)
  local size = answer.filler or #answer.body
  ngx.status = answer.status
  ngx.header["Date"] = ngx.http_time(now)
  ngx.header["Content-Length"] = answer.status ~= 204 and answer.status ~= 304 and size or nil
  set_headers(answer.headers)
  if not answer.filler then
    ngx.print(answer.body)
    return
  end
  local chunk = ("x"):rep(CHUNK)
  for sent = 0, size - 1, CHUNK do
    if not ngx.print(chunk:sub(1, size - sent)) or not ngx.flush(true) then
      return
    end
  end
end

local function socket()
  local connection, problem = ngx.req.socket(true)
  return assert(connection, problem)
end

-- Sends these bytes instead of an HTTP answer, waits so many seconds for the client to go away, and
-- closes the connection.
function M.send_bytes(bytes, seconds)
  local connection = socket()
  if bytes ~= "" then
    connection:send(bytes)
  end
  if seconds then
    connection:settimeout(seconds * 1000)
    connection:receive(1)
  end
end

-- Sends the head of the answer and the first *count* bytes of its body (default: half of it), then
-- as send_bytes.
function M.send_part(answer, now, count, seconds)
  local lines = {
    ("HTTP/1.1 %d Simulated"):format(answer.status),
    "Date: " .. ngx.http_time(now),
    "Content-Length: " .. #answer.body,
  }
  for _, header in ipairs(answer.headers) do
    lines[#lines + 1] = header[1] .. ": " .. header[2]
  end
  local head = table.concat(lines, "\r\n") .. "\r\n\r\n"
  M.send_bytes(head .. answer.body:sub(1, count or math.floor(#answer.body / 2)), seconds)
end

-- Closes the connection with a TCP RST.
function M.reset()
  ngx.exit(444)
end

return M
