/*
 * Digests, MACs and random bytes: the only user of OpenSSL.
 *
 * No function leaves an error in OpenSSL's per-thread queue: nginx would report it as its own
 * ("ignoring stale global SSL error"). None keeps a copy of what it is given.
 */
#ifndef IOT_CRYPTO_H
#define IOT_CRYPTO_H

#include "iot_buffer.h"

enum {
  IOT_SHA256_SIZE = 32,                   /* bytes of a digest, a MAC and a signing key */
  IOT_HEX_SIZE = 2 * IOT_SHA256_SIZE + 1, /* the same as lower-case hex, with a terminator */
  IOT_SHA1_SIZE = 20,
  IOT_ES256_SIZE = 64,       /* bytes of a signature: r and s */
  IOT_ES256_COORDINATE = 32, /* bytes of a public key's x or y */
  IOT_UUID_SIZE = 37         /* a UUID's text, with a terminator */
};

/* Of all here: IOT_ECRYPTO may be for want of memory, too, since OpenSSL does not always tell; where it does it is
   IOT_ENOMEM. */

/* Let OpenSSL begin, once in a process. Returns IOT_OK; or, from then on, IOT_ENOMEM when it had no memory for that: it
   may then not be used, by libcurl neither. All below see to it by themselves. */
IOT_NODISCARD enum iot_status iot_crypto_initialize(void);

/* SHA-256 (FIPS 180-4) of `data`. Returns IOT_OK, IOT_ENOMEM or IOT_ECRYPTO; `out` is undefined on failure. */
IOT_NODISCARD enum iot_status iot_sha256(unsigned char out[IOT_SHA256_SIZE], struct iot_view data);

/* The same of two texts, one behind the other. */
IOT_NODISCARD enum iot_status iot_sha256_of_two(
    unsigned char out[IOT_SHA256_SIZE], struct iot_view first, struct iot_view second);

/*
 * HMAC-SHA256 (RFC 2104) of `data`. The key is 0 to INT_MAX bytes; `out` may be the key's own place.
 * Returns IOT_OK, IOT_ENOMEM or IOT_ECRYPTO; `out` is undefined on failure.
 */
IOT_NODISCARD enum iot_status iot_hmac_sha256(
    unsigned char out[IOT_SHA256_SIZE], struct iot_view key, struct iot_view data);

/* SHA-1, which only names cache files. Returns IOT_OK, IOT_ENOMEM or IOT_ECRYPTO. */
IOT_NODISCARD enum iot_status iot_sha1(unsigned char out[IOT_SHA1_SIZE], struct iot_view data);

/* Lower-case hex of n bytes, NUL-terminated: 2 * n + 1 characters. */
void iot_hex(char *out, const unsigned char *bytes, size_t n);

/*
 * Sign `data` with ECDSA on P-256 and SHA-256 (RFC 7518 section 3.4), and tell the public key.
 *   pem        the private key, PKCS#8 or SEC1; not encrypted
 *   signature  out: r and s, big-endian
 *   x, y       out: the public point
 * Returns IOT_OK; IOT_ECREDENTIALS when `pem` is no private key on P-256; IOT_ENOMEM; or IOT_ECRYPTO.
 */
IOT_NODISCARD enum iot_status iot_es256_public(unsigned char x[IOT_ES256_COORDINATE],
    unsigned char y[IOT_ES256_COORDINATE], struct iot_view pem);
IOT_NODISCARD enum iot_status iot_es256_sign(
    unsigned char signature[IOT_ES256_SIZE], struct iot_view pem, struct iot_view data);

/* A random number from 0 up to, not including, 1; 0.5 should OpenSSL have no random bytes. */
double iot_random(void);

/* A random UUID, version 4 (RFC 9562), NUL-terminated. Returns IOT_OK, IOT_ENOMEM or IOT_ECRYPTO. */
IOT_NODISCARD enum iot_status iot_uuid(char out[IOT_UUID_SIZE]);

/* Empty this thread's error queue, after another library used OpenSSL and failed. */
void iot_crypto_discard_errors(void);

#endif
