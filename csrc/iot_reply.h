/*
 * One HTTP reply as data, whichever transport brought it, and what restJson1 says about it
 * (reference section 4) before its JSON is looked at.
 */
#ifndef IOT_REPLY_H
#define IOT_REPLY_H

#include <stdint.h>

#include "iot_buffer.h"

enum {
  IOT_REPLY_MAX_HEAD = 1 << 16, /* bytes of status line and headers */
  IOT_REPLY_MAX_BODY = 1 << 24, /* bytes; the largest page of reports has 250 links of 64 KiB */
  IOT_REPLY_EXCERPT = 512,      /* bytes of an excerpt at most */
  IOT_REPLY_MAX_WAIT = 31536000 /* seconds that a server is believed to ask for: a year */
};

/* All zero is the inert state. */
struct iot_reply {
  int status;             /* 100 to 599 */
  struct iot_buffer head; /* the status line, then header lines as they came */
  struct iot_buffer body;
  struct iot_view secret; /* what no excerpt may show, such as the session token; borrowed */
};

void iot_reply_init(struct iot_reply *reply);
void iot_reply_free(struct iot_reply *reply);

/* Empty it for another use, keeping the storage unless it is large. */
void iot_reply_clear(struct iot_reply *reply);

/* Whether a line of the head starts a reply. */
bool iot_reply_is_status_line(struct iot_view line);

/* The value of the first header of that name, trimmed; the empty view when there is none. */
struct iot_view iot_reply_header(const struct iot_reply *reply, const char *name);

/* The reason phrase of the status line, else the phrase registered for the status; may be empty. */
struct iot_view iot_reply_reason(const struct iot_reply *reply);

/* The service's id of the request (reference 4.3); empty when it gave none. */
struct iot_view iot_reply_request_id(const struct iot_reply *reply);

/*
 * The server's time, of the Date header, in seconds since the epoch. `now` as iot_clock_parse_http_date
 * wants it. False, with *time unchanged, for a header that is missing or no date.
 */
bool iot_reply_date(int64_t *time, const struct iot_reply *reply, int64_t now);

/*
 * The seconds that the server asks its client to wait, at most IOT_REPLY_MAX_WAIT (reference 5.1):
 * x-amz-retry-after, in milliseconds; else, of a 429 or a 503, Retry-After (RFC 9110 section 10.2.3), in
 * seconds or as a date, which counts from the reply's own Date. A value that is no such number or date,
 * a date before Date, and a date without Date count as absent. False, with *seconds unchanged, for none.
 */
bool iot_reply_retry_after(double *seconds, const struct iot_reply *reply, int64_t now);

/*
 * A header's or a member's error code without namespace and URI: "a.b#FooError:http://x/" is
 * FooError (reference 4.2). The empty view when nothing is left. Borrows `raw`.
 */
struct iot_view iot_reply_error_code(struct iot_view raw);

/*
 * Write an excerpt of `text`, a part of the reply, that is fit to be shown: trimmed, control characters
 * as spaces, bytes that are no UTF-8 as U+FFFD, the reply's secret as "[secret]" (services quote the
 * canonical request, which holds the session token), also where only its start is there or some of its
 * characters are escaped, and "..." at the end where something was left
 * out. Returns its length.
 */
size_t iot_reply_excerpt(
    char out[IOT_REPLY_EXCERPT], const struct iot_reply *reply, struct iot_view text);

#endif
