/*
 * Exchanges of any clients that go on at once, and their connections.
 */
#ifndef IOT_HTTP_MULTI_H
#define IOT_HTTP_MULTI_H

#include "iot_http_exchange.h"

enum { IOT_HTTP_MAX_WATCHED = 64 };

struct iot_http_multi;

/*
 * Make a multi, which the caller closes.
 *   max_connections  how many idle ones are kept; 0: as libcurl likes
 * Returns IOT_OK or IOT_ENOMEM; *multi is then NULL.
 */
IOT_NODISCARD enum iot_status iot_http_multi_open(
    struct iot_http_multi **multi, long max_connections, struct iot_error *error);

/* Close its connections and free. No exchange may be on it any more. NULL is accepted. */
void iot_http_multi_close(struct iot_http_multi *multi);

/* Whether this process made it. */
bool iot_http_multi_is_own(const struct iot_http_multi *multi);

/* Begin an exchange, which stays its caller's. `context` comes back with it. Returns IOT_OK, IOT_ENOMEM, or
   IOT_ECONFIGURATION when libcurl refuses it. */
IOT_NODISCARD enum iot_status iot_http_multi_add(struct iot_http_multi *multi,
    struct iot_http_exchange *exchange, void *context, struct iot_error *error);

/* Do what can be done without waiting. All that has ended must then be taken with iot_http_multi_next. */
void iot_http_multi_perform(struct iot_http_multi *multi);

/* The context of the exchange that ended first of those not yet taken; NULL when there is none. */
void *iot_http_multi_next(struct iot_http_multi *multi);

/*
 * Wait at most `seconds`, less when a signal handler ran, until iot_http_multi_perform can go on, or one
 * of `count` descriptors (IOT_HTTP_MAX_WATCHED at most) can be read.
 */
void iot_http_multi_poll(
    struct iot_http_multi *multi, double seconds, const int *descriptors, size_t count);

/* Take an exchange off its multi, if it is under way, and close its connection. */
void iot_http_exchange_cancel(struct iot_http_exchange *exchange);

/*
 * Of an exchange whose reply comes in pieces: move what has come of the body into `piece`, an empty buffer with
 * the limit of a reply's, know the reply's status, and let more come. Returns false when that failed: the
 * exchange has ended then, and no iot_http_multi_next tells.
 */
IOT_NODISCARD bool iot_http_exchange_take(
    struct iot_http_exchange *exchange, struct iot_buffer *piece);

#endif
