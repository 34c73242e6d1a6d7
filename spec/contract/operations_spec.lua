-- Every operation against the simulator, which checks signatures and keeps a journal with code of its own: what is
-- sent and what comes back, what is refused before it is sent, and what the service refuses. For descriptions
-- in depth see describe_spec.lua.
local core = require "iot.core"
local iot = require "iot"
local environment = require "spec.support.environment"
local failures = require "spec.support.failures"
local model = require "spec.support.service_model"
local simulator = require "spec.support.simulator"

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local START = {
  templateBody = '{"Resources":{}} \195\169 "\\\n', inputFileBucket = "factory", inputFileKey = "a/b.json",
  roleArn = "arn:aws:iam::123456789012:role/x",
}

local TEMPLATE = [[{
  "Parameters": { "ThingName": { "Type": "String" }, "CSR": { "Type": "String", "Default": "csr" } },
  "Resources": {
    "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": { "Ref": "ThingName" } } },
    "certificate": { "Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateSigningRequest": { "Ref": "CSR" }, "Status": "ACTIVE" } }
  }
}]]

local function with(base, changes)
  local copy = {}
  for name, value in pairs(base) do copy[name] = value end
  for name, value in pairs(changes or {}) do copy[name] = value end
  return copy
end

describe("the operations", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, client

  setup(function()
    sim = simulator.start { concurrent_tasks = 100, cancel_seconds = 600 }
    for _, status in ipairs { "Completed", "Failed", "Cancelled", "Cancelling" } do
      for index = 1, 3 do sim:seed { taskId = status .. index, status = status } end
    end
    sim:seed { taskId = "reported", plan = { things = 10, failures = 3, seconds = 0 } }
  end)
  teardown(function() sim:stop() end)

  before_each(function()
    environment.replace()
    sim:clear()
    client = assert(iot.new(sim:options()))
  end)
  after_each(function()
    client:close()
    environment.restore()
  end)

  local function header(entry, wanted)
    for _, pair in ipairs(entry.headers) do
      if pair[1]:lower() == wanted:lower() then return pair[2] end
    end
  end

  -- The one request in the journal: method, uri, body, Content-Type and Content-Length.
  local function sent()
    local entries = sim:journal()
    assert.equal(1, #entries)
    local entry = entries[1]
    assert.is_nil(header(entry, "Transfer-Encoding"))
    assert.is_nil(header(entry, "Expect"))
    return { entry.method, entry.uri, #entry.body, header(entry, "Content-Type"), header(entry, "Content-Length") },
      entry
  end

  local function a_running_task()
    return sim:seed { plan = { things = 100, failures = 10, seconds = 1000 } }
  end

  local function sorted(list)
    local copy = {}
    for index, value in ipairs(list) do copy[index] = value end
    table.sort(copy)
    return copy
  end

  -- Start and stop ---------------------------------------------------------------------------

  it("start a task with all that was said", function()
    local started = assert(client:start_thing_registration_task(START))
    assert.matches(UUID, started.taskId)
    assert.same({ taskId = started.taskId }, started)
    local request, entry = sent()
    local length = #entry.body
    assert.same({ "POST", "/thing-registration-tasks", length, "application/json", tostring(length) }, request)
    assert.same(START, core.decode_json(entry.body))
    local task = assert(client:describe_thing_registration_task { taskId = started.taskId })
    for name, value in pairs(START) do assert.equal(value, task[name]) end
  end)

  it("stop a task, which takes its time, and may be said again meanwhile", function()
    local task_id = a_running_task()
    assert.same({}, assert(client:stop_thing_registration_task { taskId = task_id }))
    assert.same({ "PUT", "/thing-registration-tasks/" .. task_id .. "/cancel", 0, nil, "0" }, (sent()))
    for _ = 1, 2 do
      assert.equal("Cancelling", assert(client:describe_thing_registration_task { taskId = task_id }).status)
      assert.same({}, assert(client:stop_thing_registration_task { taskId = task_id }))
    end
  end)

  it("stop a task, and no task twice", function()
    finally(function() sim:settings { cancel_seconds = 600 } end)
    sim:settings { cancel_seconds = 0 }
    local task_id = a_running_task()
    assert.same({}, assert(client:stop_thing_registration_task { taskId = task_id }))
    assert.equal("Cancelled", assert(client:describe_thing_registration_task { taskId = task_id }).status)
    failures.check({ code = "InvalidRequestException", status = 400, message = "cancelled" },
      client:stop_thing_registration_task { taskId = task_id })
  end)

  it("stop a task of any taskId", function()
    for _, task_id in ipairs { "a/b c", "a%2Fb?c=d#e", "caf\195\169 \240\159\152\128", "!'()*:@,;$[]+~" } do
      sim:seed { taskId = task_id, plan = { things = 100, seconds = 1000 } }
      assert.same({}, assert(client:stop_thing_registration_task { taskId = task_id }))
      local task = assert(client:describe_thing_registration_task { taskId = task_id })
      assert.same({ task_id, "Cancelling" }, { task.taskId, task.status })
    end
  end)

  -- Lists ------------------------------------------------------------------------------------

  -- All items of a list, page by page, and how many there were in each.
  local function pages(operation, params, items)
    local all, sizes, token = {}, {}, nil
    repeat
      local page = assert(client[operation](client, with(params, { nextToken = token })))
      for _, item in ipairs(page[items]) do all[#all + 1] = item end
      sizes[#sizes + 1] = #page[items]
      token = page.nextToken
    until not token or #sizes == 100
    return all, sizes
  end

  it("list tasks, all or those of a state", function()
    local all = assert(client:list_thing_registration_tasks {})
    assert.same({ "GET", "/thing-registration-tasks", 0 }, (sent()))
    local seen = {}
    for _, task_id in ipairs(all.taskIds) do seen[task_id] = true end
    for _, task_id in ipairs { "Completed1", "Failed2", "Cancelled3", "Cancelling1", "reported" } do
      assert.is_true(seen[task_id], task_id)
    end
    local failed = assert(client:list_thing_registration_tasks { status = "Failed" })
    assert.same({ "Failed1", "Failed2", "Failed3" }, sorted(failed.taskIds))
    assert.is_nil(failed.nextToken)
  end)

  it("list tasks in pages, with all there is to say", function()
    local all, sizes = pages("list_thing_registration_tasks", { status = "Failed", maxResults = 2 }, "taskIds")
    assert.same({ "Failed1", "Failed2", "Failed3" }, sorted(all))
    assert.same({ 2, 1 }, sizes)
    local entries = sim:journal()
    assert.equal(2, #entries)
    local query = entries[2].uri:match "^/thing%-registration%-tasks%?(.*)$"
    for _, part in ipairs { "status=Failed", "maxResults=2", "nextToken=" } do assert.matches(part, query, 1, true) end
    assert.is_nil(query:find("[^%w%-._~%%=&]"))
    assert.same({ 200, 200 }, { entries[1].status, entries[2].status })
  end)

  it("list the reports of a task, whose links can be fetched as they are", function()
    for kind, lines in pairs { ERRORS = 3, RESULTS = 7 } do
      sim:clear()
      local page = assert(client:list_thing_registration_task_reports { taskId = "reported", reportType = kind })
      assert.same({ "GET", "/thing-registration-tasks/reported/reports?reportType=" .. kind, 0 }, (sent()))
      assert.equal(kind, page.reportType)
      local count = 0
      for _, link in ipairs(page.resourceLinks) do
        assert.matches("^https://.*[?&]X%-Amz%-Signature=", link)
        local reply = assert(core.request { method = "GET", url = link, ca_bundle = sim.ca_bundle, timeout = 10 })
        assert.equal(200, reply.status, reply.body)
        for line in reply.body:gmatch "[^\n]+" do
          assert.equal("table", type(core.decode_json(line)))
          count = count + 1
        end
      end
      assert.equal(lines, count)
    end
  end)

  it("list the reports of a task in pages, with all there is to say", function()
    finally(function() sim:settings { report_links = 1 } end)
    sim:settings { report_links = 3 }
    local task_id = sim:seed { plan = { things = 10, failures = 3, seconds = 0 } }
    local all, sizes = pages("list_thing_registration_task_reports",
      { taskId = task_id, reportType = "RESULTS", maxResults = 2 }, "resourceLinks")
    assert.equal(3, #all)
    assert.same({ 2, 1 }, sizes)
    local entries = sim:journal()
    assert.same({ 2, 200, 200 }, { #entries, entries[1].status, entries[2].status })
    for _, part in ipairs { "reportType=RESULTS", "maxResults=2", "nextToken=" } do
      assert.matches(part, entries[2].uri, 1, true)
    end
  end)

  -- Register ---------------------------------------------------------------------------------

  it("register a thing with its parameters", function()
    local params = { templateBody = TEMPLATE, parameters = { ThingName = "lamp-1" } }
    local thing = assert(client:register_thing(params))
    local request, entry = sent()
    assert.same({ "POST", "/things", #entry.body, "application/json", tostring(#entry.body) }, request)
    assert.same(params, core.decode_json(entry.body))
    assert.matches("^%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n", thing.certificatePem)
    assert.matches("^arn:aws:iot:[^:]*:%d+:thing/lamp%-1$", thing.resourceArns.thing)
    assert.matches("^arn:aws:iot:[^:]*:%d+:cert/%x+$", thing.resourceArns.certificate)
  end)

  it("register a thing of a template that needs no parameters", function()
    local template = '{"Resources":{"lamp":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"lamp-2"}}}}'
    for _, parameters in ipairs { false, {} } do
      local thing = assert(client:register_thing { templateBody = template, parameters = parameters or nil })
      assert.is_nil(thing.certificatePem)
      assert.matches("thing/lamp%-2$", thing.resourceArns.lamp)
    end
  end)

  -- Refused here -----------------------------------------------------------------------------

  it("send nothing for parameters that can only go wrong", function()
    for _, operation in ipairs(model.operations) do
      local wrong = { with(model.params(operation), { nosuch = "x" }), with(model.params(operation), { "x" }) }
      for _, member in ipairs(operation.input) do
        local value = member.type == "string" and 7 or "x"
        wrong[#wrong + 1] = with(model.params(operation), { [member.name] = value })
        if member.type == "string" then
          wrong[#wrong + 1] = with(model.params(operation), { [member.name] = "\255" })
        end
        if member.required then
          wrong[#wrong + 1] = model.params(operation)
          wrong[#wrong][member.name] = nil
        end
        for _, text in ipairs(member.place == "label" and { "", ".", ".." } or {}) do
          wrong[#wrong + 1] = with(model.params(operation), { [member.name] = text })
        end
      end
      if operation.name == "register_thing" then
        for _, map in ipairs { { a = 1 }, { "a" }, { a = "\255" }, { ["\255"] = "a" } } do
          wrong[#wrong + 1] = { templateBody = "{}", parameters = map }
        end
      end
      for _, params in ipairs(wrong) do
        local result, message, detail = client[operation.name](client, params)
        failures.check({ kind = "validation", code = "InvalidParameter", attempts = 0, operation = operation.name,
          retryable = false, status = false }, result, message, detail)
      end
    end
    assert.same({}, sim:journal())
  end)

  -- Refused there ----------------------------------------------------------------------------

  local function assert_refused(expected, operation, params, with_client)
    local used = with_client or client
    local all = with({ kind = "service", operation = operation, attempts = 1, body = false }, expected)
    local message, detail = failures.check(all, used[operation](used, params))
    assert.matches(UUID, detail.request_id)
    assert.matches(detail.request_id, message, 1, true)
    assert.matches(expected.code, message, 1, true)
  end

  -- What the service made of the requests since the journal was cleared.
  local function assert_answered(codes)
    local found = {}
    for index, entry in ipairs(sim:journal()) do found[index] = entry.code end
    assert.same(codes, found)
  end

  local LIST, REPORTS = "list_thing_registration_tasks", "list_thing_registration_task_reports"
  local STOP = "stop_thing_registration_task"
  local ODD = "a+b/c= \195\169~*&x=1%2B\0\r\n"
  local INVALID = { "InvalidRequestException", 400 }

  -- Operation, parameters, words, and another refusal than the usual one.
  local REFUSED = {
    { "start_thing_registration_task", with(START, { roleArn = "short" }), "rolearn" },
    { "start_thing_registration_task", with(START, { inputFileBucket = "b k" }), "inputfilebucket" },
    { "start_thing_registration_task", with(START, { inputFileKey = "" }), "inputfilekey" },
    { "start_thing_registration_task", with(START, { templateBody = ("\195\169"):rep(10241) }), "templatebody" },
    { STOP, { taskId = ("x"):rep(41) }, "taskid" },
    { STOP, { taskId = "Completed1" }, "" },
    { STOP, { taskId = "Failed1" }, "" },
    { STOP, { taskId = "Cancelled1" }, "" },
    { STOP, { taskId = "no-such-task" }, "no%-such%-task", { "ResourceNotFoundException", 404 } },
    { LIST, { maxResults = 0 }, "maxresults" },
    { LIST, { maxResults = 251 }, "maxresults" },
    { LIST, { maxResults = -1 }, "maxresults" },
    { LIST, { status = "Resting" }, "status" },
    { LIST, { status = "" }, "status" },
    { LIST, { nextToken = "forged" }, "token" },
    { LIST, { nextToken = ODD }, "token" },
    { LIST, { nextToken = ODD, maxResults = 5, status = "InProgress" }, "token" },
    { REPORTS, { taskId = "reported", reportType = "SUMMARY" }, "reporttype" },
    { REPORTS, { taskId = "reported", reportType = "" }, "reporttype" },
    { REPORTS, { taskId = "reported", reportType = "ERRORS", maxResults = 0 }, "maxresults" },
    { REPORTS, { taskId = "reported", reportType = "ERRORS", maxResults = 251 }, "maxresults" },
    { REPORTS, { taskId = "reported", reportType = "ERRORS", nextToken = ODD }, "token" },
    { REPORTS, { taskId = ("x"):rep(41), reportType = "ERRORS" }, "taskid" },
    { "register_thing", { templateBody = ("\195\169"):rep(10241) }, "templatebody" },
    { "register_thing", { templateBody = "{}", parameters = { a = ("v"):rep(4097) } }, "parameter" },
    { "register_thing", { templateBody = "{}", parameters = { [("k"):rep(2049)] = "v" } }, "parameter" },
    { "register_thing", { templateBody = "no JSON" }, "" },
  }
  it("fail when the service finds something wrong, in its words", function()
    local codes = {}
    for index, case in ipairs(REFUSED) do
      local refusal = case[4] or INVALID
      codes[index] = refusal[1]
      assert_refused({ code = refusal[1], status = refusal[2], message = case[3], retryable = false,
        throttled = false }, case[1], case[2])
    end
    assert_answered(codes)
  end)

  it("fail with a token of another list", function()
    local token = assert(client:list_thing_registration_tasks { status = "Failed", maxResults = 1 }).nextToken
    assert.equal("string", type(token))
    assert_refused({ code = "InvalidRequestException", status = 400, message = "token" }, LIST,
      { status = "Completed", maxResults = 1, nextToken = token })
  end)

  it("fail when a thing cannot be registered, or is there already as another", function()
    local function template(attribute)
      return [[{"Parameters":{"Name":{"Type":"String"}},"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":
        {"ThingName":{"Ref":"Name"},"AttributePayload":{"color":"]] .. attribute .. [["}}}}}]]
    end
    assert_refused({ code = "ResourceRegistrationFailureException", status = 400, message = "name", retryable = false },
      "register_thing", { templateBody = template "red", parameters = {} })
    assert(client:register_thing { templateBody = template "red", parameters = { Name = "lamp-4" } })
    assert_refused({ code = "ConflictingResourceUpdateException", status = 409, message = "lamp%-4" },
      "register_thing", { templateBody = template "blue", parameters = { Name = "lamp-4" } })
  end)

  it("fail with a signature that is not good", function()
    local other = assert(iot.new(sim:options { credentials = with(sim.credentials, { secret_access_key = "wrong" }) }))
    finally(function() other:close() end)
    local codes = {}
    for index, operation in ipairs(model.operations) do
      codes[index] = "InvalidSignatureException"
      assert_refused({ code = codes[index], status = 403, retryable = false }, operation.name,
        model.all_params(operation), other)
    end
    assert_answered(codes)
  end)

  -- On the way -------------------------------------------------------------------------------

  it("fail as any call does when something happens on the way", function()
    local CASES = {
      { { kind = "throttle" }, { kind = "service", code = "ThrottlingException", status = 400, throttled = true } },
      { { kind = "reply", status = 503, body = "<html>" }, { kind = "service", code = "503", retryable = true } },
      { { kind = "reply", status = 200, body = "<html>" }, { kind = "response", code = "MalformedResponse" } },
      { { kind = "raw", body = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}" },
        { kind = "transport", code = "ConnectionLost", retryable = true } },
    }
    local faults = {}
    for _ = 1, #model.operations do
      for _, case in ipairs(CASES) do faults[#faults + 1] = case[1] end
    end
    sim:fault(faults)
    for _, operation in ipairs(model.operations) do
      for _, case in ipairs(CASES) do
        local result, message, detail = client[operation.name](client, model.params(operation))
        failures.check(with({ operation = operation.name, attempts = 1 }, case[2]), result, message, detail)
      end
    end
  end)

  it("are tried again, as reading ones and as writing ones", function()
    local patient = assert(iot.new(sim:options { retry = { max_attempts = 2 } }))
    finally(function() patient:close() end)
    local running = a_running_task()
    local calls = {
      start_thing_registration_task = START, stop_thing_registration_task = { taskId = running },
      list_thing_registration_tasks = {}, list_thing_registration_task_reports = { taskId = "reported",
        reportType = "ERRORS" },
      describe_thing_registration_task = { taskId = "reported" },
      register_thing = { templateBody = TEMPLATE, parameters = { ThingName = "lamp-3" } },
    }
    for name, params in pairs(calls) do
      sim:clear()
      sim:fault { kind = "reply", status = 500 }
      assert(patient[name](patient, params))
      local entries = sim:journal()
      assert.same({ 2, 500, 200 }, { #entries, entries[1].status, entries[2].status })
      assert.same({ entries[1].method, entries[1].uri, entries[1].body },
        { entries[2].method, entries[2].uri, entries[2].body })
    end
  end)

  it("go on many at a time, and with the keys of a role", function()
    local role = assert(iot.new(sim:options { credentials = sim.temporary_credentials }))
    finally(function() role:close() end)
    local calls = {}
    for index = 1, 3 do
      calls[#calls + 1] = { LIST, { status = "Failed", maxResults = index } }
      calls[#calls + 1] = { REPORTS, { taskId = "reported", reportType = "RESULTS" } }
      calls[#calls + 1] = { STOP, { taskId = a_running_task() } }
      calls[#calls + 1] = { "start_thing_registration_task", START }
      calls[#calls + 1] = { "register_thing",
        { templateBody = TEMPLATE, parameters = { ThingName = "lamp" .. index } } }
    end
    local results, wrong = iot.map(calls, function(call)
      return role[call[1]](role, call[2])
    end, { concurrency = 8 })
    assert.same({}, wrong)
    for index = 1, 3 do
      local first = (index - 1) * 5
      assert.equal(index, #results[first + 1].taskIds)
      assert.equal("RESULTS", results[first + 2].reportType)
      assert.same({}, results[first + 3])
      assert.matches(UUID, results[first + 4].taskId)
      assert.matches("thing/lamp" .. index .. "$", results[first + 5].resourceArns.thing)
    end
  end)
end)
