/*
 * Plain requests: what lua_http.c makes of a table, and of a reply.
 */
#ifndef LUA_HTTP_H
#define LUA_HTTP_H

#include "iot_http_client.h"
#include "lua_util.h"

/* A request with a client of its own. */
struct liot_request {
  struct iot_http_client *http; /* NULL once closed */
  struct iot_request request;
  double timeout; /* seconds */
  struct iot_reply reply;
  struct iot_buffer origin;
  struct iot_buffer host;
  struct iot_buffer method; /* with a terminator */
};

/*
 * Read the table at `index`, see core.request, and push the request made of it, which the caller closes, and the
 * strings that it borrows.
 *   in_pieces  as of iot_http_options; without a timeout there is then no limit
 * Returns IOT_OK, or a failure with its reason in `error`: the request is closed later all the same.
 */
IOT_NODISCARD enum iot_status liot_read_request(lua_State *L, int index, bool in_pieces,
    struct liot_request **request, struct iot_error *error);

/* Safe to call twice. */
void liot_close_request(struct liot_request *request);

/* Push { status=, headers=, body= }. */
void liot_push_reply(lua_State *L, const struct iot_reply *reply);

#endif
