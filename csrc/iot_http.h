/*
 * HTTP/1.1 exchanges over reused connections: the only user of libcurl.
 *
 * Certificates and host names are always verified, TLS is 1.2 or newer, redirects are not followed,
 * a path is sent as it was signed, and no signal disposition is touched.
 */
#ifndef IOT_HTTP_H
#define IOT_HTTP_H

#include "iot_reply.h"
#include "iot_request.h"

/* Connections, TLS sessions, resolved names and the trust store of one client. */
struct iot_http;

struct iot_http_options {
  bool allow_plain;          /* http:// besides https:// */
  struct iot_view ca_bundle; /* PEM file, or hashed directory, of the only CAs to trust; p NULL: the
                                system's hashed directory if it has one, else libcurl's default */
  struct iot_view proxy; /* URL; empty: none; p NULL: as http_proxy, https_proxy, no_proxy say */
  struct iot_view client_certificate; /* PEM file that the server may ask for; p NULL: none */
  struct iot_view client_key;         /* PEM file of its private key; p NULL: in the same file */
  double connect_timeout; /* seconds for name, connection and TLS handshake; 0: no limit */
  double read_timeout;    /* seconds between two bytes of a reply, or before its first; 0: none */
};

/*
 * Make a client, which the caller closes. Nothing is connected; the options are copied.
 * Returns IOT_OK; IOT_ECABUNDLE when the bundle cannot be read, IOT_ECONFIGURATION for a proxy that is no
 * URL of one, or IOT_ENOMEM, each with its reason in `error`; *http is then NULL.
 */
IOT_NODISCARD enum iot_status iot_http_open(
    struct iot_http **http, const struct iot_http_options *options, struct iot_error *error);

/* Close connections and free. NULL is accepted. */
void iot_http_close(struct iot_http *http);

/*
 * Send a request and wait for the whole reply.
 *   origin   "https://host:port", to which the request's target is appended
 *   request  with all its headers; Content-Length is added here, nothing else
 *   timeout  seconds for the whole exchange; 0 or less is over already
 *   reply    out: cleared first; complete only on IOT_OK, whatever its status
 * A connection that an earlier process made before fork() is never used.
 * Returns IOT_OK, IOT_ENOMEM, IOT_ECABUNDLE, IOT_ERESOLVE, IOT_ECONNECT, IOT_EPROXY, IOT_ETLS,
 * IOT_ECERTIFICATE, IOT_ELOST, IOT_ETIMEOUT, IOT_ERESPONSE, IOT_ETOOLARGE, or IOT_ECONFIGURATION for a
 * client certificate that cannot be used, with the reason in `error`. After a failure the connection is closed.
 */
IOT_NODISCARD enum iot_status iot_http_perform(struct iot_http *http, struct iot_view origin,
    const struct iot_request *request, double timeout, struct iot_reply *reply,
    struct iot_error *error);

/* The version of libcurl that is in use, "7.88.1". Static storage. */
const char *iot_http_library_version(void);

#endif
