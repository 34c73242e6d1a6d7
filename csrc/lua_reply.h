/*
 * What a reply of the service means, as Lua values.
 */
#ifndef LUA_REPLY_H
#define LUA_REPLY_H

#include "iot_operations.h"
#include "iot_reply.h"
#include "lua_util.h"

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
