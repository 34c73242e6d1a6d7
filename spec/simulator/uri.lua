-- Percent-encoding, and the canonical forms of path and query that a signature covers.

local M = {}

local function escape(byte)
  return ("%%%02X"):format(byte:byte())
end

function M.encode(text)
  return (text:gsub("[^A-Za-z0-9%-._~]", escape))
end

function M.decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Any bytes as printable ASCII that M.decode turns back: what the control interface puts into JSON.
function M.printable(bytes)
  return (bytes:gsub("[^ -$&-~]", escape))
end

-- The segments of a path without empty and dot segments; `..` never climbs above the root. Segments
-- are still encoded, so an encoded slash stays part of its segment.
function M.segments(path)
  local kept = {}
  for segment in path:gmatch("[^/]+") do
    if segment == ".." then
      kept[#kept] = nil
    elseif segment ~= "." then
      kept[#kept + 1] = segment
    end
  end
  return kept
end

-- reference 3.1: normalise the path as it was on the wire, then encode it once more.
function M.canonical_path(path)
  local normal = "/" .. table.concat(M.segments(path), "/")
  if normal ~= "/" and path:sub(-1) == "/" then
    normal = normal .. "/"
  end
  return (normal:gsub("[^A-Za-z0-9%-._~/]", escape))
end

-- reference 3.1: pairs sorted by encoded name, then encoded value; a bare name gets its `=`.
function M.canonical_query(query)
  local pairs_found = {}
  for pair in query:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    pairs_found[#pairs_found + 1] = { M.encode(M.decode(name)), M.encode(M.decode(value)) }
  end
  table.sort(pairs_found, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for index, pair in ipairs(pairs_found) do
    pairs_found[index] = pair[1] .. "=" .. pair[2]
  end
  return table.concat(pairs_found, "&")
end

return M
