-- The budgets of speed, measured: `make bench`, or ONLY=P1 for some of them. Ours and the yardstick run in turns, on
-- one service, and each pair gives a ratio; what is shown is their median, least and greatest.
local command = require "spec.support.command"
local core = require "iot.core"

local build, only, pairs_wanted = arg[1], arg[2] or "", 5
local yardsticks = build .. "/yardsticks"
local lua = os.getenv "LUA"

-- Running ---------------------------------------------------------------------------------------------

-- What a command writes as its numbers, under these variables.
local function numbers_of(words, variables)
  local all = { "env" }
  for name, value in pairs(variables or {}) do all[#all + 1] = name .. "=" .. value end
  for _, word in ipairs(words) do all[#all + 1] = word end
  local done = command.run(all, { timeout = 300 })
  if done.code ~= 0 then error(("%s: %s%s"):format(table.concat(words, " "), done.stdout, done.stderr), 0) end
  local first, second = done.stdout:match "([%d.]+)%s+([%d.]+)"
  return tonumber(first or done.stdout:match "[%d.]+"), tonumber(second)
end

local function variables_of(words)
  local variables = {}
  local output = command.run(words, { timeout = 60 })
  assert(output.code == 0, output.stderr)
  for name, value in output.stdout:gmatch "([%w_]+)=([^\n]*)" do variables[name] = value end
  return variables
end

local service = variables_of { "spec/bench/server", "1200" }
local port = service.BENCH_ENDPOINT:match "%d+$"
local url = service.BENCH_ENDPOINT .. "/thing-registration-tasks/6f6f8d5e-3c3c-4a0c-9a67-2f1f4e1f6c1d"
local ours = { BENCH_ENDPOINT = service.BENCH_ENDPOINT, BENCH_CA = service.BENCH_CA }

-- What both find in their environment when they start: an account, and the service as AWS's. Its authority is in a
-- copy of the system's store, in the form that each would use: a directory by hash, or the bundle.
local account = {
  AWS_REGION = "us-east-1", AWS_DEFAULT_REGION = "us-east-1", AWS_EC2_METADATA_DISABLED = "true",
  AWS_ACCESS_KEY_ID = "AKIDEXAMPLE",
  AWS_SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", AWS_CONFIG_FILE = "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE = "/dev/null", AWS_ENDPOINT_URL_IOT = service.BENCH_ENDPOINT,
  AWS_ENDPOINT_URL = service.BENCH_ENDPOINT, no_proxy = "localhost",
}

local function with(more)
  local all = {}
  for name, value in pairs(account) do all[name] = value end
  for name, value in pairs(more) do all[name] = value end
  return all
end

local function copy_trust_store()
  local store = build .. "/trust"
  local done = command.run { "sh", "-c", [[
    rm -rf "$1" && cp -RL /etc/ssl/certs "$1" && cat "$2" >>"$1/ca-certificates.crt" &&
    cp "$2" "$1/$(openssl x509 -noout -hash -in "$2").0"]], "sh", store, service.BENCH_CA }
  assert(done.code == 0, done.stderr)
  return store
end

-- The benches ------------------------------------------------------------------------------------------

-- id, what, unit, budget; ours, the yardstick: each call gives a figure. `at_least`: more is better.
local benches = {}

local memory = {} -- of the processes of P1, in kilobytes

local function describe(count)
  local figure, peak = numbers_of({ lua, "spec/bench/describe.lua", tostring(count) }, ours)
  memory.ours = peak
  return figure
end

local function bare(count)
  local figure, peak = numbers_of { yardsticks, "get", url, service.BENCH_CA, tostring(count) }
  memory.bare = peak
  return figure
end

benches[#benches + 1] = {
  id = "P1", what = "a call on a kept connection", unit = "us of CPU", budget = 1.15, yardstick = "libcurl, unsigned",
  ours = function() return describe(8000) end, other = function() return bare(8000) end,
}

local trust

benches[#benches + 1] = {
  id = "P2", what = "a process with one call", unit = "ms", budget = 0.5, yardstick = "curl --aws-sigv4",
  prepare = function() trust = copy_trust_store() end,
  ours = function()
    return numbers_of({ yardsticks, "time", "20", lua, "spec/bench/once.lua" }, with { AWS_CA_BUNDLE = trust })
  end,
  other = function()
    return numbers_of { yardsticks, "time", "20", "curl", "-q", "-sSf", "--noproxy", "*", "--cacert",
      trust .. "/ca-certificates.crt", "--aws-sigv4", "aws:amz:us-east-1:iot", "--user",
      account.AWS_ACCESS_KEY_ID .. ":" .. account.AWS_SECRET_ACCESS_KEY, url }
  end,
}

benches[#benches + 1] = {
  id = "P3", what = "memory of P1's process", unit = "KiB", yardstick = "the same and 2 MiB", budget = 1,
  ours = function()
    describe(20000)
    return memory.ours
  end,
  other = function()
    bare(20000)
    return memory.bare + 2048
  end,
}

benches[#benches + 1] = {
  id = "P4", what = "10,000 calls, 64 at a time", unit = "calls/s", at_least = 0.85,
  yardstick = "libcurl's multi handle",
  ours = function() return (numbers_of({ lua, "spec/bench/map.lua", "10000", "64" }, ours)) end,
  other = function() return (numbers_of { yardsticks, "multi", url, service.BENCH_CA, "10000", "64" }) end,
}

local canonical = build .. "/canonical"

benches[#benches + 1] = {
  id = "P5", what = "iot.sign, the key known", unit = "us of CPU", budget = 3, yardstick = "OpenSSL, the hashes",
  ours = function() return (numbers_of { lua, "spec/bench/sign.lua", "50000", canonical }) end,
  other = function() return (numbers_of { yardsticks, "hash", canonical, "50000" }) end,
}

local gateway

local function rate_of(path)
  return (numbers_of { yardsticks, "multi", gateway.GATEWAY_URL .. path, "/dev/null", "20000", "32" })
end

benches[#benches + 1] = {
  id = "P6", what = "a worker of nginx that describes", unit = "requests/s", at_least = 0.6, yardstick = "proxy_pass",
  prepare = function() gateway = variables_of { "spec/bench/gateway", service.BENCH_FOLDER, port, "600" } end,
  ours = function() return rate_of "/described/task" end,
  other = function() return rate_of "/thing-registration-tasks/task" end,
}

-- Peers: the same operation, cold. Their own figures, beside P2's.
local peers = {
  { "AWS CLI", { "aws", "iot", "describe-thing-registration-task", "--task-id", "task" } },
  { "boto3", { "python3", "-c", [[
import boto3
boto3.client("iot").describe_thing_registration_task(taskId="task")]] } },
}

-- The table ---------------------------------------------------------------------------------------------

local function median(values)
  local sorted = {}
  for i, value in ipairs(values) do sorted[i] = value end
  table.sort(sorted)
  return sorted[math.ceil(#sorted / 2)], sorted[1], sorted[#sorted]
end

local function is_met(bench, ratio)
  if bench.at_least then return ratio >= bench.at_least end
  return ratio <= bench.budget
end

local function run(bench)
  if bench.prepare then bench.prepare() end
  local mine, others, ratios = {}, {}, {}
  for i = 1, pairs_wanted do
    mine[i], others[i] = bench.ours(), bench.other()
    ratios[i] = mine[i] / others[i]
  end
  local ratio, least, greatest = median(ratios)
  print(("| %s | %s | %s | %.4g | %s: %.4g | %.2f (%.2f to %.2f) | %s %.2f | %s |"):format(
    bench.id, bench.what, bench.unit, (median(mine)), bench.yardstick, (median(others)), ratio, least, greatest,
    bench.at_least and "at least" or "at most", bench.at_least or bench.budget, is_met(bench, ratio) and "yes" or "no"))
  io.stdout:flush()
  return is_met(bench, ratio)
end

local function time_peers()
  local environment = with { AWS_CA_BUNDLE = trust .. "/ca-certificates.crt" }
  local mine = numbers_of({ yardsticks, "time", "20", lua, "spec/bench/once.lua" }, with { AWS_CA_BUNDLE = trust })
  for _, peer in ipairs(peers) do
    local words = { yardsticks, "time", "3" }
    for _, word in ipairs(peer[2]) do words[#words + 1] = word end
    local ok, figure = pcall(numbers_of, words, environment)
    print(ok and ("P2's call by %s: %.0f ms, %.0f times as long as ours"):format(peer[1], figure, figure / mine)
      or ("P2's call by %s: not run, it is not installed or failed here"):format(peer[1]))
  end
end

local function version_of(words)
  return (command.run(words).stdout:match "^[^\n]*" or ""):gsub("%s+$", "")
end

local function describe_machine()
  local cpu = command.run({ "sh", "-c", "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | uniq -c" }).stdout
  print(("%s, %s, %s, %s,%s"):format(os.date("!%Y-%m-%d"), version_of { lua, "-v" },
    version_of { "sh", "-c", "curl -q --version | cut -d' ' -f1,2,4,5" }, core.version,
    cpu:gsub("%s+", " ")))
end

local function stop()
  if gateway then command.run { "sh", "-c", "kill " .. gateway.GATEWAY_MASTER } end
  command.run { "sh", "-c", "kill " .. service.BENCH_PID }
end

local function main()
  describe_machine()
  print "\n| | what | unit | ours | yardstick | ratio | budget | met |\n|---|---|---|---|---|---|---|---|"
  local all_met = true
  for _, bench in ipairs(benches) do
    if only == "" or only:find(bench.id, 1, true) then all_met = run(bench) and all_met end
  end
  if trust then
    print ""
    time_peers()
  end
  return all_met
end

local ok, result = pcall(main)
stop()
if not ok then error(result, 0) end
os.exit(result and 0 or 1)
