#include "iot_operations.h"

#include <string.h>

#include "iot_uri.h"

const struct iot_operation iot_operations[] = {
  {
      .name = "describe_thing_registration_task",
      .method = "GET",
      .uri = "/thing-registration-tasks/{taskId}",
      .input = { { "taskId", IOT_STRING, IOT_IN_LABEL, true } },
      .output = {
          { .name = "taskId", .type = IOT_STRING },
          { .name = "creationDate", .type = IOT_TIMESTAMP },
          { .name = "lastModifiedDate", .type = IOT_TIMESTAMP },
          { .name = "templateBody", .type = IOT_STRING },
          { .name = "inputFileBucket", .type = IOT_STRING },
          { .name = "inputFileKey", .type = IOT_STRING },
          { .name = "roleArn", .type = IOT_STRING },
          { .name = "status", .type = IOT_STRING },
          { .name = "message", .type = IOT_STRING },
          { .name = "successCount", .type = IOT_INTEGER },
          { .name = "failureCount", .type = IOT_INTEGER },
          { .name = "percentageProgress", .type = IOT_INTEGER },
      },
  },
  {
      .name = "start_thing_registration_task",
      .method = "POST",
      .uri = "/thing-registration-tasks",
      .input = {
          { "templateBody", IOT_STRING, IOT_IN_BODY, true },
          { "inputFileBucket", IOT_STRING, IOT_IN_BODY, true },
          { "inputFileKey", IOT_STRING, IOT_IN_BODY, true },
          { "roleArn", IOT_STRING, IOT_IN_BODY, true },
      },
      .output = { { .name = "taskId", .type = IOT_STRING } },
  },
  {
      .name = "stop_thing_registration_task",
      .method = "PUT",
      .uri = "/thing-registration-tasks/{taskId}/cancel",
      .input = { { "taskId", IOT_STRING, IOT_IN_LABEL, true } },
  },
  {
      .name = "list_thing_registration_tasks",
      .method = "GET",
      .uri = "/thing-registration-tasks",
      .items = "taskIds",
      .input = {
          { "nextToken", IOT_STRING, IOT_IN_QUERY, false },
          { "maxResults", IOT_INTEGER, IOT_IN_QUERY, false },
          { "status", IOT_STRING, IOT_IN_QUERY, false },
      },
      .output = {
          { .name = "taskIds", .type = IOT_STRING_LIST },
          { .name = "nextToken", .type = IOT_STRING },
      },
  },
  {
      .name = "list_thing_registration_task_reports",
      .method = "GET",
      .uri = "/thing-registration-tasks/{taskId}/reports",
      .items = "resourceLinks",
      .input = {
          { "taskId", IOT_STRING, IOT_IN_LABEL, true },
          { "reportType", IOT_STRING, IOT_IN_QUERY, true },
          { "nextToken", IOT_STRING, IOT_IN_QUERY, false },
          { "maxResults", IOT_INTEGER, IOT_IN_QUERY, false },
      },
      .output = {
          { .name = "resourceLinks", .type = IOT_STRING_LIST },
          { .name = "reportType", .type = IOT_STRING },
          { .name = "nextToken", .type = IOT_STRING },
      },
  },
  {
      .name = "register_thing",
      .method = "POST",
      .uri = "/things",
      .input = {
          { "templateBody", IOT_STRING, IOT_IN_BODY, true },
          { "parameters", IOT_STRING_MAP, IOT_IN_BODY, false },
      },
      .output = {
          { .name = "certificatePem", .type = IOT_STRING },
          { .name = "resourceArns", .type = IOT_STRING_MAP },
      },
  },
  { .name = NULL },
};

const struct iot_member *iot_member_find(const struct iot_member *members, struct iot_view name)
{
  for (; members->name; members++)
    if (iot_view_equal(iot_view_of(members->name), name))
      return members;
  return NULL;
}

static enum iot_status write_label(
    struct iot_buffer *out, const char *name, struct iot_view value, struct iot_error *error)
{
  if (value.n == 0)
    return iot_fail(error, IOT_EPARAMETER, "%s must not be empty", name);
  if (iot_view_equal(value, IOT_LITERAL(".")) || iot_view_equal(value, IOT_LITERAL("..")))
    return iot_fail(error, IOT_EPARAMETER,
        "%s must not be \"%.*s\", which is a path segment of its own", name, (int)value.n, value.p);
  iot_uri_encode(out, value);
  return IOT_OK;
}

static enum iot_status write_target(struct iot_buffer *out, const struct iot_operation *operation,
    const struct iot_view *values, struct iot_error *error)
{
  struct iot_view rest = iot_view_of(operation->uri);
  enum iot_status status = IOT_OK;

  while (status == IOT_OK && rest.n) {
    const struct iot_member *label;

    iot_buffer_append(out, iot_view_cut(&rest, '{'));
    label = rest.n ? iot_member_find(operation->input, iot_view_cut(&rest, '}')) : NULL;
    if (label)
      status = write_label(out, label->name, values[label - operation->input], error);
  }
  return status;
}

static void write_query(
    struct iot_buffer *out, const struct iot_operation *operation, const struct iot_view *values)
{
  char before = '?';
  size_t i;

  for (i = 0; operation->input[i].name; i++) {
    if (operation->input[i].place != IOT_IN_QUERY || !values[i].p)
      continue;
    iot_buffer_append_byte(out, before);
    iot_buffer_append(out, iot_view_of(operation->input[i].name));
    iot_buffer_append_byte(out, '=');
    iot_uri_encode(out, values[i]);
    before = '&';
  }
}

static void write_body(
    struct iot_buffer *out, const struct iot_operation *operation, const struct iot_view *values)
{
  char before = '{';
  size_t i;

  for (i = 0; operation->input[i].name; i++) {
    if (operation->input[i].place != IOT_IN_BODY || !values[i].p)
      continue;
    iot_buffer_append_byte(out, before);
    iot_buffer_append_byte(out, '"');
    iot_buffer_append(out, iot_view_of(operation->input[i].name));
    iot_buffer_append(out, IOT_LITERAL("\":"));
    iot_buffer_append(out, values[i]);
    before = ',';
  }
  if (before == ',')
    iot_buffer_append_byte(out, '}');
}

enum iot_status iot_operation_write(struct iot_request *request,
    const struct iot_operation *operation, struct iot_view base_path,
    const struct iot_view values[IOT_OPERATION_MAX_MEMBERS], struct iot_error *error)
{
  enum iot_status status;
  size_t i;

  for (i = 0; operation->input[i].name; i++)
    if (operation->input[i].required && !values[i].p)
      return iot_fail(error, IOT_EPARAMETER, "%s is required", operation->input[i].name);
  request->method = operation->method;
  iot_buffer_append(&request->target, base_path);
  status = write_target(&request->target, operation, values, error);
  if (status != IOT_OK)
    return status;
  write_query(&request->target, operation, values);
  write_body(&request->body, operation, values);
  if (request->target.status != IOT_OK || request->body.status != IOT_OK) {
    status = request->target.status != IOT_OK ? request->target.status : request->body.status;
    return status == IOT_ETOOLARGE
               ? iot_fail(error, IOT_EPARAMETER, "the parameters are too large for one request")
               : iot_fail(error, status, "%s", iot_status_text(status));
  }
  return request->body.n ? iot_request_add_header(request, IOT_LITERAL("Content-Type"),
                               IOT_LITERAL("application/json"))
                         : IOT_OK;
}
