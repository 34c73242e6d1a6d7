-- Busted without its script, which is a Lua file on one system and a shell file on the next.
-- Run as `INTERPRETER .ci/busted.lua [options] [specs]`.
require("spec.support.runtimes").run()
