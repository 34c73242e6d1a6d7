/*
 * An HTTP client: exchanges with the same options, kept for their next use.
 */
#ifndef IOT_HTTP_CLIENT_H
#define IOT_HTTP_CLIENT_H

#include "iot_http.h"
#include "iot_http_multi.h"
#include "iot_interrupt.h"

/* Its idle exchanges with their TLS sessions, and the connections of iot_http_client_perform. */
struct iot_http_client;

/*
 * Make a client, which the caller closes. Nothing is connected; the options are copied.
 * Returns IOT_OK, or what iot_http_settings_copy does; *client is then NULL.
 */
IOT_NODISCARD enum iot_status iot_http_client_open(struct iot_http_client **client,
    const struct iot_http_options *options, struct iot_error *error);

/* Close connections and free. Exchanges that were prepared go on. NULL is accepted. */
void iot_http_client_close(struct iot_http_client *client);

/*
 * Send a request and wait for the whole reply.
 *   origin     like the request, as for iot_http_exchange_set
 *   timeout    seconds for the whole exchange; 0 or less is over already
 *   reply      out: cleared first; complete only on IOT_OK, whatever its status
 *   interrupt  may be NULL
 * A connection that an earlier process made before fork() is never used.
 * Returns what iot_http_exchange_set and iot_http_exchange_result do, or IOT_EINTERRUPTED: the connection
 * is then closed.
 */
IOT_NODISCARD enum iot_status iot_http_client_perform(struct iot_http_client *client,
    struct iot_view origin, const struct iot_request *request, double timeout,
    struct iot_reply *reply, const struct iot_interrupt *interrupt, struct iot_error *error);

/*
 * Make an exchange ready for a multi of the caller, who releases it. It has copies of all that it needs,
 * so that the client may be closed meanwhile.
 *   secret  what no excerpt of the reply may show, such as the session token
 * Returns IOT_OK, IOT_ETIMEOUT when there is no time, or what iot_http_exchange_set does; with a failure
 * *exchange is NULL.
 */
IOT_NODISCARD enum iot_status iot_http_client_prepare(struct iot_http_client *client,
    struct iot_http_exchange **exchange, struct iot_view origin, const struct iot_request *request,
    double timeout, struct iot_view secret, struct iot_error *error);

/* Cancel an exchange that was prepared and give it back, or free it where its client is closed; what
   was copied is wiped. NULL is accepted. */
void iot_http_client_release(struct iot_http_exchange *exchange);

#endif
