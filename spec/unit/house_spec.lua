-- The rules of the house: which file may use what, what the rockspec lists, what lies where. Each
-- rule is a function from files, a list of { path, text }, to a list of complaints; it runs on the
-- tree, where it must have none, and on a small broken example, where it must complain.
local files = require "spec.support.files"

local rockspec_path = "iot-scm-1.rockspec"
local max_lines = 500

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local function read_all(paths)
  local list = {}
  for _, path in ipairs(paths) do list[#list + 1] = { path = path, text = assert(files.read(path)) } end
  return list
end

local function text_of(list, path)
  for _, file in ipairs(list) do
    if file.path == path then return file.text end
  end
end

-- Calls see(path, header) for each #include.
local function each_include(list, see)
  for _, file in ipairs(list) do
    if file.path:match "^csrc/" then
      for header in ("\n" .. file.text):gmatch '\n%s*#%s*include%s*[<"]([^>"]+)[>"]' do see(file.path, header) end
    end
  end
end

-- The text with comments blanked, for rules on what code does.
local function code_of(file)
  if file.path:match "%.lua$" then
    return (file.text:gsub("%-%-%[%[.-%]%]", " "):gsub("%-%-[^\n]*", " "))
  end
  return (file.text:gsub("/%*.-%*/", " "))
end

local function pure_core(list)
  local complaints = {}
  each_include(list, function(path, header)
    if path:match "^csrc/iot_" and (header:match "^lua" or header == "lauxlib.h") then
      complaints[#complaints + 1] = path .. " includes " .. header
    end
  end)
  return complaints
end

-- The headers under `folder` are for these files alone.
local function only_includers(folder, ...)
  local owners = {}
  for _, path in ipairs { ... } do owners[path] = true end
  return function(list)
    local complaints = {}
    each_include(list, function(path, header)
      if header:sub(1, #folder) == folder and not owners[path] then
        complaints[#complaints + 1] = path .. " includes " .. header
      end
    end)
    return complaints
  end
end

local function one_user_of_cjson(list)
  local complaints = {}
  for _, file in ipairs(list) do
    if file.path ~= "csrc/lua_codec.c" and file.path ~= rockspec_path and code_of(file):find "cjson" then
      complaints[#complaints + 1] = file.path .. " uses cjson"
    end
  end
  return complaints
end

local function one_mention_of_ngx(list)
  local complaints = {}
  for _, file in ipairs(list) do
    if file.path:match "^lua/" and not file.path:find "^lua/iot/runtime/nginx/"
      and (" " .. file.text .. " "):find "[^%w_]ngx[^%w_]" then
      complaints[#complaints + 1] = file.path .. " mentions ngx"
    end
  end
  return complaints
end

-- Each file may include its own layer and those below.
local layers = {
  buffer = 1, status = 1, sigpipe = 1,
  crypto = 2, clock = 2, uri = 2, trust = 2, terminal = 2, file = 3, heap = 3, interrupt = 3, process = 4,
  sigv4 = 3, name_set = 3,
  request = 4, reply = 4, http_options = 4,
  operations = 5, http_exchange = 5, http = 6, http_multi = 6, attempt = 6,
  http_client = 7, multi = 8,
}

local function downward_includes(list)
  local complaints = {}
  for _, file in ipairs(list) do
    local name = file.path:match "^csrc/iot_([%w_]+)%.[ch]$"
    if name and not layers[name] then complaints[#complaints + 1] = file.path .. " is in no layer" end
  end
  each_include(list, function(path, header)
    local from, to = layers[path:match "^csrc/iot_([%w_]+)"], layers[header:match "^iot_([%w_]+)%.h$"]
    if from and to and from < to then complaints[#complaints + 1] = path .. " includes " .. header end
  end)
  return complaints
end

local function short_files(list)
  local complaints = {}
  for _, file in ipairs(list) do
    local _, count = file.text:gsub("\n", "")
    if count > max_lines then complaints[#complaints + 1] = ("%s has %d lines"):format(file.path, count) end
  end
  return complaints
end

local function plain_text(list)
  local complaints = {}
  for _, file in ipairs(list) do
    local number = 0
    for line in file.text:gmatch "([^\n]*)\n?" do
      number = number + 1
      local byte = line:match "[^\32-\126]"
      if byte then complaints[#complaints + 1] = ("%s:%d holds byte %d"):format(file.path, number, byte:byte()) end
    end
  end
  return complaints
end

-- Lua 5.5 has the keyword `global`, of which it takes no notice only where it was built so.
local function no_new_keyword(list)
  local complaints = {}
  for _, file in ipairs(list) do
    local code = file.path:match "%.lua$" and code_of(file):gsub('"[^"\n]*"', '""') or ""
    if code:find "%f[%w_]global%f[^%w_]" then
      complaints[#complaints + 1] = file.path .. " has the name global"
    end
  end
  return complaints
end

local function rockspec_of(list)
  local text, rockspec = assert(text_of(list, rockspec_path)), {}
  local setfenv = rawget(_G, "setfenv")
  local chunk = assert((rawget(_G, "loadstring") or load)(text, rockspec_path, "t", rockspec))
  if setfenv then setfenv(chunk, rockspec) end
  chunk()
  return rockspec
end

local function module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", "."):gsub("%.init$", ""))
end

local function complete_rockspec(list)
  local complaints, listed, present = {}, {}, {}
  local build = rockspec_of(list).build
  for name, path in pairs(build.install and build.install.bin or {}) do
    listed[path] = true
    if path ~= "lua/" .. name then complaints[#complaints + 1] = name .. " is not the name of " .. path end
  end
  for name, module in pairs(build.modules) do
    if type(module) == "string" then
      listed[module] = true
      if name ~= module_name(module) then complaints[#complaints + 1] = name .. " is not the name of " .. module end
    else
      for _, source in ipairs(module.sources) do listed[source] = true end
    end
  end
  for _, file in ipairs(list) do
    if file.path:match "^csrc/.*%.c$" or file.path:match "^lua/" then
      present[file.path] = true
      if not listed[file.path] then complaints[#complaints + 1] = "the rockspec lacks " .. file.path end
    end
  end
  for path in pairs(listed) do
    if not present[path] then complaints[#complaints + 1] = "the rockspec lists " .. path .. ", which is absent" end
  end
  return complaints
end

-- The version stands in C; Lua takes it from there, or says the same. A rock "scm" has no number.
local function one_version(list)
  local complaints = {}
  local version = assert(text_of(list, "csrc/lua_iot.c")):match '#define VERSION "([^"]*)"'
  local init = assert(text_of(list, "lua/iot/init.lua"))
  local in_lua = init:match '_VERSION%s*=%s*"([^"]*)"'
  if not version then complaints[#complaints + 1] = "csrc/lua_iot.c has no VERSION" end
  if in_lua and in_lua ~= version then complaints[#complaints + 1] = "lua/iot/init.lua has version " .. in_lua end
  if not in_lua and not init:find "_VERSION%s*=%s*core%.version" then
    complaints[#complaints + 1] = "lua/iot/init.lua has no _VERSION"
  end
  local rockspec = rockspec_of(list)
  if rockspec.package .. "-" .. rockspec.version .. ".rockspec" ~= rockspec_path then
    complaints[#complaints + 1] = "the rockspec's name and version are not those of its file"
  end
  return complaints
end

local allowed = { [rockspec_path] = true, Makefile = true, ["README.md"] = true, LICENSE = true,
  csrc = true, lua = true, spec = true }

local function tidy_top_level(list)
  local complaints, seen = {}, {}
  for _, file in ipairs(list) do
    local top = file.path:match "^[^/]+"
    if not allowed[top] and not top:match "^%." and not seen[top] then
      seen[top] = true
      complaints[#complaints + 1] = top .. " is at the top level"
    end
  end
  return complaints
end

local function file(path, text) return { path = path, text = text or "" } end

local good_rockspec = file(rockspec_path, [[
package = "iot"
version = "scm-1"
build = { modules = { ["iot.core"] = { sources = { "csrc/lua_iot.c" } }, iot = "lua/iot/init.lua" } }]])
local good_core = file("csrc/lua_iot.c", '#define VERSION "1.2.3"\n')
local good_init = file("lua/iot/init.lua", "return { _VERSION = core.version }\n")

-- Each rule with what it says of broken examples: { complaint, file... }.
local rules = {
  { "the core knows no Lua", pure_core, {
    { "csrc/iot_uri.c includes lua.h", file("csrc/iot_uri.c", "#include <lua.h>\n") },
    { "csrc/iot_uri.h includes lauxlib.h", file("csrc/iot_uri.h", '/* */\n# include "lauxlib.h"\n') },
    { "csrc/iot_http.c includes lua_util.h", file("csrc/iot_http.c", '\n#include "lua_util.h"\n') },
  } },
  { "OpenSSL has one user", only_includers("openssl/", "csrc/iot_crypto.c"), {
    { "csrc/iot_sigv4.c includes openssl/evp.h", file("csrc/iot_sigv4.c", "#include <openssl/evp.h>\n") },
    { "csrc/iot_crypto.h includes openssl/evp.h", file("csrc/iot_crypto.h", "#include <openssl/evp.h>\n") },
  } },
  { "libcurl is used in two files", only_includers("curl/", "csrc/iot_http.c", "csrc/iot_http_multi.c"), {
    { "csrc/lua_http.c includes curl/curl.h", file("csrc/lua_http.c", "#include <curl/curl.h>\n") },
  } },
  { "cjson has one user", one_user_of_cjson, {
    { "lua/iot/pages.lua uses cjson", file("lua/iot/pages.lua", 'local json = require "cjson"\n') },
    { "csrc/lua_util.c uses cjson", file("csrc/lua_util.c", 'lua_pushliteral(L, "cjson.safe");\n') },
  } },
  { "nginx's API is mentioned in one folder", one_mention_of_ngx, {
    { "lua/iot/client.lua mentions ngx", file("lua/iot/client.lua", "if ngx then return end\n") },
    { "lua/iot/retry.lua mentions ngx", file("lua/iot/retry.lua", "return ngx") },
  } },
  { "includes go down the layers", downward_includes, {
    { "csrc/iot_uri.c includes iot_sigv4.h", file("csrc/iot_uri.c", '#include "iot_sigv4.h"\n') },
    { "csrc/iot_buffer.h includes iot_crypto.h", file("csrc/iot_buffer.h", '#include "iot_crypto.h"\n') },
    { "csrc/iot_reply.c includes iot_http.h", file("csrc/iot_reply.c", '#include "iot_http.h"\n') },
    { "csrc/iot_extra.c is in no layer", file "csrc/iot_extra.c" },
  } },
  { "files are short", short_files, {
    { "csrc/iot_uri.c has 501 lines", file("csrc/iot_uri.c", ("\n"):rep(501)) },
  } },
  { "sources are plain text", plain_text, {
    { "lua/iot/client.lua:2 holds byte 9", file("lua/iot/client.lua", "\n\treturn\n") },
    { "csrc/iot_uri.c:1 holds byte 226", file("csrc/iot_uri.c", "/* \226\128\166 */\n") },
  } },
  { "no name is a keyword of Lua 5.5", no_new_keyword, {
    { "lua/iot/pages.lua has the name global", file("lua/iot/pages.lua", 'if x == t.global then return "" end\n') },
    { "lua/iot/retry.lua has the name global", file("lua/iot/retry.lua", "local global\n") },
  } },
  { "the rockspec lists every source and module", complete_rockspec, {
    { "the rockspec lacks csrc/iot_uri.c", good_rockspec, good_core, good_init, file "csrc/iot_uri.c" },
    { "the rockspec lacks lua/iot-tasks", good_rockspec, good_core, good_init, file "lua/iot-tasks" },
    { "the rockspec lacks lua/iot/retry.lua", good_rockspec, good_core, good_init, file "lua/iot/retry.lua" },
    { "the rockspec lists csrc/lua_iot.c, which is absent", good_rockspec, good_init },
    { "iot.pages is not the name of lua/iot/runtime/pages.lua", file(rockspec_path,
      'build = { modules = { ["iot.pages"] = "lua/iot/runtime/pages.lua" } }'), file "lua/iot/runtime/pages.lua" },
  } },
  { "there is one version", one_version, {
    { "lua/iot/init.lua has version 1.0.0", good_rockspec, good_core,
      file("lua/iot/init.lua", 'return { _VERSION = "1.0.0" }\n') },
    { "lua/iot/init.lua has no _VERSION", good_rockspec, good_core, file("lua/iot/init.lua", "return {}\n") },
    { "csrc/lua_iot.c has no VERSION", good_rockspec, file "csrc/lua_iot.c", good_init },
    { "the rockspec's name and version are not those of its file",
      file(rockspec_path, 'package = "iot" version = "1.0-1"'), good_core, good_init },
  } },
}

describe("the house", function()
  local tree = read_all(lines_of [[
    find csrc lua -type f '(' -name '*.[ch]' -o -name '*.lua' -o -path 'lua/iot-*' ')' | LC_ALL=C sort]])
  tree[#tree + 1] = file(rockspec_path, assert(files.read(rockspec_path)))

  it("has sources to look at", function()
    assert.is_truthy(text_of(tree, "csrc/iot_crypto.c"))
    assert.is_truthy(text_of(tree, "lua/iot/init.lua"))
    assert.is_truthy(text_of(tree, "lua/iot-tasks"))
  end)

  for _, rule in ipairs(rules) do
    local name, check, broken = rule[1], rule[2], rule[3]

    it("keeps the rule: " .. name, function()
      assert.same({}, check(tree))
    end)

    for _, example in ipairs(broken) do
      it("sees it when " .. example[1], function()
        local list = {}
        for i = 2, #example do list[i - 1] = example[i] end
        assert.same({ example[1] }, check(list))
      end)
    end
  end

  -- Also what only other Luas run: LuaJIT inside nginx, say.
  it("has no Lua file that this Lua does not take", function()
    local paths = lines_of "find lua spec .ci -name '*.lua' | LC_ALL=C sort"
    assert.is_true(#paths > 100)
    paths[#paths + 1] = "lua/iot-tasks"
    for _, path in ipairs(paths) do assert(loadfile(path)) end
  end)

  it("has nothing at the top level but what belongs there", function()
    local paths = lines_of "git ls-files 2>/dev/null"
    if #paths == 0 then paths = lines_of "ls -A | grep -vx build" end
    local list = {}
    for _, path in ipairs(paths) do list[#list + 1] = file(path) end
    assert.same({}, tidy_top_level(list))
    assert.same({ "notes.txt is at the top level", "bench is at the top level" }, tidy_top_level {
      file "Makefile", file "notes.txt", file ".ci/run", file "bench/a", file "bench/b", file "csrc/a.c" })
  end)
end)
