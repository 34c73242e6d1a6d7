-- What of other people's texts is shown, in Lua (iot.excerpt) and in C (the excerpt of a reply): the same characters.
-- Where lines are cut and what is redacted: credentials_sts_spec.lua.
local core = require "iot.core"
local excerpt = require "iot.excerpt"

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  local tail, lead, room = "", 0xC0, 0x20
  while true do
    tail = string.char(0x80 + code % 0x40) .. tail
    code = math.floor(code / 0x40)
    if code < room then return string.char(lead + code) .. tail end
    lead, room = lead + room, room / 2
  end
end

-- Controls, the marks that turn or hide text, and what is no character.
local HIDDEN = {
  { 0, 0x1F }, { 0x7F, 0x9F }, { 0x61C, 0x61C }, { 0x200B, 0x200F }, { 0x2028, 0x202E }, { 0x2060, 0x206F },
  { 0xFEFF, 0xFEFF }, { 0xD800, 0xDFFF },
}

local function is_hidden(code)
  for _, range in ipairs(HIDDEN) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

-- What C shows of it in an error's message.
local client = assert(core.client { endpoint = "https://localhost", region = "us-east-1" })
local function message_of(text)
  local body = core.encode_json { message = "a" .. text .. "b" }
  local _, message = client:parse("describe_thing_registration_task", 400, "HTTP/1.1 400 Bad\r\n\r\n", body)
  return message
end

local CODES = {}
for code = 0x21, 0x30FF do CODES[#CODES + 1] = code end
for _, code in ipairs { 0xD7FF, 0xE000, 0xFEFE, 0xFEFF, 0xFF00, 0xFFFD, 0x10000, 0x1F600, 0x3FFFF, 0x40000, 0xFFFFF,
  0x100000, 0x10FFFF } do
  CODES[#CODES + 1] = code
end

describe("a character of another's text", function()
  it("is shown, or a space in its place", function()
    for _, code in ipairs(CODES) do
      local text = utf8(code)
      local shown = is_hidden(code) and "a b" or "a" .. text .. "b"
      if excerpt.line("a" .. text .. "b", 100) ~= shown then error(("U+%04X in a line"):format(code)) end
      if message_of(text) ~= shown then error(("U+%04X in a message"):format(code)) end
    end
  end)

  it("that is none is not shown", function()
    for _, text in ipairs {
      utf8(0xD800), utf8(0xDFFF), utf8(0x110000), "\192\128", "\193\191", "\224\128\155", "\240\128\128\155", "\255",
      "\128", "\194", "\226\128", "\240\159\152",
    } do
      assert.equal("a b", excerpt.line("a" .. text .. "b", 100))
      assert.equal("a" .. (" "):rep(#text) .. "b", excerpt.printable("a" .. text .. "b"))
    end
  end)

  it("keeps its place where lines are not folded", function()
    assert.equal("a  b \195\169   c", excerpt.printable "a\r\nb\t\195\169\226\128\174c")
    assert.equal("plain", excerpt.printable "plain")
  end)

  it("is looked for within bounds", function()
    assert.equal("...", excerpt.line(("\1"):rep(1e6), 10))
    assert.equal("a...", excerpt.line("a" .. ("\1"):rep(1e6) .. "b", 10))
    assert.equal("a", excerpt.line("a" .. ("\1"):rep(100), 10))
  end)
end)
