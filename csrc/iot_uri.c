#include "iot_uri.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443, HOST_MAX = 255, LABEL_MAX = 63 };

static bool is_unreserved(char c)
{
  return iot_is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void append_escape(struct iot_buffer *out, char c)
{
  static const char digits[] = "0123456789ABCDEF";
  const unsigned char byte = (unsigned char)c;
  const char escape[] = { '%', digits[byte >> 4], digits[byte & 15] };

  iot_buffer_append(out, (struct iot_view){ escape, sizeof escape });
}

/* How many bytes v starts with that stand for themselves: most of what is encoded is nothing else. */
static size_t unreserved_run(struct iot_view v)
{
  size_t n = 0;

  while (n < v.n && is_unreserved(v.p[n]))
    n++;
  return n;
}

static int hex_value(char c)
{
  c = iot_lower(c);
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that a "%XX" at the start of v stands for; -1 when there is none. */
static int escaped_byte(struct iot_view v)
{
  int high, low;

  if (v.n < 3 || v.p[0] != '%')
    return -1;
  high = hex_value(v.p[1]);
  low = hex_value(v.p[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static struct iot_view skip(struct iot_view v, size_t n)
{
  return (struct iot_view){ v.p + n, v.n - n };
}

/* With `keep`, escapes that are there stay; else their "%" is encoded like any byte. */
static void append_encoded(struct iot_buffer *out, struct iot_view text, bool keep)
{
  while (text.n) {
    size_t n = unreserved_run(text);

    if (n == 0 && keep && escaped_byte(text) >= 0)
      n = 3;
    iot_buffer_append(out, (struct iot_view){ text.p, n });
    if (n == 0) {
      append_escape(out, text.p[0]);
      n = 1;
    }
    text = skip(text, n);
  }
}

void iot_uri_encode(struct iot_buffer *out, struct iot_view text)
{
  append_encoded(out, text, false);
}

bool iot_uri_is_path(struct iot_view path)
{
  while (path.n) {
    const bool escape = escaped_byte(path) >= 0;

    if (!escape && !is_unreserved(path.p[0]) &&
        (path.p[0] == '\0' || !strchr("/!$&'()*+,;=:@", path.p[0])))
      return false;
    path = skip(path, escape ? 3 : 1);
  }
  return true;
}

static bool is_dot_segment(struct iot_view segment)
{
  size_t dots = 0;

  while (segment.n) {
    const bool escape = escaped_byte(segment) == '.';

    if (!escape && segment.p[0] != '.')
      return false;
    segment = skip(segment, escape ? 3 : 1);
    dots++;
  }
  return dots == 1 || dots == 2;
}

bool iot_uri_has_dot_segment(struct iot_view path)
{
  while (path.n)
    if (is_dot_segment(iot_view_cut(&path, '/')))
      return true;
  return false;
}

/* Take the last "/segment" off what was written from `start` on. */
static void drop_segment(struct iot_buffer *out, size_t start)
{
  while (out->n > start && out->p[--out->n] != '/')
    ;
}

static void append_normalized(struct iot_buffer *out, struct iot_view path, bool double_encode)
{
  const bool trailing_slash = path.n && path.p[path.n - 1] == '/';
  const size_t start = out->n;

  while (path.n) {
    struct iot_view segment = iot_view_cut(&path, '/');

    if (segment.n == 0 || iot_view_equal(segment, IOT_LITERAL(".")))
      continue;
    if (iot_view_equal(segment, IOT_LITERAL(".."))) {
      drop_segment(out, start);
      continue;
    }
    iot_buffer_append_byte(out, '/');
    append_encoded(out, segment, !double_encode);
  }
  if (out->n == start || trailing_slash)
    iot_buffer_append_byte(out, '/');
}

void iot_uri_canonical_path(
    struct iot_buffer *out, struct iot_view path, bool normalize, bool double_encode)
{
  if (normalize) {
    append_normalized(out, path, double_encode);
    return;
  }
  if (path.n == 0)
    iot_buffer_append_byte(out, '/');
  while (path.n) {
    const struct iot_view rest = path;
    const struct iot_view segment = iot_view_cut(&path, '/');

    append_encoded(out, segment, !double_encode);
    if (segment.n < rest.n)
      iot_buffer_append_byte(out, '/');
  }
}

/* One "name=value" in encoded form, as offsets into the buffer that holds them all. */
struct pair {
  const struct iot_buffer *text;
  size_t start;
  size_t name_size; /* the "=" is the byte behind the name */
  size_t size;
};

static struct iot_view name_of(const struct pair *pair)
{
  return (struct iot_view){ pair->text->p + pair->start, pair->name_size };
}

static struct iot_view value_of(const struct pair *pair)
{
  const size_t skipped = pair->name_size + 1;

  return (struct iot_view){ pair->text->p + pair->start + skipped, pair->size - skipped };
}

static int compare_bytes(struct iot_view a, struct iot_view b)
{
  const size_t n = a.n < b.n ? a.n : b.n;
  const int order = n ? memcmp(a.p, b.p, n) : 0;

  return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_pairs(const void *a, const void *b)
{
  const int order = compare_bytes(name_of(a), name_of(b));

  return order ? order : compare_bytes(value_of(a), value_of(b));
}

static void append_reencoded(struct iot_buffer *out, struct iot_view text)
{
  while (text.n) {
    const int byte = escaped_byte(text);
    const char c = byte < 0 ? text.p[0] : (char)byte;

    iot_uri_encode(out, (struct iot_view){ &c, 1 });
    text = skip(text, byte < 0 ? 1 : 3);
  }
}

static struct pair read_pair(struct iot_buffer *text, struct iot_view part)
{
  struct pair pair = { text, text->n, 0, 0 };

  append_reencoded(text, iot_view_cut(&part, '='));
  pair.name_size = text->n - pair.start;
  iot_buffer_append_byte(text, '=');
  append_reencoded(text, part);
  pair.size = text->n - pair.start;
  return pair;
}

static size_t count_byte(struct iot_view text, char c)
{
  size_t count = 0, i;

  for (i = 0; i < text.n; i++)
    count += text.p[i] == c;
  return count;
}

void iot_uri_canonical_query(struct iot_buffer *out, struct iot_view query)
{
  struct iot_buffer text;
  struct pair *pairs;
  size_t count = 0, i;

  if (query.n == 0)
    return;
  iot_buffer_init(&text, out->max);
  pairs = calloc(count_byte(query, '&') + 1, sizeof *pairs);
  if (!pairs)
    text.status = IOT_ENOMEM;
  while (query.n && text.status == IOT_OK) {
    const struct iot_view part = iot_view_cut(&query, '&');

    if (part.n)
      pairs[count++] = read_pair(&text, part);
  }
  if (text.status == IOT_OK && count) {
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    for (i = 0; i < count; i++) {
      if (i)
        iot_buffer_append_byte(out, '&');
      iot_buffer_append(out, (struct iot_view){ text.p + pairs[i].start, pairs[i].size });
    }
  } else if (text.status != IOT_OK) {
    out->status = text.status;
  }
  free(pairs);
  iot_buffer_free(&text);
}

static bool is_host_name(struct iot_view host)
{
  size_t i;

  if (host.n == 0 || host.n > HOST_MAX)
    return false;
  while (host.n) {
    const bool more = memchr(host.p, '.', host.n) != NULL;
    const struct iot_view label = iot_view_cut(&host, '.');

    if (label.n == 0 || label.n > LABEL_MAX || (more && host.n == 0))
      return false;
    for (i = 0; i < label.n; i++)
      if (!iot_is_alphanumeric(label.p[i]) && label.p[i] != '-')
        return false;
  }
  return true;
}

/* "[...]" around an IPv6 address (RFC 3986 section 3.2.2), without a zone. */
static bool is_ipv6_literal(struct iot_view host)
{
  struct in6_addr address;
  char text[INET6_ADDRSTRLEN];

  if (host.n < 4 || host.n - 2 >= sizeof text || host.p[0] != '[' || host.p[host.n - 1] != ']')
    return false;
  memcpy(text, host.p + 1, host.n - 2);
  text[host.n - 2] = '\0';
  return inet_pton(AF_INET6, text, &address) == 1;
}

static bool read_port(struct iot_view text, unsigned *port)
{
  unsigned value = 0;
  size_t i;

  if (text.n == 0 || text.n > 5)
    return false;
  for (i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9')
      return false;
    value = value * 10 + (unsigned)(text.p[i] - '0');
  }
  *port = value;
  return value >= 1 && value <= 65535;
}

static enum iot_status parse_authority(
    struct iot_url *url, struct iot_view authority, struct iot_error *error)
{
  const char *bracket = authority.n ? memchr(authority.p, ']', authority.n) : NULL;
  struct iot_view port;

  if (authority.n && memchr(authority.p, '@', authority.n))
    return iot_fail(error, IOT_EPARAMETER, "a URL with a user name is not accepted");
  url->host = authority;
  port = skip(authority, bracket ? (size_t)(bracket + 1 - authority.p) : 0);
  if (port.n && memchr(port.p, ':', port.n)) {
    iot_view_cut(&port, ':');
    url->host.n = authority.n - port.n - 1;
    if (!read_port(port, &url->port))
      return iot_fail(error, IOT_EPARAMETER, "the port of the URL is not a number from 1 to 65535");
  }
  if (!is_host_name(url->host) && !is_ipv6_literal(url->host))
    return iot_fail(error, IOT_EPARAMETER, "the URL has no valid host name");
  return IOT_OK;
}

static bool read_scheme(struct iot_view *text, const char *scheme)
{
  const struct iot_view name = iot_view_of(scheme);

  if (text->n < name.n || !iot_view_same_name((struct iot_view){ text->p, name.n }, name))
    return false;
  *text = skip(*text, name.n);
  return true;
}

/* libcurl decodes it, and would do without a proxy whose user it finds no text. */
static bool decodes_to_text(struct iot_view user_info)
{
  while (user_info.n) {
    const int byte = escaped_byte(user_info);
    const int c = byte < 0 ? (unsigned char)user_info.p[0] : byte;

    if (c < 0x20 || c == 0x7f)
      return false;
    user_info = skip(user_info, byte < 0 ? 1 : 3);
  }
  return true;
}

bool iot_url_is_proxy(struct iot_view text)
{
  static const char *const schemes[] = { "http://", "https://", "socks4://", "socks4a://",
    "socks5://", "socks5h://" };
  struct iot_view authority, user_info;
  struct iot_error error;
  struct iot_url url;
  size_t i;

  for (i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (read_scheme(&text, schemes[i]))
      break;
  authority = text;
  for (i = 0; i < text.n && !memchr("/?#", text.p[i], 3); i++)
    ;
  authority.n = i;
  /* A user or a password with one of these as it is: what is behind it would not be the host. */
  if (i < text.n && memchr(text.p + i, '@', text.n - i))
    return false;
  while (authority.n && memchr(authority.p, '@', authority.n)) {
    user_info = iot_view_cut(&authority, '@');
    if (!decodes_to_text(user_info))
      return false;
  }
  return parse_authority(&url, authority, &error) == IOT_OK;
}

static bool has_control_byte(struct iot_view text)
{
  size_t i;

  for (i = 0; i < text.n; i++)
    if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
      return true;
  return false;
}

enum iot_status iot_url_parse(struct iot_url *url, struct iot_view text, struct iot_error *error)
{
  size_t end = 0;

  memset(url, 0, sizeof *url);
  if (has_control_byte(text))
    return iot_fail(error, IOT_EPARAMETER, "the URL holds a control character");
  url->https = read_scheme(&text, "https://");
  if (!url->https && !read_scheme(&text, "http://"))
    return iot_fail(error, IOT_EPARAMETER, "the URL does not start with https:// or http://");
  if (text.n && memchr(text.p, '#', text.n))
    return iot_fail(error, IOT_EPARAMETER, "a URL with a fragment (#) is not accepted");
  url->port = url->https ? HTTPS_PORT : HTTP_PORT;
  while (end < text.n && text.p[end] != '/' && text.p[end] != '?')
    end++;
  url->query = skip(text, end);
  url->path = iot_view_cut(&url->query, '?');
  return parse_authority(url, (struct iot_view){ text.p, end }, error);
}

void iot_url_hide_user_information(char *text)
{
  char *start, *at;

  for (start = strstr(text, "://"); start; start = strstr(start, "://")) {
    start += 3;
    for (at = start + strcspn(start, " '\""); at > start && *at != '@'; at--)
      ;
    if (*at == '@')
      memset(start, '*', (size_t)(at - start));
  }
}

void iot_url_append_host(struct iot_buffer *out, const struct iot_url *url)
{
  char port[16];

  iot_buffer_append_lower(out, url->host);
  if (url->port == (url->https ? HTTPS_PORT : HTTP_PORT))
    return;
  snprintf(port, sizeof port, ":%u", url->port);
  iot_buffer_append(out, iot_view_of(port));
}
