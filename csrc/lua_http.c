/*
 * Plain HTTP requests, for what is not an operation: credentials, and links that the service gives.
 */
#include "lua_http.h"

#include <math.h>
#include <string.h>

#include "iot_uri.h"
#include "lua_binding.h"

#define REQUEST_CLASS "iot.request"

void liot_close_request(struct liot_request *request)
{
  iot_http_client_close(request->http);
  request->http = NULL;
  iot_request_free(&request->request);
  iot_reply_free(&request->reply);
  iot_buffer_free(&request->origin);
  iot_buffer_free(&request->host);
  iot_buffer_free(&request->method);
}

static int request_gc(lua_State *L)
{
  liot_close_request(luaL_checkudata(L, 1, REQUEST_CLASS));
  return 0;
}

static struct liot_request *push_inert_request(lua_State *L)
{
  struct liot_request *request = lua_newuserdata(L, sizeof *request);

  request->http = NULL;
  request->timeout = 0;
  iot_request_init(&request->request);
  iot_reply_init(&request->reply);
  iot_buffer_init(&request->origin, 8192);
  iot_buffer_init(&request->host, 8192);
  iot_buffer_init(&request->method, 32);
  luaL_getmetatable(L, REQUEST_CLASS);
  lua_setmetatable(L, -2);
  return request;
}

/* The header stays on the stack, which anchors its views. */
static enum iot_status add_header(
    lua_State *L, struct liot_request *request, int headers, int i, struct iot_error *error)
{
  struct iot_view name, value;
  enum iot_status status;

  luaL_checkstack(L, LUA_MINSTACK, "too many headers");
  lua_rawgeti(L, headers, i);
  if (!lua_istable(L, -1))
    luaL_error(L, "header %d must be a table of a name and a value", i);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "header %d must hold a name and a value, both strings", i);
  name = liot_view(L, -2);
  value = liot_view(L, -1);
  status = iot_view_is_token(name) ? iot_request_add_header(&request->request, name, value)
                                   : IOT_EPARAMETER;
  if (status != IOT_OK)
    iot_fail(error, status, "header %d cannot be sent", i);
  return status;
}

static enum iot_status add_headers(
    lua_State *L, struct liot_request *request, int index, struct iot_error *error)
{
  enum iot_status status = iot_request_add_header(
      &request->request, IOT_LITERAL("Host"), iot_buffer_view(&request->host));
  int list, count, i;

  if (!liot_table_field(L, index, "headers"))
    return status;
  list = lua_gettop(L);
  count = (int)liot_rawlen(L, list);
  for (i = 1; status == IOT_OK && i <= count; i++)
    status = add_header(L, request, list, i, error);
  return status;
}

/* The URL goes out as it was given: nothing is encoded or tidied. */
static enum iot_status set_target(
    struct liot_request *request, struct iot_view text, bool *https, struct iot_error *error)
{
  struct iot_url url;
  enum iot_status status = iot_url_parse(&url, text, error);
  struct iot_buffer *target = &request->request.target;

  if (status != IOT_OK)
    return status;
  if (memchr(text.p, ' ', text.n))
    return iot_fail(error, IOT_EPARAMETER, "the URL holds a space");
  *https = url.https;
  iot_buffer_append(&request->origin, url.https ? IOT_LITERAL("https://") : IOT_LITERAL("http://"));
  iot_url_append_host(&request->origin, &url);
  iot_url_append_host(&request->host, &url);
  iot_buffer_append(target, url.path.n ? url.path : IOT_LITERAL("/"));
  if (url.query.p) {
    iot_buffer_append_byte(target, '?');
    iot_buffer_append(target, url.query);
  }
  if (request->origin.status != IOT_OK)
    return request->origin.status;
  return target->status == IOT_OK ? request->host.status : target->status;
}

static enum iot_status set_method(
    struct liot_request *request, struct iot_view method, struct iot_error *error)
{
  if (!method.p)
    method = IOT_LITERAL("GET");
  if (!iot_view_is_token(method))
    return iot_fail(error, IOT_EPARAMETER, "the method is not an HTTP method");
  if (iot_view_equal(method, IOT_LITERAL("HEAD")))
    return iot_fail(error, IOT_EPARAMETER, "a HEAD request is not supported");
  iot_buffer_append(&request->method, method);
  iot_buffer_terminate(&request->method);
  request->request.method = request->method.p;
  if (request->method.status == IOT_ETOOLARGE)
    return iot_fail(error, IOT_EPARAMETER, "the method is too long");
  return request->method.status;
}

/* { name = value }, names in lower case; of a name that comes twice, the first */
static void push_headers(lua_State *L, const struct iot_reply *reply)
{
  struct iot_view lines = iot_buffer_view(&reply->head);
  luaL_Buffer name_room;
  size_t i;

  lua_newtable(L);
  iot_view_cut(&lines, '\n'); /* the status line */
  while (lines.n) {
    struct iot_view value = iot_view_cut(&lines, '\n');
    const struct iot_view name = iot_view_cut(&value, ':');

    if (!iot_view_is_token(name))
      continue;
    luaL_buffinit(L, &name_room);
    for (i = 0; i < name.n; i++)
      luaL_addchar(&name_room, iot_lower(name.p[i]));
    luaL_pushresult(&name_room);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (!lua_isnil(L, -1)) {
      lua_pop(L, 2);
      continue;
    }
    lua_pop(L, 1);
    liot_push_view(L, iot_view_trim(value));
    lua_rawset(L, -3);
  }
}

void liot_push_reply(lua_State *L, const struct iot_reply *reply)
{
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, reply->status);
  lua_setfield(L, -2, "status");
  liot_push_view(L, iot_buffer_view(&reply->body));
  lua_setfield(L, -2, "body");
  push_headers(L, reply);
  lua_setfield(L, -2, "headers");
}

static void read_options(lua_State *L, int index, struct iot_http_options *options)
{
  options->ca_bundle = liot_string_field(L, index, "ca_bundle");
  options->proxy = liot_string_field(L, index, "proxy");
  options->client_certificate = liot_string_field(L, index, "client_certificate");
  options->client_key = liot_string_field(L, index, "client_key");
  options->connect_timeout = liot_number_field(L, index, "connect_timeout", 0);
  options->read_timeout = liot_number_field(L, index, "read_timeout", 0);
}

enum iot_status liot_read_request(
    lua_State *L, int index, bool in_pieces, struct liot_request **pushed, struct iot_error *error)
{
  struct iot_http_options options = { .in_pieces = in_pieces };
  struct iot_view url, method, body;
  struct liot_request *request;
  enum iot_status status;
  bool https = true;
  double timeout;

  luaL_checktype(L, index, LUA_TTABLE);
  url = liot_string_field(L, index, "url");
  method = liot_string_field(L, index, "method");
  body = liot_string_field(L, index, "body");
  timeout = liot_number_field(L, index, "timeout", in_pieces ? HUGE_VAL : 0);
  read_options(L, index, &options);
  request = *pushed = push_inert_request(L);
  request->timeout = timeout;
  error->message[0] = '\0';
  iot_buffer_append(&request->request.body, body);
  status = set_method(request, method, error);
  if (status == IOT_OK)
    status = set_target(request, url, &https, error);
  if (status == IOT_OK)
    status = add_headers(L, request, index, error);
  options.allow_plain = !https;
  if (status == IOT_OK)
    status = request->request.body.status;
  if (status == IOT_OK)
    status = iot_http_client_open(&request->http, &options, error);
  if (status != IOT_OK && !error->message[0])
    status = iot_fail_request(error, status);
  return status;
}

/*
 * core.request{ url=, method=, headers=, body=, timeout=, connect_timeout=, read_timeout=, ca_bundle=,
 *   proxy=, client_certificate=, client_key= }
 *   -> { status=, headers=, body= } | nil, message, facts
 * method: any but HEAD, whose reply tells the length of a body that does not come
 * One exchange on a connection of its own, which is closed afterwards.
 */
static int send_request(lua_State *L)
{
  struct liot_hook hook;
  const struct iot_interrupt *interrupt = liot_watch_hook(L, &hook);
  struct liot_request *request;
  struct iot_error error;
  enum iot_status status;

  lua_settop(L, 1);
  status = liot_read_request(L, 1, false, &request, &error);
  if (status == IOT_OK)
    status = iot_http_client_perform(request->http, iot_buffer_view(&request->origin),
        &request->request, request->timeout, &request->reply, interrupt, &error);
  if (status == IOT_OK)
    liot_push_reply(L, &request->reply);
  liot_close_request(request);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/*
 * core.write_request(request) -> the HTTP/1.1 bytes of the request, its origin | nil, message, facts
 * request: as of core.request; origin: "https://host:port", without the port when it is the scheme's own
 */
static int write_request(lua_State *L)
{
  struct liot_request *request;
  struct iot_error error;
  enum iot_status status;

  lua_settop(L, 1);
  status = liot_read_request(L, 1, false, &request, &error);
  if (status == IOT_OK) {
    iot_request_write(&request->reply.body, &request->request);
    status = request->reply.body.status;
    if (status != IOT_OK)
      status = iot_fail_request(&error, status);
  }
  if (status == IOT_OK) {
    liot_push_view(L, iot_buffer_view(&request->reply.body));
    liot_push_view(L, iot_buffer_view(&request->origin));
  }
  liot_close_request(request);
  return status == IOT_OK ? 2 : liot_fail(L, status, &error);
}

void liot_open_http(lua_State *L)
{
  static const luaL_Reg metamethods[] = { { "__gc", request_gc }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg functions[] = {
    { "request", send_request },
    { "write_request", write_request },
    { NULL, NULL },
  };

  lua_pushnil(L);
  liot_new_class(L, REQUEST_CLASS, metamethods, none);
  liot_register(L, functions, 0);
}
