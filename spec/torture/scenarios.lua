-- What is tried while allocations fail. Each scenario is
--
--   name
--   open(place) -> what `run` gets, made once, without failures
--   run(it) -> a result, the same each time; or nil, message, detail; or an error
--   close(it)
--   check(result, expected) -> whether it is right, where that is not to be the same; `expected`: that of the first run
--   whole(result, expected): likewise, of a run without failures
--   sources: whose allocations fail, where that is not all
--
-- place: `plain` and `tls`, URLs of spec/torture/server.py, `ca_bundle`, `folder`, and `key`, a PEM of P-256.
local scenarios = {}

for _, name in ipairs { "alone", "service", "many" } do
  for _, scenario in ipairs(require("spec.torture.scenarios." .. name)) do scenarios[#scenarios + 1] = scenario end
end

return scenarios
