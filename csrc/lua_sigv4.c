/*
 * iot.sign and iot.presign: SigV4 for any service.
 */
#include <math.h>
#include <string.h>

#include "iot_clock.h"
#include "iot_sigv4.h"
#include "iot_uri.h"
#include "lua_binding.h"
#include "lua_util.h"

#define SIGNER_CLASS "iot.signer"

enum { REQUEST = 1, OPTIONS };

struct signer {
  struct iot_sigv4 sigv4;
  struct iot_buffer host;
  bool busy;
};

/* One call's input; views borrow from strings on the stack. */
struct call {
  struct iot_view url;
  struct iot_url parts;
  struct iot_header headers[IOT_SIGV4_MAX_HEADERS];
  struct iot_sigv4_request request;
  struct iot_sigv4_options options;
  bool adds_host;
};

static struct signer *push_inert_signer(lua_State *L)
{
  struct signer *signer = lua_newuserdata(L, sizeof *signer);

  iot_sigv4_init(&signer->sigv4);
  iot_buffer_init(&signer->host, 1024);
  signer->busy = false;
  luaL_getmetatable(L, SIGNER_CLASS);
  lua_setmetatable(L, -2);
  return signer;
}

/* The state's, with its buffers and key; but any allocation of Lua may run a finaliser that signs, which gets one of
   its own. So does every call after one that an error of Lua's ended, be it of a finaliser or for want of memory. */
static struct signer *take_signer(lua_State *L, struct signer *shared)
{
  struct signer *signer = shared->busy ? push_inert_signer(L) : shared;

  signer->busy = true;
  return signer;
}

static int signer_gc(lua_State *L)
{
  struct signer *signer = luaL_checkudata(L, 1, SIGNER_CLASS);

  iot_sigv4_free(&signer->sigv4);
  iot_buffer_free(&signer->host);
  return 0;
}

/* What was read stays on the stack. */
static struct iot_header read_header(lua_State *L, int headers, int i)
{
  struct iot_header header;

  lua_rawgeti(L, headers, i);
  if (!lua_istable(L, -1))
    luaL_error(L, "header %d must be a table of a name and a value", i);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "header %d must hold a name and a value, both strings", i);
  header.name = liot_view(L, -2);
  header.value = liot_view(L, -1);
  return header;
}

/* One place is kept for the Host header, which is added when it was not given. */
static enum iot_status read_headers(lua_State *L, struct call *call, struct iot_error *error)
{
  size_t count, i;
  int list;

  call->adds_host = true;
  call->request.headers = call->headers;
  if (!liot_table_field(L, REQUEST, "headers"))
    return IOT_OK;
  list = lua_gettop(L);
  count = liot_rawlen(L, list);
  if (count >= IOT_SIGV4_MAX_HEADERS)
    return iot_fail(error, IOT_EPARAMETER, "more than %d headers", IOT_SIGV4_MAX_HEADERS - 1);
  luaL_checkstack(L, 3 * (int)count + LUA_MINSTACK, "too many headers");
  for (i = 0; i < count; i++) {
    call->headers[i] = read_header(L, list, (int)i + 1);
    if (iot_view_same_name(call->headers[i].name, IOT_LITERAL("host")))
      call->adds_host = false;
  }
  call->request.header_count = count;
  return IOT_OK;
}

static void read_options(lua_State *L, struct iot_sigv4_options *options)
{
  const double expires_in = liot_number_field(L, OPTIONS, "expires_in", 0);

  /* What is no whole number of seconds stays 0, which is refused. */
  if (expires_in >= 1 && expires_in <= IOT_SIGV4_MAX_EXPIRES && floor(expires_in) == expires_in)
    options->expires_in = (int)expires_in;
  options->time = liot_time_field(L, OPTIONS, "time", iot_clock_now());
  options->credentials = liot_credentials_field(L, OPTIONS, "credentials");
  options->region = liot_string_field(L, OPTIONS, "region");
  options->service = liot_string_field(L, OPTIONS, "service");
  options->normalize_path = liot_boolean_field(L, OPTIONS, "normalize_path", true);
  options->double_encode_path = liot_boolean_field(L, OPTIONS, "double_encode_path", true);
  options->sign_body = liot_boolean_field(L, OPTIONS, "sign_body", false);
  options->omit_session_token = liot_boolean_field(L, OPTIONS, "omit_session_token", false);
}

static enum iot_status sign_call(struct signer *signer, struct call *call, struct iot_error *error)
{
  enum iot_status status;

  if (call->url.n == 0)
    return iot_fail(error, IOT_EPARAMETER, "the request has no url");
  status = iot_url_parse(&call->parts, call->url, error);
  if (status != IOT_OK)
    return status;
  iot_buffer_clear(&signer->host);
  iot_url_append_host(&signer->host, &call->parts);
  if (call->adds_host)
    call->headers[call->request.header_count++] = (struct iot_header){ IOT_LITERAL("Host"),
      iot_buffer_view(&signer->host) };
  call->request.path = call->parts.path;
  call->request.query = call->parts.query;
  return signer->host.status != IOT_OK
             ? signer->host.status
             : iot_sigv4_sign(&signer->sigv4, &call->request, &call->options, error);
}

/* Add { name, value } to the list on top of the stack. */
static void add_pair(lua_State *L, struct iot_view name, struct iot_view value)
{
  lua_createtable(L, 2, 0);
  liot_push_view(L, name);
  lua_rawseti(L, -2, 1);
  liot_push_view(L, value);
  lua_rawseti(L, -2, 2);
  lua_rawseti(L, -2, (int)liot_rawlen(L, -2) + 1);
}

static bool has_payload_header(const struct call *call)
{
  size_t i;

  for (i = 0; i < call->request.header_count; i++)
    if (iot_view_same_name(call->headers[i].name, IOT_LITERAL("x-amz-content-sha256")))
      return true;
  return false;
}

/* The headers to send, in the order given, then those that the signature adds. */
static void push_headers(lua_State *L, const struct signer *signer, const struct call *call)
{
  const struct iot_view token = call->options.credentials.session_token;
  size_t i;

  lua_createtable(L, (int)call->request.header_count + 4, 0);
  for (i = 0; i < call->request.header_count; i++)
    if (!iot_sigv4_replaces_header(call->headers[i].name))
      add_pair(L, call->headers[i].name, call->headers[i].value);
  if (call->options.presign)
    return;
  add_pair(L, IOT_LITERAL("X-Amz-Date"), iot_view_of(signer->sigv4.amz_date));
  if (token.n)
    add_pair(L, IOT_LITERAL("X-Amz-Security-Token"), token);
  if (call->options.sign_body && !has_payload_header(call))
    add_pair(L, IOT_LITERAL("X-Amz-Content-Sha256"), iot_view_of(signer->sigv4.payload_hash));
  add_pair(L, IOT_LITERAL("Authorization"),
      iot_buffer_view(&signer->sigv4.text[IOT_SIGV4_AUTHORIZATION]));
}

/* The URL as given, up to its query, and the query that was made. */
static void push_presigned_url(lua_State *L, const struct signer *signer, const struct call *call)
{
  struct iot_view before = call->url;

  before = iot_view_cut(&before, '?');
  liot_push_view(L, before);
  lua_pushstring(L, call->parts.path.n ? "?" : "/?");
  liot_push_view(L, iot_buffer_view(&signer->sigv4.text[IOT_SIGV4_QUERY]));
  lua_concat(L, 3);
}

static void push_result(lua_State *L, const struct signer *signer, const struct call *call)
{
  const struct iot_sigv4 *sigv4 = &signer->sigv4;

  lua_createtable(L, 0, 5);
  push_headers(L, signer, call);
  lua_setfield(L, -2, "headers");
  if (call->options.presign)
    push_presigned_url(L, signer, call);
  else
    liot_push_view(L, call->url);
  lua_setfield(L, -2, "url");
  liot_set_view(L, "canonical_request", iot_buffer_view(&sigv4->text[IOT_SIGV4_CANONICAL_REQUEST]));
  liot_set_view(L, "string_to_sign", iot_buffer_view(&sigv4->text[IOT_SIGV4_STRING_TO_SIGN]));
  liot_set_view(L, "signature", iot_view_of(sigv4->signature));
}

static int run(lua_State *L, bool presign)
{
  struct iot_error error = { "" };
  struct signer *signer;
  struct call call;
  enum iot_status status;

  luaL_checktype(L, REQUEST, LUA_TTABLE);
  luaL_checktype(L, OPTIONS, LUA_TTABLE);
  call.request = (struct iot_sigv4_request){ .header_count = 0 };
  call.options = (struct iot_sigv4_options){ .presign = presign };
  call.url = liot_string_field(L, REQUEST, "url");
  call.request.method = liot_string_field(L, REQUEST, "method");
  call.request.body = liot_string_field(L, REQUEST, "body");
  read_options(L, &call.options);
  status = read_headers(L, &call, &error);
  signer = take_signer(L, lua_touserdata(L, lua_upvalueindex(1)));
  if (status == IOT_OK)
    status = sign_call(signer, &call, &error);
  if (status == IOT_OK)
    push_result(L, signer, &call);
  iot_sigv4_forget_results(&signer->sigv4);
  signer->busy = false;
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/* core.sign(request, options) -> signed | nil, message, facts */
static int sign(lua_State *L)
{
  return run(L, false);
}

/* core.presign(request, options) -> signed | nil, message, facts */
static int presign_url(lua_State *L)
{
  return run(L, true);
}

void liot_open_sigv4(lua_State *L)
{
  static const luaL_Reg metamethods[] = { { "__gc", signer_gc }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg functions[] = {
    { "sign", sign },
    { "presign", presign_url },
    { NULL, NULL },
  };

  lua_pushnil(L);
  liot_new_class(L, SIGNER_CLASS, metamethods, none);
  push_inert_signer(L);
  liot_register(L, functions, 1);
}
