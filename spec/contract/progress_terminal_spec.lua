-- What a person sees of the example that waits: in terminals of several widths, and in a file.
local child = require "spec.support.child"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"
local terminal = require "spec.support.terminal"

local EXAMPLE = [["$LUA" spec/examples/wait.lua]]
local SECONDS = 4
local WIDTHS = { 100, 40, 20 }

-- What the display ends with at each width.
local LAST = {
  [100] = "^%[########################%]  100 %%  246 succeeded, 4 failed  0:%d%d  Completed$",
  [40] = "^%[##########%]  100 %%  Completed$",
  [20] = "^100 %%  Completed$",
}

describe("the example that waits", function()
  local sim, outcomes, shown, log

  -- All at once: each takes as long as its task.
  setup(function()
    if simulator.missing() or terminal.missing() then return end
    sim = simulator.start { things = 250, failures = 4, seconds = SECONDS, concurrent_tasks = 10 }
    local variables, output = sim:environment(), files.temporary()
    variables.TERM = "xterm"
    local jobs = { { columns = 100, command = EXAMPLE }, { command = EXAMPLE .. " >" .. output } }
    for _, columns in ipairs(WIDTHS) do
      jobs[#jobs + 1] = { columns = columns, command = EXAMPLE .. " >/dev/null" }
    end
    outcomes = terminal.run(jobs, variables)
    shown = {}
    for i, columns in ipairs(WIDTHS) do shown[columns] = outcomes[i + 2] end
    log = { errors = outcomes[2].bytes, output = files.read(output) }
    os.remove(output)
  end)

  teardown(function()
    if sim then sim:stop() end
  end)

  local function with(title, fn)
    it(title, function()
      if not sim then return pending(simulator.missing() or terminal.missing()) end -- nowhere to look
      return fn()
    end)
  end

  with("succeeds", function()
    for _, outcome in ipairs(outcomes) do assert.equal(0, outcome.code, outcome.bytes) end
  end)

  with("shows a person the task, one line of progress, and what came of it", function()
    local screen = terminal.replay(outcomes[1].bytes, 100)
    assert.equal(4, #screen.lines)
    assert.matches("^Waiting for task [%x-]+$", screen.lines[1])
    assert.matches(LAST[100], screen.lines[2])
    assert.equal("246 things registered, 4 failed", screen.lines[3])
    assert.equal("", screen.lines[4])
  end)

  for _, columns in ipairs(WIDTHS) do
    with(("keeps to one line in %d columns"):format(columns), function()
      local screen = terminal.replay(shown[columns].bytes, columns)
      assert.equal(0, screen.wraps)
      assert.is_true(screen.widest < columns, ("%d columns were in use"):format(screen.widest))
      assert.equal(2, #screen.lines)
      assert.matches(LAST[columns], screen.lines[1])
      assert.equal("", screen.lines[2])
    end)

    with(("moves on in %d columns, never back"):format(columns), function()
      local screen = terminal.replay(shown[columns].bytes, columns)
      local seen = {} -- each percentage once
      for _, frame in ipairs(screen.frames) do
        if frame ~= "" then
          local percent, before = tonumber(frame:match "(%d+) %%"), seen[#seen] or 0
          assert.is_true(percent >= before, ("%s after %d %%"):format(frame, before))
          if percent ~= seen[#seen] then seen[#seen + 1] = percent end
        end
      end
      assert.is_true(#seen >= 3, "it stood still at " .. table.concat(seen, ", "))
      assert.is_true(seen[1] < 50)
      assert.equal(100, seen[#seen])
    end)
  end

  with("tells the time, and what is left of it, where there is room", function()
    local screen = terminal.replay(shown[100].bytes, 100)
    local estimates = 0
    for _, frame in ipairs(screen.frames) do
      local left = frame:match "  0:%d%d  about (%d+) s left$"
      if left then
        estimates = estimates + 1
        assert.is_true(tonumber(left) <= 2 * SECONDS, frame)
      end
    end
    assert.is_true(estimates >= 1)
  end)

  with("writes plain lines to a file", function()
    assert.is_nil(log.errors:find "[^\10\32-\126]")
    local lines = {}
    for line in log.errors:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal(2, #lines, log.errors)
    assert.matches("^0:%d%d  InProgress, %d+ %%, %d+ succeeded, %d failed$", lines[1])
    assert.matches("^0:%d%d  Completed, 100 %%, 246 succeeded, 4 failed$", lines[2])
  end)

  with("keeps the display out of its output", function()
    assert.matches("^Waiting for task [%x-]+\n246 things registered, 4 failed\n$", log.output)
  end)

  with("fails with the task, and says why", function()
    sim:settings { status = "Failed", seconds = 0.1, message = "Unable to read the input file" }
    local result = child.run([[dofile "spec/examples/wait.lua"]], sim:environment())
    assert.equal(1, result.code)
    assert.matches("Failed, 50 %%, %d+ succeeded, %d failed\n", result.stderr)
    assert.matches("the task [%x-]+ failed: Unable to read the input file\n$", result.stderr)
    assert.is_nil(result.stdout:find "registered")
  end)
end)
