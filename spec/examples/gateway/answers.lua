-- Answers as data, { status, text, retry_after }: what each failure of the library is to who asked over HTTP.
local cjson = require "cjson.safe"

local answers = {}

-- The gateway's own affairs: who watches tasks need not know its files and variables.
local own = {
  credentials = "the gateway has no credentials that work",
  configuration = "the gateway is not set up well",
}

---Whether a failure is one to log, since its answer does not tell it.
function answers.is_own(detail)
  return own[detail.kind] ~= nil
end

---A failure as it is shown.
function answers.error_of(detail)
  local hidden = own[detail.kind]
  return {
    code = detail.code, requestId = detail.request_id,
    message = hidden and hidden .. "; its log says more" or detail.message,
  }
end

-- What the service says of a request is for who made it; that the gateway itself may not ask is not their fault.
local function status_of(detail)
  if detail.throttled then return 503 end
  if detail.kind == "validation" then return 400 end
  if detail.kind == "timeout" then return 504 end
  if detail.kind == "service" and (detail.status == 400 or detail.status == 404) then return detail.status end
  return own[detail.kind] and 500 or 502
end

function answers.failure(detail)
  local status = status_of(detail)
  return {
    status = status, text = cjson.encode { error = answers.error_of(detail) },
    retry_after = status == 503 and math.max(1, math.ceil(detail.retry_after or 1)) or nil,
  }
end

function answers.refuse(status, code, message)
  return { status = status, text = cjson.encode { error = { code = code, message = message } } }
end

---@param form string  of the text: %s where the list goes, and again for whether there is more
function answers.list(form, items, has_more)
  local texts = {} -- one by one, since to lua-cjson an empty list is an object
  for i, item in ipairs(items) do texts[i] = assert(cjson.encode(item)) end
  return { status = 200, text = form:format("[" .. table.concat(texts, ",") .. "]", tostring(has_more)) }
end

function answers.one(item)
  return { status = 200, text = assert(cjson.encode(item)) }
end

return answers
