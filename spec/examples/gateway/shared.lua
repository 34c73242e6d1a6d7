-- Answers that the workers share: who asks first makes one, the others wait for it, and for a while it is everyone's.
-- So the service hears of a page once, however many people look at it.
local cjson = require "cjson.safe"

local shared = {}

local dict = ngx.shared.tasks

local lease = 3 -- seconds; then another may make it, should the first have died
local patience = 15 -- seconds that anyone waits for another's
local pause = 0.02

-- Where it stands that an answer is being made; no key of an answer begins so.
local function asked(key)
  return "asked " .. key
end

local function make_and_keep(key, make)
  local started = ngx.now()
  local answer, seconds = make()
  dict:set(key, cjson.encode(answer), seconds)
  if ngx.now() - started < lease then dict:delete(asked(key)) end
  return answer
end

---The answer kept for this key; else what make() returns: an answer, and the seconds to keep it for. Nil when another
---has not made one in time.
function shared.once(key, make)
  local deadline = ngx.now() + patience
  repeat
    local kept = dict:get(key)
    if not kept and dict:add(asked(key), true, lease) then
      kept = dict:get(key) -- since the last look
      if not kept then return make_and_keep(key, make) end
      dict:delete(asked(key))
    end
    if kept then return cjson.decode(kept) end
    ngx.sleep(pause)
  until ngx.now() >= deadline
  return nil
end

return shared
