-- The cache files of lua/iot/credentials/sso.lua and login.lua. The input: a byte that tells which, then the text of
-- the file and replies to its refresh, a line "%%" between two.
local core = require "iot.core"
local files = require "spec.support.files"
local login = require "iot.credentials.login"
local promises = require "spec.fuzz.promises"
local sso = require "iot.credentials.sso"
local token_cache = require "iot.credentials.token_cache"

local must = promises.must

local folder = os.getenv "HOME"
assert(os.execute(("mkdir -p '%s/.aws/sso/cache' '%s/.aws/login/cache'"):format(folder, folder)))

local profile = {
  sso_session = "dev", sso_account_id = "012345678901", sso_role_name = "Reader", login_session = "dev",
}
local sessions = { dev = { sso_region = "us-east-2", sso_start_url = "https://d-123.awsapps.com/start" } }
local paths = {
  [0] = ("%s/.aws/sso/cache/%s.json"):format(folder, assert(core.sha1 "dev")),
  ("%s/.aws/login/cache/%s.json"):format(folder, assert(core.sha256 "dev")),
}

local function split(input)
  local texts, at = {}, 1
  while at do
    local first, last = input:find("\n%%\n", at, true)
    texts[#texts + 1] = input:sub(at, first and first - 1 or #input)
    at = last and last + 1
  end
  return texts
end

local function context_of(texts)
  local number = 1
  return {
    profile = profile, profiles = { name = "dev", selected = profile, sso_sessions = sessions },
    endpoint_for = function(service) return ("https://%s.us-east-2.example"):format(service) end,
    runtime = promises.runtime(function()
      number = math.min(number + 1, #texts)
      if number == 1 or texts[number]:sub(1, 1) == "!" then return nil, "it broke", { code = "ConnectionLost" } end
      return promises.reply(texts[number])
    end),
  }
end

-- What is left in the file is what was there or a document that can be read again.
local function check_file(path, text)
  local left = assert(files.read(path))
  must(left == text or core.decode_json(left), "the file can be read again", left)
end

return function(input)
  local which = (input:byte() or 0) % 2
  local texts = split(input:sub(2))
  files.write(paths[which], texts[1])
  local context = context_of(texts)
  local provider = assert((which == 0 and sso or login).new(context))
  local record, message, code = provider.fetch(context.runtime.clock + 60)
  promises.must_be_record(record, message, code)
  check_file(paths[which], texts[1])
  local time = token_cache.parse_time(texts[1])
  if time and math.abs(time) < 2e11 and time >= 0 then
    must(token_cache.parse_time(token_cache.format_time(time)) == math.floor(time), "a time is written as it is read")
  end
end
