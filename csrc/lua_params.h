/*
 * The parameters of an operation, from a Lua table.
 */
#ifndef LUA_PARAMS_H
#define LUA_PARAMS_H

#include "iot_operations.h"
#include "lua_util.h"

/*
 * Read the parameters in the table at `params` as iot_operation_write wants them. Pushes what anchors
 * the views. Returns IOT_OK, or IOT_EPARAMETER with the reason in `error` for a name that the operation
 * does not know, a wrong type, and invalid UTF-8.
 */
IOT_NODISCARD enum iot_status liot_read_params(lua_State *L, int codec, int params,
    const struct iot_operation *operation, struct iot_view values[IOT_OPERATION_MAX_MEMBERS],
    struct iot_error *error);

#endif
