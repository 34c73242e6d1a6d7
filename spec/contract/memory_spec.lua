-- What is left of secrets in a process's memory: in what C owns nothing after a client was closed, however its calls
-- ended; before that its signing key, and the token in its last request. Lua's own strings cannot be wiped; see the
-- README. Looked at from inside, by a library that knows Lua's memory from all other (spec/support/memory.c).
local child = require "spec.support.child"
local digest = require "spec.support.digest"
local files = require "spec.support.files"
local memory = require "spec.support.memory"
local raw_server = require "spec.support.raw_server"
local simulator = require "spec.support.simulator"

local PASSWORD = "PASSWORD-OF-THE-PROXY"

local function missing()
  if simulator.missing() then return simulator.missing() end
  if rawget(_G, "jit") then return "LuaJIT's memory is its own affair: it cannot be told from C's" end
  if os.getenv "ASAN_OPTIONS" then return "a sanitizer keeps what was freed" end
  local maps = io.open("/proc/self/maps")
  if not maps then return "no /proc" end
  maps:close()
end

-- What is looked for: in all memory that is not Lua's, or, where Lua never had it, in all.
local IN_ALL = { key = true, key_after_midnight = true, padded_key = true, padded_secret = true }

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- HMAC works on its key with each byte's bits 0x36 turned over.
local function padded(text)
  return (text:gsub(".", function(c)
    local byte, turned, bit = c:byte(), 0, 1
    for _, set in ipairs { 0, 1, 1, 0, 1, 1, 0, 0 } do
      turned = turned + (math.floor(byte / bit) + set) % 2 * bit
      bit = bit * 2
    end
    return string.char(turned)
  end))
end

local function needles_of(sim, now)
  local keys = sim.temporary_credentials
  local function key_at(time)
    return bytes_of(digest.signing_key(keys.secret_access_key, os.date("!%Y%m%d", time), sim.region, "iot"))
  end
  local key = key_at(now)
  local pem = assert(files.read(sim.device.key))
  return {
    secret = keys.secret_access_key, padded_secret = padded("AWS4" .. keys.secret_access_key),
    token = keys.session_token, key = key, key_after_midnight = key_at(now + 86400), padded_key = padded(key),
    password = PASSWORD, authorization = assert(io.popen(
      "printf %s 'user:" .. PASSWORD .. "' | openssl base64 -A")):read "*a",
    pem = assert(pem:match "\n([%w+/]+)\n"),
  }
end

-- The program in which it all happens. It writes "WHEN looked TEXT=COUNT ...", with the texts that are there.
local PROGRAM = [=[
local memory = require("spec.support.memory").load(LIBRARY)

local function look(when)
  local seen = {}
  for name, masked in pairs(MASKED) do
    local count = assert(memory.look(masked, IN_ALL[name]), "Lua's memory is not told from other")
    if count > 0 then seen[#seen + 1] = ("%s=%d"):format(name, count) end
  end
  print(when .. " looked " .. table.concat(seen, " "))
end

local function keys()
  return { access_key_id = ACCESS_KEY_ID, secret_access_key = memory.unmask(MASKED.secret),
    session_token = memory.unmask(MASKED.token) }
end

local iot = require "iot"
local environment = require "spec.support.environment"
environment.replace()

local function client(changes)
  local options = { region = REGION, endpoint = ENDPOINT, ca_bundle = CA_BUNDLE, retry = { max_attempts = 1 } }
  if not changes.no_credentials then options.credentials = keys() end
  for name, value in pairs(changes.options or {}) do options[name] = value end
  return assert(iot.new(options))
end

-- Runs `use` with a client, closes that, and looks.
local function after(when, changes, use)
  local made = client(changes)
  local outcome, _, detail = (use or made.describe_thing_registration_task)(made, { taskId = "full" })
  if changes.before then look(when .. ":before-close") end
  made:close()
  look(when)
  local code = outcome and "success" or detail and detail.code or "none"
  if code ~= changes.code then print(when .. " ended with " .. code) end
end

local function in_map(count, code)
  return function(made)
    local tasks, failures = iot.map({ 1, 2, 3, 4, 5, 6 }, function(i)
      if i == count then error "in the middle" end
      return made:describe_thing_registration_task { taskId = "full" }
    end, { concurrency = 3 })
    if code then return nil, nil, failures[1].detail end
    return tasks[1]
  end
end

look "at-first"
after("a-call", { code = "success", before = true })
after("a-map", { code = "success" }, in_map())
after("an-error-in-a-map", { code = "success" }, in_map(2))
after("a-wrong-host", { code = "CertificateInvalid", options = { endpoint = WRONG_HOST } })
after("a-refused-connection", { code = "ConnectionFailed", options = { endpoint = "https://127.0.0.1:1" } })
after("silence", { code = "Timeout", options = { endpoint = SILENT, timeout = 0.2 } })
after("silence-in-a-map", { code = "Timeout", options = { endpoint = SILENT, timeout = 0.2 } }, in_map(nil, true))
after("a-lost-connection", { code = "ConnectionLost", options = { endpoint = RESETTING } })
after("a-refusal", { code = "InvalidSignatureException", options = { region = "eu-west-1" } })

local proxy = PROXY:gsub("://", "://user:" .. memory.unmask(MASKED.password) .. "@")
after("a-proxy", { code = "ProxyFailed", options = { proxy = proxy } })
after("a-proxy-in-a-map", { code = "ProxyFailed", options = { proxy = proxy } }, in_map(nil, true))

environment.replace { AWS_CONTAINER_CREDENTIALS_FULL_URI = CONTAINER,
  AWS_CONTAINER_AUTHORIZATION_TOKEN = memory.unmask(MASKED.token) }
after("a-container", { code = "success", no_credentials = true })
environment.replace()
after("a-device", { code = "success", no_credentials = true, options = { device = DEVICE } })

local request = { method = "GET", url = "https://localhost/", headers = { { "X-A", "b" } } }
local options = { credentials = keys(), region = REGION, service = "iot", time = NOW }
assert(iot.sign(request, options))
look "signing"
options.expires_in = 600
assert(iot.presign(request, options))
look "presigning"
for name, masked in pairs(MASKED) do
  if IN_ALL[name] then memory.look_at_end(masked) end
end
]=]

-- A table of strings as Lua's text.
local function constructor(values, literal)
  local parts = {}
  for name, value in pairs(values) do parts[#parts + 1] = ("[%q] = %s"):format(name, literal(value)) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function quoted(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

describe("what C owned holds no secret", function()
  local sim, raw, library, output

  setup(function()
    local reason = missing()
    if reason then return end
    library, reason = memory.library()
    if not library then error(reason) end
    sim = simulator.start()
    raw = raw_server.start(sim)
    sim:seed { taskId = "full", status = "Completed" }
    local keys, now = sim.temporary_credentials, os.time()
    sim:fault { kind = "reply", operation = "container", status = 200, body =
      ('{"AccessKeyId":"%s","SecretAccessKey":"%s","Token":"%s","Expiration":"2036-01-01T00:00:00Z"}'):format(
        keys.access_key_id, keys.secret_access_key, keys.session_token) }
    local constants = {
      LIBRARY = library, REGION = sim.region, ENDPOINT = sim.endpoint, CA_BUNDLE = sim.ca_bundle,
      ACCESS_KEY_ID = keys.access_key_id, WRONG_HOST = sim.wrong_host_endpoint, SILENT = raw.silent_tls,
      RESETTING = raw.resetting_in_body, PROXY = raw.refusing_proxy, CONTAINER = sim.container_uri,
    }
    local lines = { "local MASKED = " .. constructor(needles_of(sim, now), memory.literal),
      "local IN_ALL = " .. constructor(IN_ALL, quoted),
      "local DEVICE = " .. constructor(sim.device, quoted), "local NOW = " .. now }
    for name, value in pairs(constants) do lines[#lines + 1] = ("local %s = %q"):format(name, value) end
    output = child.output(table.concat(lines, "\n") .. "\n" .. PROGRAM, { LD_PRELOAD = library })
  end)
  teardown(function()
    if not library then return end
    os.remove(library)
    raw:stop()
    sim:stop()
  end)

  local reason = missing()
  if reason then
    pending(reason) -- without a simulator, or where memory cannot be looked at
    return
  end

  local function seen(when)
    return output:match("\n" .. when:gsub("%p", "%%%0") .. " looked *([^\n]*)\n")
  end

  for _, when in ipairs {
    "a-call", "a-map", "an-error-in-a-map", "a-wrong-host", "a-refused-connection", "silence", "silence-in-a-map",
    "a-lost-connection", "a-refusal", "a-proxy", "a-proxy-in-a-map", "a-container", "a-device",
  } do
    it("after " .. when:gsub("%-", " "), function() assert.equal("", seen(when)) end)
  end

  it("and each case ended as it was meant to", function()
    assert.is_nil(output:match "[^\n]* ended with [^\n]*")
  end)

  it("before a client is closed, but for its signing key and the token in its last request", function()
    for word in seen "a-call:before-close":gmatch "%S+" do
      assert.is_truthy(word:find "^key" or word:find "^token=", word)
    end
    assert.is_truthy(seen "a-call:before-close":find "%f[%w]key[%w_]*=1") -- else the search is blind
  end)

  it("after a signature, but for the signing key, which goes with the Lua state", function()
    assert.equal("key=1", seen "signing")
    assert.equal("key=1", seen "presigning")
    local _, ends = output:gsub("at end 0\n", "")
    assert.equal(4, ends)
  end)
end)
