---Exchanges over cosockets: connections that are kept in nginx's pools, TLS that is verified, limits of time.
local core = require "iot.core"
local http_reply = require "iot.http_reply"
local proxies = require "iot.runtime.nginx.proxy"

local ngx = rawget(_G, "ngx")

local connection = {}

local pool_idle = 60 -- seconds that a connection is kept
local longest_step = 24 * 3600 -- seconds; nginx counts milliseconds in 32 bits

-- Connections --------------------------------------------------------------------------------------

---@class iot.nginx.Target
---@field https boolean
---@field host string
---@field port integer
---@field pool string  what a connection may be used for again
---@field proxy iot.nginx.Proxy?

---@param origin string  "https://host:port"
---@param proxy string?  the option
---@return iot.nginx.Target?
---@return string? message
---@return table? facts
function connection.target(origin, proxy)
  local scheme, host, port = origin:match "^(https?)://(%b[]):?(%d*)"
  if not scheme then scheme, host, port = origin:match "^(https?)://([^:/]+):?(%d*)" end
  local https = scheme == "https"
  port = tonumber(port) or (https and 443 or 80)
  local target = {
    https = https, host = host, port = port,
    pool = ("iot:%s:%s:%d:%s"):format(scheme, host, port, https and "verified" or "plain"),
  }
  local found, message, facts = proxies.find(target, proxy)
  if facts then return nil, message, facts end
  if found then target.proxy, target.pool = found, target.pool .. ":" .. found.identity end
  return target
end

---For nginx.
---@param seconds number
---@return integer
function connection.milliseconds(seconds)
  return math.max(1, math.ceil(math.min(seconds, longest_step) * 1000))
end

-- What a step may take: its own limit, and what is left of the whole.
local function limit_of(own, deadline)
  local left = deadline - core.monotonic()
  return own and own > 0 and math.min(own, left) or left
end

local function timed_out() return nil, "no time was left", { code = "Timeout" } end

local function refused_connection(target, reason)
  if reason == "timeout" then return nil, "the connection was not made in time", { code = "Timeout" } end
  local hint = reason:find "no resolver defined" and "; set the directive resolver in nginx.conf" or ""
  if target.proxy then
    return nil, ("no connection to the proxy %s port %d was made: %s%s"):format(
      target.proxy.host, target.proxy.port, reason, hint), { code = "ProxyFailed" }
  elseif reason:find "resolve" then
    return nil, "the host name was not found: " .. reason .. hint, { code = "NameResolutionFailed" }
  end
  return nil, "no connection was made: " .. reason, { code = "ConnectionFailed" }
end

local function open_socket(target, limits, pool)
  local seconds = limit_of(limits.connect_timeout, limits.deadline)
  if seconds <= 0 then return timed_out() end
  local socket = ngx.socket.tcp()
  socket:settimeout(connection.milliseconds(seconds))
  local peer = target.proxy or target
  -- No resolver need be asked for that (RFC 6761 section 6.3).
  local address = peer.host == "localhost" and "127.0.0.1" or peer.host
  local ok, reason = socket:connect(address, peer.port, { pool = pool })
  if ok then return socket end
  return refused_connection(target, reason)
end

-- What the reader of the reply gets its bytes from.
local function receiver(socket, limits)
  return function()
    local seconds = limit_of(limits.read_timeout, limits.deadline)
    if seconds <= 0 then return nil, "timeout" end
    socket:settimeout(connection.milliseconds(seconds))
    return socket:receiveany(65536)
  end
end

local function refused_certificate(reason)
  return nil, "the client certificate cannot be used: " .. tostring(reason), { code = "InvalidConfiguration" }
end

-- Authorities that nginx does not know of are the most likely reason, and only it can be told of them.
local function refused_handshake(reason)
  if reason == "timeout" then return nil, "the TLS handshake was not done in time", { code = "Timeout" } end
  -- What fails at once comes with the number of whichever certificate was refused last (lua-resty-core 0.1.25).
  local at_once = reason:match "^%d*:? ?(handshake failed.*)" or reason:match "^%d*:? ?(ssl set client.*)"
  if at_once and at_once:find "^ssl set client" then return refused_certificate(at_once) end
  if not at_once and (reason:find "^%d+: " or reason:find "certificate") then
    local unknown = reason:find "issuer certificate" or reason:find "self.signed" or reason:find "first certificate"
    return nil, "the server's certificate was not accepted: " .. reason
      .. (unknown and "; the directive lua_ssl_trusted_certificate names who is trusted" or ""),
      { code = "CertificateInvalid" }
  end
  return nil, "the TLS handshake failed: " .. (at_once or reason), { code = "TLSHandshakeFailed" }
end

-- Of the assertion below; lua-resty-core has the reason, but does not tell.
local function asserted_reason(message)
  if not tostring(message):find "assertion failed" then return tostring(message) end
  local has_reason, reason = pcall(function()
    return require("ffi").string(require("resty.core.base").get_errmsg_ptr()[0])
  end)
  return "certificate refused" .. (has_reason and ": " .. reason or "")
end

local function set_certificate(socket, certificate)
  local ssl = require "ngx.ssl"
  local chain, reason = ssl.parse_pem_cert(certificate.chain)
  local key
  if chain then key, reason = ssl.parse_pem_priv_key(certificate.key) end
  local is_set
  if key then is_set, reason = socket:setclientcert(chain, key) end
  if is_set then return true end
  return refused_certificate(reason)
end

-- A way through the proxy, which takes as long at most as a connection may.
local function open_tunnel(socket, target, whole)
  local seconds = limit_of(whole.connect_timeout, whole.deadline)
  local limits = { deadline = core.monotonic() + seconds }
  if seconds <= 0 then return timed_out() end
  socket:settimeout(connection.milliseconds(seconds))
  local sent, reason = socket:send(proxies.connect_request(target.proxy, target))
  if not sent then return nil, "the proxy took no request: " .. reason, { code = "ProxyFailed" } end
  local reply = http_reply.new(receiver(socket, limits))
  local ok, message, facts = reply:read_head()
  if not ok then return nil, "the proxy gave no tunnel: " .. message, { code = facts.code } end
  if reply.status < 300 then return true end
  return nil, ("the proxy refused a tunnel: HTTP status %d"):format(reply.status), { code = "ProxyFailed" }
end

local function shake_hands(socket, target, limits)
  if target.certificate then
    local ok, message, facts = set_certificate(socket, target.certificate)
    if not ok then return nil, message, facts end
  end
  local seconds = limit_of(limits.connect_timeout, limits.deadline)
  if seconds <= 0 then return timed_out() end
  socket:settimeout(connection.milliseconds(seconds))
  -- A certificate that is refused before the handshake had to wait is an assertion of lua-resty-core that fails or,
  -- where no session is asked for, a success (0.1.25).
  local called, session, reason = pcall(socket.sslhandshake, socket, nil, (target.host:gsub("[%[%]]", "")), true)
  if not called then reason = asserted_reason(session) end
  if not (called and session) then return refused_handshake(reason or "unknown reason") end
  return true
end

-- A certificate may be for an address, and yet be refused.
local function address_hint(target)
  if not (target.host:find "^[%d.]+$" or target.host:find ":") then return "" end
  return "; nginx holds a certificate against names alone, never against an address"
end

-- A connection of the pool, or a new one; and whether it was used before.
local function connect(target, limits, pool)
  local socket, message, facts = open_socket(target, limits, pool)
  if not socket then return nil, message, facts end
  local is_reused = (socket:getreusedtimes() or 0) > 0
  if not target.https or is_reused then return socket, is_reused end
  local ok = true
  if target.proxy then ok, message, facts = open_tunnel(socket, target, limits) end
  if ok then ok, message, facts = shake_hands(socket, target, limits) end
  if ok then return socket, false end
  socket:close()
  if facts.code == "CertificateInvalid" then message = message .. address_hint(target) end
  return nil, message, facts
end

-- Exchanges ----------------------------------------------------------------------------------------

-- Send a request on one connection and read the head of the reply.
local function try(socket, bytes, limits)
  local seconds = limit_of(limits.read_timeout, limits.deadline)
  if seconds <= 0 then return timed_out() end
  socket:settimeout(connection.milliseconds(seconds))
  local sent, reason = socket:send(bytes)
  if not sent then
    if reason == "timeout" then return nil, "the request was not taken in time", { code = "Timeout" } end
    return nil, "the connection was lost: " .. reason, { code = "ConnectionLost", before_reply = true }
  end
  local reply = http_reply.new(receiver(socket, limits))
  local ok, message, facts = reply:read_head()
  if not ok then return nil, message, facts end
  return reply
end

-- The reply, or nil, the message, the facts, and whether the connection had been kept and was dead.
local function ask(target, bytes, limits, pool)
  local socket, is_reused, facts = connect(target, limits, pool)
  if not socket then return nil, is_reused, facts end
  local reply, message
  reply, message, facts = try(socket, bytes, limits)
  if reply then return reply, socket end
  socket:close()
  local was_dead = is_reused and facts.before_reply and facts.code == "ConnectionLost"
  facts.before_reply = nil
  return nil, message, facts, was_dead
end

---The reply up to its head, and its connection. One that was kept may turn out to be dead; then the request goes once
---more, on a new one: that uses up no attempt.
---@param target iot.nginx.Target
---@param bytes string  of the request
---@param limits table  of connection.limits
---@return table? reply  of iot.http_reply
---@return any socket  or the message
---@return table? facts
function connection.begin(target, bytes, limits)
  if target.proxy and not target.https then bytes = proxies.forwarded(target.proxy, target, bytes) end
  local reply, socket, facts, was_dead = ask(target, bytes, limits, target.pool)
  if not was_dead then return reply, socket, facts end
  -- Nothing is ever given back to that pool.
  reply, socket, facts = ask(target, bytes, limits, target.pool .. ":new")
  if reply then reply:forbid_reuse() end
  return reply, socket, facts
end

---Keep a connection whose reply was read to its end, if it can be used again.
---@param target iot.nginx.Target
---@param reply table
---@param socket any
function connection.give_back(target, reply, socket)
  if reply:is_reusable() and not target.certificate then
    if socket:setkeepalive(pool_idle * 1000) then return end
  end
  socket:close()
end

---A whole exchange.
---@param target iot.nginx.Target
---@param bytes string
---@param limits table
---@return table? reply  of iot.http_reply
---@return string? body  or the message
---@return table? facts
function connection.exchange(target, bytes, limits)
  local reply, socket, facts = connection.begin(target, bytes, limits)
  if not reply then return nil, socket, facts end
  local body, message
  body, message, facts = reply:read_body()
  if not body then
    socket:close()
    return nil, message, facts
  end
  connection.give_back(target, reply, socket)
  return reply, body
end

---@param given { connect_timeout: number?, read_timeout: number?, timeout: number? }  seconds
---@return table
function connection.limits(given)
  return {
    connect_timeout = given.connect_timeout, read_timeout = given.read_timeout,
    deadline = core.monotonic() + math.min(given.timeout or longest_step, longest_step),
  }
end

return connection
