-- The keys that signatures are made with: those of the accounts, and temporary ones that the services
-- in credentials/ issue.

local accounts = require "simulator.accounts"
local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local settings = require "simulator.settings"

local M = {}

local store = ngx.shared.keys

local KNOWN = {}
for _, name in ipairs { "long_lived", "temporary", "expired" } do
  KNOWN[accounts[name].access_key_id] = accounts[name]
end

-- Issues credentials for so many seconds (default: those of the settings). Returns a record like those
-- of the accounts.
function M.issue(now, seconds)
  local record = {
    number = store:incr("issued", 1, 0),
    access_key_id = "ASIA" .. digest.hex(digest.random(8)):upper(),
    secret_access_key = ngx.encode_base64(digest.random(30)),
    session_token = "IQoJ" .. ngx.encode_base64(digest.random(200)),
    expires_at = math.floor(now + (seconds or settings.get("credential_seconds"))),
  }
  assert(store:set("key " .. record.access_key_id, cjson.encode(record)))
  return record
end

-- The record of a key, or nil.
function M.find(access_key_id)
  if KNOWN[access_key_id] then
    return KNOWN[access_key_id]
  end
  local record = store:get("key " .. access_key_id)
  return record and cjson.decode(record)
end

function M.has_expired(record, now)
  if record.number then
    return record.number <= (store:get("expired") or 0) or record.expires_at + settings.get("grace_seconds") <= now
  end
  return record.expires_at ~= nil and record.expires_at <= now
end

-- Lets all keys that were issued so far expire.
function M.expire()
  store:set("expired", store:get("issued") or 0)
end

-- Everything that was issued and must stay secret, as a list.
function M.secrets()
  local secrets = {}
  for _, name in ipairs(store:get_keys(0)) do
    if name:find("^key ") then
      local record = cjson.decode(store:get(name))
      table.insert(secrets, record.secret_access_key)
      table.insert(secrets, record.session_token)
    else
      table.insert(secrets, name:match("^%l+ token (.+)$"))
    end
  end
  return secrets
end

-- A time as the services write it.
function M.time(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

-- Issues a token of a kind ("sso", "imds", ...), known until a time.
function M.issue_token(kind, prefix, expires_at)
  local token = prefix .. digest.hex(digest.random(24))
  assert(store:set(kind .. " token " .. token, expires_at))
  return token
end

function M.knows_token(kind, token, now)
  local expires_at = store:get(kind .. " token " .. (token or ""))
  return expires_at ~= nil and expires_at > now
end

-- The same for a token that is good once.
function M.spend_token(kind, token, now)
  local known = M.knows_token(kind, token, now)
  store:delete(kind .. " token " .. (token or ""))
  return known
end

-- Whether a text has not been seen before; from now on it has.
function M.is_new(kind, text)
  return (store:add(kind .. " " .. text, true))
end

return M
