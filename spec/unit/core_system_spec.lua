-- What the C module does with the machine: programs, private files, digests, keys, JSON, times, chance.
local core = require "iot.core"
local lfs = require "lfs"
local child = require "spec.support.child"
local command = require "spec.support.command"
local descriptors = require "spec.support.descriptors"
local digest = require "spec.support.digest"
local files = require "spec.support.files"
local home = require "spec.support.home"

local SECRET = "SECRET-ARGUMENT-OF-THE-SPEC"
local MAX_OUTPUT = 1024 * 1024

local unpack = rawget(_G, "unpack") or rawget(table, "unpack")

local directory
setup(function() directory = home.new() end)
teardown(function() home.remove(directory) end)

local function path_of(name) return directory .. "/" .. name end

local function assert_failure(code, word, result, message, facts)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(code, facts.code, message)
  assert.is_truthy(message:find(word, 1, true), message)
  assert.is_nil(message:find(SECRET, 1, true), message)
  assert.is_nil(message:find "%c", message)
end

local function assert_raises(fn, ...)
  assert.is_false((pcall(fn, ...)))
end

-- Programs -----------------------------------------------------------------------------------

local function shell(script, seconds, ...)
  return core.run({ "sh", "-c", script, "sh", ... }, seconds or 20)
end

describe("a program", function()
  -- What it does, the script, what comes of it: status, signal, output, errors.
  local ENDS = {
    { "ends well", "true", 0, 0, "", "" },
    { "fails", "exit 255", 255, 0, "", "" },
    { "writes", "echo out; echo err >&2", 0, 0, "out\n", "err\n" },
    { "writes any bytes", [[printf 'a\000b\377\n\n']], 0, 0, "a\0b\255\n\n", "" },
    { "is ended by a signal", "echo out; kill -TERM $$; sleep 20", -1, 15, "out\n", "" },
    { "is ended by a signal that none can catch", "kill -KILL $$", -1, 9, "", "" },
    { "goes on after it closed its outputs", "exec >&- 2>&-; sleep 0.1; exit 7", 7, 0, "", "" },
    { "leaves one behind that writes on", "echo first; (sleep 5; echo late) &", 0, 0, "first\n", "" },
  }

  for _, case in ipairs(ENDS) do
    it(case[1], function()
      assert.same({ status = case[3], signal = case[4], output = case[5], errors = case[6] }, (shell(case[2])))
    end)
  end

  it("gets its arguments as they are", function()
    local given = { "a b", "$HOME", "*", ";", "", "'\"\\", "\n", "-n", "\195\188\255" }
    local result = shell([[printf '%s\0' "$@"]], 20, unpack(given))
    assert.equal(table.concat(given, "\0") .. "\0", result.output)
  end)

  it("is found in PATH, or where its path says", function()
    for _, name in ipairs { "sh", "/bin/sh" } do
      assert.equal("found\n", assert(core.run({ name, "-c", "echo found" }, 20)).output)
    end
  end)

  it("may fill both of its outputs at once", function()
    local result = assert(shell("head -c 500000 /dev/zero >&2 & head -c 1000000 /dev/zero; wait"))
    assert.equal(1000000, #result.output)
    assert.equal(500000, #result.errors)
  end)

  for stream, redirection in pairs { output = "", errors = " >&2" } do
    it(("may write a MiB and no more to its %s"):format(stream), function()
      assert.equal(MAX_OUTPUT, #assert(shell(("head -c %d /dev/zero%s"):format(MAX_OUTPUT, redirection)))[stream])
      assert_failure("ResponseTooLarge", "more than 1048576 bytes",
        shell(("head -c %d /dev/zero%s"):format(MAX_OUTPUT + 1, redirection), 20, SECRET))
      assert_failure("ResponseTooLarge", "more than 1048576 bytes", shell("exec cat /dev/zero" .. redirection))
    end)
  end

  -- What outlasts the limit, the script; it gets the name of a file that must stay empty.
  local ENDLESS = {
    { "sleeps", "sleep 20" },
    { "writes on and on", "while sleep 0.05; do echo more; done" },
    { "closed its outputs", "exec >&- 2>&-; sleep 20" },
    { "ignores signals", "trap '' TERM INT HUP; sleep 20; sleep 20" },
  }

  it("ends with its time", function()
    for _, case in ipairs(ENDLESS) do
      local started = core.monotonic()
      assert_failure("Timeout", "did not end in time", shell(case[2], 0.1, SECRET))
      local took = core.monotonic() - started
      assert.is_true(took >= 0.1 and took < 2, ("one that %s took %g s"):format(case[1], took))
    end
  end)

  it("gets no time when there is none", function()
    for _, seconds in ipairs { 0, -1, -math.huge } do
      assert_failure("Timeout", "did not end in time", shell("sleep 20", seconds))
    end
  end)

  -- What cannot be started: a name, and how it gets there.
  local UNSTARTED = {
    { "is nowhere", "no-such-program-anywhere" },
    { "is nowhere at its path", "/nowhere/program" },
    { "is a folder", "/" },
    { "has no name", "" },
    { "is no program", function()
      files.write(path_of "data", "echo it was a shell that ran it")
      return path_of "data"
    end },
    { "is neither binary nor names its interpreter", function()
      files.write(path_of "script", "echo it was a shell that ran it")
      command.run { "chmod", "700", path_of "script" }
      return path_of "script"
    end },
  }

  for _, case in ipairs(UNSTARTED) do
    it(("is not started when it %s"):format(case[1]), function()
      local name = type(case[2]) == "function" and case[2]() or case[2]
      assert_failure("InvalidConfiguration", "cannot be started", core.run({ name, SECRET }, 5))
    end)
  end

  it("has the environment and the input of this one, and signals as they were meant to be", function()
    local INNER = [[
      local result = assert(require("iot.core").run({ "sh", "-c", "cat; echo $SPEC; kill -TERM $$; echo alive" }, 9))
      io.write(result.signal, " ", result.output)]]
    assert.equal("15 input\nvalue\n", child.output(([[
      local result = assert(require("iot.core").run({ "sh", "-c",
        "trap '' TERM; echo input | \"$1\" -e \"$2\"", "sh", arg[-1], %q }, 9))
      io.write(result.output, result.errors)]]):format(INNER), { SPEC = "value" }))
  end)

  it("stays in the group of its caller, which the terminal obeys and asks", function()
    if not lfs.attributes "/proc/self/stat" then return pending "no /proc here" end
    local group = assert(shell "read -r _ _ _ _ group _ </proc/$$/stat; echo $group").output:match "%d+"
    assert.equal(files.read("/proc/self/stat"):match "^%d+ %b() %a %d+ (%d+)", group)
  end)

  it("leaves nothing open here", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    local before = descriptors.count()
    for _ = 1, 3 do
      assert(shell "echo out")
      shell("sleep 20", 0.02)
      shell("exec cat /dev/zero")
      core.run({ "/nowhere/program" }, 5)
    end
    assert.equal(before, descriptors.count())
  end)

  it("is a list of texts, and has a time", function()
    local many = {}
    for i = 1, 256 do many[i] = i == 1 and "true" or "x" end
    assert.equal(0, assert(core.run(many, 20)).status)
    many[257] = "x"
    for _, arguments in ipairs { {}, { 5 }, { "true", {} }, { "true", false }, { "tr\0ue" }, { "true", "a\0b" }, many,
      "true", false } do
      assert_raises(core.run, arguments, 5)
    end
    for _, seconds in ipairs { "soon", {}, false } do assert_raises(core.run, { "true" }, seconds) end
    assert_raises(core.run, { "true" })
    assert_raises(core.run)
  end)
end)

-- Private files ------------------------------------------------------------------------------

describe("a private file", function()
  local function names()
    local list = {}
    for name in lfs.dir(path_of "private") do
      if not name:find "^%.+$" then list[#list + 1] = name end
    end
    table.sort(list)
    return table.concat(list, " ")
  end

  before_each(function() command.run { "mkdir", path_of "private" } end)
  after_each(function() command.run { "rm", "-rf", path_of "private" } end)

  local function mode(path)
    return (lfs.symlinkattributes(path, "permissions"))
  end

  it("is written as it is, for its owner alone", function()
    for _, text in ipairs { "", "text\n", "a\0b\255\r\n", ("x"):rep(3000000) } do
      assert.is_true(core.replace_file(path_of "private/file", text))
      assert.equal(text, files.read(path_of "private/file"))
      assert.equal("rw-------", mode(path_of "private/file"))
      assert.equal("file", names())
    end
  end)

  it("takes the place of a file that others could read", function()
    files.write(path_of "private/file", "old")
    command.run { "chmod", "666", path_of "private/file" }
    local reader = assert(io.open(path_of "private/file", "rb"))
    assert.is_true(core.replace_file(path_of "private/file", "new"))
    assert.equal("rw-------", mode(path_of "private/file"))
    assert.equal("old", reader:read "*a") -- whoever had it open
    reader:close()
  end)

  it("takes the place of a symbolic link", function()
    files.write(path_of "private/target", "old")
    assert(lfs.link(path_of "private/target", path_of "private/link", true))
    assert.is_true(core.replace_file(path_of "private/link", "new"))
    assert.equal("file", lfs.symlinkattributes(path_of "private/link", "mode"))
    assert.equal("new", files.read(path_of "private/link"))
    assert.equal("old", files.read(path_of "private/target"))
    assert.equal("link target", names())
  end)

  it("is not written where there is no place for it", function()
    lfs.mkdir(path_of "private/folder")
    files.write(path_of "private/file", "old")
    for _, name in ipairs { "nowhere/file", "folder", "file/file", ("x"):rep(300) } do
      assert_failure("InvalidConfiguration", path_of("private/" .. name):sub(1, 200),
        core.replace_file(path_of("private/" .. name), SECRET))
      assert.equal("file folder", names())
    end
    assert.equal("old", files.read(path_of "private/file"))
  end)

  it("is the old one still, and the only one, when the disk takes no more", function()
    files.write(path_of "private/file", "old")
    local INNER = ([[
      local done, message, facts = require("iot.core").replace_file(%q, ("x"):rep(1000000))
      io.write(tostring(done), " ", facts.code)]]):format(path_of "private/file")
    assert.equal("nil InvalidConfiguration", child.output(([[
      local result = assert(require("iot.core").run({ "sh", "-c",
        "trap '' XFSZ; ulimit -f 8; \"$1\" -e \"$2\"", "sh", arg[-1], %q }, 9))
      io.write(result.output, result.errors)]]):format(INNER)))
    assert.equal("old", files.read(path_of "private/file"))
    assert.equal("file", names())
  end)

  it("leaves nothing open here", function()
    if descriptors.missing() then return pending(descriptors.missing()) end -- /proc alone counts them
    local before = descriptors.count()
    for _ = 1, 3 do
      core.replace_file(path_of "private/file", "text")
      core.replace_file(path_of "private", "text")
    end
    assert.equal(before, descriptors.count())
  end)

  it("has a name and a text", function()
    for _, arguments in ipairs { {}, { path_of "private/file" }, { path_of "private/file", 5 },
      { path_of "private/file", {} }, { {}, "text" }, { false, "text" } } do
      assert_raises(core.replace_file, arguments[1], arguments[2])
    end
    assert.equal("", names())
  end)
end)

-- Digests and keys ---------------------------------------------------------------------------

describe("a digest", function()
  -- FIPS 180-4, and the name of a cache file in the reference: text, SHA-1, SHA-256.
  local DIGESTS = {
    { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "arn:aws:sts::012345678910:assumed-role/Admin/admin", nil,
      "4b0ba8f99f075c0633e122fd73346ce203a3faf18ea0310eb2d29df1bab2e255" },
  }

  it("is the standard's", function()
    for _, case in ipairs(DIGESTS) do
      if case[2] then assert.equal(case[2], core.sha1(case[1])) end
      assert.equal(case[3], core.sha256(case[1]))
    end
  end)

  it("is OpenSSL's, of any bytes", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local text = table.concat(bytes):rep(300)
    assert.equal(digest.sha256(text), core.sha256(text))
    assert.equal(command.run({ "openssl", "dgst", "-sha1", "-r" }, { input = text }).stdout:match "%x+",
      core.sha1(text))
  end)

  it("is one of a text", function()
    for _, fn in ipairs { core.sha1, core.sha256 } do
      for _, value in ipairs { 5, {}, false } do assert_raises(fn, value) end
      assert_raises(fn)
    end
  end)
end)

describe("a signature of ES256", function()
  local function openssl(...)
    local result = command.run { "openssl", ... }
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end

  -- r and s as the two integers of ASN.1.
  local function to_der(signature)
    local function integer(bytes)
      bytes = bytes:gsub("^%z+", "")
      if bytes == "" or bytes:byte() >= 128 then bytes = "\0" .. bytes end
      return "\2" .. string.char(#bytes) .. bytes
    end
    local both = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
    return "\48" .. string.char(#both) .. both
  end

  local KEYS = {
    sec1 = { "ecparam", "-name", "prime256v1", "-genkey", "-noout" },
    pkcs8 = { "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" },
  }

  for form, words in pairs(KEYS) do
    it(("is one that OpenSSL accepts, by a key in %s"):format(form), function()
      local pem = openssl(unpack(words))
      local key, signed, text = path_of "key.pem", path_of "signature", path_of "text"
      files.write(key, pem)
      openssl("pkey", "-in", key, "-pubout", "-out", path_of "public.pem")
      openssl("pkey", "-in", key, "-pubout", "-outform", "DER", "-out", path_of "public.der")
      local x, y = core.es256_public(pem)
      assert.equal(files.read(path_of "public.der"):sub(-64), x .. y)
      assert.equal(32, #x)
      for _, bytes in ipairs { "", "text", ("a\0b"):rep(1000) } do
        local signature = assert(core.es256_sign(pem, bytes))
        assert.equal(64, #signature)
        files.write(signed, to_der(signature))
        files.write(text, bytes)
        assert.equal("Verified OK\n",
          openssl("dgst", "-sha256", "-verify", path_of "public.pem", "-signature", signed, text))
      end
    end)
  end

  -- What is no private key on P-256.
  local WRONG = {
    { "nothing", function() return "" end },
    { "no PEM", function() return "key\0key" end },
    { "a PEM of garbage", function()
      return "-----BEGIN EC PRIVATE KEY-----\n" .. SECRET .. "\n-----END EC PRIVATE KEY-----\n"
    end },
    { "a public key", function()
      files.write(path_of "whole.pem", openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"))
      return openssl("pkey", "-in", path_of "whole.pem", "-pubout")
    end },
    { "a key with a passphrase", function()
      files.write(path_of "whole.pem", openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"))
      return openssl("pkey", "-in", path_of "whole.pem", "-aes128", "-passout", "pass:secret")
    end },
    { "an RSA key", function() return openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024") end },
    { "an Ed25519 key", function() return openssl("genpkey", "-algorithm", "ED25519") end },
    { "a key on P-384", function() return openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout") end },
    { "a key on secp256k1", function() return openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout") end },
    { "a key on brainpoolP256r1", function()
      return openssl("ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout")
    end },
  }

  for _, case in ipairs(WRONG) do
    it(("is not made with %s"):format(case[1]), function()
      local pem = case[2]()
      assert_failure("InvalidCredentials", "credentials", core.es256_public(pem))
      assert_failure("InvalidCredentials", "credentials", core.es256_sign(pem, "text"))
    end)
  end

  it("has a key and a text", function()
    for _, value in ipairs { 5, {}, false } do
      assert_raises(core.es256_public, value)
      assert_raises(core.es256_sign, value, "text")
      assert_raises(core.es256_sign, "key", value)
    end
  end)
end)
