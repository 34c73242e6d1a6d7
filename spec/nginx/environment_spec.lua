-- What is missing because nginx dropped the variables that would have told of it is said so.
local files = require "spec.support.files"
local nginx_rig = require "spec.support.nginx"

local REGION = [[
  local client, message, detail = require("iot").new()
  return client and client.region or message, detail and detail.code]]
local CREDENTIALS = [[
  local client = assert(require("iot").new { region = "us-east-1", endpoint = "http://localhost:1" })
  local _, message, detail = client:describe_thing_registration_task { taskId = "t" }
  return message, detail.code]]

local NOTE = "; nginx passes on only the variables that its directive env names, "
  .. "and there is none that begins with AWS_"

local SECRET = { AWS_REGION = "eu-west-1", AWS_ACCESS_KEY_ID = "AKID", AWS_SECRET_ACCESS_KEY = "secret" }

-- Variables that directives name, and others; the phase; what is tried; the code and whether the note is there.
local CASES = {
  { {}, SECRET, "content", REGION, "MissingRegion", true },
  { {}, SECRET, "content", CREDENTIALS, "NoCredentials", true },
  { {}, SECRET, "timer", CREDENTIALS, "NoCredentials", true },
  { {}, SECRET, "init_worker", REGION, "MissingRegion", true },
  { {}, SECRET, "init", REGION, nil, false }, -- which sees all of them
  { {}, SECRET, "init", CREDENTIALS, "ConnectionFailed", false },
  { {}, {}, "init", REGION, "MissingRegion", false },
  { {}, {}, "init", CREDENTIALS, "NoCredentials", false },
  { { AWS_REGION = "eu-west-1" }, {}, "content", REGION, nil, false },
  { { AWS_REGION = "eu-west-1" }, {}, "content", CREDENTIALS, "NoCredentials", false },
  { SECRET, {}, "content", CREDENTIALS, "ConnectionFailed", false },
}

local function names_of(variables)
  local names = {}
  for name in pairs(variables) do names[#names + 1] = name end
  table.sort(names)
  return names[1] and table.concat(names, ", ") or "none"
end

describe("the environment inside nginx", function()
  local missing = nginx_rig.missing()
  if missing then
    pending(missing) -- without nginx, its LuaJIT and a build for it nothing runs there
    return
  end

  local home, rigs

  -- Nothing but what is tried is asked: an instance would have a metadata service.
  setup(function()
    home, rigs = files.temporary(), {}
    os.remove(home)
    assert(os.execute("mkdir -p " .. home .. "/.aws"))
    files.write(home .. "/.aws/config", "[default]\ndisable_ec2_metadata = true\n")
  end)
  teardown(function()
    for _, nginx in pairs(rigs) do nginx:stop() end
    os.execute("rm -r " .. home)
  end)

  local function rig_with(named, hidden)
    local key = names_of(named) .. "|" .. names_of(hidden)
    if not rigs[key] then
      local env = { HOME = home }
      for name, value in pairs(named) do env[name] = value end
      rigs[key] = nginx_rig.start { env = env, hidden_env = hidden }
    end
    return rigs[key]
  end

  for _, case in ipairs(CASES) do
    local named, hidden, phase, source, code, has_note = case[1], case[2], case[3], case[4], case[5], case[6]
    it(("gives %s in the phase %s, env naming %s, and not %s"):format(code or "no failure", phase, names_of(named),
      names_of(hidden)), function()
      local message, found = rig_with(named, hidden):run(phase, source)
      assert.equal(code, found, message)
      assert.equal(has_note, message:sub(-#NOTE) == NOTE, message)
    end)
  end
end)
