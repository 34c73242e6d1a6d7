#include "lua_codec.h"

#include <math.h>
#include <string.h>

/* Places in the codec's table. */
enum { ENCODE = 1, DECODE };

/* Below 2^53 every integer is a float of its own (IEEE 754). */
static const double exact_limit = 9007199254740992.0;

static void configure(lua_State *L, const char *function)
{
  lua_getfield(L, -1, function);
  lua_pushboolean(L, 0);
  lua_call(L, 1, 0);
}

void liot_push_codec(lua_State *L)
{
  lua_createtable(L, 2, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson.safe");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1); /* codec, cjson, instance */
  configure(L, "decode_invalid_numbers");
  lua_getfield(L, -1, "encode");
  lua_rawseti(L, -4, ENCODE);
  lua_getfield(L, -1, "decode");
  lua_rawseti(L, -4, DECODE);
  lua_pop(L, 2);
}

/* Replace the value on top of the stack by what a function of the codec makes of it; false, with the
   reason in `error` and nil on the stack, when it fails. */
static bool run_codec(lua_State *L, int codec, int function, struct iot_error *error)
{
  lua_rawgeti(L, codec, function);
  lua_insert(L, -2);
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2))
    iot_fail(error, IOT_ERESPONSE, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "null");
  lua_pop(L, 1);
  return !lua_isnil(L, -1);
}

bool liot_encode(lua_State *L, int codec, struct iot_error *error)
{
  return run_codec(L, codec, ENCODE, error);
}

bool liot_is_integral(double number)
{
  return floor(number) == number && fabs(number) < exact_limit;
}

bool liot_normalize_number(lua_State *L)
{
  const double number = lua_tonumber(L, -1);

  if (liot_isinteger(L, -1))
    return true;
  if (!isfinite(number))
    return false;
  if (liot_is_integral(number)) {
    lua_pop(L, 1);
    liot_pushintegral(L, number);
  }
  return true;
}

static bool is_null(lua_State *L, int index)
{
  return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL;
}

/* lua-cjson gives arrays keys from 1 and objects string keys. Elements move up over nulls. */
static bool normalize_array(lua_State *L, size_t count)
{
  int from, to = 0;

  for (from = 1; from <= (int)count; from++) {
    lua_rawgeti(L, -1, from);
    if (is_null(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    if (!liot_normalize(L))
      return false;
    lua_rawseti(L, -2, ++to);
  }
  while (to < (int)count) {
    lua_pushnil(L);
    lua_rawseti(L, -2, ++to);
  }
  return true;
}

/* Assigning to fields that are there is allowed during a traversal. */
static bool normalize_object(lua_State *L)
{
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (is_null(L, -1)) {
      lua_pop(L, 1);
      lua_pushnil(L);
    } else if (!liot_normalize(L)) {
      return false;
    }
    lua_pushvalue(L, -2); /* ..., table, key, value, key */
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return true;
}

bool liot_normalize(lua_State *L)
{
  size_t count;

  if (lua_type(L, -1) == LUA_TNUMBER)
    return liot_normalize_number(L);
  if (!lua_istable(L, -1))
    return true;
  luaL_checkstack(L, 8, "reply nested too deeply");
  count = liot_rawlen(L, -1);
  return count ? normalize_array(L, count) : normalize_object(L);
}

bool liot_decode_object(lua_State *L, int codec, struct iot_view text, struct iot_error *error)
{
  text = iot_view_trim(text);
  iot_fail(error, IOT_ERESPONSE, "it is no JSON object");
  if (!iot_view_is_utf8(text)) {
    iot_fail(error, IOT_ERESPONSE, "it is not valid UTF-8");
    return false;
  }
  /* lua-cjson would take a NUL for the end of the text. */
  if (text.n == 0 || text.p[0] != '{' || memchr(text.p, '\0', text.n))
    return false;
  liot_push_view(L, text);
  if (run_codec(L, codec, DECODE, error))
    return true;
  lua_pop(L, 1);
  return false;
}

int liot_decode_json(lua_State *L)
{
  struct iot_error error;

  luaL_checktype(L, 1, LUA_TSTRING);
  if (liot_decode_object(L, lua_upvalueindex(1), liot_view(L, 1), &error)) {
    if (liot_normalize(L))
      return 1;
    iot_fail(&error, IOT_ERESPONSE, "it holds a number that is not finite");
  }
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}

int liot_decode_value(lua_State *L)
{
  struct iot_error error;
  struct iot_view text;

  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 1);
  text = liot_view(L, 1);
  if (!iot_view_is_utf8(text))
    iot_fail(&error, IOT_ERESPONSE, "it is not valid UTF-8");
  else if (iot_view_has_raw_control(text))
    iot_fail(&error, IOT_ERESPONSE, "a control character is not escaped");
  else if (run_codec(L, lua_upvalueindex(1), DECODE, &error))
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}

int liot_encode_json(lua_State *L)
{
  struct iot_error error;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (liot_encode(L, lua_upvalueindex(1), &error))
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}
