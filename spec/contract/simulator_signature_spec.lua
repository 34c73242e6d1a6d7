-- What the simulator says of signatures, asked by a signer that is not ours: botocore's. One Python
-- sends all the requests; each answer is a test.

local json = require "cjson.safe"
local simulator = require "spec.support.simulator"

local START = '{"templateBody":"{}","inputFileBucket":"bkt","inputFileKey":"k",'
  .. '"roleArn":"arn:aws:iam::123456789012:role/x"}'

-- Sends each request of a list, signed by botocore, and changed afterwards where `then` says so.
local PYTHON = [[
import http.client, json, ssl, sys, urllib.parse
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

def send(case, context):
    url = urllib.parse.urlsplit(case["endpoint"])
    path, body, headers = case["path"], case.get("body", "").encode(), dict(case.get("headers", {}))
    request = AWSRequest(method=case["method"], url=case["endpoint"] + path, data=body, headers=headers)
    credentials = Credentials(case["access_key_id"], case["secret_access_key"], case.get("session_token") or None)
    SigV4Auth(credentials, case["service"], case["region"]).add_auth(request)
    headers = dict(request.headers.items())
    later = case.get("then", {})
    for name in later.get("without", []):
        del headers[name]
    for name, (old, new) in later.get("replace", {}).items():
        assert old in headers[name], (old, headers[name])
        headers[name] = headers[name].replace(old, new)
    headers.update(later.get("headers", {}))
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=10)
    connection.request(later.get("method", case["method"]), later.get("path", path),
                       later.get("body", body.decode()).encode() or None, headers)
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return {"status": answer.status, "headers": headers, "body": answer.read().decode()}

requests = json.load(open(sys.argv[1]))
context = ssl.create_default_context(cafile=sys.argv[2])
print(json.dumps([send(request, context) for request in requests]))
]]

local function write_file(name, text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
end

-- Debian's, which has the package; else the one of the PATH.
local function python(arguments)
  local pipe = assert(io.popen("unset LD_PRELOAD; for python in /usr/bin/python3 python3; do "
    .. "$python -c 'import botocore.auth' 2>/dev/null && break; done; exec $python " .. arguments .. " 2>&1", "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

describe("signatures by botocore", function()
  local missing = simulator.missing()
    or python "-c 'import botocore.auth'" ~= "" and "no Python here has botocore"
  if missing then
    pending(missing) -- botocore signs, and nginx is what checks it
    return
  end

  local sim, answers
  local requests = {}

  -- What Python needs to know of a request, from what its case says.
  local function complete(request)
    local whole = { endpoint = sim.endpoint, method = "GET", path = "/thing-registration-tasks/b",
      region = sim.region, service = "iot" }
    for name, value in pairs(sim[request.account or "credentials"]) do
      whole[name] = value
    end
    for name, value in pairs(request) do
      whole[name] = value
    end
    return whole
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "b", status = "Completed" }
    sim:seed { taskId = "a/b \195\169%2F+~", status = "Completed" }
    local whole = {}
    for index, request in ipairs(requests) do
      whole[index] = complete(request)
    end
    write_file(sim.folder .. "/requests.json", json.encode(whole))
    write_file(sim.folder .. "/send.py", PYTHON)
    local output = python(("%s/send.py %s/requests.json %s"):format(sim.folder, sim.folder, sim.ca_bundle))
    answers = json.decode(output)
    assert(answers, output)
  end)

  teardown(function() sim:stop() end)

  -- A request and what must come of it: status, code and (a pattern of) the message.
  local function case(title, status, code, message, request)
    requests[#requests + 1] = request
    local number = #requests
    it(title, function()
      local answer = answers[number]
      assert.equal(status, answer.status, answer.body)
      assert.equal(code, answer.headers["x-amzn-errortype"])
      if message then
        assert.matches(message, json.decode(answer.body).message)
      end
    end)
  end

  local MISMATCH = "^The request signature we calculated does not match the signature you provided%."
  local UNKNOWN = "^The security token included in the request is invalid%.$"

  case("are good", 200, nil, nil, {})
  case("are good with a session token", 200, nil, nil, { account = "temporary_credentials" })
  case("are good for a body", 200, nil, nil, { method = "POST", path = "/thing-registration-tasks", body = START,
    headers = { ["Content-Type"] = "application/json" } })
  case("are good for an encoded label, which is decoded once", 200, nil, nil,
    { path = "/thing-registration-tasks/a%2Fb%20%C3%A9%252F%2B~" })
  case("are good for a query in any order", 200, nil, nil,
    { path = "/thing-registration-tasks/b?z=%2A&a=b%2Fc%3D%20d&a=1&empty=" })
  case("are good for spaces within headers", 200, nil, nil, { headers = { ["X-Amz-Meta"] = "a   b  c" } })

  case("are missed", 403, "MissingAuthenticationTokenException", "^Missing Authentication Token$",
    { ["then"] = { without = { "Authorization" } } })
  case("of another algorithm are refused", 403, "IncompleteSignatureException", "algorithm",
    { ["then"] = { headers = { Authorization = "Bearer abc" } } })
  case("without their signed headers are incomplete", 403, "IncompleteSignatureException",
    "requires 'SignedHeaders' parameter",
    { ["then"] = { replace = { Authorization = { "SignedHeaders=host;x-amz-date, ", "" } } } })
  case("with a scope of four parts are incomplete", 403, "IncompleteSignatureException", "5 slash%-delimited",
    { ["then"] = { replace = { Authorization = { "/aws4_request", "" } } } })
  case("without a date are incomplete", 403, "IncompleteSignatureException", "X%-Amz%-Date",
    { ["then"] = { without = { "X-Amz-Date" } } })
  case("with a date of no form are incomplete", 403, "IncompleteSignatureException", "ISO%-8601",
    { ["then"] = { headers = { ["X-Amz-Date"] = "yesterday" } } })

  case("by an unknown key are refused", 403, "UnrecognizedClientException", UNKNOWN,
    { access_key_id = "AKIAUNKNOWN" })
  case("by a temporary key without its token are refused", 403, "UnrecognizedClientException", UNKNOWN,
    { account = "temporary_credentials", session_token = false })
  case("by a temporary key with another token are refused", 403, "UnrecognizedClientException", UNKNOWN,
    { account = "temporary_credentials", session_token = "other" })
  case("by a long-lived key with a token are refused", 403, "UnrecognizedClientException", UNKNOWN,
    { session_token = "token" })
  case("by an expired key are refused", 403, "ExpiredTokenException",
    "^The security token included in the request is expired$", { account = "expired_credentials" })

  case("for another region are refused", 403, "InvalidSignatureException",
    "^Credential should be scoped to a valid region", { region = "eu-west-1" })
  case("for another service are refused", 403, "InvalidSignatureException",
    "^Credential should be scoped to correct service: 'iot'%.", { service = "execute-api" })

  case("by another secret do not match", 403, "InvalidSignatureException", MISMATCH, { secret_access_key = "other" })
  case("do not match another path", 403, "InvalidSignatureException", MISMATCH,
    { ["then"] = { path = "/thing-registration-tasks/c" } })
  case("do not match another query", 403, "InvalidSignatureException", MISMATCH,
    { ["then"] = { path = "/thing-registration-tasks/b?a=1" } })
  case("do not match another body", 403, "InvalidSignatureException", MISMATCH, { method = "POST", body = START,
    path = "/thing-registration-tasks", ["then"] = { body = START .. " " } })
  case("do not match another value of a signed header", 403, "InvalidSignatureException", MISMATCH,
    { headers = { ["X-Amz-Meta"] = "a" }, ["then"] = { headers = { ["X-Amz-Meta"] = "b" } } })
  case("do not match another signature", 403, "InvalidSignatureException", MISMATCH,
    { ["then"] = { replace = { Authorization = { "Signature=", "Signature=0" } } } })
  case("that leave out the host are refused", 403, "InvalidSignatureException", "'Host'",
    { ["then"] = { replace = { Authorization = { "host;", "" } } } })
  case("that leave out the date are refused", 403, "InvalidSignatureException", "'x%-amz%-date'",
    { ["then"] = { replace = { Authorization = { ";x-amz-date", "" } } } })
  case("that leave out the token are refused", 403, "InvalidSignatureException", "'x%-amz%-security%-token'",
    { account = "temporary_credentials",
      ["then"] = { replace = { Authorization = { ";x-amz-security-token", "" } } } })
  case("with a false digest of the body are refused", 403, "InvalidSignatureException", "x%-amz%-content%-sha256",
    { headers = { ["x-amz-content-sha256"] = ("0"):rep(64) } })
end)
