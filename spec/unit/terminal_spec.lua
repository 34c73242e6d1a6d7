-- What the C module knows of terminals, and how it writes to whoever looks on, who may be gone.
local core = require "iot.core"
local child = require "spec.support.child"
local files = require "spec.support.files"
local terminal = require "spec.support.terminal"

-- What a Lua program writes on terminals of these columns.
local function on_terminals(program, columns)
  local path = files.temporary()
  files.write(path, program)
  local jobs = {}
  for i, count in ipairs(columns) do
    jobs[i] = { columns = count, command = ('"$LUA" %s'):format(path) }
  end
  local outcomes = terminal.run(jobs)
  os.remove(path)
  return outcomes
end

describe("the width of a terminal", function()
  it("is what the terminal says, or 80", function()
    if terminal.missing() then return pending(terminal.missing()) end -- nothing to measure
    local columns = { 1, 20, 132, 65535, 0 }
    local outcomes = on_terminals([[
      local core = require "iot.core"
      for _, file in ipairs { io.stdin, io.stdout, io.stderr } do io.write(core.terminal_width(file), " ") end
      local file = assert(io.open "/dev/tty")
      io.write(core.terminal_width(file), " ")
      file:close()
      io.write(tostring(core.terminal_width(file)))
    ]], columns)
    for i, count in ipairs(columns) do
      local expected = tostring(count > 0 and count or 80)
      assert.equal((expected .. " "):rep(4) .. "nil", outcomes[i].bytes)
      assert.equal(0, outcomes[i].code)
    end
  end)

  it("is asked for each time", function()
    if terminal.missing() then return pending(terminal.missing()) end -- nothing to measure
    local outcomes = on_terminals([[
      local core = require "iot.core"
      for _, columns in ipairs { 50, 70 } do
        os.execute("stty cols " .. columns)
        io.write(core.terminal_width(io.stdout), " ")
      end
    ]], { 60 })
    assert.equal("50 70 ", outcomes[1].bytes)
  end)

  it("is none where there is no terminal", function()
    local pipe, file = assert(io.popen "true"), assert(io.tmpfile())
    for _, stream in ipairs { pipe, file, assert(io.open "/dev/null") } do
      assert.is_nil(core.terminal_width(stream))
      stream:close()
      assert.is_nil(core.terminal_width(stream))
    end
  end)

  it("is none of what is no Lua file", function()
    for _, value in ipairs {
      5, "file", false, {}, print, coroutine.create(function() end), io,
      core.client { endpoint = "http://127.0.0.1:1", region = "us-east-1" },
    } do
      assert.is_nil(core.terminal_width(value))
      assert.same({ false, "it is no open file" }, { core.write_stream(value, "text") })
    end
    assert.is_nil(core.terminal_width())
    assert.is_nil(core.terminal_width(nil, io.stdout))
  end)
end)

describe("a text for whoever looks on", function()
  it("is written at once, whatever its bytes", function()
    local path = files.temporary()
    local file = assert(io.open(path, "wb"))
    for _, text in ipairs { "a\0b\255\n", "", ("x"):rep(100000) } do
      local before = files.read(path)
      assert.is_true(core.write_stream(file, text))
      assert.equal(before .. text, files.read(path))
    end
    file:close()
    assert.is_false(core.write_stream(file, "text"))
    os.remove(path)
  end)

  it("comes after what was written before", function()
    assert.equal("first second third\n", child.output [[
      io.write "first "
      require("iot.core").write_stream(io.stdout, "second ")
      io.write "third\n"]])
  end)

  it("is a text", function()
    for _, value in ipairs { 5, {}, false } do assert.is_false((pcall(core.write_stream, io.stdout, value))) end
    assert.is_false((pcall(core.write_stream, io.stdout)))
  end)

  it("is not written where one cannot", function()
    local file = assert(io.open "README.md")
    assert.same({ false, "Bad file descriptor" }, { core.write_stream(file, "text") })
    file:close()
    local full = io.open("/dev/full", "w")
    if not full then return pending "there is no /dev/full" end -- Linux has it
    assert.same({ false, "No space left on device" }, { core.write_stream(full, "text") })
    pcall(full.close, full)
  end)

  -- A pipe whose reader has ended; what the program writes to `out` is what comes of it.
  local function output_with_reader_gone(program)
    local path = files.temporary()
    local inner = files.temporary()
    files.write(inner, ([[
      local core, out = require "iot.core", assert(io.open(%q, "w"))
      local pipe = assert(io.popen("exec <&-; kill $$", "w"))
      core.sleep(0.01)
      while core.write_stream(pipe, "x") do core.sleep(0.01) end
      %s
      out:close()
    ]]):format(path, program))
    local result = child.run(([[
      local code = os.execute("'" .. arg[-1] .. "' %s")
      os.exit((code == true or code == 0) and 0 or 1)]]):format(inner))
    local output = files.read(path)
    os.remove(path)
    os.remove(inner)
    return output, result
  end

  it("does not end the program when the reader has gone", function()
    local output, result = output_with_reader_gone [[
      out:write(tostring(core.write_stream(pipe, "y")), " ", tostring(core.write_stream(pipe, "y")))]]
    assert.equal("false false", output)
    assert.equal(0, result.code, result.stderr)
  end)

  it("leaves that signal as it was for all else", function()
    local output, result = output_with_reader_gone [[
      out:write "before "
      out:flush()
      pipe:setvbuf "no"
      pipe:write "y"
      out:write "after"]]
    assert.equal("before ", output)
    assert.are_not.equal(0, result.code)
  end)
end)
