-- nginx uses OpenSSL in the same thread, and warns of errors that it finds queued: "ignoring stale global SSL error".
-- So nothing may leave one, whatever fails.
local endurance = require "spec.support.endurance"
local files = require "spec.support.files"
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

-- Runs a function of a source text, beside what it needs, and tells what it returned and whether an error is queued
-- then; one that is queued before would be taken for its own.
local LOOK = [[
  local given = ...
  local ffi = require "ffi"
  pcall(ffi.cdef, "unsigned long ERR_peek_error(void);")
  local iot, core = require "iot", require "iot.core"
  local function describe(changes)
    local options = { retry = { max_attempts = 1 } }
    for name, value in pairs(given.options) do options[name] = value end
    for name, value in pairs(changes) do options[name] = value end
    if changes.device then options.credentials = nil end
    local client, message = iot.new(options)
    if not client then return message end
    local task, reason = client:describe_thing_registration_task({ taskId = "task" }, { timeout = 5 })
    return task and "described" or reason
  end
  local function device(changes)
    local options = {}
    for name, value in pairs(given.device) do options[name] = value end
    for name, value in pairs(changes) do options[name] = value end
    return describe { device = options }
  end
  local run = assert(loadstring("local given, iot, core, describe, device = ... " .. given.source))
  local before = ffi.C.ERR_peek_error() ~= 0
  local outcome = run(given, iot, core, describe, device)
  return tostring(outcome), before, ffi.C.ERR_peek_error() ~= 0]]

-- What is done, and what comes of it inside and, where that differs, in init_by_lua.
local CASES = {
  { "return describe {}", "^described$" },
  { "return describe { endpoint = given.wrong_host }", "certificate was not accepted" },
  { "return describe { endpoint = given.expired }", "certificate was not accepted" },
  { "return describe { endpoint = given.old_tls }", "the TLS handshake failed" },
  { "return describe { endpoint = given.no_tls }", "the TLS handshake failed" },
  { "return describe { ca_bundle = given.broken }", "^described$", "CA bundle" },
  { "return describe { ca_bundle = '/nowhere' }", "CA bundle .* cannot be used: /nowhere" },
  { "return describe { credentials = { access_key_id = 'a', secret_access_key = 'b' } }", "UnrecognizedClient" },
  { "return device {}", "^described$" },
  { "return device { key = given.other_key }", "cannot be used: ssl set client private key failed: .* belong together",
    "belong together" },
  { "return device { certificate = given.broken }", "belong together" },
  { "return device { key = given.broken }", "belong together" },
  { "return device { certificate = given.other_certificate, key = given.other_key }", "certificate is not known" },
  { "return core.sha256 'x'", "^2d711642" },
  { "return (select(2, core.es256_sign('no key', 'text')))", "not valid" },
  { "return (select(2, core.es256_public(given.rsa_key)))", "not valid" },
  { "return (select(2, core.client { endpoint = '', region = 'r' }))", "URL" },
  { [[return (select(2, iot.sign({ method = "GET", url = "https://x.test/\1" },
      { credentials = given.options.credentials, region = "r", service = "s" })))]], "control character" },
  { [[local client = core.client { endpoint = "https://x.test", region = "r", ca_bundle = given.broken }
      return (select(2, client:prepare("describe_thing_registration_task", { taskId = ".." }, {})))]], "taskId" },
  { [[local client = core.client { endpoint = "https://x.test", region = "r" }
      return (select(2, client:parse("describe_thing_registration_task", 200, "HTTP/1.1 200 OK\r\n", "<html>", {})))]],
    "JSON" },
  { "return (select(2, core.write_request { method = 'GET', url = 'https://x.test/\\1' }))", "control" },
}

describe("OpenSSL's errors inside nginx", function()
  local missing = simulator.missing() or nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local sim, nginx, given, broken

  setup(function()
    sim = simulator.start()
    sim:seed { taskId = "task", status = "InProgress", percentageProgress = 7 }
    nginx = endurance.start(sim)
    broken = files.temporary()
    files.write(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
      .. "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
    given = {
      options = sim:options(), device = sim.device, broken = broken, wrong_host = sim.wrong_host_endpoint,
      expired = sim.expired_endpoint, old_tls = sim.old_tls_endpoint,
      no_tls = sim.plain_endpoint:gsub("^http:", "https:"),
      other_key = nginx.folder .. "/server.key", other_certificate = nginx.folder .. "/server.pem",
      rsa_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
  end)
  teardown(function()
    os.remove(broken)
    nginx:stop()
    sim:stop()
  end)

  for number, case in ipairs(CASES) do
    it(("are not left: %d. %s"):format(number, case[1]:gsub("%s+", " ")), function()
      given.source = case[1]
      local outcome, before, after = nginx:run("content", LOOK, given)
      assert.matches(case[2], outcome)
      assert.is_false(before)
      assert.is_false(after)
    end)
  end

  it("are not left by the calls of init_by_lua, which all workers would inherit", function()
    local sources = {}
    for i, case in ipairs(CASES) do sources[i] = { case[1], case[3] or case[2] } end
    given.sources = sources
    local outcomes = nginx:run("init", ([[
      local given, outcomes = ..., {}
      local look = function(...) %s end
      for i, source in ipairs(given.sources) do
        given.source = source[1]
        outcomes[i] = { look(given) }
      end
      return outcomes]]):format(LOOK), given)
    for i, outcome in ipairs(outcomes) do
      assert.matches(sources[i][2], outcome[1])
      assert.is_false(outcome[2], sources[i][1])
      assert.is_false(outcome[3], sources[i][1])
    end
  end)

  it("are nothing that nginx ever finds", function()
    given.source = "return describe {}"
    assert.equal("described", (nginx:run("content", LOOK, given)))
    assert.is_nil(nginx:log():find("ignoring stale", 1, true))
  end)
end)
