#include "lua_util.h"

#include <math.h>

struct iot_view liot_view(lua_State *L, int index)
{
  struct iot_view v;

  v.p = lua_tolstring(L, index, &v.n);
  return v;
}

void liot_push_view(lua_State *L, struct iot_view v)
{
  lua_pushlstring(L, v.n ? v.p : "", v.n);
}

/* Push the raw field; false, and nothing pushed, when it is nil. */
static bool push_field(lua_State *L, int table, const char *name, int type)
{
  luaL_checkstack(L, LUA_MINSTACK, "too many fields");
  lua_pushstring(L, name);
  lua_rawget(L, table);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  if (lua_type(L, -1) != type)
    luaL_error(
        L, "field '%s' must be a %s, got %s", name, lua_typename(L, type), luaL_typename(L, -1));
  return true;
}

struct iot_view liot_string_field(lua_State *L, int table, const char *name)
{
  const struct iot_view none = { NULL, 0 };

  return push_field(L, table, name, LUA_TSTRING) ? liot_view(L, -1) : none;
}

double liot_number_field(lua_State *L, int table, const char *name, double absent)
{
  if (push_field(L, table, name, LUA_TNUMBER)) {
    absent = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  return absent;
}

bool liot_boolean_field(lua_State *L, int table, const char *name, bool absent)
{
  if (push_field(L, table, name, LUA_TBOOLEAN)) {
    absent = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  return absent;
}

bool liot_table_field(lua_State *L, int table, const char *name)
{
  return push_field(L, table, name, LUA_TTABLE);
}

struct iot_credentials liot_credentials_field(lua_State *L, int table, const char *name)
{
  struct iot_credentials credentials = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
  int record;

  if (!liot_table_field(L, table, name))
    return credentials;
  record = lua_gettop(L);
  credentials.access_key_id = liot_string_field(L, record, "access_key_id");
  credentials.secret_access_key = liot_string_field(L, record, "secret_access_key");
  credentials.session_token = liot_string_field(L, record, "session_token");
  return credentials;
}

int64_t liot_time_field(lua_State *L, int table, const char *name, double absent)
{
  const double time = floor(liot_number_field(L, table, name, absent));

  return fabs(time) < 1e15 ? (int64_t)time : INT64_MIN / 2;
}

int liot_fail(lua_State *L, enum iot_status status, const struct iot_error *error)
{
  if (status == IOT_ENOMEM)
    return luaL_error(L, "not enough memory");
  lua_pushnil(L);
  lua_pushstring(L, error->message);
  lua_createtable(L, 0, 1);
  liot_set_view(L, "code", iot_view_of(iot_status_name(status)));
  return 3;
}

/* What a state knows of its main thread. */
struct main_thread {
  lua_State *thread; /* NULL until it is known */
  lua_Hook hook;     /* when it last ran C of ours: the host's own */
};

static char main_thread_key;

void liot_open_hook(lua_State *L)
{
  struct main_thread *known;

  lua_pushlightuserdata(L, &main_thread_key);
  known = lua_newuserdata(L, sizeof *known);
  liot_push_main_thread(L);
  known->thread = lua_tothread(L, -1);
  known->hook = known->thread ? lua_gethook(known->thread) : NULL;
  lua_pop(L, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static struct main_thread *main_thread_of(lua_State *L)
{
  struct main_thread *known;

  lua_pushlightuserdata(L, &main_thread_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  known = lua_touserdata(L, -1);
  if (lua_pushthread(L)) {
    known->thread = L;
    known->hook = lua_gethook(L);
  }
  lua_pop(L, 2);
  return known;
}

static bool hook_changed(void *context)
{
  const struct liot_hook *hook = context;

  return hook->pending || lua_gethook(hook->thread) != hook->before;
}

const struct iot_interrupt *liot_watch_hook(lua_State *L, struct liot_hook *hook)
{
  const struct main_thread *known = main_thread_of(L);

  hook->thread = known->thread ? known->thread : L;
  hook->before = lua_gethook(hook->thread);
  hook->pending = known->thread && hook->before != known->hook &&
                  (lua_gethookmask(hook->thread) & LUA_MASKCOUNT) &&
                  lua_gethookcount(hook->thread) == 1;
  hook->interrupt = (struct iot_interrupt){ hook_changed, hook };
  return &hook->interrupt;
}

void liot_set_view(lua_State *L, const char *name, struct iot_view text)
{
  if (text.n == 0)
    return;
  liot_push_view(L, text);
  lua_setfield(L, -2, name);
}

void liot_register(lua_State *L, const luaL_Reg *functions, int upvalues)
{
  int i;

  for (; functions->name; functions++) {
    for (i = 0; i < upvalues; i++)
      lua_pushvalue(L, -upvalues);
    lua_pushcclosure(L, functions->func, upvalues);
    lua_setfield(L, -upvalues - 2, functions->name);
  }
  lua_pop(L, upvalues);
}

void liot_new_class(
    lua_State *L, const char *name, const luaL_Reg *metamethods, const luaL_Reg *methods)
{
  luaL_newmetatable(L, name);
  liot_register(L, metamethods, 0);
  lua_newtable(L);
  lua_pushvalue(L, -3);
  liot_register(L, methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}
