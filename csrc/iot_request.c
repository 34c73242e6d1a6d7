#include "iot_request.h"

#include <stdio.h>
#include <string.h>

void iot_request_init(struct iot_request *request)
{
  memset(request, 0, sizeof *request);
  iot_buffer_init(&request->target, IOT_REQUEST_MAX_TARGET);
  iot_buffer_init(&request->body, IOT_REQUEST_MAX_BODY);
}

void iot_request_free(struct iot_request *request)
{
  iot_buffer_free(&request->target);
  iot_buffer_free(&request->body);
  request->header_count = 0;
}

void iot_request_clear(struct iot_request *request)
{
  iot_buffer_clear(&request->target);
  iot_buffer_clear(&request->body);
  request->header_count = 0;
}

/* A tab is white space to HTTP. */
static bool has_control(struct iot_view value)
{
  while (value.n) {
    const struct iot_view part = iot_view_cut(&value, '\t');

    if (iot_view_has_control(part))
      return true;
  }
  return false;
}

enum iot_status iot_request_add_header(
    struct iot_request *request, struct iot_view name, struct iot_view value)
{
  if (request->header_count == IOT_REQUEST_MAX_HEADERS || has_control(value))
    return IOT_EPARAMETER;
  request->headers[request->header_count++] = (struct iot_header){ name, value };
  return IOT_OK;
}

struct iot_view iot_request_path(const struct iot_request *request)
{
  struct iot_view rest = iot_buffer_view(&request->target);

  return iot_view_cut(&rest, '?');
}

struct iot_view iot_request_query(const struct iot_request *request)
{
  struct iot_view rest = iot_buffer_view(&request->target);

  iot_view_cut(&rest, '?');
  return rest;
}

bool iot_request_has_length(const struct iot_request *request)
{
  return strcmp(request->method, "GET") != 0;
}

void iot_request_write(struct iot_buffer *out, const struct iot_request *request)
{
  char length[48];
  size_t i;

  iot_buffer_append(out, iot_view_of(request->method));
  iot_buffer_append_byte(out, ' ');
  iot_buffer_append(out, iot_buffer_view(&request->target));
  iot_buffer_append(out, IOT_LITERAL(" HTTP/1.1\r\n"));
  for (i = 0; i < request->header_count; i++) {
    iot_buffer_append(out, request->headers[i].name);
    iot_buffer_append(out, IOT_LITERAL(": "));
    iot_buffer_append(out, request->headers[i].value);
    iot_buffer_append(out, IOT_LITERAL("\r\n"));
  }
  if (iot_request_has_length(request)) {
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", request->body.n);
    iot_buffer_append(out, iot_view_of(length));
  }
  iot_buffer_append(out, IOT_LITERAL("\r\n"));
  iot_buffer_append(out, iot_buffer_view(&request->body));
}
