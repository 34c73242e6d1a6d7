---Which environment variables are seen inside nginx: in init_by_lua all, in workers those that its directive env names.
local ngx = rawget(_G, "ngx")

local environment = {}

-- Whether a variable is there whose name begins so. os.getenv finds only those whose whole name is known.
local function has_any(prefix)
  local ffi = require "ffi"
  pcall(ffi.cdef, "extern char **environ;") -- others may have declared it
  local list, i = ffi.C.environ, 0
  while list ~= nil and list[i] ~= nil do
    if ffi.string(list[i]):sub(1, #prefix) == prefix then return true end
    i = i + 1
  end
  return false
end

---What to add to a message about something that AWS_ variables could have told.
---@return string  "" where nginx has not dropped them all
function environment.note()
  if type(ngx) ~= "table" or not ngx.get_phase or ngx.get_phase() == "init" then return "" end
  local can_look, found = pcall(has_any, "AWS_")
  if not can_look or found then return "" end
  return "; nginx passes on only the variables that its directive env names, and there is none that begins with AWS_"
end

return environment
