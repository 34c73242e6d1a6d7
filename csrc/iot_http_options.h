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
  struct iot_view
      client_certificate;     /* PEM file that the server may ask for, read anew for each exchange;
                                         p NULL: none */
  struct iot_view client_key; /* PEM file of its private key; p NULL: in the same file */
  double connect_timeout;     /* seconds for name, connection and TLS handshake; 0: no limit */
  double read_timeout; /* seconds between two bytes of a reply, or before its first; 0: none */
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
