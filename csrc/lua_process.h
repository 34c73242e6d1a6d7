/*
 * Programs: what lua_process.c makes of a list of arguments, and of one that has ended.
 */
#ifndef LUA_PROCESS_H
#define LUA_PROCESS_H

#include "iot_process.h"
#include "lua_util.h"

/* Read the list of arguments at `index`; NULL ends them. They are borrowed from strings that stay on the stack. */
void liot_read_arguments(lua_State *L, int index, char *arguments[IOT_PROCESS_MAX_ARGUMENTS + 1]);

/* The time limit at `index`. */
double liot_check_seconds(lua_State *L, int index);

/* Push { status=, signal=, output=, errors= }. */
void liot_push_process(lua_State *L, const struct iot_process *process);

#endif
