-- Random requests, signed by us and by botocore: every stage must be equal. And random calls of AWS IoT's
-- operations, which botocore writes with its own model of the service.
--
-- The seed is printed; IOT_SPEC_SEED=n repeats a run. PYTHON=path names an interpreter whose
-- botocore is to be asked instead of the system's.
--
-- Where botocore (or the old one of a stable distribution) differs from the rules we follow, the
-- requests are made so that both have one answer:
--
-- * Query: botocore signs what stands in the URL. It is given each query in canonical encoding, we
--   are given the same names and values in any legal one.
-- * Raw bytes in a URL, header or credential are valid UTF-8: botocore works on text. Any byte at
--   all comes as %XX in path and query, and in the body.
-- * Header values have no Unicode spaces (U+00A0, U+2003 and so on) and no control characters but
--   tab and folded lines: botocore collapses every kind of space that Python knows.
-- * Never-signed headers are the three that botocore has always known (and authorization); the
--   other names of the list became unsigned in later versions.
-- * No Date header: botocore then sends and signs that in the place of X-Amz-Date.
-- * A stale X-Amz-Security-Token only with a token to replace it: else botocore keeps the stale one.
-- * Host, where given, is in lower case: botocore signs it as it came.
-- * Presigned only: the query has no `+` and no name twice, both lost by botocore's parser there,
--   and only valid UTF-8; no stale signing headers, which botocore does not remove there.
-- * Calls: no label is empty, "." or "..", which botocore sends and we refuse. Bodies are compared as the
--   values that they hold, and botocore signs ours.
local core = require "iot.core"
local iot = require "iot"
local command = require "spec.support.command"
local http_message = require "spec.support.http_message"
local json = require "spec.support.json"
local model = require "spec.support.service_model"
local random_numbers = require "spec.support.random"
local requests = require "spec.support.requests"

local ORACLE = "spec/conformance/botocore_oracle.py"
local NOT_INSTALLED = 3
local OLDEST = 29 -- of botocore 1.x, the minor version
local SECONDS = 60

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local DIGITS = "0123456789"
local UNRESERVED = LETTERS .. DIGITS .. "-._~"
-- Printable, and no delimiter of the part they are used in.
local RAW_IN_PATH = " !\"$&'()*+,;<=>@[\\]^`{|}:"
local RAW_IN_QUERY = " !\"$'()*,;<>@[\\]^`{|}:/?"
local UTF8 = { "é", "ß", "ñ", "Ω", "я", "ሴ", "中", "€", "😀", "e\204\129" }

-- Pieces of text -----------------------------------------------------------------------------

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function any_byte(random) return string.char(random:integer(0, 255)) end

local function escaped(random, byte)
  return (random:chance(50) and "%%%02X" or "%%%02x"):format(byte:byte())
end

local function name_character(random)
  return random:character(LETTERS .. DIGITS .. "-_.")
end

local function header_character(random)
  local kind = random:integer(1, 100)
  if kind <= 70 then return string.char(random:integer(33, 126)) end
  if kind <= 85 then return (" "):rep(random:integer(1, 4)) end
  if kind <= 90 then return random:pick { "\t", " \t ", "\t\t" } end
  if kind <= 94 then return random:pick { "\n ", "\n\t", " \n   " } end
  return random:pick(UTF8)
end

local function secret_character(random)
  return random:character(LETTERS .. DIGITS .. "/+=")
end

local function token_character(random)
  if random:chance(90) then return string.char(random:integer(33, 126)) end
  return random:pick(UTF8)
end

-- Parts of a request -------------------------------------------------------------------------

local function path_character(random)
  local kind = random:integer(1, 100)
  if kind <= 50 then return random:character(UNRESERVED) end
  if kind <= 70 then return random:character(RAW_IN_PATH) end
  if kind <= 85 then return escaped(random, any_byte(random)) end
  if kind <= 90 then return random:pick { "%", "%4", "%zz", "%%" } end
  return random:pick(UTF8)
end

local function path_segment(random)
  local kind = random:integer(1, 100)
  if kind <= 30 then return random:pick { "", ".", "..", "...", ".a", "%2E", "%2e%2E" } end
  return random:text(1, 12, path_character)
end

local function path(random)
  local segments = {}
  for i = 1, random:integer(0, 6) do segments[i] = "/" .. path_segment(random) end
  return table.concat(segments) .. random:pick { "", "", "/" }
end

local function origin(random)
  local scheme = random:pick { "http", "https" }
  local host = random:pick {
    "iot.us-east-1.amazonaws.com", "IoT.EU-West-1.amazonaws.com", "localhost", "127.0.0.1",
    "[::1]", "[2001:DB8::A:1]", random:text(1, 20, function() return random:character "abcXYZ019" end),
  }
  local port = random:pick { "", "", ":80", ":443", ":4566", ":" .. random:integer(1, 65535) }
  return scheme .. "://" .. host .. port
end

-- A name or value of the query: what it means, and one way to write it in a URL.
local function query_text(random, low, high, is_text)
  local meant, written = {}, {}
  for i = 1, random:integer(low, high) do
    local kind = random:integer(1, 100)
    if kind <= 50 then
      meant[i] = random:character(UNRESERVED)
      written[i] = random:chance(80) and meant[i] or escaped(random, meant[i])
    elseif kind <= 70 then
      meant[i] = random:character(RAW_IN_QUERY)
      written[i] = random:chance(50) and meant[i] or escaped(random, meant[i])
    elseif kind <= 80 then
      meant[i] = random:character "&=#%"
      written[i] = escaped(random, meant[i])
    elseif kind <= 90 or is_text then
      meant[i] = random:pick(UTF8)
      written[i] = random:chance(50) and meant[i]
        or meant[i]:gsub(".", function(byte) return escaped(random, byte) end)
    elseif kind <= 93 then
      meant[i], written[i] = "+", "+"
    else
      meant[i] = any_byte(random)
      written[i] = escaped(random, meant[i])
    end
  end
  return table.concat(meant), table.concat(written)
end

-- Pairs of names and values, and the query that says so.
local function query(random, is_text)
  local pairs_meant, written, names = {}, {}, {}
  for _ = 1, random:integer(0, 6) do
    local name, name_written = query_text(random, 1, 8, is_text)
    local value, value_written = query_text(random, 0, 12, is_text)
    local last = pairs_meant[#pairs_meant]
    if last and not is_text and random:chance(25) then
      name, name_written = last[1], written[#written]:match "^[^=]*"
    end
    if not (is_text and names[name]) then
      names[name] = true
      pairs_meant[#pairs_meant + 1] = { name, value }
      written[#written + 1] = name_written
        .. ((value ~= "" or random:chance(50)) and "=" .. value_written or "")
    end
  end
  return pairs_meant, written[1] and "?" .. table.concat(written, "&") or ""
end

local function headers(random, case)
  local list = {}
  local function add(name, value) list[#list + 1] = { name, value } end
  local function sometimes(percent, ...)
    if random:chance(percent) then add(...) end
  end

  for _ = 1, random:integer(0, 5) do
    local last = list[#list]
    local name = last and random:chance(25) and random:pick { last[1], last[1]:upper() }
      or "X-" .. random:text(1, 10, name_character)
    add(name, random:text(0, 20, header_character))
  end
  sometimes(30, "Content-Type", random:pick { "application/json", "text/plain;  charset=UTF-8" })
  sometimes(20, "content-length", ("%d"):format(#case.body))
  sometimes(20, random:pick { "Host", "host" }, random:pick { "iot.example.com", "localhost:4566" })
  sometimes(20, "X-Amz-Content-SHA256", random:pick { "UNSIGNED-PAYLOAD", ("0a"):rep(32) })
  for _, name in ipairs { "User-Agent", "expect", "X-Amzn-Trace-Id" } do
    sometimes(15, name, random:text(1, 10, header_character))
  end
  if case.form == "header" then
    sometimes(10, random:pick { "Authorization", "authorization" }, "AWS4-HMAC-SHA256 stale")
    sometimes(10, random:pick { "X-Amz-Date", "x-amz-date" }, "19700101T000000Z")
    if case.session_token then sometimes(20, "x-amz-security-token", "stale") end
  end
  return list
end

local function any_case(random, form)
  return {
    form = form,
    access_key_id = "AKID" .. random:text(12, 28, function() return random:character(LETTERS .. DIGITS) end),
    secret_access_key = random:text(1, 90, secret_character),
    session_token = random:chance(50) and random:text(1, 200, token_character) or nil,
    region = random:pick { "us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "aws-global" },
    service = "iot",
    time = random:integer(365, 47481) * 86400 + random:integer(0, 86399), -- 1971 to 2099
  }
end

-- One request as both signers are told of it.
local function random_case(random, form)
  local is_text, case = form == "query", any_case(random, form)
  case.method = random:pick { "GET", "GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "get" }
  case.body = random:chance(50) and "" or random:text(1, 300, any_byte)
  case.expires_in = is_text and random:integer(1, 604800) or nil
  case.url = origin(random) .. path(random)
  case.query, case.query_written = query(random, is_text)
  case.headers = headers(random, case)
  case.fraction = random:pick { 0, 0.25 } -- of a second, which a signature knows nothing of
  return case
end

-- Calls --------------------------------------------------------------------------------------

local function text_character(random)
  local kind = random:integer(1, 100)
  if kind <= 50 then return random:character(UNRESERVED) end
  if kind <= 75 then return random:character(RAW_IN_PATH .. "/?#&%") end
  if kind <= 85 then return string.char(random:integer(0, 127)) end
  return random:pick(UTF8)
end

-- Long enough for what botocore checks, which is the model's least lengths.
local function random_value(random, member)
  if member.type == "integer" then return random:integer(1, 100000) end
  if member.type == "string" then
    local text = random:text(({ label = 1, body = 20, query = 0 })[member.place], 40, text_character)
    return (text == "." or text == "..") and "a" or text
  end
  local map = {}
  for _ = 1, random:integer(0, 4) do
    map[random:text(0, 10, text_character)] = random:text(0, 20, text_character)
  end
  return map
end

-- The body to sign is known when we have written ours.
local function random_call(random)
  local case, operation = any_case(random, "operation"), random:pick(model.operations)
  case.operation, case.params = operation.name, {}
  case.url = random:pick { "https://iot.us-east-1.amazonaws.com", "http://localhost:4566/base", "https://[::1]:8443" }
  for _, member in ipairs(operation.input) do
    if member.required or random:chance(60) then case.params[member.name] = random_value(random, member) end
  end
  local native = assert(core.client { endpoint = case.url, region = case.region })
  case.request, case.sent = requests.prepare(case.operation, case.params, {
    time = case.time,
    credentials = {
      access_key_id = case.access_key_id,
      secret_access_key = case.secret_access_key,
      session_token = case.session_token,
    },
  }, native)
  native:close()
  case.body = case.request.body
  return case
end

local function random_cases(seed, form, count)
  local random, cases = random_numbers.new(seed), {}
  for i = 1, count do
    cases[i] = form == "operation" and random_call(random) or random_case(random, form)
  end
  return cases
end

-- The two signers ----------------------------------------------------------------------------

-- A plain map says the same as the list where each name comes once.
local function as_map(list)
  local map, seen = {}, {}
  for _, header in ipairs(list) do
    local name = header[1]:lower()
    if seen[name] then return nil end
    seen[name], map[header[1]] = true, header[2]
  end
  return map
end

local function sign(case, index)
  local request = {
    method = case.method,
    url = case.url .. case.query_written,
    headers = index % 3 == 0 and as_map(case.headers) or case.headers,
    body = case.body ~= "" and case.body or index % 2 == 0 and "" or nil,
  }
  return iot[case.form == "query" and "presign" or "sign"](request, {
    credentials = {
      access_key_id = case.access_key_id,
      secret_access_key = case.secret_access_key,
      session_token = case.session_token,
    },
    region = case.region,
    service = case.service,
    time = case.time + case.fraction,
    expires_in = case.expires_in,
  })
end

-- A map as a list of pairs, which is never taken for a list.
local function pairs_of(map)
  local list = {}
  for name, value in pairs(map) do
    list[#list + 1] = { name, type(value) == "table" and pairs_of(value) or value }
  end
  return list
end

local function oracle_line(case)
  local line = {}
  for key, value in pairs(case) do line[key] = value end
  line.query_written, line.fraction, line.request, line.sent = nil, nil, nil, nil
  line.body = hex(case.body)
  if case.params then
    line.operation, line.params = model[case.operation].aws, pairs_of(case.params)
  else
    line.query = {}
    for i, pair in ipairs(case.query) do line.query[i] = { hex(pair[1]), hex(pair[2]) } end
  end
  return json.encode(line)
end

-- The oracle's answers in order, and what it says of itself; nil where no interpreter has botocore.
local function ask_oracle(cases)
  local lines = {}
  for i, case in ipairs(cases) do lines[i] = oracle_line(case) .. "\n" end
  for _, python in ipairs { os.getenv "PYTHON" or "/usr/bin/python3", "python3" } do
    local result = command.run({ python, ORACLE }, { input = table.concat(lines), timeout = SECONDS })
    if result.code == 0 then
      local answers = {}
      for line in result.stdout:gmatch "[^\n]+" do answers[#answers + 1] = json.decode(line) end
      local about = table.remove(answers, 1)
      assert.equal(#cases, #answers)
      return answers, about
    end
    -- 126 and 127: no such interpreter.
    assert(result.code == NOT_INSTALLED or result.code == 126 or result.code == 127, result.stderr)
  end
  return nil
end

-- Comparison ---------------------------------------------------------------------------------

-- Decoded, as both may write one parameter in their own way.
local function parameters(url)
  local _, _, text = http_message.split_url(url)
  local found = http_message.parameters(text or "")
  for i, parameter in ipairs(found) do
    local name, value = parameter:match "^([^=]*)=?(.*)$"
    found[i] = http_message.decode(name) .. "=" .. http_message.decode(value)
  end
  table.sort(found)
  return table.concat(found, "\n")
end

-- What the signed request itself says, beside the stages that led to it.
local function outcome(case, signed)
  if case.form == "query" then return parameters(signed.url) end
  return table.concat(http_message.by_name(signed.headers).authorization or {}, "\n")
end

-- The first stage that differs, in words; nil if all are equal.
local function difference(case, answer, index)
  local signed, message = sign(case, index)
  if not signed then return "refused: " .. tostring(message) end
  for _, stage in ipairs { "canonical_request", "string_to_sign", "signature" } do
    if signed[stage] ~= answer[stage] then
      return ("%s\nbotocore:\n%s\nours:\n%s"):format(stage, answer[stage], tostring(signed[stage]))
    end
  end
  local expected = case.form == "query" and parameters(answer.url) or answer.authorization
  if outcome(case, signed) ~= expected then
    return ("signed request\nbotocore:\n%s\nours:\n%s"):format(expected, outcome(case, signed))
  end
end

-- Where a call is written otherwise, in words; nil if it is not.
local function call_difference(case, answer)
  local own_path, own_query = case.request.target:match "^([^?]*)%??(.*)$"
  local their_origin, their_path, their_query = http_message.split_url(answer.url)
  local ours, theirs = {}, {}
  local function both(what, own, other) ours[what], theirs[what] = own, other end
  both("method", case.request.method, answer.method)
  both("origin", case.url:match "^%a+://[^/]*", their_origin)
  both("path", own_path, their_path)
  both("query", table.concat(http_message.parameters(own_query), "&"),
    table.concat(http_message.parameters(their_query or ""), "&"))
  both("content-type", case.sent["content-type"], answer.content_type)
  both("authorization", case.sent.authorization, answer.authorization)
  for what, text in pairs(theirs) do
    if ours[what] ~= text then
      return ("%s\nbotocore:\n%s\nours:\n%s"):format(what, text, tostring(ours[what]))
    end
  end
  if ours["content-type"] ~= theirs["content-type"] then return "content-type is for a body only" end
  local own, other = case.body, answer.body
  if own ~= "" then own, other = json.decode(own), json.decode(other) end
  local same = pcall(assert.same, other, own)
  return not same and ("body\nbotocore:\n%s\nours:\n%s"):format(answer.body, case.body) or nil
end

-- The whole request on one line, for a case that went wrong.
local function described(case)
  if case.params then return json.encode { case.operation, pairs_of(case.params) } end
  return json.encode {
    method = case.method, url = hex(case.url .. case.query_written), headers = case.headers,
  } .. " (url in hexadecimal)"
end

-- What the specs know of the service, in the oracle's words.
local function own_model()
  local places = { label = "uri", query = "querystring" }
  local found = {}
  for _, operation in ipairs(model.operations) do
    local all = { method = operation.method, path = operation.path, input = {}, output = {}, errors = operation.errors }
    for _, list in ipairs { "input", "output" } do
      for _, member in ipairs(operation[list]) do
        all[list][member.name] = { places[member.place] or "body", member.type, member.required or false }
      end
    end
    found[operation.aws] = all
  end
  return found
end

local COUNTS = { header = 1000, query = 200, operation = 300 }

describe("the signer beside botocore", function()
  local seed = tonumber(os.getenv "IOT_SPEC_SEED") or os.time() % 1000000
  local cases, answers, about = {}, nil, nil

  setup(function()
    local all = {}
    for _, form in ipairs { "header", "query", "operation" } do
      cases[form] = random_cases(seed, form, COUNTS[form])
      for _, case in ipairs(cases[form]) do
        all[#all + 1] = case
        case.number = #all
      end
    end
    answers, about = ask_oracle(all)
    if answers then io.stderr:write(("botocore %s, IOT_SPEC_SEED=%d\n"):format(about.botocore, seed)) end
  end)

  local function need_oracle()
    if not answers then
      pending "no interpreter here has botocore (Debian: python3-botocore)" -- there is no one else to ask
    end
    local major, minor = about.botocore:match "^(%d+)%.(%d+)"
    if tonumber(major) == 1 and tonumber(minor) < OLDEST then
      pending("botocore is older than 1." .. OLDEST) -- it sorted the values of a header that comes twice
    end
  end

  local function compare(form)
    local differ = form == "operation" and call_difference or difference
    need_oracle()
    local wrong, first = 0, nil
    for i, case in ipairs(cases[form]) do
      local why = differ(case, answers[case.number], i)
      if why then
        wrong = wrong + 1
        first = first or ("request %d: %s\n%s"):format(i, why, described(case))
      end
    end
    assert(wrong == 0, ("%d of %d differ (IOT_SPEC_SEED=%d), first %s"):format(wrong, #cases[form], seed,
      tostring(first)))
  end

  it("signs 1,000 random requests alike", function() compare "header" end)
  it("presigns 200 random requests alike", function() compare "query" end)
  it("has the model that the specs have", function()
    need_oracle()
    assert.same(about.operations, own_model())
  end)
  it("writes and signs 300 random calls alike", function() compare "operation" end)
end)
