-- The README's programs, run as they stand, against the simulator.
local child = require "spec.support.child"
local files = require "spec.support.files"
local simulator = require "spec.support.simulator"

local function programs()
  local found = {}
  for program in files.read("README.md"):gmatch("```lua\n(.-)```") do found[#found + 1] = program end
  return found
end

describe("the README", function()
  local sim, task_id

  setup(function()
    sim = simulator.start()
    task_id = sim:seed {
      status = "InProgress", successCount = 117, failureCount = 3, percentageProgress = 80,
    }
  end)

  teardown(function() sim:stop() end)

  local function run(program, task)
    local variables = sim:environment()
    variables.TASK_ID = task or task_id
    return child.output(program, variables)
  end

  it("describes a task", function()
    local output = run(programs()[1])
    assert.matches("InProgress\t80 %", output, 1, true)
    assert.matches("117 things registered, 3 failed", output, 1, true)
  end)

  it("tells a missing task from other failures", function()
    assert.matches("gone: describe_thing_registration_task: ResourceNotFoundException: ",
      run(programs()[2]), 1, true)
  end)

  it("waits for a task, and describes many at once", function()
    local output = run(programs()[3], sim:seed { status = "Completed", successCount = 5, failureCount = 2 })
    assert.matches("Completed\t2 failed\n1\tCompleted\n2\t[^\n]*ResourceNotFoundException", output)
  end)

  it("prints what failed", function()
    local failed = sim:seed { plan = { things = 5, failures = 2, seconds = 0 } }
    local output = run(programs()[4])
    local count = 0
    for line in output:gmatch "[^\n]+" do
      if line:sub(1, #failed) == failed then
        assert.matches("^\tline %d+\t%a+Exception: ", line:sub(#failed + 1))
        count = count + 1
      end
    end
    assert.equal(2, count)
  end)

  it("presigns a URL", function()
    assert.matches("^https://bucket%.s3%.amazonaws%.com/a%%20key%?.*&X%-Amz%-Signature=%x+\n$",
      run(programs()[5]))
  end)

  it("has no other programs", function()
    assert.equal(5, #programs())
  end)
end)
