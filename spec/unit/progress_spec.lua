-- The display of a wait: what stands on the terminal, of whatever width, and which lines go elsewhere.
local errors = require "iot.errors"
local progress = require "iot.progress"
local terminal = require "spec.support.terminal"

-- Helpers ------------------------------------------------------------------------------------

-- Something to write to.
local function new_stream()
  local stream = { text = "", writes = 0 }
  function stream:write(text)
    self.text, self.writes = self.text .. text, self.writes + 1
    return self
  end
  return stream
end

local function task_of(status, percent, succeeded, failed)
  return { status = status, percentageProgress = percent, successCount = succeeded, failureCount = failed }
end

local function running(percent)
  return task_of("InProgress", percent, percent * 3, percent)
end

local function failure_of(code)
  return (select(3, errors.fail({ code = code, kind = "service" }, "what happened")))
end

-- A display on a terminal whose columns are `rig.columns`.
local function new_display(columns)
  local rig = { columns = columns, stream = new_stream() }
  rig.show = progress.new(rig.stream, { width = function() return rig.columns end, term = "xterm" })
  -- What stands there once it was told of this.
  function rig.see(told)
    rig.stream.text = ""
    rig.show(told)
    local screen = terminal.replay(rig.stream.text, rig.columns)
    assert.equal(0, screen.wraps)
    assert.is_true(screen.widest < rig.columns)
    assert.equal(told.done and 2 or 1, #screen.lines)
    return screen.lines[1]
  end
  return rig
end

-- A display elsewhere.
local function new_log(facts)
  local rig = { stream = new_stream() }
  rig.show = progress.new(rig.stream, facts or { width = function() end, term = "xterm" })
  -- The lines that it writes when it is told of this.
  function rig.see(told)
    rig.stream.text = ""
    rig.show(told)
    assert.is_nil(rig.stream.text:find "[^\10\32-\126]")
    return rig.stream.text
  end
  return rig
end

local function poll(task, elapsed, fields)
  local told = { task = task, elapsed = elapsed, polls = 1, delay = 5 }
  for name, value in pairs(fields or {}) do told[name] = value end
  return told
end

local function last(task, elapsed, fields)
  local told = poll(task, elapsed, fields)
  told.delay, told.done = nil, true
  return told
end

-- On a terminal --------------------------------------------------------------------------------

describe("on a terminal", function()
  it("a bar, the percentage, the counts and the time are shown", function()
    assert.equal("[###########.............]   47 %  117 succeeded, 3 failed  1:05",
      new_display(100).see(poll(task_of("InProgress", 47, 117, 3), 65.9)))
  end)

  it("it is redrawn in place", function()
    local rig = new_display(80)
    rig.show(poll(running(10), 0))
    rig.show(poll(running(50), 5, { failure = failure_of "ThrottlingException" }))
    rig.show(poll(running(50), 10))
    rig.show(last(task_of("Completed", 100, 300, 0), 15))
    local screen = terminal.replay(rig.stream.text, 80)
    assert.same({ "[###################]  100 %  300 succeeded, 0 failed  0:15  Completed", "" }, screen.lines)
    assert.equal(4, rig.stream.writes)
  end)

  it("the bar is as full as the percentage", function()
    for _, case in ipairs { { 0, 0 }, { 1, 0 }, { 9, 0 }, { 10, 1 }, { 55, 5 }, { 99, 9 }, { 100, 10 } } do
      local line = new_display(20).see(poll(running(case[1]), 0))
      assert.equal(("[%s%s]  %3d %%"):format(("#"):rep(case[2]), ("."):rep(10 - case[2]), case[1]), line)
    end
  end)

  it("a percentage is one", function()
    assert.matches("^%[%.+%]    0 %%", new_display(80).see(poll(running(-7), 0)))
    assert.matches("^%[#+%]  100 %%", new_display(80).see(poll(running(250), 0)))
  end)

  it("only what is known is shown", function()
    assert.equal("0:00", new_display(80).see(poll({}, 0)))
    assert.equal("0:01", new_display(80).see(poll({ status = "" }, 1)))
    assert.equal("5 succeeded, 0 failed  0:00", new_display(80).see(poll({ successCount = 5 }, 0)))
    assert.equal("0 succeeded, 5 failed  0:00", new_display(80).see(poll({ failureCount = 5 }, 0)))
    assert.equal("0:00  Resting", new_display(80).see(poll({ status = "Resting" }, 0)))
  end)

  it("the time is one", function()
    for seconds, text in pairs {
      [0] = "0:00", [0.99] = "0:00", [59.9] = "0:59", [60] = "1:00", [3599] = "59:59", [3600] = "1:00:00",
      [36061] = "10:01:01", [-1] = "0:00",
    } do
      assert.equal(text, new_display(80).see(poll({}, seconds)))
    end
  end)

  it("the status is shown when it is not InProgress", function()
    for _, status in ipairs { "Cancelling", "Cancelled", "Failed", "Completed", "Resting" } do
      assert.matches("  " .. status .. "$", new_display(80).see(poll(task_of(status, 50, 1, 1), 0)))
    end
  end)

  it("an outage is shown, and when the next try is", function()
    local rig = new_display(100)
    rig.see(poll(running(20), 0))
    assert.equal("[####...................]   20 %  60 succeeded, 20 failed  0:07  ConnectionFailed  next try in 15 s",
      rig.see(poll(running(20), 7, { failure = failure_of "ConnectionFailed", delay = 13 })))
    assert.is_nil(rig.see(poll(running(21), 20)):find "Failed")
  end)

  it("an outage before there was a description is shown", function()
    assert.equal("0:00  Timeout  next try in 4 s",
      new_display(80).see(poll(nil, 0, { failure = failure_of "Timeout", delay = 3.2 })))
  end)

  it("the last state stays", function()
    assert.equal("0:00  ResourceNotFoundException",
      new_display(80).see(last(nil, 0, { failure = failure_of "ResourceNotFoundException" })))
    local rig = new_display(80)
    rig.see(poll(running(20), 0))
    assert.matches("40 %%  120 succeeded, 40 failed  0:30$", rig.see(last(running(40), 30)))
  end)

  it("it can begin anew after the last state", function()
    local rig = new_display(100)
    rig.see(poll(running(0), 0))
    rig.see(last(running(100), 30))
    assert.is_nil(rig.see(poll(running(50), 10)):find "left")
  end)

  it("nothing of the service's is harmful", function()
    local evil = "\27]0;x\7\r\n\155\226\128\174" .. ("x"):rep(500)
    local rig = new_display(100)
    local line = rig.see(poll(task_of(evil, 5), 0))
    assert.matches("0:00  %?%]0;x%?%?%?%?%?%?%?x+%.%.%.$", line)
    assert.matches("%.%.%.  next try", rig.see(poll(nil, 0, { failure = failure_of(evil) })))
    rig.see(poll({ status = "Failed", message = evil, taskId = evil }, 0))
  end)

  it("numbers of any size are", function()
    for _, number in ipairs { 0, 1, 999999999, 2 ^ 53, 1e300 } do
      local line = new_display(800).see(poll({ successCount = number }, 0))
      assert.equal(("%.0f succeeded, 0 failed  0:00"):format(number), line)
    end
  end)
end)

-- The estimate -----------------------------------------------------------------------------------

describe("the estimate of what is left", function()
  local function estimate_of(...)
    local rig, line = new_display(150), nil
    for _, observation in ipairs { ... } do
      line = rig.see(poll(observation[2] and running(observation[2]) or {}, observation[1]))
    end
    return line:match "about (.*) left$"
  end

  it("is made from how fast the percentage moved while one looked", function()
    -- Observations { seconds, percent }; what is left after the last.
    for _, case in ipairs {
      { "10 s", { 0, 0 }, { 10, 50 } },
      { "10 s", { 100, 0 }, { 110, 50 } },
      { "50 s", { 0, 40 }, { 12, 50 }, { 12, 52 } },
      { "10 s", { 0, 80 }, { 5, 90 }, { 10, 90 } },
      { "1 s", { 0, 0 }, { 99, 99 } },
      { "15 s", { 0, 0 }, { 85, 85 } },
      { "55 s", { 0, 0 }, { 45, 45 } },
      { "1 min", { 0, 0 }, { 60, 50 } },
      { "2 min", { 0, 0 }, { 95, 50 } },
      { "59 min", { 0, 0 }, { 59 * 60, 50 } },
      { "1 h", { 0, 0 }, { 3600, 50 } },
      { "1 h 50 min", { 0, 0 }, { 60, 1 }, { 66, 1 }, { 67, 1 } },
      { "2 h 10 min", { 0, 0 }, { 7777, 50 } },
      { "24 h", { 0, 0 }, { 24 * 3600, 50 } },
    } do
      assert.equal(case[1], estimate_of(case[2], case[3], case[4], case[5]))
    end
  end)

  it("is not made up", function()
    assert.is_nil(estimate_of { 0, 0 })
    assert.is_nil(estimate_of { 1000, 90 })
    assert.is_nil(estimate_of({ 0, 40 }, { 5, 40 }, { 10, 40 })) -- it has not moved
    assert.is_nil(estimate_of({ 0, 40 }, { 0, 50 })) -- in no time
    assert.is_nil(estimate_of({ 0, 0 }, { 10, 100 })) -- nothing is
    assert.is_nil(estimate_of({ 0, 0 }, { 5 * 3600, 1 })) -- days
    assert.is_nil(estimate_of({ 0, 0 }, { 10, 50 }, { 20, nil })) -- nobody knows
  end)

  it("begins anew when the percentage went back", function()
    assert.is_nil(estimate_of({ 0, 50 }, { 10, 60 }, { 20, 10 }))
    assert.equal("40 s", estimate_of({ 0, 50 }, { 10, 60 }, { 20, 10 }, { 30, 28 }))
  end)

  it("is for a task that is under way", function()
    for _, told in ipairs {
      poll(task_of("Cancelling", 50), 10), poll(running(50), 10, { failure = failure_of "Timeout" }),
      last(running(50), 10),
    } do
      local rig = new_display(150)
      rig.see(poll(running(0), 0))
      assert.is_nil(rig.see(told):find "left")
    end
  end)

  it("goes on after an outage", function()
    local rig = new_display(150)
    rig.see(poll(running(0), 0))
    rig.see(poll(running(0), 10, { failure = failure_of "Timeout" }))
    assert.matches("about 20 s left$", rig.see(poll(running(50), 20)))
  end)
end)

-- The width ----------------------------------------------------------------------------------

describe("the width of the window", function()
  local LINES = {
    { 100, "[############............]   50 %  150 succeeded, 50 failed  1:05  about 1 min left" },
    { 80, "[#########..........]   50 %  150 succeeded, 50 failed  1:05  about 1 min left" },
    { 60, "[#######.......]   50 %  150 succeeded, 50 failed  1:05" },
    { 42, "[###...]   50 %  150 succeeded, 50 failed" },
    { 41, "[##...]   50 %  150 succeeded, 50 failed" },
    { 40, "[#####.....]   50 %" },
    { 20, "[#####.....]   50 %" },
    { 18, "[####....]   50 %" },
    { 15, "[##...]   50 %" },
    { 14, " 50 %" }, { 6, " 50 %" }, { 5, "" }, { 2, "" }, { 1, "" },
  }

  it("is respected", function()
    local rig = new_display(100)
    rig.see(poll(running(0), 0))
    for _, case in ipairs(LINES) do
      rig.columns = case[1]
      assert.equal(case[2], rig.see(poll(running(50), 65)))
    end
  end)

  it("is respected in an outage", function()
    local failure = failure_of "ConnectionFailed"
    for _, case in ipairs {
      { 81, "[#####.....]   50 %  150 succeeded, 50 failed  ConnectionFailed  next try in 5 s" },
      { 80, "[####.....]   50 %  150 succeeded, 50 failed  ConnectionFailed  next try in 5 s" },
      { 60, "[#######.......]   50 %  ConnectionFailed  next try in 5 s" },
      { 40, "[#####.....]   50 %  ConnectionFailed" },
      { 25, " 50 %  ConnectionFailed" }, { 20, "ConnectionFailed" }, { 17, "ConnectionFailed" },
      { 11, "Connection" }, { 2, "C" }, { 1, "" },
    } do
      assert.equal(case[2], new_display(case[1]).see(poll(running(50), 65, { failure = failure })))
    end
  end)

  it("may be any, whatever there is to show", function()
    for columns = 1, 200 do
      for _, task in ipairs {
        {}, running(0), running(100), task_of("Cancelling", 7, 1e15, 1e15), task_of(("S"):rep(60), 100, 5, 5),
      } do
        new_display(columns).see(poll(task, 1e6))
        new_display(columns).see(last(task, 1e6))
        new_display(columns).see(poll(task, 1e6, { failure = failure_of(("F"):rep(60)), delay = 1e5 }))
      end
    end
  end)

  it("may change between two looks, and the terminal may go", function()
    local rig = new_display(100)
    rig.see(poll(running(0), 0))
    rig.columns = 20
    rig.see(poll(running(10), 5))
    rig.columns = nil
    rig.stream.text = ""
    rig.show(poll(running(20), 10))
    assert.is_true(terminal.replay(rig.stream.text, 80).widest < 80)
    for _, columns in ipairs { 0, -1 } do
      rig.columns, rig.stream.text = columns, ""
      rig.show(poll(running(30), 15))
      assert.equal("\r\27[K", rig.stream.text)
    end
  end)

  it("leaves nothing of a longer line behind", function()
    local rig = new_display(100)
    rig.show(poll(running(50), 0, { failure = failure_of "ConnectionFailed" }))
    rig.show(poll(running(50), 5))
    local screen = terminal.replay(rig.stream.text, 100)
    assert.matches("  0:05$", screen.lines[1])
    assert.matches("next try in 5 s$", screen.frames[2])
  end)
end)

-- Elsewhere ----------------------------------------------------------------------------------

describe("elsewhere", function()
  it("it is whole lines at a slow pace", function()
    local rig = new_log()
    assert.equal("0:00  InProgress, 0 %, 0 succeeded, 0 failed\n", rig.see(poll(running(0), 0)))
    assert.equal("", rig.see(poll(running(10), 10)))
    assert.equal("", rig.see(poll(running(29), 29.9)))
    assert.equal("0:30  InProgress, 30 %, 90 succeeded, 30 failed, about 1 min left\n", rig.see(poll(running(30), 30)))
    assert.equal("", rig.see(poll(running(40), 59)))
    assert.equal("", rig.see(poll(running(30), 60))) -- nothing changed since that line
    assert.equal("1:01  InProgress, 31 %, 93 succeeded, 31 failed, about 2 min left\n", rig.see(poll(running(31), 61)))
    assert.equal("1:02  Completed, 100 %, 300 succeeded, 100 failed\n",
      rig.see(last(task_of("Completed", 100, 300, 100), 62)))
  end)

  it("each change of the status is told at once", function()
    local rig = new_log()
    assert.equal("0:00  no status\n", rig.see(poll({}, 0)))
    assert.equal("0:01  InProgress, 0 %, 0 succeeded, 0 failed\n", rig.see(poll(running(0), 1)))
    assert.equal("0:02  Cancelling, 0 %\n", rig.see(poll(task_of("Cancelling", 0), 2)))
    assert.equal("", rig.see(poll(task_of("Cancelling", 5), 3)))
    assert.equal("0:04  Cancelled, 5 %\n", rig.see(last(task_of("Cancelled", 5), 4)))
  end)

  it("the first failure in a row is told at once", function()
    local rig, lost = new_log(), failure_of "ConnectionLost"
    rig.see(poll(running(0), 0))
    assert.equal("0:01  ConnectionLost, next try in 5 s\n", rig.see(poll(running(0), 1, { failure = lost })))
    assert.equal("", rig.see(poll(running(0), 6, { failure = lost, delay = 7 })))
    assert.equal("", rig.see(poll(running(0), 7, { failure = failure_of "Timeout" })))
    assert.equal("", rig.see(poll(running(0), 40, { failure = lost })))
    assert.equal("0:41  Timeout, next try in 5 s\n", rig.see(poll(running(0), 41, { failure = failure_of "Timeout" })))
    assert.equal("", rig.see(poll(running(1), 42)))
    assert.equal("0:43  ConnectionLost, next try in 5 s\n", rig.see(poll(running(1), 43, { failure = lost })))
    assert.equal("", rig.see(poll(running(1), 44)))
    assert.equal("1:13  InProgress, 1 %, 3 succeeded, 1 failed\n",
      (rig.see(poll(running(1), 73)):gsub(", about.* left", "")))
    assert.equal("1:14  NotFound\n", rig.see(last(running(1), 74, { failure = failure_of "NotFound" })))
  end)

  it("a failure before there was a description is told", function()
    local rig = new_log()
    assert.equal("0:00  Timeout, next try in 5 s\n", rig.see(poll(nil, 0, { failure = failure_of "Timeout" })))
    assert.equal("", rig.see(poll(nil, 5, { failure = failure_of "Timeout" })))
    assert.equal("0:10  InProgress, 0 %, 0 succeeded, 0 failed\n", rig.see(poll(running(0), 10)))
  end)

  it("the end is told, even of what has not changed", function()
    local rig = new_log()
    rig.see(poll(running(5), 0))
    assert.equal("0:01  InProgress, 5 %, 15 succeeded, 5 failed\n", rig.see(last(running(5), 1)))
    assert.equal("0:00  InProgress, 5 %, 15 succeeded, 5 failed\n", rig.see(poll(running(5), 0))) -- another wait
  end)

  it("nothing of the service's is harmful", function()
    local rig = new_log()
    local evil = "\27[2J\r\n" .. ("x"):rep(5000)
    for _, told in ipairs {
      poll(task_of(evil, 5), 0), poll(nil, 0, { failure = failure_of(evil) }), last(task_of(evil), 0),
    } do
      assert.is_true(#rig.see(told) < 100)
    end
  end)

  it("is where TERM is dumb or not set, or there is no terminal", function()
    local function eighty() return 80 end
    for _, facts in ipairs {
      { width = eighty }, { width = eighty, term = "" }, { width = eighty, term = "dumb" },
      { width = function() end, term = "xterm" }, { term = "xterm" },
    } do
      assert.equal("0:00  InProgress, 0 %, 0 succeeded, 0 failed\n", new_log(facts).see(poll(running(0), 0)))
    end
  end)
end)

-- The stream -----------------------------------------------------------------------------------

describe("the stream", function()
  local facts = { width = function() end, term = "xterm" }

  it("is flushed", function()
    local stream, flushed = new_stream(), 0
    function stream.flush() flushed = flushed + 1 end
    progress.new(stream, facts)(poll(running(0), 0))
    assert.equal(1, flushed)
  end)

  it("may fail without ending the wait", function()
    local file = assert(io.tmpfile())
    local closed = assert(io.tmpfile())
    closed:close()
    local unreadable = assert(io.open "README.md")
    for _, stream in ipairs {
      { write = function() error "closed" end }, { write = function() return nil, "closed" end },
      { write = function() end, flush = function() error "closed" end }, closed, unreadable, file,
    } do
      local show = progress.new(stream, facts)
      assert.is_nil(show(poll(running(0), 0)))
      assert.is_nil(show(last(running(1), 1)))
    end
    file:seek "set"
    assert.equal("0:00  InProgress, 0 %, 0 succeeded, 0 failed\n0:01  InProgress, 1 %, 3 succeeded, 1 failed\n",
      file:read "*a")
    file:close()
    unreadable:close()
  end)

  it("has a method write", function()
    local function caller(stream) progress.new(stream, facts) end
    local function wrapper(stream)
      local show = progress.new(stream, facts, 2)
      return show
    end
    local function outer(stream) return (wrapper(stream)) end
    for _, stream in ipairs { false, 5, true, {}, { write = 5 }, print, coroutine.create(function() end) } do
      for _, fn in ipairs { caller, outer } do
        local ok, message = pcall(fn, stream)
        assert.is_false(ok)
        local line = debug.getinfo(fn, "S").linedefined
        assert.matches(("progress_spec%%.lua:%d: bad argument 'stream' to 'progress'"):format(line), message)
        assert.matches("got " .. type(stream), message, 1, true)
      end
    end
  end)

  it("is no misuse where memory is too short to tell", function()
    local stream = setmetatable({}, { __index = function() error("not enough memory", 0) end })
    local ok, message = pcall(progress.new, stream)
    assert.is_false(ok)
    assert.equal("not enough memory", message)
  end)

  it("is standard error when none is given", function()
    assert.equal("function", type(progress.new()))
  end)
end)
