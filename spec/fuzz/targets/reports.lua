-- lua/iot/reports.lua: documents of reports, a line "%%" between two, which come in pieces.
local pieces = require "spec.support.reply_pieces"
local promises = require "spec.fuzz.promises"
local reports = require "iot.reports"

local must = promises.must

local function documents_of(input)
  local documents, at = {}, 1
  while at do
    local first, last = input:find("\n%%\n", at, true)
    documents[#documents + 1] = input:sub(at, first and first - 1 or #input)
    at = last and last + 1
  end
  return documents
end

-- Links are the numbers of documents.
local function source_of(documents, sizes, open)
  local function list()
    local number = 0
    return function()
      number = number + 1
      return documents[number] and "https://s3/" .. number
    end
  end
  return { operation = "records", list = list, serialize = function(_, _, fn, ...) return fn(...) end,
    open = function(link)
      open.count = open.count + 1
      local given = pieces.feed(documents[tonumber(link:match "%d+$")], sizes)
      return { read = function() return (given()) end, close = function() open.count = open.count - 1 end }
    end }
end

local function check_record(record, number)
  must(record.number == number, "records are numbered", record.number)
  must(type(record.raw) == "string" and record.raw:find "%S", "a record has a line")
  must((record.content == nil) == (record.malformed ~= nil), "a record has a content or a reason")
  if record.malformed then promises.must_be_message(record.malformed) end
  for _, name in ipairs { "reason", "input", "certificate_pem" } do
    local text = record[name](record)
    must(text == nil or type(text) == "string" and text ~= "", "what a record tells is a text", name)
  end
  local line = record:input_line()
  must(line == nil or line >= 1 and line % 1 == 0, "a line has a number", line)
  must(record:resource_arns() == nil or type(record:resource_arns()) == "table", "ARNs are a table")
end

local function read(documents, sizes)
  local open, found, count = { count = 0 }, {}, 0
  local next_record = reports.records(source_of(documents, sizes, open))
  local ok, detail
  repeat
    local record
    ok, record = pcall(next_record)
    if ok and record then
      count = count + 1
      check_record(record, count)
      found[count] = record.raw
    elseif not ok then
      detail = record
    end
  until not ok or not record
  must(open.count == 0, "links are closed")
  if detail then
    must(type(detail) == "table", "what is raised is a detail", detail)
    promises.must_be_failure(detail.message, detail)
    must(detail.code == "MalformedResponse", "only a compressed document fails", detail.message)
  end
  return promises.text_of { found, detail and detail.message }
end

return function(input)
  local documents = documents_of(input)
  local expected = read(documents, pieces.cuts.whole)
  for _, sizes in ipairs { pieces.cuts.bytes, pieces.cuts.odd } do
    must(read(documents, sizes) == expected, "the records do not depend on the pieces")
  end
end
