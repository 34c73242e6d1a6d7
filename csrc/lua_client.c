/*
 * The native client: made, asked and closed.
 */
#include "lua_binding.h"
#include "lua_client.h"
#include "lua_codec.h"

#define WORK_CLASS "iot.work"

static void init_work(struct liot_work *work)
{
  iot_reply_init(&work->reply);
  iot_buffer_init(&work->wire, IOT_REQUEST_MAX_TARGET + IOT_REQUEST_MAX_BODY + (1 << 18));
}

static void free_work(struct liot_work *work)
{
  iot_reply_free(&work->reply);
  iot_buffer_free(&work->wire);
}

static int work_gc(lua_State *L)
{
  free_work(luaL_checkudata(L, 1, WORK_CLASS));
  return 0;
}

void liot_check_open(lua_State *L, const struct liot_client *client)
{
  if (!client->http)
    luaL_error(L, "attempt to use a closed client");
}

struct liot_work *liot_take_work(lua_State *L, struct liot_client *client)
{
  struct liot_work *work = lua_newuserdata(L, sizeof *work);

  init_work(work);
  luaL_getmetatable(L, WORK_CLASS);
  lua_setmetatable(L, -2);
  *work = client->idle;
  init_work(&client->idle);
  return work;
}

void liot_give_back(struct liot_client *client, struct liot_work *work)
{
  if (!client->http || client->idle.reply.body.p || client->idle.wire.p) {
    free_work(work);
    return;
  }
  iot_reply_clear(&work->reply);
  client->idle = *work;
  init_work(work);
}

struct liot_client *liot_check_client(lua_State *L, int index)
{
  struct liot_client *client = luaL_checkudata(L, index, LIOT_CLIENT_CLASS);

  liot_check_open(L, client);
  return client;
}

/* client:close(), __gc and __close; safe to run twice */
static int client_close(lua_State *L)
{
  struct liot_client *client = luaL_checkudata(L, 1, LIOT_CLIENT_CLASS);

  iot_http_client_close(client->http);
  client->http = NULL;
  iot_sigv4_free(&client->signer);
  iot_request_free(&client->request);
  iot_target_free(&client->target);
  free_work(&client->idle);
  return 0;
}

static struct liot_client *push_inert_client(lua_State *L)
{
  struct liot_client *client = lua_newuserdata(L, sizeof *client);

  client->http = NULL;
  iot_sigv4_init(&client->signer);
  iot_request_init(&client->request);
  iot_target_init(&client->target);
  init_work(&client->idle);
  luaL_getmetatable(L, LIOT_CLIENT_CLASS);
  lua_setmetatable(L, -2);
  return client;
}

/*
 * core.client{ endpoint=, region=, ca_bundle=, proxy=, connect_timeout=, read_timeout= } -> client | nil, message, facts
 */
static int client_new(lua_State *L)
{
  struct iot_http_options options = { .allow_plain = false };
  struct iot_view endpoint, region;
  struct liot_client *client;
  struct iot_error error;
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TTABLE);
  endpoint = liot_string_field(L, 1, "endpoint");
  region = liot_string_field(L, 1, "region");
  options.ca_bundle = liot_string_field(L, 1, "ca_bundle");
  options.proxy = liot_string_field(L, 1, "proxy");
  options.connect_timeout = liot_number_field(L, 1, "connect_timeout", 0);
  options.read_timeout = liot_number_field(L, 1, "read_timeout", 0);
  client = push_inert_client(L);
  status = iot_target_set(&client->target, endpoint, region, &error);
  options.allow_plain = !client->target.https;
  if (status == IOT_OK)
    status = iot_http_client_open(&client->http, &options, &error);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/* client:endpoint() -> the URL that requests go to, without a trailing "/" */
static int client_endpoint(lua_State *L)
{
  struct liot_client *client = liot_check_client(L, 1);
  struct liot_work *work = liot_take_work(L, client);
  enum iot_status status;

  liot_check_open(L, client);
  iot_buffer_clear(&work->wire);
  iot_buffer_append(&work->wire, iot_buffer_view(&client->target.origin));
  iot_buffer_append(&work->wire, iot_buffer_view(&client->target.base_path));
  status = work->wire.status;
  if (status == IOT_OK)
    liot_push_view(L, iot_buffer_view(&work->wire));
  liot_give_back(client, work);
  return status == IOT_OK ? 1 : luaL_error(L, "not enough memory");
}

void liot_open_client(lua_State *L, int codec)
{
  static const luaL_Reg work_metamethods[] = { { "__gc", work_gc }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg metamethods[] = {
    { "__gc", client_close },
    { "__close", client_close },
    { NULL, NULL },
  };
  static const luaL_Reg methods[] = {
    { "close", client_close },
    { "endpoint", client_endpoint },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "client", client_new }, { NULL, NULL } };
  static const luaL_Reg json[] = {
    { "decode_json", liot_decode_json },
    { "decode_value", liot_decode_value },
    { "encode_json", liot_encode_json },
    { NULL, NULL },
  };

  lua_pushnil(L);
  liot_new_class(L, WORK_CLASS, work_metamethods, none);
  lua_pushnil(L);
  liot_new_class(L, LIOT_CLIENT_CLASS, metamethods, methods);
  liot_register(L, functions, 0);
  lua_pushvalue(L, codec);
  liot_register(L, json, 1);
}
