/*
 * Many exchanges and programs at once: core.multi.
 */
#include <limits.h>
#include <math.h>

#include "iot_multi.h"
#include "lua_binding.h"
#include "lua_client.h"
#include "lua_http.h"
#include "lua_params.h"
#include "lua_process.h"

#define MULTI_CLASS "iot.multi"
#define JOB_CLASS "iot.job"
#define DOWNLOAD_CLASS "iot.download"
#define PIECE_CLASS "iot.piece"

enum { CODEC = lua_upvalueindex(1) };

struct multi {
  struct iot_multi *jobs; /* NULL once closed */
  struct iot_buffer idle; /* of the last piece of a download */
};

/* A download of a multi, which it anchors: given up with the last reference to it. */
struct download {
  struct multi *multi;
  size_t slot; /* 0 once it has ended or was closed */
};

/* The owner of a finished job while Lua makes a result of it. */
struct holder {
  struct iot_job *job;
};

static int holder_gc(lua_State *L)
{
  struct holder *holder = luaL_checkudata(L, 1, JOB_CLASS);

  iot_job_free(holder->job);
  holder->job = NULL;
  return 0;
}

/* multi:close(), __gc and __close: cancels everything; safe to run twice */
static int multi_close(lua_State *L)
{
  struct multi *multi = luaL_checkudata(L, 1, MULTI_CLASS);

  iot_multi_close(multi->jobs);
  multi->jobs = NULL;
  iot_buffer_free(&multi->idle);
  return 0;
}

/* Raises when a finaliser has closed it meanwhile. From here to the next call of Lua it is open. */
static void check_open(lua_State *L, const struct multi *multi)
{
  if (!multi->jobs)
    luaL_error(L, "attempt to use a closed multi");
}

static struct multi *check_multi(lua_State *L)
{
  struct multi *multi = luaL_checkudata(L, 1, MULTI_CLASS);

  check_open(L, multi);
  if (!iot_multi_is_own(multi->jobs))
    luaL_error(L, "attempt to use a multi of another process");
  return multi;
}

static double check_integer(lua_State *L, int index, int low)
{
  const double number = luaL_checknumber(L, index);

  if (!(number >= low && number <= INT_MAX && number == floor(number)))
    luaL_argerror(L, index, lua_pushfstring(L, "an integer from %d to %d expected", low, INT_MAX));
  return number;
}

/* core.multi(max_connections) -> multi; max_connections: idle ones that are kept, an integer from 1 */
static int multi_new(lua_State *L)
{
  const double max_connections = check_integer(L, 1, 1);
  struct multi *multi = lua_newuserdata(L, sizeof *multi);
  struct iot_error error;
  enum iot_status status;

  multi->jobs = NULL;
  iot_buffer_init(&multi->idle, IOT_REPLY_MAX_BODY);
  luaL_getmetatable(L, MULTI_CLASS);
  lua_setmetatable(L, -2);
  status = iot_multi_open(&multi->jobs, (long)max_connections, &error);
  return status == IOT_OK ? 1 : liot_fail(L, status, &error);
}

/* Answer with a slot, or why there is none. */
static int push_slot(
    lua_State *L, enum iot_status status, size_t slot, const struct iot_error *error)
{
  if (status != IOT_OK)
    return liot_fail(L, status, error);
  lua_pushinteger(L, (lua_Integer)slot);
  return 1;
}

/* multi:start(native, operation_name, params, attempt) -> slot | nil, message, facts */
static int multi_start(lua_State *L)
{
  struct multi *multi = check_multi(L);
  struct liot_client *client = liot_check_client(L, 2);
  const struct iot_operation *operation = liot_check_operation(L, 3);
  struct iot_view values[IOT_OPERATION_MAX_MEMBERS];
  struct iot_http_exchange *exchange;
  struct iot_attempt attempt;
  struct iot_error error;
  enum iot_status status;
  size_t slot = 0;

  luaL_checktype(L, 4, LUA_TTABLE);
  liot_read_attempt(L, 5, &attempt);
  status = liot_read_params(L, CODEC, 4, operation, values, &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  liot_check_open(L, client);
  check_open(L, multi);
  status = iot_attempt_write(
      &client->request, &client->signer, &attempt, &client->target, operation, values, &error);
  if (status == IOT_OK)
    status = iot_http_client_prepare(client->http, &exchange,
        iot_buffer_view(&client->target.origin), &client->request, attempt.timeout,
        attempt.credentials.session_token, &error);
  if (status == IOT_OK)
    status = iot_multi_start(multi->jobs, exchange, operation, &slot, &error);
  return push_slot(L, status, slot, &error);
}

/* multi:request(request) -> slot | nil, message, facts; the argument is that of core.request. Its
   connection is kept, like all of a multi, unless it has a client certificate. */
static int multi_request(lua_State *L)
{
  struct multi *multi = check_multi(L);
  struct iot_http_exchange *exchange;
  struct liot_request *request;
  struct iot_error error;
  enum iot_status status;
  size_t slot = 0;

  lua_settop(L, 2);
  status = liot_read_request(L, 2, false, &request, &error);
  check_open(L, multi);
  if (status == IOT_OK)
    status = iot_http_client_prepare(request->http, &exchange, iot_buffer_view(&request->origin),
        &request->request, request->timeout, (struct iot_view){ NULL, 0 }, &error);
  if (status == IOT_OK)
    status = iot_multi_start(multi->jobs, exchange, NULL, &slot, &error);
  liot_close_request(request);
  return push_slot(L, status, slot, &error);
}

/* multi:run(arguments, seconds) -> slot | nil, message, facts; the arguments are those of core.run */
static int multi_run(lua_State *L)
{
  struct multi *multi = check_multi(L);
  char *arguments[IOT_PROCESS_MAX_ARGUMENTS + 1];
  struct iot_error error;
  enum iot_status status;
  double seconds;
  size_t slot = 0;

  luaL_checktype(L, 2, LUA_TTABLE);
  seconds = liot_check_seconds(L, 3);
  liot_read_arguments(L, 2, arguments);
  check_open(L, multi);
  status = iot_multi_run(multi->jobs, arguments, seconds, &slot, &error);
  return push_slot(L, status, slot, &error);
}

/* multi:wait(seconds, done) -> how many have finished, whether it was interrupted; done[1] to done[count]:
   their slots, in the order in which they did. None have when `seconds` (NaN: as 0) have passed, or an
   interrupt came. */
static int multi_wait(lua_State *L)
{
  struct multi *multi = check_multi(L);
  const double seconds = luaL_checknumber(L, 2);
  struct liot_hook hook;
  lua_Integer count = 0;
  size_t slot;

  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  iot_multi_wait(multi->jobs, seconds, liot_watch_hook(L, &hook));
  /* The table may grow, and a finaliser close the multi. */
  while (multi->jobs && (slot = iot_multi_next(multi->jobs))) {
    lua_pushinteger(L, (lua_Integer)slot);
    lua_rawseti(L, 3, (int)++count);
  }
  lua_pushinteger(L, count);
  lua_pushboolean(L, iot_interrupted(&hook.interrupt));
  return 2;
}

static int push_program(lua_State *L, const struct iot_program *program)
{
  if (program->status != IOT_OK)
    return liot_fail(L, program->status, &program->error);
  liot_push_process(L, &program->process);
  return 1;
}

static int push_exchange(lua_State *L, const struct iot_job *job)
{
  const struct iot_reply *reply = &job->exchange->own_reply;
  struct iot_error error;
  enum iot_status status = iot_http_exchange_result(job->exchange, &error);

  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  if (job->operation)
    return liot_decode_result(L, CODEC, job->operation, reply);
  liot_push_reply(L, reply);
  return 1;
}

/* Push what the blocking function returns for the job in a slot, which is free then. */
static int finish(lua_State *L, struct multi *multi, size_t slot)
{
  struct holder *holder = lua_newuserdata(L, sizeof *holder);
  int results;

  holder->job = NULL;
  luaL_getmetatable(L, JOB_CLASS);
  lua_setmetatable(L, -2);
  check_open(L, multi);
  luaL_argcheck(L, iot_multi_find(multi->jobs, slot), 2, "this slot is not in use");
  holder->job = iot_multi_take(multi->jobs, slot);
  luaL_argcheck(L, holder->job, 2, "what is in this slot has not finished");
  results = holder->job->program ? push_program(L, holder->job->program)
                                 : push_exchange(L, holder->job);
  iot_job_free(holder->job);
  holder->job = NULL;
  return results;
}

/* The slot at index 2; one of a download is nobody's but its own. */
static size_t check_slot(lua_State *L, const struct multi *multi)
{
  const size_t slot = (size_t)check_integer(L, 2, 0);
  const struct iot_job *job = iot_multi_find(multi->jobs, slot);

  luaL_argcheck(L, !job || !iot_job_is_download(job), 2, "a download has methods of its own");
  return slot;
}

/* multi:finish(slot) -> what the blocking function returns; the slot is free then */
static int multi_finish(lua_State *L)
{
  struct multi *multi = check_multi(L);

  return finish(L, multi, check_slot(L, multi));
}

/* multi:cancel(slot): ends what is there, whatever its state; the slot is free then */
static int multi_cancel(lua_State *L)
{
  struct multi *multi = check_multi(L);

  iot_multi_cancel(multi->jobs, check_slot(L, multi));
  return 0;
}

/* Downloads. */

static int piece_gc(lua_State *L)
{
  iot_buffer_free(luaL_checkudata(L, 1, PIECE_CLASS));
  return 0;
}

/* download:close(), __gc and __close: gives it up; safe to run twice */
static int download_close(lua_State *L)
{
  struct download *download = luaL_checkudata(L, 1, DOWNLOAD_CLASS);
  const struct multi *multi = download->multi;
  const size_t slot = download->slot;

  download->slot = 0;
  if (slot && multi->jobs && iot_multi_is_own(multi->jobs))
    iot_multi_cancel(multi->jobs, slot);
  return 0;
}

/* Of the multi at index 1. */
static struct download *push_inert_download(lua_State *L, struct multi *multi)
{
  struct download *download = lua_newuserdata(L, sizeof *download);

  download->multi = multi;
  download->slot = 0;
  luaL_getmetatable(L, DOWNLOAD_CLASS);
  lua_setmetatable(L, -2);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  liot_set_anchor(L, -2);
  return download;
}

/* multi:download(request) -> download, slot | nil, message, facts; the argument is that of core.request. The body
   of the reply is uncompressed when it was gzip. multi:wait tells the slot when download:read said false and
   there is more. */
static int multi_download(lua_State *L)
{
  struct multi *multi = check_multi(L);
  struct iot_http_exchange *exchange;
  struct liot_request *request;
  struct download *download;
  struct iot_error error;
  enum iot_status status;

  lua_settop(L, 2);
  download = push_inert_download(L, multi);
  status = liot_read_request(L, 2, true, &request, &error);
  check_open(L, multi);
  if (status == IOT_OK)
    status = iot_http_client_prepare(request->http, &exchange, iot_buffer_view(&request->origin),
        &request->request, request->timeout, (struct iot_view){ NULL, 0 }, &error);
  if (status == IOT_OK)
    status = iot_multi_start(multi->jobs, exchange, NULL, &download->slot, &error);
  liot_close_request(request);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  lua_pushvalue(L, 3);
  lua_pushinteger(L, (lua_Integer)download->slot);
  return 2;
}

/* The download at index 1, whose multi is open. */
static struct download *check_download(lua_State *L)
{
  struct download *download = luaL_checkudata(L, 1, DOWNLOAD_CLASS);

  if (!download->slot)
    luaL_error(L, "attempt to use a closed download");
  if (!download->multi->jobs)
    luaL_error(L, "attempt to use a download after its iot.map has ended");
  if (!iot_multi_is_own(download->multi->jobs))
    luaL_error(L, "attempt to use a download of another process");
  return download;
}

/* download:read() -> a piece of the body and the status of HTTP | false when there is none yet | nil at the end, or
   when it failed: download:finish tells */
static int download_read(lua_State *L)
{
  struct iot_buffer *piece = lua_newuserdata(L, sizeof *piece);
  struct download *download;
  struct multi *multi;
  int status;
  bool more;

  iot_buffer_init(piece, IOT_REPLY_MAX_BODY);
  luaL_getmetatable(L, PIECE_CLASS);
  lua_setmetatable(L, -2);
  download = check_download(L);
  multi = download->multi;
  *piece = multi->idle;
  iot_buffer_init(&multi->idle, IOT_REPLY_MAX_BODY);
  iot_buffer_clear(piece);
  more = iot_multi_read(multi->jobs, download->slot, piece);
  status = iot_multi_find(multi->jobs, download->slot)->exchange->reply->status;
  if (piece->n)
    liot_push_view(L, iot_buffer_view(piece));
  else if (more)
    lua_pushboolean(L, 0);
  else
    lua_pushnil(L);
  lua_pushinteger(L, status);
  if (multi->jobs && !multi->idle.p) {
    multi->idle = *piece;
    iot_buffer_init(piece, IOT_REPLY_MAX_BODY);
  }
  return 2;
}

/* download:finish() -> { status=, headers=, body= }, body holding what was not read | nil, message, facts; once
   download:read said nil */
static int download_finish(lua_State *L)
{
  struct download *download = check_download(L);
  struct multi *multi = download->multi;
  const size_t slot = download->slot;

  luaL_argcheck(L, iot_multi_find(multi->jobs, slot)->ended, 1, "this download has not ended");
  download->slot = 0;
  return finish(L, multi, slot);
}

void liot_open_multi(lua_State *L, int codec)
{
  static const luaL_Reg holder_metamethods[] = { { "__gc", holder_gc }, { NULL, NULL } };
  static const luaL_Reg piece_metamethods[] = { { "__gc", piece_gc }, { NULL, NULL } };
  static const luaL_Reg download_metamethods[] = {
    { "__gc", download_close },
    { "__close", download_close },
    { NULL, NULL },
  };
  static const luaL_Reg download_methods[] = {
    { "read", download_read },
    { "finish", download_finish },
    { "close", download_close },
    { NULL, NULL },
  };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg metamethods[] = {
    { "__gc", multi_close },
    { "__close", multi_close },
    { NULL, NULL },
  };
  static const luaL_Reg methods[] = {
    { "start", multi_start },
    { "request", multi_request },
    { "download", multi_download },
    { "run", multi_run },
    { "wait", multi_wait },
    { "finish", multi_finish },
    { "cancel", multi_cancel },
    { "close", multi_close },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "multi", multi_new }, { NULL, NULL } };

  lua_pushnil(L);
  liot_new_class(L, JOB_CLASS, holder_metamethods, none);
  lua_pushnil(L);
  liot_new_class(L, PIECE_CLASS, piece_metamethods, none);
  lua_pushvalue(L, codec);
  liot_new_class(L, DOWNLOAD_CLASS, download_metamethods, download_methods);
  lua_pushvalue(L, codec);
  liot_new_class(L, MULTI_CLASS, metamethods, methods);
  liot_register(L, functions, 0);
}
