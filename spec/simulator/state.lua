-- Everything that the simulator remembers, in a file of its folder: what outlives a stop.

local cjson = require "cjson.safe"

local M = {}

local STORES = { "tasks", "index", "objects", "outcomes", "things", "faults", "journal", "settings", "keys" }

local function path()
  return ngx.config.prefix() .. "state.json"
end

function M.save()
  local state = {}
  for _, name in ipairs(STORES) do
    local store = ngx.shared[name]
    state[name] = {}
    for _, key in ipairs(store:get_keys(0)) do
      state[name][key] = store:get(key)
    end
  end
  local file = assert(io.open(path(), "wb"))
  assert(file:write(cjson.encode(state)))
  assert(file:close())
end

-- At the start; nothing when none was saved.
function M.load()
  local file = io.open(path(), "rb")
  if not file then
    return
  end
  local state = assert(cjson.decode(file:read("*a")))
  file:close()
  for name, values in pairs(state) do
    for key, value in pairs(values) do
      assert(ngx.shared[name]:set(key, value))
    end
  end
end

return M
