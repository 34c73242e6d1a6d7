/*
 * The service as data: AWS IoT's bulk registration, API version 2015-05-28 (reference section 1).
 *
 * An operation is one entry of `iot_operations`; nothing else in C knows any by name. The limits of
 * the model (lengths, patterns, enumerations) are left out on purpose: they are the service's to
 * change, and no SDK enforces them.
 */
#ifndef IOT_OPERATIONS_H
#define IOT_OPERATIONS_H

#include "iot_request.h"

enum { IOT_OPERATION_MAX_MEMBERS = 16 };

enum iot_member_type {
  IOT_STRING,
  IOT_INTEGER,     /* 32 bits in the model */
  IOT_TIMESTAMP,   /* epoch seconds, fractions kept */
  IOT_STRING_LIST, /* only in replies, so far */
  IOT_STRING_MAP,  /* in a body */
};

/* Where an input member stands; output members stand in the body. */
enum iot_member_place { IOT_IN_BODY, IOT_IN_LABEL, IOT_IN_QUERY };

struct iot_member {
  const char *name; /* AWS's own, in Lua tables and on the wire alike; NULL ends a list */
  enum iot_member_type type;
  enum iot_member_place place;
  bool required;
};

struct iot_operation {
  const char *name;   /* as Lua calls it */
  const char *method; /* of HTTP */
  const char *uri;    /* with "{member}" for each label */
  const char *
      items; /* of a list that comes in pages, by nextToken: the list's name in a page; else NULL */
  struct iot_member input[IOT_OPERATION_MAX_MEMBERS];
  struct iot_member output[IOT_OPERATION_MAX_MEMBERS];
};

/* Every operation; an entry without a name ends the list. */
extern const struct iot_operation iot_operations[];

/* The member of that name in a list, or NULL. */
const struct iot_member *iot_member_find(const struct iot_member *members, struct iot_view name);

/*
 * Write the request of an operation: method, target, body and Content-Type.
 *   base_path  of the endpoint, without a trailing "/"; may be empty
 *   values     one for each input member, in the operation's order; p is NULL where none was given.
 *              A body member's is JSON text; a label's and that of a query are UTF-8 text, and an empty one
 *              of a query is sent (reference 1.6).
 * Returns IOT_OK; IOT_EPARAMETER, with the member's name in `error`, for a required member without a
 * value and for a label that is empty, "." or ".." (reference 1.5: the request would reach another
 * resource), and for parameters that are too large; or IOT_ENOMEM.
 */
IOT_NODISCARD enum iot_status iot_operation_write(struct iot_request *request,
    const struct iot_operation *operation, struct iot_view base_path,
    const struct iot_view values[IOT_OPERATION_MAX_MEMBERS], struct iot_error *error);

#endif
