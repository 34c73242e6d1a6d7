--- The outside as a spec wants it: environment variables, and a runtime that sends nothing.
--
--   before_each(function() environment.replace() end)
--   after_each(environment.restore)
--
--   environment.replace { AWS_REGION = "us-east-1" }
--   local runtime = environment.runtime()
--   local client = assert(iot.new { runtime = runtime })
--   assert(client:describe_thing_registration_task { taskId = "task" })
--   print(runtime.sent[1].attempt.timeout)
local M = {}

local real = os.getenv

--- From now on `os.getenv` knows these variables and no other. Only Lua code that asks at the time
--- of need notices; C code sees the real environment.
---@param variables? table<string, string>  read at each call; none: an empty environment
function M.replace(variables)
  variables = variables or {}
  os.getenv = function(name) return variables[name] end -- luacheck: ignore 122
end

--- The real environment again.
function M.restore()
  os.getenv = real -- luacheck: ignore 122
end

---@class spec.environment.sent
---@field native userdata
---@field operation string
---@field params table
---@field attempt iot.Attempt

---@class spec.environment.runtime: iot.Runtime
---@field sent spec.environment.sent[]  what it was asked to send
---@field wall number  what now() answers
---@field clock number  what monotonic() answers; sleep() moves it

--- A runtime for the option `runtime`.
---@param answer? fun(native: userdata, operation: string, params: table, attempt: iot.Attempt): table?, string?, table?
---what it answers; an empty result
---@return spec.environment.runtime
function M.runtime(answer)
  local runtime = { sent = {}, wall = 1440938160.25, clock = 5000 }
  function runtime.send(native, operation, params, attempt)
    table.insert(runtime.sent, { native = native, operation = operation, params = params, attempt = attempt })
    if not answer then return {} end
    return answer(native, operation, params, attempt)
  end
  function runtime.now() return runtime.wall end
  function runtime.monotonic() return runtime.clock end
  function runtime.sleep(seconds) runtime.clock = runtime.clock + seconds end
  function runtime.random() return 0.5 end
  function runtime.serialize(_, _, fn, ...) return fn(...) end
  function runtime.request() return nil, "there is no network in this spec", { code = "ConnectionFailed" } end
  function runtime.download() return runtime.request() end
  function runtime.run() return nil, "there are no programs in this spec", { code = "InvalidConfiguration" } end
  return runtime
end

return M
