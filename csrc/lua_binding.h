/*
 * The parts that lua_iot.c puts together into the module iot.core.
 */
#ifndef LUA_BINDING_H
#define LUA_BINDING_H

#include "lua_compat.h"

/* Each adds its functions to the table on top of the stack; `codec` is the index of the codec. */
void liot_open_client(lua_State *L, int codec);
void liot_open_multi(lua_State *L, int codec);
void liot_open_operations(lua_State *L, int codec); /* after liot_open_client */
void liot_open_sigv4(lua_State *L);
void liot_open_http(lua_State *L);
void liot_open_process(lua_State *L);
void liot_open_system(lua_State *L);
void liot_open_terminal(lua_State *L);
void liot_open_name_set(lua_State *L);

/* The module; see lua_iot.c. */
int luaopen_iot_core(lua_State *L);

#endif
