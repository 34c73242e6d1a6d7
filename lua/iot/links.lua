---What the links of the service lead to: documents in S3, behind presigned URLs (reference 9.4). They are fetched as
---they are, unsigned; a link is a secret.
local calls = require "iot.call"
local errors = require "iot.errors"
local exchange = require "iot.credentials.exchange"
local excerpt = require "iot.excerpt"
local xml = require "iot.xml"

local links = {}

local max_refusal = 64 * 1024 -- bytes; the documents that S3 refuses with have about one KiB
local max_word = 128 -- bytes of a code or an id in one
local most_open = 32 -- links at a time, before those are looked for that nobody reads any more

local min_secret = 20 -- bytes of a value in a query; a date has 16

-- What of a link no message may tell: whoever refuses it may quote a part, decoded or not. The longest come first.
local function secrets_of(link)
  local secrets = { link, link:match "^%a+://[^/?#]*(.+)$" }
  for value in (link:match "%?(.*)$" or ""):gmatch "=([^&]+)" do
    local decoded = value:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    if #value >= min_secret then
      secrets[#secrets + 1] = value
      secrets[#secrets + 1] = decoded
    end
  end
  return secrets
end

-- Another attempt cannot mend these, and it is the reply with the link that was wrong, no parameter.
local function fail(call, attempt, message, facts)
  facts.operation, facts.attempts = call.operation, attempt.number
  if facts.code == "InvalidParameter" then
    facts.code, message = "MalformedResponse", "the service gave a link that cannot be followed: " .. message
  end
  return errors.fail(facts, excerpt.redact(message, secrets_of(call.link)))
end

-- What S3 said, as far as it can be understood. The document may quote what it was asked for.
local function refuse(call, attempt, download, first)
  local pieces, size = {}, 0
  local piece = first
  while piece and size <= max_refusal do
    pieces[#pieces + 1], size = piece, size + #piece
    piece = download:read(call.deadline)
  end
  download:close()
  local root = size <= max_refusal and xml.parse(table.concat(pieces)) or nil
  local secrets = secrets_of(call.link)
  local function quoted(pattern, name)
    local text = xml.text(root, name)
    return text and excerpt.redact(text, secrets):match(pattern)
  end
  local function word(pattern, name)
    local text = quoted(pattern, name)
    return text and #text <= max_word and text or nil
  end
  local is_redirect = download.status >= 300 and download.status < 400
  local message = is_redirect and "the download was refused (redirects are not followed)"
    or quoted(".*", "Message") or "the download was refused"
  return exchange.refused({ status = download.status, headers = download.headers }, {
    code = word("^%w+$", "Code"), operation = call.operation, attempts = attempt.number,
    request_id = word("^%s*([%w-]+)%s*$", "RequestId"),
  }, exchange.quote(message))
end

-- A function that reads on, beginning with a piece that was read already.
local function reader(download, piece)
  return function()
    if not piece then return download:read() end
    local first = piece
    piece = nil
    return first
  end
end

local function is_http(url)
  return url:lower():find "^http:" ~= nil
end

-- One attempt, up to the first piece of the body.
local function try(attempt, state, call)
  local found, started = state.settings, state.runtime.monotonic()
  if is_http(call.link) and not is_http(state.view.endpoint) then
    return fail(call, attempt, "it does not start with https://", { code = "InvalidParameter" })
  end
  local download, message, facts = state.runtime.download {
    url = call.link, ca_bundle = found.ca_bundle, proxy = found.proxy,
    connect_timeout = found.connect_timeout, read_timeout = found.read_timeout,
  }
  if not download then return fail(call, attempt, message, facts) end
  local piece
  piece, message, facts = download:read(call.deadline)
  if not piece and facts then
    calls.tell(state, call, attempt, started, nil, facts.code)
    return fail(call, attempt, message, facts)
  elseif download.status < 200 or download.status >= 300 then
    local _, text, detail = refuse(call, attempt, download, piece)
    calls.tell(state, call, attempt, started, download.status, detail.code)
    return nil, text, detail
  end
  calls.tell(state, call, attempt, started, download.status)
  state.links[download] = true
  return {
    read = reader(download, piece),
    close = function()
      state.links[download] = nil
      download:close()
    end,
  }
end

-- To Lua a download whose loop was left is a few bytes, to the system some descriptors: it will not be collected in
-- time by itself.
local function collect_links(state)
  state.links = state.links or setmetatable({}, { __mode = "k" })
  local count = 0
  for _ in pairs(state.links) do count = count + 1 end
  if count >= most_open then collectgarbage() end
end

---@class iot.Link
---@field read fun(): string?, string?, table?  the next piece; nil at the end; or nil, a message and facts
---@field close fun()

---Open what a link leads to, under the client's policy of retries.
---@param state table  of the client; see client.lua
---@param operation string  for failures and events
---@param link string  URL
---@param timeout number?  seconds until its first piece has come, retries included; else the client's
---@return iot.Link?
---@return string? message
---@return iot.Error? detail
function links.open(state, operation, link, timeout)
  local call = {
    operation = operation, link = link, deadline = state.runtime.monotonic() + (timeout or state.settings.timeout),
  }
  collect_links(state)
  local opened, message, detail = state.retry:run(call.deadline, try, state, call)
  if opened == nil and not detail.operation then return errors.before(operation, detail) end
  return opened, message, detail
end

---Whether a link was refused because its time is over: it, or the credentials that it was signed with.
---@param detail iot.Error
---@return boolean
function links.has_expired(detail)
  return detail.kind == "service" and (detail.status == 403 or detail.code:find "^ExpiredToken" ~= nil)
end

return links
