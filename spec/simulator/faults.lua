-- Faults on request. A fault waits in a queue until a request matches it, changes what happens to
-- that request, and is gone after `times` requests (default 1). Every fault may have
--
--   operation   only requests of this operation match, or of this service: "imds" stands for "imds.token"
--               and the others of its kind; the names are those of the journal
--   skip        how many requests that match pass unharmed first
--   times       how many requests it hits
--   when        "before" (default): on arrival, unsigned requests too;
--               "after": when the signature was found good and the operation has been carried out
--   delay       seconds to wait first
--
-- and is of one of these kinds:
--
--   delay       wait `seconds`, then go on
--   skew        the server's clock is `seconds` ahead (or behind): signature check and Date header
--   reset       TCP RST instead of an answer         close     the connection ends without an answer
--   truncate    the answer's body ends after `bytes` (default: half), then the connection ends
--   stall       the same, but the connection stays silent for `seconds` (default 60)
--   drop        the whole answer, then the connection ends though it should have been kept
--   reply       another answer: `status`, `headers`, and `body`, or `body_bytes` bytes of filler
--   raw         `body` as it is instead of an HTTP answer, then the connection ends
--   throttle    ThrottlingException, or with `status` 429 TooManyRequestsException; `retry_after`
--               in seconds becomes Retry-After, `retry_after_ms` becomes x-amz-retry-after

local cjson = require "cjson.safe"
local uri = require "simulator.uri"

local M = {}

local store = ngx.shared.faults

local COMMON = {
  kind = "string", operation = "string", skip = "number", times = "number", when = "string", delay = "number",
}

local KINDS = {
  delay = { seconds = "number" },
  skew = { seconds = "number" },
  reset = {},
  close = {},
  truncate = { bytes = "number" },
  stall = { bytes = "number", seconds = "number" },
  drop = {},
  reply = { status = "number", headers = "table", body = "string", body_bytes = "number" },
  raw = { body = "string" },
  throttle = { status = "number", retry_after = "number", retry_after_ms = "number" },
}

local function problem(fault)
  local fields = KINDS[fault.kind]
  if not fields then
    return ("there is no fault of kind '%s'"):format(tostring(fault.kind))
  end
  for name, value in pairs(fault) do
    local wanted = COMMON[name] or fields[name]
    if not wanted then
      return ("a fault of kind '%s' has no '%s'"):format(fault.kind, name)
    elseif type(value) ~= wanted then
      return ("'%s' of a fault must be a %s"):format(name, wanted)
    end
  end
  if fault.when and fault.when ~= "before" and fault.when ~= "after" then
    return "'when' of a fault must be \"before\" or \"after\""
  end
end

-- Headers may come as a map; they are kept as a list of pairs.
local function list_of_pairs(headers)
  local list = {}
  for name, value in pairs(headers or {}) do
    list[#list + 1] = type(value) == "table" and value or { name, value }
  end
  return list
end

local function matches(fault, operation_name)
  local wanted = fault.operation
  return not wanted or wanted == operation_name
    or operation_name ~= nil and wanted == operation_name:match("^(.-)%.")
end

local function load()
  local queue = store:get("queue")
  return queue and cjson.decode(queue) or {}
end

local function save(queue)
  if queue[1] then
    assert(store:set("queue", cjson.encode(queue)))
  else
    store:delete("queue")
  end
end

-- Queues a fault whose body is percent-encoded. Returns true, or nil and what is wrong with it.
function M.add(fault)
  local wrong = problem(fault)
  if wrong then
    return nil, wrong
  end
  fault.times = fault.times or 1
  fault.skip = fault.skip or 0
  fault.when = fault.when or "before"
  fault.headers = list_of_pairs(fault.headers)
  local queue = load()
  queue[#queue + 1] = fault
  save(queue)
  return true
end

-- The first fault of a queue for this moment and operation, and its place; nil when there is none. Those
-- that let the request pass have one to skip less from now on.
local function first(queue, when, operation_name)
  for index, fault in ipairs(queue) do
    if fault.when == when and matches(fault, operation_name) then
      if fault.skip < 1 then
        return fault, index
      end
      fault.skip = fault.skip - 1
    end
  end
end

-- The fault for this moment and operation, or nil; it has one time less from now on.
function M.take(when, operation_name)
  if not store:get("queue") then
    return nil
  end
  local queue = load()
  local fault, index = first(queue, when, operation_name)
  if fault then
    fault.times = fault.times - 1
    if fault.times < 1 then
      table.remove(queue, index)
    end
  end
  save(queue)
  if fault then
    fault.body = uri.decode(fault.body or "")
  end
  return fault
end

function M.clear()
  store:delete("queue")
end

return M
