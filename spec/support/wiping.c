/*
 * What stays in memory of an exchange that is forgotten, and of settings that are freed: see
 * spec/unit/wiping_spec.lua, which compiles it with those parts of the core. Their free() is spec_free().
 * It prints what holds SECRET still, a line for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/iot_http_exchange.h"

#define SECRET "SECRETOFTHESPEC"

#undef free
void free(void *p);
void spec_free(void *p);

static const char *watched; /* what is freed next, while it is looked at */
static size_t watched_size;

static int holds_secret(const char *p, size_t n)
{
  size_t i;

  for (i = 0; i + sizeof SECRET - 1 <= n; i++)
    if (memcmp(p + i, SECRET, sizeof SECRET - 1) == 0)
      return 1;
  return 0;
}

void spec_free(void *p)
{
  if (p && p == watched && holds_secret(watched, watched_size))
    puts("settings.proxy");
  free(p);
}

static void look(const char *name, const struct iot_buffer *b)
{
  if (!b->p || b->capacity < sizeof SECRET - 1)
    printf("%s was never there\n", name);
  else if (holds_secret(b->p, b->capacity))
    puts(name);
}

static void free_settings(void)
{
  const struct iot_http_options options = { .proxy = IOT_LITERAL("http://user:" SECRET "@h:1") };
  struct iot_http_settings settings = { .proxy = NULL };
  struct iot_error error;

  if (iot_http_settings_copy(&settings, &options, &error) != IOT_OK)
    puts(error.message);
  watched = settings.proxy;
  watched_size = options.proxy.n;
  iot_http_settings_free(&settings);
  watched = NULL;
}

static void forget_exchange(void)
{
  const struct iot_http_settings settings = { .proxy = NULL };
  struct iot_request request;
  struct iot_http_exchange x;

  iot_http_exchange_init(&x, &settings);
  iot_request_init(&request);
  request.method = "GET";
  iot_buffer_append(&request.target, IOT_LITERAL("/?X-Amz-Security-Token=" SECRET));
  if (iot_request_add_header(&request, IOT_LITERAL("X-A"), IOT_LITERAL(SECRET)) != IOT_OK ||
      iot_http_exchange_write(&x, IOT_LITERAL("https://h"), &request, NULL) != IOT_OK)
    puts("no request");
  iot_buffer_append(&x.body, IOT_LITERAL(SECRET));
  iot_buffer_append(&x.secret, IOT_LITERAL(SECRET));
  if (!iot_http_exchange_take_line(&x, IOT_LITERAL("HTTP/1.1 200 " SECRET "\r\n")) ||
      !iot_http_exchange_take_body(&x, IOT_LITERAL("{\"url\":\"" SECRET "\"}")))
    puts("no reply");
  iot_http_exchange_forget(&x);
  look("url", &x.url);
  look("header_text", &x.header_text);
  look("body", &x.body);
  look("secret", &x.secret);
  look("own_reply.head", &x.own_reply.head);
  look("own_reply.body", &x.own_reply.body);
  iot_http_exchange_free_buffers(&x);
  iot_request_free(&request);
}

int main(void)
{
  free_settings();
  forget_exchange();
  puts("done");
  return 0;
}
