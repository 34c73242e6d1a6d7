/*
 * Lua files that someone looks at.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "iot_terminal.h"
#include "lua_binding.h"
#include "lua_util.h"

/* The stream of the value at `index`; NULL when it is no Lua file, or a closed one. */
static FILE *open_stream(lua_State *L, int index)
{
  bool is_file;

  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
    return NULL;
  luaL_getmetatable(L, LUA_FILEHANDLE);
  is_file = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is_file ? liot_stream(lua_touserdata(L, index)) : NULL;
}

/* core.terminal_width(file) -> columns | nil: on no terminal, closed, or no Lua file at all */
static int terminal_width(lua_State *L)
{
  FILE *stream = open_stream(L, 1);
  const int columns = stream ? iot_terminal_width(fileno(stream)) : 0;

  if (columns > 0)
    lua_pushinteger(L, columns);
  else
    lua_pushnil(L);
  return 1;
}

/* core.write_stream(file, text) -> true, when all was written | false, reason */
static int write_stream(lua_State *L)
{
  FILE *stream;

  luaL_checktype(L, 2, LUA_TSTRING);
  stream = open_stream(L, 1);
  if (stream && iot_terminal_write(stream, liot_view(L, 2))) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_pushstring(L, stream ? strerror(errno) : "it is no open file");
  return 2;
}

void liot_open_terminal(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "terminal_width", terminal_width },
    { "write_stream", write_stream },
    { NULL, NULL },
  };

  liot_register(L, functions, 0);
}
