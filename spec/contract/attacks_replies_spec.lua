-- Hostile replies of the service, of storage and of STS, from the wire to a terminal: what `iot-tasks` prints, the
-- display of progress, messages and details. Nothing moves a cursor, turns text around, forges a line, hangs or takes
-- the program down. Elsewhere: every malformed reply as such (spec/unit/replies_spec.lua, error_replies_spec),
-- the display alone (progress_spec.lua), what the command makes of hostile members (cli_output_spec.lua).
local attacks = require "spec.support.attacks"
local cli = require "iot.cli"
local cli_rig = require "spec.support.cli_rig"
local core = require "iot.core"
local credentials_rig = require "spec.support.credentials_rig"
local iot = require "iot"
local json = require "spec.support.json"
local simulator = require "spec.support.simulator"

local DESCRIBE, REPORTS = "DescribeThingRegistrationTask", "ListThingRegistrationTaskReports"

local sim, rig

-- In JSON's strings as the service could write them.
local HOSTILE = "a\27[2J\27]0;evil\7\r\nstatus: Completed\8\127\194\1552J"
  .. "\226\128\174txt\226\129\166\226\128\139\239\187\191\216\156b"
local ESCAPED = [[a\u001b[2J\r\nb\u0000\u009b2J\u202e\u2066\ud83d\ude00\\]]

local function fault(operation, status, body, headers)
  sim:fault { kind = "reply", operation = operation, status = status, body = body, headers = headers }
end

-- Bytes that a terminal is given: lines, each harmless, and what the display of progress draws with.
local function assert_harmless_output(text, redraws)
  if redraws then text = text:gsub("\27%[K", ""):gsub("\r", "\n") end
  for line in text:gmatch "[^\n]+" do attacks.assert_harmless(line) end
end

-- The command, in this process, against the simulator.
local function run(...)
  local stdout, stderr = cli_rig.stream(), cli_rig.stream()
  local code = cli.main({ ... }, { iot = iot, stdout = stdout, stderr = stderr,
    is_terminal = function() return false end })
  assert_harmless_output(stdout.text)
  assert_harmless_output(stderr.text)
  return code, stdout.text, stderr.text
end

local function describe_once(options)
  local client = rig:client(options or { endpoint = sim.plain_endpoint, retry = { max_attempts = 1 } })
  local result, message, detail = rig:describe(client, { timeout = 10 })
  client:close()
  return result, message, detail
end

local function task(member, text)
  return ('{"taskId":"full","status":"InProgress","%s":"%s"}'):format(member, text)
end

local function raw_of(text) return (json.encode({ text }):sub(2, -2):sub(2, -2)) end

describe("a hostile reply", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "full", status = "Completed" }
    rig = credentials_rig.new(sim)
    rig.runtime.sleep = function() return true end
  end)
  teardown(function()
    rig:remove()
    sim:stop()
  end)
  before_each(function()
    sim:clear()
    rig:config ""
    rig:variables { AWS_ACCESS_KEY_ID = sim.credentials.access_key_id, AWS_ENDPOINT_URL_IOT = sim.plain_endpoint,
      AWS_SECRET_ACCESS_KEY = sim.credentials.secret_access_key, AWS_MAX_ATTEMPTS = "1" }
    sim:seed { taskId = "full", status = "Completed" }
  end)

  for _, member in ipairs { "taskId", "status", "message", "templateBody", "inputFileBucket", "inputFileKey", "roleArn",
    "unknown" } do
    it("writes nothing to a terminal by the member " .. member, function()
      for _, output in ipairs { "text", "json" } do
        for _, text in ipairs { raw_of(HOSTILE), ESCAPED } do
          fault(DESCRIBE, 200, task(member, text))
          assert.equal(0, run("describe", "full", "--output", output))
        end
      end
    end)
  end

  it("writes nothing by the names of members", function()
    for _, output in ipairs { "text", "json" } do
      fault(DESCRIBE, 200, ('{"taskId":"full","%s":{"%s":["%s"]}}'):format(ESCAPED, raw_of(HOSTILE), ESCAPED))
      assert.equal(0, run("describe", "full", "--output", output))
    end
  end)

  it("writes nothing by ids of lists", function()
    for _, output in ipairs { "text", "json" } do
      fault("ListThingRegistrationTasks", 200, ('{"taskIds":["%s","%s"]}'):format(raw_of(HOSTILE), ESCAPED))
      assert.equal(0, run("list", "--output", output))
    end
  end)

  it("writes nothing by the lines of a report", function()
    for _, output in ipairs { "text", "json" } do
      fault("report", 200, ('{"lineNumber":1,"error":"%s","%s":"x"}\n%s\n{"a":"\194\155\27"}\n'):format(
        ESCAPED, raw_of(HOSTILE), HOSTILE))
      run("report", "full", "--output", output)
    end
  end)

  it("writes nothing by errors: their codes, messages, ids, reasons and pages", function()
    for _, reply in ipairs {
      { 400, ('{"code":"%s","message":"%s"}'):format(ESCAPED, raw_of(HOSTILE)) },
      { 400, ('{"__type":"%s","Message":"%s"}'):format(raw_of(HOSTILE), ESCAPED) },
      { 503, "<html>" .. HOSTILE }, { 400, HOSTILE }, { 200, HOSTILE },
      { 403, "{}", { ["x-amzn-ErrorType"] = "a\27[2J\194\155\226\128\174",
        ["x-amzn-RequestId"] = "b\27[2J\226\128\174" } },
    } do
      for _, output in ipairs { "text", "json" } do
        fault(DESCRIBE, reply[1], reply[2], reply[3])
        assert.not_equal(0, (run("describe", "full", "--output", output)))
      end
      fault(DESCRIBE, reply[1], reply[2], reply[3])
      local result, message, detail = describe_once()
      assert.is_nil(result)
      attacks.assert_clear_failure(message, detail)
      if detail.request_id then attacks.assert_harmless(detail.request_id) end
    end
    sim:fault { kind = "raw", body = "HTTP/1.1 500 a\27[2J\226\128\174\194\155\r\nContent-Length: 0\r\n\r\n" }
    assert.not_equal(0, (run("describe", "full")))
  end)

  it("draws nothing into the display of progress, nor into what a wait says at its end", function()
    local stream = cli_rig.stream()
    local runtime = rig.runtime
    local sleep = runtime.sleep
    function runtime.sleep(seconds)
      rig.offset = rig.offset + seconds
      return true
    end
    for _, status in ipairs { raw_of(HOSTILE), "Failed" } do
      fault(DESCRIBE, 200, ('{"status":"%s","percentageProgress":9007199254740991,"successCount":-9007199254740991,'
        .. '"failureCount":9007199254740991,"message":"%s"}'):format(status, raw_of(HOSTILE)))
    end
    local client = rig:client { endpoint = sim.plain_endpoint, retry = { max_attempts = 1 } }
    local result, message, detail = client:wait_for_thing_registration_task({ taskId = "full" },
      { on_progress = iot.progress(stream), timeout = 600 })
    runtime.sleep, rig.offset = sleep, 0
    client:close()
    assert.is_nil(result)
    attacks.assert_clear_failure(message, detail)
    assert.equal("TaskFailed", detail.code)
    assert.is_true(#stream.text > 0)
    assert_harmless_output(stream.text, true)
  end)

  it("gives no table but a plain one, whatever its keys", function()
    fault(DESCRIBE, 200, '{"status":"a","__index":{"x":1},"__newindex":"y","__gc":"z","__proto__":{"status":"b"},'
      .. '"__metatable":"m","__tostring":"t","__name":"n","status":"Completed","1":"one"}')
    local result = assert(describe_once())
    assert.is_nil(getmetatable(result))
    assert.equal("Completed", result.status)
    assert.is_nil(result.x)
    assert.equal("table", type(result.__index))
    assert.is_nil(result[1])
    result.new = 1
    assert.equal(1, rawget(result, "new"))
  end)

  it("is a failure where it could be two things, or no thing", function()
    for _, body in ipairs {
      '{"successCount":1e999}', '{"successCount":1e300}', '{"percentageProgress":0.5}', '{"creationDate":-1e999}',
      '{"status":"\255"}', '{"status":"\\ud800"}', '{"status":"\\udc00\\ud800"}', '{"status":"a\0"}',
      '{"x":' .. ("["):rep(5000) .. ("]"):rep(5000) .. "}", ('{"x":'):rep(5000), "{}{}", "[]", "\239\187\191{}",
    } do
      fault(DESCRIBE, 200, body)
      local result, message, detail = describe_once()
      assert.is_nil(result, body:sub(1, 40))
      attacks.assert_clear_failure(message, detail)
      assert.equal("MalformedResponse", detail.code)
    end
  end)

  it("of many megabytes takes no time to show", function()
    local answers = cli_rig.new()
    for _, filler in ipairs { "x", "\n", "\194\155", "\226\128\174", "\255" } do
      local text = filler:rep(math.floor(2 ^ 24 / #filler))
      answers.answers.describe_thing_registration_task = { { taskId = "full", status = text, message = text } }
      local started = os.clock()
      local code, stdout = answers:run("describe", "full")
      assert.equal(0, code)
      assert.is_true(#stdout < 10000)
      assert_harmless_output(stdout)
      assert.is_true(os.clock() - started < 1)
    end
  end)

  it("leads nowhere by links that are none", function()
    for _, link in ipairs {
      "file:///etc/passwd", "gopher://127.0.0.1:1/x", "ftp://127.0.0.1/", "//127.0.0.1/x", "/etc/passwd", "",
      "https://",
      "https://user:password@localhost/x",
      "https://localhost\\r\\nX-Evil: 1/", "https://localhost/a b",
      "https://localhost/\\u0000", "https://localhost/\\r\\nX-Evil: 1", "https://localhost:0/",
      "https://localhost:99999/", "https://[::1/", "https://local\\u202ehost/", "javascript:alert(1)",
      "http://evil.example:1/\\u001b[2J#x",
    } do
      fault(REPORTS, 200, ('{"resourceLinks":["%s"]}'):format(link))
      local client = rig:client { endpoint = sim.plain_endpoint, retry = { max_attempts = 1 } }
      local ok, failure = pcall(function()
        return client:thing_registration_task_report({ taskId = "full", reportType = "ERRORS" })()
      end)
      client:close()
      assert.is_false(ok, link)
      attacks.assert_clear_failure(failure.message, failure)
      assert.is_nil(failure.message:find("password", 1, true))
    end
    for _, entry in ipairs(sim:journal()) do assert.equal(REPORTS, entry.operation) end
  end)

  it("of STS is no XML that expands, includes or nests", function()
    local bomb = '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">'
    for c in ("bcdefghij"):gmatch "." do
      bomb = bomb .. ('<!ENTITY %s "%s">'):format(c, (("&%s;"):format(string.char(c:byte() - 1))):rep(10))
    end
    local answer = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId>"
      .. "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
      .. "<Expiration>2036-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    for _, body in ipairs {
      bomb .. "]>" .. answer:format "&j;", '<!DOCTYPE a SYSTEM "file:///etc/passwd">' .. answer:format "a",
      '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>' .. answer:format "&e;", answer:format "&e;",
      '<?xml version="1.0"?><?php evil ?>' .. answer:format "a", answer:format "a&#0;b",
      answer:format "a&#13;&#10;X-Evil: 1",
      answer:format(("<a>"):rep(5000)), answer:format(("x"):rep(100000)), answer:format "<AccessKeyId>a</AccessKeyId>",
      ("<a "):rep(20000), "<a" .. (" "):rep(60000), ("&amp;"):rep(13000), "<a>" .. ("<!--"):rep(10000),
      answer:format "<![CDATA[a]]\27>]]>", answer:format "a\255\27[2J",
    } do
      rig:variables { AWS_ENDPOINT_URL_IOT = sim.plain_endpoint }
      rig:config(rig:role_profile "source_profile = user" .. rig:user_profile "profile user")
      sim:fault { kind = "reply", operation = "sts", status = 200, body = body, times = 3 }
      local started = os.clock()
      local result, message, detail = describe_once()
      assert.is_nil(result, body:sub(1, 60))
      attacks.assert_clear_failure(message, detail)
      assert.equal("credentials", detail.kind)
      assert.is_true(os.clock() - started < 1)
      sim:clear()
    end
  end)

  it("of time: far away or past, it ends no call with an error of Lua", function()
    for _, time in ipairs {
      "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999-01-01T00:00:00Z", "2036-99-99T99:99:99Z", "", "1e999",
      "-1",
    } do
      rig:variables { AWS_ENDPOINT_URL_IOT = sim.plain_endpoint,
        AWS_CONTAINER_CREDENTIALS_FULL_URI = sim.container_uri }
      sim:fault { kind = "reply", operation = "container", status = 200, times = 3, body = json.encode {
        AccessKeyId = sim.credentials.access_key_id, SecretAccessKey = sim.credentials.secret_access_key,
        Expiration = time } }
      local result, message, detail = describe_once()
      if result == nil then attacks.assert_clear_failure(message, detail) end
      sim:clear()
    end
    for _, time in ipairs { 1e308, -1e308, 1e15, 9007199254740991, -1, 0 } do
      rig:write_sso_token "dev"
      rig:config(rig:sso_profile "default")
      sim:fault { kind = "reply", operation = "sso", status = 200, times = 3, body = json.encode { roleCredentials = {
        accessKeyId = sim.credentials.access_key_id, secretAccessKey = sim.credentials.secret_access_key,
        sessionToken = "t", expiration = time } } }
      rig:variables { AWS_ENDPOINT_URL_IOT = sim.plain_endpoint }
      local result, message, detail = describe_once()
      if result == nil then attacks.assert_clear_failure(message, detail) end
      sim:clear()
    end
    local started = core.monotonic()
    for _, text in ipairs { ("9"):rep(400), "-1", "1e999", "Fri, 31 Dec 9999 23:59:59 GMT" } do
      fault(DESCRIBE, 429, '{"code":"ThrottlingException"}', { ["Retry-After"] = text, ["x-amz-retry-after"] = text })
      local client = rig:client { endpoint = sim.plain_endpoint, retry = { max_attempts = 2 } }
      local result, message, detail = rig:describe(client, { timeout = 2 })
      client:close()
      if result == nil then attacks.assert_clear_failure(message, detail) end
      sim:clear()
    end
    assert.is_true(core.monotonic() - started < 8)
  end)
end)
