/*
 * A Lua interpreter for runs under AddressSanitizer, LeakSanitizer and UBSan.
 *
 *   lua FILE [ARGUMENT...]
 *   lua -e CHUNK [ARGUMENT...]
 *
 * The sanitizers have to be in the program, not only in a module that it loads, and preloading them
 * would put them into every child process as well. So `make sanitize` compiles this file with them,
 * links it to the system's Lua and runs the specs with it. The state is closed at the end, after
 * an error too: what is allocated by then is a leak. (`os.exit(code, true)` closes it as well.)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static lua_State *interrupted;

static void stop(lua_State *L, lua_Debug *activation)
{
  (void)activation;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

/* As lua.c does: all that a handler may do with a Lua state is to set a hook, which then raises. */
static void on_interrupt(int number)
{
  signal(number, SIG_DFL);
  lua_sethook(interrupted, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* message -> message with a traceback. Lua 5.1 has it in the debug library only. */
static int add_traceback(lua_State *L)
{
  lua_settop(L, 1);
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "traceback");
  lua_insert(L, 1);
  lua_settop(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

/* The global `arg`: from the program at -1, or -2 with -e, to the last argument. */
static void set_arg(lua_State *L, int argc, char **argv, int script)
{
  int i;

  lua_newtable(L);
  for (i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

int main(int argc, char **argv)
{
  const int script = argc > 1 && strcmp(argv[1], "-e") == 0 ? 2 : 1;
  lua_State *L;
  int failed, i;

  if (argc <= script) {
    fprintf(stderr, "usage: %s FILE [ARGUMENT...] | -e CHUNK [ARGUMENT...]\n", argv[0]);
    return EXIT_FAILURE;
  }
  L = luaL_newstate();
  if (!L)
    return EXIT_FAILURE;
  luaL_openlibs(L);
  set_arg(L, argc, argv, script);
  lua_pushcfunction(L, add_traceback);
  failed = script == 2 ? luaL_loadstring(L, argv[2]) : luaL_loadfile(L, argv[1]);
  failed = failed || !lua_checkstack(L, argc);
  for (i = script + 1; !failed && i < argc; i++)
    lua_pushstring(L, argv[i]);
  interrupted = L;
  signal(SIGINT, on_interrupt);
  failed = failed || lua_pcall(L, argc - script - 1, 0, 1);
  if (failed)
    fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
  lua_close(L);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
