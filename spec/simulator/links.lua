-- Presigned links to reports. They look like those of S3, but the signature is of our own: it covers path and query
-- byte for byte, which hold all that a client could be tempted to change, and the host.

local accounts = require "simulator.accounts"
local digest = require "simulator.digest"
local settings = require "simulator.settings"
local uri = require "simulator.uri"

local M = {}

local store = ngx.shared.keys

M.PREFIX = "/reports-bucket/"

local PATH = "/%s%%2f%s%s/it's(1)+a%%2Bb~*!%%2F%%2E%%2E%%2f/%s-%d-of-%d/%.0f-%.0f.json"
local PATH_PATTERN = "^/reports%-bucket//%d+%%2f([^/]*)/[^?]*/(%u+)%-%d+%-of%-%d+/(%d+)%-(%d+)%.json%?"
local QUERY = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%s%%2F%s%%2Fs3%%2Faws4_request&X-Amz-Date=%s"
  .. "&X-Amz-Expires=%d&X-Amz-Security-Token=%s&X-Amz-SignedHeaders=host&versionId=&&x-id"
  .. "&response-content-disposition=attachment;+filename=%%22a~b%%7e%%20c%%22"

local function sign(host, target)
  return digest.hex(digest.hmac(accounts.sealing_key, host .. "\n" .. target))
end

-- How often all links have been made to expire.
local function generation()
  return store:get("link generation") or 0
end

-- Lets all links that were issued so far expire.
function M.expire()
  store:incr("link generation", 1, 0)
end

-- The token says when a link was issued, more exactly than its date does.
local function make_token(now, seconds)
  local facts = ("%d %.3f %.3f "):format(generation(), now, seconds)
  return ngx.encode_base64(digest.random(30) .. facts .. digest.random(130))
end

local function read_token(token)
  local bytes = ngx.decode_base64(token):sub(31)
  local issued_in, issued_at, seconds = bytes:match("^(%d+) ([%d.]+) (-?[%d.]+) ")
  return tonumber(issued_in), tonumber(issued_at), tonumber(seconds)
end

local function path_of(part)
  return M.PREFIX .. PATH:format(accounts.account_id, uri.encode(part.task_id),
    settings.get("link_dots") and "/%2E%2E" or "", part.report_type, part.number, part.parts, part.first, part.last)
end

local function query_of(now)
  local seconds = settings.get("link_seconds")
  return QUERY:format(accounts.temporary.access_key_id, os.date("!%Y%m%d", now), accounts.region,
    os.date("!%Y%m%dT%H%M%SZ", now), math.ceil(seconds), uri.encode(make_token(now, seconds)))
end

-- A link to records of a report. *part* is { task_id, report_type, number, parts, first, last }.
function M.make(part, now)
  local target = path_of(part) .. "?" .. query_of(now)
  local origin = ngx.var.reports_origin
  return origin .. target .. "&X-Amz-Signature=" .. sign(origin:match("^https://(.*)$"), target)
end

-- Whether the signature in a target (path and query) is that of the rest of it.
function M.is_signed(host, target)
  local rest, signature = target:match("^(.*)&X%-Amz%-Signature=(%x+)$")
  return rest ~= nil and signature == sign(host, rest)
end

-- When a link that is signed expires; now at the latest when it has been made to.
function M.expires_at(target, now)
  local issued_in, issued_at, seconds = read_token(uri.decode(target:match("&X%-Amz%-Security%-Token=([^&]*)")))
  local at = issued_at + seconds
  return issued_in < generation() and math.min(now, at) or at
end

-- What a link that is signed leads to: taskId, report type, first and last record.
function M.read(target)
  local task_id, report_type, first, last = target:match(PATH_PATTERN)
  return uri.decode(task_id), report_type, tonumber(first), tonumber(last)
end

return M
