-- The format of profile files, by examples of our own; the public cases are in spec/conformance.
local profile_parser = require "iot.config.profile_parser"

local function parse(text, kind)
  return assert(profile_parser.parse(text, kind or "config"))
end

local function assert_refused(expected, text, kind)
  local sections, message = profile_parser.parse(text, kind or "config")
  assert.is_nil(sections)
  assert.equal(expected, message)
end

-- The properties of [profile p] with these lines in it.
local function properties(lines)
  return parse("[profile p]\n" .. lines).profiles.p
end

describe("a profile file", function()
  it("may be empty, blank or all comments", function()
    for _, text in ipairs { "", "\n", "\r\n\r\n", " \t\n\t", "# a\n; b\n#\n;", "#" } do
      for _, kind in ipairs { "config", "credentials" } do
        local sections = parse(text, kind)
        assert.same({}, sections.profiles)
        assert.same({}, sections.sso_sessions)
        assert.same({}, sections.services)
      end
    end
  end)

  it("has lines that end in LF, in CRLF, or with the file", function()
    for _, stop in ipairs { "\n", "\r\n" } do
      for _, last in ipairs { stop, "" } do
        local sections = parse(table.concat({ "[profile a]", "x = 1", "y =", " z = 2", "[default]", "x = 3" }, stop)
          .. last)
        assert.same({ a = { x = "1", y = "\nz = 2" }, default = { x = "3" } }, sections.profiles)
      end
    end
  end)

  it("may begin with the mark of UTF-8", function()
    assert.same({ default = { x = "1" } }, parse("\239\187\191[default]\nx = 1").profiles)
  end)

  it("may hold any byte in a value", function()
    local value = "\195\169\255\1\0" .. "z"
    assert.same({ x = value }, properties("x = " .. value))
  end)

  it("is read in a time that grows with its length alone", function()
    local started = os.clock()
    local blanks = (" "):rep(300000)
    local sections = parse("[default]\nx = a" .. blanks .. "b" .. blanks .. "\n" .. blanks .. "\n y" .. blanks
      .. ("\n c"):rep(300000))
    assert.equal(300000 * 3 + 4, #sections.profiles.default.x)
    assert.is_true(os.clock() - started < 5)
  end)
end)

describe("a section", function()
  it("of the config file needs its word, except for the default", function()
    local sections = parse(table.concat({
      "[default]", "x = 1", "[profile a]", "x = 2", "[sso-session a]", "x = 3", "[services a]", "x = 4",
      "[a]", "x = 5", "[plugins a]", "x = 6", "[Profile a]", "x = 7", "[profile]", "x = 8", "[]", "x = 9",
    }, "\n"))
    assert.same({ default = { x = "1" }, a = { x = "2" } }, sections.profiles)
    assert.same({ a = { x = "3" } }, sections.sso_sessions)
    assert.same({ a = { x = "4" } }, sections.services)
  end)

  it("of the credentials file has none", function()
    local sections = parse(table.concat({
      "[default]", "x = 1", "[a]", "x = 2", "[profile a]", "x = 3", "[sso-session a]", "x = 4", "[services a]",
      "x = 5", "[profile]", "x = 6", "[a b]", "x = 7",
    }, "\n"), "credentials")
    assert.same({ default = { x = "1" }, a = { x = "2" }, profile = { x = "6" } }, sections.profiles)
    assert.same({}, sections.sso_sessions)
    assert.same({}, sections.services)
  end)

  it("has a name that keeps its case", function()
    assert.same({ a = { x = "1" }, A = { x = "2" } }, parse("[profile a]\nx=1\n[profile A]\nx=2").profiles)
  end)

  it("has no other characters in its name", function()
    for _, name in ipairs { "a b", "a!", "a=b", "a'b", '"a"', "a(b", "a*", "\195\169", "a\\b", "a]b", "a,b" } do
      assert.same({}, parse("[profile " .. name .. "]\nx = 1").profiles)
    end
    assert.same({ ["aZ09_-/.%@:+"] = {} }, parse("[profile aZ09_-/.%@:+]").profiles)
  end)

  it("may be [profile default], which replaces [default] from then on and before", function()
    local expected = { default = { b = "2", d = "4" } }
    assert.same(expected,
      parse("[default]\na = 1\n[profile default]\nb = 2\n[default]\nc = 3\n[profile default]\nd = 4").profiles)
    -- In the credentials file it is just another section without meaning.
    assert.same({ default = { a = "1", c = "3" } },
      parse("[default]\na = 1\n[profile default]\nb = 2\n[default]\nc = 3", "credentials").profiles)
  end)

  it("may have a comment behind it, but none in it", function()
    assert.same({ a = {} }, parse("[profile a];c").profiles)
    assert.same({ a = {} }, parse("[profile a] \t # c ] c").profiles)
    assert_refused("line 1: Profile definition must end with ']'", "[profile a#b]")
    assert_refused("line 1: Profile definition must end with ']'", "[profile a;]")
    assert_refused("line 1: Profile definition must end with ']'", "[profile a] x")
    assert_refused("line 1: Profile definition must end with ']'", "[")
  end)
end)

describe("a property", function()
  it("is split at the first =", function()
    assert.same({ a = "b=c = d" }, properties "a=b=c = d")
    assert.same({ a = "=" }, properties "a==")
  end)

  it("has a key in lower case and a value as it is", function()
    assert.same({ ["aws_key.x"] = "A B  c" }, properties "  \nAWS_Key.X =\tA B  c \t")
  end)

  it("is passed over, with its continuation, when its key cannot be used", function()
    assert.same({ c = "3" }, properties "a b = 1\n d\n!= 2\nc = 3\n\195\169 = 4\n  x")
    assert.same({}, properties "a b =\n c = d")
    assert_refused("line 3: Expected an '=' sign defining a sub-property", "[profile p]\na b =\n c")
  end)

  it("ends where a comment begins that has a blank before it", function()
    assert.same({ a = "1" }, properties "a = 1 # 2")
    assert.same({ a = "1" }, properties "a = 1\t;2")
    assert.same({ a = "1#2;3" }, properties "a = 1#2;3")
    assert.same({ a = "" }, properties "a = # 1")
    assert.same({ a = "" }, properties "a = ;")
    assert.same({ a = "#1" }, properties "a =#1")
    assert_refused("line 2: Expected an '=' sign defining a property", "[profile p]\na # = 1")
  end)

  it("goes on with lines that begin with a blank", function()
    assert.same({ a = "1\n2 # 3\n=4", b = "5" }, properties "a = 1\n 2 # 3\n\n\t\t=4 \nb = 5")
    assert.same({ a = "1\n[profile q]" }, properties "a = 1\n [profile q]")
    assert.same({ a = "1\n# 2" }, properties "a = 1\n # 2")
    assert.same({ a = "1\n2" }, properties "a = 1\n# c\n 2")
    assert.same({ a = "2\n3" }, properties "a = 1\na = 2\n 3")
  end)

  it("that is empty has properties of its own below", function()
    local value = properties("a =\n b = 1\n\n  c d=2 # 3\n e =").a
    assert.equal("\nb = 1\nc d=2 # 3\ne =", value)
    assert.same({ b = "1", ["c d"] = "2 # 3", e = "" }, profile_parser.sub_properties(value))
  end)

  it("that is not empty has none", function()
    for _, value in ipairs { "", "x", "x\ny = z", "a = b" } do
      assert.same({}, profile_parser.sub_properties(value))
    end
  end)
end)

describe("a malformed line", function()
  local CASES = {
    { "line 1: Expected a profile definition", "a = 1" },
    { "line 3: Expected a profile definition", "# c\n\nSECRET" },
    { "line 1: Expected a profile definition", " SECRET" },
    { "line 2: Profile definition must end with ']'", "[default]\n[profile SECRET\na = 1" },
    { "line 2: Expected an '=' sign defining a property", "[default]\nSECRET" },
    { "line 4: Expected an '=' sign defining a property", "[default]\r\n\r\n# c\r\nSECRET\r\n" },
    { "line 3: Expected an '=' sign defining a property", "[in valid]\na = 1\nSECRET" },
    { "line 2: Property did not have a name", "[default]\n= SECRET" },
    { "line 2: Expected a property definition, found continuation", "[default]\n SECRET" },
    { "line 4: Expected a property definition, found continuation", "[default]\na = 1\n[default]\n SECRET" },
    { "line 3: Expected an '=' sign defining a sub-property", "[default]\na =\n SECRET" },
    { "line 4: Sub-property did not have a name", "[default]\na =\n b = 1\n = SECRET" },
  }

  for _, case in ipairs(CASES) do
    it(("is refused with its number, and not shown: %s"):format(case[1]), function()
      assert_refused(case[1], case[2])
      assert_refused(case[1], case[2], "credentials")
    end)
  end
end)

describe("the lines", function()
  it("of all properties are known", function()
    local sections = parse(table.concat({
      "[default]", "a = 0", "[profile default]", "", "B = 1", "c = 2", " 3", "[services s]", "iot =",
      " endpoint_url = x", "[sso-session t]", "# c", "d = 1", "[profile default]", "c = 4",
    }, "\r\n"))
    assert.same({ default = { b = 5, c = 15 } }, sections.lines.profiles)
    assert.same({ s = { iot = 9 } }, sections.lines.services)
    assert.same({ t = { d = 13 } }, sections.lines.sso_sessions)
  end)
end)
