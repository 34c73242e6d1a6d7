/*
 * Every difference between the Lua versions, under private names: LuaJIT exports some of the
 * official ones without declaring them.
 */
#ifndef LUA_COMPAT_H
#define LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h> /* LUA_FILEHANDLE, before 5.2 */

#if LUA_VERSION_NUM >= 502
#define liot_rawlen(L, index) lua_rawlen(L, index)
#else
#define liot_rawlen(L, index) lua_objlen(L, index)
#endif

/* The FILE of a Lua file, NULL when that is closed; `handle` is its userdata. */
#if LUA_VERSION_NUM >= 502
#define liot_stream(handle) \
  (((luaL_Stream *)(handle))->closef ? ((luaL_Stream *)(handle))->f : NULL)
#else
#define liot_stream(handle) (*(FILE **)(handle))
#endif

/* Integers are a subtype from 5.3 on; before, every number is a float. */
#if LUA_VERSION_NUM >= 503
#define liot_isinteger(L, index) lua_isinteger(L, index)
#define liot_pushintegral(L, number) lua_pushinteger(L, (lua_Integer)(number))
#else
#define liot_isinteger(L, index) 0
#define liot_pushintegral(L, number) lua_pushnumber(L, number)
#endif

/* The main thread, whose debug hook a signal handler can set. Before 5.2 only the thread itself can tell
   that it is, so the module remembers it when it is loaded; in LuaJIT the hook is the same for all. */
#if LUA_VERSION_NUM >= 502
#define liot_remember_main_thread(L) ((void)0)
#define liot_push_main_thread(L) lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD)
#else
#define LIOT_MAIN_THREAD "iot.main_thread"
#define liot_remember_main_thread(L) \
  (lua_pushthread(L) ? lua_setfield(L, LUA_REGISTRYINDEX, LIOT_MAIN_THREAD) : lua_pop(L, 1))
#define liot_push_main_thread(L) lua_getfield(L, LUA_REGISTRYINDEX, LIOT_MAIN_THREAD)
#endif

#endif
