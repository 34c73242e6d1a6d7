/*
 * The native client: what lua_client.c makes, and what operations are called on.
 */
#ifndef LUA_CLIENT_H
#define LUA_CLIENT_H

#include "iot_attempt.h"
#include "iot_http_client.h"
#include "lua_util.h"

#define LIOT_CLIENT_CLASS "iot.native_client"

/* What a call holds while Lua allocates. Any allocation may run a finaliser, which may use the same
   client or close it: so a call has a work of its own, with the buffers that the client keeps for it. */
struct liot_work {
  struct iot_reply reply;
  struct iot_buffer wire; /* what prepare() and endpoint() answer */
};

struct liot_client {
  struct iot_http_client *http; /* NULL once closed */
  struct iot_sigv4 signer;      /* used where no Lua runs, like the request */
  struct iot_request request;
  struct iot_target target;
  struct liot_work idle; /* the buffers of the last call */
};

/* The client at `index`. Raises when it is none, or closed. */
struct liot_client *liot_check_client(lua_State *L, int index);

/* Raises when a finaliser has closed it since it was checked. From here to the next call of Lua it is open. */
void liot_check_open(lua_State *L, const struct liot_client *client);

/* Push a work with the client's idle buffers. A finaliser may close the client meanwhile: who needs it open checks. */
struct liot_work *liot_take_work(lua_State *L, struct liot_client *client);

/* Let the client keep the buffers of a work, which is then empty. */
void liot_give_back(struct liot_client *client, struct liot_work *work);

/* The operation whose name is at `index`. Raises when there is none. */
const struct iot_operation *liot_check_operation(lua_State *L, int index);

/*
 * Read the table of an attempt at `index`; the views borrow from strings that stay on the stack:
 * { credentials=, time=, timeout=, user_agent=, invocation_id=, trace_id=, number=, max_attempts= }
 */
void liot_read_attempt(lua_State *L, int index, struct iot_attempt *attempt);

/* Push what a reply means, as liot_decode does, and with a result the status of HTTP. Returns how many
   values were pushed. */
int liot_decode_result(
    lua_State *L, int codec, const struct iot_operation *operation, const struct iot_reply *reply);

#endif
