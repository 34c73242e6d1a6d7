/*
 * One HTTP request as data, for whichever transport sends it.
 */
#ifndef IOT_REQUEST_H
#define IOT_REQUEST_H

#include "iot_buffer.h"

enum {
  IOT_REQUEST_MAX_HEADERS = 16,
  IOT_REQUEST_MAX_TARGET = 1 << 16, /* bytes */
  IOT_REQUEST_MAX_BODY = 1 << 22    /* bytes */
};

/* All zero is the inert state. */
struct iot_request {
  const char *method;       /* borrowed */
  struct iot_buffer target; /* path, then "?" and the query when there is one; percent-encoded */
  struct iot_buffer body;   /* empty for no body */
  struct iot_header headers[IOT_REQUEST_MAX_HEADERS]; /* borrowed: the adder keeps them alive */
  size_t header_count;
};

void iot_request_init(struct iot_request *request);
void iot_request_free(struct iot_request *request);

/* Empty it for another use, keeping the storage. */
void iot_request_clear(struct iot_request *request);

/*
 * Add a header; both views are borrowed until the next clear. Returns IOT_OK, or IOT_EPARAMETER when
 * there are too many or the value would break the line.
 */
IOT_NODISCARD enum iot_status iot_request_add_header(
    struct iot_request *request, struct iot_view name, struct iot_view value);

/* The target's two halves. */
struct iot_view iot_request_path(const struct iot_request *request);
struct iot_view iot_request_query(const struct iot_request *request);

/* Whether the message tells the length of its body: with every method but GET. */
bool iot_request_has_length(const struct iot_request *request);

/* Append the request as HTTP/1.1 bytes (RFC 9112): request line, headers, body. */
void iot_request_write(struct iot_buffer *out, const struct iot_request *request);

#endif
