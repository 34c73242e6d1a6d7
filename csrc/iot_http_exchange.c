#include "iot_http_exchange.h"

#include <math.h>
#include <string.h>

#include "iot_clock.h"
#include "iot_uri.h"

enum { TEXT_MAX = 1 << 17 };

void iot_http_exchange_init(
    struct iot_http_exchange *exchange, const struct iot_http_settings *settings)
{
  memset(exchange, 0, sizeof *exchange);
  iot_buffer_init(&exchange->url, TEXT_MAX);
  iot_buffer_init(&exchange->header_text, TEXT_MAX);
  iot_buffer_init(&exchange->body, IOT_REQUEST_MAX_BODY);
  iot_buffer_init(&exchange->secret, TEXT_MAX);
  iot_reply_init(&exchange->own_reply);
  exchange->has_proxy = settings->proxy && settings->proxy[0];
  exchange->read_timeout = settings->read_timeout;
  exchange->in_pieces = settings->in_pieces;
}

void iot_http_exchange_free_buffers(struct iot_http_exchange *exchange)
{
  iot_buffer_free(&exchange->url);
  iot_buffer_free(&exchange->header_text);
  iot_buffer_free(&exchange->body);
  iot_buffer_free(&exchange->secret);
  iot_reply_free(&exchange->own_reply);
}

void iot_http_exchange_forget(struct iot_http_exchange *exchange)
{
  iot_buffer_forget(&exchange->url);
  iot_buffer_forget(&exchange->header_text);
  iot_buffer_forget(&exchange->body);
  iot_buffer_forget(&exchange->secret);
  iot_buffer_forget(&exchange->own_reply.head);
  iot_buffer_forget(&exchange->own_reply.body);
  iot_reply_clear(&exchange->own_reply);
}

void iot_http_exchange_link(struct iot_http_exchange **list, struct iot_http_exchange *exchange)
{
  exchange->previous = NULL;
  exchange->next = *list;
  if (*list)
    (*list)->previous = exchange;
  *list = exchange;
}

void iot_http_exchange_unlink(struct iot_http_exchange **list, struct iot_http_exchange *exchange)
{
  if (exchange->next)
    exchange->next->previous = exchange->previous;
  if (exchange->previous)
    exchange->previous->next = exchange->next;
  else
    *list = exchange->next;
}

static void append_line(struct iot_http_exchange *exchange, struct iot_view name,
    struct iot_view separator, struct iot_view value)
{
  struct iot_buffer *text = &exchange->header_text;

  exchange->lines[exchange->line_count++] = text->n;
  iot_buffer_append(text, name);
  iot_buffer_append(text, separator);
  iot_buffer_append(text, value);
  iot_buffer_append_byte(text, '\0');
}

static void write_lines(struct iot_http_exchange *exchange, const struct iot_request *request)
{
  const struct iot_view none = IOT_LITERAL(""), colon = IOT_LITERAL(":");
  bool has_type = false;
  size_t i;

  iot_buffer_clear(&exchange->header_text);
  exchange->line_count = 0;
  for (i = 0; i < request->header_count; i++) {
    const struct iot_header *header = &request->headers[i];

    if (iot_view_trim(header->value).n)
      append_line(exchange, header->name, IOT_LITERAL(": "), header->value);
    else
      append_line(exchange, header->name, IOT_LITERAL(";"), none);
    has_type |= iot_view_same_name(header->name, IOT_LITERAL("Content-Type"));
  }
  append_line(exchange, IOT_LITERAL("Accept"), colon, none);
  append_line(exchange, IOT_LITERAL("Expect"), colon, none);
  if (!has_type)
    append_line(exchange, IOT_LITERAL("Content-Type"), colon, none);
  if (exchange->in_pieces)
    append_line(exchange, IOT_LITERAL("Accept-Encoding"), colon, none);
}

enum iot_status iot_http_exchange_write(struct iot_http_exchange *exchange, struct iot_view origin,
    const struct iot_request *request, struct iot_reply *reply)
{
  write_lines(exchange, request);
  iot_buffer_clear(&exchange->url);
  iot_buffer_append(&exchange->url, origin);
  iot_buffer_append(&exchange->url, iot_buffer_view(&request->target));
  iot_buffer_terminate(&exchange->url);
  exchange->body_size = iot_request_has_length(request) ? request->body.n : 0;
  exchange->reply = reply ? reply : &exchange->own_reply;
  exchange->head_complete = false;
  exchange->head_size = 0;
  exchange->last_activity = 0;
  exchange->sent = 0;
  exchange->silent = false;
  exchange->paused = false;
  exchange->words[0] = '\0';
  return exchange->header_text.status != IOT_OK ? exchange->header_text.status
                                                : exchange->url.status;
}

/* What libcurl would decode besides gzip has no bound on what comes of a few bytes. */
static bool is_encoded_otherwise(const struct iot_http_exchange *exchange)
{
  const struct iot_view encoding = iot_reply_header(exchange->reply, "content-encoding");

  return exchange->in_pieces && encoding.n && !iot_view_same_name(encoding, IOT_LITERAL("gzip")) &&
         !iot_view_same_name(encoding, IOT_LITERAL("x-gzip")) &&
         !iot_view_same_name(encoding, IOT_LITERAL("identity"));
}

bool iot_http_exchange_take_line(struct iot_http_exchange *exchange, struct iot_view line)
{
  struct iot_buffer *head = &exchange->reply->head;

  exchange->last_activity = iot_clock_monotonic();
  if (iot_reply_is_status_line(line)) { /* after a 1xx comes another */
    iot_buffer_clear(head);
    exchange->head_complete = false;
  }
  exchange->head_complete |= iot_view_trim(line).n == 0;
  iot_buffer_append(head, line);
  exchange->head_size += line.n;
  if (exchange->head_size > IOT_REPLY_MAX_HEAD)
    head->status = IOT_ETOOLARGE;
  return head->status == IOT_OK && !(exchange->head_complete && is_encoded_otherwise(exchange));
}

bool iot_http_exchange_take_body(struct iot_http_exchange *exchange, struct iot_view bytes)
{
  exchange->last_activity = iot_clock_monotonic();
  iot_buffer_append(&exchange->reply->body, bytes);
  return exchange->reply->body.status == IOT_OK;
}

bool iot_http_exchange_must_pause(struct iot_http_exchange *exchange)
{
  if (exchange->in_pieces && exchange->reply->body.n >= IOT_HTTP_PIECE)
    exchange->paused = true;
  return exchange->paused;
}

bool iot_http_exchange_take_piece(
    struct iot_http_exchange *exchange, struct iot_buffer *piece, int status)
{
  const struct iot_buffer body = exchange->reply->body;
  const bool was_paused = exchange->paused;

  exchange->reply->body = *piece;
  exchange->reply->body.status = body.status; /* what ended it is not forgotten */
  *piece = body;
  piece->status = IOT_OK;
  exchange->reply->status = status;
  exchange->paused = false;
  if (was_paused)
    exchange->last_activity = iot_clock_monotonic();
  return was_paused;
}

enum iot_status iot_http_exchange_fail(struct iot_http_exchange *exchange, enum iot_status status,
    const char *standard, struct iot_error *error)
{
  if (exchange->silent)
    return iot_fail(
        error, status, "the server sent nothing for %g seconds", exchange->read_timeout);
  if (exchange->code == 0)
    return iot_fail(error, status, "%s: it ended in the headers", iot_status_text(status));
  if (exchange->head_complete && is_encoded_otherwise(exchange))
    return iot_fail(error, status, "%s: its Content-Encoding is not gzip", iot_status_text(status));
  iot_url_hide_user_information(exchange->words);
  return iot_fail(error, status, "%s: %s", iot_status_text(status),
      exchange->words[0] ? exchange->words : standard);
}

double iot_http_exchange_next_look(
    struct iot_http_exchange *exchange, double now, bool sending, int64_t sent)
{
  /* Nothing tells when a connection stands and how a body goes out, so both are looked at. */
  const double soon = now + fmin(exchange->read_timeout / 8, 1);
  double end;

  if (!(exchange->read_timeout > 0) || exchange->paused)
    return HUGE_VAL;
  if (!sending)
    return soon;
  if (exchange->last_activity <= 0 || sent > exchange->sent)
    exchange->last_activity = now;
  exchange->sent = sent;
  end = exchange->last_activity + exchange->read_timeout;
  return sent < (int64_t)exchange->body_size ? fmin(soon, end) : end;
}
