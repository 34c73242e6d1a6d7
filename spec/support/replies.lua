--- Replies of the service without a network: what becomes of them, natively and for a caller.
--
-- A reply is { status (200), reason (the usual one), headers (a map), body (none) }. Its words go
-- to the native client as they came, or to a whole client whose runtime takes them for a send.
-- Each function takes the name of an operation last; without one it is that of a description.
local iot = require "iot"
local core = require "iot.core"
local environment = require "spec.support.environment"
local assert = require "luassert"
local failures = require "spec.support.failures"
local model = require "spec.support.service_model"

local DESCRIBE = "describe_thing_registration_task"

local REASONS = {
  [200] = "OK", [204] = "No Content", [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
  [404] = "Not Found", [409] = "Conflict", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
}

local M = { DESCRIBE = DESCRIBE }

local function written(reply)
  local status = reply.status or 200
  local lines = { ("HTTP/1.1 %d %s"):format(status, reply.reason or REASONS[status] or "Whatever") }
  for name, value in pairs(reply.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  return status, table.concat(lines, "\r\n") .. "\r\n\r\n", reply.body or ""
end

local native = assert(core.client { endpoint = "https://iot.us-east-1.amazonaws.com", region = "us-east-1" })

--- The native half alone: result, or nil, the service's own message, and facts.
function M.parse(reply, operation)
  return native:parse(operation or DESCRIBE, written(reply))
end

--- What a caller of the operation gets.
function M.call(reply, operation)
  operation = operation or DESCRIBE
  local client = assert(iot.new {
    region = "us-east-1",
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" },
    retry = { max_attempts = 1 },
    runtime = environment.runtime(function(inner, name, _, attempt)
      local status, head, body = written(reply)
      return inner:parse(name, status, head, body, attempt)
    end),
  })
  local result, message, detail = client[operation](client, model.params(model[operation]))
  client:close()
  return result, message, detail
end

--- Hold both against what was expected. Returns the message and the detail.
---@param expected table  as for failures.check
---@param reply table
function M.assert_failure(expected, reply, operation)
  local result, own_message, facts = M.parse(reply, operation)
  assert.is_nil(result)
  assert.equal("string", type(own_message))
  assert.equal(expected.code, facts.code, own_message)
  local all = { operation = operation or DESCRIBE, attempts = 1 }
  for name, value in pairs(expected) do all[name] = value end
  return failures.check(all, M.call(reply, operation))
end

--- A success, by its status, that cannot be understood.
function M.assert_malformed(reply, operation)
  return M.assert_failure({
    kind = "response", code = "MalformedResponse", retryable = false, throttled = false,
    status = reply.status or 200, message = "could not be understood",
  }, reply, operation)
end

--- An answer of the service that is an error.
function M.assert_service(expected, reply, operation)
  local all = { kind = "service", status = reply.status }
  for name, value in pairs(expected) do all[name] = value end
  return M.assert_failure(all, reply, operation)
end

return M
