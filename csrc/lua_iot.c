/*
 * The module iot.core: registration only.
 */
#include "lua_binding.h"
#include "lua_codec.h"
#include "lua_util.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

/* Of the library as a whole. */
#define VERSION "0.1.0"

EXPORT int luaopen_iot_core(lua_State *L)
{
  int codec;

  liot_open_hook(L);
  liot_push_codec(L);
  codec = lua_gettop(L);
  lua_newtable(L);
  liot_open_client(L, codec);
  liot_open_operations(L, codec);
  liot_open_multi(L, codec);
  liot_open_sigv4(L);
  liot_open_http(L);
  liot_open_process(L);
  liot_open_system(L);
  liot_open_terminal(L);
  liot_open_name_set(L);
  lua_pushliteral(L, VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
