---The records of a report: lines of JSON in documents that links lead to (reference 9.4).
local core = require "iot.core"
local errors = require "iot.errors"
local links = require "iot.links"
local lines = require "iot.lines"

local reports = {}

local max_line = 1024 * 1024 -- bytes
local max_depth = 5 -- how deep a reason may lie
local gzip = "\31\139" -- what it begins with (RFC 1952)

-- Records ----------------------------------------------------------------------------------------

---A line of a report. Its form is not documented: the methods look where it is known or likely to be.
---@class iot.ReportRecord
---@field raw string  the line, as it came
---@field number integer  of the line in the report, blank ones left out; from 1
---@field content table?  what it holds, decoded
---@field malformed string?  why it has no content
---@field was_cut boolean?  the line is longer than `raw`
local Record = {}
Record.__index = Record

-- The first of these members that is of a type, empty texts left out.
local function member(content, wanted, ...)
  for i = 1, select("#", ...) do
    local value = type(content) == "table" and content[select(i, ...)]
    if type(value) == wanted and value ~= "" then return value end
  end
  return nil
end

local function response(record)
  return member(record.content, "table", "response", "Response")
end

local reason_of

-- Of several errors, all.
local function reasons_of(list, depth)
  local texts = {}
  for _, value in ipairs(list) do texts[#texts + 1] = reason_of(value, depth + 1) end
  return texts[1] and table.concat(texts, "; ")
end

local places = { "errors", "Errors", "error", "Error", "response", "Response" }

-- The text about a failure in a value, nil when there is none.
function reason_of(value, depth)
  if type(value) == "string" then return value ~= "" and value or nil end
  if type(value) ~= "table" or depth > max_depth then return nil end
  if value[1] ~= nil then return reasons_of(value, depth) end
  local text = member(value, "string", "message", "Message", "errorMessage", "ErrorMessage", "reason", "description")
  local code = member(value, "string", "code", "Code", "errorCode", "ErrorCode")
  if text or code then return text and code and code .. ": " .. text or text or code end
  for _, name in ipairs(places) do
    local reason = reason_of(value[name], depth + 1)
    if reason then return reason end
  end
  return nil
end

---Why the thing was not registered.
---@return string?
function Record:reason()
  return reason_of(self.content, 1)
end

---The number of the line in the input file.
---@return integer?
function Record:input_line()
  local number = member(self.content, "number", "lineNumber", "LineNumber", "line", "inputLine")
  return number and number >= 1 and number < 2 ^ 53 and number % 1 == 0 and number or nil
end

---The line of the input file.
---@return string?
function Record:input()
  return member(self.content, "string", "input", "inputLine", "line")
end

---The certificate that was registered, where the service made one.
---@return string?
function Record:certificate_pem()
  return member(response(self), "string", "CertificatePem", "certificatePem")
    or member(self.content, "string", "certificatePem", "CertificatePem")
end

---The ARNs of what was registered, by the names of the template's resources.
---@return table<string, string>?
function Record:resource_arns()
  return member(response(self), "table", "ResourceArns", "resourceArns")
    or member(self.content, "table", "resourceArns", "ResourceArns")
end

local function new_record(line, was_cut, number)
  local content, malformed
  if was_cut then
    malformed = ("the line is longer than %d bytes"):format(max_line)
  else
    content, malformed = core.decode_json(line)
  end
  return setmetatable({
    raw = line, number = number, content = content, malformed = malformed, was_cut = was_cut or nil,
  }, Record)
end

-- Documents --------------------------------------------------------------------------------------

-- Where an iteration stands.
---@class iot.reports.Position
---@field source iot.reports.Source
---@field links fun(): string?  the links that are not due yet
---@field due string?  the next link, while it could not be opened
---@field number integer  of the last record
---@field link iot.Link?  that is being read
---@field start string?  of its bytes, as long as that is shorter than gzip's mark
---@field lines iot.LineSplitter?  its lines
---@field failure iot.Error?  what ended it for good
---@field left boolean?  the loop over it was, in the middle of a document
local Position = {}
Position.__index = Position

-- What a link is a way to.
local function document_of(link)
  return link:match "^[^?]*"
end

-- The link that is due, of a new list: it has not expired. Nil when it is not there.
local function list_again(self)
  local wanted = document_of(self.due)
  self.links = self.source.list()
  local link = self.links() -- no `for`: in Lua 5.1 its iterator could not wait
  while link and document_of(link) ~= wanted do link = self.links() end
  return link
end

-- What cannot be gone on from: the middle of a document, or where a link is gone.
local function give_up(self, detail)
  self:close()
  self.failure = detail
  error(detail, 0)
end

local function fail(self, message, facts)
  facts.operation = self.source.operation
  local _, _, detail = errors.fail(facts, message)
  give_up(self, detail)
end

-- A document that is compressed and does not say so would be no lines at all.
local function check_start(self, piece)
  self.start = self.start .. piece:sub(1, #gzip)
  if self.start:sub(1, #gzip) == gzip then
    fail(self, "it is compressed, but its Content-Encoding does not say so", { code = "MalformedResponse" })
  end
  if #self.start >= #gzip then self.start = nil end
end

local function read_piece(self)
  local piece, message, facts = self.link.read()
  if facts then fail(self, message, facts) end
  if self.start and piece then check_start(self, piece) end
  self.lines:feed(piece)
  if not piece then
    self.link.close()
    self.link = nil
  end
end

-- False when there is no other link.
local function open_next(self)
  self.due = self.due or self.links()
  if not self.due then return false end
  local link, _, detail = self.source.open(self.due)
  if not link and links.has_expired(detail) then
    local url = list_again(self)
    if not url then give_up(self, detail) end
    self.due = url
    link, _, detail = self.source.open(url)
  end
  if not link then error(detail, 0) end
  self.due, self.link, self.start, self.lines = nil, link, "", lines.splitter(max_line)
  return true
end

-- Or the next document would pass for what comes next.
local function check(self)
  if self.failure then error(self.failure, 0) end
  if self.left then error("attempt to go on with a report whose loop was left", 0) end
end

-- Bring more to read, unless another task did meanwhile; false at the end of all.
local function advance(self)
  check(self)
  if self.lines and self.lines:has_line() then return true end
  if not self.link then return open_next(self) end
  read_piece(self)
  return true
end

-- The next line that is not blank. Tasks of a map may share an iterator: while one of them waits for more, the others
-- wait for their turn.
local function next_line(self)
  while true do
    check(self)
    local line, was_cut
    if self.lines then line, was_cut = self.lines:next() end
    if not line then
      if not self.source.serialize(self, nil, advance, self) then return nil end
    elseif line:find "%S" then
      return line, was_cut
    end
  end
end

function Position:next()
  local line, was_cut = next_line(self)
  if not line then return nil end
  self.number = self.number + 1
  return new_record(line, was_cut, self.number)
end

function Position:close()
  if self.link then self.link.close() end
  self.link, self.lines = nil, nil
end

function Position:leave()
  self.left = self.left or self.link ~= nil or self.lines ~= nil and self.lines:has_line()
  self:close()
end

---@class iot.reports.Source
---@field operation string  for failures
---@field list fun(): (fun(): string?)  the links, from the first on
---@field open fun(link: string): iot.Link?, string?, iot.Error?
---@field serialize fun(owner: table, deadline: nil, fn: function, ...): ...  as of a runtime

---Iterate over the records of all links. No more is held than a piece of a document and a line. A link that has
---expired is listed again, once.
---
---The iterator raises the detail of what failed. To call it again tries a link again that could not be opened, but
---in the middle of a document it cannot go on.
---@param source iot.reports.Source
---@return fun(): iot.ReportRecord?
---@return nil
---@return nil
---@return table closing  for the generic `for` of Lua 5.4, which gives up the download when the loop is left
function reports.records(source)
  local position = setmetatable({ source = source, links = source.list(), number = 0 }, Position)
  local closing = setmetatable({}, { __close = function() position:leave() end })
  return function() return position:next() end, nil, nil, closing
end

return reports
