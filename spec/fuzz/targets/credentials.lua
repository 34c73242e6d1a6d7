-- lua/iot/credentials: what servers and programs answer. The input: a byte that tells which provider, then replies, a
-- line "%%" between two. Of a command, the second line of the first is what was run and the rest what it wrote.
local container = require "iot.credentials.container"
local exchange = require "iot.credentials.exchange"
local imds = require "iot.credentials.imds"
local process = require "iot.credentials.process"
local promises = require "spec.fuzz.promises"
local sts = require "iot.credentials.sts"

local must = promises.must

local SECRET, TOKEN = "wJalrXUtnFEMI-EXAMPLE-SECRET", "IQoJb3JpZ2luX2VjEXAMPLE-TOKEN"
local ROLE = "arn:aws:iam::123456789012:role/name"

-- Answers that start again when they are used up, as a server may go on for ever.
local function answers(input)
  local replies, at, number = {}, 1, 0
  while at do
    local first, last = input:find("\n%%\n", at, true)
    replies[#replies + 1] = input:sub(at, first and first - 1 or #input)
    at = last and last + 1
  end
  return function()
    number = number % #replies + 1
    local text = replies[number]
    if text:sub(1, 1) == "!" then return nil, "it broke", { code = "ConnectionLost" } end
    return promises.reply(text)
  end
end

local function context_of(answer, profile)
  return {
    runtime = promises.runtime(answer), region = "eu-west-3", profile = profile,
    profiles = { name = "dev", selected = profile, profiles = {}, sso_sessions = {}, services = {} },
    endpoint_for = function(service) return ("https://%s.eu-west-3.example"):format(service) end,
  }
end

-- What a provider gives in an environment of these variables alone.
local function fetch_from(module, input, variables, secret)
  local real = os.getenv
  os.getenv = function(name) return variables[name] end -- luacheck: ignore 122
  local context = context_of(answers(input))
  local provider = assert(module.new(context))
  local record, reason, why = provider.fetch(context.runtime.clock + 60)
  os.getenv = real -- luacheck: ignore 122
  promises.must_be_record(record, reason, why, secret)
end

local in_container = {
  AWS_CONTAINER_CREDENTIALS_FULL_URI = "https://credentials.example/get", AWS_CONTAINER_AUTHORIZATION_TOKEN = TOKEN,
}

local function run_command(input)
  local lines, rest = promises.split(input, 2)
  local context = context_of(nil, { credential_process = lines[1] })
  local status, output = tonumber(lines[2]:match "^%d%d?%d?") or 0, rest
  function context.runtime.run(words)
    for _, word in ipairs(words) do must(type(word) == "string", "a word is a text") end
    return { status = status, signal = 0, output = output, errors = output }
  end
  local provider, message, code = process.new(context)
  if not provider then return promises.must_be_record(nil, message, code) end
  promises.must_be_record(provider.fetch(context.runtime.clock + 60))
end

local function assume_role(input)
  local context = context_of(answers(input))
  local source = { access_key_id = "AKID", secret_access_key = SECRET, session_token = TOKEN }
  local record, message, code = sts.assume_role(context, source, { role_arn = ROLE }, context.runtime.clock + 60)
  promises.must_be_record(record, message, code, TOKEN)
end

local function assume_with_token(input)
  local context = context_of(answers(input))
  local record, message, code = sts.assume_role_with_web_identity(context, { role_arn = ROLE }, TOKEN,
    context.runtime.clock + 60)
  promises.must_be_record(record, message, code, TOKEN)
end

local function quote(input)
  local response = promises.reply(input)
  local text = exchange.refusal(response, TOKEN)
  promises.must_be_message(text, TOKEN)
  must(promises.is_line(text), "a refusal is a line", text)
  local _, message, detail = exchange.refused(response, {}, text)
  promises.must_be_failure(message, detail)
  local wait = detail.retry_after
  must(wait == nil or wait >= 0 and wait < math.huge, "a wait has an end", wait)
  local url, reason = exchange.split_url(response.body)
  if not url then return promises.must_be_message(reason) end
  must(url.scheme == "http" or url.scheme == "https", "a scheme is known", url.scheme)
  must(url.host ~= "" and not url.host:find "[^%w.:-]", "a host is one", url.host)
  must(not response.body:find "[%c#@ ]" or url.path:find "@", "a URL is one", response.body)
end

local kinds = {
  [0] = function(input) fetch_from(container, input, in_container, TOKEN) end,
  function(input) fetch_from(imds, input, {}) end,
  run_command, assume_role, assume_with_token, quote,
}

return function(input)
  local byte = input:byte() or 0
  kinds[byte % 6](input:sub(2))
end
