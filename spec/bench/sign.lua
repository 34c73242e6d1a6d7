-- P5: the signature of one request, its key known: microseconds of CPU each time.
-- Arguments: how often; a file for the canonical request.
local iot = require "iot"

local count = tonumber(arg[1])

local request = {
  method = "GET",
  url = "https://iot.us-east-1.amazonaws.com/thing-registration-tasks/6f6f8d5e-3c3c-4a0c-9a67-2f1f4e1f6c1d",
}
local options = {
  region = "us-east-1", service = "iot", time = 1700000000,
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
}

if arg[2] then
  local file = assert(io.open(arg[2], "wb"))
  file:write(assert(iot.sign(request, options)).canonical_request)
  file:close()
end
local started = os.clock()
for _ = 1, count do iot.sign(request, options) end
print(("%.4f"):format((os.clock() - started) * 1e6 / count))
