---The items of lists that come in pages (reference 1.4).
local core = require "iot.core"
local errors = require "iot.errors"
local options = require "iot.config.options"

local pages = {}

-- What goes wrong in the middle can only be raised, as io.lines does it.
local function repeated_token(operation)
  local _, _, detail = errors.fail({ code = "MalformedResponse", operation = operation },
    "the service gave the same nextToken for two pages in a row")
  return detail
end

---Iterate over the items of all pages, each fetched when it is due. A page may be empty, or have no list. All
---parameters but the token are the same for each page.
---
---The iterator raises the detail of a call that failed; to call it again fetches that page again. A page whose token
---is the one that led to it is the last, and what follows its items is raised, too: MalformedResponse. Tasks of a map
---may share the iterator: while one of them fetches a page, the others wait for their turn.
---@param operation string
---@param params table  is not changed
---@param fetch fun(params: table): table?, string?, iot.Error?  makes one call of the operation
---@param serialize fun(owner: table, deadline: nil, fn: function, ...): ...  as of a runtime
---@return fun(): string?
function pages.items(operation, params, fetch, serialize)
  local name, owner = core.page_items[operation], {}
  local own, page, at = options.copy(params), {}, 0
  local is_last, failure = false, nil

  local function turn()
    if page[at + 1] ~= nil or is_last or failure then return end -- another task was here
    local result, _, detail = fetch(own)
    if not result then error(detail, 0) end
    page, at = result[name] or {}, 0
    local token = result.nextToken
    is_last = token == nil or token == ""
    if not is_last and token == own.nextToken then failure = repeated_token(operation) end
    own.nextToken = token
  end

  return function()
    while page[at + 1] == nil do
      if failure then error(failure, 0) end
      if is_last then return nil end
      serialize(owner, nil, turn)
    end
    at = at + 1
    return page[at]
  end
end

return pages
