-- The constraints of the service's model (reference 1.1), refused in the words of its front end.

local M = {}

local SHAPES = {
  TaskId = { max = 40 },
  TemplateBody = { min = 0, max = 10240 },
  RegistryS3BucketName = { min = 3, max = 256, pattern = "^[a-zA-Z0-9._-]+$", written = "[a-zA-Z0-9._-]+" },
  -- The range )-/ inside the model's own class makes + and , legal too.
  RegistryS3KeyName = { min = 1, max = 1024, pattern = "^[a-zA-Z0-9!_.*'()+,/-]+$",
    written = "[a-zA-Z0-9!_.*'()-\\/]+" },
  RoleArn = { min = 20, max = 2048 },
  NextToken = {},
  RegistryMaxResults = { low = 1, high = 250 },
  Status = { enum = { "InProgress", "Completed", "Failed", "Cancelled", "Cancelling" } },
  ReportType = { enum = { "ERRORS", "RESULTS" } },
  Parameter = { max = 2048 },
  Value = { max = 4096 },
}

-- The forms of a character: no overlong ones, no surrogates, nothing beyond U+10FFFF.
local CHARACTERS = {
  "^[%z\1-\127]+()", "^[\194-\223][\128-\191]()", "^\224[\160-\191][\128-\191]()",
  "^[\225-\236\238\239][\128-\191][\128-\191]()", "^\237[\128-\159][\128-\191]()",
  "^\240[\144-\191][\128-\191][\128-\191]()", "^[\241-\243][\128-\191][\128-\191][\128-\191]()",
  "^\244[\128-\143][\128-\191][\128-\191]()",
}

-- Characters, not bytes: lengths are counted in them. nil when the text is not UTF-8.
function M.characters(text)
  local count, at = 0, 1
  while at <= #text do
    local stop
    for index, form in ipairs(CHARACTERS) do
      stop = text:match(form, at)
      if stop then
        count = count + (index == 1 and stop - at or 1)
        break
      end
    end
    if not stop then
      return nil
    end
    at = stop
  end
  return count
end

local function number_problem(shape, value)
  local number = value:find("^%-?%d+$") and tonumber(value)
  if not number then
    return "Member must be an integer"
  elseif number < shape.low then
    return ("Member must have value greater than or equal to %d"):format(shape.low)
  elseif number > shape.high then
    return ("Member must have value less than or equal to %d"):format(shape.high)
  end
end

local function enum_problem(shape, value)
  for _, known in ipairs(shape.enum) do
    if value == known then
      return nil
    end
  end
  return ("Member must satisfy enum value set: [%s]"):format(table.concat(shape.enum, ", "))
end

-- What is wrong with a value, or nil. A number comes as text.
function M.problem(name, value)
  local shape = SHAPES[name]
  if value == nil then
    return "Member must not be null"
  elseif type(value) ~= "string" then
    return "Member must be a string"
  elseif shape.low then
    return number_problem(shape, value)
  elseif shape.enum then
    return enum_problem(shape, value)
  end
  local length = M.characters(value)
  if not length then
    return "Member must be valid UTF-8"
  elseif shape.max and length > shape.max then
    return ("Member must have length less than or equal to %d"):format(shape.max)
  elseif shape.min and length < shape.min then
    return ("Member must have length greater than or equal to %d"):format(shape.min)
  elseif shape.pattern and not value:find(shape.pattern) then
    return "Member must satisfy regular expression pattern: " .. shape.written
  end
end

-- Checks *values* against *members*, a list of { name, shape name, optional = }. Returns true, or nil with
-- the code and message of the refusal.
function M.check(values, members)
  local problems = {}
  for _, member in ipairs(members) do
    local name = member[1]
    local text = (values[name] ~= nil or not member.optional) and M.problem(member[2], values[name])
    if text then
      problems[#problems + 1] = ("Value at '%s' failed to satisfy constraint: %s"):format(name, text)
    end
  end
  if problems[1] then
    return nil, "InvalidRequestException", ("%d validation error%s detected: %s"):format(
      #problems, problems[2] and "s" or "", table.concat(problems, "; "))
  end
  return true
end

return M
