-- The simulator, proven by a client that is not ours: curl.

local json = require "cjson.safe"
local simulator = require "spec.support.simulator"

local START = '{"templateBody":"{}","inputFileBucket":"bkt","inputFileKey":"k",'
  .. '"roleArn":"arn:aws:iam::123456789012:role/x"}'

local function read_file(name)
  local file = io.open(name, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

local function write_file(name, text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
end

local function capture(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; " .. command, "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

describe("the simulator", function()
  local missing = simulator.missing_signer()
  if missing then
    pending(missing) -- without nginx, openssl and a curl that signs there is no service to ask
    return
  end

  local sim

  setup(function() sim = simulator.start { concurrent_tasks = 1000 } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:clear() end)

  -- One curl, signed unless `unsigned`. Options: endpoint, arguments, credentials, max_time.
  -- Returns a record: exit, status, headers by lower-case name, body, document (its JSON), words.
  local function curl(path, options)
    options = options or {}
    local credentials = options.credentials or sim.credentials
    local head, body = sim.folder .. "/curl.head", sim.folder .. "/curl.body"
    os.remove(head)
    os.remove(body)
    local signing = ("--aws-sigv4 aws:amz:%s:iot -u '%s:%s'"):format(sim.region,
      credentials.access_key_id, credentials.secret_access_key)
    if credentials.session_token then
      signing = signing .. " -H 'X-Amz-Security-Token: " .. credentials.session_token .. "'"
    end
    local output = capture(("curl -q -sS --noproxy '*' --max-time %s --cacert '%s' %s %s -D '%s' -o '%s' "
      .. "-w '\\n%%{exitcode} %%{http_code}' '%s' 2>&1"):format(options.max_time or 10, sim.ca_bundle,
      options.unsigned and "" or signing, options.arguments or "", head, body,
      (options.endpoint or sim.endpoint) .. path))
    local answer = { headers = {}, body = read_file(body), words = output }
    local exit, status = output:match("\n(%d+) (%d+)$")
    answer.exit, answer.status = tonumber(exit), tonumber(status)
    for name, value in read_file(head):gmatch("([^:\r\n]+): ([^\r\n]*)") do
      answer.headers[name:lower()] = value
    end
    answer.document = json.decode(answer.body)
    return answer
  end

  local function describe_task(task_id, options)
    return curl("/thing-registration-tasks/" .. task_id, options)
  end

  local function start_task(body, options)
    options = options or {}
    write_file(sim.folder .. "/start.json", body or START)
    options.arguments = "-H 'Content-Type: application/json' --data-binary @" .. sim.folder .. "/start.json"
    return curl("/thing-registration-tasks", options)
  end

  local function assert_refused(status, code, answer)
    assert.equal(status, answer.status)
    assert.equal(code, answer.headers["x-amzn-errortype"])
    assert.is_string(answer.document.message)
  end

  describe("tasks", function()
    it("describes a seeded task with every member as it was given", function()
      local task = { taskId = "task-1", status = "Cancelling", message = "caf\195\169", successCount = 12,
        failureCount = 3, percentageProgress = 40, creationDate = 1555555555.123, lastModifiedDate = 1555555566.5,
        templateBody = "{}", inputFileBucket = "bkt", inputFileKey = "a/b.json", somethingNew = "kept" }
      assert.equal("task-1", sim:seed(task))
      local answer = describe_task "task-1"
      assert.equal(200, answer.status)
      assert.same(task, answer.document)
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal(#answer.body, tonumber(answer.headers["content-length"]))
      assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", answer.headers["x-amzn-requestid"])
      assert.matches("^%a+, %d+ %a+ %d+ [%d:]+ GMT$", answer.headers.date)
      assert.is_nil(answer.headers["x-amzn-errortype"])
    end)

    it("runs a started task to its end", function()
      finally(function() sim:settings { things = 10, failures = 0, seconds = 1 } end)
      sim:settings { things = 8, failures = 2, seconds = 1 }
      local started = start_task()
      assert.equal(200, started.status)
      local task_id = started.document.taskId
      assert.equal(36, #task_id)

      local seen, before = {}, { percentageProgress = 0, successCount = 0, failureCount = 0, lastModifiedDate = 0 }
      for _ = 1, 1000 do
        local task = describe_task(task_id).document
        seen[task.status] = (seen[task.status] or 0) + 1
        for name, value in pairs(before) do
          assert.is_true(task[name] >= value)
          before[name] = task[name]
        end
        if task.status ~= "InProgress" then break end
        assert.is_true(task.percentageProgress < 100)
      end
      assert.is_true(seen.InProgress > 0)
      assert.equal(1, seen.Completed)

      local task = describe_task(task_id).document
      assert.equal(6, task.successCount)
      assert.equal(2, task.failureCount)
      assert.equal(100, task.percentageProgress)
      assert.is_true(math.abs(task.lastModifiedDate - task.creationDate - 1) < 0.002)
      assert.equal("arn:aws:iam::123456789012:role/x", task.roleArn)
      assert.is_nil(task.message)
    end)

    it("shows a task on its way", function()
      local plan = { things = 1000, failures = 100, seconds = 100 }
      local task_id = sim:seed { creationDate = os.time() - 50, plan = plan }
      local task = describe_task(task_id).document
      assert.equal("InProgress", task.status)
      assert.is_true(task.percentageProgress >= 49 and task.percentageProgress <= 52)
      assert.is_true(task.failureCount >= 49 and task.failureCount <= 52)
      assert.is_true(task.successCount >= 440 and task.successCount <= 470)
    end)

    it("lets a task fail as a whole", function()
      local plan = { things = 10, seconds = 2, status = "Failed", message = "bad file" }
      local task = describe_task(sim:seed { creationDate = os.time() - 10, plan = plan }).document
      assert.equal("Failed", task.status)
      assert.equal("bad file", task.message)
      assert.equal(50, task.percentageProgress)
    end)

    it("lets a task be cancelled, which takes its time", function()
      local plan = { things = 10, failures = 2, seconds = 100, status = "Cancelled", message = "by ada" }
      local expected = { [20] = "InProgress", [70] = "Cancelling", [110] = "Cancelled" }
      for age, status in pairs(expected) do
        local task = describe_task(sim:seed { creationDate = os.time() - age, plan = plan }).document
        assert.same({ status, status == "Cancelled" and "by ada" or nil }, { task.status, task.message })
        assert.equal(age > 50 and 50 or 20, math.floor(task.percentageProgress / 10) * 10)
        if age > 50 then assert.same({ 4, 1 }, { task.successCount, task.failureCount }) end
      end
    end)

    it("answers what it does not know", function()
      assert_refused(404, "ResourceNotFoundException", describe_task "unknown")
      assert_refused(403, "MissingAuthenticationTokenException", curl "/thing-registration-jobs")
      assert_refused(403, "MissingAuthenticationTokenException", describe_task("task-1", { arguments = "-X DELETE" }))
      assert_refused(400, "InvalidRequestException", describe_task "a%00b")
    end)

    it("counts the characters of a taskId", function()
      assert_refused(404, "ResourceNotFoundException", describe_task(("x"):rep(40)))
      assert_refused(400, "InvalidRequestException", describe_task(("x"):rep(41)))
    end)

    it("refuses a start that the model does not allow", function()
      local wrong = {
        [""] = "'roleArn'",
        ["[1]"] = "json",
        ["{"] = "json",
        [(START:gsub('"roleArn":"[^"]*"', '"roleArn":null'))] = "'roleArn'.*not be null",
        [(START:gsub('"arn:[^"]*"', '"short"'))] = "'roleArn'.*greater than or equal to 20",
        [(START:gsub('"bkt"', '"b"'))] = "'inputFileBucket'.*greater than or equal to 3",
        [(START:gsub('"bkt"', '"b k t"'))] = "'inputFileBucket'.*regular expression",
        [(START:gsub('"k"', '""'))] = "'inputFileKey'.*greater than or equal to 1",
        [(START:gsub('"{}"', '"' .. ("x"):rep(10241) .. '"'))] = "'templateBody'.*less than or equal to 10240",
        [(START:gsub('"{}"', "7"))] = "'templateBody'.*a string",
      }
      for body, words in pairs(wrong) do
        local answer = start_task(body)
        assert_refused(400, "InvalidRequestException", answer)
        assert.matches(words, answer.document.message)
      end
    end)

    it("takes a template of 10240 characters of more than one byte", function()
      assert.equal(200, start_task((START:gsub('"{}"', '"' .. ("\195\169"):rep(10240) .. '"'))).status)
    end)
  end)

  describe("signatures", function()
    it("are good with the long-lived and the temporary key, over TLS and in the clear", function()
      for _, credentials in ipairs { sim.credentials, sim.temporary_credentials } do
        for _, endpoint in ipairs { sim.endpoint, sim.plain_endpoint } do
          local answer = describe_task("unknown", { credentials = credentials, endpoint = endpoint })
          assert_refused(404, "ResourceNotFoundException", answer)
        end
      end
    end)

    it("expire with the server's clock", function()
      for _, seconds in ipairs { 299 - 20, -299 + 20 } do
        sim:fault { kind = "skew", seconds = seconds }
        assert.equal(404, describe_task("unknown").status)
      end
      sim:fault { kind = "skew", seconds = 310 }
      local answer = describe_task "unknown"
      assert_refused(403, "InvalidSignatureException", answer)
      assert.matches("^Signature expired: %d+T%d+Z is now earlier than ", answer.document.message)

      sim:fault { kind = "skew", seconds = -310 }
      answer = describe_task "unknown"
      assert_refused(403, "InvalidSignatureException", answer)
      assert.matches("^Signature not yet current: ", answer.document.message)

      sim:fault { kind = "skew", seconds = 86400 * 400 }
      assert.not_equal(os.date "!%Y", describe_task("unknown").headers.date:match "%d%d%d%d")
    end)
  end)

  describe("faults", function()
    setup(function() sim:seed { taskId = "b", status = "Completed", message = ("m"):rep(100) } end)

    local function ask(options)
      options = options or {}
      options.endpoint = options.endpoint or sim.plain_endpoint
      return describe_task("b", options)
    end

    it("hit as many requests as they say, then no more", function()
      sim:fault { kind = "reply", status = 503, times = 2 }
      sim:fault { kind = "reply", status = 500 }
      assert.same({ 503, 503, 500, 200 }, { ask().status, ask().status, ask().status, ask().status })
    end)

    it("hit only the operation they name", function()
      sim:fault { kind = "throttle", operation = "StartThingRegistrationTask" }
      assert.equal(200, ask().status)
      assert_refused(400, "ThrottlingException", start_task())
    end)

    it("fire before the signature is looked at, or after the operation", function()
      sim:fault { kind = "reply", status = 500 }
      assert.equal(500, ask({ unsigned = true }).status)
      sim:fault { kind = "reply", status = 500, when = "after" }
      assert.equal(403, ask({ unsigned = true }).status)
      assert.equal(500, ask().status)
      assert.equal(200, ask().status)
    end)

    it("delay", function()
      sim:fault { kind = "delay", seconds = 0.3 }
      assert.equal(28, ask({ max_time = 0.1 }).exit)
      sim:fault { kind = "delay", seconds = 0.01 }
      assert.equal(200, ask().status)
      sim:fault { kind = "reply", status = 503, delay = 0.3 }
      assert.equal(28, ask({ max_time = 0.1 }).exit)
    end)

    it("reset", function()
      sim:fault { kind = "reset", times = 2 }
      local answer = ask()
      assert.equal(56, answer.exit)
      assert.matches("[Rr]eset", answer.words)
      assert.matches("[Rr]eset", ask({ endpoint = sim.endpoint }).words)
    end)

    it("close", function()
      sim:fault { kind = "close", times = 2 }
      assert.equal(52, ask().exit)
      assert.not_equal(0, ask({ endpoint = sim.endpoint }).exit)
    end)

    it("truncate", function()
      for _, endpoint in ipairs { sim.plain_endpoint, sim.endpoint } do
        sim:fault { kind = "truncate" }
        local answer = ask { endpoint = endpoint }
        assert.equal(18, answer.exit)
        assert.equal(math.floor(tonumber(answer.headers["content-length"]) / 2), #answer.body)
      end
      sim:fault { kind = "truncate", bytes = 3 }
      assert.equal('{"', ask().body:sub(1, 2))
      sim:fault { kind = "truncate", bytes = 0 }
      assert.equal(18, ask().exit)
    end)

    it("stall", function()
      for _, endpoint in ipairs { sim.plain_endpoint, sim.endpoint } do
        sim:fault { kind = "stall" }
        local answer = ask { endpoint = endpoint, max_time = 0.2 }
        assert.equal(28, answer.exit)
        assert.is_true(#answer.body > 50)
      end
    end)

    it("drop the connection after a whole answer", function()
      sim:fault { kind = "drop" }
      local url = sim.plain_endpoint .. "/thing-registration-tasks/b"
      -- The second request is on a connection that curl believes to be open, or on a new one.
      local answer = ask { arguments = ("'%s' -o /dev/null"):format(url) }
      assert.equal(0, answer.exit)
      local entries = sim:journal()
      assert.same({ 200, 200 }, { entries[1].status, entries[2].status })
      assert.not_equal(entries[1].connection, entries[2].connection)
    end)

    it("reply with any status, header and byte", function()
      local bytes = {}
      for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
      local body = table.concat(bytes)
      local replies = { [200] = { ["X-A"] = "1" }, [418] = { { "X-A", "1" }, { "X-B", "2" } }, [599] = {} }
      for status, headers in pairs(replies) do
        sim:fault { kind = "reply", status = status, headers = headers, body = body }
        local answer = ask()
        assert.equal(status, answer.status)
        assert.equal(body, answer.body)
        assert.is_nil(answer.headers["content-type"])
        if status ~= 599 then assert.equal("1", answer.headers["x-a"]) end
        if status == 418 then assert.equal("2", answer.headers["x-b"]) end
      end
    end)

    it("reply with what is no JSON, nothing, or very much", function()
      sim:fault { kind = "reply", status = 503, headers = { ["Content-Type"] = "text/html" }, body = "<html>\n</html>" }
      assert.equal("<html>\n</html>", ask().body)
      sim:fault { kind = "reply", status = 200 }
      assert.equal("0", ask().headers["content-length"])
      sim:fault { kind = "reply", status = 204 }
      local answer = ask()
      assert.same({ 0, 204, "" }, { answer.exit, answer.status, answer.body })
      sim:fault { kind = "reply", status = 200, body_bytes = 5000001 }
      assert.equal(5000001, #ask({ endpoint = sim.endpoint }).body)
    end)

    it("send raw bytes", function()
      sim:fault { kind = "raw", body = "no HTTP at all\r\n" }
      assert.not_equal(0, ask().exit)
      sim:fault { kind = "raw", body = "HTTP/1.1 200 \r\n\r\n\0\255" }
      assert.equal("\0\255", ask().body)
    end)

    it("throttle", function()
      sim:fault { kind = "throttle" }
      assert_refused(400, "ThrottlingException", ask())
      sim:fault { kind = "throttle", status = 429, retry_after = 2, retry_after_ms = 1500 }
      local answer = ask()
      assert_refused(429, "TooManyRequestsException", answer)
      assert.equal("2", answer.headers["retry-after"])
      assert.equal("1500", answer.headers["x-amz-retry-after"])
    end)

    it("are refused when they make no sense", function()
      assert.error_matches(function() sim:fault { kind = "explode" } end, "explode")
      assert.error_matches(function() sim:fault { kind = "delay", minutes = 1 } end, "minutes")
      assert.error_matches(function() sim:fault { kind = "reset", when = "later" } end, "when")
      assert.error_matches(function() sim:settings { thingz = 1 } end, "thingz")
      assert.error_matches(function() sim:seed { plan = { things = "many" } } end, "things")
    end)
  end)

  describe("journal", function()
    it("holds what was received and what became of it", function()
      curl("/thing-registration-tasks/a%2Fb?x=%zz&y",
        { arguments = "-H 'X-Twice: 1' -H 'X-Other: \255' -H 'X-Twice:  2 '" })
      start_task()
      sim:fault { kind = "reset" }
      describe_task("x", { endpoint = sim.plain_endpoint, unsigned = true })
      local entries = sim:journal()
      assert.equal(3, #entries)

      local first, second, third = entries[1], entries[2], entries[3]
      assert.equal("GET", first.method)
      assert.equal("/thing-registration-tasks/a%2Fb?x=%zz&y", first.uri)
      assert.equal("DescribeThingRegistrationTask", first.operation)
      assert.matches("^TLSv1%.[23]$", first.tls)
      local ours = {}
      for _, header in ipairs(first.headers) do
        if header[1]:find "^X%-[TO]" then ours[#ours + 1] = header[1] .. "=" .. header[2] end
      end
      assert.same({ "X-Twice=1", "X-Other=\255", "X-Twice=2" }, ours)
      assert.equal("Host", first.headers[1][1])

      assert.same({ "POST", START, 200 }, { second.method, second.body, second.status })
      assert.same({ "reset", nil, nil }, { third.fault, third.status, third.tls })
      assert.is_true(first.connection < second.connection)
    end)

    it("stays without what was under way when it was cleared", function()
      local endpoint = sim.plain_endpoint
      sim:fault { kind = "delay", seconds = 0.3 }
      assert.equal(28, describe_task("old", { endpoint = endpoint, max_time = 0.1 }).exit)
      for _ = 1, 1000 do
        if sim:journal()[1] then break end -- it has come
      end
      sim:clear()
      describe_task("new", { endpoint = endpoint })
      sim:fault { kind = "delay", seconds = 0.3 }
      describe_task("later", { endpoint = endpoint }) -- the old one ends before it
      local entries = sim:journal()
      assert.equal(2, #entries)
      for index, name in ipairs { "new", "later" } do
        assert.same({ "/thing-registration-tasks/" .. name, 404 }, { entries[index].uri, entries[index].status })
      end
    end)

    it("tells which requests shared a connection", function()
      local url = sim.endpoint .. "/thing-registration-tasks/x"
      describe_task("x", { arguments = ("'%s' -o /dev/null"):format(url) })
      local entries = sim:journal()
      assert.equal(2, #entries)
      assert.equal(entries[1].connection, entries[2].connection)
      assert.same({ 404, "ResourceNotFoundException" }, { entries[2].status, entries[2].code })
    end)

    it("is bounded, and can be turned off and cleared", function()
      finally(function() sim:settings { journal_limit = 1000 } end)
      sim:settings { journal_limit = 2 }
      for number = 1, 4 do describe_task("x" .. number, { unsigned = true }) end
      local entries = sim:journal()
      assert.equal(2, #entries)
      assert.equal("/thing-registration-tasks/x3", entries[1].uri)
      assert.equal("/thing-registration-tasks/x4", entries[2].uri)
      sim:settings { journal_limit = 0 }
      sim:clear()
      describe_task("x", { unsigned = true })
      assert.same({}, sim:journal())
    end)
  end)

  describe("TLS", function()
    it("is of an authority that has to be known", function()
      assert.equal(60, describe_task("x", { arguments = "--cacert /etc/ssl/certs/ca-certificates.crt" }).exit)
      local names = { "localhost", "127.0.0.1" }
      if read_file("/proc/net/if_inet6"):find "0001 " then
        names[3] = "[::1]"
      end
      for _, name in ipairs(names) do
        local endpoint = sim.endpoint:gsub("localhost", name)
        assert.equal(404, describe_task("x", { endpoint = endpoint, arguments = "-g" }).status)
      end
    end)

    it("speaks 1.2 and 1.3", function()
      for _, version in ipairs { "1.2", "1.3" } do
        sim:clear()
        describe_task("x", { arguments = ("--tlsv%s --tls-max %s"):format(version, version) })
        assert.equal("TLSv" .. version, sim:journal()[1].tls)
      end
    end)

    it("shows the certificate of another host, and an expired one", function()
      assert.equal(60, describe_task("x", { endpoint = sim.wrong_host_endpoint }).exit)
      assert.equal(404, describe_task("x", { endpoint = sim.wrong_host_endpoint, arguments = "--insecure" }).status)
      local answer = describe_task("x", { endpoint = sim.expired_endpoint })
      assert.equal(60, answer.exit)
      assert.matches("expired", answer.words)
    end)

    it("can be too old", function()
      assert.equal(35, describe_task("x", { endpoint = sim.old_tls_endpoint, arguments = "--tlsv1.2" }).exit)
      local old = "--tlsv1.1 --tls-max 1.1 --ciphers ALL:@SECLEVEL=0"
      if describe_task("x", { endpoint = sim.old_tls_endpoint, arguments = old }).status ~= 404 then
        pending("this OpenSSL has no TLS 1.1")
      end
    end)
  end)

  describe("life", function()
    it("is independent of another simulator's, and ends without a trace", function()
      local other = simulator.start { things = 3, lifetime = 30 }
      assert.not_equal(sim.endpoint, other.endpoint)
      assert.equal(3, other:settings({}).things)
      assert.equal(10, sim:settings({}).things)
      other:stop()
      other:stop()
      assert.equal("", read_file(other.ca_bundle))
      assert.equal(7, curl("/", { endpoint = other.plain_endpoint }).exit)
    end)

    it("goes on after an outage as if nothing had happened", function()
      local other = simulator.start { things = 3, lifetime = 30 }
      finally(function() other:stop() end)
      local url = other.plain_endpoint
      local function ask()
        return curl("/thing-registration-tasks/t", { endpoint = url, credentials = other.credentials })
      end
      other:seed { taskId = "t", status = "Completed" }
      assert.equal(200, ask().status)
      other:fault { kind = "throttle" }
      for _ = 1, 2 do
        other:halt()
        assert.equal(7, ask().exit)
        other:resume()
      end
      assert.equal(400, ask().status)
      assert.equal(200, ask().status)
      assert.equal(3, other:settings({}).things)
      local statuses = {}
      for index, entry in ipairs(other:journal()) do statuses[index] = entry.status end
      assert.same({ 200, 400, 200 }, statuses)
      other:halt()
      other:stop()
      assert.equal("", read_file(other.ca_bundle))
      other:stop()
    end)

    it("ends by itself", function()
      local other = simulator.start { lifetime = 1 }
      capture(("for _ in $(seq 300); do [ -e '%s' ] || break; sleep 0.01; done"):format(other.folder))
      assert.equal("", read_file(other.ca_bundle))
    end)

    it("leads an SDK here and nowhere else", function()
      local environment = sim:environment()
      assert.equal(sim.endpoint, environment.AWS_ENDPOINT_URL_IOT)
      assert.equal(sim.credentials.secret_access_key, environment.AWS_SECRET_ACCESS_KEY)
      local options = sim:options { region = "eu-west-1" }
      assert.same({ "eu-west-1", sim.endpoint, sim.ca_bundle }, { options.region, options.endpoint, options.ca_bundle })
    end)

    it("runs a command with the environment, and returns its exit status", function()
      local script = 'echo "$SIMULATOR_FOLDER $SIMULATOR_TASK_ID $AWS_REGION"; exit 7'
      local output = capture(("spec/simulator/run sh -c '%s'; echo $?"):format(script))
      local folder, task_id, region, status = output:match "^(%S+) (%S+) (%S+)\n(%d+)\n$"
      assert.equal("7", status)
      assert.equal("us-east-1", region)
      assert.equal(36, #task_id)
      assert.equal("", read_file(folder .. "/ca.pem"))
    end)
  end)
end)
