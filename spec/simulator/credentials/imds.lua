-- The metadata service of an EC2 instance, version 2 alone (reference 7.9).

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local cjson = require "cjson.safe"
local keys = require "simulator.keys"
local settings = require "simulator.settings"

local ROLES = "/latest/meta-data/iam/security-credentials"
local MAX_TTL = 21600

local function plain(status, text)
  return answers.text(status, "text/plain", text)
end

-- It answers errors with pages.
local function refuse(status, title)
  return answers.text(status, "text/html", ('<?xml version="1.0" encoding="iso-8859-1"?>\n<html><head><title>'
    .. "%d - %s</title></head><body><h1>%d - %s</h1></body></html>\n"):format(status, title, status, title))
end

local function token(call)
  local ttl = (call.request:header("x-aws-ec2-metadata-token-ttl-seconds") or ""):match("^%d+$")
  ttl = tonumber(ttl)
  if not ttl or ttl < 1 or ttl > MAX_TTL then
    return refuse(400, "Bad Request")
  end
  local answer = plain(200, keys.issue_token("imds", "AQAEA", call.now + ttl))
  table.insert(answer.headers, { "x-aws-ec2-metadata-token-ttl-seconds", ttl })
  return answer
end

-- The answer of a function to who has a token of the session.
local function guarded(answer)
  return function(call)
    if not keys.knows_token("imds", call.request:header("x-aws-ec2-metadata-token"), call.now) then
      return refuse(401, "Unauthorized")
    end
    return answer(call)
  end
end

local function is_there(extended)
  return settings.get("imds_role") ~= "" and (settings.get("imds_extended") or not extended)
end

local function list_roles(extended)
  return guarded(function()
    return is_there(extended) and plain(200, settings.get("imds_role")) or refuse(404, "Not Found")
  end)
end

local function role(extended)
  return guarded(function(call)
    if not is_there(extended) or call.labels.role ~= settings.get("imds_role") then
      return refuse(404, "Not Found")
    end
    local key = keys.issue(call.now)
    return plain(200, cjson.encode {
      Code = "Success",
      LastUpdated = keys.time(call.now),
      Type = "AWS-HMAC",
      AccessKeyId = key.access_key_id,
      SecretAccessKey = key.secret_access_key,
      Token = key.session_token,
      Expiration = keys.time(key.expires_at),
      AccountId = extended and accounts.account_id or nil,
    })
  end)
end

local region = guarded(function() return plain(200, accounts.region) end)

return {
  { name = "imds.token", method = "PUT", path = "/latest/api/token", answer = token },
  { name = "imds.roles", method = "GET", path = ROLES, answer = list_roles(false) },
  { name = "imds.role", method = "GET", path = ROLES .. "/{role}", answer = role(false) },
  { name = "imds.roles", method = "GET", path = ROLES .. "-extended", answer = list_roles(true) },
  { name = "imds.role", method = "GET", path = ROLES .. "-extended/{role}", answer = role(true) },
  { name = "imds.region", method = "GET", path = "/latest/meta-data/placement/region", answer = region },
}
