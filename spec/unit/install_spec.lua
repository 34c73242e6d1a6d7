-- Both ways to install, each into a folder of its own: what is installed loads from any folder and
-- needs nothing of the tree. What is built goes there too, out of the way of other runs in the tree.
local command = require "spec.support.command"
local files = require "spec.support.files"

local version = _VERSION:match "%d%.%d"
local is_luajit = rawget(_G, "jit") ~= nil
local lua = is_luajit and "luajit" or "lua" .. version
local expected = require("iot")._VERSION

local function sh(script, ...)
  return command.run({ "sh", "-euc", script, "sh", ... }, { timeout = 120 })
end

local function line_of(result)
  assert.equal(0, result.code, result.stdout .. result.stderr)
  return (result.stdout:gsub("\n$", ""))
end

-- Load iot in a new interpreter that finds Lua modules below `prefix` only, and print its version.
local function load_from(prefix)
  return sh([[
    cd /
    LUA_PATH="$1/share/lua/$2/?.lua;$1/share/lua/$2/?/init.lua" LUA_CPATH="$1/lib/lua/$2/?.so;;"
    export LUA_PATH LUA_CPATH
    exec "$3" -e 'print(require("iot")._VERSION)
      print(package.searchpath and package.searchpath("iot.core", package.cpath) or "")']],
    prefix, version, lua)
end

local function assert_loads_from(prefix)
  local answer = line_of(load_from(prefix))
  local found, core = answer:match "^([^\n]*)\n(.*)$"
  assert.equal(expected, found)
  if core ~= "" then assert.equal(("%s/lib/lua/%s/iot/core.so"):format(prefix, version), core) end
end

-- The command, run in another folder and told of no place to look for modules.
local function run_command(path, ...)
  return line_of(sh([[
    cd /
    unset LUA_PATH LUA_CPATH
    exec "$@"]], path, ...))
end

local function assert_runs(path)
  assert.equal("iot-tasks " .. expected, run_command(path, "--version"))
  assert.matches("^usage: iot%-tasks ", run_command(path, "--help"))
end

describe("installed", function()
  local folder, build

  setup(function() build = line_of(sh "mktemp -d") end)
  teardown(function() sh('rm -rf "$1"', build) end)
  before_each(function() folder = line_of(sh "mktemp -d") end)
  after_each(function() sh('rm -rf "$1"', folder) end)

  local function first_line(path)
    return files.read(path):match "[^\n]*"
  end

  it("by make, it loads from anywhere", function()
    line_of(sh([[make -j2 install LUA="$2" BUILD="$3" DESTDIR="$1/stage" PREFIX=/opt/iot]], folder, lua, build))
    assert_loads_from(folder .. "/stage/opt/iot")
    assert.equal("./bin/iot-tasks", line_of(sh([[
      cd "$1/stage/opt/iot"
      find . -type f ! -path "*/iot/*" ! -name "*.lua"]], folder)))
    assert.equal("", line_of(sh('find "$1/stage" -type f ! -path "*/opt/iot/*"', folder)))
    assert.equal("#!/usr/bin/env " .. lua, first_line(folder .. "/stage/opt/iot/bin/iot-tasks"))
  end)

  it("by make, the command runs from anywhere, wherever it is", function()
    local path = line_of(sh('command -v "$1"', lua))
    line_of(sh([[make -j2 install LUA="$2" BUILD="$3" PREFIX="$1/an odd, place"]], folder, path, build))
    line_of(sh([[make -j2 install LUA="$2" BUILD="$3" PREFIX="$1/lib" INST_BINDIR="$1/commands"]], folder, lua, build))
    assert_runs(folder .. "/an odd, place/bin/iot-tasks")
    assert_runs(folder .. "/commands/iot-tasks")
    assert.equal("#!" .. path, first_line(folder .. "/an odd, place/bin/iot-tasks"))
  end)

  -- LuaRocks builds inside the tree and looks into the home folder, so it gets its own of both. The command finds
  -- the tree only where LuaRocks sees to what it depends on: so it is told that lua-cjson is there.
  if not is_luajit then
    it("by LuaRocks, it loads from anywhere", function()
      if sh("command -v luarocks").code ~= 0 then return pending "LuaRocks is not installed" end
      if sh("luarocks --version").stdout:find " 2%." then
        return pending "LuaRocks is older than 3" -- which takes no rockspec of ours
      end
      line_of(sh([[
        mkdir -p "$1/source" "$1/home/.luarocks"
        echo 'rocks_provided = { ["lua-cjson"] = "2.1.0-1" }' >"$1/home/.luarocks/config-$2.lua"
        cp -R csrc lua ./*.rockspec LICENSE "$1/source"
        cd "$1/source"
        unset LUA_PATH LUA_CPATH
        HOME="$1/home" luarocks --lua-version "$2" --tree "$1/tree" make]], folder, version))
      assert_loads_from(folder .. "/tree")
      assert_runs(folder .. "/tree/bin/iot-tasks")
    end)
  end

  it("nowhere, it does not load: the two above are no accident", function()
    assert.are_not.equal(0, load_from(folder).code)
  end)
end)
