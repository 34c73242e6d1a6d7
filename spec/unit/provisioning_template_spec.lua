-- What iot.check_provisioning says of a template: each thing that may be wrong with one, and what it tells.
local core = require "iot.core"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local iot = require "iot"
local problems = require "iot.provisioning.problems"

-- A template with this in its Parameters and its Resources.
local function of(parameters, resources)
  return ('{"Parameters":{%s},"Resources":{%s}}'):format(parameters, resources)
end

local NAME = '"Name":{"Type":"String"}'
local THING = '"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"}}}'

-- One resource, named r; a thing has a ThingName unless it is given another.
local function resource(properties, kind, more)
  if not kind and not properties:find('^"ThingName"') then
    properties = '"ThingName":"t"' .. (properties ~= "" and "," or "") .. properties
  end
  return of(NAME, ('"r":{"Type":"AWS::IoT::%s","Properties":{%s}%s}'):format(kind or "Thing", properties, more or ""))
end

local function overrides(settings, kind)
  local source = { Certificate = '"CertificateId":"c"', Policy = '"PolicyName":"p"' }
  return resource(source[kind] or "", kind, ',"OverrideSettings":' .. settings)
end

local LONG = ("x"):rep(2049)
local WIDE = ("\195\188"):rep(2049)

local GOOD = {
  { "a thing", of(NAME, THING) },
  { "no Parameters", '{"Resources":{"r":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"one"}}}}' },
  { "sections that nobody knows", '{"Description":null,"Resources":{"r":{"Type":"AWS::IoT::Thing","Metadata":5,'
    .. '"Properties":{"ThingName":"t"}}}}' },
  { "white space all over", " \r\n\t{ \"Resources\" :\n{\"r\":\t{\"Type\" : \"AWS::IoT::Thing\" ,\r\"Properties\":"
    .. "{ \"ThingName\":\"t\"}}}}\n" },
  { "a parameter that is used nowhere", of(NAME .. ',"Other":{"Type":"String"}', THING) },
  { "a Default", of('"Name":{"Type":"String","Default":""}', THING) },
  { "a Default of the greatest length",
    of('"Name":{"Type":"String","Default":"' .. ("\195\188"):rep(4096) .. '"}', THING) },
  { "each source of a certificate", of(NAME, '"a":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x"}},'
    .. '"b":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"Name"}}},'
    .. '"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificatePem":"x","CACertificatePem":"y"}}') },
  { "a source that is null", resource('"CertificateId":"x","CertificatePem":null', "Certificate") },
  { "each source of a policy", of(NAME, '"a":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"x"}},'
    .. '"b":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":"{\\"Version\\":\\"2012-10-17\\"}"}},'
    .. '"c":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Ref":"Name"}}},'
    .. '"d":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Fn::Join":["",[{"Ref":"Name"}]]}}}') },
  { "what may be done with a thing that is there", overrides
    '{"AttributePayload":"MERGE","ThingTypeName":"REPLACE","ThingGroups":"DO_NOTHING"}' },
  { "what may be done with a certificate that is there", overrides('{"Status":"REPLACE"}', "Certificate") },
  { "empty override settings of a policy", overrides("{}", "Policy") },
  { "a name that is joined", resource '"ThingName":{"Fn::Join":["-",["a",{"Ref":"Name"}]]}' },
  { "a function that nobody knows", resource '"ThingName":{"Fn::Sub":"${Name}"}' },
  { "a Ref far down", resource('"a":' .. ('{"a":['):rep(400) .. '{"Ref":"Name"}' .. ("]}"):rep(400)) },
  { "a Ref to a resource", of(NAME, THING .. ',"p":{"Type":"AWS::IoT::Policy","Properties":'
    .. '{"PolicyName":{"Ref":"thing"}}}') },
  { "the greatest length", (of(NAME, THING):gsub("}$", ',"Description":"%%s"}'):gsub("%%s", function()
    return ("\195\188"):rep(10240 - #of(NAME, THING) - #',"Description":""')
  end)) },
}

-- What it is; the template; the message of each problem, with its code.
local BAD = {
  { "empty", "", { { "InvalidJSON", "it is empty" } } },
  { "blank", " \n", { { "InvalidJSON", "it is empty" } } },
  { "cut off", '{"Resources":', { { "InvalidJSON", "it is not valid JSON: *" } } },
  { "with a comma too many", '{"Resources":{"r":{"Type":"AWS::IoT::Thing"},}}', {
    { "InvalidJSON", "it is not valid JSON: *" } } },
  { "with something behind it", of(NAME, THING) .. "}", { { "InvalidJSON", "it is not valid JSON: *" } } },
  { "with a NUL", of(NAME, THING) .. "\0", {
    { "InvalidJSON", "it is not valid JSON: a control character is not escaped" } } },
  { "with a line break in a string", of('"a\nb":{"Type":"String"}', THING), {
    { "InvalidJSON", "it is not valid JSON: a control character is not escaped" } } },
  { "nested too deeply", ('{"a":'):rep(1001) .. "1" .. ("}"):rep(1001), {
    { "InvalidJSON", "it is not valid JSON: *" } } },
  { "a text", '"text"', { { "NotAnObject", "it is a string, not a JSON object" } } },
  { "null", "null", { { "NotAnObject", "it is null, not a JSON object" } } },
  { "false", "false", { { "NotAnObject", "it is a boolean, not a JSON object" } } },
  { "a list", "[]", { { "NotAnObject", "it is an array, not a JSON object" } } },
  { "with bytes that are no UTF-8", of('"\255":{"Type":"String"}', THING), {
    { "InvalidUTF8", "it is not valid UTF-8" } } },
  { "with a byte order mark", "\239\187\191" .. of(NAME, THING), {
    { "ByteOrderMark", "it begins with a byte order mark" } } },
  { "with a byte order mark and more", "\239\187\191[]", {
    { "ByteOrderMark", "it begins with a byte order mark" }, { "NotAnObject", "it is an array, not a JSON object" } } },
  { "too long", of(NAME, THING) .. (" "):rep(10241 - #of(NAME, THING)), {
    { "TemplateTooLong", "it has 10241 characters, more than 10,240" } } },

  { "without resources", '{"Parameters":{}}', { { "MissingResources", "it has no Resources" } } },
  { "with empty Resources", of(NAME, ""), { { "MissingResources", "its Resources are empty" } } },
  { "with Resources that are a list", '{"Resources":["r"]}', {
    { "InvalidStructure", "Resources is an array, not an object" } } },
  { "with Resources that are null", '{"Resources":null}', {
    { "InvalidStructure", "Resources is null, not an object" } } },
  { "with Parameters that are a text", '{"Parameters":"Name","Resources":{' .. THING .. "}}", {
    { "InvalidStructure", "Parameters is a string, not an object" } } },
  { "with a parameter that is a text", of('"Name":"String"', THING), {
    { "InvalidStructure", "the parameter Name is a string, not an object", parameter = "Name" } } },
  { "with a resource that is a number", of(NAME, '"r":5'), {
    { "InvalidStructure", "the resource r is a number, not an object", resource = "r" } } },
  { "with Properties that are a list", of(NAME, '"r":{"Type":"AWS::IoT::Certificate","Properties":[1]}'), {
    { "InvalidStructure", "Properties of the resource r is an array, not an object", resource = "r" } } },

  { "with a parameter that is a number", of('"Name":{"Type":"Number"}', THING), {
    { "InvalidParameterType", "the Type of the parameter Name is Number, not String", parameter = "Name" } } },
  { "with a parameter whose Type is no text", of('"Name":{"Type":["String"]}', THING), {
    { "InvalidParameterType", "the Type of the parameter Name is an array, not String", parameter = "Name" } } },
  { "with a parameter without Type", of('"Name":{}', THING), {
    { "InvalidParameterType", "the parameter Name has no Type, which must be String", parameter = "Name" } } },
  { "with a Default that is a number", of('"Name":{"Type":"String","Default":5}', THING), {
    { "InvalidDefault", "the Default of the parameter Name is a number, not a string", parameter = "Name" } } },
  { "with a Default that is null", of('"Name":{"Type":"String","Default":null}', THING), {
    { "InvalidDefault", "the Default of the parameter Name is null, not a string", parameter = "Name" } } },
  { "with a long Default", of(('"Name":{"Type":"String","Default":"%s"}'):format(WIDE .. WIDE), THING), {
    { "ValueTooLong", "the Default of the parameter Name is longer than 4,096 characters", parameter = "Name" } } },
  { "with a long name", of(NAME .. (',"%s":{"Type":"String"}'):format(LONG), THING), {
    { "NameTooLong", "the parameter name '" .. ("x"):rep(64) .. "...' is longer than 2,048 characters",
      parameter = LONG } } },

  { "with a resource of another service", of(NAME, '"r":{"Type":"AWS::S3::Bucket"}'), {
    { "UnknownResourceType", "the resource r is of the unknown type AWS::S3::Bucket", resource = "r" } } },
  { "with a resource without Type", of(NAME, '"r":{}'), {
    { "UnknownResourceType", "the resource r has no Type", resource = "r" } } },
  { "with a resource whose Type is no text", of(NAME, '"r":{"Type":{"Ref":"Name"}}'), {
    { "UnknownResourceType", "the Type of the resource r is an object, not a string", resource = "r" } } },
  { "with an action that there is not", overrides '{"ThingGroups":"DELETE"}', {
    { "InvalidOverride", "the override setting ThingGroups cannot be DELETE", resource = "r" } } },
  { "with an action that is no text", overrides '{"ThingGroups":true,"ThingTypeName":null}', {
    { "InvalidOverride", "the override setting ThingGroups cannot be a boolean", resource = "r" },
    { "InvalidOverride", "the override setting ThingTypeName cannot be null", resource = "r" } } },
  { "with an override setting of another resource", overrides '{"Status":"REPLACE"}', {
    { "UnknownOverride", "the resource r has no override setting Status", resource = "r" } } },
  { "with an override setting of a policy", overrides('{"PolicyName":"FAIL"}', "Policy"), {
    { "UnknownOverride", "the resource r has no override setting PolicyName", resource = "r" } } },
  { "with a status to be merged", overrides('{"Status":"MERGE"}', "Certificate"), {
    { "InvalidOverride", "the override setting Status cannot be MERGE", resource = "r" } } },
  { "with override settings that are a text", overrides '"REPLACE"', {
    { "InvalidStructure", "OverrideSettings of the resource r is a string, not an object", resource = "r" } } },

  { "with a Ref to nothing", resource '"ThingName":{"Ref":"Nmae"}', {
    { "UndeclaredReference", "the resource r refers to Nmae, which is not declared as a parameter", resource = "r",
      parameter = "Nmae" } } },
  { "with a Ref far down to nothing", resource('"a":' .. ('{"a":['):rep(400) .. '{"Ref":"b"}' .. ("]}"):rep(400)), {
    { "UndeclaredReference", "the resource r refers to b, which is not declared as a parameter", resource = "r",
      parameter = "b" } } },
  { "with many Refs to nothing", resource '"b":{"Ref":"z"},"a":[{"Ref":"z"},{"Fn::Join":["",[{"Ref":"y"}]]}]', {
    { "UndeclaredReference", "the resource r refers to y, which is not declared as a parameter", resource = "r",
      parameter = "y" },
    { "UndeclaredReference", "the resource r refers to z, which is not declared as a parameter", resource = "r",
      parameter = "z" } } },
  { "with a Ref that is no text", resource '"a":{"Ref":["Name"]},"b":{"Ref":null}', {
    { "InvalidReference", "a Ref of the resource r is an array, not a string", resource = "r" },
    { "InvalidReference", "a Ref of the resource r is null, not a string", resource = "r" } } },

  { "with a certificate of nothing", resource('"CACertificatePem":"x","CertificateId":null', "Certificate"), {
    { "InvalidCertificateSource", "the resource r must have exactly one of CertificateSigningRequest, CertificateId, "
      .. "CertificatePem; it has none", resource = "r" } } },
  { "with a certificate of two things", resource('"CertificatePem":"x","CertificateId":"y"', "Certificate"), {
    { "InvalidCertificateSource", "the resource r must have exactly one of CertificateSigningRequest, CertificateId, "
      .. "CertificatePem; it has CertificateId, CertificatePem", resource = "r" } } },
  { "with a policy of nothing", of(NAME, '"r":{"Type":"AWS::IoT::Policy"}'), {
    { "InvalidPolicySource", "the resource r must have exactly one of PolicyName, PolicyDocument; it has none",
      resource = "r" } } },
  { "with a policy of two things", resource('"PolicyName":"x","PolicyDocument":"{}"', "Policy"), {
    { "InvalidPolicySource", "the resource r must have exactly one of PolicyName, PolicyDocument; it has PolicyName, "
      .. "PolicyDocument", resource = "r" } } },
  { "with a policy document as it is", resource('"PolicyDocument":{"Version":"2012-10-17","Statement":[]}', "Policy"), {
    { "InvalidPolicyDocument", "the PolicyDocument of the resource r is an object, not a string that holds one",
      resource = "r" } } },

  { "with a policy document that is more than a Ref",
    resource('"PolicyDocument":{"Ref":"Name","Fn::Join":[]}', "Policy"), {
    { "InvalidPolicyDocument", "the PolicyDocument of the resource r is an object, not a string that holds one",
      resource = "r" } } },

  { "with a thing name of other characters", resource '"ThingName":"a b"', {
    { "InvalidThingName", "the thing name 'a b' has characters other than a-z, A-Z, 0-9, ':', '_' and '-'",
      resource = "r" } } },
  { "with a thing without Properties", '{"Resources":{"r":{"Type":"AWS::IoT::Thing"}}}', {
    { "InvalidThingName", "the resource r has no ThingName", resource = "r" } } },
  { "with a thing name that is null", resource '"ThingName":null', {
    { "InvalidThingName", "the resource r has no ThingName", resource = "r" } } },
  { "with a thing name that is a number", resource '"ThingName":5', {
    { "InvalidThingName", "the ThingName of the resource r is a number, not a string", resource = "r" } } },

  { "with much that is wrong", of('"b":{"Type":"Number"},"a":{"Type":"Number"}',
    '"z":{"Type":"No"},"y":{"Type":"AWS::IoT::Policy","Properties":{"x":{"Ref":"x"}},"OverrideSettings":{"s":"t"}}'), {
    { "InvalidParameterType", "the Type of the parameter a is Number, not String", parameter = "a" },
    { "InvalidParameterType", "the Type of the parameter b is Number, not String", parameter = "b" },
    { "UnknownOverride", "the resource y has no override setting s", resource = "y" },
    { "InvalidPolicySource", "the resource y must have exactly one of PolicyName, PolicyDocument; it has none",
      resource = "y" },
    { "UndeclaredReference", "the resource y refers to x, which is not declared as a parameter", resource = "y",
      parameter = "x" },
    { "UnknownResourceType", "the resource z is of the unknown type No", resource = "z" } } },
}

-- A problem as the cases have it; "*" stands for the words of the JSON library.
local function told(problem, wanted)
  local message = problem.message:gsub("^template: ", "")
  if wanted and wanted[2]:find "%*$" and message:sub(1, #wanted[2] - 1) == wanted[2]:sub(1, -2) then
    message = wanted[2]
  end
  return { problem.code, message, resource = problem.resource, parameter = problem.parameter }
end

describe("a template is good", function()
  for _, case in ipairs(GOOD) do
    it("with " .. case[1], function()
      assert.same({ ok = true, lines = 0, failed_lines = 0, problem_count = 0, problems = {} },
        (assert(iot.check_provisioning(case[2]))))
    end)
  end
end)

describe("a template is bad", function()
  for _, case in ipairs(BAD) do
    it(case[1], function()
      local result = assert(iot.check_provisioning(case[2]))
      local found = {}
      for i, problem in ipairs(result.problems) do
        found[i] = told(problem, case[3][i])
        assert.equal("template", problem.where)
        assert.is_nil(problem.line)
        assert.matches("^template: ", problem.message)
        assert.is_true(failures.is_printable(problem.message))
      end
      assert.same(case[3], found)
      assert.is_false(result.ok)
      assert.equal(#case[3], result.problem_count)
      assert.same({ 0, 0 }, { result.lines, result.failed_lines })
    end)
  end

  it("in all the ways that there are codes for", function()
    local missing = {}
    for code, entry in pairs(problems.codes) do missing[code] = entry.where ~= "input" or nil end
    for _, case in ipairs(BAD) do
      for _, problem in ipairs(case[3]) do
        assert.is_table(problems.codes[problem[1]], problem[1])
        missing[problem[1]] = nil
      end
    end
    assert.same({}, missing)
  end)

  it("whatever it is made of: what it says is one line, and short", function()
    local hostile = "\\u0000\\u001b[31m\\r\\nline 1: all is well\194\133" .. ("%s%n%"):rep(200)
    local result = assert(iot.check_provisioning(of(('"%s":{"Type":"%s"}'):format(hostile, hostile),
      ('"%s":{"Type":"%s","Properties":{"a":{"Ref":"b%s"}},"OverrideSettings":{"%s":"%s"}}'):format(hostile, hostile,
        hostile, hostile, hostile))))
    assert.equal(4, result.problem_count)
    for _, problem in ipairs(result.problems) do
      assert.is_true(failures.is_printable(problem.message))
      assert.is_true(#problem.message < 300)
    end
    assert.matches("^template: the Type of the parameter ' ?%[31m line 1: all is well", result.problems[1].message)
  end)
end)

describe("the codes of problems", function()
  for code, entry in pairs(problems.codes) do
    it("are complete: " .. code, function()
      assert.matches("^%u%a+8?$", code)
      assert.is_true(entry.where == "template" or entry.where == "input" or entry.where == "both")
      assert.is_true(#entry.meaning > 0)
    end)

    it("are in the manual: " .. code, function()
      local row = ("| `%s` | %s | %s |"):format(code, entry.where, entry.meaning)
      assert.is_truthy(assert(files.read "README.md"):find(row, 1, true), "README.md lacks " .. row)
    end)
  end
end)

describe("JSON of any kind", function()
  it("is read with its nulls and its kind", function()
    assert.same({ a = { 1, "b" }, c = "d\0\t", e = false },
      core.decode_value '{"a":[1,"b"],"c":"d\\u0000\\t","e":false}')
    assert.equal("userdata", type(core.decode_value "null"))
    assert.equal("userdata", type(core.decode_value('{"a":null}').a))
    assert.is_false(core.decode_value "false")
    assert.equal("text", core.decode_value ' \n"text"\t')
    assert.equal("\\\"", core.decode_value '"\\\\\\""')
  end)

  local BROKEN = {
    "", " ", "{", "{}{}", "{}\0", '"a\tb"', '"a\nb"', '"\\"\1"', '"\\\\\31"', '"\255"', "'a'", "nan",
  }

  for _, text in ipairs(BROKEN) do
    it("is nothing else: " .. text:gsub("%c", "?"), function()
      local value, message = core.decode_value(text)
      assert.is_nil(value)
      assert.is_true(#message > 0)
    end)
  end

  it("is in UTF-8, which can be asked for", function()
    for _, text in ipairs { "", "a", "\195\188", "\240\159\152\128", "\0" } do assert.is_true(core.is_utf8(text)) end
    for _, text in ipairs { "\255", "\195", "\188", "\192\128", "\237\160\128" } do
      assert.is_false(core.is_utf8(text))
    end
    assert.is_false((pcall(core.is_utf8, 5)))
    assert.is_false((pcall(core.decode_value, 5)))
  end)
end)
