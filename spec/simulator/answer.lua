-- Answers as the service gives them, and the ways to send one, the broken ways included. An answer
-- is { status, headers, body, code }: headers a list of pairs, code the error's name, if it is one. What is
-- too long to be held has instead of body a stream: { size, pieces }, where pieces() is an iterator over texts.

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
  ResourceRegistrationFailureException = 400,
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

-- *body* as JSON, unless it is that already.
function M.document(status, body, code)
  local text = type(body) == "string" and body or cjson.encode(body)
  local answer = M.text(status, "application/json", text, code)
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

-- The pieces of an answer's body, and how many bytes they are.
local function body_of(answer)
  if answer.stream then
    return answer.stream.pieces(), answer.stream.size
  end
  local rest = answer.body
  return function()
    local piece = rest
    rest = nil
    return piece
  end, #answer.body
end

-- A stream of so many bytes of nothing.
function M.filler(size)
  local chunk = ("x"):rep(CHUNK)
  return { size = size, pieces = function()
    local sent = 0
    return function()
      local piece = sent < size and chunk:sub(1, size - sent) or nil
      sent = sent + CHUNK
      return piece
    end
  end }
end

-- Sends the whole answer and keeps the connection.
function M.send(answer, now)
  local pieces, size = body_of(answer)
  ngx.status = answer.status
  ngx.header["Date"] = ngx.http_time(now)
  ngx.header["Content-Length"] = answer.status ~= 204 and answer.status ~= 304 and size or nil
  set_headers(answer.headers)
  for piece in pieces do
    if not ngx.print(piece) or answer.stream and not ngx.flush(true) then
      return
    end
  end
end

local function socket()
  local connection, problem = ngx.req.socket(true)
  return assert(connection, problem)
end

-- Waits so many seconds, if any, for the client to go away; then the connection is closed.
local function wait_for_end(connection, seconds)
  if seconds then
    connection:settimeout(seconds * 1000)
    connection:receive(1)
  end
end

-- Sends these bytes instead of an HTTP answer, and closes the connection.
function M.send_bytes(bytes)
  local connection = socket()
  if bytes ~= "" then
    connection:send(bytes)
  end
end

local function head_of(answer, now, size)
  local lines = {
    ("HTTP/1.1 %d Simulated"):format(answer.status),
    "Date: " .. ngx.http_time(now),
    ("Content-Length: %.0f"):format(size),
  }
  for _, header in ipairs(answer.headers) do
    lines[#lines + 1] = header[1] .. ": " .. header[2]
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Sends the head of the answer and the first *count* bytes of its body (default: half of it), waits so many
-- seconds, if any, for the client to go away, and closes the connection.
function M.send_part(answer, now, count, seconds)
  local pieces, size = body_of(answer)
  local rest, connection = math.min(count or math.floor(size / 2), size), socket()
  connection:send(head_of(answer, now, size))
  for piece in pieces do
    if rest <= 0 or not connection:send(piece:sub(1, math.min(rest, #piece))) then
      break
    end
    rest = rest - #piece
  end
  wait_for_end(connection, seconds)
end

-- Closes the connection with a TCP RST.
function M.reset()
  ngx.exit(444)
end

return M
