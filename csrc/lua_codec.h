/*
 * Between Lua tables and the service's JSON: the only user of lua-cjson.
 *
 * The codec is a private instance of cjson, pushed once by liot_push_codec and passed to the functions
 * below as a stack index: settings of other users of cjson are neither seen nor changed.
 */
#ifndef LUA_CODEC_H
#define LUA_CODEC_H

#include "iot_operations.h"
#include "iot_reply.h"
#include "lua_util.h"

/* Push a new codec: a table. Raises when lua-cjson is not installed. */
void liot_push_codec(lua_State *L);

/*
 * Lua functions, with the codec as their upvalue:
 *   decode_json(text)   the object that a text holds, nulls left out and integers as such | nil, message
 *   encode_json(table)  its JSON text | nil, message
 */
int liot_decode_json(lua_State *L);
int liot_encode_json(lua_State *L);

/*
 * Read the parameters in the table at `params` as iot_operation_write wants them. Pushes what anchors
 * the views. Returns IOT_OK, or IOT_EPARAMETER with the reason in `error` for a name that the operation
 * does not know, a wrong type, and invalid UTF-8.
 */
IOT_NODISCARD enum iot_status liot_read_params(lua_State *L, int codec, int params,
    const struct iot_operation *operation, struct iot_view values[IOT_OPERATION_MAX_MEMBERS],
    struct iot_error *error);

/*
 * Push what a reply means: the result, a table; or nil, message, facts, where facts has `kind`
 * ("service" for an answer of the service that is an error), `code`, `status`, `request_id`, `body`
 * (an excerpt, of a reply that could not be understood), `retry_after` (iot_reply_retry_after, seconds)
 * and `server_time` (iot_reply_date, seconds since the epoch), as far as known. The message is the
 * service's own and may be empty. Returns how many values were pushed. Rules: reference sections 1.8
 * and 4, with the right-hand column of 4.4.
 */
int liot_decode(
    lua_State *L, int codec, const struct iot_operation *operation, const struct iot_reply *reply);

#endif
