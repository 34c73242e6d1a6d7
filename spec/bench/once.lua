-- P2: one description, as a script that does nothing else.
local iot = require "iot"

local client = assert(iot.new())
assert(client:describe_thing_registration_task { taskId = "6f6f8d5e-3c3c-4a0c-9a67-2f1f4e1f6c1d" })
