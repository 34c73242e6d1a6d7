-- One scenario with each of its allocations failing, in the host (host.c).
--
--   host driver.lua LIMIT NAME     at most LIMIT points for each source and mode
--   host driver.lua names          the names, one in a line
--
-- Prints a line `NAME SOURCE MODE POINTS of ALL OUTCOMES` for each, with tabs between its parts, and a line `FAULT ...`
-- for what is not as it should be. TORTURE_ONLY="SOURCE MODE [N]" in the environment: only that.
local torture = require "torture"

local slack = 9 -- seconds that a point may take: every wait has its bound
local first_use = "first use"
local sources, modes = { "lua", "core", "crypto", "curl" }, { "collect", "once", "on" }
local has_emergency_collection = _VERSION ~= "Lua 5.1"

local function place()
  local folder = assert(os.getenv "TORTURE_FOLDER")
  local file = assert(io.open(folder .. "/key.pem"))
  local key = file:read "*a"
  file:close()
  return {
    plain = os.getenv "TORTURE_PLAIN", tls = os.getenv "TORTURE_TLS", ca_bundle = folder .. "/certificate.pem",
    folder = folder, key = key,
  }
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local faults = 0

local function fault(...)
  faults = faults + 1
  if faults <= 20 then print("FAULT " .. table.concat({ ... }, " ")) end
end

-- What is said where memory is short; the second by lua-cjson, the third by Lua's auxiliary library.
local function tells_of_memory(message)
  message = tostring(message)
  return message:find "not enough memory" or message:find "Memory allocation error in CJSON"
    or message:find "stack overflow %("
end

-- What a run came to, in a word; or nil, and what is wrong about it. Of OpenSSL and libcurl any failure will do: they
-- do not always know why.
local function judge(source, is_right, ok, result, message, detail)
  if not ok then
    if tells_of_memory(result) then return "memory" end
    if type(result) == "table" and result.code and source ~= "lua" then return "raised " .. result.code end
    return nil, "an error: " .. tostring(result)
  elseif result ~= nil then
    local right, why = is_right(result)
    if right then return "right" end
    return nil, why or "a wrong result"
  elseif type(message) ~= "string" then
    return nil, "no message"
  elseif tells_of_memory(message) then
    return "memory"
  elseif source == "lua" or source == "core" then
    return nil, "another failure: " .. message
  end
  return type(detail) == "table" and detail.code or "failure"
end

local function settle()
  collectgarbage()
  collectgarbage()
  local left = torture.blocks()
  left.lua, left.crypto, left.descriptors = nil, nil, torture.descriptors()
  return left
end

-- What is there that was not before, as text; nil for nothing.
local function grown(before, after)
  local parts = {}
  for name, count in pairs(after) do
    if count > before[name] then parts[#parts + 1] = ("%d of %s"):format(count - before[name], name) end
  end
  table.sort(parts)
  return parts[1] and table.concat(parts, ", ")
end

local function tally(counts)
  local words = {}
  for word, count in pairs(counts) do words[#words + 1] = word .. " " .. count end
  table.sort(words)
  return table.concat(words, ", ")
end

-- Calls point(n) for the n of a series, until that says that nothing failed.
local function series(name, source, mode, limit, all, point)
  local only = os.getenv "TORTURE_ONLY"
  if only and not (source .. " " .. mode):find(only:match "^%a+ %a+", 1, true) then return end
  local step = math.max(1, math.ceil(all / limit))
  -- The two modes of a long series try different ones.
  local counts, count = {}, 0
  local n = only and tonumber(only:match "%d+$") or mode == "on" and math.floor(step / 2) + 1 or 1
  repeat
    local started = os.time()
    local outcome, wrong = point(n)
    if os.time() - started > slack then wrong = "it took " .. os.time() - started .. " s" end
    if wrong then fault(name, source, mode, n .. ":", wrong) end
    if outcome ~= "done" then
      outcome = outcome or "wrong"
      counts[outcome], count = (counts[outcome] or 0) + 1, count + 1
    end
    n = n + step
  until outcome == "done" or n > 1e6 or only and only:find "%d+$"
  print(table.concat({ name, source, mode, ("%d of %d"):format(count, math.max(count, all)), tally(counts) }, "\t"))
end

local function torment(scenario, limit)
  local it = scenario.open and assert(scenario.open(place()))
  local run = scenario.run
  local expected = assert(run(it))
  local function whole(result)
    if scenario.whole then return scenario.whole(result, expected, same) end
    return same(result, expected)
  end
  local function is_right(result)
    if scenario.check then return scenario.check(result, expected, same) end
    return same(result, expected)
  end
  for _ = 1, 3 do assert(whole(assert(run(it))), "the scenario is not the same each time") end
  local before = settle()
  local at_first = { torture.blocks().crypto, select(3, torture.others()) }

  local function point(source, mode)
    return function(n)
      local failed, _, ok, result, message, detail = torture.attempt(source, mode, n, run, it)
      if not failed then return "done" end
      local outcome, wrong = judge(source, is_right, ok, result, message, detail)
      -- Buffers of the auxiliary library are not asked for again.
      if mode == "collect" and outcome ~= "right" and outcome ~= "memory" then wrong = wrong or outcome end
      settle()
      local again_ok, again, why = pcall(run, it)
      if not again_ok or again == nil or not whole(again) then
        wrong = (wrong or outcome) .. "; and then: " .. tostring(again_ok and (why or "a wrong result") or again)
      end
      return outcome, wrong
    end
  end

  -- What is left behind each time: a connection made anew, or one more that is kept, may hold more than the first.
  local function sound_point(source, mode)
    local try = point(source, mode)
    return function(n)
      local outcome, wrong = try(n)
      local more
      for _ = 1, 3 do
        if outcome == "done" then break end
        local now = settle()
        more, before = grown(before, now), now
        if not more then break end
        try(n)
      end
      if more then wrong = (wrong and wrong .. "; " or "") .. "left behind: " .. more end
      return outcome, wrong
    end
  end

  for _, source in ipairs(sources) do
    if not scenario.sources or scenario.sources[source] then
      local _, all = torture.attempt(source, "on", 1e9, run, it)
      settle()
      for _, mode in ipairs(modes) do
        if all > 0 and (mode ~= "collect" or source == "lua" and has_emergency_collection) then
          series(scenario.name, source, mode, limit, all, sound_point(source, mode))
        end
      end
    end
  end
  settle()
  print(table.concat({ "left", scenario.name, torture.blocks().crypto - at_first[1],
    select(3, torture.others()) - at_first[2] }, "\t"))
  if scenario.close then scenario.close(it) end
end

-- In a state of its own each time, or even a process, for what is done once in one.
local function first(limit)
  local script = "spec/torture/first.lua"
  require "cjson" -- so that it stays loaded, and LeakSanitizer knows by whose code its blocks were left
  -- Lua last: in this process, which has then used the others.
  for _, source in ipairs { "crypto", "curl", "core", "lua" } do
    local call = source == "lua" and torture.fresh or torture.apart
    local _, all = torture.apart(source, "on", 1e9, script)
    for _, mode in ipairs(modes) do
      if mode ~= "collect" or source == "lua" and has_emergency_collection then
        series(first_use, source, mode, limit, all, function(n)
          local failed, _, ok, text, again_ok, again, left = call(source, mode, n, script)
          if failed == nil then return nil, "the process died" end
          if not failed then return "done" end
          local outcome, wrong
          if ok then
            outcome = text:match "^right$" or text:match "^failed: (%a+)"
            if outcome == "OutOfMemory" then outcome = "memory" end
          elseif tells_of_memory(text) then
            outcome = "memory"
          end
          if not outcome then wrong = text end
          if mode == "collect" and outcome ~= "right" then wrong = text end
          if left ~= 0 then wrong = left .. " blocks of Lua left" end
          if not again_ok or again ~= "right" then
            -- What OpenSSL could not do the first time it does not try again in that process.
            -- Nor does Lua's own `require` with a module, before 5.2 and in LuaJIT.
            local theirs = not has_emergency_collection and again:find "loop or previous error loading module"
              or (source == "crypto" or source == "curl") and (again_ok or tells_of_memory(again))
            if not theirs then
              wrong = "and then: " .. again
            else
              outcome = tostring(outcome) .. " for good"
            end
          end
          return outcome, wrong
        end)
      end
    end
  end
end

local limit, name = ...
if limit == "names" then
  print(first_use)
  for _, scenario in ipairs(require "spec.torture.scenarios") do print(scenario.name) end
elseif name == first_use then
  first(tonumber(limit))
else
  for _, scenario in ipairs(require "spec.torture.scenarios") do
    if scenario.name == name then torment(scenario, tonumber(limit)) end
  end
end
if name then print(("others\t%s\t%d\t%d\t%d\t%d"):format(name, torture.others())) end
assert(faults == 0, faults .. " faults")
