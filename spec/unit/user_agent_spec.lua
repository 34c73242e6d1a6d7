-- The headers that say who calls: the user agent and the trace id, as an attempt carries them.
local core = require "iot.core"
local iot = require "iot"
local environment = require "spec.support.environment"
local user_agent_of = require("iot.config.user_agent").build

local KEYS = { AWS_REGION = "us-east-1", AWS_ACCESS_KEY_ID = "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY = "SECRET" }
local RECORD = { access_key_id = "AKIDEXAMPLE", secret_access_key = "SECRET" }

after_each(environment.restore)

-- Helpers ------------------------------------------------------------------------------------

-- The attempt of a call in this environment, and its request as bytes.
local function attempt_with(options, variables)
  local all = {}
  for name, text in pairs(KEYS) do all[name] = text end
  for name, text in pairs(variables or {}) do all[name] = text end
  environment.replace(all)

  local request
  local given = { runtime = environment.runtime(function(native, operation, params, attempt)
    request = assert(native:prepare(operation, params, attempt))
    return {}
  end) }
  for name, value in pairs(options or {}) do given[name] = value end
  assert(assert(iot.new(given)):describe_thing_registration_task { taskId = "task" })
  return given.runtime.sent[1].attempt, request
end

local function user_agent(options, variables)
  return attempt_with(options, variables).user_agent
end

local function words_of(text)
  local words = {}
  for word in text:gmatch "[^ ]+" do words[#words + 1] = word end
  return words
end

-- What stands behind `prefix` in the one word that begins with it; nil when there is none.
local function value_of(text, prefix)
  local found
  for _, word in ipairs(words_of(text)) do
    if word:sub(1, #prefix) == prefix then
      assert.is_nil(found, prefix .. " comes twice in " .. text)
      found = word:sub(#prefix + 1)
    end
  end
  return found
end

local function features(text)
  local set = {}
  for id in (value_of(text, "m/") or ""):gmatch "[^,]+" do
    assert.is_nil(set[id], id .. " comes twice in " .. text)
    set[id] = true
  end
  return set
end

-- User agent ---------------------------------------------------------------------------------

describe("the user agent", function()
  -- The parts in their order. `md/` belongs to what stands before it.
  local ORDER = { "aws-sdk-lua", "ua/", "api/", "os/", "lang/", "exec-env/", "m/", "cfg/", "app/" }
  local EVERYTHING = { endpoint = "http://localhost:4566", app_id = "line-7" }

  local function place_of(word)
    for place, prefix in ipairs(ORDER) do
      if word:sub(1, #prefix) == prefix then return place end
    end
  end

  local function assert_well_formed(text)
    assert.is_nil(text:find "[^\32-\126]", text)
    assert.is_nil(text:find "^ " or text:find " $" or text:find "  ", text)
    local last = 0
    for _, word in ipairs(words_of(text)) do
      -- CATEGORY/NAME[#VALUE], each of allowed characters, none empty.
      local category, name, value = word:match "^([^/#]+)/([^#]+)(.*)$"
      assert.is_truthy(category, word)
      assert.is_nil((category .. name):find "[^%w!$%%&'*+%-.^_`|~,]", word)
      assert.is_true(value == "" or value:find "^#[%w!$%%&'*+%-.^_`|~,#]+$" ~= nil, word)
      if category ~= "md" then
        local place = place_of(word)
        assert.is_truthy(place, word .. " is no part of a user agent")
        assert.is_true(place > last, word .. " is in a wrong place of " .. text)
        last = place
      end
    end
  end

  it("has its parts in order", function()
    assert_well_formed(user_agent())
    assert_well_formed(user_agent(EVERYTHING, { AWS_EXECUTION_ENV = "AWS_Lambda_lua" }))
  end)

  it("begins with the product and its version", function()
    local words = words_of(user_agent())
    assert.matches("^aws%-sdk%-lua[%w%-]*/", words[1])
    assert.equal(iot._VERSION, words[1]:match "/(.*)$")
    assert.equal("ua/2.1", words[2])
    assert.equal("api/iot#2015-05-28", words[3])
  end)

  it("names the system and the machine", function()
    local text, system = user_agent(), core.system()
    local family = ({ Linux = "linux", Darwin = "macos" })[system.name]
    if family then
      assert.equal("#" .. system.release:gsub("[^%w!$%%&'*+%-.^_`|~,]", "-"), value_of(text, "os/" .. family))
    else
      assert.equal("", value_of(text, "os/other"))
    end
    assert.equal(system.machine, value_of(text, "md/arch#"))
    assert.is_true(text:find("os/", 1, true) < text:find("md/arch#", 1, true))
    assert.is_true(text:find("md/arch#", 1, true) < text:find("lang/", 1, true))
  end)

  it("names the language", function()
    assert.equal(_VERSION:match "%d+%.%d+", value_of(user_agent(), "lang/lua#"))
  end)

  it("is sent as it is, and not signed", function()
    local attempt, request = attempt_with(EVERYTHING)
    assert.is_truthy(request:find("\r\nUser-Agent: " .. attempt.user_agent .. "\r\n", 1, true))
    assert.is_nil(request:match "SignedHeaders=([^,]*)":find("user-agent", 1, true))
  end)

  it("tells the execution environment, if there is one", function()
    assert.equal("AWS_Lambda_x", value_of(user_agent({}, { AWS_EXECUTION_ENV = "AWS_Lambda_x" }), "exec-env/"))
    assert.is_nil(value_of(user_agent(), "exec-env/"))
    assert.is_nil(value_of(user_agent({}, { AWS_EXECUTION_ENV = "" }), "exec-env/"))
  end)

  it("tells the application, if it has a name", function()
    assert.equal("line-7", value_of(user_agent { app_id = "line-7" }, "app/"))
    assert.equal("line-8", value_of(user_agent({}, { AWS_SDK_UA_APP_ID = "line-8" }), "app/"))
    assert.equal("line-7", value_of(user_agent({ app_id = "line-7" }, { AWS_SDK_UA_APP_ID = "line-8" }), "app/"))
    assert.is_nil(value_of(user_agent(), "app/"))
    assert.is_nil(value_of(user_agent({}, { AWS_SDK_UA_APP_ID = "" }), "app/"))
  end)

  it("has no application without a name", function()
    assert.is_nil(value_of(user_agent { app_id = "" }, "app/"))
  end)

  -- Text, what becomes of it.
  local TEXTS = {
    { "a b", "a-b" },
    { "a/b", "a-b" },
    { "a(b)", "a-b-" },
    { "a;b:c=d", "a-b-c-d" },
    { "a\"b\\c", "a-b-c" },
    { "a@b?c", "a-b-c" },
    { "[x]{y}<z>", "-x--y--z-" },
    { "!$%&'*+-.^_`|~,", "!$%&'*+-.^_`|~," },
    { "a\r\nX-Evil: 1", "a--X-Evil--1" },
    { "a\0b\127", "a-b-" },
    { "a\tb", "a-b" },
    { "\195\169", "--" },
    { "\255", "-" },
    { "a%sb%1", "a%sb%1" },
  }

  for i, case in ipairs(TEXTS) do
    it(("replaces what a token may not hold (%d)"):format(i), function()
      local text = user_agent({ app_id = case[1] }, { AWS_EXECUTION_ENV = case[1] })
      assert_well_formed(text)
      assert.equal(case[2], value_of(text, "app/"))
      assert.equal(case[2], value_of(text, "exec-env/"))
    end)
  end

  it("is well-formed for a name of any bytes", function()
    for byte = 0, 255 do
      local name = "a" .. string.char(byte) .. "b"
      local text = user_agent({ app_id = name }, { AWS_EXECUTION_ENV = name })
      if byte ~= ("#"):byte() then assert_well_formed(text) end
      assert.is_nil(text:find "%c", text)
    end
  end)

  -- What happens, options, variables, ids of features.
  local FEATURES = {
    { "credentials of the environment", {}, {}, { g = true } },
    { "credentials in code", { credentials = RECORD }, {}, { e = true } },
    { "credentials of a function", { credentials = function() return RECORD end }, {}, { e = true } },
    { "an endpoint in code", { endpoint = "http://localhost:4566" }, {}, { g = true, N = true } },
    { "an endpoint for all services", {}, { AWS_ENDPOINT_URL = "http://localhost:4566" }, { g = true, N = true } },
    { "an endpoint for this service", {}, { AWS_ENDPOINT_URL_IOT = "http://localhost:4566" }, { g = true, N = true } },
    { "an endpoint that is ignored", {},
      { AWS_ENDPOINT_URL = "http://localhost:4566", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "true" }, { g = true } },
    { "both in code", { endpoint = "http://localhost:4566", credentials = RECORD }, {}, { e = true, N = true } },
    { "FIPS and dual stack", { use_fips_endpoint = true, use_dualstack_endpoint = true }, {}, { g = true } },
  }

  for _, case in ipairs(FEATURES) do
    it("tells of " .. case[1], function()
      local set = features(user_agent(case[2], case[3]))
      set.E = nil -- the retry mode, which is below
      assert.same(case[4], set)
    end)
  end

  it("tells of the retry mode", function()
    for mode, id in pairs { standard = "E", adaptive = "F" } do
      local text = user_agent_of {
        retry_mode = mode, custom_endpoint = true, credentials_feature = "g", app_id = "line-7",
      }
      assert_well_formed(text)
      assert.equal("#" .. mode, value_of(text, "cfg/retry-mode"))
      assert.same({ [id] = true, N = true, g = true }, features(text))
    end
    local text = user_agent_of { custom_endpoint = false }
    assert.is_nil(value_of(text, "cfg/"))
    assert.is_nil(value_of(text, "m/"))
  end)

  it("tells of a call that waits", function()
    environment.replace { AWS_EXECUTION_ENV = "x" }
    local text = user_agent_of { waiter = true, retry_mode = "standard", custom_endpoint = false, app_id = "a" }
    assert_well_formed(text)
    assert.same({ B = true, E = true }, features(text))
    assert.is_nil(features(user_agent_of { waiter = false, retry_mode = "standard", custom_endpoint = false }).B)
  end)
end)

-- Trace id -----------------------------------------------------------------------------------

describe("the trace id", function()
  local TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;lineage=a87bd80c:0,68fd:5"

  local function trace_id(variables)
    local attempt, request = attempt_with({}, variables)
    local sent = request:match "\r\n[Xx]%-[Aa]mzn%-[Tt]race%-[Ii]d: ([^\r\n]*)\r\n"
    if (attempt.trace_id or "") ~= "" then assert.equal(attempt.trace_id, sent) end
    assert.is_nil(request:match "SignedHeaders=([^,]*)":find("trace", 1, true))
    return sent
  end

  it("is that of the function that AWS Lambda runs", function()
    assert.equal(TRACE, trace_id { AWS_LAMBDA_FUNCTION_NAME = "name", _X_AMZN_TRACE_ID = TRACE })
  end)

  it("is nothing unless both variables are set", function()
    for _, variables in ipairs {
      {},
      { AWS_LAMBDA_FUNCTION_NAME = "name" },
      { _X_AMZN_TRACE_ID = TRACE },
      { AWS_LAMBDA_FUNCTION_NAME = "name", _X_AMZN_TRACE_ID = "" },
      { AWS_LAMBDA_FUNCTION_NAME = "", _X_AMZN_TRACE_ID = TRACE },
    } do
      assert.is_nil(trace_id(variables))
    end
  end)

  it("is read anew for each call", function()
    -- Lambda sets it for each invocation of a function that keeps its client.
    local variables = { AWS_LAMBDA_FUNCTION_NAME = "name", _X_AMZN_TRACE_ID = "first" }
    for name, text in pairs(KEYS) do variables[name] = text end
    environment.replace(variables)
    local runtime = environment.runtime()
    local client = assert(iot.new { runtime = runtime })
    for i, id in ipairs { "first", "second" } do
      variables._X_AMZN_TRACE_ID = id
      assert(client:describe_thing_registration_task { taskId = "task" })
      assert.equal(id, runtime.sent[i].attempt.trace_id)
    end
  end)

  -- Text, what is sent.
  local TEXTS = {
    { "test123-=;:+&[]{}\"',", "test123-=;:+&[]{}\"'," },
    { "abcXYZ019-._~", "abcXYZ019-._~" },
    { "first\nsecond", "first%0Asecond" },
    { "a\r\nX-Evil: 1", "a%0D%0AX-Evil:%201" },
    { "first\194\188second", "first%C2%BCsecond" },
    { "a b", "a%20b" },
    { "100%", "100%25" },
    { "%41", "%2541" },
    { "\0\127\255", "%00%7F%FF" },
    { "!#$()*/<>?@\\^`|", "%21%23%24%28%29%2A%2F%3C%3E%3F%40%5C%5E%60%7C" },
  }

  for i, case in ipairs(TEXTS) do
    it(("is percent-encoded (%d)"):format(i), function()
      assert.equal(case[2], trace_id { AWS_LAMBDA_FUNCTION_NAME = "name", _X_AMZN_TRACE_ID = case[1] })
    end)
  end

  it("keeps a fixed set of characters and no other", function()
    for byte = 0, 255 do
      local character = string.char(byte)
      local kept = character:find "^[%w%-._~=;:+&%[%]{}\"',]$"
      local expected = kept and character or ("%%%02X"):format(byte)
      assert.equal("a" .. expected .. "b",
        trace_id { AWS_LAMBDA_FUNCTION_NAME = "name", _X_AMZN_TRACE_ID = "a" .. character .. "b" })
    end
  end)
end)
