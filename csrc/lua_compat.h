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

/* Push the main thread, nil where only that itself can tell: before 5.2. */
#if LUA_VERSION_NUM >= 502
#define liot_push_main_thread(L) lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD)
#else
#define liot_push_main_thread(L) (lua_pushthread(L) ? (void)0 : (lua_pop(L, 1), lua_pushnil(L)))
#endif

/* Pop a table, which the userdata at `index` anchors from now on. */
#if LUA_VERSION_NUM >= 502
#define liot_set_anchor(L, index) lua_setuservalue(L, index)
#else
#define liot_set_anchor(L, index) lua_setfenv(L, index)
#endif

#endif
