#include "lua_reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iot_clock.h"
#include "lua_codec.h"

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

/* Whether the table on top of the stack is a list of strings, or a map of them; [] and {} are both. */
static bool holds_strings(lua_State *L, int key_type)
{
  bool good = true;

  lua_pushnil(L);
  while (lua_next(L, -2)) {
    good = good && lua_type(L, -2) == key_type && lua_type(L, -1) == LUA_TSTRING;
    lua_pop(L, 1);
  }
  return good;
}

/* Hold the member on top of the stack against its type; a time's text becomes a number. */
static bool check_member(lua_State *L, const struct iot_member *member)
{
  double time;

  switch (member->type) {
  case IOT_STRING: return lua_type(L, -1) == LUA_TSTRING;
  case IOT_INTEGER: return lua_type(L, -1) == LUA_TNUMBER && liot_is_integral(lua_tonumber(L, -1));
  case IOT_TIMESTAMP:
    if (lua_type(L, -1) != LUA_TSTRING)
      return lua_type(L, -1) == LUA_TNUMBER;
    if (!read_time_text(liot_view(L, -1), &time))
      return false;
    lua_pop(L, 1);
    lua_pushnumber(L, time);
    return liot_normalize_number(L);
  case IOT_STRING_LIST: return lua_istable(L, -1) && holds_strings(L, LUA_TNUMBER);
  case IOT_STRING_MAP: return lua_istable(L, -1) && holds_strings(L, LUA_TSTRING);
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
  liot_normalize_number(L);
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
  if (!liot_decode_object(L, codec, iot_buffer_view(&reply->body), &error))
    return malformed(L, reply, error.message);
  if (!liot_normalize(L))
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
  struct iot_view message;
  const int object = lua_gettop(L) + 1;
  char status[16];
  struct iot_error error;
  bool understood = liot_decode_object(L, codec, iot_buffer_view(&reply->body), &error);

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
