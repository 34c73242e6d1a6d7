--- Inside nginx: runs the chunks that spec/support/nginx.lua leaves in nginx's folder, and leaves the outcome there.
-- NAME.lua is the chunk, NAME.json its argument, NAME.result what became of it.
local cjson = require "cjson.safe"

local M = {}

local function read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text = file:read "*a"
  file:close()
  return text
end

-- Whoever waits for the file sees all of it or none.
local function write(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  assert(file:write(text))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

-- The results are an object with their numbers as keys: a list would not keep nil.
local function outcome(succeeded, ...)
  if not succeeded then return { error = tostring((...)) } end
  local count, values = select("#", ...), {}
  for i = 1, count do values[tostring(i)] = (select(i, ...)) end
  return { count = count, values = values }
end

local function perform(path, source)
  local chunk, message = loadstring(source, "=chunk")
  if not chunk then return { error = message } end
  local argument = read(path .. ".json")
  return outcome(pcall(chunk, argument and cjson.decode(argument)))
end

--- Run the chunk of this name in the phase that this is called in; nothing when there is none.
---@param name string
function M.run(name)
  local path = ngx.config.prefix() .. name
  local source = read(path .. ".lua")
  if not source then return end
  local text, message = cjson.encode(perform(path, source))
  write(path .. ".result", text or cjson.encode { error = "the results are no JSON: " .. message })
end

--- The same, and the request is answered.
---@param name string
function M.answer(name)
  M.run(name)
  return ngx.exit(204)
end

--- The same in a timer; the request is answered before.
---@param name string
function M.defer(name)
  assert(ngx.timer.at(0, function() M.run(name) end))
  return ngx.exit(204)
end

return M
