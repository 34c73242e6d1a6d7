-- What the fuzzers in Lua (spec/fuzz/) hold the library to, held for their seeds: in every Lua, and where there is no
-- clang to fuzz with.
local command = require "spec.support.command"
local environment = require "spec.support.environment"
local files = require "spec.support.files"

local function names_in(folder)
  local names = {}
  for name in command.run({ "ls", folder }).stdout:gmatch "[^\n]+" do names[#names + 1] = name end
  return names
end

describe("the seeds of the fuzzers", function()
  local home

  setup(function()
    home = command.run({ "mktemp", "-d" }).stdout:match "%S+"
    environment.replace {
      HOME = home, AWS_CONFIG_FILE = home .. "/config", AWS_SHARED_CREDENTIALS_FILE = home .. "/credentials",
    }
  end)

  teardown(function()
    environment.restore()
    command.run { "rm", "-rf", home }
  end)

  for _, file in ipairs(names_in "spec/fuzz/targets") do
    local target = file:match "^(.*)%.lua$"

    it("keep all promises: " .. target, function()
      local run = assert(loadfile("spec/fuzz/targets/" .. file))()
      local seeds = names_in("spec/fuzz/seeds/" .. target)
      assert.is_true(#seeds > 0)
      for _, seed in ipairs(seeds) do
        local text = assert(files.read(("spec/fuzz/seeds/%s/%s"):format(target, seed)))
        run(text)
        for size = 0, #text, 37 do run(text:sub(1, size)) end
      end
    end)
  end
end)
