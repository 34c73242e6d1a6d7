#include "iot_reply.h"

#include <string.h>

#include "iot_clock.h"

enum { KEPT_CAPACITY = 1 << 16, SECRET_START = 16 };

void iot_reply_init(struct iot_reply *reply)
{
  memset(reply, 0, sizeof *reply);
  iot_buffer_init(&reply->head, IOT_REPLY_MAX_HEAD);
  iot_buffer_init(&reply->body, IOT_REPLY_MAX_BODY);
}

void iot_reply_free(struct iot_reply *reply)
{
  iot_buffer_free(&reply->head);
  iot_buffer_free(&reply->body);
  reply->status = 0;
  reply->secret = (struct iot_view){ NULL, 0 };
}

void iot_reply_clear(struct iot_reply *reply)
{
  iot_buffer_clear(&reply->head);
  if (reply->body.capacity > KEPT_CAPACITY)
    iot_buffer_free(&reply->body);
  iot_buffer_clear(&reply->body);
  reply->status = 0;
  reply->secret = (struct iot_view){ NULL, 0 };
}

struct iot_view iot_reply_header(const struct iot_reply *reply, const char *name)
{
  struct iot_view lines = iot_buffer_view(&reply->head);

  while (lines.n) {
    struct iot_view value = iot_view_cut(&lines, '\n');

    if (iot_view_same_name(iot_view_cut(&value, ':'), iot_view_of(name)))
      return iot_view_trim(value);
  }
  return (struct iot_view){ NULL, 0 };
}

/* RFC 9110 section 15, for servers that send no phrase: those that a reason matters for. */
static const char *registered_phrase(int status)
{
  switch (status) {
  case 429: return "Too Many Requests";
  case 500: return "Internal Server Error";
  case 502: return "Bad Gateway";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  default: return "";
  }
}

bool iot_reply_is_status_line(struct iot_view line)
{
  line.n = line.n < 5 ? line.n : 5;
  return iot_view_equal(line, IOT_LITERAL("HTTP/"));
}

/* "HTTP/1.1 503 Service Unavailable" */
struct iot_view iot_reply_reason(const struct iot_reply *reply)
{
  struct iot_view lines = iot_buffer_view(&reply->head);
  struct iot_view line = iot_view_trim(iot_view_cut(&lines, '\n'));

  if (!iot_reply_is_status_line(line))
    return iot_view_of(registered_phrase(reply->status));
  iot_view_cut(&line, ' ');
  iot_view_cut(&line, ' ');
  return line.n ? line : iot_view_of(registered_phrase(reply->status));
}

struct iot_view iot_reply_request_id(const struct iot_reply *reply)
{
  struct iot_view id = iot_reply_header(reply, "x-amzn-requestid");

  return id.n ? id : iot_reply_header(reply, "x-amz-request-id");
}

bool iot_reply_date(int64_t *time, const struct iot_reply *reply, int64_t now)
{
  return iot_clock_parse_http_date(time, iot_reply_header(reply, "date"), now) == IOT_OK;
}

/* Digits alone, of which those beyond `limit` count as that. */
static bool read_count(double *count, struct iot_view text, double limit)
{
  double value = 0;
  size_t i;

  for (i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9')
      return false;
    value = value * 10 + (text.p[i] - '0');
    value = value < limit ? value : limit;
  }
  if (text.n)
    *count = value;
  return text.n > 0;
}

/* The seconds from the reply's own date to the one in `text`. */
static bool read_wait(
    double *seconds, const struct iot_reply *reply, struct iot_view text, int64_t now)
{
  int64_t from, to;

  if (iot_clock_parse_http_date(&to, text, now) != IOT_OK || !iot_reply_date(&from, reply, now) ||
      to < from)
    return false;
  *seconds = to - from < IOT_REPLY_MAX_WAIT ? (double)(to - from) : IOT_REPLY_MAX_WAIT;
  return true;
}

bool iot_reply_retry_after(double *seconds, const struct iot_reply *reply, int64_t now)
{
  const struct iot_view text = iot_reply_header(reply, "retry-after");
  double milliseconds;

  if (read_count(&milliseconds, iot_reply_header(reply, "x-amz-retry-after"),
          1000.0 * IOT_REPLY_MAX_WAIT)) {
    *seconds = milliseconds / 1000;
    return true;
  }
  if (reply->status != 429 && reply->status != 503)
    return false;
  return read_count(seconds, text, IOT_REPLY_MAX_WAIT) || read_wait(seconds, reply, text, now);
}

struct iot_view iot_reply_error_code(struct iot_view raw)
{
  struct iot_view code = iot_view_cut(&raw, ':');
  const struct iot_view before = code, namespace = iot_view_cut(&code, '#');

  return iot_view_trim(namespace.n < before.n ? code : before);
}

/* How much of the start of `text` is the secret: from where its first bytes are (all of a short one)
   up to what no token holds, so that a piece of it or an escaped form counts as well. */
static size_t secret_size(struct iot_view text, struct iot_view secret)
{
  const size_t start = secret.n < SECRET_START ? secret.n : SECRET_START;
  size_t n = start;

  if (start == 0 || text.n < start || memcmp(text.p, secret.p, start) != 0)
    return 0;
  while (n < text.n &&
         (iot_is_alphanumeric(text.p[n]) || (text.p[n] != '\0' && strchr("+/=%\\&#;", text.p[n]))))
    n++;
  return n;
}

/* Whether a character of n bytes can harm a line: controls of ASCII and of ISO 8859 (U+0080 to U+009F), and what is
   not seen but moves or hides what is: U+061C, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF. */
static bool is_hidden(const unsigned char *c, size_t n)
{
  const unsigned last = c[n - 1];

  switch (n) {
  case 1: return last < 0x20 || last == 0x7f;
  case 2: return (c[0] == 0xc2 && last < 0xa0) || (c[0] == 0xd8 && last == 0x9c);
  case 3:
    if (c[0] == 0xe2 && c[1] == 0x80)
      return (last >= 0x8b && last <= 0x8f) || (last >= 0xa8 && last <= 0xae);
    return (c[0] == 0xe2 && c[1] == 0x81 && last >= 0xa0 && last <= 0xaf) ||
           (c[0] == 0xef && c[1] == 0xbb && last == 0xbf);
  default: return false;
  }
}

/* What is shown for the start of `text`, of which *taken bytes are then done. */
static struct iot_view show_start(struct iot_view text, struct iot_view secret, size_t *taken)
{
  const size_t n = iot_view_utf8_character(text);

  *taken = secret_size(text, secret);
  if (*taken)
    return IOT_LITERAL("[secret]");
  *taken = n ? n : 1;
  if (n == 0)
    return IOT_LITERAL("\xef\xbf\xbd"); /* U+FFFD */
  if (is_hidden((const unsigned char *)text.p, n))
    return IOT_LITERAL(" ");
  return (struct iot_view){ text.p, n };
}

size_t iot_reply_excerpt(
    char out[IOT_REPLY_EXCERPT], const struct iot_reply *reply, struct iot_view text)
{
  const struct iot_view omission = IOT_LITERAL("...");
  size_t used = 0, taken;

  text = iot_view_trim(text);
  while (text.n) {
    const struct iot_view shown = show_start(text, reply->secret, &taken);

    if (used + shown.n + omission.n > IOT_REPLY_EXCERPT) {
      memcpy(out + used, omission.p, omission.n);
      return used + omission.n;
    }
    memcpy(out + used, shown.p, shown.n);
    used += shown.n;
    text.p += taken;
    text.n -= taken;
  }
  return used;
}
