/*
 * Between Lua values and JSON: the only user of lua-cjson.
 *
 * The codec is a private instance of cjson, pushed once by liot_push_codec and passed to the functions
 * below as a stack index: settings of other users of cjson are neither seen nor changed.
 */
#ifndef LUA_CODEC_H
#define LUA_CODEC_H

#include "lua_util.h"

/* Push a new codec: a table. Raises when lua-cjson is not installed. */
void liot_push_codec(lua_State *L);

/*
 * Lua functions, with the codec as their upvalue:
 *   decode_json(text)   the object that a text holds, nulls left out and integers as such | nil, message
 *   decode_value(text)  what a JSON text of any kind stands for, as lua-cjson has it: nulls, which are a light
 *                       userdata, and floats stay | nil, message
 *   encode_json(table)  its JSON text | nil, message
 */
int liot_decode_json(lua_State *L);
int liot_decode_value(lua_State *L);
int liot_encode_json(lua_State *L);

/* Replace the value on top of the stack by its JSON text; false, with the reason in `error` and nil on the
   stack, when it has none. */
bool liot_encode(lua_State *L, int codec, struct iot_error *error);

/* Push the object that a text holds, nulls and such left in; false, with the reason in `error` and
   nothing pushed, when it holds none. The text is anchored by the caller. */
bool liot_decode_object(lua_State *L, int codec, struct iot_view text, struct iot_error *error);

/* Rid the value on top of the stack, at any depth, of nulls and of floats that are integers. False
   when a number in it is not finite; the stack then holds leftovers above it. */
bool liot_normalize(lua_State *L);

/* Make the number on top of the stack an integer where it is one; false when it is not finite. */
bool liot_normalize_number(lua_State *L);

/* Whether a number is an integer that every Lua has. */
bool liot_is_integral(double number);

#endif
