-- The values in the properties of a template: { "Ref": name of a parameter }, { "Fn::Join": [separator, [value,
-- ...]] }, and what stands for itself.

local M = {}

local function join_problem(operands, known)
  if type(operands) ~= "table" or #operands ~= 2 or type(operands[1]) ~= "string" or type(operands[2]) ~= "table" then
    return "Fn::Join must have a separator and a list"
  end
  return M.problem(operands[2], known)
end

-- What is wrong with a value, or nil. *known* are the parameters that the template declares, and its resources.
function M.problem(value, known)
  if type(value) ~= "table" then
    return nil
  end
  local ref = value.Ref
  if ref ~= nil then
    if type(ref) ~= "string" or not known[ref] then
      return ("Ref to %s, which is neither a parameter nor a resource of the template"):format(tostring(ref))
    end
    return nil
  end
  for name, part in pairs(value) do
    local problem
    if name == "Fn::Join" then
      problem = join_problem(part, known)
    elseif type(name) == "string" and name:find("^Fn::") then
      problem = name .. " is no function that templates have"
    else
      problem = M.problem(part, known)
    end
    if problem then
      return problem
    end
  end
end

-- Adds the names that a value refers to.
function M.references(value, names)
  if type(value) == "table" then
    if type(value.Ref) == "string" then
      names[value.Ref] = true
    end
    for _, part in pairs(value) do
      M.references(part, names)
    end
  end
end

-- A value that has no problem, with the parameters' values in it. What refers to a resource is its name.
function M.resolve(value, given)
  if type(value) ~= "table" then
    return value
  elseif value.Ref then
    return given[value.Ref] or value.Ref
  elseif value["Fn::Join"] then
    local parts = {}
    for index, part in ipairs(value["Fn::Join"][2]) do
      parts[index] = tostring(M.resolve(part, given))
    end
    return table.concat(parts, value["Fn::Join"][1])
  end
  local resolved = {}
  for name, part in pairs(value) do
    resolved[name] = M.resolve(part, given)
  end
  return resolved
end

return M
