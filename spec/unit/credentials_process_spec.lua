-- Credentials that a program prints: real programs, small ones.
local core = require "iot.core"
local files = require "spec.support.files"
local json = require "spec.support.json"
local process = require "iot.credentials.process"
local support = require "spec.support.sts"

local ARGUMENT = "ARGUMENT-OF-THE-PROCESS"
table.insert(support.SECRETS, ARGUMENT)

local scripts = {}

after_each(function()
  for _, path in ipairs(scripts) do os.remove(path) end
  scripts = {}
end)

-- A command that runs the shell script; the shell is the program, not what reads the command.
local function command_of(script)
  local path = files.temporary()
  table.insert(scripts, path)
  files.write(path, script)
  return ("/bin/sh '%s' %s"):format(path, ARGUMENT)
end

local function output_of(changes)
  local document = { Version = 1, AccessKeyId = support.ID, SecretAccessKey = support.SECRET,
    SessionToken = support.TOKEN, Expiration = support.EXPIRATION, AccountId = support.ACCOUNT }
  for name, value in pairs(changes or {}) do document[name] = value or nil end
  return json.encode(document)
end

local function printing(text)
  return "cat <<'END_OF_OUTPUT'\n" .. text .. "\nEND_OF_OUTPUT\n"
end

local function context_of(section)
  local context = support.context({}, { profile = section })
  context.runtime.run = core.run
  return context
end

local function provider_of(script, extra)
  local section = { credential_process = command_of(script) }
  for name, value in pairs(extra or {}) do section[name] = value end
  local context = context_of(section)
  return assert(process.new(context)), context
end

local function fetch(script, extra)
  return provider_of(script, extra).fetch()
end

local function assert_fails(pattern, script)
  return support.assert_failure({ code = "CredentialsFailed", message = pattern }, fetch(script))
end

describe("credential_process", function()
  it("gives what the program prints", function()
    local provider = provider_of(printing(output_of()))
    assert.same({ "process", "v,w" }, { provider.name, provider.feature })
    assert.same(support.record(), provider.fetch())
  end)

  it("gives a record without what is optional", function()
    assert.same({ access_key_id = support.ID, secret_access_key = support.SECRET }, fetch(printing(output_of {
      SessionToken = false, Expiration = false, AccountId = false })))
    assert.same({ access_key_id = support.ID, secret_access_key = support.SECRET }, fetch(printing(
      '{"Version":1,"AccessKeyId":"' .. support.ID .. '","SecretAccessKey":"' .. support.SECRET
      .. '","SessionToken":null,"Expiration":null,"AccountId":""}')))
  end)

  it("takes the account of the profile when the program names none", function()
    local section = { aws_account_id = "999999999999" }
    assert.equal("999999999999", fetch(printing(output_of { AccountId = false }), section).account_id)
    assert.equal(support.ACCOUNT, fetch(printing(output_of()), section).account_id)
    assert.is_nil(fetch(printing(output_of { AccountId = false }), { aws_account_id = "" }).account_id)
  end)

  it("reads an expiration with an offset", function()
    assert.equal(support.EXPIRES, fetch(printing(output_of { Expiration = "2030-01-31T13:30:00+01:30" })).expiration)
  end)

  it("passes the arguments on, and no shell reads them", function()
    local script = '[ "$2" = \'$HOME;*\' ] && [ "$3" = "a b" ] && [ $# = 3 ] || exit 9\n' .. printing(output_of())
    local context = context_of { credential_process = command_of(script) .. [[ $HOME\;* "a b"]] }
    assert.same(support.record(), assert(process.new(context)).fetch())
  end)

  it("runs the program on every fetch, never when the provider is made", function()
    local count = files.temporary()
    table.insert(scripts, count)
    local provider = provider_of(("printf x >>'%s'\n"):format(count) .. printing(output_of()))
    assert.equal("", files.read(count))
    assert(provider.fetch())
    assert(provider.fetch())
    assert.equal("xx", files.read(count))
  end)

  it("ignores what a program that succeeds says on standard error", function()
    assert.same(support.record(), fetch("echo careful >&2\n" .. printing(output_of())))
  end)

  it("is no source when it is not set", function()
    for _, section in ipairs { {}, { credential_process = "" } } do
      support.assert_failure({ code = "NoCredentials", message = "not set" }, process.new(context_of(section)))
    end
    support.assert_failure({ code = "NoCredentials", message = "not set" }, process.new(context_of(nil)))
  end)

  it("must be a command", function()
    for _, command in ipairs { " ", "'" .. ARGUMENT, "a \\", '""', "a\0" } do
      support.assert_failure({ code = "InvalidProfile", message = "^credential_process cannot be used: it " },
        process.new(context_of { credential_process = command }))
    end
  end)
end)

describe("a program that fails", function()
  it("is told with its status and its words", function()
    local message = assert_fails({ "it ended with status 3: line one line two" },
      "echo " .. support.SECRET .. "\nprintf 'line one\\n\\tline \\033two\\n' >&2\nexit 3")
    assert.is_nil(message:find "%c")
  end)

  it("is told when it says nothing", function()
    assert_fails("status 1, and said nothing", printing(output_of()) .. "exit 1")
  end)

  it("does not show its arguments", function()
    assert_fails("status 2: bad option %*%*%*$", 'echo "bad option $1" >&2; exit 2')
  end)

  it("does not show the value of an option", function()
    local context = context_of { credential_process = command_of "echo using $2 ${2#*=} >&2; exit 2" .. " --pw=hunter" }
    support.assert_failure({ code = "CredentialsFailed", message = "using %*%*%* %*%*%*$" },
      assert(process.new(context)).fetch())
  end)

  it("shows the end of what is long", function()
    assert_fails("status 1: %.%.%.[x ]+ the reason$",
      "i=0; while [ $i -lt 500 ]; do echo xxxxxxxx; i=$((i+1)); done >&2\necho the reason >&2\nexit 1")
  end)

  it("is told with the signal that ended it", function()
    assert_fails("signal 9 ended it: help", "echo help >&2; kill -9 $$")
  end)

  it("that is not there says so", function()
    local context = context_of { credential_process = "/nonexistent/program " .. ARGUMENT }
    support.assert_failure({ code = "CredentialsFailed", message = { "cannot be started: no such file",
      "first word must be a program" } }, assert(process.new(context)).fetch())
  end)

  it("and writes too much is ended", function()
    assert_fails("more than %d+ bytes", "yes " .. support.SECRET)
    assert_fails("more than %d+ bytes", "yes " .. support.SECRET .. " >&2")
  end)
end)

describe("a program that an interrupt ended", function()
  it("has not failed", function()
    local provider, context = provider_of ""
    function context.runtime.run() return nil, "a signal ended the waiting", { code = "Interrupted" } end
    support.assert_failure({ code = "Interrupted", message = "a signal ended the waiting" }, provider.fetch())
  end)
end)

describe("the time of a program", function()
  it("is what is left of the deadline", function()
    local provider, context = provider_of("exec sleep 30")
    local start = core.monotonic()
    support.assert_failure({ code = "CredentialsFailed", message = "did not end within 0.2 seconds" },
      provider.fetch(context.runtime.clock + 0.2))
    assert.is_true(core.monotonic() - start < 5)
  end)

  it("is a minute at most", function()
    local provider, context = provider_of ""
    local limits = {}
    function context.runtime.run(_, seconds)
      table.insert(limits, seconds)
      return { status = 0, signal = 0, output = output_of(), errors = "" }
    end
    assert(provider.fetch())
    assert(provider.fetch(context.runtime.clock + 3600))
    assert(provider.fetch(context.runtime.clock + 7))
    assert.same({ 60, 60, 7 }, limits)
    support.assert_failure({ code = "CredentialsFailed", message = "no time was left" },
      provider.fetch(context.runtime.clock))
    assert.equal(3, #limits)
  end)
end)

describe("a program that prints", function()
  local BAD = {
    { "nothing", "", "no json object" },
    { "garbage", "<html>" .. support.SECRET, "no json object" },
    { "bytes", "\255\254\0", "no json object" },
    { "a list", "[1]", "no json object" },
    { "cut JSON", '{"Version":1,"SecretAccessKey":"' .. support.SECRET, "no json object" },
    { "no version", output_of { Version = false }, "version" },
    { "a newer version", output_of { Version = 2 }, "version.*number 1" },
    { "a version in quotes", output_of { Version = "1" }, "version.*number 1" },
    { "no key id", output_of { AccessKeyId = false }, 'no "accesskeyid"' },
    { "an empty key", output_of { SecretAccessKey = "" }, 'no "secretaccesskey"' },
    { "a number for a token", output_of { SessionToken = 5 }, '"sessiontoken".*no string' },
    { "a number for an account", output_of { AccountId = 123456789012 }, '"accountid".*no string' },
    { "an object for a key", output_of { AccessKeyId = { a = 1 } }, '"accesskeyid".*no string' },
    { "an expiration that is no time", output_of { Expiration = "soon" }, "no time such as" },
    { "a number for an expiration", output_of { Expiration = 1896091200 }, '"expiration".*no string' },
    { "expired credentials", output_of { Expiration = "2015-08-30T12:36:00Z" }, "have expired" },
  }
  for _, case in ipairs(BAD) do
    it(case[1] .. " is refused", function()
      local context = context_of { credential_process = "program " .. ARGUMENT }
      function context.runtime.run() return { status = 0, signal = 0, output = case[2], errors = "" } end
      support.assert_failure({ code = "CredentialsFailed", message = { "^credential_process failed: ", case[3] } },
        assert(process.new(context)).fetch())
    end)
  end
end)

describe("a command is split", function()
  local GOOD = {
    { "into words", " a  b\tc\r\nd ", { "a", "b", "c", "d" } },
    { "at no space in quotes", [['a b' "c d"]], { "a b", "c d" } },
    { "with quotes within words", [[a'b c'"d e"f]], { "ab cd ef" } },
    { "with empty words", [[a '' ""]], { "a", "", "" } },
    { "with escapes", [[a\ b \'c \"d \\e]], { "a b", "'c", '"d', "\\e" } },
    { "with escapes in double quotes", [["a\"b\\c\$d\`e"]], { 'a"b\\c$d`e' } },
    { "with other backslashes in double quotes", [["C:\dir\x"]], { [[C:\dir\x]] } },
    { "with no escapes in single quotes", [['a\b"c']], { [[a\b"c]] } },
    { "with lines continued", "a \\\nb \"c\\\nd\"", { "a", "b", "cd" } },
    { "with lines in quotes", "a 'b\nc'", { "a", "b\nc" } },
    { "without expansion", [[~/a $HOME `b` $(c) * ; | > & # !]],
      { "~/a", "$HOME", "`b`", "$(c)", "*", ";", "|", ">", "&", "#", "!" } },
    { "with other bytes", "a\195\169 'b\1'", { "a\195\169", "b\1" } },
  }
  for _, case in ipairs(GOOD) do
    it(case[1], function()
      assert.same(case[3], process.split(case[2]))
    end)
  end

  local BAD = {
    { "a single quote", "a 'b", "single quote" }, { "a double quote", 'a "b', "double quote" },
    { "an escape in double quotes", 'a "b\\', "double quote" }, { "a backslash", "a\\", "backslash" },
    { "nothing", "", "no program" }, { "blanks", " \t\n", "no program" }, { "an empty program", "'' a", "no program" },
    { "a NUL", "a\0b", "nul" }, { "too many words", ("a "):rep(257), "256 words" },
  }
  for _, case in ipairs(BAD) do
    it("not when it ends in, or is, " .. case[1], function()
      local words, message = process.split(case[2])
      assert.is_nil(words)
      assert.is_truthy(message:lower():find(case[3], 1, true), message)
    end)
  end

  it("into as many words as can be passed on", function()
    assert.equal(256, #process.split(("a "):rep(256)))
  end)
end)
