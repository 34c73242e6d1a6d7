/*
 * AWS Signature Version 4: canonical request, string to sign, signing key, and both ways to put the
 * signature into a request: the Authorization header, and the query of a presigned URL.
 *
 * Pure: the time is an input, nothing is read or sent. The rules are those of the AWS General
 * Reference, "Signature Version 4 signing process", and of reference section 3; where SDKs differ,
 * botocore's and aws-c-auth's reading is kept.
 */
#ifndef IOT_SIGV4_H
#define IOT_SIGV4_H

#include <stdint.h>

#include "iot_clock.h"
#include "iot_crypto.h"

enum {
  IOT_SIGV4_MAX_HEADERS = 128,          /* of one request, those that are added included */
  IOT_SIGV4_MAX_SECRET = 4096,          /* bytes of a secret access key; AWS issues 40 */
  IOT_SIGV4_MAX_TOKEN = 1 << 16,        /* bytes of an access key id, and of a session token */
  IOT_SIGV4_MAX_EXPIRES = 7 * 24 * 3600 /* seconds that a presigned URL may be valid */
};

struct iot_credentials {
  struct iot_view access_key_id;
  struct iot_view secret_access_key;
  struct iot_view session_token; /* empty for long-term credentials */
};

/* What is signed; all views are borrowed for the call. */
struct iot_sigv4_request {
  struct iot_view method;           /* signed in upper case */
  struct iot_view path;             /* as it is sent: percent-encoded once; empty means "/" */
  struct iot_view query;            /* as it is sent, without "?" */
  const struct iot_header *headers; /* with "host"; a value may hold folded lines */
  size_t header_count;
  struct iot_view body;
};

struct iot_sigv4_options {
  struct iot_credentials credentials;
  struct iot_view region;
  struct iot_view service;
  int64_t time;            /* seconds since the epoch */
  int expires_in;          /* presigned form: seconds, 1 to IOT_SIGV4_MAX_EXPIRES */
  bool presign;            /* sign the query instead of adding headers */
  bool normalize_path;     /* see iot_uri_canonical_path; on for every service but S3 */
  bool double_encode_path; /* likewise */
  bool sign_body;          /* add and sign x-amz-content-sha256 (header form only) */
  bool omit_session_token; /* send the token unsigned, as some services want it */
};

/* The texts of a signature, in the order in which they are made. */
enum iot_sigv4_text {
  IOT_SIGV4_SCOPE,          /* DATE/REGION/SERVICE/aws4_request */
  IOT_SIGV4_SIGNED_HEADERS, /* "host;x-amz-date" */
  IOT_SIGV4_QUERY,          /* presigned form: the whole query, signature included */
  IOT_SIGV4_CANONICAL_REQUEST,
  IOT_SIGV4_STRING_TO_SIGN,
  IOT_SIGV4_AUTHORIZATION, /* header form: the value of the Authorization header */
  IOT_SIGV4_TEXT_COUNT
};

/*
 * A signer: the results of the last signature, and the signing key of the last scope. All zero is
 * the inert state; iot_sigv4_init makes it usable, iot_sigv4_free wipes and releases it.
 */
struct iot_sigv4 {
  /* Results, valid after IOT_OK until the next call, or until they are forgotten. */
  struct iot_buffer text[IOT_SIGV4_TEXT_COUNT];
  char amz_date[IOT_AMZ_DATE_SIZE];
  char payload_hash[IOT_HEX_SIZE]; /* of x-amz-content-sha256, when that is added */
  char signature[IOT_HEX_SIZE];

  /* The signing key of the last secret, date, region and service. It is found again by a MAC of the
     scope under the secret, so that no copy of the secret is kept. */
  bool has_key;
  unsigned char key_id[IOT_SHA256_SIZE];
  unsigned char key[IOT_SHA256_SIZE];
};

void iot_sigv4_init(struct iot_sigv4 *signer);

/* Wipes the results, which hold the session token. The key stays. */
void iot_sigv4_forget_results(struct iot_sigv4 *signer);

/* Wipes the key and all results. Safe to call twice. */
void iot_sigv4_free(struct iot_sigv4 *signer);

/*
 * Sign a request.
 *
 * Header form: the headers to send are the given ones (without any authorization, x-amz-date and
 * x-amz-security-token: old signatures are replaced) plus X-Amz-Date, X-Amz-Security-Token when there
 * is a token, x-amz-content-sha256 when `sign_body` asks for it and it was not given, and Authorization.
 * Presigned form: the query to send is the one made here; the given headers stay as they are.
 *
 * A given x-amz-content-sha256 header is signed and used as the payload's hash; presigned URLs of
 * service "s3" use UNSIGNED-PAYLOAD. The headers that proxies rewrite stay unsigned (reference 3.2).
 *
 * Returns IOT_OK; IOT_EPARAMETER for a request, and IOT_ECREDENTIALS for credentials, that cannot be
 * signed, are too large or would break a header line; IOT_ENOMEM or IOT_ECRYPTO. `error` then says
 * why, and never quotes a secret.
 */
IOT_NODISCARD enum iot_status iot_sigv4_sign(struct iot_sigv4 *signer,
    const struct iot_sigv4_request *request, const struct iot_sigv4_options *options,
    struct iot_error *error);

/* Whether a header is one that every signature brings anew: authorization, x-amz-date, the token. */
bool iot_sigv4_replaces_header(struct iot_view name);

#endif
