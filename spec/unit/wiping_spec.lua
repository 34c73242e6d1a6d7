-- Secrets that are over are wiped: an exchange is kept for its next use without those of the last. From outside of
-- the core nobody can see that, so a C program does, made of the core's parts that know neither libcurl nor Lua.
local command = require "spec.support.command"

local PARTS = { "http_exchange", "http_options", "file", "request", "reply", "uri", "clock", "buffer", "status" }

it("nothing secret stays of an exchange that is forgotten, nor of a proxy's URL", function()
  local program = os.tmpname()
  local build = { os.getenv "CC" or "cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Dfree=spec_free",
    "-o", program, "spec/support/wiping.c" }
  for _, part in ipairs(PARTS) do build[#build + 1] = ("csrc/iot_%s.c"):format(part) end
  build[#build + 1] = "-lm"
  local built = command.run(build)
  if built.code == 127 then return pending "no C compiler" end
  assert.equal(0, built.code, built.stderr)
  local result = command.run { program }
  os.remove(program)
  assert.equal("done\n", result.stdout)
end)
