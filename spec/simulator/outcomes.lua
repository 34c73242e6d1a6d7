-- What came of each line of an input file that was really processed, for its task:
--
--   flags      a byte for each line: "+" it succeeded, "-" it failed
--   results    the lines of RESULTS, with PEM in place of a certificate that the service made
--   errors     for each failure a JSON list of line number, offset, code, message and the line itself
--
-- The oldest are forgotten when there is no room for more.

local M = {}

local store = ngx.shared.outcomes

-- A byte that JSON has in no other place.
M.PEM = "\1"

local PARTS = { "flags", "results", "errors" }

function M.save(task_id, outcome)
  for _, name in ipairs(PARTS) do
    assert(store:set(name .. " " .. task_id, outcome[name]))
  end
end

-- One of the three; "" when it has been forgotten.
function M.get(task_id, name)
  return store:get(name .. " " .. task_id) or ""
end

-- A function that tells how many of the first so many lines failed.
function M.failures_in(task_id)
  local flags = M.get(task_id, "flags")
  return function(count)
    return select(2, flags:sub(1, count):gsub("%-", ""))
  end
end

function M.clear()
  store:flush_all()
end

return M
