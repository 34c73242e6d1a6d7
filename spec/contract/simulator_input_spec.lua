-- What the simulator makes of an input file that it was given, line by line, and of RegisterThing.
local json = require "spec.support.json"
local service_calls = require "spec.support.service_calls"
local simulator = require "spec.support.simulator"

local TASKS = "/thing-registration-tasks"
local KEY = "input's/(1)+2,!*.json"
local ARN = "arn:aws:iot:us-east-1:123456789012:"

local THING = { Type = "AWS::IoT::Thing", Properties = { ThingName = { Ref = "Name" } } }

-- A template with these resources instead of the one thing, and these parameters besides Name.
local function template(resources, parameters)
  local all = { Name = { Type = "String" } }
  for name, parameter in pairs(parameters or {}) do all[name] = parameter end
  return json.encode { Parameters = all, Resources = resources or { thing = THING } }
end

local function policy(properties) return { p = { Type = "AWS::IoT::Policy", Properties = properties } } end
local function certificate(properties) return { c = { Type = "AWS::IoT::Certificate", Properties = properties } } end
local function thing(changes)
  local one = { Type = THING.Type, Properties = THING.Properties }
  for name, value in pairs(changes) do one[name] = value end
  return { thing = one }
end

describe("the simulator's registrations", function()
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
  before_each(function()
    sim:reset()
    sim:forget()
    sim:settings { concurrent_tasks = 1000, seconds = 0 }
  end)

  local function start_task(text, body)
    if text then sim:put_object("factory", KEY, text) end
    return calls.post(TASKS, { templateBody = body or template(), inputFileBucket = "factory",
      inputFileKey = text and KEY or "absent", roleArn = "arn:aws:iam::123456789012:role/x" })
  end

  local function describe_task(id) return calls.get(TASKS .. "/" .. id).document end

  -- The decoded lines of a report, by line number; and its text.
  local function report(id, kind)
    local records, text = {}, ""
    for _, link in ipairs(calls.get(TASKS .. "/" .. id .. "/reports", { reportType = kind }).document.resourceLinks) do
      local answer = calls.send { url = link }
      assert.equal(200, answer.status, answer.body)
      text = text .. answer.body
    end
    for line in text:gmatch "([^\n]*)\n" do
      local record = json.decode(line)
      assert.is_nil(records[record.lineNumber])
      records[record.lineNumber] = record
    end
    return records, text
  end

  -- Processes a file to its end; returns the description, the results and the errors by line number.
  local function process(text, body)
    local answer = start_task(text, body)
    assert.equal(200, answer.status, answer.body)
    local id = answer.document.taskId
    return describe_task(id), report(id, "RESULTS"), report(id, "ERRORS")
  end

  local function count(records)
    local total = 0
    for _ in pairs(records) do total = total + 1 end
    return total
  end

  -- Lines --------------------------------------------------------------------------------------

  it("process each line of the input file", function()
    local lines = { '{"Name":"a"}', '{ "Name" : "b:_-9" }', '{"Name":"a"}', '{"Name":"c"}' }
    local task, results, errors = process(table.concat(lines, "\n") .. "\n")
    assert.same({ "Completed", 3, 1, 100 },
      { task.status, task.successCount, task.failureCount, task.percentageProgress })
    assert.is_nil(task.message)
    assert.same({ lineNumber = 1, offset = 0, response = { ResourceArns = { thing = ARN .. "thing/a" } } }, results[1])
    assert.same({ thing = ARN .. "thing/b:_-9" }, results[2].response.ResourceArns)
    assert.equal(#lines[1] + 1, results[2].offset)
    assert.same({ 3, 1 }, { count(results), count(errors) })
    assert.equal(lines[3], errors[3].input)
    assert.equal(#lines[1] + #lines[2] + 2, errors[3].offset)
    assert.matches("earlier line", errors[3].errors[1].message)
  end)

  it("fail lines for their reasons, and no others", function()
    local long = ("\195\169"):rep(2049)
    local parameters = { Other = { Type = "String", Default = "d" } }
    local bad = {
      { "", "blank" }, { "  \t", "blank" }, { "x", "not a JSON object" }, { '["a"]', "not a JSON object" },
      { '"a"', "not a JSON object" }, { "null", "not a JSON object" }, { '{"Name":"a1"', "not a JSON object" },
      { '{"Name":"a2"}{}', "not a JSON object" }, { '{"Name":"a3"},', "not a JSON object" },
      { '\239\187\191{"Name":"a4"}', "not a JSON object" }, { '{"Name":"\255"}', "UTF%-8" },
      { '{"Name":"\237\160\128"}', "UTF%-8" }, { '{"Name":7}', "Name is not a string" },
      { '{"Name":null}', "Name is not a string" }, { '{"Name":["a"]}', "Name is not a string" },
      { '{"Name":"a5","Other":true}', "Other is not a string" }, { "{}", "Name is missing" },
      { '{"Other":"x"}', "Name is missing" }, { '{"Name":"a6","More":"x"}', "More is no parameter" },
      { '{"Name":"a7","' .. long .. '":"x"}', "longer than 2048" },
      { '{"Name":"a8","Other":"' .. ("\195\169"):rep(4097) .. '"}', "longer than 4096" },
      { '{"Name":""}', "not empty" }, { '{"Name":"a b"}', "thing name" }, { '{"Name":"\195\169"}', "thing name" },
      { '{"Name":"' .. ("x"):rep(129) .. '"}', "thing name" }, { '{"Name":"a/b"}', "thing name" },
      { '{"Name":"good-1"}', "good%-1 has been registered by an earlier line" },
    }
    local good = { '{"Name":"good-1"}', '{"Name":"a1","Other":"' .. ("\195\169"):rep(4096) .. '"}\r',
      '\t{"Name":"a2"} ', '{"Name":"' .. ("x"):rep(128) .. '"}', '{"Na\\u006de":"good-\\u0032"}' }
    local lines = {}
    for index, line in ipairs(good) do lines[index] = line end
    for index, case in ipairs(bad) do lines[#good + index] = case[1] end

    local task, results, errors = process(table.concat(lines, "\n"), template(nil, parameters))
    assert.same({ #good, #bad }, { count(results), count(errors) })
    assert.same({ #good, #bad }, { task.successCount, task.failureCount })
    for index in ipairs(good) do assert.is_truthy(results[index], lines[index]) end
    for index, case in ipairs(bad) do
      local record = errors[#good + index]
      assert.matches(case[2], record.errors[1].message)
      assert.matches("^%a+Exception$", record.errors[1].code)
      if case[2] ~= "UTF%-8" then assert.equal(case[1], record.input) end
    end
  end)

  it("see a byte order mark, and what ends the last line", function()
    local _, results, errors = process('\239\187\191{"Name":"a"}\n{"Name":"a"}')
    assert.matches("byte order mark", errors[1].errors[1].message)
    assert.is_truthy(results[2])
    for text, lines in pairs { ['{"Name":"a"}'] = 1, ['{"Name":"a"}\n'] = 1, ['{"Name":"a"}\n\n'] = 2, ["\n"] = 1,
      [""] = 0 } do
      local task = process(text)
      assert.same({ lines, "Completed" }, { task.successCount + task.failureCount, task.status })
    end
  end)

  it("put parameters, defaults and joins into the template", function()
    local body = template({
      device = { Type = THING.Type,
        Properties = { ThingName = { ["Fn::Join"] = { "-", { "x", { Ref = "Name" }, "y" } } } } },
      key = { Type = "AWS::IoT::Certificate", Properties = { CertificateSigningRequest = { Ref = "CSR" } } },
      rights = { Type = "AWS::IoT::Policy", Properties = { PolicyName = { Ref = "Policy" } } },
    }, { CSR = { Type = "String" }, Policy = { Type = "String", Default = "reader" } })
    local _, results = process('{"Name":"a","CSR":"csr"}\n{"Name":"b","CSR":"csr","Policy":"writer"}\n', body)
    local arns = results[1].response.ResourceArns
    assert.same({ ARN .. "thing/x-a-y", ARN .. "policy/reader" }, { arns.device, arns.rights })
    assert.matches(":cert/" .. ("%x"):rep(64) .. "$", arns.key)
    assert.equal(ARN .. "policy/writer", results[2].response.ResourceArns.rights)
    assert.not_equal(arns.key, results[2].response.ResourceArns.key)
    assert.matches("^%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n", results[1].response.CertificatePem)
    assert.not_equal(results[1].response.CertificatePem, results[2].response.CertificatePem)
  end)

  it("take certificates and policies as they are given", function()
    local one = { X = { Type = "String" } }
    local line = '{"Name":"a","X":"a \\"text\\"\\n"}'
    local _, results = process(line, template(certificate { CertificatePem = { Ref = "X" } }, one))
    assert.equal('a "text"\n', results[1].response.CertificatePem)
    _, results = process(line, template(certificate { CertificateId = "id" }, one))
    assert.is_nil(results[1].response.CertificatePem)
    assert.equal(ARN .. "cert/id", results[1].response.ResourceArns.c)
    local errors
    line = line .. '\n{"Name":"b","X":"{}"}'
    _, results, errors = process(line, template(policy { PolicyDocument = { Ref = "X" } }, one))
    assert.matches("policy document", errors[1].errors[1].message)
    assert.matches(":policy/%x+$", results[2].response.ResourceArns.p)
  end)

  -- Templates ----------------------------------------------------------------------------------

  it("refuse a start whose template is no JSON object, and only where there is an input file", function()
    for _, body in ipairs { "", "x", "[1]", "[]", '"{}"', "null", "{" } do
      local answer = start_task("{}", body)
      assert.same({ 400, "InvalidRequestException" }, { answer.status, answer.headers["x-amzn-errortype"] })
      assert.matches("JSON", answer.document.message)
      assert.equal(200, start_task(nil, body).status)
    end
    assert.equal(400, start_task("{}", (" "):rep(10239) .. "{}").status)
    assert.equal(200, start_task("{}", (" "):rep(10238) .. "{}").status)
    assert.equal("Completed", process('{"Name":"a"}').status)
  end)

  it("end as Failed when the template means nothing", function()
    local wrong = {
      ["{}"] = "Resources", ['{"Resources":{}}'] = "Resources", ['{"Resources":7}'] = "Resources",
      ['{"Parameters":7,"Resources":{}}'] = "Parameters",
      [template(nil, { X = { Type = "Number" } })] = "X must have the Type String",
      [template(nil, { X = {} })] = "X must have the Type String",
      [template(nil, { X = { Type = "String", Default = 7 } })] = "Default of parameter X",
      [template { x = { Type = "AWS::IoT::Rule", Properties = {} } }] = "Resource x .*Types",
      [template { x = { Type = "AWS::IoT::Thing" } }] = "Resource x must have Properties",
      [template(thing { Properties = { ThingName = { Ref = "Nam" } } })] = "Ref to Nam",
      [template(thing { Properties = { ThingName = { Ref = 7 } } })] = "Ref to 7",
      [template(thing { Properties = { ThingName = "x", A = { a = { { Ref = "No" } } } } })] = "Ref to No",
      [template(thing { Properties = {} })] = "exactly one of ThingName",
      [template(thing { Properties = { ThingName = { ["Fn::Join"] = { "-" } } } })] = "Fn::Join",
      [template(thing { Properties = { ThingName = { ["Fn::Join"] = { "-", { { Ref = "No" } } } } } })] = "Ref to No",
      [template(thing { Properties = { ThingName = { ["Fn::Sub"] = "x" } } })] = "Fn::Sub",
      [template(thing { OverrideSettings = { ThingTypeName = "IGNORE" } })] = "OverrideSettings .*DO_NOTHING",
      [template(thing { OverrideSettings = "REPLACE" })] = "OverrideSettings",
      [template(certificate { Status = "ACTIVE" })] = "exactly one of CertificateSigningRequest",
      [template(certificate { CertificateSigningRequest = "x", CertificateId = "y" })] = "exactly one of",
      [template(policy { PolicyName = "x", PolicyDocument = "{}" })] = "exactly one of PolicyName, PolicyDocument",
      [template(policy {})] = "exactly one of PolicyName, PolicyDocument",
    }
    for body, words in pairs(wrong) do
      local task, results, errors = process('{"Name":"a"}\n', body)
      assert.same({ "Failed", 0, 0, 0 }, { task.status, task.successCount, task.failureCount, task.percentageProgress },
        body)
      assert.matches(words, task.message)
      assert.same({ {}, {} }, { results, errors })
    end
  end)

  it("allow each override setting", function()
    for _, value in ipairs { "DO_NOTHING", "REPLACE", "FAIL", "MERGE" } do
      assert.equal("Completed",
        process('{"Name":"a"}', template(thing { OverrideSettings = { ThingGroups = value } })).status)
    end
  end)

  -- Time ---------------------------------------------------------------------------------------

  it("grow with time, with the failures where they are", function()
    sim:settings { seconds = 100 }
    local lines = {}
    for number = 1, 1000 do lines[number] = number <= 200 and "x" or ('{"Name":"t%d"}'):format(number) end
    local id = start_task(table.concat(lines, "\n")).document.taskId
    local task = describe_task(id)
    assert.same({ "InProgress", 0 }, { task.status, task.successCount })
    sim:settings { clock = 15 }
    task = describe_task(id)
    assert.is_true(task.failureCount >= 149 and task.failureCount < 170 and task.successCount == 0, task.failureCount)
    sim:settings { clock = 50 }
    calls.put(TASKS .. "/" .. id .. "/cancel")
    sim:settings { clock = 200 }
    task = describe_task(id)
    assert.equal("Cancelled", task.status)
    assert.same({ 200, true }, { task.failureCount, task.successCount >= 299 and task.successCount < 320 })
    assert.same({ task.successCount, 200 }, { count(report(id, "RESULTS")), count(report(id, "ERRORS")) })
    assert.equal(10, start_task(nil).status == 200 and sim:settings({}).things)
  end)

  it("outlast the file and an outage, in several parts and in gzip", function()
    local lines = {}
    for number = 1, 500 do lines[number] = ('{"Name":"t%d"}'):format(number % 490) end
    local id = start_task(table.concat(lines, "\n")).document.taskId
    local _, results = report(id, "RESULTS")
    local _, errors = report(id, "ERRORS")
    sim:put_object("factory", KEY, "x")
    sim:halt()
    sim:resume()
    sim:settings { report_links = 7 }
    assert.equal(results, select(2, report(id, "RESULTS")))
    assert.equal(errors, select(2, report(id, "ERRORS")))
    sim:settings { report_errors = "plain", report_links = 1 }
    local link = calls.get(TASKS .. "/" .. id .. "/reports", { reportType = "ERRORS" }).document.resourceLinks[1]
    assert.matches("^Line 491: %a+Exception: ", calls.send({ url = link }).body:match "Line 491.*" or "")
    sim:settings { report_encoding = "gzip" }
    assert.equal("\31\139", calls.send({ url = link }).body:sub(1, 2))
  end)

  it("take ten thousand lines", function()
    local lines = {}
    for number = 1, 10000 do
      lines[number] = ('{"Name":"t%d","CSR":"%s"}'):format(number, ("A"):rep(600))
    end
    local body = template({ thing = THING, key = certificate({ CertificateSigningRequest = { Ref = "CSR" } }).c },
      { CSR = { Type = "String" } })
    local task, results = process(table.concat(lines, "\n"), body)
    assert.same({ 10000, 0, 10000 }, { task.successCount, task.failureCount, count(results) })
    assert.equal(ARN .. "thing/t9999", results[9999].response.ResourceArns.thing)
  end)

  it("take input files of names that a task can have only", function()
    assert.error_matches(function() sim:put_object("b", "key", "x") end, "inputFileBucket")
    assert.error_matches(function() sim:put_object("bucket", "a?b", "x") end, "inputFileKey")
    local url = sim.control .. "/objects/bucket/a%2Fb.json"
    local put = calls.send { method = "PUT", url = url, body = '{"Name":"a"}\n\n' }
    assert.same({ 200, '{"bytes":14}' }, { put.status, put.body })
    local started = calls.post(TASKS, { templateBody = template(), inputFileBucket = "bucket",
      inputFileKey = "a/b.json", roleArn = "arn:aws:iam::123456789012:role/x" }).document.taskId
    assert.equal(1, describe_task(started).failureCount)
    sim:put_object("bucket", "../a/./b", "{}")
    sim:forget()
    assert.equal(10, describe_task(start_task(nil).document.taskId).successCount)
  end)

  -- RegisterThing --------------------------------------------------------------------------------

  local function register(body, parameters)
    return calls.post("/things", { templateBody = body, parameters = parameters })
  end

  local function assert_refused(status, code, words, answer)
    assert.same({ status, code }, { answer.status, answer.headers["x-amzn-errortype"] })
    assert.matches(words, answer.document.message)
  end

  it("register one thing at once", function()
    local body = template({ thing = THING, key = certificate({ CertificateSigningRequest = { Ref = "CSR" } }).c },
      { CSR = { Type = "String", Default = "csr" } })
    local answer = register(body, { Name = "gateway-1" })
    assert.equal(200, answer.status, answer.body)
    assert.matches("^%-%-%-%-%-BEGIN CERTIFICATE", answer.document.certificatePem)
    assert.equal(ARN .. "thing/gateway-1", answer.document.resourceArns.thing)
    assert.matches(":cert/%x+$", answer.document.resourceArns.key)
    assert.equal(200, register(body, { Name = "gateway-1" }).status) -- nothing new
    local unnamed = thing { Properties = { ThingName = "fixed" } }
    answer = register(template(unnamed, { Name = { Type = "String", Default = "" } }))
    assert.same({ 200, ('{"resourceArns":{"thing":"%sthing\\/fixed"}}'):format(ARN) }, { answer.status, answer.body })
  end)

  it("refuse one thing for what is wrong with the request, or with the thing", function()
    local invalid, failed = "InvalidRequestException", "ResourceRegistrationFailureException"
    local long = ("x"):rep(4097)
    local good = { Name = "a" }
    for _, case in ipairs {
      { invalid, "JSON", "x", good }, { invalid, "'templateBody'.*10240", ("x"):rep(10241), good },
      { invalid, "'templateBody'.*null", nil, good }, { invalid, "Name is not a string", template(), { Name = 7 } },
      { invalid, "not a map", template(), "x" }, { invalid, "not a map", template(), { "x" } },
      { invalid, "4096", template(), { Name = long } }, { invalid, "2048", template(), { [long] = "x" } },
      { failed, "Name is missing", template(), nil },
      { failed, "X is no parameter", template(), { Name = "a", X = "" } },
      { failed, "thing name", template(), { Name = "a b" } }, { failed, "Resources", "{}", good },
      { failed, "exactly one", template(certificate {}), good },
    } do
      assert_refused(400, case[1], case[2], register(case[3], case[4]))
    end
    assert_refused(400, invalid, "json", calls.post("/things", "[1]"))
  end)

  it("refuse other attributes for a thing that there is, unless they may be changed", function()
    local function with(color, override)
      return template(thing { OverrideSettings = override, Properties = { ThingName = { Ref = "Name" },
        AttributePayload = { Attributes = { color = color } } } })
    end
    assert.equal(200, register(with "red", { Name = "a" }).status)
    assert.equal(200, register(with "blue", { Name = "b" }).status)
    assert_refused(409, "ConflictingResourceUpdateException", "Thing a already exists",
      register(with "blue", { Name = "a" }))
    assert.equal(409, register(with("blue", { AttributePayload = "FAIL" }), { Name = "a" }).status)
    assert.equal(200, register(with("blue", { AttributePayload = "REPLACE" }), { Name = "a" }).status)
    assert.equal(200, register(with "blue", { Name = "a" }).status)
  end)
end)
