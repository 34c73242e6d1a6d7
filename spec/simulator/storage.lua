-- Where the links to reports lead: a stand-in for S3, which takes nothing but what is presigned.

local digest = require "simulator.digest"
local links = require "simulator.links"
local reports = require "simulator.reports"

local MESSAGES = {
  InvalidArgument = { 400, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
    .. "string parameter or the Authorization header should be specified" },
  AccessDenied = { 403, "Access Denied" },
  SignatureDoesNotMatch = { 403, "The request signature we calculated does not match the signature you provided. "
    .. "Check your key and signing method." },
  NoSuchKey = { 404, "The specified key does not exist." },
}

local function add_ids(answer)
  table.insert(answer.headers, { "x-amz-request-id", digest.hex(digest.random(8)):upper() })
  table.insert(answer.headers, { "x-amz-id-2", ngx.encode_base64(digest.random(48)) })
  return answer
end

-- *others* are further elements.
local function refuse(code, message, others)
  local body = ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s</Message>%s</Error>'):format(
    code, message or MESSAGES[code][2], others or "")
  return add_ids { status = MESSAGES[code][1], headers = { { "Content-Type", "application/xml" } }, body = body,
    code = code }
end

local function time(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

-- The first header that is Amazon's own: none of them is signed.
local function unsigned_header(request)
  for _, header in ipairs(request.headers) do
    if header[1]:lower():find("^x%-amz%-") then
      return header[1]:lower()
    end
  end
end

-- The answer to a request that may not have what it asks for, or nil.
local function refusal(request, now)
  local unsigned = unsigned_header(request)
  if request:header("authorization") then
    return refuse("InvalidArgument", nil, "<ArgumentName>Authorization</ArgumentName>")
  elseif not request.query:find("X%-Amz%-Signature=") then
    return refuse("AccessDenied")
  elseif request.method ~= "GET" or not links.is_signed(request:header("host") or "", request.uri) then
    return refuse("SignatureDoesNotMatch")
  elseif unsigned then
    return refuse("AccessDenied", "There were headers present in the request which were not signed",
      ("<HeadersNotSigned>%s</HeadersNotSigned>"):format(unsigned))
  end
  local expires_at = links.expires_at(request.uri, now)
  if expires_at <= now then
    return refuse("AccessDenied", "Request has expired", ("<Expires>%s</Expires><ServerTime>%s</ServerTime>"):format(
      time(expires_at), time(now)))
  end
end

local function answer(call)
  local refused = refusal(call.request, call.now)
  if refused then
    return refused
  end
  local task_id, report_type, first, last = links.read(call.request.uri)
  local stream, encoding = reports.open(task_id, report_type, first, last, call.now)
  if not stream then
    return refuse("NoSuchKey")
  end
  local headers = { { "Content-Type", "binary/octet-stream" }, { "Server", "AmazonS3" } }
  if encoding ~= "" then
    table.insert(headers, { "Content-Encoding", encoding })
  end
  return add_ids { status = 200, headers = headers, stream = stream }
end

return { name = "report", prefix = links.PREFIX, answer = answer }
