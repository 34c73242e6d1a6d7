/*
 * HTTP/1.1 exchanges by libcurl, which only this file and iot_http_multi use: set up, and how they ended.
 *
 * Certificates and host names are always verified, TLS is 1.2 or newer, redirects are not followed,
 * a path is sent as it was signed, and no signal disposition is touched. What another process made before
 * fork() is never used, and when it is freed libcurl's part of it stays: to close that would say goodbye
 * on connections that the other process goes on using. The memory is the price.
 */
#ifndef IOT_HTTP_H
#define IOT_HTTP_H

#include "iot_http_exchange.h"
#include "iot_sigpipe.h"

/* Make libcurl ready, once for the process. */
void iot_http_initialize(void);

/* Around calls of libcurl that may write to a connection: with an old one that may raise SIGPIPE. */
void iot_http_enter(struct iot_sigpipe *held);
void iot_http_leave(const struct iot_sigpipe *held);

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

/* Whether the request is on its way: the connection stands. */
bool iot_http_exchange_is_sending(const struct iot_http_exchange *exchange);

/*
 * How it ended. Returns IOT_OK when a whole reply has come, whatever its status; IOT_ENOMEM, IOT_ECABUNDLE,
 * IOT_ERESOLVE, IOT_ECONNECT, IOT_EPROXY, IOT_ETLS, IOT_ECERTIFICATE, IOT_ELOST, IOT_ETIMEOUT,
 * IOT_ERESPONSE, IOT_ETOOLARGE, or IOT_ECONFIGURATION for a client certificate that cannot be used,
 * with the reason in `error`. After a failure its connection is closed.
 */
IOT_NODISCARD enum iot_status iot_http_exchange_result(
    struct iot_http_exchange *exchange, struct iot_error *error);

/* The version of libcurl that is in use, "7.88.1". Static storage. */
const char *iot_http_library_version(void);

#endif
