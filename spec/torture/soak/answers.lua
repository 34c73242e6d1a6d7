-- What the service of the soak answers, inside nginx: descriptions that carry a serial number, faults chosen by a
-- seed, and a journal of every request. The simulator is a better service, and too slow for a million calls.
--
-- Whether an attempt meets a fault, and which, follows from the seed, the task and the attempt's number alone. A
-- task "wait-N-..." is completed with the N-th good answer; there it follows from how often it was asked for. A task
-- "kind-stall-..." always gets a stall, and so on.
local M = {}

-- What the process knows; there is one.
local service = { serial = 0, lines = {}, polls = {}, asked = {} }

local function document(id, serial, status)
  return ('{"taskId":"%s","serial":%d,"creationDate":1700000000.123,"lastModifiedDate":1700000060.5,'
    .. '"status":"%s","successCount":7,"failureCount":0,"percentageProgress":42}'):format(id, serial,
    status or "InProgress")
end

local function good_document(id, serial)
  local last = tonumber(id:match "^wait%-(%d+)")
  if not last then return document(id, serial) end
  service.polls[id] = (service.polls[id] or 0) + 1
  return document(id, serial, service.polls[id] >= last and "Completed")
end

local function reply(status, body, error_type)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  ngx.header["x-amzn-ErrorType"] = error_type
  ngx.print(body)
end

local function bytes(text)
  local connection = assert(ngx.req.socket(true))
  connection:send(text)
  return connection
end

local function part_of(id, serial)
  local body = document(id, serial)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body:sub(1, 40))
end

-- The first three are good answers; after the last two nothing is tried again.
local KINDS = { "late", "last", "pieces", "reset", "close", "truncated", "stall", "html", "throttled", "failure",
  "garbage", "gone" }

local ANSWERS = {
  good = function(id, serial) reply(200, good_document(id, serial)) end,
  late = function(id, serial)
    ngx.sleep(0.05)
    reply(200, good_document(id, serial))
  end,
  last = function(id, serial) -- the connection ends though it should have been kept
    local body = good_document(id, serial)
    bytes(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
  end,
  pieces = function(id, serial)
    local body = good_document(id, serial)
    ngx.print(body:sub(1, 50))
    ngx.flush(true)
    ngx.print(body:sub(51)) -- chunked
  end,
  reset = function() ngx.exit(444) end,
  close = function() assert(ngx.req.socket(true)) end,
  truncated = function(id, serial) bytes(part_of(id, serial)) end,
  stall = function(id, serial)
    local connection = bytes(part_of(id, serial))
    connection:settimeout(60000)
    connection:receive(1)
  end,
  html = function() reply(503, "<html><body>Service Unavailable</body></html>") end,
  throttled = function()
    ngx.header["x-amz-retry-after"] = "50"
    reply(400, '{"message":"Rate exceeded"}', "ThrottlingException")
  end,
  failure = function() reply(500, '{"message":"no"}', "InternalFailureException") end,
  garbage = function() reply(200, '{"taskId":') end,
  gone = function() reply(404, '{"message":"no such task"}', "ResourceNotFoundException") end,
}

function M.open(seed, per_mille)
  service.seed, service.per_mille = seed, per_mille
end

local function kind_of(id, attempt)
  local wanted = id:match "^kind%-(%a+)"
  if wanted then return wanted end
  if id:find "^wait" then
    attempt = (service.asked[id] or 0) + 1
    service.asked[id] = attempt
  end
  local number = ngx.crc32_long(("%s/%s/%s"):format(service.seed, id, attempt))
  if number % 1000 >= service.per_mille then return "good" end
  return KINDS[math.floor(number / 1000) % #KINDS + 1]
end

function M.answer()
  local id = ngx.var.uri:match "[^/]*$"
  local attempt = (ngx.var.http_amz_sdk_request or ""):match "attempt=(%d+)" or "?"
  local kind = kind_of(id, attempt)
  service.serial = service.serial + 1
  local serial = service.serial
  -- Before it is answered, so that who has the answer finds it in the journal.
  service.lines[#service.lines + 1] = ("%d %s %s %s %s\n"):format(
    serial, id, attempt, ngx.var.http_amz_sdk_invocation_id or "?", kind)
  ANSWERS[kind](id, serial)
end

-- The journal, which is empty then.
function M.read()
  local text = table.concat(service.lines)
  service.lines = {}
  ngx.print(text)
end

return M
