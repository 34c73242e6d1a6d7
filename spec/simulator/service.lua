-- One request to the service: find its operation, check its signature, carry it out, answer. Faults
-- step in where they have been told to.

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local faults = require "simulator.faults"
local journal = require "simulator.journal"
local operations = require "simulator.operations"
local requests = require "simulator.request"
local settings = require "simulator.settings"
local signature = require "simulator.signature"

local M = {}

local function server_time(fault)
  ngx.update_time()
  return ngx.now() + settings.get("clock") + (fault and fault.kind == "skew" and fault.seconds or 0)
end

local function wait(fault)
  local seconds = (fault.delay or 0) + (fault.kind == "delay" and fault.seconds or 0)
  if seconds > 0 then
    ngx.sleep(seconds)
  end
end

local function throttled(fault)
  local code = fault.status == 429 and "TooManyRequestsException" or "ThrottlingException"
  local answer = answers.refusal(code, "Rate exceeded", fault.status)
  if fault.retry_after then
    table.insert(answer.headers, { "Retry-After", fault.retry_after })
  end
  if fault.retry_after_ms then
    table.insert(answer.headers, { "x-amz-retry-after", fault.retry_after_ms })
  end
  return answer
end

-- The answer that a fault puts in place of the right one; an empty one where nothing is answered.
local REPLACE = {
  reset = function() return {} end,
  close = function() return {} end,
  raw = function() return {} end,
  throttle = throttled,
  reply = function(fault)
    local stream = fault.body_bytes and answers.filler(fault.body_bytes)
    return { status = fault.status or 200, headers = fault.headers, body = fault.body, stream = stream }
  end,
}

local function replacement(fault)
  local replace = fault and REPLACE[fault.kind]
  return replace and replace(fault)
end

-- How an answer goes out under a fault, where that differs from sending it.
local DELIVER = {
  reset = function() answers.reset() end,
  close = function() answers.send_bytes("") end,
  raw = function(fault) answers.send_bytes(fault.body) end,
  truncate = function(fault, answer, now) answers.send_part(answer, now, fault.bytes) end,
  stall = function(fault, answer, now) answers.send_part(answer, now, fault.bytes, fault.seconds or 60) end,
  drop = function(_, answer, now) answers.send_part(answer, now, math.huge) end,
}

local function deliver(fault, answer, now)
  local special = fault and DELIVER[fault.kind]
  if special then
    special(fault, answer, now)
  else
    answers.send(answer, now)
  end
end

-- The answer, and whether the caller was let in.
local function carry_out(request, operation, labels, now)
  if not operation then
    -- What API Gateway says of a path that it does not know, whatever the signature.
    return answers.refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
  end
  local call = { request = request, labels = labels, now = now }
  if operation.answer then
    local answer = operation.answer(call)
    return answer, answer.status == 200
  end
  local good, code, message = signature.check(request, now, accounts.service)
  if not good then
    return answers.refusal(code, message)
  end
  local body
  body, code, message = operation.run(call)
  return body and answers.success(body) or answers.refusal(code, message), true
end

function M.handle()
  local request = requests.read()
  local operation, labels = operations.find(request.method, request.path)
  local name = operation and operation.name
  local entry = journal.open(request, name)

  local fault = faults.take("before", name)
  if fault then
    wait(fault)
  end
  local now = server_time(fault)
  local answer, admitted = replacement(fault), false
  if not answer then
    answer, admitted = carry_out(request, operation, labels, now)
  end
  if admitted and not fault then
    fault = faults.take("after", name)
    if fault then
      wait(fault)
      now = server_time(fault)
      answer = replacement(fault) or answer
    end
  end

  journal.close(entry, answer, fault)
  deliver(fault, answer, now)
end

local function refuse(answer)
  journal.close(journal.open(requests.read(true)), answer)
  answers.send(answer, server_time())
end

-- A request that nginx itself refuses.
function M.handle_unreadable()
  refuse(answers.refusal("InvalidRequestException", "Bad Request"))
end

-- A request of a device without a certificate, or with one of an unknown authority.
function M.handle_uncertified()
  refuse(answers.refusal("ForbiddenException", "The certificate is not known"))
end

return M
