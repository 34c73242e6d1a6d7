/*
 * Programs, for credentials that one of them gives.
 */
#include "lua_process.h"

#include <string.h>

#include "lua_binding.h"

#define PROCESS_CLASS "iot.process"

static int process_gc(lua_State *L)
{
  iot_process_free(luaL_checkudata(L, 1, PROCESS_CLASS));
  return 0;
}

void liot_read_arguments(lua_State *L, int index, char *arguments[IOT_PROCESS_MAX_ARGUMENTS + 1])
{
  struct iot_view argument;
  int count, i;

  luaL_checktype(L, index, LUA_TTABLE);
  count = (int)liot_rawlen(L, index);
  if (count < 1 || count > IOT_PROCESS_MAX_ARGUMENTS)
    luaL_error(L, "1 to %d arguments expected", (int)IOT_PROCESS_MAX_ARGUMENTS);
  luaL_checkstack(L, count + LUA_MINSTACK, "too many arguments");
  for (i = 0; i < count; i++) {
    lua_rawgeti(L, index, i + 1);
    luaL_checktype(L, -1, LUA_TSTRING);
    argument = liot_view(L, -1);
    if (strlen(argument.p) != argument.n)
      luaL_error(L, "argument %d holds a NUL", i + 1);
    /* posix_spawn takes them so, and leaves them alone. */
    arguments[i] = (char *)(size_t)argument.p;
  }
  arguments[count] = NULL;
}

double liot_check_seconds(lua_State *L, int index)
{
  const double seconds = luaL_checknumber(L, index);

  luaL_argcheck(L, seconds <= 1e9, index, "no number of seconds");
  return seconds;
}

void liot_push_process(lua_State *L, const struct iot_process *process)
{
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, process->exit_status);
  lua_setfield(L, -2, "status");
  lua_pushinteger(L, process->signal);
  lua_setfield(L, -2, "signal");
  liot_push_view(L, iot_buffer_view(&process->output));
  lua_setfield(L, -2, "output");
  liot_push_view(L, iot_buffer_view(&process->errors));
  lua_setfield(L, -2, "errors");
}

/*
 * core.run(arguments, seconds) -> { status=, signal=, output=, errors= } | nil, message, facts
 * arguments: a list, the program first; see iot_process_run
 */
static int run(lua_State *L)
{
  char *arguments[IOT_PROCESS_MAX_ARGUMENTS + 1];
  struct liot_hook hook;
  const struct iot_interrupt *interrupt = liot_watch_hook(L, &hook);
  struct iot_process *process;
  struct iot_error error;
  enum iot_status status;
  double seconds;

  luaL_checktype(L, 1, LUA_TTABLE);
  seconds = liot_check_seconds(L, 2);
  liot_read_arguments(L, 1, arguments);
  process = lua_newuserdata(L, sizeof *process);
  iot_process_init(process);
  luaL_getmetatable(L, PROCESS_CLASS);
  lua_setmetatable(L, -2);
  status = iot_process_run(process, arguments, seconds, interrupt, &error);
  if (status == IOT_OK)
    liot_push_process(L, process);
  iot_process_free(process);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

void liot_open_process(lua_State *L)
{
  static const luaL_Reg metamethods[] = { { "__gc", process_gc }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg functions[] = { { "run", run }, { NULL, NULL } };

  lua_pushnil(L);
  liot_new_class(L, PROCESS_CLASS, metamethods, none);
  liot_register(L, functions, 0);
}
