-- What gives credentials, and what it is asked with, is told nowhere: in no message and no detail, in no
-- event, not by a client's text, not in the log of the server. Whatever happens on the way.
local credentials_rig = require "spec.support.credentials_rig"
local cases = require "spec.support.credentials_failures"
local failures = require "spec.support.failures"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"
local sources = require "spec.support.credentials_sources"

-- What programs are given, and what they print to be understood as credentials.
local PRINTED = { "ARGUMENT-OF-THE-PROGRAM", "OUTPUT-OF-THE-PROGRAM", "SECRET-IN-THE-ANSWER", "TOKEN-IN-THE-ANSWER" }

-- `known` are the secrets that there are from the beginning, `told` all texts that were seen.
local sim, rig, known, told

local function assert_without(secrets, text)
  for _, secret in ipairs(secrets) do
    local at = text:find(secret, 1, true)
    if at then error(("%s in: %s"):format(secret, text:sub(math.max(1, at - 300), at + 300))) end
  end
end

local function assert_silent(seen)
  local texts = failures.texts(seen)
  assert.is_true(#texts > 1)
  local text = table.concat(texts, "\n")
  assert_without(known, text)
  told[#told + 1] = text
end

-- Everything that a client of these options lets one see of a call and of the next.
local function look(options, call)
  local client, message, detail = rig:new_client(options)
  local seen = { message or "", detail, rig.events }
  for _ = 1, client and 2 or 0 do
    local result
    result, message, detail = rig:describe(client, call)
    for _, value in ipairs { tostring(client), client.endpoint, client.region, client.credentials_source or "",
      result or message, detail or "" } do
      seen[#seen + 1] = value
    end
  end
  return seen, message, detail
end

-- Answers with secrets in them: of the client's own, which %s stands for, and new ones.
local KEYS = '"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"SECRET-IN-THE-ANSWER","Token":"TOKEN-IN-THE-ANSWER"'
local QUOTING = {
  { 400, '{"code":"Bad","message":"you sent %s, %s","Message":"%s","error":"%s","error_description":"%s"}' },
  { 403, '{"code":"%s","error":"%s","__type":"%s"}' },
  { 403, "you sent %s" },
  { 400, "<ErrorResponse><Error><Code>%s</Code><Message>you sent %s</Message></Error></ErrorResponse>" },
  { 400, "<ErrorResponse><Error><Code>Bad</Code><Message>you sent %s</Message></Error></ErrorResponse>" },
  { 500, "<html>%s</html>" },
  { 200, "%s" },
  { 200, "{" .. KEYS },
  { 200, "{" .. KEYS .. ',"Expiration":"TOKEN-IN-THE-ANSWER"}' },
  { 200, '{"Code":"%s","Message":"you sent %s",' .. KEYS .. "}" },
  { 200, "{" .. KEYS:gsub('"TOKEN', '7,"x":"TOKEN') .. "}" },
  { 200, '{"roleCredentials":{"accessKeyId":"a","secretAccessKey":"SECRET-IN-THE-ANSWER"}}' },
  { 200, '{"credentials":{"accessKeyId":"a","secretAccessKey":"SECRET-IN-THE-ANSWER"}}' },
  { 200, '{"accessToken":{"accessKeyId":"a","secretAccessKey":"SECRET-IN-THE-ANSWER"}}' },
  { 200, '{"accessToken":"TOKEN-IN-THE-ANSWER"}' },
  { 200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>SECRET-IN-THE-ANSWER"
    .. "</SecretAccessKey></Credentials></AssumeRoleResult></AssumeRoleResponse>" },
}

-- What each service is asked with, and how to make a client ask it.
local SERVICES = {
  { "sts", "a session token", function()
    local keys = sim.temporary_credentials
    rig:variables { AWS_ACCESS_KEY_ID = keys.access_key_id, AWS_SECRET_ACCESS_KEY = keys.secret_access_key,
      AWS_SESSION_TOKEN = keys.session_token }
    rig:config(rig:role_profile "credential_source = Environment")
    return { profile = "default" }, keys.session_token
  end },
  { "sts", "a web identity", function()
    rig:variables { AWS_ROLE_ARN = sim.role_arn,
      AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("token", sim.web_identity_token) }
    return nil, sim.web_identity_token
  end },
  { "sso", "a token", function()
    rig:write_sso_token("dev")
    rig:config(rig:sso_profile "default")
    return nil, sim.sso.access_token
  end },
  { "oidc", "a refresh token", function()
    rig:write_sso_token("dev", { expiresAt = "2020-01-01T00:00:00Z" })
    rig:config(rig:sso_profile "default")
    return nil, sim.sso.refresh_token
  end },
  { "oidc", "a client's secret", function()
    rig:write_sso_token("dev", { expiresAt = "2020-01-01T00:00:00Z" })
    rig:config(rig:sso_profile "default")
    return nil, sim.sso.client_secret
  end },
  { "signin", "a refresh token", function()
    rig:write_login_token(credentials_rig.LOGIN_SESSION)
    rig:config("[default]\nlogin_session = " .. credentials_rig.LOGIN_SESSION)
    rig:advance(1000)
    return nil, sim.login.refresh_token
  end },
  { "container", "its token", function()
    rig:use_container()
    return nil, sim.container_token
  end },
  { "imds.token", "keys", function()
    rig:use_imds()
    return nil, "nothing"
  end },
  { "imds.role", "keys", function()
    rig:use_imds()
    return nil, "nothing"
  end },
  { "device", "keys", function() return { device = sim.device }, "nothing" end },
}

local OUTPUTS = {
  { "in what it says when it fails", 'echo "bad argument: $1, $2" >&2; exit 1' },
  { "in what it prints and says when it fails", 'echo OUTPUT-OF-THE-PROGRAM; echo "no: $1" >&2; exit 1' },
  { "in garbage", "echo OUTPUT-OF-THE-PROGRAM" },
  { "in half a document", [[printf '{"Version":1,"SecretAccessKey":"OUTPUT-OF-THE-PROGRAM"']] },
  { "in a document that lacks a key", [[printf '{"Version":1,"SecretAccessKey":"OUTPUT-OF-THE-PROGRAM"}']] },
  { "in a wrong place", [[printf '{"Version":1,"AccessKeyId":"a","SecretAccessKey":["OUTPUT-OF-THE-PROGRAM"]}']] },
  { "in a date", [[printf '{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","Expiration":"%s"}' "$1"]] },
  { "in a version", [[printf '{"Version":"OUTPUT-OF-THE-PROGRAM"}']] },
}

describe("no secret of a source of credentials is told", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "full", status = "Completed" }
    known, told = sim:secrets(), {}
    for _, secret in ipairs(PRINTED) do known[#known + 1] = secret end
    assert.is_true(#known > 15)
  end)
  teardown(function() sim:stop() end)
  before_each(function() rig = credentials_rig.new(sim) end)
  after_each(function() rig:remove() end)

  for _, source in ipairs(sources) do
    it("by " .. source.what, function()
      local options = source.use(rig)
      sim:settings { credential_seconds = 200 } -- so that the second call renews them
      assert_silent(look(options))
      assert.is_true(#rig.events == 2)
    end)
  end

  for _, case in ipairs(cases) do
    if not case.least then -- what waits for long says no more than what waits for less
      it("for " .. case[1], function()
        local seen, message = look(case[4](rig))
        assert.equal("string", type(message))
        assert_silent(seen)
      end)
    end
  end

  for _, service in ipairs(SERVICES) do
    it(("by answers of %s that quote %s"):format(service[1], service[2]), function()
      local options, secret = service[3]()
      local faults = {}
      for index, answer in ipairs(QUOTING) do
        local body = answer[2]:gsub("%%s", (secret:gsub("%%", "%%%%")))
        faults[index] = { kind = "reply", status = answer[1], body = body, operation = service[1] }
      end
      sim:fault(faults)
      -- Some answers make the client ask again, and then get the next one.
      local hits, failed
      failed = 0
      repeat
        local seen, message, detail = look(options, { timeout = 0.1 })
        assert_silent(seen)
        if detail then
          failed = failed + 1
          assert.is_true(failures.is_printable(message))
        end
        hits = 0
        for _, entry in ipairs(sim:journal()) do hits = hits + (entry.fault and 1 or 0) end
      until hits == #QUOTING
      assert.is_true(failed >= 4, failed)
    end)
  end

  for _, output in ipairs(OUTPUTS) do
    it("by a program, " .. output[1], function()
      rig:config("[default]\ncredential_process = " .. rig:program(output[2])
        .. " ARGUMENT-OF-THE-PROGRAM --password=ARGUMENT-OF-THE-PROGRAM\n")
      local seen, _, detail = look()
      assert.equal("CredentialsFailed", detail.code)
      assert_silent(seen)
    end)
  end

  it("for a command that cannot be understood", function()
    rig:config "[default]\ncredential_process = tool 'ARGUMENT-OF-THE-PROGRAM\n"
    assert_silent(look())
  end)

  it("for files that hold them in wrong places", function()
    for _, text in ipairs {
      "[default]\nSECRET-IN-THE-ANSWER\n", "[default\nkey = SECRET-IN-THE-ANSWER\n", "key = SECRET-IN-THE-ANSWER\n",
      "[default]\naws_secret_access_key = SECRET-IN-THE-ANSWER\n",
      "[default]\naws_access_key_id = a\naws_session_token = TOKEN-IN-THE-ANSWER\n",
      "[default]\nregion = SECRET-IN-THE-ANSWER!\n", "[default]\n= SECRET-IN-THE-ANSWER\n",
    } do
      rig:variables { AWS_REGION = text:find "region" and false or sim.region }
      rig:config(text)
      assert_silent(look())
    end
  end)

  it("by any of these, of what was issued meanwhile", function()
    local issued = sim:secrets()
    assert.is_true(#issued > #known + 50)
    told[#told + 1] = assert(files.read(sim.folder .. "/error.log"))
    assert_without(issued, table.concat(told, "\n"))
  end)
end)
