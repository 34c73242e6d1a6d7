/*
 * The native client, and each operation of the service as one signed attempt.
 */
#include <stdio.h>
#include <string.h>

#include "iot_http.h"
#include "iot_sigv4.h"
#include "iot_uri.h"
#include "lua_binding.h"
#include "lua_codec.h"

#define CLIENT_CLASS "iot.native_client"
#define WORK_CLASS "iot.work"

enum { TEXT_MAX = 8192, CODEC = lua_upvalueindex(1), OPERATION = lua_upvalueindex(2) };

/* What a call holds while Lua allocates. Any allocation may run a finaliser, which may use the same
   client or close it: so a call has a work of its own, with the buffers that the client keeps for it. */
struct work {
  struct iot_reply reply;
  struct iot_buffer wire; /* what prepare() answers */
};

struct client {
  struct iot_http *http;   /* NULL once closed */
  struct iot_sigv4 signer; /* used where no Lua runs, like the request */
  struct iot_request request;
  struct work idle; /* the buffers of the last call */

  /* Copies of options. */
  struct iot_buffer origin; /* "https://host:port" */
  struct iot_buffer host;   /* the Host header's value */
  struct iot_buffer base_path;
  struct iot_buffer region;
};

/* What changes from attempt to attempt; views borrow from the caller's table. */
struct attempt {
  struct iot_credentials credentials;
  int64_t time;   /* seconds since the epoch */
  double timeout; /* seconds */
  struct iot_view user_agent;
  struct iot_view invocation_id;
  struct iot_view trace_id;
  char counter[48]; /* the value of amz-sdk-request */
};

static void init_work(struct work *work)
{
  iot_reply_init(&work->reply);
  iot_buffer_init(&work->wire, IOT_REQUEST_MAX_TARGET + IOT_REQUEST_MAX_BODY + (1 << 18));
}

static void free_work(struct work *work)
{
  iot_reply_free(&work->reply);
  iot_buffer_free(&work->wire);
}

static int work_gc(lua_State *L)
{
  free_work(luaL_checkudata(L, 1, WORK_CLASS));
  return 0;
}

/* Push a work with the client's idle buffers. From here to the next call of Lua, the client is open:
   raises when a finaliser has closed it meanwhile. */
static struct work *take_work(lua_State *L, struct client *client)
{
  struct work *work = lua_newuserdata(L, sizeof *work);

  init_work(work);
  luaL_getmetatable(L, WORK_CLASS);
  lua_setmetatable(L, -2);
  if (!client->http)
    luaL_error(L, "attempt to use a closed client");
  *work = client->idle;
  init_work(&client->idle);
  return work;
}

static void give_back(struct client *client, struct work *work)
{
  if (!client->http || client->idle.reply.body.p || client->idle.wire.p) {
    free_work(work);
    return;
  }
  iot_reply_clear(&work->reply);
  client->idle = *work;
  init_work(work);
}

static struct client *check_client(lua_State *L)
{
  struct client *client = luaL_checkudata(L, 1, CLIENT_CLASS);

  if (!client->http)
    luaL_error(L, "attempt to use a closed client");
  return client;
}

/* client:close(), __gc and __close; safe to run twice */
static int client_close(lua_State *L)
{
  struct client *client = luaL_checkudata(L, 1, CLIENT_CLASS);

  iot_http_close(client->http);
  client->http = NULL;
  iot_sigv4_free(&client->signer);
  iot_request_free(&client->request);
  free_work(&client->idle);
  iot_buffer_free(&client->origin);
  iot_buffer_free(&client->host);
  iot_buffer_free(&client->base_path);
  iot_buffer_free(&client->region);
  return 0;
}

static void push_inert_client(lua_State *L)
{
  struct client *client = lua_newuserdata(L, sizeof *client);

  client->http = NULL;
  iot_sigv4_init(&client->signer);
  iot_request_init(&client->request);
  init_work(&client->idle);
  iot_buffer_init(&client->origin, TEXT_MAX);
  iot_buffer_init(&client->host, TEXT_MAX);
  iot_buffer_init(&client->base_path, TEXT_MAX);
  iot_buffer_init(&client->region, TEXT_MAX);
  luaL_getmetatable(L, CLIENT_CLASS);
  lua_setmetatable(L, -2);
}

/* Take the endpoint apart into what requests are made of (reference 2.5). */
static enum iot_status set_endpoint(
    struct client *client, struct iot_view endpoint, bool *https, struct iot_error *error)
{
  struct iot_url url;
  enum iot_status status = iot_url_parse(&url, endpoint, error);

  if (status != IOT_OK)
    return IOT_EENDPOINT;
  if (url.query.p)
    return iot_fail(error, IOT_EENDPOINT, "an endpoint has no query (?)");
  if (!iot_uri_is_path(url.path))
    return iot_fail(error, IOT_EENDPOINT, "the path of the URL is not percent-encoded");
  iot_buffer_append(&client->origin, url.https ? IOT_LITERAL("https://") : IOT_LITERAL("http://"));
  iot_url_append_host(&client->origin, &url);
  iot_url_append_host(&client->host, &url);
  if (url.path.n && url.path.p[url.path.n - 1] == '/')
    url.path.n--;
  iot_buffer_append(&client->base_path, url.path);
  *https = url.https;
  return IOT_OK;
}

static enum iot_status open_client(struct client *client, struct iot_view endpoint,
    struct iot_http_options *options, struct iot_error *error)
{
  const struct iot_buffer *copies[] = { &client->origin, &client->host, &client->base_path,
    &client->region };
  bool https = true;
  enum iot_status status = set_endpoint(client, endpoint, &https, error);
  size_t i;

  for (i = 0; status == IOT_OK && i < sizeof copies / sizeof *copies; i++)
    if (copies[i]->status == IOT_ETOOLARGE)
      status = iot_fail(error, IOT_EENDPOINT, "it is longer than %d bytes", (int)TEXT_MAX);
    else
      status = copies[i]->status;
  options->allow_plain = !https;
  return status == IOT_OK ? iot_http_open(&client->http, options, error) : status;
}

/*
 * core.client{ endpoint=, region=, ca_bundle=, proxy=, connect_timeout=, read_timeout= } -> client | nil, message, facts
 */
static int client_new(lua_State *L)
{
  struct iot_http_options options = { .allow_plain = false };
  struct iot_view endpoint, region;
  struct iot_error error;
  enum iot_status status;
  struct client *client;

  luaL_checktype(L, 1, LUA_TTABLE);
  endpoint = liot_string_field(L, 1, "endpoint");
  region = liot_string_field(L, 1, "region");
  options.ca_bundle = liot_string_field(L, 1, "ca_bundle");
  options.proxy = liot_string_field(L, 1, "proxy");
  options.connect_timeout = liot_number_field(L, 1, "connect_timeout", 0);
  options.read_timeout = liot_number_field(L, 1, "read_timeout", 0);
  push_inert_client(L);
  client = lua_touserdata(L, -1);
  iot_buffer_append(&client->region, region);
  status = open_client(client, endpoint, &options, &error);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/* { credentials=, time=, timeout=, user_agent=, invocation_id=, trace_id=, number=, max_attempts= } */
static void read_attempt(lua_State *L, int index, struct attempt *attempt)
{
  memset(attempt, 0, sizeof *attempt);
  luaL_checktype(L, index, LUA_TTABLE);
  attempt->credentials = liot_credentials_field(L, index, "credentials");
  attempt->time = liot_time_field(L, index, "time");
  attempt->timeout = liot_number_field(L, index, "timeout", 0);
  attempt->user_agent = liot_string_field(L, index, "user_agent");
  attempt->invocation_id = liot_string_field(L, index, "invocation_id");
  attempt->trace_id = liot_string_field(L, index, "trace_id");
  snprintf(attempt->counter, sizeof attempt->counter, "attempt=%.0f; max=%.0f",
      liot_number_field(L, index, "number", 1), liot_number_field(L, index, "max_attempts", 1));
}

/* client:endpoint() -> the URL that requests go to, without a trailing "/" */
static int client_endpoint(lua_State *L)
{
  const struct client *client = check_client(L);

  liot_push_view(L, iot_buffer_view(&client->origin));
  liot_push_view(L, iot_buffer_view(&client->base_path));
  lua_concat(L, 2);
  return 1;
}

static enum iot_status sign_request(
    struct client *client, const struct attempt *attempt, struct iot_error *error)
{
  const struct iot_request *request = &client->request;
  const struct iot_sigv4_request to_sign = {
    .method = iot_view_of(request->method),
    .path = iot_request_path(request),
    .query = iot_request_query(request),
    .headers = request->headers,
    .header_count = request->header_count,
    .body = iot_buffer_view(&request->body),
  };
  const struct iot_sigv4_options options = {
    .credentials = attempt->credentials,
    .region = iot_buffer_view(&client->region),
    .service = IOT_LITERAL("iot"),
    .time = attempt->time,
    .normalize_path = true,
    .double_encode_path = true,
  };

  return iot_sigv4_sign(&client->signer, &to_sign, &options, error);
}

/* The headers that are not signed: botocore's choice for this service (reference 3.2). */
static enum iot_status add_unsigned_headers(struct client *client, const struct attempt *attempt)
{
  const struct iot_header headers[] = {
    { IOT_LITERAL("X-Amz-Date"), iot_view_of(client->signer.amz_date) },
    { IOT_LITERAL("X-Amz-Security-Token"), attempt->credentials.session_token },
    { IOT_LITERAL("Authorization"),
        iot_buffer_view(&client->signer.text[IOT_SIGV4_AUTHORIZATION]) },
    { IOT_LITERAL("User-Agent"), attempt->user_agent },
    { IOT_LITERAL("amz-sdk-invocation-id"), attempt->invocation_id },
    { IOT_LITERAL("amz-sdk-request"), iot_view_of(attempt->counter) },
    { IOT_LITERAL("X-Amzn-Trace-Id"), attempt->trace_id },
  };
  enum iot_status status = IOT_OK;
  size_t i;

  for (i = 0; status == IOT_OK && i < sizeof headers / sizeof *headers; i++)
    if (headers[i].value.n)
      status = iot_request_add_header(&client->request, headers[i].name, headers[i].value);
  return status;
}

/* Write and sign the request. No Lua runs here: request and signer are the client's. */
static enum iot_status build_request(struct client *client, const struct iot_operation *operation,
    const struct iot_view *values, const struct attempt *attempt, struct iot_error *error)
{
  enum iot_status status;

  iot_request_clear(&client->request);
  status = iot_request_add_header(
      &client->request, IOT_LITERAL("Host"), iot_buffer_view(&client->host));
  if (status != IOT_OK)
    return iot_fail(error, status, "the host cannot be sent in a header");
  status = iot_operation_write(
      &client->request, operation, iot_buffer_view(&client->base_path), values, error);
  if (status == IOT_OK)
    status = sign_request(client, attempt, error);
  if (status != IOT_OK)
    return status;
  status = add_unsigned_headers(client, attempt);
  return status == IOT_OK ? IOT_OK
                          : iot_fail(error, status, "a header of the request is not valid");
}

/* core.NAME(client, params, attempt) -> result, HTTP status | nil, message, facts: one signed attempt */
static int call_operation(lua_State *L)
{
  const struct iot_operation *operation = lua_touserdata(L, OPERATION);
  struct client *client = check_client(L);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct attempt attempt;
  struct iot_error error;
  enum iot_status status;
  struct work *work;
  int results;

  luaL_checktype(L, 2, LUA_TTABLE);
  read_attempt(L, 3, &attempt);
  status = liot_read_params(L, CODEC, 2, operation, values, &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  work = take_work(L, client);
  status = build_request(client, operation, values, &attempt, &error);
  if (status == IOT_OK)
    status = iot_http_perform(client->http, iot_buffer_view(&client->origin), &client->request,
        attempt.timeout, &work->reply, &error);
  work->reply.secret = attempt.credentials.session_token;
  results = status == IOT_OK ? liot_decode(L, CODEC, operation, &work->reply)
                             : liot_fail(L, status, &error);
  if (results == 1) {
    lua_pushinteger(L, work->reply.status);
    results = 2;
  }
  give_back(client, work);
  return results;
}

static const struct iot_operation *check_operation(lua_State *L, int index)
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
static int client_validate(lua_State *L)
{
  struct client *client = check_client(L);
  const struct iot_operation *operation = check_operation(L, 2);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct iot_error error;
  enum iot_status status;

  luaL_checktype(L, 3, LUA_TTABLE);
  status = liot_read_params(L, CODEC, 3, operation, values, &error);
  if (status == IOT_OK) {
    iot_request_clear(&client->request);
    status = iot_operation_write(
        &client->request, operation, iot_buffer_view(&client->base_path), values, &error);
  }
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  lua_pushboolean(L, 1);
  return 1;
}

/* client:prepare(name, params, attempt) -> the HTTP/1.1 bytes of the request | nil, message, facts */
static int client_prepare(lua_State *L)
{
  struct client *client = check_client(L);
  const struct iot_operation *operation = check_operation(L, 2);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct attempt attempt;
  struct iot_error error;
  enum iot_status status;
  struct work *work;

  luaL_checktype(L, 3, LUA_TTABLE);
  read_attempt(L, 4, &attempt);
  status = liot_read_params(L, CODEC, 3, operation, values, &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  work = take_work(L, client);
  status = build_request(client, operation, values, &attempt, &error);
  if (status == IOT_OK) {
    iot_buffer_clear(&work->wire);
    iot_request_write(&work->wire, &client->request);
    status = work->wire.status;
    if (status != IOT_OK)
      iot_fail(&error, status, "the request cannot be written: %s", iot_status_text(status));
  }
  if (status == IOT_OK)
    liot_push_view(L, iot_buffer_view(&work->wire));
  give_back(client, work);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/*
 * client:parse(name, status, head, body, attempt) -> result | nil, message, facts
 * head: the status line and the header lines, as they came
 * attempt: that of the request; without it a session token that the reply quotes is not hidden
 */
static int client_parse(lua_State *L)
{
  struct client *client = check_client(L);
  const struct iot_operation *operation = check_operation(L, 2);
  const lua_Integer http_status = luaL_checkinteger(L, 3);
  struct attempt attempt;
  struct iot_error error;
  enum iot_status status;
  struct work *work;
  int results;

  luaL_argcheck(L, http_status >= 100 && http_status <= 599, 3, "no status of HTTP");
  luaL_checktype(L, 4, LUA_TSTRING);
  luaL_checktype(L, 5, LUA_TSTRING);
  memset(&attempt, 0, sizeof attempt);
  if (!lua_isnoneornil(L, 6))
    read_attempt(L, 6, &attempt);
  work = take_work(L, client);
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
  give_back(client, work);
  return results;
}

/* Each operation under its name, and all names as the list `operations`. */
static void register_operations(lua_State *L, int codec)
{
  const struct iot_operation *operation;

  lua_newtable(L);
  for (operation = iot_operations; operation->name; operation++) {
    lua_pushstring(L, operation->name);
    lua_rawseti(L, -2, (int)liot_rawlen(L, -2) + 1);
    lua_pushvalue(L, codec);
    lua_pushlightuserdata(L, (void *)(size_t)operation);
    lua_pushcclosure(L, call_operation, 2);
    lua_setfield(L, -3, operation->name);
  }
  lua_setfield(L, -2, "operations");
}

void liot_open_client(lua_State *L)
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
    { "validate", client_validate },
    { "prepare", client_prepare },
    { "parse", client_parse },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "client", client_new }, { NULL, NULL } };
  static const luaL_Reg json[] = {
    { "decode_json", liot_decode_json },
    { "encode_json", liot_encode_json },
    { NULL, NULL },
  };
  const int codec = lua_gettop(L);

  liot_push_codec(L);
  lua_insert(L, codec); /* below the module's table */
  lua_pushnil(L);
  liot_new_class(L, WORK_CLASS, work_metamethods, none);
  lua_pushvalue(L, codec);
  liot_new_class(L, CLIENT_CLASS, metamethods, methods);
  liot_register(L, functions, 0);
  lua_pushvalue(L, codec);
  liot_register(L, json, 1);
  register_operations(L, codec);
  lua_remove(L, codec);
}
