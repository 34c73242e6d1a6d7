-- The scenarios that spec/torture lets run out of memory: each is sound, and together they call all of iot.core.
local core = require "iot.core"
local files = require "spec.support.files"

-- Functions of iot.core that no scenario calls, and why.
local exempt = {
  die_of_interrupt = "ends the process, and allocates nothing",
}

-- The functions that a state can reach in C: of the module, and the methods of its classes.
local function each_function(see)
  for name, value in pairs(core) do
    if type(value) == "function" then see(core, name, name) end
  end
  for class, metatable in pairs(debug.getregistry()) do
    if type(class) == "string" and class:find "^iot%." and type(metatable) == "table" then
      for name in pairs(rawget(metatable, "__index") or {}) do
        see(metatable.__index, name, class .. ":" .. name)
      end
    end
  end
end

describe("the scenarios of spec/torture", function()
  local place, originals, missing
  local called = {}

  -- Every function in the place of which it can be called is told apart.
  local function watch()
    originals = {}
    each_function(function(owner, name, full)
      local original = owner[name]
      originals[#originals + 1] = { owner, name, original }
      owner[name] = function(...)
        called[full] = true
        return original(...)
      end
    end)
  end

  local function unwatch()
    for _, one in ipairs(originals) do one[1][one[2]] = one[3] end
  end

  setup(function()
    local pipe = assert(io.popen "spec/torture/serve 60")
    local lines = pipe:read "*a"
    pipe:close()
    local function line(name) return assert(lines:match("TORTURE_" .. name .. "=([^\n]*)"), lines) end
    local folder = line "FOLDER"
    place = {
      plain = line "PLAIN", tls = line "TLS", folder = folder, pid = line "PID",
      ca_bundle = folder .. "/certificate.pem", key = assert(files.read(folder .. "/key.pem")),
    }
    watch()
  end)

  teardown(function()
    unwatch()
    os.execute("kill " .. place.pid .. "; rm -rf '" .. place.folder .. "'")
  end)

  for _, scenario in ipairs(require "spec.torture.scenarios") do
    it("have a sound one: " .. scenario.name, function()
      local object = scenario.open and assert(scenario.open(place))
      local result, message = scenario.run(object)
      assert.is_truthy(result, message)
      if scenario.close then scenario.close(object) end
    end)
  end

  it("call every function of the binding", function()
    missing = {}
    each_function(function(_, name, full)
      if not called[full] and not exempt[name] then missing[#missing + 1] = full end
    end)
    table.sort(missing)
    assert.same({}, missing)
  end)
end)
