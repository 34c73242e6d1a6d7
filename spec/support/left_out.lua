--- A helper of busted, for specs that run elsewhere than in plain Lua: what is about one runtime alone is left out, and
--- said so with its reason; each other spec runs as a script or a request of its own would.
local busted = require "busted"
local iot = require "iot"
local runtimes = require "spec.support.runtimes"

local PROCESSES = "it is about programs in processes of their own, which run in plain Lua"
local CURL = "it is about the C functions over libcurl themselves, which no runtime picks"
local SIMULATOR = "it is about the simulator, whom curl or a C function asks"

-- Of the folder spec/contract.
local FILES = {
  cli = PROCESSES, examples = PROCESSES, interrupt = PROCESSES, processes = PROCESSES, progress_terminal = PROCESSES,
  readme = PROCESSES, trust_store = PROCESSES, memory = PROCESSES,
  core_multi = CURL, core_multi_ends = CURL, core_multi_programs = CURL,
  core_request = CURL,
}
FILES.faults = "it is about all runtimes at once"
for name in (" _credentials _input _lists _reports _signature _tasks"):gmatch " ([%w_]*)" do
  FILES["simulator" .. name] = SIMULATOR
end

local KEPT = "connections are the runtime's there, which keeps them for others"
local TRUST = "inside nginx a directive says whom to trust, whatever ca_bundle says"
local NAMES = "nginx's Lua module holds certificates against names, never against addresses"
local REQUEST = "inside nginx what is open is the request's, and ends with that"
local NO_PROGRAMS = not runtimes.has_programs and "this nginx has not what ngx.pipe needs to start programs" or nil

-- The file, what the whole name has (a pattern), and the reason: in both, or in one.
local SPECS = {
  { "describe", "a connection for each client", both = KEPT },
  { "describe", "over TLS, by an address", nginx = NAMES },
  { "describe", "over IPv6", nginx = NAMES },
  { "download_ends", "leaves no connection", both = KEPT },
  { "download_ends", "of core%.multi", both = CURL },
  { "download_ends", "closes is waited for no more", nginx = "no thread can close a cosocket that another one reads" },
  { "download_ends", "of a map ends with it", nginx = REQUEST, concurrent = "the map that it would end is the spec's" },
  { "download_ends", "in a coroutine or a map elsewhere", nginx = REQUEST },
  { "download", "of an unknown authority", nginx = TRUST },
  { "report_ends", "of a map ends with it", nginx = REQUEST, concurrent = "the map that it would end is the spec's" },
  { "map", "lets calls before and after it alone", nginx = KEPT },
  { "map", "while a program looks for credentials", nginx = NO_PROGRAMS },
  { "transport", "of an unknown authority", nginx = TRUST },
  { "transport", "a directory without certificates", nginx = TRUST },
  { "transport", "a CA bundle of something else", nginx = TRUST },
  { "transport", "a CA bundle of a key", nginx = TRUST },
  { "transport", "the authorities to trust", nginx = TRUST },
  { "secrets", "a CA bundle that is none", nginx = TRUST },
  { "credentials", "program", nginx = NO_PROGRAMS },
  { "credentials_renewal", "once for a hundred calls", both = "it has a scheduler of its own, over the C functions" },
  { "attacks", "by .*[Cc][Aa]_[Bb][Uu][Nn][Dd][Ll][Ee]$", nginx = TRUST },
  { "attacks_credentials", "of the CA bundle", nginx = TRUST },
  { "attacks_credentials", "by a program", nginx = NO_PROGRAMS },
  { "credentials_failures", "for a program", nginx = NO_PROGRAMS },
  { "credentials_failures", "does not trust the service", nginx = TRUST },
  { "credentials_secrets", "told by .*program", nginx = NO_PROGRAMS },
  { "credentials_secrets", "does not trust the service", nginx = TRUST },
}

local here = runtimes.name

-- The folder's part of a path that is in no way special.
local function short(path)
  return path:match "spec/contract/([%w_]+)_spec%.lua$"
end

local function names_of(element)
  local names = {}
  while element.descriptor ~= "file" do
    table.insert(names, 1, element.name)
    element = busted.parent(element)
  end
  return short(element.name), table.concat(names, " ")
end

local function reason_for(element)
  local file, name = names_of(element)
  for _, case in ipairs(SPECS) do
    if case[1] == file and name:find(case[2]) then return case[here] or case.both end
  end
end

-- Runs a spec so that each of its calls waits with the runtime. No kept connections are there from an earlier spec.
local run = {}

function run.concurrent(fn)
  return function()
    local _, failures = iot.map({ 1 }, function() fn() end)
    if failures[1] then error(failures[1].error, 0) end
  end
end

if here == "nginx" then
  local connection = require "iot.runtime.nginx.connection"
  local target_of, number = connection.target, 0

  function connection.target(...)
    local target, message, facts = target_of(...)
    if target then target.pool = target.pool .. ":" .. number end
    return target, message, facts
  end

  function run.nginx(fn)
    number = number + 1
    return fn
  end
end

busted.subscribe({ "register", "file" }, function(path)
  local reason = FILES[short(path)]
  if reason then io.write(("%s: %s is left out: %s\n"):format(runtimes.WHERE[here], path, reason)) end
  return nil, not reason
end, { priority = 1 })

busted.subscribe({ "test", "start" }, function(element)
  if element.descriptor ~= "it" then return nil, true end
  local reason, pending = reason_for(element), element.env.pending
  runtimes.pending = pending
  element.run = reason and function() pending(reason) end or run[here](element.run)
  return nil, true
end, { priority = 1 })
