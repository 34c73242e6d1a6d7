#include "iot_attempt.h"

#include <stdio.h>

#include "iot_clock.h"
#include "iot_uri.h"

void iot_target_init(struct iot_target *target)
{
  iot_buffer_init(&target->origin, IOT_TARGET_MAX);
  iot_buffer_init(&target->host, IOT_TARGET_MAX);
  iot_buffer_init(&target->base_path, IOT_TARGET_MAX);
  iot_buffer_init(&target->region, IOT_TARGET_MAX);
  target->https = true;
}

void iot_target_free(struct iot_target *target)
{
  iot_buffer_free(&target->origin);
  iot_buffer_free(&target->host);
  iot_buffer_free(&target->base_path);
  iot_buffer_free(&target->region);
}

static void set_url(struct iot_target *target, struct iot_url url)
{
  target->https = url.https;
  iot_buffer_append(&target->origin, url.https ? IOT_LITERAL("https://") : IOT_LITERAL("http://"));
  iot_url_append_host(&target->origin, &url);
  iot_url_append_host(&target->host, &url);
  if (url.path.n && url.path.p[url.path.n - 1] == '/')
    url.path.n--;
  iot_buffer_append(&target->base_path, url.path);
}

enum iot_status iot_target_set(struct iot_target *target, struct iot_view endpoint,
    struct iot_view region, struct iot_error *error)
{
  const struct iot_buffer *texts[] = { &target->origin, &target->host, &target->base_path,
    &target->region };
  struct iot_url url;
  size_t i;

  if (iot_url_parse(&url, endpoint, error) != IOT_OK)
    return IOT_EENDPOINT;
  if (url.query.p)
    return iot_fail(error, IOT_EENDPOINT, "an endpoint has no query (?)");
  if (!iot_uri_is_path(url.path))
    return iot_fail(error, IOT_EENDPOINT, "the path of the URL is not percent-encoded");
  if (iot_uri_has_dot_segment(url.path))
    return iot_fail(error, IOT_EENDPOINT, "the path of the URL has a segment of dots");
  set_url(target, url);
  iot_buffer_append(&target->region, region);
  for (i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i]->status == IOT_ETOOLARGE)
      return iot_fail(error, IOT_EENDPOINT, "it is longer than %d bytes", (int)IOT_TARGET_MAX);
    else if (texts[i]->status != IOT_OK)
      return texts[i]->status;
  return IOT_OK;
}

void iot_attempt_count(struct iot_attempt *attempt, double number, double max_attempts, int64_t ttl)
{
  char date[IOT_AMZ_DATE_SIZE];
  int n = 0;

  if (ttl != 0 && iot_clock_format_amz(date, ttl) == IOT_OK)
    n = snprintf(attempt->counter, sizeof attempt->counter, "ttl=%s; ", date);
  snprintf(attempt->counter + n, sizeof attempt->counter - (size_t)n, "attempt=%.0f; max=%.0f",
      number, max_attempts);
}

static enum iot_status sign_request(const struct iot_request *request, struct iot_sigv4 *signer,
    const struct iot_attempt *attempt, const struct iot_target *target, struct iot_error *error)
{
  const struct iot_sigv4_request to_sign = {
    .method = iot_view_of(request->method),
    .path = iot_request_path(request),
    .query = iot_request_query(request),
    .headers = request->headers,
    .header_count = request->header_count,
    .body = iot_buffer_view(&request->body),
  };
  const struct iot_sigv4_options options = {
    .credentials = attempt->credentials,
    .region = iot_buffer_view(&target->region),
    .service = IOT_LITERAL("iot"),
    .time = attempt->time,
    .normalize_path = true,
    .double_encode_path = true,
  };

  return iot_sigv4_sign(signer, &to_sign, &options, error);
}

/* The headers that are not signed: botocore's choice for this service (reference 3.2). */
static enum iot_status add_unsigned_headers(
    struct iot_request *request, const struct iot_sigv4 *signer, const struct iot_attempt *attempt)
{
  const struct iot_header headers[] = {
    { IOT_LITERAL("X-Amz-Date"), iot_view_of(signer->amz_date) },
    { IOT_LITERAL("X-Amz-Security-Token"), attempt->credentials.session_token },
    { IOT_LITERAL("Authorization"), iot_buffer_view(&signer->text[IOT_SIGV4_AUTHORIZATION]) },
    { IOT_LITERAL("User-Agent"), attempt->user_agent },
    { IOT_LITERAL("amz-sdk-invocation-id"), attempt->invocation_id },
    { IOT_LITERAL("amz-sdk-request"), iot_view_of(attempt->counter) },
    { IOT_LITERAL("X-Amzn-Trace-Id"), attempt->trace_id },
  };
  enum iot_status status = IOT_OK;
  size_t i;

  for (i = 0; status == IOT_OK && i < sizeof headers / sizeof *headers; i++)
    if (headers[i].value.n)
      status = iot_request_add_header(request, headers[i].name, headers[i].value);
  return status;
}

enum iot_status iot_attempt_write(struct iot_request *request, struct iot_sigv4 *signer,
    const struct iot_attempt *attempt, const struct iot_target *target,
    const struct iot_operation *operation, const struct iot_view values[IOT_OPERATION_MAX_MEMBERS],
    struct iot_error *error)
{
  enum iot_status status;

  iot_request_clear(request);
  status = iot_request_add_header(request, IOT_LITERAL("Host"), iot_buffer_view(&target->host));
  if (status != IOT_OK)
    return iot_fail(error, status, "the host cannot be sent in a header");
  status = iot_operation_write(
      request, operation, iot_buffer_view(&target->base_path), values, error);
  if (status == IOT_OK)
    status = sign_request(request, signer, attempt, target, error);
  if (status != IOT_OK)
    return status;
  status = add_unsigned_headers(request, signer, attempt);
  return status == IOT_OK ? IOT_OK
                          : iot_fail(error, status, "a header of the request is not valid");
}
