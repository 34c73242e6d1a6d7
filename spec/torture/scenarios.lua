-- What is tried while allocations fail. Each scenario is
--
--   name
--   open(place) -> what `run` gets, made once, without failures
--   run(it) -> a result, the same each time; or nil, message, detail; or an error
--   close(it)
--   check(result, expected) -> whether it is right, where that is not to be the same; `expected`: that of the first run
--   whole(result, expected): likewise, of a run without failures
--   sources: whose allocations fail, where that is not all
--
-- place: `plain` and `tls`, URLs of spec/torture/server.py, `ca_bundle`, `folder`, and `key`, a PEM of P-256.
local core = require "iot.core"
local iot = require "iot"

local credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", session_token = ("t"):rep(90) }
local describe = "describe_thing_registration_task"
local template = '{"Parameters":{"Name":{"Type":"String"},"Serial":{"Type":"String"}},"Resources":{"thing":'
  .. '{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"},'
  .. '"AttributePayload":{"serial":{"Ref":"Serial"}}}}}}'

local function attempt()
  return {
    credentials = credentials, timeout = 5, user_agent = "torture", invocation_id = "id", trace_id = "trace",
    number = 1, max_attempts = 2, ttl = 1516267086, time = 1516267086,
  }
end

local function options(place, endpoint)
  return {
    region = "us-east-1", credentials = credentials, endpoint = endpoint or place.plain, ca_bundle = place.ca_bundle,
    proxy = "", connect_timeout = 3, read_timeout = 3, timeout = 5, retry = { max_attempts = 1 },
  }
end

local function native(place, endpoint)
  return core.client {
    endpoint = endpoint or place.plain, region = "us-east-1", ca_bundle = place.ca_bundle, proxy = "",
    connect_timeout = 3, read_timeout = 3,
  }
end

local function request(place, path, more)
  local all = { url = place.plain .. path, timeout = 5, connect_timeout = 3, read_timeout = 3, proxy = "" }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function close(it) it:close() end

-- A failure that is due is the result.
local function due(code, result, message, detail)
  if result == nil and detail and detail.code == code then
    return { message, detail.status, detail.request_id, detail.body, detail.kind }
  end
  return result, message, detail
end

local scenarios = {}

local function scenario(name, body)
  body.name = name
  scenarios[#scenarios + 1] = body
end

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

-- The service ----------------------------------------------------------------------------------------

local function open_client(place) return assert(iot.new(options(place))) end

scenario("native describe", {
  open = native, close = close,
  run = function(client) return core[describe](client, { taskId = "task" }, attempt()) end,
})

scenario("describe", {
  open = open_client, close = close,
  run = function(client) return client[describe](client, { taskId = "task" }) end,
})

scenario("describe, refused", {
  open = open_client, close = close,
  run = function(client) return due("ResourceNotFoundException", client[describe](client, { taskId = "gone" })) end,
})

scenario("describe, malformed", {
  open = open_client, close = close,
  run = function(client) return due("MalformedResponse", client[describe](client, { taskId = "garbled" })) end,
})

-- Whoever has no connection yet.
local function once(endpoint_of)
  return function(place)
    local client, message, detail = iot.new(options(place, endpoint_of(place)))
    if not client then return nil, message, detail end
    local task
    task, message, detail = client[describe](client, { taskId = "task" })
    client:close()
    return task, message, detail
  end
end

scenario("describe once", {
  open = function(place) return place end, run = once(function(place) return place.plain end),
})

scenario("describe once, TLS", {
  open = function(place) return place end, run = once(function(place) return place.tls end),
})

scenario("operations", {
  open = native, close = close,
  run = function(client)
    local params = {
      start_thing_registration_task = {
        templateBody = template, inputFileBucket = "factory", inputFileKey = "k", roleArn = "arn:aws:iam::1:role/r",
      },
      stop_thing_registration_task = { taskId = "task" },
      list_thing_registration_tasks = { maxResults = 2, status = "Completed" },
      list_thing_registration_task_reports = { taskId = "task", reportType = "ERRORS" },
      register_thing = { templateBody = template, parameters = { Name = "n", Serial = "s" } },
    }
    local seen = {}
    for _, name in ipairs(core.operations) do
      if params[name] then
        local result, message, facts = core[name](client, params[name], attempt())
        if not result then return nil, message, facts end
        seen[#seen + 1] = result
      end
    end
    return seen
  end,
})

scenario("pages", {
  open = open_client, close = close,
  run = function(client)
    local seen = {}
    for id in client:thing_registration_tasks { status = "Completed" } do seen[#seen + 1] = id end
    return seen
  end,
})

scenario("report", {
  open = open_client, close = close,
  run = function(client)
    local seen = {}
    for record in client:thing_registration_task_report { taskId = "task", reportType = "ERRORS" } do
      seen[#seen + 1] = record:reason()
    end
    return seen
  end,
})

-- Each item right, or a failure, which may be one that an iterator raised.
local function tells_why(failure)
  if type(failure) == "table" then return failure.code ~= nil end
  failure = tostring(failure)
  return failure:find "memory" or failure:find "Memory" or failure:find "stack overflow %("
end

local function check_map(result, expected, same)
  local results, failures = result[1], result[2]
  for i = 1, expected[1].n do
    local wanted, failure = expected[1][i], failures[i]
    if results[i] ~= nil then
      if not wanted or not same(results[i], wanted) then return false end
    elseif not failure or type(failure.message) ~= "string" then
      return false
    elseif failure.raised and not tells_why(failure.error) then
      return false, failure.message .. "\n" .. tostring(failure.traceback)
    end
  end
  return results.n == expected[1].n
end

scenario("map", {
  open = open_client, close = close,
  run = function(client)
    local results, failures = iot.map({ "a", "bb", "gone", "dddd", "eeeee" }, function(id)
      return client[describe](client, { taskId = id })
    end, { concurrency = 3 })
    return { results, failures }
  end,
  check = check_map,
  whole = function(result, expected, same)
    return same(result[1], expected[1]) and result[2][3].detail.code == "ResourceNotFoundException"
  end,
})

-- What waits for its turn: pages of one iterator, and credentials that expire at once.
scenario("map, sharing", {
  open = function(place)
    local given = options(place)
    given.credentials = function()
      return { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", expiration = core.now() + 1 }
    end
    return assert(iot.new(given))
  end,
  close = close,
  run = function(client)
    local following = client:thing_registration_tasks { status = "Completed" }
    local results, failures = iot.map({ 1, 2, 3, 4 }, function()
      local id = following() or "none"
      local task, message, detail = client[describe](client, { taskId = "task" })
      if not task then return nil, message, detail end
      return { #id > 0, task }
    end, { concurrency = 4 })
    return { results, failures }
  end,
  check = check_map,
})

-- After a failure that may pass, it sleeps for a second: so not under failures of others than Lua and the core.
scenario("wait", {
  sources = { lua = true, core = true },
  open = open_client, close = close,
  run = function(client)
    local heard = 0
    local task, message, detail = client:wait_for_thing_registration_task({ taskId = "task" }, {
      timeout = 4, on_progress = function() heard = heard + 1 end,
    })
    if not task then return nil, message, detail end
    return { task, heard }
  end,
})

-- Plain requests, many at once, programs -------------------------------------------------------------

scenario("request", {
  open = function(place) return place end,
  run = function(place)
    local headers = { { "X-One", "1" }, { "X-Two", ("2"):rep(200) } }
    local bytes, origin, facts = core.write_request(request(place, "/path?q", {
      method = "PUT", headers = headers, body = "b",
    }))
    if not bytes then return nil, origin, facts end
    local reply, message
    reply, message, facts = core.request(request(place, "/seen", { headers = headers }))
    if not reply then return nil, message, facts end
    return { #bytes > 0, #origin > 0, reply }
  end,
})

-- The slots that have finished, `count` of them.
local function wait_for(multi, count)
  local done, seen = {}, 0
  local slots = {}
  local deadline = core.monotonic() + 5
  while seen < count do
    if core.monotonic() > deadline then error "the slots did not finish in time" end
    for i = 1, multi:wait(1, done) do seen, slots[seen + 1] = seen + 1, done[i] end
  end
  table.sort(slots)
  return slots
end

local function finish_all(multi, count)
  local seen = {}
  for _, slot in ipairs(wait_for(multi, count)) do
    local result, message, facts = multi:finish(slot)
    if not result then return nil, message, facts end
    seen[#seen + 1] = result
  end
  return seen
end

-- Start what is listed; nil, message, facts when one of them cannot.
local function start_all(multi, list)
  for _, one in ipairs(list) do
    local slot, message, facts = multi[one[1]](multi, one[2], one[3], one[4], one[5])
    if not slot then return nil, message, facts end
  end
  return true
end

local function with_multi(body)
  return function(it)
    local multi, message, facts = core.multi(4)
    if not multi then return nil, message, facts end
    local result
    result, message, facts = body(multi, it)
    multi:close()
    return result, message, facts
  end
end

local function open_place(place) return { place = place, client = assert(native(place)) } end
local function close_client(it) it.client:close() end

scenario("multi", {
  open = open_place, close = close_client,
  run = with_multi(function(multi, it)
    local list = {
      { "start", it.client, describe, { taskId = "one" }, attempt() },
      { "request", request(it.place, "/seen") },
      { "start", it.client, describe, { taskId = "three" }, attempt() },
    }
    local ok, message, facts = start_all(multi, list)
    if not ok then return nil, message, facts end
    local extra
    extra, message, facts = multi:start(it.client, describe, { taskId = "four" }, attempt())
    if not extra then return nil, message, facts end
    multi:cancel(extra)
    return finish_all(multi, 3)
  end),
})

scenario("download", {
  open = function(place) return { place = place } end,
  run = with_multi(function(multi, it)
    local download, slot, facts = multi:download(request(it.place, "/document/1?v=1"))
    if not download then return nil, slot, facts end
    local left = multi:download(request(it.place, "/document/2?v=1"))
    if left then left:close() end
    local pieces, status = {}, nil
    local deadline = core.monotonic() + 5
    while true do
      local piece, seen = download:read()
      if piece == nil then break end
      if piece then pieces[#pieces + 1], status = piece, seen else multi:wait(1, {}) end
      if core.monotonic() > deadline then error "the download did not end in time" end
    end
    local reply, message
    reply, message, facts = download:finish()
    if not reply then return nil, message, facts end
    if reply.status ~= 200 then return nil, "refused", { code = "Refused" } end
    return { table.concat(pieces), status, reply.headers["content-encoding"] }
  end),
})

local program = { "/bin/sh", "-c", "printf out; printf err >&2; exit 3" }

scenario("run", { run = function() return core.run(program, 5) end })

scenario("multi run", { run = with_multi(function(multi)
  local ok, message, facts = start_all(multi, { { "run", program, 5 }, { "run", program, 5 } })
  if not ok then return nil, message, facts end
  return finish_all(multi, 2)
end) })

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
