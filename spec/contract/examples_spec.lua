-- The examples of a bulk registration, run as they stand against the simulator, from check to report.
local child = require "spec.support.child"
local command = require "spec.support.command"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"

local FOLDER = "spec/examples/bulk_registration/"
local TEMPLATE, INPUT = FOLDER .. "template.json", FOLDER .. "devices.json"
local ROLE = "arn:aws:iam::123456789012:role/bulk-registration"

-- What is wrong with which line of the input; each is told twice: before the start, and by the report.
local FAILED = { { 4, "gateway%-0003" }, { 7, "CSR" }, { 9, "Modell" } }

describe("the example of a bulk registration", function()
  local missing = simulator.missing()
  if missing then
    pending(missing) -- without nginx, openssl and curl there is no service to ask
    return
  end

  local sim

  setup(function() sim = simulator.start { seconds = 0.5 } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:forget() end)

  local function upload(text)
    sim:put_object("bucket", "devices.json", text)
  end

  local function by_lua(input, role)
    return child.run_file(FOLDER .. "bulk_registration.lua", { TEMPLATE, input, "bucket", "devices.json", role },
      sim:environment())
  end

  local function by_shell(input, role)
    local words = { "env", "IOT_TASKS=" .. (os.getenv "LUA" or "lua") .. " lua/iot-tasks" }
    for name, value in pairs(sim:environment()) do words[#words + 1] = name .. "=" .. value end
    for _, word in ipairs { FOLDER .. "bulk_registration.sh", TEMPLATE, input, "bucket", "devices.json", role } do
      words[#words + 1] = word
    end
    return command.run(words, { timeout = 60 })
  end

  local input_of_one

  setup(function()
    input_of_one = files.temporary()
    files.write(input_of_one, '{"SerialNumber":"gateway-1","CSR":"x"}\n')
  end)
  teardown(function() os.remove(input_of_one) end)

  for name, run in pairs { ["in Lua"] = by_lua, ["in shell"] = by_shell } do
    it(name .. " names the lines that failed, and why, and ends with 3", function()
      upload(files.read(INPUT))
      local result = run(INPUT, ROLE)
      assert.equal(3, result.code, result.stdout .. result.stderr)
      for _, case in ipairs(FAILED) do
        local told = ("line %d: [^\n]*%s[^\n]*\n"):format(case[1], case[2])
        assert.matches(told, result.stderr)
        assert.matches(told, result.stdout)
      end
      local _, count = result.stdout:gsub("line %d+: ", "")
      assert.equal(3, count)
      assert.matches("Completed, 100 %%, 9 succeeded, 3 failed", result.stderr)
    end)

    it(name .. " ends with 0 when all are registered", function()
      upload(files.read(input_of_one))
      local result = run(input_of_one, ROLE)
      assert.equal(0, result.code, result.stdout .. result.stderr)
      assert.is_nil(result.stdout:find("line", 1, true))
    end)

    it(name .. " ends with 1 when the service refuses", function()
      upload(files.read(INPUT))
      local result = run(INPUT, "short")
      assert.equal(1, result.code, result.stdout .. result.stderr)
      assert.matches("InvalidRequestException", result.stderr)
    end)

    it(name .. " ends with 2 without its arguments", function()
      assert.equal(2, run(INPUT, nil).code)
    end)
  end
end)
