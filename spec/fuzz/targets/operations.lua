-- The binding's prepare and parse. The input: bytes that tell the operation and the status, three lines of parameters,
-- then the head of a reply up to an empty line, and its body.
local core = require "iot.core"
local errors = require "iot.errors"
local promises = require "spec.fuzz.promises"

local must = promises.must

local TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE-TOKEN"
local attempt = {
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", session_token = TOKEN },
  time = 1440938160, user_agent = "fuzz", invocation_id = "8b2f5e1e", number = 1, max_attempts = 3,
}
local native = assert(core.client { endpoint = "https://iot.us-east-1.amazonaws.com/base", region = "us-east-1" })
local names = { "taskId", "templateBody", "inputFileBucket", "inputFileKey", "roleArn", "nextToken", "status",
  "maxResults", "reportType", "parameters", "unknown" }
local required = {
  register_thing = { "templateBody" },
  start_thing_registration_task = { "templateBody", "inputFileBucket", "inputFileKey", "roleArn" },
  list_thing_registration_tasks = {},
  list_thing_registration_task_reports = { "taskId", "reportType" },
}

local function copy(map)
  local copied = {}
  for key, value in pairs(map) do copied[key] = value end
  return copied
end

local function must_fail(message, facts)
  must(type(message) == "string", "there is a message", message)
  must(not message:find "%c" and not message:find(TOKEN, 1, true), "the message can be shown", message)
  must(type(facts) == "table" and type(facts.code) == "string" and facts.code ~= "", "there is a code")
  local _, text, detail = errors.fail(copy(facts), message)
  promises.must_be_failure(text, detail)
end

-- The request is one that a strict server understands as it was meant.
local function check_request(request)
  local head, body = request:match "^(.-\r\n)\r\n(.*)$"
  must(head, "the request has a head")
  must(head:find "^[A-Z]+ /base/[%w%-._~%%/?=&]+ HTTP/1%.1\r\n", "the request has a line", head)
  local length, seen = 0, {}
  for line in head:gsub("^[^\n]*\n", ""):gmatch "([^\n]*)\n" do
    local name, value = line:match "^([%w-]+): ([^%c]*)\r$"
    must(name, "a line is a header", line)
    must(not seen[name:lower()], "a header comes once", name)
    seen[name:lower()] = value
    if name:lower() == "content-length" then length = tonumber(value) end
  end
  must(seen.host == "iot.us-east-1.amazonaws.com" and seen.authorization, "the request is signed for its host")
  must(#body == length, "the body is as long as it says", head, body)
end

-- The value that the text of a line stands for.
local function value_of(name, text)
  if name == "maxResults" then return tonumber(text) or text end
  if name ~= "parameters" or text == "" then return text end
  local map = {}
  for pair in text:gmatch "[^;]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    map[tonumber(key) or key] = tonumber(value) or value
  end
  return map
end

-- Each line begins with a byte that tells the parameter.
local function prepare(name, lines)
  local params = {}
  for _, param in ipairs(required[name] or { "taskId" }) do params[param] = lines[1] end
  for _, line in ipairs(lines) do
    local param = names[(line:byte() or 0) % #names + 1]
    params[param] = value_of(param, line:sub(2))
  end
  local request, message, facts = native:prepare(name, params, attempt)
  if request then return check_request(request) end
  must_fail(message, facts)
  must(facts.code == "InvalidParameter", "it is the parameter", facts.code)
end

local function parse(name, status, head, body)
  local result, message, facts = native:parse(name, status, head, body, attempt)
  if result then
    must(type(result) == "table" and status >= 200 and status < 300, "a success is one")
    return must(body:find "^[ \t\r\n]*{" or not body:find "[^ \t\r\n]", "a result is an object", body)
  end
  must_fail(message, facts)
  must(facts.status == status, "the status is told")
  for _, field in ipairs { "code", "request_id", "body" } do
    local text = facts[field]
    must(text == nil or core.is_utf8(text) and not text:find "%c" and #text <= 512, "a field can be shown", field, text)
    must(text == nil or not text:find(TOKEN, 1, true), "a field holds no secret", field, text)
  end
  local wait = facts.retry_after
  must(wait == nil or wait >= 0 and wait <= 31536000, "a wait has an end", wait)
end

return function(input)
  local first, second = (input:byte(1) or 0), (input:byte(2) or 0)
  local name = core.operations[first % #core.operations + 1]
  local status = second % 2 == 0 and 200 or 100 + (second * 2 - 1) % 500
  local lines, rest = promises.split(input:sub(3), 3)
  prepare(name, lines)
  local stop = rest:find("\n\r?\n") or #rest
  parse(name, status, rest:sub(1, stop), rest:sub(stop + 1))
end
