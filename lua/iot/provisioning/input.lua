---Where the lines of an input come from: a file, its name, a text, or whoever gives one after the other.
local excerpt = require "iot.excerpt"
local lines = require "iot.lines"
local options = require "iot.config.options"

local input = {}

local block_size = 64 * 1024
local max_line = 1024 * 1024 -- bytes

---@class iot.provisioning.Input
---@field next fun(): string?, boolean?  the next line and whether it was cut
---@field failure string?  why there are no more, when that is not the end
---@field file file*?  to be closed
local Input = {}
Input.__index = Input

-- What a read gave, or nil, with the reason noted unless it is the end.
local function accept(self, piece, message)
  if type(piece) == "string" then return piece end
  if piece then
    self.failure = "a string was expected of it, not a " .. type(piece)
  elseif type(message) == "string" then
    self.failure = message
  end
  return nil
end

local function nothing() return nil end

local function of_text(text)
  local rest = text
  return function()
    local piece = rest
    rest = nil
    return piece
  end
end

-- A Lua file says nil at its end; others say "".
local function of_file(self, file)
  return function()
    local piece = accept(self, file:read(block_size))
    return piece ~= "" and piece or nil
  end
end

-- Each line gets its end back, so that it is split and cut as in a file.
local function of_iterator(self, iterator)
  return function()
    local line = accept(self, iterator())
    return line and (line:byte(-1) == 10 and line or line .. "\n")
  end
end

local function is_text(given)
  return given == "" or given:find("\n", 1, true) or given:find "^%s*{" or given:find "^%s*\239\187\191%s*{"
end

-- Lua would take a NUL for the end of a name; the reasons that it gives begin with the name.
local function open(self, name)
  local file, reason
  if name:find("\0", 1, true) then
    reason = "the name of a file cannot hold a NUL"
  else
    file, reason = io.open(name, "rb")
    reason = reason and reason:sub(#name + 3)
  end
  local shown = excerpt.line(name, 200) .. ": "
  if not file then
    self.failure = shown .. reason
    return nothing
  end
  self.file = file
  return function()
    local piece, message = file:read(block_size)
    return accept(self, piece, message and shown .. message)
  end
end

---Whether lines can come of a value.
---@param given any
---@return boolean
function input.is_source(given)
  if type(given) == "string" or type(given) == "function" then return true end
  if type(given) ~= "table" and type(given) ~= "userdata" then return false end
  return options.has_method(given, "read") and io.type(given) ~= "closed file"
end

---The lines of what `input.is_source`. A failure to read ends them and is noted; an error that a function of
---the caller raises passes through.
---@param given any
---@return iot.provisioning.Input
function input.open(given)
  local self = setmetatable({}, Input)
  local read
  if type(given) == "function" then
    read = of_iterator(self, given)
  elseif type(given) ~= "string" then
    read = of_file(self, given)
  elseif is_text(given) then
    read = of_text(given)
  else
    read = open(self, given)
  end
  self.next = lines.new(read, max_line)
  return self
end

function Input:close()
  if self.file then self.file:close() end
end

return input
