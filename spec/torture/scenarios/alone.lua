-- What needs no service; see ../scenarios.lua.
local core = require "iot.core"
local iot = require "iot"
local tools = require "spec.torture.scenarios.tools"

local attempt = tools.attempt
local close = tools.close
local credentials = tools.credentials
local describe = tools.describe
local native = tools.native
local options = tools.options
local template = tools.template

local scenarios, scenario = tools.list()

-- Texts and the machine ------------------------------------------------------------------------------

scenario("text", { run = function()
  local id, message, facts = core.uuid()
  if not id then return nil, message, facts end
  local short, long
  short, message, facts = core.sha1 "text"
  if not short then return nil, message, facts end
  long, message, facts = core.sha256(("text"):rep(50))
  if not long then return nil, message, facts end
  local system = core.system()
  return {
    #id, short, long, system.name, system.libcurl, core.percent_encode(("a b/"):rep(60)), core.is_utf8 "\195\188",
    core.parse_time "2018-01-18T09:18:06.25Z", core.parse_http_date "Thu, 18 Jan 2018 09:18:06 GMT",
    core.status_names(), core.random() < 1, core.now() > 1e9, core.monotonic() > 0, core.sleep(0),
  }
end })

scenario("keys", {
  open = function(place) return place.key end,
  run = function(key)
    local x, y, facts = core.es256_public(key)
    if not x then return nil, y, facts end
    local signature, message
    signature, message, facts = core.es256_sign(key, "text")
    if not signature then return nil, message, facts end
    return { x, y, #signature }
  end,
})

scenario("files", {
  open = function(place) return place.folder .. "/file" end,
  run = function(path)
    local done, message, facts = core.replace_file(path, ("line\n"):rep(2000))
    if not done then return nil, message, facts end
    local text, reason, missing = core.read_file(path, 20000)
    if not text then return nil, reason, missing end
    local good
    good, reason = core.check_file(path)
    if not good then return nil, reason end
    return { text, core.read_file(path .. "-none", 100) == nil }
  end,
})

scenario("json", { run = function()
  local object, message = core.decode_json('{"a":[1,2.5,null,{"b":"' .. ("x"):rep(300) .. '"}],"n":null,"i":7.0}')
  if not object then return nil, message end
  local value
  value, message = core.decode_value "[1,[2,{}],\"text\"]"
  if not value then return nil, message end
  local text
  text, message = core.encode_json { a = { 1, 2, { b = ("y"):rep(2000) } } }
  if not text then return nil, message end
  local broken, reason = core.decode_json '{"a":'
  return { object, value, text, broken == nil and reason }
end })

scenario("names", { run = function()
  local set, message, facts = core.name_set()
  if not set then return nil, message, facts end
  local seen, earlier = {}
  for i = 1, 140 do
    earlier, message, facts = set:add("thing-" .. i % 120, i)
    if earlier == false then return nil, message, facts end
    seen[i] = earlier or 0
  end
  set:clear()
  earlier, message, facts = set:add("thing-1", 7)
  if earlier == false then return nil, message, facts end
  return { seen, earlier or 0 }
end })

scenario("terminal", {
  open = function() return io.open("/dev/null", "w") end,
  close = close,
  run = function(file)
    local width, written = core.terminal_width(file), core.write_stream(file, "text\n")
    local lines = 0
    local show = iot.progress { write = function() lines = lines + 1 end }
    for i = 0, 2 do
      show {
        task = { taskId = "t", status = "InProgress", percentageProgress = 50 * i, successCount = i, failureCount = 1 },
        elapsed = 60 * i, polls = i + 1, delay = i < 2 and 5 or nil, done = i == 2 or nil,
      }
    end
    return { width or "none", written, lines }
  end,
  -- A display does what it can.
  check = function(result, expected)
    return result[1] == expected[1] and result[2] and result[3] <= expected[3]
  end,
})

-- Signatures -----------------------------------------------------------------------------------------

local to_sign = {
  method = "POST", url = "https://iot.us-east-1.amazonaws.com/a%20b/../c/?z=1&a=2&a=1&flag", body = ("body"):rep(100),
  headers = { { "Content-Type", "application/json" }, { "X-Words", " many   words " } },
}
local signing = { credentials = credentials, region = "us-east-1", service = "iot", time = 1516267086 }

scenario("sign", { run = function()
  local signed, message, detail = iot.sign(to_sign, signing)
  if not signed then return nil, message, detail end
  local raw, reason, facts = core.sign(to_sign, signing)
  if not raw then return nil, reason, facts end
  return { signed, raw }
end })

scenario("presign", { run = function()
  local given = { expires_in = 600 }
  for name, value in pairs(signing) do given[name] = value end
  local signed, message, detail = iot.presign({ method = "GET", url = to_sign.url }, given)
  if not signed then return nil, message, detail end
  local raw, reason, facts = core.presign({ method = "GET", url = to_sign.url }, given)
  if not raw then return nil, reason, facts end
  return { signed, raw }
end })

-- Clients --------------------------------------------------------------------------------------------

scenario("client", {
  open = function(place) return place end,
  run = function(place)
    local client, message, facts = native(place, place.plain .. "/base")
    if not client then return nil, message, facts end
    local params = { taskId = "a b/c" }
    local valid
    valid, message, facts = client:validate(describe, params)
    if not valid then return nil, message, facts end
    local bytes
    bytes, message, facts = client:prepare(describe, params, attempt())
    if not bytes then return nil, message, facts end
    local endpoint = client:endpoint()
    client:close()
    return { bytes, endpoint }
  end,
})

scenario("parse", {
  open = native, close = close,
  run = function(client)
    local head = "HTTP/1.1 200 OK\r\nX-Amzn-RequestId: r-1\r\nDate: Thu, 18 Jan 2018 09:18:06 GMT\r\n"
    local task, message, facts = client:parse(describe, 200, head,
      '{"taskId":"t","creationDate":"2018-01-18T09:18:06Z","successCount":1.0,"message":null}', attempt())
    if not task then return nil, message, facts end
    local body = '{"message":"' .. ("m"):rep(900) .. '"}'
    local refused, malformed = { client:parse(describe, 404, head .. "X-Amzn-ErrorType: GoneException\r\n", body) },
      { client:parse(describe, 200, head, '{"taskId":7}') }
    if refused[1] ~= nil or refused[3].code ~= "GoneException" then return nil, refused[2], refused[3] end
    if malformed[1] ~= nil or malformed[3].code ~= "MalformedResponse" then return nil, malformed[2], malformed[3] end
    return { task, refused[2], malformed[2], malformed[3].body }
  end,
})

scenario("new and close", {
  open = function(place) return place end,
  run = function(place)
    local client, message, detail = iot.new(options(place))
    if not client then return nil, message, detail end
    local seen = { client.region, client.endpoint == place.plain }
    client:close()
    return seen
  end,
})

-- Provisioning and policy ----------------------------------------------------------------------------

scenario("check", { run = function()
  local lines = {}
  for i = 1, 12 do lines[i] = ('{"Name":"thing-%d","Serial":"%d"}'):format(i % 10, i) end
  lines[13] = '{"Name":'
  return iot.check_provisioning(template, table.concat(lines, "\n") .. "\n")
end })

scenario("retry", { run = function()
  local count = 0
  return iot.retry(function(given)
    count = count + 1
    if given.number < 2 then return nil, "again", { code = "Again", retryable = true } end
    return { "done", count }
  end, { max_attempts = 2, timeout = 5 })
end })

return scenarios
