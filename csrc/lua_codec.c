#include "lua_codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iot_clock.h"

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

/* Parameters to request. */

static enum iot_status unknown_parameter(lua_State *L, struct iot_error *error)
{
  if (lua_type(L, -2) == LUA_TSTRING && iot_view_is_token(liot_view(L, -2)))
    return iot_fail(error, IOT_EPARAMETER, "unknown parameter '%s'", lua_tostring(L, -2));
  return iot_fail(error, IOT_EPARAMETER, "unknown parameter (a %s key)", luaL_typename(L, -2));
}

/* Take the value on top of the stack, which stays there or is replaced by what anchors *out. */
static enum iot_status read_value(lua_State *L, int codec, const struct iot_member *member,
    struct iot_view *out, struct iot_error *error)
{
  struct iot_error reason;

  if (lua_type(L, -1) != LUA_TSTRING)
    return iot_fail(
        error, IOT_EPARAMETER, "%s must be a string, got %s", member->name, luaL_typename(L, -1));
  if (!iot_view_is_utf8(liot_view(L, -1)))
    return iot_fail(error, IOT_EPARAMETER, "%s is not valid UTF-8", member->name);
  if (member->place == IOT_IN_BODY && !run_codec(L, codec, ENCODE, &reason))
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

/* Reply to result. */

/* Make the number on top of the stack an integer where it is one; false when it is not finite. */
static bool normalize_number(lua_State *L)
{
  const double number = lua_tonumber(L, -1);

  if (liot_isinteger(L, -1))
    return true;
  if (!isfinite(number))
    return false;
  if (floor(number) == number && fabs(number) < exact_limit) {
    lua_pop(L, 1);
    liot_pushintegral(L, number);
  }
  return true;
}

static bool is_null(lua_State *L, int index)
{
  return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL;
}

static bool normalize_value(lua_State *L);

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
    if (!normalize_value(L))
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
    } else if (!normalize_value(L)) {
      return false;
    }
    lua_pushvalue(L, -2); /* ..., table, key, value, key */
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return true;
}

/* Rid the value on top of the stack, at any depth, of nulls and of floats that are integers. False
   when a number in it is not finite; the stack then holds leftovers above it. */
static bool normalize_value(lua_State *L)
{
  size_t count;

  if (lua_type(L, -1) == LUA_TNUMBER)
    return normalize_number(L);
  if (!lua_istable(L, -1))
    return true;
  luaL_checkstack(L, 8, "reply nested too deeply");
  count = liot_rawlen(L, -1);
  return count ? normalize_array(L, count) : normalize_object(L);
}

/* "1.5e9" and "2018-01-18T09:18:06Z" are times as well (reference 1.8). */
static bool read_time_text(struct iot_view text, double *time)
{
  char *end;

  if (iot_clock_parse_rfc3339(time, text) == IOT_OK)
    return true;
  if (text.n == 0 || text.n > 32 || strspn(text.p, "+-.0123456789eE") != text.n)
    return false;
  *time = strtod(text.p, &end);
  return end == text.p + text.n && isfinite(*time);
}

/* Hold the member on top of the stack against its type; a time's text becomes a number. */
static bool check_member(lua_State *L, const struct iot_member *member)
{
  double time;

  switch (member->type) {
  case IOT_STRING: return lua_type(L, -1) == LUA_TSTRING;
  case IOT_INTEGER:
    return lua_type(L, -1) == LUA_TNUMBER && floor(lua_tonumber(L, -1)) == lua_tonumber(L, -1) &&
           fabs(lua_tonumber(L, -1)) < exact_limit;
  case IOT_TIMESTAMP:
    if (lua_type(L, -1) != LUA_TSTRING)
      return lua_type(L, -1) == LUA_TNUMBER;
    if (!read_time_text(liot_view(L, -1), &time))
      return false;
    lua_pop(L, 1);
    lua_pushnumber(L, time);
    return normalize_number(L);
  }
  return false;
}

/* The first member of the table on top of the stack that has a wrong type; NULL for none. */
static const char *check_members(lua_State *L, const struct iot_member *members)
{
  for (; members->name; members++) {
    lua_pushstring(L, members->name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3); /* table, name, value */
    if (lua_isnil(L, -1)) {
      lua_pop(L, 2);
      continue;
    }
    if (!check_member(L, members))
      return members->name;
    lua_rawset(L, -3);
  }
  return NULL;
}

/* Push the object that a body holds, nulls and such left in; false, with the reason in `error` and
   nothing pushed, when it holds none. */
static bool decode_object(lua_State *L, int codec, struct iot_view body, struct iot_error *error)
{
  body = iot_view_trim(body);
  iot_fail(error, IOT_ERESPONSE, "it is no JSON object");
  if (!iot_view_is_utf8(body)) {
    iot_fail(error, IOT_ERESPONSE, "it is not valid UTF-8");
    return false;
  }
  /* lua-cjson would take a NUL for the end of the text. */
  if (body.n == 0 || body.p[0] != '{' || memchr(body.p, '\0', body.n))
    return false;
  liot_push_view(L, body);
  if (run_codec(L, codec, DECODE, error))
    return true;
  lua_pop(L, 1);
  return false;
}

int liot_decode_json(lua_State *L)
{
  struct iot_error error;

  luaL_checktype(L, 1, LUA_TSTRING);
  if (decode_object(L, lua_upvalueindex(1), liot_view(L, 1), &error)) {
    if (normalize_value(L))
      return 1;
    iot_fail(&error, IOT_ERESPONSE, "it holds a number that is not finite");
  }
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}

int liot_encode_json(lua_State *L)
{
  struct iot_error error;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (run_codec(L, lua_upvalueindex(1), ENCODE, &error))
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}

/* table[name] = an excerpt of the text, of the table on top of the stack; nothing when empty. */
static void set_excerpt(
    lua_State *L, const char *name, const struct iot_reply *reply, struct iot_view text)
{
  char room[IOT_REPLY_EXCERPT];
  struct iot_view excerpt = { room, 0 };

  excerpt.n = iot_reply_excerpt(room, reply, text);
  liot_set_view(L, name, excerpt);
}

/* table[name] = a number, an integer where it is one, of the table on top of the stack. */
static void set_number(lua_State *L, const char *name, double number)
{
  lua_pushnumber(L, number);
  normalize_number(L);
  lua_setfield(L, -2, name);
}

/* What the reply says about time, into the table on top of the stack. */
static void set_times(lua_State *L, const struct iot_reply *reply)
{
  const int64_t now = (int64_t)iot_clock_now();
  double retry_after;
  int64_t server_time;

  if (iot_reply_retry_after(&retry_after, reply, now))
    set_number(L, "retry_after", retry_after);
  if (iot_reply_date(&server_time, reply, now))
    set_number(L, "server_time", (double)server_time);
}

/* Push nil, the message, and facts with what every reply tells; `facts` is then on top. */
static void push_failure(lua_State *L, const struct iot_reply *reply, struct iot_view message)
{
  char room[IOT_REPLY_EXCERPT];
  struct iot_view excerpt = { room, 0 };

  excerpt.n = iot_reply_excerpt(room, reply, message);
  lua_pushnil(L);
  liot_push_view(L, excerpt);
  lua_createtable(L, 0, 8);
  lua_pushinteger(L, reply->status);
  lua_setfield(L, -2, "status");
  set_times(L, reply);
  set_excerpt(L, "request_id", reply, iot_reply_request_id(reply));
}

static int malformed(lua_State *L, const struct iot_reply *reply, const char *reason)
{
  push_failure(L, reply, iot_view_of(reason));
  liot_set_view(L, "code", iot_view_of(iot_status_name(IOT_ERESPONSE)));
  set_excerpt(L, "body", reply, iot_buffer_view(&reply->body));
  return 3;
}

static int decode_result(
    lua_State *L, int codec, const struct iot_operation *operation, const struct iot_reply *reply)
{
  struct iot_error error;
  const char *member;

  if (iot_view_trim(iot_buffer_view(&reply->body)).n == 0) {
    lua_newtable(L);
    return 1;
  }
  if (!decode_object(L, codec, iot_buffer_view(&reply->body), &error))
    return malformed(L, reply, error.message);
  if (!normalize_value(L))
    return malformed(L, reply, "it holds a number that is not finite");
  member = check_members(L, operation->output);
  if (member) {
    iot_fail(&error, IOT_ERESPONSE, "its member %s has the wrong type", member);
    return malformed(L, reply, error.message);
  }
  return 1;
}

/* The first of the names that the table at `object` has a string for. The table anchors the view. */
static struct iot_view first_string(lua_State *L, int object, const char *const names[3])
{
  struct iot_view found = { NULL, 0 };
  size_t i;

  for (i = 0; i < 3 && found.n == 0; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, object);
    if (lua_type(L, -1) == LUA_TSTRING)
      found = liot_view(L, -1);
    lua_pop(L, 1);
  }
  return found;
}

/* The message of an error whose body is no object (reference 4.4): a text speaks for itself, but
   neither markup, nor JSON of another shape, nor bytes that are no text. */
static struct iot_view message_without_object(const struct iot_reply *reply)
{
  const struct iot_view body = iot_view_trim(iot_buffer_view(&reply->body));
  const bool markup = body.n && body.p[0] == '<';

  if (body.n && !markup && iot_view_is_utf8(body) && !strchr("[{\"", body.p[0]) &&
      !iot_view_equal(body, IOT_LITERAL("null")))
    return body;
  return markup || reply->status >= 500 ? iot_reply_reason(reply) : (struct iot_view){ NULL, 0 };
}

static int decode_error(lua_State *L, int codec, const struct iot_reply *reply)
{
  static const char *const codes[3] = { "code", "Code", "__type" };
  static const char *const messages[3] = { "message", "Message", "errorMessage" };
  struct iot_view code = iot_reply_error_code(iot_reply_header(reply, "x-amzn-errortype"));
  struct iot_view message = { NULL, 0 };
  const int object = lua_gettop(L) + 1;
  char status[16];
  struct iot_error error;
  bool understood = decode_object(L, codec, iot_buffer_view(&reply->body), &error);

  if (understood) {
    message = first_string(L, object, messages);
    if (code.n == 0)
      code = iot_reply_error_code(first_string(L, object, codes));
  } else {
    message = message_without_object(reply);
  }
  if (code.n == 0) {
    snprintf(status, sizeof status, "%d", reply->status);
    code = iot_view_of(status);
  }
  push_failure(L, reply, message);
  lua_pushliteral(L, "service");
  lua_setfield(L, -2, "kind");
  set_excerpt(L, "code", reply, code);
  if (!understood)
    set_excerpt(L, "body", reply, iot_buffer_view(&reply->body));
  return 3;
}

int liot_decode(
    lua_State *L, int codec, const struct iot_operation *operation, const struct iot_reply *reply)
{
  if (reply->status >= 200 && reply->status < 300)
    return decode_result(L, codec, operation, reply);
  return decode_error(L, codec, reply);
}
