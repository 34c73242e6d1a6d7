-- Both ways to install, each into a folder of its own: what is installed loads from any folder and
-- needs nothing of the tree. What is built goes there too, out of the way of other runs in the tree.
local command = require "spec.support.command"

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

describe("installed", function()
  local folder

  before_each(function() folder = line_of(sh "mktemp -d") end)
  after_each(function() sh('rm -rf "$1"', folder) end)

  it("by make, it loads from anywhere", function()
    line_of(sh([[make -j2 install LUA="$2" BUILD="$1/build" DESTDIR="$1/stage" PREFIX=/opt/iot]], folder, lua))
    assert_loads_from(folder .. "/stage/opt/iot")
    assert.equal("", line_of(sh('find "$1/stage" -type f ! -path "*/iot/*" ! -name "*.lua"', folder)))
  end)

  -- LuaRocks builds inside the tree and looks into the home folder, so it gets its own of both.
  if not is_luajit then
    it("by LuaRocks, it loads from anywhere", function()
      if sh("command -v luarocks").code ~= 0 then return pending "LuaRocks is not installed" end
      line_of(sh([[
        mkdir "$1/source" "$1/home"
        cp -R csrc lua ./*.rockspec LICENSE "$1/source"
        cd "$1/source"
        unset LUA_PATH LUA_CPATH
        HOME="$1/home" luarocks --lua-version "$2" --tree "$1/tree" make --deps-mode none]], folder, version))
      assert_loads_from(folder .. "/tree")
    end)
  end

  it("nowhere, it does not load: the two above are no accident", function()
    assert.are_not.equal(0, load_from(folder).code)
  end)
end)
