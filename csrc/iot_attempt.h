/*
 * One signed attempt at an operation of the service, as a request.
 */
#ifndef IOT_ATTEMPT_H
#define IOT_ATTEMPT_H

#include "iot_operations.h"
#include "iot_sigv4.h"

enum { IOT_TARGET_MAX = 8192 }; /* bytes of each text of a target */

/* Where the requests of a client go, and for which region they are signed. */
struct iot_target {
  struct iot_buffer origin; /* "https://host:port" */
  struct iot_buffer host;   /* the Host header's value */
  struct iot_buffer base_path;
  struct iot_buffer region;
  bool https;
};

void iot_target_init(struct iot_target *target);
void iot_target_free(struct iot_target *target);

/*
 * Take an endpoint apart into what requests are made of (reference 2.5).
 * Returns IOT_OK; IOT_EENDPOINT with the reason in `error` for one that is no URL, has a query, or is
 * too long; IOT_ENOMEM.
 */
IOT_NODISCARD enum iot_status iot_target_set(struct iot_target *target, struct iot_view endpoint,
    struct iot_view region, struct iot_error *error);

/* What changes from attempt to attempt; the views are borrowed. */
struct iot_attempt {
  struct iot_credentials credentials;
  int64_t time;   /* seconds since the epoch */
  double timeout; /* seconds */
  struct iot_view user_agent;
  struct iot_view invocation_id;
  struct iot_view trace_id;
  char counter[80]; /* the value of amz-sdk-request */
};

/*
 * Say which attempt of a call it is: "attempt=1; max=3", or "ttl=20261122T224010Z; attempt=2; max=3"
 * (reference 8.2).
 *   ttl  when its reply will have been given up, seconds since the epoch; 0, or what is no such time: unknown
 */
void iot_attempt_count(
    struct iot_attempt *attempt, double number, double max_attempts, int64_t ttl);

/*
 * Write and sign the request, in place of what it was. It borrows from all arguments.
 *   values  as for iot_operation_write
 * Returns IOT_OK, what iot_operation_write or iot_sigv4_sign returns, or IOT_EPARAMETER for a value that
 * cannot be sent in a header.
 */
IOT_NODISCARD enum iot_status iot_attempt_write(struct iot_request *request,
    struct iot_sigv4 *signer, const struct iot_attempt *attempt, const struct iot_target *target,
    const struct iot_operation *operation, const struct iot_view values[IOT_OPERATION_MAX_MEMBERS],
    struct iot_error *error);

#endif
