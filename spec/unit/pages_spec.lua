-- The items of lists that come in pages, by reference 1.4, with a service that answers what a case says.
local pages = require "iot.pages"

local LIST, REPORTS = "list_thing_registration_tasks", "list_thing_registration_task_reports"

local function copy(from)
  local to = {}
  for name, value in pairs(from) do to[name] = value end
  return to
end

-- A service that answers these replies in turn, each a page or a text that it fails with.
local function service(replies)
  local self = { asked = {} }
  function self.fetch(params)
    table.insert(self.asked, copy(params))
    local reply = table.remove(replies, 1)
    assert(reply, "asked once more than there are pages")
    if type(reply) == "table" then return reply end
    return nil, reply, setmetatable({ code = reply }, { __tostring = function() return reply end })
  end
  return self
end

-- As where nothing else runs.
local function serialize(_, _, fn, ...) return fn(...) end

local function collect(next_item)
  local items = {}
  for item in next_item do items[#items + 1] = item end
  return items
end

local cases = {
  { "one page", { { taskIds = { "a", "b" } } }, { "a", "b" } },
  { "no items", { { taskIds = {} } }, {} },
  { "a page without a list", { {} }, {} },
  { "several pages", {
    { taskIds = { "a" }, nextToken = "1" }, { taskIds = { "b", "c" }, nextToken = "2" }, { taskIds = { "d" } },
  }, { "a", "b", "c", "d" } },
  { "an empty token at the end", { { taskIds = { "a" }, nextToken = "1" }, { taskIds = { "b" }, nextToken = "" } },
    { "a", "b" } },
  { "empty pages in between", {
    { taskIds = {}, nextToken = "1" }, { nextToken = "2" }, { taskIds = { "a" }, nextToken = "3" }, { taskIds = {} },
  }, { "a" } },
  { "a token that comes again, but not at once", {
    { taskIds = { "a" }, nextToken = "1" }, { taskIds = { "b" }, nextToken = "2" },
    { taskIds = { "c" }, nextToken = "1" }, { taskIds = { "d" } },
  }, { "a", "b", "c", "d" } },
}

describe("pages", function()
  for _, case in ipairs(cases) do
    it("are read through: " .. case[1], function()
      local list = service(case[2])
      assert.same(case[3], collect(pages.items(LIST, {}, list.fetch, serialize)))
    end)
  end

  it("are fetched when they are due", function()
    local list = service { { taskIds = { "a", "b" }, nextToken = "1" }, { taskIds = { "c" } } }
    local next_item = pages.items(LIST, {}, list.fetch, serialize)
    assert.equal(0, #list.asked)
    next_item()
    next_item()
    assert.equal(1, #list.asked)
    assert.equal("c", next_item())
    assert.equal(2, #list.asked)
    assert.is_nil(next_item())
    assert.is_nil(next_item())
    assert.equal(2, #list.asked)
  end)

  it("are asked for with the same parameters, but for the token", function()
    local given = { taskId = "t", reportType = "ERRORS", maxResults = 7 }
    local list = service { { resourceLinks = { "x" }, nextToken = "1" }, { nextToken = "2" }, {} }
    local next_item = pages.items(REPORTS, given, list.fetch, serialize)
    given.reportType = "RESULTS"
    assert.same({ "x" }, collect(next_item))
    for i, token in ipairs { false, "1", "2" } do
      assert.same({ taskId = "t", reportType = "ERRORS", maxResults = 7, nextToken = token or nil }, list.asked[i])
    end
    assert.same({ taskId = "t", reportType = "RESULTS", maxResults = 7 }, given)
  end)

  it("begin with the page of a token that was given", function()
    local list = service { { taskIds = { "c" } } }
    assert.same({ "c" }, collect(pages.items(LIST, { nextToken = "2" }, list.fetch, serialize)))
    assert.equal("2", list.asked[1].nextToken)
  end)

  for _, given in ipairs { "", "1" } do
    it("with the same token twice in a row end with an error behind their items, first token: " .. given, function()
      local replies = { { taskIds = { "b" }, nextToken = "1" } }
      if given == "" then table.insert(replies, 1, { taskIds = { "a" }, nextToken = "1" }) end
      local list = service(replies)
      local next_item = pages.items(LIST, { nextToken = given ~= "" and given or nil }, list.fetch, serialize)
      if given == "" then assert.equal("a", next_item()) end
      assert.equal("b", next_item())
      for _ = 1, 2 do
        local ok, detail = pcall(next_item)
        assert.is_false(ok)
        assert.equal("response", detail.kind)
        assert.equal("MalformedResponse", detail.code)
        assert.equal(LIST, detail.operation)
        assert.matches("^list_thing_registration_tasks: .*nextToken", tostring(detail))
      end
    end)
  end

  it("raise the detail of a call that failed, and go on with that page", function()
    local list = service { { taskIds = { "a" }, nextToken = "1" }, "ThrottlingException", { taskIds = { "b" } } }
    local next_item = pages.items(LIST, {}, list.fetch, serialize)
    assert.equal("a", next_item())
    local ok, detail = pcall(next_item)
    assert.is_false(ok)
    assert.equal("ThrottlingException", detail.code)
    assert.equal("b", next_item())
    assert.is_nil(next_item())
    assert.equal("1", list.asked[3].nextToken)
  end)
end)
