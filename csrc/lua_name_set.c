/*
 * A set of names with the lines that they were first seen on.
 */
#include <math.h>

#include "iot_name_set.h"
#include "lua_binding.h"
#include "lua_util.h"

#define NAME_SET_CLASS "iot.name_set"

/* core.name_set() -> set | nil, message, facts */
static int name_set_new(lua_State *L)
{
  struct iot_name_set *set = lua_newuserdata(L, sizeof *set);
  struct iot_error error;
  enum iot_status status;

  iot_name_set_init(set);
  luaL_getmetatable(L, NAME_SET_CLASS);
  lua_setmetatable(L, -2);
  status = iot_name_set_open(set);
  if (status == IOT_OK)
    return 1;
  iot_fail(&error, status, "%s", iot_status_text(status));
  return liot_fail(L, status, &error);
}

static uint32_t check_line(lua_State *L, int index)
{
  const double line = luaL_checknumber(L, index);

  luaL_argcheck(L, line >= 1 && line <= UINT32_MAX && floor(line) == line, index, "no line number");
  return (uint32_t)line;
}

/* set:add(name, line) -> the earlier line of the name | nil: it is new | false, message, facts */
static int name_set_add(lua_State *L)
{
  struct iot_name_set *set = luaL_checkudata(L, 1, NAME_SET_CLASS);
  const uint32_t line = check_line(L, 3);
  struct iot_error error;
  enum iot_status status;
  uint32_t earlier;

  luaL_checktype(L, 2, LUA_TSTRING);
  status = iot_name_set_add(set, &earlier, liot_view(L, 2), line);
  if (status == IOT_EPARAMETER)
    return luaL_error(L, "%s", iot_status_text(status));
  if (status != IOT_OK) {
    iot_fail(&error, status, "%s", iot_status_text(status));
    liot_fail(L, status, &error);
    lua_pushboolean(L, 0);
    lua_replace(L, -4);
    return 3;
  }
  if (earlier)
    liot_pushintegral(L, earlier);
  else
    lua_pushnil(L);
  return 1;
}

/* set:clear() and __gc: forget all names and free their memory */
static int name_set_clear(lua_State *L)
{
  iot_name_set_clear(luaL_checkudata(L, 1, NAME_SET_CLASS));
  return 0;
}

void liot_open_name_set(lua_State *L)
{
  static const luaL_Reg metamethods[] = { { "__gc", name_set_clear }, { NULL, NULL } };
  static const luaL_Reg methods[] = {
    { "add", name_set_add },
    { "clear", name_set_clear },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "name_set", name_set_new }, { NULL, NULL } };

  lua_pushnil(L);
  liot_new_class(L, NAME_SET_CLASS, metamethods, methods);
  liot_register(L, functions, 0);
}
