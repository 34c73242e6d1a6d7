---Failures: every code of the library's own, and the detail that comes with a message.
local excerpt = require "iot.excerpt"

local errors = {}

---@class iot.Code
---@field kind iot.Kind
---@field retryable boolean  another attempt may succeed
---@field meaning string

local function code(kind, meaning, retryable)
  return { kind = kind, meaning = meaning, retryable = retryable or false }
end

---The codes that are not the service's. A failure of kind "service" has the service's own code, or
---the HTTP status in decimal when the reply named none.
---@type table<string, iot.Code>
errors.codes = {
  InvalidParameter = code("validation", "a parameter that can only go wrong; nothing was sent"),

  InvalidConfiguration = code("configuration", "an option, a variable or a key of a profile has an unusable value"),
  ProfileNotFound = code("configuration", "the profile that was named does not exist"),
  InvalidProfile = code("configuration", "a profile file or a profile is malformed"),
  MissingRegion = code("configuration", "no region was given"),
  InvalidRegion = code("configuration", "the region is no host label"),
  InvalidEndpoint = code("configuration", "the endpoint is no usable URL"),
  PhaseCannotWait = code("configuration", "nginx cannot wait in the phase that the call was made in"),
  InvalidCABundle = code("configuration", "the CA bundle cannot be read or holds no certificate"),
  CryptoFailed = code("configuration", "OpenSSL refused SHA-256, HMAC or random bytes"),

  NoCredentials = code("credentials", "no provider had credentials"),
  InvalidCredentials = code("credentials", "credentials that are incomplete or cannot be sent"),
  CredentialsFailed = code("credentials", "a source of credentials that is set up did not work"),

  NameResolutionFailed = code("transport", "the host name was not found", true),
  ConnectionFailed = code("transport", "no connection could be made", true),
  ConnectionLost = code("transport", "the connection ended before the whole reply had come", true),
  ProxyFailed = code("transport", "the proxy was not found or refused", true),
  TLSHandshakeFailed = code("transport", "the TLS handshake failed, certificates apart", true),
  CertificateInvalid = code("transport", "the server's certificate was not accepted"),
  Interrupted = code("transport", "a signal, such as Ctrl-C, ended the waiting"),

  Timeout = code("timeout", "a time limit passed", true),

  MalformedResponse = code("response", "a reply of success that could not be understood"),
  ResponseTooLarge = code("response", "a reply beyond the size limit"),

  TaskFailed = code("waiter", "the task failed as a whole"),
  TaskCancelled = code("waiter", "the task was cancelled"),
  TaskHadFailures = code("waiter", "the task was completed, but not all of its things were registered"),
  WaitTimeout = code("waiter", "the task had not ended when the time for waiting was over"),
}

-- Reference 5.2.
local throttling = {
  BandwidthLimitExceeded = true, EC2ThrottledException = true, LimitExceededException = true,
  PriorRequestNotComplete = true, ProvisionedThroughputExceededException = true,
  RequestLimitExceeded = true, RequestThrottled = true, RequestThrottledException = true,
  SlowDown = true, ThrottledException = true, Throttling = true, ThrottlingException = true,
  TooManyRequestsException = true, TransactionInProgressException = true,
}
local transient = { RequestTimeout = true, RequestTimeoutException = true }
local transient_status = { [500] = true, [502] = true, [503] = true, [504] = true }

local function classify(detail)
  if detail.kind == "service" then
    -- By code first: a ThrottlingException comes with status 400.
    detail.throttled = throttling[detail.code] or detail.status == 429 or false
    detail.retryable = detail.throttled or transient[detail.code]
      or transient_status[detail.status] or false
  else
    local known = errors.codes[detail.code]
    detail.kind = detail.kind or known.kind
    detail.throttled = false
    detail.retryable = known.retryable
  end
end

local function origin(detail)
  local parts = {}
  if detail.status then parts[1] = "HTTP status " .. detail.status end
  if detail.request_id then parts[#parts + 1] = "request id " .. detail.request_id end
  return #parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or ""
end

-- One line that can stand alone.
local function compose(detail, message)
  local prefix = detail.operation and detail.operation .. ": " or ""
  if detail.kind == "service" then
    local text = message ~= "" and message or "the service gave no reason"
    if detail.code ~= tostring(detail.status) then text = detail.code .. ": " .. text end
    return prefix .. text .. origin(detail)
  elseif detail.code == "MalformedResponse" and detail.status then
    return prefix .. "the reply could not be understood: " .. message .. origin(detail)
  end
  return prefix .. message .. origin(detail)
end

local detail_metatable = { __name = "iot.Error" }

function detail_metatable:__tostring()
  return self.message
end

---Make the failure triple of the library.
---@param facts table  what is known: `code`, and `kind` unless it is one of `errors.codes`; `operation`,
---`status`, `request_id`, `attempts`, `body`. It becomes the detail.
---@param message string  what happened, without the operation and the ids
---@return nil
---@return string message
---@return iot.Error detail
function errors.fail(facts, message)
  classify(facts)
  facts.message = compose(facts, excerpt.printable(message))
  return nil, facts.message, setmetatable(facts, detail_metatable)
end

---A detail of which the fields alone were kept.
---@param fields table  becomes the detail
---@return iot.Error detail
function errors.restore(fields)
  if fields.cause then errors.restore(fields.cause) end
  return setmetatable(fields, detail_metatable)
end

---A failure that was met on the way to an operation, before anything was sent.
---@param operation string
---@param detail iot.Error  not kept by anyone else
---@return nil
---@return string message
---@return iot.Error detail
function errors.before(operation, detail)
  detail.operation = operation
  detail.attempts = 0
  detail.message = operation .. ": " .. detail.message
  return nil, detail.message, detail
end

return errors
