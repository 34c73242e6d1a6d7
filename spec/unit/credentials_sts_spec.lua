-- Roles assumed through STS, and the reader of its XML.
local excerpt = require "iot.excerpt"
local exchange = require "iot.credentials.exchange"
local support = require "spec.support.sts"
local sts = require "iot.credentials.sts"
local xml = require "iot.xml"

local SOURCE_SECRET, SOURCE_TOKEN = "SECRET-KEY-OF-THE-SOURCE", "TOKEN+/=OF&THE-SOURCE"
local WEB_TOKEN = "eyJ.WEB-IDENTITY+TOKEN/=.&x"
local WEB = "AssumeRoleWithWebIdentity"

for _, secret in ipairs { SOURCE_SECRET, SOURCE_TOKEN, WEB_TOKEN } do table.insert(support.SECRETS, secret) end

local function source(extra)
  local record = { access_key_id = "AKIASOURCE", secret_access_key = SOURCE_SECRET, session_token = SOURCE_TOKEN }
  for name, value in pairs(extra or {}) do record[name] = value or nil end
  return record
end

local function step(extra)
  local all = { role_arn = support.ROLE, role_session_name = "session" }
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  return all
end

local function assume(context, extra, deadline)
  return sts.assume_role(context, source(), step(extra), deadline)
end

local function success() return support.success "AssumeRole" end

local function assert_failed(pattern, context, extra, deadline)
  local code = extra and extra.code or "CredentialsFailed"
  return support.assert_failure({ code = code, message = pattern }, assume(context, extra and extra.step, deadline))
end

describe("AssumeRole", function()
  it("gives the record of the answer, its entities resolved", function()
    assert.same(support.record(), assume(support.context { success() }))
  end)

  it("sends a form that holds what the profile says", function()
    local context = support.context { success() }
    assert(assume(context, { external_id = "a:b/c=d", duration_seconds = "900" }))
    local request = context.runtime.requests[1]
    assert.equal("POST", request.method)
    assert.equal("https://sts.eu-west-1.amazonaws.com/", request.url)
    assert.same({ Action = "AssumeRole", Version = "2011-06-15", RoleArn = support.ROLE, ExternalId = "a:b/c=d",
      RoleSessionName = "session", DurationSeconds = "900" }, support.fields(request))
    assert.same({ 3.1, "/ca", "" }, { request.connect_timeout, request.ca_bundle, request.proxy })
    assert.is_true(request.timeout > 0 and request.timeout <= 60)
    local types = {}
    for _, header in ipairs(request.headers) do types[header[1]] = header[2] end
    assert.equal("application/x-www-form-urlencoded; charset=utf-8", types["Content-Type"])
  end)

  it("is signed by the source, for the client's region", function()
    local context = support.context { success() }
    assert(assume(context))
    support.assert_signed(context.runtime.requests[1], source(), "eu-west-1")
  end)

  it("is signed by a source without a token", function()
    local context = support.context { success() }
    assert(sts.assume_role(context, source { session_token = false }, step()))
    support.assert_signed(context.runtime.requests[1], source { session_token = false }, "eu-west-1")
  end)

  it("is signed for us-east-1 at the global endpoint", function()
    local context = support.context({ success() }, { region = "aws-global",
      endpoint_for = function() return "https://sts.amazonaws.com" end })
    assert(assume(context))
    assert.equal("https://sts.amazonaws.com/", context.runtime.requests[1].url)
    support.assert_signed(context.runtime.requests[1], source(), "us-east-1")
  end)

  it("keeps the port and the base path of an endpoint, in the signature too", function()
    for _, endpoint in ipairs { "http://localhost:4566/base", "http://localhost:4566/base/" } do
      local context = support.context({ success() }, { endpoint_for = function() return endpoint end })
      assert(assume(context))
      assert.equal("http://localhost:4566/base/", context.runtime.requests[1].url)
      support.assert_signed(context.runtime.requests[1], source(), "eu-west-1")
    end
  end)

  it("names a session that has no name", function()
    local context = support.context { success() }
    assert(assume(context, { role_session_name = false }))
    assert.equal("iot-1440938160", support.fields(context.runtime.requests[1]).RoleSessionName)
  end)

  it("fails without an endpoint or a region", function()
    assert_failed("no endpoint of sts.*because", support.context({}, {
      endpoint_for = function() return nil, "because" end }))
    local context = support.context {}
    context.region = nil
    assert_failed({ "region", "aws_region" }, context)
  end)

  it("fails when the source cannot sign", function()
    support.assert_failure({ code = "CredentialsFailed", message = "cannot be signed" },
      sts.assume_role(support.context {}, source { access_key_id = "a\nb" }, step()))
  end)

  local WRONG = {
    { "no role", { role_arn = false }, "role_arn must" },
    { "a role that is no ARN", { role_arn = "name-of-a-role-but-no-arn" }, "role_arn must" },
    { "a short role", { role_arn = "arn:aws:iam" }, "role_arn must" },
    { "a long role", { role_arn = "arn:" .. ("x"):rep(2045) }, "role_arn must" },
    { "a short session name", { role_session_name = "x" }, "role_session_name must" },
    { "a session name with a space", { role_session_name = "a b" }, "role_session_name must" },
    { "an external id with a line end", { external_id = "a\nb" }, "external_id must" },
    { "a duration that is no number", { duration_seconds = "1h" }, "duration_seconds must" },
    { "a fraction of a duration", { duration_seconds = "900.5" }, "duration_seconds must" },
    { "a short duration", { duration_seconds = "899" }, "duration_seconds must" },
    { "a long duration", { duration_seconds = "43201" }, "duration_seconds must" },
    { "an endless duration", { duration_seconds = ("9"):rep(400) }, "duration_seconds must" },
    { "no MFA device", { mfa_serial = "?" }, "mfa_serial must" },
  }
  for _, case in ipairs(WRONG) do
    it("refuses " .. case[1], function()
      assert_failed(case[3], support.context {}, { step = case[2], code = "InvalidCredentials" })
    end)
  end
end)

describe("a role with an MFA device", function()
  local SERIAL = "arn:aws:iam::123456789012:mfa/user"

  it("is assumed with the code that is asked for", function()
    local asked
    local context = support.context({ success() }, { mfa_code = function(serial)
      asked = serial
      return "012345"
    end })
    assert(assume(context, { mfa_serial = SERIAL }))
    local fields = support.fields(context.runtime.requests[1])
    assert.same({ SERIAL, SERIAL, "012345" }, { asked, fields.SerialNumber, fields.TokenCode })
    support.assert_signed(context.runtime.requests[1], source(), "eu-west-1")
  end)

  it("cannot be assumed without the option", function()
    assert_failed({ "arn:aws:iam::123456789012:mfa/user", "mfa_code" }, support.context {},
      { step = { mfa_serial = SERIAL }, code = "InvalidCredentials" })
  end)

  local function assert_no_code(pattern, ...)
    local code, message = ...
    local context = support.context({}, { mfa_code = function() return code, message end })
    local said = assert_failed(pattern, context, { step = { mfa_serial = SERIAL } })
    if code then assert.is_nil(said:find(tostring(code), 1, true)) end
  end

  it("is not assumed when there is no code, or none of six digits", function()
    assert_no_code("the user said no", nil, "the user\nsaid no")
    assert_no_code("no reason given", nil)
    assert_no_code("six digits", "12345")
    assert_no_code("six digits", "123456\n")
    assert_no_code("six digits", 123456)
  end)
end)

describe("AssumeRoleWithWebIdentity", function()
  local function assume_with(context, deadline)
    return sts.assume_role_with_web_identity(context, step(), WEB_TOKEN, deadline)
  end

  it("sends the token, unsigned", function()
    local context = support.context { support.success(WEB) }
    assert.same(support.record(), assume_with(context))
    local request = context.runtime.requests[1]
    assert.same({ Action = WEB, Version = "2011-06-15", RoleArn = support.ROLE, RoleSessionName = "session",
      WebIdentityToken = WEB_TOKEN }, support.fields(request))
    for _, header in ipairs(request.headers) do
      assert.is_nil(header[1]:lower():find "^authorization$" or header[1]:lower():find "^x%-amz")
    end
  end)

  it("does not show a token that the service quotes", function()
    local context = support.context { support.refusal(400, "InvalidIdentityToken", "No: " .. WEB_TOKEN .. "!") }
    support.assert_failure({ code = "CredentialsFailed", message = { "no: %*%*%*!", "invalididentitytoken" } },
      assume_with(context))
  end)

  it("says what to do about an expired token", function()
    local context = support.context { support.refusal(400, "ExpiredTokenException", "Token expired") }
    support.assert_failure({ code = "CredentialsFailed", message = "token expired; the token must be renewed" },
      assume_with(context))
  end)

  it("tries again when the identity provider was not reached", function()
    local refusal = support.refusal(400, "IDPCommunicationError", "no answer")
    local context = support.context { refusal, refusal, support.success(WEB) }
    assert.same(support.record(), assume_with(context))
    context = support.context { refusal, refusal, refusal }
    support.assert_failure({ code = "CredentialsFailed", message = "idpcommunicationerror: no answer" },
      assume_with(context))
    assert.equal(3, #context.runtime.requests)
  end)
end)

describe("a refusal of STS", function()
  it("is told with its code, status and request id", function()
    local context = support.context { support.refusal(403, "AccessDenied", "User: x is not\nauthorized & so on") }
    assert_failed({ "the role arn:aws:iam::123456789012:role/name was not assumed",
      "assumerole: accessdenied: user: x is not authorized & so on; the role's trust policy",
      "http status 403, request id 4d4aa2a2" }, context)
    assert.equal(1, #context.runtime.requests)
  end)

  it("does not show the secrets of the source", function()
    assert_failed("%*%*%* and %*%*%*",
      support.context { support.refusal(400, "X", SOURCE_SECRET .. " and " .. SOURCE_TOKEN) })
  end)

  it("is cut when it is long", function()
    assert_failed("xxx%.%.%.", support.context { support.refusal(400, "X", ("x"):rep(20000)) })
  end)

  local ODD = {
    { "is a web page", "<html><body>Bad &nbsp; gateway</body>", "http status 418" },
    { "is empty", "", "http status 418" },
    { "is another document", "<a><Error><Code>SECRET</Code></Error></a>", "http status 418" },
    { "has an odd code", "<ErrorResponse><Error><Code>a b</Code></Error></ErrorResponse>", "http status 418" },
    { "has no message", "<ErrorResponse><Error><Code>Odd</Code></Error></ErrorResponse>", "odd: the service gave" },
  }
  for _, case in ipairs(ODD) do
    it(case[1], function()
      assert_failed(case[3], support.context { { status = 418, headers = {}, body = case[2] } })
    end)
  end
end)

describe("an answer of STS that cannot be used", function()
  local ODD = {
    { "is no XML", "{}", "text outside" },
    { "is empty", "", "no element" },
    { "is another document", "<html></html>", "another document" },
    { "is cut off", success().body:match "^(.-)</Credentials>", "ends within" },
    { "has a document type", '<!DOCTYPE x [<!ENTITY a "b">]>' .. success().body, "document type" },
    { "lacks the key", support.success("AssumeRole", { SecretAccessKey = false }).body, "no secret access key" },
    { "has an empty key id", support.success("AssumeRole", { AccessKeyId = "" }).body, "no access key id" },
    { "lacks the token", support.success("AssumeRole", { SessionToken = false }).body, "no session token" },
    { "lacks the expiration", support.success("AssumeRole", { Expiration = false }).body, "no expiration" },
    { "has no time", support.success("AssumeRole", { Expiration = "soon" }).body, "no expiration" },
    { "has an element for a text", support.success("AssumeRole", { AccessKeyId = "A<b/>" }).body, "no access key" },
    { "has two of one", support.success("AssumeRole", { AccessKeyId = "A</AccessKeyId><AccessKeyId>B" }).body,
      "no access key id" },
  }
  for _, case in ipairs(ODD) do
    it(case[1], function()
      local context = support.context { { status = 200, headers = {}, body = case[2] } }
      assert_failed({ "cannot be understood", case[3] }, context)
      assert.equal(1, #context.runtime.requests)
    end)
  end
end)

describe("a request to STS", function()
  local function unavailable() return { status = 503, headers = {}, body = "" } end

  it("is tried three times, each signed anew, with short waits", function()
    local context = support.context { unavailable(), support.failure "ConnectionFailed", success() }
    local runtime = context.runtime
    function runtime.now() return 1440938160 + #runtime.requests end
    assert.same(support.record(), assume(context))
    assert.equal(2, #runtime.naps)
    for _, seconds in ipairs(runtime.naps) do assert.is_true(seconds > 0 and seconds <= 1) end
    for _, request in ipairs(runtime.requests) do support.assert_signed(request, source(), "eu-west-1") end
  end)

  it("is given up after the third failure", function()
    local context = support.context { unavailable(), unavailable(), unavailable() }
    assert_failed("http status 503", context)
    assert.equal(3, #context.runtime.requests)
    assert.equal(2, #context.runtime.naps)
  end)

  it("is tried again when it is throttled", function()
    assert(assume(support.context { support.refusal(400, "Throttling", "Rate exceeded"), success() }))
  end)

  for _, code in ipairs { "CertificateInvalid", "InvalidCABundle", "InvalidEndpoint", "SomethingNew" } do
    it("is not tried again after " .. code, function()
      local context = support.context { support.failure(code) }
      assert_failed("sts was not reached: no luck", context)
      assert.equal(1, #context.runtime.requests)
    end)
  end

  it("keeps the deadline", function()
    local context = support.context { success() }
    local runtime = context.runtime
    assert(assume(context, nil, runtime.clock + 2))
    assert.equal(2, runtime.requests[1].timeout)
  end)

  it("is not sent when no time is left", function()
    local context = support.context {}
    assert_failed("no time was left", context, nil, context.runtime.clock)
  end)

  it("is not tried again after an interrupt, of the request or of the wait for another", function()
    local context = support.context { support.failure "Interrupted" }
    assert_failed("was not assumed: .*no luck", context, { code = "Interrupted" })
    assert.equal(1, #context.runtime.requests)

    context = support.context { unavailable() }
    function context.runtime.sleep() return false end
    assert_failed("interrupted.*http status 503", context, { code = "Interrupted" })
    assert.equal(1, #context.runtime.requests)
  end)

  it("was not interrupted when the service has an error of that name", function()
    local context = support.context { support.refusal(400, "Interrupted", "no") }
    assert_failed("assumerole: interrupted: no", context)
  end)

  it("is not tried again after a status that will not pass", function()
    for _, status in ipairs { 501, 505, 408 } do
      local context = support.context { { status = status, headers = {}, body = "" } }
      assert_failed("http status " .. status, context)
      assert.equal(1, #context.runtime.requests)
    end
  end)

  it("is tried again when the service wants it to be", function()
    local context = support.context { { status = 503, headers = { ["retry-after"] = "2" }, body = "" }, success() }
    assert(assume(context))
    assert.same({ 2 }, context.runtime.naps)
    local refusal = support.refusal(400, "Throttling", "Rate exceeded")
    refusal.headers["x-amz-retry-after"] = "1500"
    context = support.context { refusal, success() }
    assert(assume(context))
    assert.same({ 1.5 }, context.runtime.naps)
  end)

  it("is tried less often by a provider whose requests keep failing", function()
    local answers = {}
    for i = 1, 300 do answers[i] = unavailable() end
    local context = support.context(answers)
    local policy = exchange.policy(context.runtime)
    for _ = 1, 100 do assert.is_nil((sts.assume_role(context, source(), step(), nil, policy))) end
    local before = #context.runtime.requests
    assert.is_nil((sts.assume_role(context, source(), step(), nil, policy)))
    assert.equal(before + 1, #context.runtime.requests)
  end)

  it("is not tried again when the wait would pass the deadline", function()
    local context = support.context { unavailable() }
    assert_failed("http status 503", context, nil, context.runtime.clock + 0.01)
    assert.same({}, context.runtime.naps)
  end)

  it("ends in time when each attempt takes all of it", function()
    local context
    local function slow(request)
      context.runtime.clock = context.runtime.clock + request.timeout
      return support.failure "Timeout"
    end
    context = support.context { slow, slow, slow }
    local start = context.runtime.clock
    assert_failed("no luck", context, nil, start + 20)
    assert.is_true(context.runtime.clock <= start + 20)
    context = support.context { slow, slow, slow }
    start = context.runtime.clock
    assert_failed("no luck", context)
    assert.is_true(context.runtime.clock <= start + 60)
  end)
end)

describe("the XML reader", function()
  it("resolves the entities that every document has", function()
    assert.equal("<&>\"' A\195\169\226\130\172\240\159\152\128",
      xml.parse("<a>&lt;&amp;&gt;&quot;&apos;&#32;&#x41;&#233;&#x20AC;&#x1F600;</a>").text)
    assert.equal("&lt;", xml.parse("<a>&amp;lt;</a>").text)
    assert.equal("\t\n\237\159\191\238\128\128\239\191\189\244\143\191\191",
      xml.parse("<a>&#9;&#10;&#xD7FF;&#xE000;&#xFFFD;&#x10FFFF;</a>").text)
  end)

  it("reads what a document may hold", function()
    local root = assert(xml.parse('\239\187\191<?xml version="1.0"?>\n<!-- <x> -->\n<n:a b="1>2" c = \'"\' >'
      .. "x<b.c-d/><!-- y -->z<![CDATA[<&amp;]]></n:a  >\n"))
    assert.same({ "n:a", "xz<&amp;", 1, "b.c-d", "" },
      { root.name, root.text, #root.children, root.children[1].name, root.children[1].text })
  end)

  it("finds a text by its path", function()
    local root = assert(xml.parse "<a><b><c>x</c></b><d>1</d><d>2</d></a>")
    assert.equal("x", xml.text(root, "b", "c"))
    assert.is_nil(xml.text(root, "b"))
    assert.is_nil(xml.text(root, "d"))
    assert.is_nil(xml.text(root, "b", "x", "y"))
    assert.is_nil(xml.text(nil, "b"))
  end)

  local BAD = {
    "", " ", "x", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>x", "x<a/>", "<a><b></a></b>", "<a", "<a b>", "<a b=1/>",
    "<a b='1' b='2'/>", "<a b='<'/>", "<a b='&x;'/>", "<a b='1'c='2'/>", "< a/>", "<a>&x;</a>", "<a>&amp</a>",
    "<a>&</a>", "<a>&;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&#xFFFF;</a>",
    "<a>&#x110000;</a>", "<a>&#99999999999999999999;</a>", "<a>&#-1;</a>", "<a>&#1e3;</a>", "<a>\0</a>", "<a>\27</a>",
    "<a><![CDATA[\27]]></a>", "<a><![CDATA[\0]]></a>", "<a><!-- \27 --></a>", "<!-- \0 --><a/>",
    "<a><!-- x</a>", "<a><![CDATA[x</a>", "<![CDATA[x]]><a/>", "<a><?x?></a>", "<a><?xml version='1.0'?></a>",
    "<!DOCTYPE a><a/>", "<a><!ENTITY x 'y'></a>", "<a>" .. ("<b>"):rep(20) .. ("</b>"):rep(20) .. "</a>",
    "<a>" .. (" "):rep(70000) .. "</a>",
  }
  it("refuses what is malformed, too large or too deep, and quotes none of it", function()
    for _, text in ipairs(BAD) do
      local root, message = xml.parse(text)
      assert.is_nil(root, text)
      assert.is_truthy(message:find "^it [%w ,%-]+$", message)
    end
  end)

  it("takes no time for what is made to take long", function()
    local long = 65000
    local function fill(piece) return piece:rep(math.floor(long / #piece)) end
    local start = os.clock()
    for _, text in ipairs {
      "<a" .. fill " ", "<a " .. fill "x", "<a " .. fill "x ", "<a " .. fill "x=", "<a>" .. fill "&",
      fill "<", fill "</", "<a>" .. fill "<!--", "<a>" .. fill "<![CDATA[", "<a>" .. fill "&#", "<a>" .. fill "<b/>",
      "<a>" .. fill "]]>",
      "<?xml " .. fill "?", "<a b='" .. fill "&amp;", "</a" .. fill " ", fill " ",
    } do
      assert.is_nil((xml.parse(text)))
    end
    assert.is_true(os.clock() - start < 2)
  end)
end)

describe("an excerpt", function()
  it("is one printable line", function()
    assert.equal("a b [31m \195\169 x end",
      excerpt.line("  a\r\n\tb\27[31m\0\195\169 \194\133x\255 \226\130 end\127 ", 100))
    assert.equal("", excerpt.line("\n\0 ", 10))
  end)

  it("is cut between characters", function()
    assert.equal("xxxxx...", excerpt.line(("x"):rep(6), 5))
    assert.equal("xxxxx", excerpt.line(("x"):rep(5), 5))
    assert.equal("\195\169\195\169...", excerpt.line(("\195\169"):rep(3), 5))
  end)

  it("has stars for secrets", function()
    assert.equal("a *** b ***", excerpt.redact("a %d.+* b %d.+*", { "%d.+*" }))
    assert.equal("abc", excerpt.redact("abc", { "b", "" }))
  end)
end)
