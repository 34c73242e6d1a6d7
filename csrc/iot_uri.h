/*
 * URIs: percent-encoding, the canonical forms of a path and a query, and taking a URL apart.
 */
#ifndef IOT_URI_H
#define IOT_URI_H

#include "iot_buffer.h"

/*
 * Append `text` with every byte but A-Z a-z 0-9 - . _ ~ as %XX, upper-case (RFC 3986 section 2.3;
 * reference 1.5 and 1.6: the form of a label, of a query's names and of its values).
 */
void iot_uri_encode(struct iot_buffer *out, struct iot_view text);

/* Whether a path holds only what may stand in a request line (RFC 3986 section 3.3). */
bool iot_uri_is_path(struct iot_view path);

/* Whether a segment of the path is "." or "..", its dots escaped or not: others may take it for another path. */
bool iot_uri_has_dot_segment(struct iot_view path);

/*
 * Append the canonical form of a path (reference 3.1); an empty path is "/".
 *   normalize      drop empty and "." segments, let ".." drop the one before it, never above the root;
 *                  a trailing "/" stays unless nothing else is left
 *   double_encode  encode every byte but "/" and the unreserved ones, so that a "%" of the wire
 *                  becomes "%25"; without it %XX stays as it stands (Amazon S3)
 */
void iot_uri_canonical_path(
    struct iot_buffer *out, struct iot_view path, bool normalize, bool double_encode);

/*
 * Append the canonical form of a query (reference 3.1): names and values decoded and encoded again,
 * pairs sorted by encoded name, then encoded value, each with a "=". A "+" is a plus.
 * Failure sticks in `out` (IOT_ENOMEM, IOT_ETOOLARGE).
 */
void iot_uri_canonical_query(struct iot_buffer *out, struct iot_view query);

/* The parts of an http or https URL; views into the text that was parsed. */
struct iot_url {
  bool https;
  struct iot_view host;  /* a name, an IPv4 address, or an IPv6 address in brackets */
  unsigned port;         /* 1 to 65535; the scheme's own when the URL names none */
  struct iot_view path;  /* empty or from "/" on */
  struct iot_view query; /* behind the "?" */
};

/*
 * Take a URL apart. The host's labels are 1 to 63 letters, digits or "-", in all at most 255
 * bytes (reference 2.5); path and query are not looked at, except that no control byte may be in
 * them. User information and fragments are refused.
 * Returns IOT_OK, or IOT_EPARAMETER with the reason in `error`.
 */
IOT_NODISCARD enum iot_status iot_url_parse(
    struct iot_url *url, struct iot_view text, struct iot_error *error);

/*
 * Whether a text names a proxy: a host as above, with an optional scheme (http, https, socks4, socks4a,
 * socks5, socks5h), user information and port.
 */
bool iot_url_is_proxy(struct iot_view text);

/* Overwrite with "*" what stands between "://" and the last "@" of a word: it may be a password. */
void iot_url_hide_user_information(char *text);

/* Append the value of the Host header: lower case, and the port unless it is the scheme's own. */
void iot_url_append_host(struct iot_buffer *out, const struct iot_url *url);

#endif
