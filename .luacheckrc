-- "min" is what Lua 5.1 to 5.5 and LuaJIT have in common.
std = "min"
max_line_length = 120
exclude_files = { "build" }
files["lua/iot/types.lua"] = { unused = false } -- annotations only
files["lua/iot/runtime/nginx"] = { std = "+ngx_lua" }
files["spec/**/*_spec.lua"] = { std = "+busted" }
files["spec/simulator"] = { std = "+ngx_lua" }
files["spec/examples/gateway"] = { std = "+ngx_lua" }
files["spec/nginx"] = { std = "+ngx_lua" }
files["spec/torture/soak/answers.lua"] = { std = "+ngx_lua" }
files["*.rockspec"] = { std = "rockspec" }
