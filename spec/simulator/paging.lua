-- Pages of a list, and the tokens between them. A token says where the next page begins and is sealed together
-- with the question that it belongs to, so that none can be made up or used for another question.

local accounts = require "simulator.accounts"
local cjson = require "cjson.safe"
local digest = require "simulator.digest"
local settings = require "simulator.settings"

local M = {}

local SEAL_SIZE = 32

-- The members of a paged request, for validation.check.
M.MEMBERS = { { "nextToken", "NextToken", optional = true }, { "maxResults", "RegistryMaxResults", optional = true } }

local function seal(question, position)
  return digest.hmac(accounts.sealing_key, #question .. " " .. question .. position)
end

-- The token for the page of a question (any text) that begins at a position (any text).
function M.token(question, position)
  return ngx.encode_base64(seal(question, position) .. position)
end

-- How many items a page has.
function M.size(parameters)
  return tonumber(parameters.maxResults or settings.get("page_size"))
end

-- The position of the page that is asked for, "" for the first one; or nil with code and message of the refusal.
function M.position(question, parameters)
  local token = parameters.nextToken
  if not token then
    return ""
  end
  local bytes = ngx.decode_base64(token) or ""
  local position = bytes:sub(SEAL_SIZE + 1)
  -- A text has more than one base64 form where bits are left over: only ours is good.
  if bytes:sub(1, SEAL_SIZE) ~= seal(question, position) or M.token(question, position) ~= token then
    return nil, "InvalidRequestException", "1 validation error detected: Value at 'nextToken' failed to satisfy "
      .. "constraint: Member must be a token of this list"
  end
  return position
end

-- The body of a page as JSON: the items under their name, the token, and other members. cjson would write an
-- empty list as an object.
function M.body(name, items, token, others)
  local body = others or {}
  body.nextToken = token
  if items[1] then
    body[name] = items
    return cjson.encode(body)
  end
  local text = cjson.encode(body):sub(2)
  return ('{"%s":[]%s%s'):format(name, text == "}" and "" or ",", text)
end

return M
