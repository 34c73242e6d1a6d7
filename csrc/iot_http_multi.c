#include "iot_http_multi.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "iot_clock.h"
#include "iot_crypto.h"
#include "iot_http.h"

struct iot_http_multi {
  CURLM *handle;
  pid_t owner; /* the process that made it */
  struct iot_http_exchange *under_way;
  struct iot_http_exchange *finished, *last_finished;
  double next_look; /* monotonic: before then none can have been silent for too long */
};

enum iot_status iot_http_multi_open(
    struct iot_http_multi **multi, long max_connections, struct iot_error *error)
{
  struct iot_http_multi *m = calloc(1, sizeof *m);

  *multi = NULL;
  iot_http_initialize();
  if (m)
    m->handle = curl_multi_init();
  if (!m || !m->handle) {
    free(m);
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  }
  if (max_connections > 0)
    curl_multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, max_connections);
  m->owner = getpid();
  m->next_look = HUGE_VAL;
  *multi = m;
  return IOT_OK;
}

void iot_http_multi_close(struct iot_http_multi *multi)
{
  struct iot_sigpipe held;

  if (!multi)
    return;
  iot_http_enter(&held);
  if (multi->owner == getpid())
    curl_multi_cleanup(multi->handle);
  iot_http_leave(&held);
  iot_crypto_discard_errors();
  free(multi);
}

bool iot_http_multi_is_own(const struct iot_http_multi *multi)
{
  return multi->owner == getpid();
}

enum iot_status iot_http_multi_add(struct iot_http_multi *multi, struct iot_http_exchange *exchange,
    void *context, struct iot_error *error)
{
  const double now = iot_clock_monotonic();
  const CURLMcode code = curl_multi_add_handle(multi->handle, exchange->easy);

  if (code == CURLM_OUT_OF_MEMORY)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  if (code != CURLM_OK)
    return iot_fail(
        error, IOT_ECONFIGURATION, "libcurl cannot do this: %s", curl_multi_strerror(code));
  exchange->context = context;
  exchange->multi = multi;
  iot_http_exchange_link(&multi->under_way, exchange);
  multi->next_look = fmin(multi->next_look, iot_http_exchange_next_look(exchange, now, false, 0));
  return IOT_OK;
}

/* Take it off its multi, which keeps its connection if that can be used again. */
static void detach(struct iot_http_multi *multi, struct iot_http_exchange *exchange)
{
  struct iot_sigpipe held;

  iot_http_enter(&held);
  if (exchange->owner == getpid())
    curl_multi_remove_handle(multi->handle, exchange->easy);
  iot_http_leave(&held);
  iot_http_exchange_unlink(&multi->under_way, exchange);
  exchange->multi = NULL;
}

void iot_http_exchange_cancel(struct iot_http_exchange *exchange)
{
  if (!exchange->multi)
    return;
  detach(exchange->multi, exchange);
  iot_crypto_discard_errors();
}

static void finish(struct iot_http_multi *multi, struct iot_http_exchange *exchange, CURLcode code)
{
  long status = 0;

  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
  exchange->reply->status = (int)status;
  exchange->code = code;
  detach(multi, exchange);
  exchange->next = NULL;
  if (multi->finished)
    multi->last_finished->next = exchange;
  else
    multi->finished = exchange;
  multi->last_finished = exchange;
}

/* Without a word of a reply, on a connection that had been in use before. */
static bool found_none_alive(const struct iot_http_exchange *exchange, CURLcode code)
{
  long made = 1;

  if ((code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR) || exchange->head_size > 0)
    return false;
  curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &made);
  return made == 0;
}

/* When a connection that was in use before turns out to be dead, libcurl takes another, five times; then it gives up.
   From 7.72 to 8.16 it counts these over all uses of a handle, so that every sixth would be a failure. With that it
   begins to count anew, and so does the exchange, once. Returns false when it has ended. */
static bool start_anew(
    struct iot_http_multi *multi, struct iot_http_exchange *exchange, CURLcode code)
{
  const double left = exchange->deadline - iot_clock_monotonic();
  struct iot_sigpipe held;

  if (exchange->started_anew || !(left > 0) || !found_none_alive(exchange, code))
    return false;
  exchange->started_anew = true;
  exchange->last_activity = 0;
  exchange->words[0] = '\0';
  iot_http_enter(&held);
  curl_multi_remove_handle(multi->handle, exchange->easy);
  iot_http_leave(&held);
  return curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, iot_clock_milliseconds(left)) ==
             CURLE_OK &&
         curl_multi_add_handle(multi->handle, exchange->easy) == CURLM_OK;
}

bool iot_http_exchange_take(struct iot_http_exchange *exchange, struct iot_buffer *piece)
{
  struct iot_http_multi *multi = exchange->multi;
  CURLcode code;
  long status = 0;

  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
  if (!iot_http_exchange_take_piece(exchange, piece, (int)status) || !multi)
    return true;
  code = curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
  if (code == CURLE_OK) {
    multi->next_look = fmin(multi->next_look, exchange->last_activity);
    return true;
  }
  exchange->code = code;
  detach(multi, exchange);
  return false;
}

/* End what the server has been silent to for too long, and tell when to look again. */
static void look_for_silence(struct iot_http_multi *multi, double now)
{
  struct iot_http_exchange *exchange, *next;
  curl_off_t sent;
  double look;

  multi->next_look = HUGE_VAL;
  for (exchange = multi->under_way; exchange; exchange = next) {
    next = exchange->next;
    sent = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    look = iot_http_exchange_next_look(exchange, now, iot_http_exchange_is_sending(exchange), sent);
    exchange->silent = look <= now;
    if (exchange->silent)
      finish(multi, exchange, CURLE_OPERATION_TIMEDOUT);
    else
      multi->next_look = fmin(multi->next_look, look);
  }
}

/* libcurl itself failed, for want of memory or descriptors: nothing can go on. They end as IOT_ENOMEM. */
static void finish_all(struct iot_http_multi *multi)
{
  while (multi->under_way)
    finish(multi, multi->under_way, CURLE_FAILED_INIT);
}

void iot_http_multi_perform(struct iot_http_multi *multi)
{
  struct iot_http_exchange *exchange;
  const CURLMsg *message;
  struct iot_sigpipe held;
  CURLMcode outcome;
  int count;
  double now;

  iot_http_enter(&held);
  outcome = curl_multi_perform(multi->handle, &count);
  iot_http_leave(&held);
  if (outcome != CURLM_OK)
    finish_all(multi);
  while ((message = curl_multi_info_read(multi->handle, &count))) {
    const CURLcode code = message->data.result; /* the message ends with finish() */

    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
    if (!start_anew(multi, exchange, code))
      finish(multi, exchange, code);
  }
  if (multi->next_look < HUGE_VAL && (now = iot_clock_monotonic()) >= multi->next_look)
    look_for_silence(multi, now);
  if (multi->finished)
    iot_crypto_discard_errors(); /* libcurl leaves OpenSSL's where they are */
}

void *iot_http_multi_next(struct iot_http_multi *multi)
{
  struct iot_http_exchange *exchange = multi->finished;

  if (!exchange)
    return NULL;
  multi->finished = exchange->next;
  return exchange->context;
}

void iot_http_multi_poll(
    struct iot_http_multi *multi, double seconds, const int *descriptors, size_t count)
{
  struct curl_waitfd watched[IOT_HTTP_MAX_WATCHED];
  size_t i;

  for (i = 0; i < count; i++)
    watched[i] = (struct curl_waitfd){ .fd = descriptors[i], .events = CURL_WAIT_POLLIN };
  if (multi->next_look < HUGE_VAL)
    seconds = fmin(seconds, multi->next_look - iot_clock_monotonic());
  if (curl_multi_poll(multi->handle, watched, (unsigned)count, (int)iot_clock_milliseconds(seconds),
          NULL) != CURLM_OK) {
    finish_all(multi);
    iot_clock_sleep(fmin(seconds, 0.05)); /* or who waits without exchanges would not rest */
  }
}
