#include "lua_params.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lua_codec.h"

static enum iot_status unknown_parameter(lua_State *L, struct iot_error *error)
{
  if (lua_type(L, -2) == LUA_TSTRING && iot_view_is_token(liot_view(L, -2)))
    return iot_fail(error, IOT_EPARAMETER, "unknown parameter '%s'", lua_tostring(L, -2));
  return iot_fail(error, IOT_EPARAMETER, "unknown parameter (a %s key)", luaL_typename(L, -2));
}

static enum iot_status read_string(lua_State *L, const char *name, struct iot_error *error)
{
  if (lua_type(L, -1) != LUA_TSTRING)
    return iot_fail(
        error, IOT_EPARAMETER, "%s must be a string, got %s", name, luaL_typename(L, -1));
  if (!iot_view_is_utf8(liot_view(L, -1)))
    return iot_fail(error, IOT_EPARAMETER, "%s is not valid UTF-8", name);
  return IOT_OK;
}

/* The number on top of the stack becomes its decimal digits, without a fraction in any Lua: its text in a query and
   in JSON. */
static enum iot_status read_integer(lua_State *L, const char *name, struct iot_error *error)
{
  const double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  char digits[16];

  if (lua_type(L, -1) != LUA_TNUMBER)
    return iot_fail(
        error, IOT_EPARAMETER, "%s must be an integer, got %s", name, luaL_typename(L, -1));
  if (!(number >= INT32_MIN && number <= INT32_MAX) || floor(number) != number)
    return iot_fail(error, IOT_EPARAMETER, "%s must be an integer of 32 bits", name);
  snprintf(digits, sizeof digits, "%.0f", number + 0.0); /* -0 has no sign then */
  lua_pop(L, 1);
  lua_pushstring(L, digits);
  return IOT_OK;
}

/* Hold the table on top of the stack against a map of strings. Its keys are quoted where that is safe. */
static enum iot_status read_string_map(lua_State *L, const char *name, struct iot_error *error)
{
  if (!lua_istable(L, -1))
    return iot_fail(
        error, IOT_EPARAMETER, "%s must be a table, got %s", name, luaL_typename(L, -1));
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const bool is_named = lua_type(L, -2) == LUA_TSTRING;
    const char *key = is_named && iot_view_is_token(liot_view(L, -2)) ? lua_tostring(L, -2) : "?";

    if (!is_named)
      return iot_fail(error, IOT_EPARAMETER, "%s must have strings as keys, got %s", name,
          luaL_typename(L, -2));
    if (!iot_view_is_utf8(liot_view(L, -2)))
      return iot_fail(error, IOT_EPARAMETER, "a key of %s is not valid UTF-8", name);
    if (lua_type(L, -1) != LUA_TSTRING)
      return iot_fail(error, IOT_EPARAMETER, "%s['%.64s'] must be a string, got %s", name, key,
          luaL_typename(L, -1));
    if (!iot_view_is_utf8(liot_view(L, -1)))
      return iot_fail(error, IOT_EPARAMETER, "%s['%.64s'] is not valid UTF-8", name, key);
    lua_pop(L, 1);
  }
  return IOT_OK;
}

static enum iot_status read_type(
    lua_State *L, const struct iot_member *member, struct iot_error *error)
{
  switch (member->type) {
  case IOT_INTEGER: return read_integer(L, member->name, error);
  case IOT_STRING_MAP: return read_string_map(L, member->name, error);
  default: return read_string(L, member->name, error);
  }
}

/* Take the value on top of the stack, which stays there or is replaced by what anchors *out. */
static enum iot_status read_value(lua_State *L, int codec, const struct iot_member *member,
    struct iot_view *out, struct iot_error *error)
{
  enum iot_status status = read_type(L, member, error);
  struct iot_error reason;

  if (status != IOT_OK)
    return status;
  if (member->place == IOT_IN_BODY && member->type != IOT_INTEGER &&
      !liot_encode(L, codec, &reason))
    return iot_fail(
        error, IOT_EPARAMETER, "%s cannot be written as JSON: %s", member->name, reason.message);
  *out = liot_view(L, -1);
  return IOT_OK;
}

enum iot_status liot_read_params(lua_State *L, int codec, int params,
    const struct iot_operation *operation, struct iot_view values[IOT_OPERATION_MAX_MEMBERS],
    struct iot_error *error)
{
  enum iot_status status;
  size_t i;

  memset(values, 0, IOT_OPERATION_MAX_MEMBERS * sizeof *values);
  luaL_checkstack(L, IOT_OPERATION_MAX_MEMBERS + 8, "too many parameters");
  lua_pushnil(L);
  while (lua_next(L, params)) {
    if (lua_type(L, -2) != LUA_TSTRING || !iot_member_find(operation->input, liot_view(L, -2)))
      return unknown_parameter(L, error);
    lua_pop(L, 1);
  }
  for (i = 0; operation->input[i].name; i++) {
    lua_pushstring(L, operation->input[i].name);
    lua_rawget(L, params);
    if (lua_isnil(L, -1))
      continue;
    status = read_value(L, codec, &operation->input[i], &values[i], error);
    if (status != IOT_OK)
      return status;
  }
  return IOT_OK;
}
