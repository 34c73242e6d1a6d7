-- The system's CAs must not cost a process with one call the parsing of the whole bundle file: some
-- 20 ms, and a reading of the file, which can be counted exactly.
local child = require "spec.support.child"
local command = require "spec.support.command"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"

local BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

-- Prints how many bytes one call read, and the code that it failed with.
local PROGRAM = [[
local function bytes_read()
  local file = assert(io.open("/proc/self/io"))
  local count = file:read("*a"):match("rchar: (%d+)")
  file:close()
  return tonumber(count)
end
local iot = require "iot"
local client = assert(iot.new {
  region = "us-east-1", endpoint = os.getenv "ENDPOINT", ca_bundle = os.getenv "BUNDLE",
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" },
})
local before = bytes_read()
local task, _, detail = client:describe_thing_registration_task { taskId = "a" }
print(bytes_read() - before, task and "" or detail.code)
]]

local function size_of(path)
  local bytes = files.read(path)
  return bytes and #bytes
end

local function has_hashed_directory()
  return command.run({ "sh", "-c", "ls /etc/ssl/certs/*.0" }).code == 0
end

describe("the system's trust store", function()
  local sim

  setup(function() sim = simulator.start() end)
  teardown(function() sim:stop() end)

  local function measure(bundle)
    local output = child.output(PROGRAM, { ENDPOINT = sim.endpoint, BUNDLE = bundle })
    local count, code = output:match("^(%d+)\t(%S*)")
    -- The simulator's authority is not among the system's: the store was asked, and said so.
    assert.equal("CertificateInvalid", code)
    return tonumber(count)
  end

  it("is looked up in the hashed directory, not read as a whole", function()
    local bundle_size = size_of(BUNDLE)
    if not bundle_size or not has_hashed_directory() or not files.read("/proc/self/io") then
      pending("needs Debian's ca-certificates, and /proc/self/io")
      return
    end
    assert.is_true(measure(BUNDLE) >= bundle_size)
    assert.is_true(measure(nil) < bundle_size / 4)
  end)
end)
