/*
 * The machine: clocks, sleep, digests and random ids, private files.
 */
#include <string.h>
#include <sys/utsname.h>

#include "iot_clock.h"
#include "iot_crypto.h"
#include "iot_file.h"
#include "iot_http.h"
#include "iot_uri.h"
#include "lua_binding.h"
#include "lua_util.h"

#define BYTES_CLASS "iot.bytes"

/* core.now() -> seconds since the epoch, with fractions */
static int now(lua_State *L)
{
  lua_pushnumber(L, iot_clock_now());
  return 1;
}

/* core.monotonic() -> seconds of a clock that is never set */
static int monotonic(lua_State *L)
{
  lua_pushnumber(L, iot_clock_monotonic());
  return 1;
}

/* core.sleep(seconds) -> true, at once for 0, less or NaN; false when an interrupt ended it early. Signals that
   mean nothing to the Lua state do not. */
static int sleep_seconds(lua_State *L)
{
  const double seconds = luaL_checknumber(L, 1);
  struct liot_hook hook;

  lua_pushboolean(L, iot_interrupt_sleep(seconds, liot_watch_hook(L, &hook)));
  return 1;
}

/* core.die_of_interrupt(): ends the process by SIGINT, nothing closed; returns where that is blocked */
static int die_of_interrupt(lua_State *L)
{
  (void)L;
  iot_interrupt_die();
  return 0;
}

/* core.parse_time(text) -> seconds since the epoch, of an RFC 3339 time | nil */
static int parse_time(lua_State *L)
{
  double time;

  luaL_checktype(L, 1, LUA_TSTRING);
  if (iot_clock_parse_rfc3339(&time, liot_view(L, 1)) == IOT_OK)
    lua_pushnumber(L, time);
  else
    lua_pushnil(L);
  return 1;
}

/* core.parse_http_date(text) -> seconds since the epoch, of a date as HTTP's headers have it | nil */
static int parse_http_date(lua_State *L)
{
  int64_t time;

  luaL_checktype(L, 1, LUA_TSTRING);
  if (iot_clock_parse_http_date(&time, liot_view(L, 1), (int64_t)iot_clock_now()) == IOT_OK)
    lua_pushnumber(L, (lua_Number)time);
  else
    lua_pushnil(L);
  return 1;
}

static int fail_with_status(lua_State *L, enum iot_status status)
{
  struct iot_error error;

  iot_fail(&error, status, "%s", iot_status_text(status));
  return liot_fail(L, status, &error);
}

/* core.uuid() -> a random UUID | nil, message, facts */
static int uuid(lua_State *L)
{
  char text[IOT_UUID_SIZE];
  enum iot_status status = iot_uuid(text);

  if (status != IOT_OK)
    return fail_with_status(L, status);
  lua_pushstring(L, text);
  return 1;
}

/* core.random() -> a number from 0 up to, not including, 1: for jitter, not for keys */
static int random_number(lua_State *L)
{
  lua_pushnumber(L, iot_random());
  return 1;
}

/* core.sha1(text), core.sha256(text) -> lower-case hex | nil, message, facts */
static int sha1(lua_State *L)
{
  unsigned char digest[IOT_SHA1_SIZE];
  char hex[2 * IOT_SHA1_SIZE + 1];
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TSTRING);
  status = iot_sha1(digest, liot_view(L, 1));
  if (status != IOT_OK)
    return fail_with_status(L, status);
  iot_hex(hex, digest, sizeof digest);
  lua_pushstring(L, hex);
  return 1;
}

static int sha256(lua_State *L)
{
  unsigned char digest[IOT_SHA256_SIZE];
  char hex[IOT_HEX_SIZE];
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TSTRING);
  status = iot_sha256(digest, liot_view(L, 1));
  if (status != IOT_OK)
    return fail_with_status(L, status);
  iot_hex(hex, digest, sizeof digest);
  lua_pushstring(L, hex);
  return 1;
}

/* core.es256_public(pem) -> x, y, 32 bytes each | nil, message, facts */
static int es256_public(lua_State *L)
{
  unsigned char x[IOT_ES256_COORDINATE], y[IOT_ES256_COORDINATE];
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TSTRING);
  status = iot_es256_public(x, y, liot_view(L, 1));
  if (status != IOT_OK)
    return fail_with_status(L, status);
  lua_pushlstring(L, (const char *)x, sizeof x);
  lua_pushlstring(L, (const char *)y, sizeof y);
  return 2;
}

/* core.es256_sign(pem, text) -> r and s, 64 bytes | nil, message, facts */
static int es256_sign(lua_State *L)
{
  unsigned char signature[IOT_ES256_SIZE];
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  status = iot_es256_sign(signature, liot_view(L, 1), liot_view(L, 2));
  if (status != IOT_OK)
    return fail_with_status(L, status);
  lua_pushlstring(L, (const char *)signature, sizeof signature);
  return 1;
}

/* core.replace_file(path, text) -> true | nil, message, facts */
static int replace_file(lua_State *L)
{
  struct iot_error error;
  enum iot_status status;

  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_argcheck(L, strlen(lua_tostring(L, 1)) == liot_rawlen(L, 1), 1, "it holds a NUL");
  status = iot_file_replace(lua_tostring(L, 1), liot_view(L, 2), &error);
  if (status != IOT_OK)
    return liot_fail(L, status, &error);
  lua_pushboolean(L, 1);
  return 1;
}

static int bytes_gc(lua_State *L)
{
  iot_buffer_free(luaL_checkudata(L, 1, BYTES_CLASS));
  return 0;
}

/* core.read_file(path, limit) -> the whole file | nil, reason, missing; limit in bytes */
static int read_file(lua_State *L)
{
  const double limit = luaL_checknumber(L, 2);
  struct iot_buffer *bytes;
  struct iot_error error;
  enum iot_status status;
  bool missing = false;

  luaL_argcheck(L, limit >= 0 && limit <= 1 << 30, 2, "no number of bytes");
  luaL_checktype(L, 1, LUA_TSTRING);
  bytes = lua_newuserdata(L, sizeof *bytes);
  iot_buffer_init(bytes, (size_t)limit);
  luaL_getmetatable(L, BYTES_CLASS);
  lua_setmetatable(L, -2);
  if (strlen(lua_tostring(L, 1)) == liot_rawlen(L, 1))
    status = iot_file_read(bytes, lua_tostring(L, 1), &missing, &error);
  else
    status = iot_fail(&error, IOT_ECONFIGURATION, "its name holds a NUL");
  if (status == IOT_OK)
    liot_push_view(L, iot_buffer_view(bytes));
  iot_buffer_free(bytes);
  if (status == IOT_OK)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  lua_pushboolean(L, missing);
  return 3;
}

/* core.check_file(path) -> true, for a plain file that can be read and is not huge | nil, reason */
static int check_file(lua_State *L)
{
  struct iot_error error;

  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_argcheck(L, strlen(lua_tostring(L, 1)) == liot_rawlen(L, 1), 1, "it holds a NUL");
  if (iot_file_check(lua_tostring(L, 1), false, "", IOT_ECONFIGURATION, &error) == IOT_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, error.message);
  return 2;
}

/* core.percent_encode(text) -> with all but A-Z a-z 0-9 - . _ ~ as %XX */
static int percent_encode(lua_State *L)
{
  struct iot_buffer *bytes;

  luaL_checktype(L, 1, LUA_TSTRING);
  bytes = lua_newuserdata(L, sizeof *bytes);
  iot_buffer_init(bytes, (size_t)-1 / 2);
  luaL_getmetatable(L, BYTES_CLASS);
  lua_setmetatable(L, -2);
  iot_uri_encode(bytes, liot_view(L, 1));
  if (bytes->status != IOT_OK)
    return luaL_error(L, "not enough memory");
  liot_push_view(L, iot_buffer_view(bytes));
  return 1;
}

/* core.is_utf8(text) -> whether it is well-formed UTF-8 throughout */
static int is_utf8(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_pushboolean(L, iot_view_is_utf8(liot_view(L, 1)));
  return 1;
}

/* core.system() -> { name, release, machine, libcurl } */
static int system_facts(lua_State *L)
{
  struct utsname facts;

  lua_createtable(L, 0, 4);
  liot_set_view(L, "libcurl", iot_view_of(iot_http_library_version()));
  if (uname(&facts) < 0)
    return 1;
  liot_set_view(L, "name", iot_view_of(facts.sysname));
  liot_set_view(L, "release", iot_view_of(facts.release));
  liot_set_view(L, "machine", iot_view_of(facts.machine));
  return 1;
}

/* core.status_names() -> the names of all statuses of the core, a list */
static int status_names(lua_State *L)
{
  int i;

  lua_createtable(L, IOT_STATUS_COUNT, 0);
  for (i = 0; i < IOT_STATUS_COUNT; i++) {
    lua_pushstring(L, iot_status_name((enum iot_status)i));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

void liot_open_system(lua_State *L)
{
  static const luaL_Reg bytes_metamethods[] = { { "__gc", bytes_gc }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };
  static const luaL_Reg functions[] = {
    { "now", now },
    { "monotonic", monotonic },
    { "sleep", sleep_seconds },
    { "die_of_interrupt", die_of_interrupt },
    { "parse_time", parse_time },
    { "parse_http_date", parse_http_date },
    { "uuid", uuid },
    { "random", random_number },
    { "sha1", sha1 },
    { "sha256", sha256 },
    { "es256_public", es256_public },
    { "es256_sign", es256_sign },
    { "read_file", read_file },
    { "check_file", check_file },
    { "replace_file", replace_file },
    { "percent_encode", percent_encode },
    { "is_utf8", is_utf8 },
    { "system", system_facts },
    { "status_names", status_names },
    { NULL, NULL },
  };

  lua_pushnil(L);
  liot_new_class(L, BYTES_CLASS, bytes_metamethods, none);
  liot_register(L, functions, 0);
}
