/*
 * HTTP/1.1 exchanges over reused connections, any number at once: the only user of libcurl.
 *
 * Certificates and host names are always verified, TLS is 1.2 or newer, redirects are not followed,
 * a path is sent as it was signed, and no signal disposition is touched. What another process made before
 * fork() is never used, and when it is freed libcurl's part of it stays: to close that would say goodbye
 * on connections that the other process goes on using. The memory is the price.
 */
#ifndef IOT_HTTP_H
#define IOT_HTTP_H

#include "iot_http_exchange.h"

enum { IOT_HTTP_MAX_WATCHED = 64 };

/* Exchanges of any clients that go on at once, and their connections. */
struct iot_http_multi;

/*
 * Make an exchange, which the caller frees. It needs the settings no more.
 * Returns IOT_OK, IOT_ECONFIGURATION or IOT_ENOMEM; *exchange is then NULL.
 */
IOT_NODISCARD enum iot_status iot_http_exchange_new(struct iot_http_exchange **exchange,
    const struct iot_http_settings *settings, struct iot_error *error);

/* Cancel and free. NULL is accepted. */
void iot_http_exchange_free(struct iot_http_exchange *exchange);

/*
 * Give it a request, for its first use or another.
 *   origin   "https://host:port", to which the request's target is appended
 *   request  with all its headers; Content-Length is added here, nothing else
 *   timeout  seconds for the whole exchange, more than 0
 *   reply    where the reply goes, an empty one; the request's body is then borrowed until the exchange has
 *            ended. NULL: to the exchange's own, and the request is copied.
 * Returns IOT_OK, IOT_ENOMEM, IOT_EPARAMETER for a request that is too large, or IOT_ECONFIGURATION.
 */
IOT_NODISCARD enum iot_status iot_http_exchange_set(struct iot_http_exchange *exchange,
    struct iot_view origin, const struct iot_request *request, double timeout,
    struct iot_reply *reply, struct iot_error *error);

/* Take it off its multi, if it is under way, and close its connection. */
void iot_http_exchange_cancel(struct iot_http_exchange *exchange);

/*
 * How it ended. Returns IOT_OK when a whole reply has come, whatever its status; IOT_ENOMEM, IOT_ECABUNDLE,
 * IOT_ERESOLVE, IOT_ECONNECT, IOT_EPROXY, IOT_ETLS, IOT_ECERTIFICATE, IOT_ELOST, IOT_ETIMEOUT,
 * IOT_ERESPONSE, IOT_ETOOLARGE, or IOT_ECONFIGURATION for a client certificate that cannot be used,
 * with the reason in `error`. After a failure its connection is closed.
 */
IOT_NODISCARD enum iot_status iot_http_exchange_result(
    struct iot_http_exchange *exchange, struct iot_error *error);

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

/* The version of libcurl that is in use, "7.88.1". Static storage. */
const char *iot_http_library_version(void);

#endif
