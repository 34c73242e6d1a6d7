-- The simulator's reports: the links to them, what is behind a link, and what a link refuses.
local command = require "spec.support.command"
local files = require "spec.support.files"
local json = require "spec.support.json"
local service_calls = require "spec.support.service_calls"
local simulator = require "spec.support.simulator"

local TASKS = "/thing-registration-tasks/"
local TEMPLATE = [[{
  "Parameters": { "Name": { "Type": "String" }, "CSR": { "Type": "String" } },
  "Resources": {
    "device": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": { "Ref": "Name" } } },
    "key": { "Type": "AWS::IoT::Certificate", "Properties": { %s } },
    "rights": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "p" } }
  }
}]]

describe("the simulator's reports", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, calls

  setup(function()
    sim = simulator.start()
    calls = service_calls.new(sim)
  end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  local function ask(id, query) return calls.get(TASKS .. id .. "/reports", query) end

  local function links_of(id, report_type, more)
    local query = { reportType = report_type or "RESULTS" }
    for name, value in pairs(more or {}) do query[name] = value end
    local answer = ask(id, query)
    assert.equal(200, answer.status, answer.body)
    assert.equal(query.reportType, answer.document.reportType)
    return answer.document.resourceLinks, answer.document.nextToken
  end

  local function fetch(url, headers) return calls.send { url = url, headers = headers } end

  local function split(text)
    local lines = {}
    for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal("\n", text:sub(-1))
    return lines
  end

  -- All the lines of a report, and the number of its links.
  local function lines_of(id, report_type)
    local all, links = {}, links_of(id, report_type)
    for _, link in ipairs(links) do
      local answer = fetch(link)
      assert.equal(200, answer.status, answer.body)
      for _, line in ipairs(split(answer.body)) do all[#all + 1] = line end
    end
    return all, #links
  end

  local function seed(things, failures, more)
    local task = { plan = { things = things, failures = failures, seconds = 0 } }
    for name, value in pairs(more or {}) do task[name] = value end
    return sim:seed(task)
  end

  local function assert_refused(status, code, words, answer)
    assert.equal(status, answer.status, answer.body)
    assert.equal("application/xml", answer.headers["content-type"])
    assert.matches("^<%?xml version=\"1.0\" encoding=\"UTF%-8\"%?>\n<Error><Code>" .. code .. "</Code>", answer.body)
    assert.is_truthy(answer.body:find("<Message>" .. words, 1, true), answer.body)
  end

  local EXPIRED = { 403, "AccessDenied", "Request has expired</Message>" }
  local MISMATCH = { 403, "SignatureDoesNotMatch", "The request signature we calculated does not match" }

  local function assert_kind(kind, answer) assert_refused(kind[1], kind[2], kind[3], answer) end

  -- The lines ----------------------------------------------------------------------------------

  it("hold a line for each line of the input file, a success or a failure", function()
    local id, seen = seed(10, 2), {}
    for _, line in ipairs(lines_of(id, "RESULTS")) do
      local record = json.decode(line)
      seen[record.lineNumber] = "success"
      local name = ("thing-%08d"):format(record.lineNumber)
      assert.equal("arn:aws:iot:us-east-1:123456789012:thing/" .. name, record.response.ResourceArns.thing)
      local certificate = record.response.ResourceArns.certificate
      assert.matches("^arn:aws:iot:us%-east%-1:123456789012:cert/%x+$", certificate)
      assert.equal(64, #certificate:match "[^/]*$")
      assert.matches("^%-+BEGIN CERTIFICATE%-+\n[A-Za-z0-9+/=\n]+\n%-+END CERTIFICATE%-+\n$",
        record.response.CertificatePem)
    end
    for _, line in ipairs(lines_of(id, "ERRORS")) do
      local record = json.decode(line)
      seen[record.lineNumber] = "failure"
      assert.equal(1, #record.errors)
      assert.is_true(#record.errors[1].code > 0 and #record.errors[1].message > 0)
      assert.equal(("thing-%08d"):format(record.lineNumber), json.decode(record.input).ThingName)
      assert.equal((#record.input + 1) * (record.lineNumber - 1), record.offset)
    end
    for line = 1, 10 do assert.equal(line % 5 == 0 and "failure" or "success", seen[line]) end
  end)

  it("hold certificates that can be read, each another one", function()
    local seen = {}
    for _, id in ipairs { seed(3, 0), seed(3, 0) } do
      for _, line in ipairs(lines_of(id)) do
        local pem = json.decode(line).response.CertificatePem
        assert.is_nil(seen[pem])
        seen[pem] = true
      end
    end
    local result = command.run({ "openssl", "x509", "-noout", "-subject" }, { input = (next(seen)) })
    assert.same({ 0, "" }, { result.code, result.stderr })
  end)

  it("name the resources of the task's template", function()
    for source, certified in pairs { ['"CertificateSigningRequest": { "Ref": "CSR" }'] = true,
      ['"CertificatePem": { "Ref": "CSR" }'] = true, ['"CertificateId": { "Ref": "CSR" }'] = false } do
      local response = json.decode(lines_of(seed(1, 0, { templateBody = TEMPLATE:format(source) }))[1]).response
      assert.equal(certified, response.CertificatePem ~= nil)
      assert.matches(":thing/thing%-00000001$", response.ResourceArns.device)
      assert.matches(":cert/%x+$", response.ResourceArns.key)
      assert.matches(":policy/", response.ResourceArns.rights)
    end
  end)

  it("tell of errors in any way that is asked for", function()
    local id = seed(8, 4)
    local patterns = {
      list = '^{"lineNumber":%d,"offset":%d+,"errors":%[{"code":"%a+","message":".+"}%],"input":".+"}$',
      text = '^{"lineNumber":%d,"offset":%d+,"errors":"%a+: .+","input":".+"}$',
      response = '^{"lineNumber":%d,"offset":%d+,"response":"%a+: .+"}$',
      plain = "^Line %d: %a+: .+$",
    }
    for way, pattern in pairs(patterns) do
      sim:settings { report_errors = way }
      local lines = lines_of(id, "ERRORS")
      assert.equal(4, #lines)
      for _, line in ipairs(lines) do assert.matches(pattern, line) end
    end
    sim:settings { report_errors = "mixed" }
    local lines = lines_of(id, "ERRORS")
    for index, way in ipairs { "list", "text", "response", "plain" } do assert.matches(patterns[way], lines[index]) end
    assert.error_matches(function() sim:settings { report_errors = "none" } end, "report_errors")
  end)

  it("grow with the task", function()
    local id = sim:seed { creationDate = os.time() - 50, plan = { things = 1000, failures = 100, seconds = 100 } }
    assert.is_true(#lines_of(id, "RESULTS") > 440)
    assert.is_true(#lines_of(id, "ERRORS") > 48)
    calls.put(TASKS .. id .. "/cancel")
    local task = calls.get(TASKS .. id).document
    assert.same({ task.successCount, task.failureCount }, { #lines_of(id, "RESULTS"), #lines_of(id, "ERRORS") })
    assert.same({ 7, 2 }, { #lines_of(sim:seed { successCount = 7, failureCount = 2 }),
      #lines_of(sim:seed { successCount = 7, failureCount = 2 }, "ERRORS") })
  end)

  -- The links ----------------------------------------------------------------------------------

  it("have no links before there is output of their type", function()
    for _, id in ipairs { sim:seed { status = "InProgress" }, seed(0, 0), sim:seed { plan = { seconds = 1000 } } } do
      for _, kind in ipairs { "RESULTS", "ERRORS" } do
        assert.equal(('{"resourceLinks":[],"reportType":"%s"}'):format(kind), ask(id, { reportType = kind }).body)
      end
    end
    assert.same({ 1, 0 }, { #links_of(seed(5, 0)), #links_of(seed(5, 0), "ERRORS") })
    assert.same({ 0, 1 }, { #links_of(seed(5, 5)), #links_of(seed(5, 5), "ERRORS") })
  end)

  it("come in as many parts as are asked for, and in pages", function()
    sim:settings { report_links = 7 }
    local id = seed(50, 2)
    local whole, count = lines_of(id)
    assert.same({ 48, 7 }, { #whole, count })
    local first, token = links_of(id, "RESULTS", { maxResults = 3 })
    local second, third
    sim:settings { report_links = 2 } -- which is no matter of a list that has begun
    second, token = links_of(id, "RESULTS", { maxResults = 3, nextToken = token })
    third, token = links_of(id, "RESULTS", { maxResults = 3, nextToken = token })
    assert.same({ 3, 3, 1 }, { #first, #second, #third })
    assert.is_nil(token)
    local text = ""
    for _, links in ipairs { first, second, third } do
      for _, link in ipairs(links) do text = text .. fetch(link).body end
    end
    assert.same(whole, split(text))
    sim:settings { report_links = 7 }
    assert.equal(2, #links_of(id, "ERRORS")) -- never more than lines
    sim:settings { page_size = 2 }
    assert.equal(2, #links_of(id, "RESULTS"))
  end)

  it("refuse what the model does not allow", function()
    sim:settings { report_links = 3 }
    local id = seed(9, 3)
    local _, token = links_of(id, "RESULTS", { maxResults = 1 })
    local enum = "'reportType' failed to satisfy constraint: Member must satisfy enum value set: [ERRORS, RESULTS]"
    for _, case in ipairs {
      { id, {}, "'reportType' failed to satisfy constraint: Member must not be null" },
      { id, { reportType = "results" }, enum }, { id, { reportType = "" }, enum },
      { id, { reportType = "ERRORS", maxResults = 0 }, "greater than or equal to 1" },
      { id, { reportType = "ERRORS", maxResults = 251 }, "less than or equal to 250" },
      { id, { reportType = "ERRORS", nextToken = token }, "'nextToken'" },
      { id, { reportType = "RESULTS", nextToken = token .. "x" }, "'nextToken'" },
      { seed(9, 3), { reportType = "RESULTS", nextToken = token }, "'nextToken'" },
      { "no-such", { reportType = "RESULTS" }, "no-such" }, { ("x"):rep(41), { reportType = "RESULTS" }, "'taskId'" },
    } do
      local answer = ask(case[1], case[2])
      assert.equal(400, answer.status, answer.body)
      assert.equal("InvalidRequestException", answer.headers["x-amzn-errortype"])
      assert.is_truthy(answer.document.message:find(case[3], 1, true), answer.document.message)
    end
  end)

  it("lead to the simulator's TLS server, and tempt clients to change them", function()
    local id = seed(3, 0, { taskId = "a/b c~" .. tostring({}):match "%x+$" })
    local link = links_of(calls.escape(id))[1]
    assert.equal(sim.endpoint .. "/reports-bucket//", link:match "^https://[^/]+/[^/]+//")
    local path, query = link:match "^https://[^/]+([^?]*)%?(.*)$"
    for _, part in ipairs { "//", "%2f", "%2F", "%2F%2E%2E%2f", "+", "%2B", "~", "'", "(", "*", "!" } do
      assert.is_truthy(path:find(part, 1, true), part)
    end
    for _, part in ipairs { "X-Amz-Algorithm=AWS4-HMAC-SHA256&", "&X-Amz-Credential=", "&X-Amz-Expires=3600&",
      "&X-Amz-SignedHeaders=host&", "&versionId=&&x-id&", ";+", "%22", "~", "%7e", "%20" } do
      assert.is_truthy(query:find(part, 1, true), part)
    end
    assert.matches("&X%-Amz%-Date=%d%d%d%d%d%d%d%dT%d%d%d%d%d%dZ&", query)
    assert.matches("&X%-Amz%-Signature=" .. ("%x"):rep(64) .. "$", query)
    assert.equal(200, fetch(link).status)
    assert.not_equal(link, links_of(calls.escape(id))[1])
    sim:settings { link_dots = true }
    link = links_of(calls.escape(id))[1]
    assert.is_truthy(link:find("/%2E%2E/", 1, true))
    assert.equal(200, fetch(link).status)
    assert_kind(MISMATCH, fetch((link:gsub("/%%2E%%2E/", "/%%2e%%2e/"))))
    assert_kind(MISMATCH, fetch((link:gsub("/[^/]*/%%2E%%2E/", "/"))))
  end)

  it("are refused when a byte is not the one that was signed", function()
    local link = links_of(seed(3, 0))[1]
    local changes = {
      { "%2f", "%2F" }, { "%2f", "/" }, { "//", "/", 9 }, { "%2E%2E", ".." },
      { "%2E%2E", "%2e%2e" }, { "+", "%2B" }, { "+", "%20" },
      { "%2B", "+" }, { "~", "%7E" }, { "%7e", "~" }, { "'", "%27" }, { "*", "%2A" }, { "&versionId=&", "&versionId&" },
      { "&&", "&" }, { "&x-id", "" }, { "X-Amz-Expires=3600", "X-Amz-Expires=7200" }, { "1-3.json", "1-2.json" },
      { "Signature=", "Signature=0" },
    }
    for _, change in ipairs(changes) do
      local from, to = link:find(change[1], change[3] or 1, true)
      local url = link:sub(1, from - 1) .. change[2] .. link:sub(to + 1)
      assert.not_equal(link, url)
      assert_kind(MISMATCH, fetch(url))
    end
    assert_kind(MISMATCH, fetch(link .. "&x=1"))
    assert_kind(MISMATCH, fetch(link .. "&"))
    assert_kind(MISMATCH, fetch((link:gsub("localhost", "127.0.0.1", 1))))
    assert_kind(MISMATCH, calls.send { url = link, method = "PUT", body = "x" })
    assert_refused(403, "AccessDenied", "Access Denied", fetch((link:gsub("&X%-Amz%-Signature=.*", ""))))
    assert_refused(403, "AccessDenied", "Access Denied", fetch(sim.endpoint .. "/reports-bucket/x"))
    assert.equal(200, fetch(link).status)
  end)

  it("take no other authorization, and no header of Amazon's that is not signed", function()
    local link = links_of(seed(3, 0))[1]
    assert_refused(400, "InvalidArgument", "Only one auth mechanism allowed", fetch(link, { { "Authorization", "x" } }))
    assert_refused(403, "AccessDenied", "There were headers present in the request which were not signed",
      fetch(link, { { "X-Amz-Date", "20260101T000000Z" } }))
    assert.equal(200, fetch(link, { { "User-Agent", "x" }, { "Accept", "*/*" } }).status)
  end)

  it("expire", function()
    local id = seed(3, 0)
    local old = links_of(id)[1]
    sim:settings { link_seconds = 0.2, clock = 0 }
    local short = links_of(id)[1]
    assert.is_truthy(short:find("&X-Amz-Expires=1&", 1, true))
    sim:settings { clock = 100 }
    assert_kind(EXPIRED, fetch(short))
    assert.equal(200, fetch(old).status)
    sim:settings { clock = 3601 }
    assert_kind(EXPIRED, fetch(old))
    sim:settings { clock = 0, link_seconds = 3600 }
    assert.equal(200, fetch(old).status)
    sim:expire_links()
    assert_kind(EXPIRED, fetch(old))
    assert.equal(200, fetch(links_of(id)[1]).status)
    sim:settings { link_seconds = -1 }
    assert_kind(EXPIRED, fetch(links_of(id)[1]))
  end)

  it("lead to nothing when the lines are gone", function()
    sim:seed { taskId = "short-lived", successCount = 5, failureCount = 0 }
    local link = links_of("short-lived")[1]
    assert.equal(200, fetch(link).status)
    sim:seed { taskId = "short-lived", successCount = 4, failureCount = 0 }
    assert_refused(404, "NoSuchKey", "The specified key does not exist.", fetch(link))
  end)

  -- How they are served --------------------------------------------------------------------------

  -- The words that a shell script writes, with the link of a report as $1 and the CA bundle as $2.
  local function shell(script, link)
    local result = command.run({ "sh", "-c", "set -e; " .. script, "sh", link, sim.ca_bundle })
    assert.same({ 0, "" }, { result.code, result.stderr })
    return result.stdout
  end

  -- New versions of curl write escapes in upper case, unless they are told what to write.
  local CURL = "curl -q -sS --noproxy '*' --request-target \"/${1#https://*/}\" -g --cacert \"$2\" \"$1\" "

  it("are served as gzip, whatever the client accepts", function()
    local id = seed(3000, 1000)
    for _, kind in ipairs { "RESULTS", "ERRORS" } do
      local link = links_of(id, kind)[1]
      sim:settings { report_encoding = "" }
      local plain = fetch(link)
      assert.is_nil(plain.headers["content-encoding"])
      sim:settings { report_encoding = "gzip" }
      local answer = fetch(link, { { "Accept-Encoding", "identity" } })
      assert.equal("gzip", answer.headers["content-encoding"])
      assert.equal(#answer.body, tonumber(answer.headers["content-length"]))
      assert.is_true(#answer.body < #plain.body / 5)
      local result = command.run({ "gzip", "-dc" }, { input = answer.body })
      assert.same({ 0, "" }, { result.code, result.stderr })
      assert.is_true(plain.body == result.stdout)
    end
  end)

  it("can be much too long for memory", function()
    local link = links_of(seed(100000, 10000))[1]
    local size = tonumber(fetch(links_of(seed(1, 0))[1]).headers["content-length"]) * 90000
    local words = shell(CURL .. "| awk 'END { print NR, $0 }' | tail -c 99 ", link)
    assert.matches("thing%-00099999", words)
    local lines, bytes = shell(CURL .. "| wc -lc", link):match "(%d+)%s+(%d+)"
    assert.equal("90000", lines)
    assert.is_true(tonumber(bytes) > size and tonumber(bytes) < size * 1.01)
    local status = files.read(("/proc/%d/status"):format(sim.pid))
    local peak = status and tonumber(status:match "VmHWM:%s*(%d+) kB")
    assert.is_true(not peak or peak < 100000, peak)
  end)

  it("stand in the journal, and meet faults", function()
    local link = links_of(seed(3000, 0))[1]
    local size = tonumber(fetch(link).headers["content-length"])
    sim:clear()
    local faults = { { kind = "truncate" }, { kind = "truncate", bytes = 1000001 }, { kind = "reset" },
      { kind = "drop" }, { kind = "reply", status = 503, body = "slow down" } }
    for _, fault in ipairs(faults) do fault.operation, fault.when = "report", "after" end
    sim:fault(faults)
    local script = "words=$(" .. CURL:gsub("%-sS", "-s") .. "-o /dev/null -w '%{http_code} %{size_download}') "
      .. "&& exit=0 || exit=$?; printf '%s %s' $exit \"$words\""
    local seen = {}
    for index = 1, 6 do seen[index] = shell(script, link) end
    assert.equal(("18 200 %d"):format(math.floor(size / 2)), seen[1])
    assert.equal("18 200 1000001", seen[2])
    assert.matches("^%d+ 000 0$", seen[3])
    assert.equal(("0 200 %d"):format(size), seen[4])
    assert.equal("0 503 9", seen[5])
    assert.equal(("0 200 %d"):format(size), seen[6])

    local entries = sim:journal()
    assert.equal(6, #entries)
    for _, entry in ipairs(entries) do
      assert.equal("report", entry.operation)
      assert.equal(link, sim.endpoint .. entry.uri)
    end
    assert.same({ 200, "truncate" }, { entries[1].status, entries[1].fault })
    fetch(link .. "&")
    assert.equal("SignatureDoesNotMatch", sim:journal()[7].code)
  end)
end)
