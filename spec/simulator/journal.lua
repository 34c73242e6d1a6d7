-- What was received and what became of it: a bounded list. What may hold any byte (uri, the values
-- of headers, body) is percent-encoded in it.

local cjson = require "cjson.safe"
local settings = require "simulator.settings"
local uri = require "simulator.uri"

local M = {}

local store = ngx.shared.journal

-- Notes the arrival of a request; returns its entry, or nil when the journal is off.
function M.open(request, operation_name)
  local limit = settings.get("journal_limit")
  if limit < 1 then
    return nil
  end
  local number = store:incr("last", 1, 0)
  store:delete(number - limit)
  local headers = {}
  for index, header in ipairs(request.headers) do
    headers[index] = { header[1], uri.printable(header[2]) }
  end
  ngx.update_time() -- or it would be when nginx last looked, before all that came at once
  local entry = {
    number = number,
    time = ngx.now(),
    method = request.method,
    uri = uri.printable(request.uri),
    headers = headers,
    body = uri.printable(request.body),
    operation = operation_name,
    connection = request.connection,
    tls = request.tls,
  }
  store:set(number, cjson.encode(entry))
  return entry
end

-- Adds the outcome: the answer's status and code (none where nothing was answered) and the fault. An
-- entry that has been forgotten meanwhile stays so.
function M.close(entry, answer, fault)
  if entry then
    entry.status = answer and answer.status
    entry.code = answer and answer.code
    entry.fault = fault and fault.kind
    store:replace(entry.number, cjson.encode(entry))
  end
end

-- All entries as one JSON list, the oldest first.
function M.read()
  local last, entries = store:get("last") or 0, {}
  for number = math.max(1, last - settings.get("journal_limit") + 1), last do
    entries[#entries + 1] = store:get(number)
  end
  return "[" .. table.concat(entries, ",\n") .. "]"
end

-- No number is given twice: the request of a forgotten entry may still be under way.
function M.clear()
  local last = store:get("last")
  store:flush_all()
  store:set("last", last)
end

return M
