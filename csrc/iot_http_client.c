#include "iot_http_client.h"

#include <stdlib.h>
#include <unistd.h>

enum { IDLE_MAX = 64 };

struct iot_http_client {
  struct iot_http_settings settings;
  pid_t owner; /* of the handles: the process that made them */
  struct iot_http_multi *multi;
  struct iot_http_exchange *idle;
  size_t idle_count;
  size_t out_count; /* exchanges that are prepared: they come back here */
  bool closed;
};

enum iot_status iot_http_client_open(struct iot_http_client **client,
    const struct iot_http_options *options, struct iot_error *error)
{
  struct iot_http_client *c = calloc(1, sizeof *c);
  enum iot_status status;

  *client = NULL;
  if (!c)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  status = iot_http_settings_copy(&c->settings, options, error);
  if (status != IOT_OK) {
    iot_http_client_close(c);
    return status;
  }
  c->owner = getpid();
  *client = c;
  return IOT_OK;
}

static void free_if_unused(struct iot_http_client *client)
{
  if (client->closed && client->out_count == 0)
    free(client);
}

void iot_http_client_close(struct iot_http_client *client)
{
  struct iot_http_exchange *exchange;

  if (!client)
    return;
  while ((exchange = client->idle)) {
    client->idle = exchange->next;
    iot_http_exchange_free(exchange);
  }
  iot_http_multi_close(client->multi);
  iot_http_settings_free(&client->settings);
  client->closed = true;
  free_if_unused(client);
}

/* An idle exchange, or a new one. Another process's stay as they are. */
static enum iot_status take_exchange(
    struct iot_http_client *client, struct iot_http_exchange **exchange, struct iot_error *error)
{
  const pid_t process = getpid();
  enum iot_status status = IOT_OK;

  if (client->owner != process) {
    client->multi = NULL;
    client->idle = NULL;
    client->idle_count = 0;
    client->owner = process;
  }
  *exchange = client->idle;
  if (*exchange) {
    client->idle = client->idle->next;
    client->idle_count--;
  } else {
    status = iot_http_exchange_new(exchange, &client->settings, error);
  }
  if (status == IOT_OK) {
    (*exchange)->home = client;
    client->out_count++;
  }
  return status;
}

void iot_http_client_release(struct iot_http_exchange *exchange)
{
  struct iot_http_client *client;

  if (!exchange)
    return;
  client = exchange->home;
  iot_http_exchange_cancel(exchange);
  client->out_count--;
  if (client->closed || client->owner != exchange->owner || client->idle_count == IDLE_MAX) {
    iot_http_exchange_free(exchange);
    free_if_unused(client);
    return;
  }
  iot_http_exchange_forget(exchange);
  exchange->next = client->idle;
  client->idle = exchange;
  client->idle_count++;
}

static enum iot_status set_up(struct iot_http_client *client, struct iot_http_exchange **exchange,
    struct iot_view origin, const struct iot_request *request, double timeout,
    struct iot_reply *reply, struct iot_error *error)
{
  enum iot_status status;

  *exchange = NULL;
  if (!(timeout > 0))
    return iot_fail(error, IOT_ETIMEOUT, "no time was left for the request");
  status = take_exchange(client, exchange, error);
  if (status == IOT_OK)
    status = iot_http_exchange_set(*exchange, origin, request, timeout, reply, error);
  if (status != IOT_OK) {
    iot_http_client_release(*exchange);
    *exchange = NULL;
  }
  return status;
}

enum iot_status iot_http_client_perform(struct iot_http_client *client, struct iot_view origin,
    const struct iot_request *request, double timeout, struct iot_reply *reply,
    const struct iot_interrupt *interrupt, struct iot_error *error)
{
  struct iot_http_exchange *exchange;
  enum iot_status status;

  iot_reply_clear(reply);
  status = set_up(client, &exchange, origin, request, timeout, reply, error);
  if (status == IOT_OK && !client->multi)
    status = iot_http_multi_open(&client->multi, 0, error);
  if (status == IOT_OK)
    status = iot_http_multi_add(client->multi, exchange, exchange, error);
  if (status != IOT_OK)
    goto done;
  for (;;) {
    iot_http_multi_perform(client->multi);
    if (iot_http_multi_next(client->multi))
      break;
    if (iot_interrupted(interrupt)) {
      status = iot_fail(error, IOT_EINTERRUPTED, "%s", iot_status_text(IOT_EINTERRUPTED));
      goto done;
    }
    iot_http_multi_poll(client->multi, IOT_INTERRUPT_LOOK, NULL, 0);
  }
  status = iot_http_exchange_result(exchange, error);
done:
  iot_http_client_release(exchange);
  return status;
}

enum iot_status iot_http_client_prepare(struct iot_http_client *client,
    struct iot_http_exchange **exchange, struct iot_view origin, const struct iot_request *request,
    double timeout, struct iot_view secret, struct iot_error *error)
{
  struct iot_http_exchange *x;
  enum iot_status status = set_up(client, &x, origin, request, timeout, NULL, error);

  *exchange = x;
  if (!x)
    return status;
  iot_buffer_append(&x->secret, secret);
  x->own_reply.secret = iot_buffer_view(&x->secret);
  if (x->secret.status == IOT_OK)
    return IOT_OK;
  status = iot_fail_request(error, x->secret.status);
  iot_http_client_release(x);
  *exchange = NULL;
  return status;
}
