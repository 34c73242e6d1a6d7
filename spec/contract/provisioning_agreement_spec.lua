-- What iot.check_provisioning says of a template and an input, held against what the simulated service does with
-- them: it reads both with code of its own.
local iot = require "iot"
local random = require "spec.support.random"
local simulator = require "spec.support.simulator"

local TEMPLATE = [=[{
  "Parameters": {
    "Serial": { "Type": "String" }, "Model": { "Type": "String", "Default": "G2" },
    "CSR": { "Type": "String" }, "Spare": { "Type": "String" }
  },
  "Resources": {
    "thing": { "Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": { "Fn::Join": ["-", ["gateway", { "Ref": "Serial" }]] },
      "AttributePayload": { "m": { "Ref": "Model" } } } },
    "certificate": { "Type": "AWS::IoT::Certificate", "Properties": { "CertificateSigningRequest": { "Ref": "CSR" } } }
  }
}]=]

-- Each makes a line that will not do; gets the number of the line, and of a good one before it.
local FAULTS = {
  function() return "" end,
  function() return "  " end,
  function() return "no JSON" end,
  function() return '["Serial"]' end,
  function() return '"text"' end,
  function(n) return ('{"Serial":"%d","CSR":"c"'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":"c"},'):format(n) end,
  function(n) return ('{"Serial":%d,"CSR":"c"}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":null}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":true}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":["c"]}'):format(n) end,
  function(n) return ('{"Serial":"%d"}'):format(n) end,
  function() return '{"CSR":"c"}' end,
  function() return "{}" end,
  function(n) return ('{"Serial":"%d","CSR":"c","Extra":"x"}'):format(n) end,
  function(n) return ('{"serial":"%d","CSR":"c"}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":"%s"}'):format(n, ("x"):rep(4097)) end,
  function(n) return ('{"Serial":"%d","CSR":"c","%s":"x"}'):format(n, ("n"):rep(2049)) end,
  function(n) return ('{"Serial":"a b%d","CSR":"c"}'):format(n) end,
  function(n) return ('{"Serial":"%d%s","CSR":"c"}'):format(n, ("x"):rep(121)) end,
  function(n) return ('{"Serial":"%d","CSR":"caf\233"}'):format(n) end,
  function(_, before) return before and ('{"Serial":"%d","CSR":"again"}'):format(before) end,
}

-- And these will do, though they look odd.
local ODDITIES = {
  function(n) return ('{"Serial":"%d","CSR":"c"}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":"c","Model":""}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":"c","Spare":"unused"}'):format(n) end,
  function(n) return ('  {"Serial" : "%d" , "CSR" : "c"}  \r'):format(n) end,
  function(n) return ('{"CSR":"-----BEGIN\\nX\\n","Serial":"%d"}'):format(n) end,
  function(n) return ('{"Serial":"%d","CSR":"%s"}'):format(n, ("\195\169"):rep(4096)) end,
  function(n) return ('{"Serial":"\\u0041%d","CSR":"\\ud83d\\ude00"}'):format(n) end,
}

local function input_of(numbers)
  local lines, good = {}, nil
  for n = 1, 20 do
    local is_bad = numbers:chance(30)
    lines[n] = numbers:pick(is_bad and FAULTS or ODDITIES)(n, good) or ODDITIES[1](n)
    if not is_bad and not lines[n]:find "u0041" then good = n end
  end
  return table.concat(lines, "\n") .. (numbers:chance(50) and "\n" or "")
end

describe("a check before the start and the service", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim, client

  setup(function()
    sim = simulator.start { seconds = 0, concurrent_tasks = 1000 }
    client = assert(iot.new(sim:options()))
  end)
  teardown(function()
    client:close()
    sim:stop()
  end)

  -- The description of a task with this template and input; or nil and the code of a refusal.
  local function task_of(template, input)
    sim:put_object("bucket", "input.json", input)
    local started, message, detail = client:start_thing_registration_task {
      templateBody = template, inputFileBucket = "bucket", inputFileKey = "input.json",
      roleArn = "arn:aws:iam::123456789012:role/x",
    }
    if not started then
      assert.equal("InvalidRequestException", detail.code, message)
      return nil
    end
    return assert(client:describe_thing_registration_task(started))
  end

  local function failed_by_service(task)
    local failed = {}
    for record in client:thing_registration_task_report { taskId = task.taskId, reportType = "ERRORS" } do
      failed[#failed + 1] = record:input_line()
    end
    table.sort(failed)
    assert.equal(#failed, task.failureCount)
    return failed
  end

  local function failed_by_check(template, input)
    local failed = {}
    local result = assert(iot.check_provisioning(template, input, { on_problem = function(problem)
      assert.equal("input", problem.where, problem.message)
      if failed[#failed] ~= problem.line then failed[#failed + 1] = problem.line end
    end }))
    assert.equal(#failed, result.failed_lines)
    return failed, result.lines
  end

  it("fail the same lines", function()
    local numbers = random.new(tonumber(os.getenv "IOT_SPEC_SEED") or 5)
    for _ = 1, 25 do
      local input = input_of(numbers)
      sim:forget()
      local task = task_of(TEMPLATE, input)
      local failed, count = failed_by_check(TEMPLATE, input)
      assert.same(failed_by_service(task), failed, input)
      assert.equal(task.successCount + task.failureCount, count)
    end
  end)

  it("fail each bad line, and let each odd one pass", function()
    local lines = {}
    for i, fault in ipairs(FAULTS) do lines[#lines + 1] = fault(i, 1) end
    local bad = #lines
    for i, oddity in ipairs(ODDITIES) do lines[#lines + 1] = oddity(100 + i) end
    -- One good line first, for the one that is there twice.
    local input = '{"Serial":"1","CSR":"c"}\n' .. table.concat(lines, "\n")
    local task = task_of(TEMPLATE, input)
    local failed = failed_by_check(TEMPLATE, input)
    assert.equal(bad, #failed)
    assert.same(failed_by_service(task), failed)
  end)

  local function resource(properties, kind, more)
    return ('{"Parameters":{"N":{"Type":"String"}},"Resources":{"r":{"Type":"AWS::IoT::%s","Properties":{%s}%s}}}')
      :format(kind or "Thing", properties, more or "")
  end

  local NAMED = '"ThingName":{"Ref":"N"}'
  local TEMPLATES = {
    { true, "a thing", resource '"ThingName":{"Ref":"N"}' },
    { true, "no parameters", '{"Resources":{"r":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"p"}}}}' },
    { true, "an override", resource(NAMED, nil, ',"OverrideSettings":{"ThingGroups":"DO_NOTHING"}') },
    { true, "a Ref to a resource", resource '"ThingName":{"Ref":"N"},"AttributePayload":{"a":{"Ref":"r"}}' },
    { false, "nothing", "" },
    { false, "no JSON", "{" },
    { false, "a list", "[]" },
    { false, "too much", resource('"ThingName":"' .. ("x"):rep(10240) .. '"') },
    { false, "no resources", '{"Parameters":{}}' },
    { false, "empty resources", '{"Resources":{}}' },
    { false, "a parameter of another type", '{"Parameters":{"N":{"Type":"Number"}},"Resources":{"r":{"Type":'
      .. '"AWS::IoT::Thing","Properties":{"ThingName":"x"}}}}' },
    { false, "an unknown type", resource('"ThingName":"x"', "Bucket") },
    { false, "an override of another resource", resource(NAMED, nil, ',"OverrideSettings":{"Status":"REPLACE"}') },
    { false, "an override of a policy", resource('"PolicyName":"p"', "Policy", ',"OverrideSettings":{"A":"FAIL"}') },
    { false, "a thing without a name", resource '"AttributePayload":{"a":{"Ref":"N"}}' },
    { false, "an unknown override", resource(NAMED, nil, ',"OverrideSettings":{"ThingGroups":"KEEP"}') },
    { false, "a Ref to nothing", resource '"ThingName":{"Ref":"M"}' },
    { false, "a Ref to nothing, deep down", resource '"ThingName":{"Ref":"N"},"AttributePayload":{"a":[{"Ref":"M"}]}' },
    { false, "a certificate of nothing", resource('"Status":"ACTIVE"', "Certificate") },
    { false, "a certificate of two things", resource('"CertificateId":"x","CertificatePem":"y"', "Certificate") },
    { false, "a policy of nothing", resource("", "Policy") },
    { false, "a policy of two things", resource('"PolicyName":"x","PolicyDocument":"{}"', "Policy") },
  }

  for _, case in ipairs(TEMPLATES) do
    local good, name, template = case[1], case[2], case[3]
    it("agree on a template with " .. name, function()
      local task = task_of(template, '{"N":"a"}\n')
      local result = assert(iot.check_provisioning(template))
      assert.equal(good, result.ok, result.problems[1] and result.problems[1].message)
      assert.equal(good, task ~= nil and task.status == "Completed", task and task.message)
    end)
  end
end)
