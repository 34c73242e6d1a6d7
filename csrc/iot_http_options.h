/*
 * What every exchange of one client is set up from: its options, checked and copied.
 */
#ifndef IOT_HTTP_OPTIONS_H
#define IOT_HTTP_OPTIONS_H

#include "iot_buffer.h"

struct iot_http_options {
  bool allow_plain;          /* http:// besides https:// */
  struct iot_view ca_bundle; /* PEM file, or hashed directory, of the only CAs to trust; p NULL: the
                                system's hashed directory if it has one, else libcurl's default */
  struct iot_view proxy; /* URL; empty: none; p NULL: as http_proxy, https_proxy, no_proxy say */

  /* PEM files, read anew for each exchange: the certificate that the server may ask for, p NULL for none;
     and its private key, p NULL where it is in the same file. */
  struct iot_view client_certificate, client_key;

  /* Seconds, no limit for 0, less or NaN: for name, connection and TLS handshake; and without a whole line of a
     reply's head, a piece of its body, or more of the request's body going out. */
  double connect_timeout, read_timeout;

  /* The body of a reply comes in pieces, uncompressed if it was gzip: see iot_http_exchange_take. While nobody
     takes them, the server waits. */
  bool in_pieces;
};

/* A copy of options, with NULL for what is not given. All zero is the inert state. */
struct iot_http_settings {
  bool allow_plain;
  char *ca_bundle;
  char *proxy;
  char *client_certificate;
  char *client_key;
  double connect_timeout;
  double read_timeout;
  bool in_pieces;
};

/*
 * Check and copy options into inert settings, which the caller frees, after a failure too.
 * Returns IOT_OK; IOT_ECABUNDLE when the bundle cannot be read, IOT_ECONFIGURATION for a proxy that is no
 * URL of one, or IOT_ENOMEM, each with its reason in `error`.
 */
IOT_NODISCARD enum iot_status iot_http_settings_copy(struct iot_http_settings *settings,
    const struct iot_http_options *options, struct iot_error *error);

/* Wipe what may be secret, free, and back to inert. */
void iot_http_settings_free(struct iot_http_settings *settings);

#endif
