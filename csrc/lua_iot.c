/*
 * The module iot.core: registration only.
 */
#include "lua_binding.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

/* Of the library as a whole. */
#define VERSION "0.1.0"

EXPORT int luaopen_iot_core(lua_State *L)
{
  lua_newtable(L);
  liot_open_client(L);
  liot_open_sigv4(L);
  liot_open_http(L);
  liot_open_system(L);
  liot_open_terminal(L);
  lua_pushliteral(L, VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
