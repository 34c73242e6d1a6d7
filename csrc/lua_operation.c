/*
 * Each operation of the service as one signed attempt: whole, and in the halves before and after the
 * exchange.
 */
#include <string.h>

#include "iot_clock.h"
#include "lua_binding.h"
#include "lua_client.h"
#include "lua_params.h"
#include "lua_reply.h"

enum { CODEC = lua_upvalueindex(1), OPERATION = lua_upvalueindex(2) };

void liot_read_attempt(lua_State *L, int index, struct iot_attempt *attempt)
{
  memset(attempt, 0, sizeof *attempt);
  luaL_checktype(L, index, LUA_TTABLE);
  attempt->credentials = liot_credentials_field(L, index, "credentials");
  attempt->time = liot_time_field(L, index, "time", iot_clock_now());
  attempt->timeout = liot_number_field(L, index, "timeout", 0);
  attempt->user_agent = liot_string_field(L, index, "user_agent");
  attempt->invocation_id = liot_string_field(L, index, "invocation_id");
  attempt->trace_id = liot_string_field(L, index, "trace_id");
  iot_attempt_count(attempt, liot_number_field(L, index, "number", 1),
      liot_number_field(L, index, "max_attempts", 1), liot_time_field(L, index, "ttl", 0));
}

int liot_decode_result(
    lua_State *L, int codec, const struct iot_operation *operation, const struct iot_reply *reply)
{
  if (liot_decode(L, codec, operation, reply) != 1)
    return 3;
  lua_pushinteger(L, reply->status);
  return 2;
}

/* core.NAME(client, params, attempt) -> result, HTTP status | nil, message, facts: one signed attempt */
static int call_operation(lua_State *L)
{
  const struct iot_operation *operation = lua_touserdata(L, OPERATION);
  struct liot_client *client = liot_check_client(L, 1);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct iot_attempt attempt;
  struct liot_hook hook;
  const struct iot_interrupt *interrupt = liot_watch_hook(L, &hook);
  struct iot_error error;
  enum iot_status status;
  struct liot_work *work;
  int results;

  luaL_checktype(L, 2, LUA_TTABLE);
  liot_read_attempt(L, 3, &attempt);
  status = liot_read_params(L, CODEC, 2, operation, values, &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  work = liot_take_work(L, client);
  liot_check_open(L, client);
  status = iot_attempt_write(
      &client->request, &client->signer, &attempt, &client->target, operation, values, &error);
  if (status == IOT_OK)
    status = iot_http_client_perform(client->http, iot_buffer_view(&client->target.origin),
        &client->request, attempt.timeout, &work->reply, interrupt, &error);
  work->reply.secret = attempt.credentials.session_token;
  results = status == IOT_OK ? liot_decode_result(L, CODEC, operation, &work->reply)
                             : liot_fail(L, status, &error);
  liot_give_back(client, work);
  return results;
}

const struct iot_operation *liot_check_operation(lua_State *L, int index)
{
  const struct iot_view name = iot_view_of(luaL_checkstring(L, index));
  const struct iot_operation *operation;

  for (operation = iot_operations; operation->name; operation++)
    if (iot_view_equal(iot_view_of(operation->name), name))
      return operation;
  luaL_argerror(L, index, "unknown operation");
  return NULL;
}

/* client:validate(name, params) -> true | nil, message, facts: what can be told without credentials */
static int validate(lua_State *L)
{
  struct liot_client *client = liot_check_client(L, 1);
  const struct iot_operation *operation = liot_check_operation(L, 2);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct iot_error error;
  enum iot_status status;

  luaL_checktype(L, 3, LUA_TTABLE);
  status = liot_read_params(L, CODEC, 3, operation, values, &error);
  liot_check_open(L, client);
  if (status == IOT_OK) {
    iot_request_clear(&client->request);
    status = iot_operation_write(
        &client->request, operation, iot_buffer_view(&client->target.base_path), values, &error);
  }
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  lua_pushboolean(L, 1);
  return 1;
}

/* client:prepare(name, params, attempt) -> the HTTP/1.1 bytes of the request | nil, message, facts */
static int prepare(lua_State *L)
{
  struct liot_client *client = liot_check_client(L, 1);
  const struct iot_operation *operation = liot_check_operation(L, 2);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct iot_attempt attempt;
  struct iot_error error;
  enum iot_status status;
  struct liot_work *work;

  luaL_checktype(L, 3, LUA_TTABLE);
  liot_read_attempt(L, 4, &attempt);
  status = liot_read_params(L, CODEC, 3, operation, values, &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  work = liot_take_work(L, client);
  liot_check_open(L, client);
  status = iot_attempt_write(
      &client->request, &client->signer, &attempt, &client->target, operation, values, &error);
  if (status == IOT_OK) {
    iot_buffer_clear(&work->wire);
    iot_request_write(&work->wire, &client->request);
    status = work->wire.status;
    if (status != IOT_OK)
      status = iot_fail_request(&error, status);
  }
  if (status == IOT_OK)
    liot_push_view(L, iot_buffer_view(&work->wire));
  liot_give_back(client, work);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/*
 * client:parse(name, status, head, body, attempt) -> result | nil, message, facts
 * The client may have been closed since the request: the reply of one that was under way is good.
 * head: the status line and the header lines, as they came
 * attempt: that of the request; without it a session token that the reply quotes is not hidden
 */
static int parse(lua_State *L)
{
  struct liot_client *client = luaL_checkudata(L, 1, LIOT_CLIENT_CLASS);
  const struct iot_operation *operation = liot_check_operation(L, 2);
  const lua_Integer http_status = luaL_checkinteger(L, 3);
  struct iot_attempt attempt;
  struct iot_error error;
  enum iot_status status;
  struct liot_work *work;
  int results;

  luaL_argcheck(L, http_status >= 100 && http_status <= 599, 3, "no status of HTTP");
  luaL_checktype(L, 4, LUA_TSTRING);
  luaL_checktype(L, 5, LUA_TSTRING);
  memset(&attempt, 0, sizeof attempt);
  if (!lua_isnoneornil(L, 6))
    liot_read_attempt(L, 6, &attempt);
  work = liot_take_work(L, client);
  iot_reply_clear(&work->reply);
  work->reply.status = (int)http_status;
  work->reply.secret = attempt.credentials.session_token;
  iot_buffer_append(&work->reply.head, liot_view(L, 4));
  iot_buffer_append(&work->reply.body, liot_view(L, 5));
  status = work->reply.head.status != IOT_OK ? work->reply.head.status : work->reply.body.status;
  if (status != IOT_OK)
    iot_fail(&error, status, "%s", iot_status_text(status));
  results = status == IOT_OK ? liot_decode(L, CODEC, operation, &work->reply)
                             : liot_fail(L, status, &error);
  liot_give_back(client, work);
  return results;
}

/* Each operation under its name, all names as the list `operations`, and `page_items`, which leads from those
   that come in pages to the name of a page's list; the rest as methods of clients. */
void liot_open_operations(lua_State *L, int codec)
{
  static const luaL_Reg methods[] = {
    { "validate", validate },
    { "prepare", prepare },
    { "parse", parse },
    { NULL, NULL },
  };
  const struct iot_operation *operation;

  luaL_getmetatable(L, LIOT_CLIENT_CLASS);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, codec);
  liot_register(L, methods, 1);
  lua_pop(L, 2);
  lua_newtable(L); /* module, page_items */
  lua_newtable(L); /* module, page_items, operations */
  for (operation = iot_operations; operation->name; operation++) {
    lua_pushstring(L, operation->name);
    lua_rawseti(L, -2, (int)liot_rawlen(L, -2) + 1);
    lua_pushvalue(L, codec);
    lua_pushlightuserdata(L, (void *)(size_t)operation);
    lua_pushcclosure(L, call_operation, 2);
    lua_setfield(L, -4, operation->name);
    if (operation->items) {
      lua_pushstring(L, operation->items);
      lua_setfield(L, -3, operation->name);
    }
  }
  lua_setfield(L, -3, "operations");
  lua_setfield(L, -2, "page_items");
}
