/*
 * A Lua interpreter in which any allocation can be made to fail.
 *
 *   host SCRIPT [ARGUMENT...]
 *
 * It is linked with the core, so that iot.core is preloaded and the core's own calls of malloc come here
 * (the linker's --wrap); OpenSSL and libcurl are told to allocate here, too. The preloaded module `torture`:
 *
 *   attempt(source, mode, n, fn, ...) -> whether a request failed, how many were made, then as pcall
 *     source: "lua", "core", "crypto" (OpenSSL), "curl"; those of this thread count
 *     mode: "collect" (of Lua: the n-th fails, its retry after a collection does not), "once" (the n-th), "on" (all
 *       from the n-th)
 *   fresh(source, mode, n, script) -> likewise, of the function that the script returns, called in a state
 *     of its own; then how the second call of it ended, without failures: ok, result; and the blocks of Lua left
 *   apart(source, mode, n, script) -> likewise, in a process of its own; nil and its status when that died
 *   blocks() -> the blocks that each source holds: a table; `objects` in it are those of OpenSSL and libcurl that the
 *     core holds
 *   others() -> how many allocations attempts made that none of these is asked for, the size of the largest, how many
 *     bytes of such are allocated, and how many blocks libcurl freed twice
 *   descriptors() -> how many are open
 *
 * TORTURE_STACK in the environment: print where the request was that failed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua_binding.h"
#include "sources.h"

static const char *const source_names[] = { "lua", "core", "crypto", "curl", NULL };
static const char *const mode_names[] = { "collect", "once", "on", NULL };

static void read_plan(lua_State *L)
{
  memset(&plan, 0, sizeof plan);
  plan.source = (enum source)luaL_checkoption(L, 1, NULL, source_names);
  plan.mode = (enum mode)luaL_checkoption(L, 2, NULL, mode_names);
  plan.n = (long)luaL_checknumber(L, 3);
}

/* Call what is on the stack, with its arguments, under the plan. */
static bool call_tortured(lua_State *L, int arguments)
{
  int status;

  plan.active = true;
  status = lua_pcall(L, arguments, LUA_MULTRET, 0);
  plan.active = false;
  return status == 0;
}

static int attempt(lua_State *L)
{
  bool ok;

  read_plan(L);
  luaL_checkstack(L, LUA_MINSTACK, "no stack");
  ok = call_tortured(L, lua_gettop(L) - 4);
  lua_pushboolean(L, plan.failed);
  lua_replace(L, 1);
  lua_pushnumber(L, (lua_Number)plan.seen);
  lua_replace(L, 2);
  lua_pushboolean(L, ok);
  lua_replace(L, 3);
  return lua_gettop(L);
}

static lua_State *new_state(void);

/* What became of the two calls, each as text. */
struct outcome {
  bool failed, ok[2];
  long seen, left, freed_twice;
  char text[2][400];
};

static void keep(struct outcome *outcome, int which, bool ok, lua_State *S)
{
  const char *text = lua_tostring(S, -1);

  outcome->ok[which] = ok;
  snprintf(
      outcome->text[which], sizeof outcome->text[which], "%s", text ? text : luaL_typename(S, -1));
}

static void run_fresh(struct outcome *outcome, const char *script)
{
  const long before = counts.blocks[OF_LUA], twice_before = counts.freed_twice;
  lua_State *S = new_state();

  memset(outcome, 0, sizeof *outcome);
  if (luaL_loadfile(S, script) || lua_pcall(S, 0, 1, 0)) {
    fprintf(stderr, "%s\n", lua_tostring(S, -1));
    abort();
  }
  lua_pushvalue(S, -1);
  keep(outcome, 0, call_tortured(S, 0), S);
  outcome->failed = plan.failed;
  outcome->seen = plan.seen;
  lua_settop(S, 1);
  keep(outcome, 1, lua_pcall(S, 0, 1, 0) == 0, S);
  lua_close(S);
  outcome->freed_twice = counts.freed_twice - twice_before;
  outcome->left = counts.blocks[OF_LUA] - before;
}

static int push_outcome(lua_State *L, const struct outcome *outcome)
{
  lua_pushboolean(L, outcome->failed);
  lua_pushnumber(L, (lua_Number)outcome->seen);
  lua_pushboolean(L, outcome->ok[0]);
  lua_pushstring(L, outcome->text[0]);
  lua_pushboolean(L, outcome->ok[1]);
  lua_pushstring(L, outcome->text[1]);
  lua_pushnumber(L, (lua_Number)outcome->left);
  return 7;
}

static int fresh(lua_State *L)
{
  struct outcome outcome;

  read_plan(L);
  run_fresh(&outcome, luaL_checkstring(L, 4));
  return push_outcome(L, &outcome);
}

/* The child ends without the exit handlers, which are the parent's to run. */
static int apart(lua_State *L)
{
  const char *script = luaL_checkstring(L, 4);
  struct outcome outcome;
  int ends[2], status;
  ssize_t n;
  pid_t child;

  read_plan(L);
  if (pipe(ends) != 0 || (child = fork()) < 0)
    return luaL_error(L, "no process for it");
  if (child == 0) {
    run_fresh(&outcome, script);
    n = write(ends[1], &outcome, sizeof outcome);
    _exit(n != (ssize_t)sizeof outcome);
  }
  close(ends[1]);
  n = read(ends[0], &outcome, sizeof outcome);
  close(ends[0]);
  waitpid(child, &status, 0);
  if (n == (ssize_t)sizeof outcome && status == 0) {
    counts.freed_twice += outcome.freed_twice;
    return push_outcome(L, &outcome);
  }
  lua_pushnil(L);
  lua_pushnumber(L, status);
  return 2;
}

static int push_blocks(lua_State *L)
{
  const struct counts now = counts;
  int i;

  lua_newtable(L);
  lua_pushnumber(L, (lua_Number)now.objects);
  lua_setfield(L, -2, "objects");
  for (i = 0; i < SOURCES; i++) {
    lua_pushnumber(L, (lua_Number)now.blocks[i]);
    lua_setfield(L, -2, source_names[i]);
  }
  return 1;
}

static int push_others(lua_State *L)
{
  const long left = sources_rest();

  lua_pushnumber(L, (lua_Number)counts.others);
  lua_pushnumber(L, (lua_Number)counts.largest_other);
  lua_pushnumber(L, (lua_Number)left);
  lua_pushnumber(L, (lua_Number)counts.freed_twice);
  return 4;
}

static int descriptors(lua_State *L)
{
  DIR *folder = opendir("/proc/self/fd");
  int open = -1; /* that of the folder itself */
  const struct dirent *entry;

  if (!folder)
    return luaL_error(L, "no /proc");
  while ((entry = readdir(folder)))
    open += entry->d_name[0] != '.';
  closedir(folder);
  lua_pushnumber(L, open);
  return 1;
}

static int open_torture(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "attempt", attempt },
    { "fresh", fresh },
    { "apart", apart },
    { "blocks", push_blocks },
    { "others", push_others },
    { "descriptors", descriptors },
    { NULL, NULL },
  };
  const luaL_Reg *function;

  lua_newtable(L);
  for (function = functions; function->name; function++) {
    lua_pushcfunction(L, function->func);
    lua_setfield(L, -2, function->name);
  }
  return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

static lua_State *new_state(void)
{
  lua_State *L = lua_newstate(lua_block, NULL);

  if (!L) {
    fprintf(stderr, "this Lua takes no allocator, or has no memory\n");
    exit(EXIT_FAILURE);
  }
  luaL_openlibs(L);
  /* LuaJIT's compiler crashes without memory; its interpreter does not. */
  if (luaL_loadstring(L, "if jit then jit.off() end") || lua_pcall(L, 0, 0, 0))
    lua_pop(L, 1);
  preload(L, "iot.core", luaopen_iot_core);
  preload(L, "torture", open_torture);
  return L;
}

int main(int argc, char **argv)
{
  lua_State *L;
  int failed, i;

  if (!sources_begin() || argc < 2) {
    fprintf(stderr, "usage: %s SCRIPT [ARGUMENT...]\n", argv[0]);
    return EXIT_FAILURE;
  }
  /* What has been said is not lost with a process that dies. */
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  L = new_state();
  failed = luaL_loadfile(L, argv[1]);
  for (i = 2; !failed && i < argc; i++)
    lua_pushstring(L, argv[i]);
  failed = failed || lua_pcall(L, argc - 2, 0, 0);
  if (failed)
    fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
  if (!failed)
    __lsan_do_leak_check(); /* while lua-cjson is there, by whose name it knows it; then it looks no more */
  lua_close(L);
  if (!failed && counts.blocks[OF_LUA] + counts.blocks[OF_CORE] != 0) {
    fprintf(stderr, "left at the end: %ld blocks of Lua, %ld of the core\n", counts.blocks[OF_LUA],
        counts.blocks[OF_CORE]);
    failed = 1;
  }
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
