/*
 * What a function of the core can answer, and the record that carries a failure's words.
 *
 * Every status has a stable CamelCase name: the `code` that a Lua caller finds in the failure's
 * detail. What a code means for a caller (its kind, whether it is worth another attempt) is policy
 * and stands in lua/iot/errors.lua.
 */
#ifndef IOT_STATUS_H
#define IOT_STATUS_H

#if defined(__GNUC__)
#define IOT_NODISCARD __attribute__((warn_unused_result))
#define IOT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define IOT_NODISCARD
#define IOT_PRINTF(text, first)
#endif

enum iot_status {
  IOT_OK,             /* no failure; always 0 */
  IOT_ENOMEM,         /* an allocation failed */
  IOT_EPARAMETER,     /* a value that the caller gave can only go wrong */
  IOT_ECREDENTIALS,   /* credentials that cannot be put into a request */
  IOT_EENDPOINT,      /* an endpoint that is no usable URL */
  IOT_ECONFIGURATION, /* another option that cannot be used */
  IOT_ECABUNDLE,      /* the CA bundle cannot be read, or holds no certificate */
  IOT_ECRYPTO,        /* OpenSSL refused a digest, a MAC or random bytes */
  IOT_ERESOLVE,       /* the host name was not found */
  IOT_ECONNECT,       /* no connection was made */
  IOT_EPROXY,         /* the proxy was not found or refused */
  IOT_ETLS,           /* the TLS handshake failed, certificates apart */
  IOT_ECERTIFICATE,   /* the server's certificate was not accepted */
  IOT_ELOST,          /* the connection ended before the whole reply had come */
  IOT_ETIMEOUT,       /* a time limit passed */
  IOT_ERESPONSE,      /* the reply is not what the protocol says */
  IOT_ETOOLARGE,      /* the reply exceeds a size limit */
  IOT_EINTERRUPTED,   /* the host wants no more waiting: iot_interrupt.h */
  IOT_STATUS_COUNT
};

/* A failure's words: one line, complete without its code, never holding a secret. */
struct iot_error {
  char message[384]; /* NUL-terminated; cut when longer */
};

/* The stable name of a status, "ConnectionFailed" for IOT_ECONNECT; never NULL. Static storage. */
const char *iot_status_name(enum iot_status status);

/* Words for a status that came without any; never NULL. Static storage. */
const char *iot_status_text(enum iot_status status);

/* Say why no request was made of its parts, in the words of `status`. What is too large is then a parameter,
   no reply: IOT_ETOOLARGE becomes IOT_EPARAMETER. Returns the status that it comes to. */
enum iot_status iot_fail_request(struct iot_error *error, enum iot_status status);

/* Format the words of a failure, control characters as spaces, and return `status`, so that `return iot_fail(...)` reads well. */
enum iot_status iot_fail(struct iot_error *error, enum iot_status status, const char *format, ...)
    IOT_PRINTF(3, 4);

#endif
