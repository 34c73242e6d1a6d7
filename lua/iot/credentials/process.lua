---Credentials that a program prints, the profile key credential_process (reference 7.8).
local core = require "iot.core"
local excerpt = require "iot.excerpt"

local process = {}

local time_limit = 60 -- seconds
local max_words = 256
local max_excerpt = 300

local blank = "[ \t\r\n]"

-- Each reader below takes a text and a position behind what opened the part, and returns the part and
-- the position behind it, or nil and what is wrong.

local function read_single_quoted(text, at)
  local stop = text:find("'", at, true)
  if not stop then return nil, "a single quote that is not closed" end
  return text:sub(at, stop - 1), stop + 1
end

local function read_escaped(text, at)
  if at > #text then return nil, "a backslash at its end" end
  local c = text:sub(at, at)
  return c == "\n" and "" or c, at + 1
end

-- Within double quotes a backslash is one unless something special follows.
local function read_double_quoted(text, at)
  local parts = {}
  while true do
    local plain, special, behind = text:match('^([^"\\]*)(["\\])()', at)
    if not plain then return nil, "a double quote that is not closed" end
    parts[#parts + 1] = plain
    if special == '"' then return table.concat(parts), behind end
    local c = text:sub(behind, behind)
    if c == "\n" then
      c = ""
    elseif not c:find('^[$`"\\]') then
      c = "\\" .. c
    end
    parts[#parts + 1] = c
    at = behind + 1
  end
end

local readers = { ["'"] = read_single_quoted, ['"'] = read_double_quoted, ["\\"] = read_escaped }

local function read_word(text, at)
  local parts = {}
  while at <= #text and not text:find("^" .. blank, at) do
    local plain, behind = text:match("^([^'\"\\ \t\r\n]+)()", at)
    if not plain then
      plain, behind = readers[text:sub(at, at)](text, at + 1)
      if not plain then return nil, behind end
    end
    parts[#parts + 1] = plain
    at = behind
  end
  return table.concat(parts), at
end

---Split a command as a POSIX shell does, with its single and double quotes and backslashes. Nothing is
---expanded, and there are no operators: "$", "*", ";" and the like are themselves.
---@param text string
---@return string[]? words  the first is the program
---@return string? message  what is wrong; it quotes nothing, for arguments may be secret
function process.split(text)
  if text:find("%z") then return nil, "it holds a NUL byte" end
  local words, at = {}, text:match("^" .. blank .. "*()")
  while at <= #text do
    local word, behind = read_word(text, at)
    if not word then return nil, "it has " .. behind end
    words[#words + 1] = word
    if #words > max_words then return nil, ("it has more than %d words"):format(max_words) end
    at = text:match("^" .. blank .. "*()", behind)
  end
  if (words[1] or "") == "" then return nil, "it names no program" end
  return words
end

-- What may be secret in the command: arguments, but not the names of options.
local function secrets_of(words)
  local secrets = {}
  for i = 2, #words do
    local value = words[i]:match("=(.*)$")
    if not words[i]:find("^%-[%a-]+$") then secrets[#secrets + 1] = words[i] end
    if value then secrets[#secrets + 1] = value end
  end
  table.sort(secrets, function(a, b) return #a > #b end) -- what is part of another comes after it
  return secrets
end

-- Values that stand behind the names of secrets, as a program may show what it got.
local function hide_members(text)
  for _, name in ipairs { "secret_?access_?key", "session_?token", "password", "access_?token" } do
    local any_case = name:gsub("%a", function(c) return "[" .. c .. c:upper() .. "]" end)
    text = text:gsub("(" .. any_case .. "[\"']?%s*[:=]%s*[\"']?)[^%s\"',}]+", "%1***")
  end
  return text
end

-- The end of what it wrote to standard error: programs say last what went wrong.
local function complaint_of(errors, words)
  errors = hide_members(errors)
  local text = excerpt.line(excerpt.redact(errors, secrets_of(words)), math.huge)
  if #text > max_excerpt then
    text = "..." .. text:sub(-max_excerpt):gsub("^[\128-\191]+", "")
  end
  return text ~= "" and ": " .. text or ", and said nothing on standard error"
end

-- What it wrote to standard output; else the reason and, if there is one, the code.
local function run(context, words, deadline)
  local seconds = time_limit
  if deadline then seconds = math.min(seconds, deadline - context.runtime.monotonic()) end
  if seconds <= 0 then return nil, "no time was left to run it" end
  local result, message, facts = context.runtime.run(words, seconds)
  if not result then
    if facts and facts.code == "Timeout" then
      return nil, ("it did not end within %.3g seconds, which must do for any input that it asks for"):format(seconds)
    elseif facts and facts.code == "InvalidConfiguration" then
      return nil, message .. "; the first word must be a program: a path, or a name to be found in PATH"
    end
    return nil, message, facts and facts.code
  end
  if (result.signal or 0) ~= 0 then
    return nil, ("signal %d ended it"):format(result.signal) .. complaint_of(result.errors, words)
  elseif result.status ~= 0 then
    return nil, ("it ended with status %d"):format(result.status) .. complaint_of(result.errors, words)
  end
  return result.output
end

local members = {
  { "AccessKeyId", "access_key_id", required = true },
  { "SecretAccessKey", "secret_access_key", required = true },
  { "SessionToken", "session_token" },
  { "Expiration", "expiration" },
  { "AccountId", "account_id" },
}

-- The record, or what is wrong with the output, which is never quoted.
local function read_record(output, now)
  local document = core.decode_json(output)
  if not document then return nil, "what it wrote to standard output is no JSON object" end
  if document.Version ~= 1 then return nil, 'the "Version" that it wrote must be the number 1' end
  local record = {}
  for _, member in ipairs(members) do
    local name, value = member[1], document[member[1]]
    if value == "" then value = nil end
    if value == nil and member.required then return nil, ('it wrote no "%s"'):format(name) end
    if value ~= nil and type(value) ~= "string" then
      return nil, ('the "%s" that it wrote is no string'):format(name)
    end
    record[member[2]] = value
  end
  if record.expiration then
    record.expiration = core.parse_time(record.expiration)
    if not record.expiration then
      return nil, 'the "Expiration" that it wrote is no time such as 2030-01-31T12:00:00Z'
    elseif record.expiration <= now then
      return nil, "the credentials that it wrote have expired; check it, and this machine's clock"
    end
  end
  return record
end

---@param context iot.Context
---@return iot.Provider? provider
---@return string? reason
---@return string? code
function process.new(context)
  local section = context.profile or {}
  local command, account_id = section.credential_process, section.aws_account_id
  if (command or "") == "" then return nil, "credential_process is not set", "NoCredentials" end
  local words, wrong = process.split(command)
  if not words then return nil, "credential_process cannot be used: " .. wrong, "InvalidProfile" end

  local function fetch(deadline)
    local record
    local output, message, code = run(context, words, deadline)
    if code == "Interrupted" then return nil, "credential_process was ended: " .. message, code end
    if output then record, message = read_record(output, context.runtime.now()) end
    if not record then return nil, "credential_process failed: " .. message, "CredentialsFailed" end
    if account_id ~= "" then record.account_id = record.account_id or account_id end
    return record
  end
  return { name = "process", feature = "v,w", fetch = fetch }
end

return process
