/*
 * Fuzzes csrc/iot_reply.c. The input: two bytes of a status, a line with the secret, then the head up to an empty
 * line, and the body.
 */
#include <math.h>

#include "fuzz.h"
#include "iot_reply.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

static void check_line(struct iot_view line, const struct iot_reply *reply)
{
  const struct iot_view trimmed = iot_view_trim(line), head = iot_buffer_view(&reply->head);

  if (line.n == 0)
    return;
  MUST(trimmed.p == line.p && trimmed.n == line.n && !memchr(line.p, '\n', line.n));
  MUST(line.p < head.p || line.p >= head.p + head.n || line.p + line.n <= head.p + head.n);
}

/* One printable line, which holds neither the secret nor its start. */
static void check_excerpt(const struct iot_reply *reply, struct iot_view text)
{
  char room[IOT_REPLY_EXCERPT];
  struct iot_view excerpt = { room, iot_reply_excerpt(room, reply, text) }, start = reply->secret;
  size_t i;

  MUST(excerpt.n <= IOT_REPLY_EXCERPT && iot_view_is_utf8(excerpt));
  for (i = 0; i < excerpt.n; i++)
    MUST((unsigned char)room[i] >= 0x20 && room[i] != 0x7f);
  start.n = start.n < 16 ? start.n : 16;
  if (start.n >= 8 && fuzz_holds_only(start, letters))
    MUST(!fuzz_holds(excerpt, start));
}

static void check_times(const struct iot_reply *reply)
{
  double wait = -1;
  int64_t time = -1;

  if (iot_reply_retry_after(&wait, reply, 1640439000))
    MUST(wait >= 0 && wait <= IOT_REPLY_MAX_WAIT);
  else
    MUST(wait == -1);
  if (!iot_reply_date(&time, reply, 1640439000))
    MUST(time == -1);
}

static void check_code(struct iot_view raw)
{
  const struct iot_view code = iot_reply_error_code(raw);

  MUST(code.n == 0 || !memchr(code.p, ':', code.n));
  MUST(code.n == 0 || (code.p >= raw.p && code.p + code.n <= raw.p + raw.n));
}

/* Where the body begins. */
static size_t head_size(struct iot_view text)
{
  size_t i;

  for (i = 0; i + 1 < text.n; i++)
    if (text.p[i] == '\n' && (text.p[i + 1] == '\n' || text.p[i + 1] == '\r'))
      return i + 1;
  return text.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct iot_view rest = { (const char *)data, size };
  const unsigned status = fuzz_byte(&rest) * 256 + fuzz_byte(&rest);
  const struct iot_view secret = fuzz_copy(iot_view_cut(&rest, '\n'));
  const size_t head = head_size(rest);
  const struct iot_view body = { head < rest.n ? rest.p + head : NULL, rest.n - head };
  struct iot_reply reply;

  iot_reply_init(&reply);
  reply.status = status % 2 ? 503 : 100 + (int)(status % 500);
  reply.secret = secret;
  iot_buffer_append(&reply.head, (struct iot_view){ rest.p, head });
  iot_buffer_append(&reply.body, body);
  check_line(iot_reply_header(&reply, "x-amzn-errortype"), &reply);
  MUST(!iot_view_breaks_line(iot_reply_reason(&reply)) ||
       memchr(reply.head.p, '\r', reply.head.n) || memchr(reply.head.p, '\0', reply.head.n));
  check_line(iot_reply_request_id(&reply), &reply);
  check_times(&reply);
  check_code(iot_reply_header(&reply, "x-amzn-errortype"));
  check_code(iot_buffer_view(&reply.body));
  check_excerpt(&reply, iot_buffer_view(&reply.body));
  check_excerpt(&reply, iot_reply_reason(&reply));
  iot_reply_clear(&reply);
  MUST(reply.head.n == 0 && reply.body.n == 0 && iot_reply_header(&reply, "date").n == 0);
  iot_reply_free(&reply);
  fuzz_free(secret);
  return 0;
}
