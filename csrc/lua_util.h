/*
 * What every binding file needs: reading option tables, and answering with a failure.
 *
 * Strings are borrowed from Lua: a view stays valid while its string stays reachable. A table does not see to
 * that, since a finaliser may change it; the stack of the call does.
 */
#ifndef LUA_UTIL_H
#define LUA_UTIL_H

#include <stdint.h>

#include "iot_interrupt.h"
#include "iot_sigv4.h"
#include "lua_compat.h"

/* The bytes of the string at `index`, which is one. */
struct iot_view liot_view(lua_State *L, int index);

/* Push a string. Making it may run a finaliser before the bytes are copied: they are the call's own (on the
   stack, in a userdata there, or constant), never of what a finaliser could close. */
void liot_push_view(lua_State *L, struct iot_view v);

/*
 * Fields of the table at `table` (a valid index that is no pseudo-index). Each raises an error that
 * names the field when it has another type. An absent string is the empty view, with p NULL; an
 * absent number or boolean is `absent`. A string that is there stays on the stack, which anchors it for the
 * rest of the call.
 */
struct iot_view liot_string_field(lua_State *L, int table, const char *name);
double liot_number_field(lua_State *L, int table, const char *name, double absent);
bool liot_boolean_field(lua_State *L, int table, const char *name, bool absent);

/* Push the field, a table, and return true; push nothing and return false when it is absent. */
bool liot_table_field(lua_State *L, int table, const char *name);

/* The record in the field `name`; empty views where there is none, or a member is absent. What is there stays on
   the stack. */
struct iot_credentials liot_credentials_field(lua_State *L, int table, const char *name);

/* Whole seconds since the epoch; a time before the year 1, which nothing takes, for a number that is
   none. */
int64_t liot_time_field(lua_State *L, int table, const char *name, double absent);

/* nil, message, facts: facts = { code = ... }. Raises when `status` is IOT_ENOMEM. Returns 3. */
int liot_fail(lua_State *L, enum iot_status status, const struct iot_error *error);

/*
 * What tells an interrupt: the debug hook of the main thread is another than when the waiting began. A
 * signal handler can do no more with a Lua state than set one, which then raises; lua.c's does. It is the
 * main thread's own, so a coroutine goes on meanwhile: one that begins to wait then is interrupted when
 * that hook is to be called at the next instruction, and was not there when the main thread last waited.
 */
struct liot_hook {
  struct iot_interrupt interrupt;
  lua_State *thread;
  lua_Hook before;
  bool pending; /* it came before the waiting began */
};

/* Once for a state, before the other. */
void liot_open_hook(lua_State *L);

/* Begin to watch, for what waits in C. Returns the interrupt, valid as long as `hook`. Calls no finaliser. */
const struct iot_interrupt *liot_watch_hook(lua_State *L, struct liot_hook *hook);

/* t[name] = text, of the table on top of the stack; nothing when the view is empty. */
void liot_set_view(lua_State *L, const char *name, struct iot_view text);

/*
 * Register functions in the table below the `upvalues` values on top of the stack, which become the
 * upvalues of each and are popped.
 */
void liot_register(lua_State *L, const luaL_Reg *functions, int upvalues);

/*
 * Make a metatable named `name` with `metamethods`, and with `methods` as its __index; those have the
 * value on top of the stack as their upvalue, which is popped.
 */
void liot_new_class(
    lua_State *L, const char *name, const luaL_Reg *metamethods, const luaL_Reg *methods);

#endif
