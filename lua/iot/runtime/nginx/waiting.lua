---The runtime where nginx can wait: its worker goes on with other requests meanwhile.
local connection = require "iot.runtime.nginx.connection"
local core = require "iot.core"
local programs = require "iot.runtime.nginx.program"
local threads = require "iot.runtime.nginx.threads"

local ngx = rawget(_G, "ngx")

---@type iot.Runtime
local waiting = {
  now = core.now, monotonic = core.monotonic, random = core.random,
  run = programs.run, serialize = threads.serialize, scheduler = threads.scheduler,
}

function waiting.send(native, operation, params, attempt)
  local target, message, facts = connection.target(native:endpoint(), attempt.proxy)
  if not target then return nil, message, facts end
  local bytes
  bytes, message, facts = native:prepare(operation, params, attempt)
  if not bytes then return nil, message, facts end
  local reply, body
  reply, body, facts = connection.exchange(target, bytes, connection.limits(attempt))
  if not reply then return nil, body, facts end
  local result
  result, message, facts = native:parse(operation, reply.status, reply.head, body, attempt)
  if result then return result, reply.status end
  return nil, message, facts
end

local function read_certificate(request)
  if not request.client_certificate then return nil end
  local chain, reason = core.read_file(request.client_certificate, 2 ^ 20)
  local key = chain
  if chain and request.client_key then key, reason = core.read_file(request.client_key, 2 ^ 20) end
  if not key then
    return nil, "the client certificate cannot be read: " .. reason, { code = "InvalidConfiguration" }
  end
  return { chain = chain, key = key }
end

-- The target and the bytes of a plain request.
local function write(request)
  local certificate, message, facts = read_certificate(request)
  if facts then return nil, message, facts end
  local bytes, origin
  bytes, origin, facts = core.write_request(request)
  if not bytes then return nil, origin, facts end
  local target
  target, message, facts = connection.target(origin, request.proxy)
  if not target then return nil, message, facts end
  if certificate then
    target.certificate = certificate
    target.pool = target.pool .. ":" .. core.sha256(certificate.chain)
  end
  return target, bytes
end

function waiting.request(request)
  local target, bytes, facts = write(request)
  if not target then return nil, bytes, facts end
  if not (request.timeout and request.timeout > 0) then
    return nil, "no time was left for the request", { code = "Timeout" }
  end
  local reply, body
  reply, body, facts = connection.exchange(target, bytes, connection.limits(request))
  if not reply then return nil, body, facts end
  return { status = reply.status, headers = reply.headers, body = body }
end

function waiting.download(request)
  local target, bytes, facts = write(request)
  if not target then return nil, bytes, facts end
  local limits = connection.limits(request)
  return require("iot.runtime.nginx.download").new(target, bytes, limits, request.timeout and limits.deadline)
end

function waiting.sleep(seconds)
  local deadline = core.monotonic() + seconds
  -- Nginx counts from when it last looked at the clock, which may be long ago where much goes on. Less than a
  -- millisecond would be none at all to it, which it warns of.
  while seconds > 0 do
    ngx.sleep(connection.milliseconds(seconds) / 1000)
    seconds = deadline - core.monotonic()
  end
  return true
end

return waiting
