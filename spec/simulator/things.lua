-- The things that RegisterThing has made, with what it has made them of. Those of tasks are not among them.

local M = {}

local store = ngx.shared.things

-- Any value as a text, the same for the same value.
local function canonical(value)
  if type(value) ~= "table" then
    return ("%s %q"):format(type(value), tostring(value))
  end
  local parts = {}
  for name, part in pairs(value) do
    parts[#parts + 1] = ("[%q]%s"):format(tostring(name), canonical(part))
  end
  table.sort(parts)
  return "{" .. table.concat(parts) .. "}"
end

-- Whether a thing may be changed, one of whose OverrideSettings (or none) is *override*.
local function may_change(override)
  for _, setting in pairs(override or {}) do
    if setting ~= "FAIL" then
      return true
    end
  end
  return false
end

-- What keeps the things of a list, { name, properties, override }, from being registered; or nil.
function M.conflict(things)
  for _, thing in ipairs(things) do
    local known = store:get(thing.name)
    if known and known ~= canonical(thing.properties) and not may_change(thing.override) then
      return ("Thing %s already exists with other attributes"):format(thing.name)
    end
  end
end

function M.keep(things)
  for _, thing in ipairs(things) do
    assert(store:set(thing.name, canonical(thing.properties)))
  end
end

function M.clear()
  store:flush_all()
end

return M
