#include "iot_crypto.h"

#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

static const char hex_digits[] = "0123456789abcdef";

/* Why OpenSSL failed: for want of memory, or else `otherwise`. Its queue of errors is empty then. */
static enum iot_status reason(enum iot_status otherwise)
{
  unsigned long error;

  while ((error = ERR_get_error()) != 0)
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
      otherwise = IOT_ENOMEM;
  return otherwise;
}

static enum iot_status outcome(int succeeded)
{
  return succeeded ? IOT_OK : reason(IOT_ECRYPTO);
}

static const EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

/* Looked up once: from OpenSSL 3 on that takes longer than to hash a request. Never freed. NULL when OpenSSL had no
   memory to begin with: it does not try again, and later calls would crash. */
static void find_sha256(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  if (!OSSL_LIB_CTX_get0_global_default())
    return;
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  ERR_clear_error();
#endif
  if (!sha256)
    sha256 = EVP_sha256();
}

enum iot_status iot_crypto_initialize(void)
{
  pthread_once(&sha256_once, find_sha256);
  return sha256 ? IOT_OK : IOT_ENOMEM;
}

static EVP_MD_CTX *new_digest(void)
{
  return iot_crypto_initialize() == IOT_OK ? EVP_MD_CTX_new() : NULL;
}

/* The SHA-256 of two texts, one behind the other. */
static bool digest(EVP_MD_CTX *context, unsigned char out[IOT_SHA256_SIZE], struct iot_view first,
    struct iot_view second)
{
  return context && EVP_DigestInit_ex(context, sha256, NULL) == 1 &&
         EVP_DigestUpdate(context, first.p, first.n) == 1 &&
         EVP_DigestUpdate(context, second.p, second.n) == 1 &&
         EVP_DigestFinal_ex(context, out, NULL) == 1;
}

enum iot_status iot_sha256_of_two(
    unsigned char out[IOT_SHA256_SIZE], struct iot_view first, struct iot_view second)
{
  EVP_MD_CTX *context = new_digest();
  const bool good = digest(context, out, first, second);
  const enum iot_status status = context ? outcome(good) : IOT_ENOMEM;

  EVP_MD_CTX_free(context);
  return status;
}

enum iot_status iot_sha256(unsigned char out[IOT_SHA256_SIZE], struct iot_view data)
{
  return iot_sha256_of_two(out, data, (struct iot_view){ NULL, 0 });
}

/* RFC 2104: OpenSSL's own takes three times as long for texts as short as these. */
enum iot_status iot_hmac_sha256(
    unsigned char out[IOT_SHA256_SIZE], struct iot_view key, struct iot_view data)
{
  enum { BLOCK = 64 };
  unsigned char padded[BLOCK] = { 0 }, inner[IOT_SHA256_SIZE];
  const struct iot_view block = { (char *)padded, BLOCK };
  EVP_MD_CTX *context = new_digest();
  bool good = context != NULL;
  enum iot_status status = good ? IOT_OK : IOT_ENOMEM;
  size_t i;

  if (key.n > BLOCK)
    good = good && digest(context, padded, key, (struct iot_view){ NULL, 0 });
  else if (key.n)
    memcpy(padded, key.p, key.n);
  for (i = 0; i < BLOCK; i++)
    padded[i] ^= 0x36;
  good = good && digest(context, inner, block, data);
  for (i = 0; i < BLOCK; i++)
    padded[i] ^= 0x36 ^ 0x5c;
  good = good && digest(context, inner, block, (struct iot_view){ (char *)inner, sizeof inner });
  if (good)
    memcpy(out, inner, sizeof inner);
  iot_wipe(padded, sizeof padded);
  iot_wipe(inner, sizeof inner);
  if (status == IOT_OK)
    status = outcome(good);
  EVP_MD_CTX_free(context);
  return status;
}

enum iot_status iot_sha1(unsigned char out[IOT_SHA1_SIZE], struct iot_view data)
{
  if (iot_crypto_initialize() != IOT_OK)
    return IOT_ENOMEM;
  return outcome(EVP_Digest(data.p, data.n, out, NULL, EVP_sha1(), NULL) == 1);
}

void iot_hex(char *out, const unsigned char *bytes, size_t n)
{
  size_t i;

  for (i = 0; i < n; i++) {
    out[2 * i] = hex_digits[bytes[i] >> 4];
    out[2 * i + 1] = hex_digits[bytes[i] & 15];
  }
  out[2 * n] = '\0';
}

/* An encrypted key must not make OpenSSL ask the terminal. */
static int no_passphrase(char *room, int size, int writing, void *context)
{
  (void)room;
  (void)size;
  (void)writing;
  (void)context;
  return -1;
}

/* Other curves have 256 bits, too. */
static bool has_curve_p256(EVP_PKEY *key)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  char name[64];

  return EVP_PKEY_get_group_name(key, name, sizeof name, NULL) == 1 &&
         OBJ_sn2nid(name) == NID_X9_62_prime256v1;
#else
  const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);

  return ec && EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) == NID_X9_62_prime256v1;
#endif
}

/* The uncompressed point: 4, x, y. */
static bool read_point(EVP_PKEY *key, unsigned char point[1 + 2 * IOT_ES256_COORDINATE])
{
  const size_t size = 1 + 2 * IOT_ES256_COORDINATE;
  unsigned char *encoded = NULL;
  bool good;

  if (EVP_PKEY_base_id(key) != EVP_PKEY_EC || !has_curve_p256(key))
    return false;
  good = EVP_PKEY_get1_tls_encodedpoint(key, &encoded) == size && encoded[0] == 4;
  if (good)
    memcpy(point, encoded, size);
  OPENSSL_free(encoded);
  return good;
}

/* The key of a PEM text, which the caller frees; NULL when it is none on P-256. */
static EVP_PKEY *read_key(struct iot_view pem, unsigned char point[1 + 2 * IOT_ES256_COORDINATE])
{
  BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

  BIO_free(bio);
  if (key && !read_point(key, point)) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  return key;
}

enum iot_status iot_es256_public(unsigned char x[IOT_ES256_COORDINATE],
    unsigned char y[IOT_ES256_COORDINATE], struct iot_view pem)
{
  unsigned char point[1 + 2 * IOT_ES256_COORDINATE];
  EVP_PKEY *key = iot_crypto_initialize() == IOT_OK ? read_key(pem, point) : NULL;

  if (!key)
    return reason(sha256 ? IOT_ECREDENTIALS : IOT_ENOMEM);
  ERR_clear_error();
  EVP_PKEY_free(key);
  memcpy(x, point + 1, IOT_ES256_COORDINATE);
  memcpy(y, point + 1 + IOT_ES256_COORDINATE, IOT_ES256_COORDINATE);
  return IOT_OK;
}

/* OpenSSL's DER signature as two numbers of fixed width. */
static bool split_signature(
    unsigned char signature[IOT_ES256_SIZE], const unsigned char *der, size_t size)
{
  const int half = IOT_ES256_SIZE / 2;
  ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)size);
  bool good = parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts), signature, half) == half &&
              BN_bn2binpad(ECDSA_SIG_get0_s(parts), signature + half, half) == half;

  ECDSA_SIG_free(parts);
  return good;
}

enum iot_status iot_es256_sign(
    unsigned char signature[IOT_ES256_SIZE], struct iot_view pem, struct iot_view data)
{
  unsigned char point[1 + 2 * IOT_ES256_COORDINATE], der[128];
  size_t size = sizeof der;
  EVP_PKEY *key = iot_crypto_initialize() == IOT_OK ? read_key(pem, point) : NULL;
  EVP_MD_CTX *context = key ? EVP_MD_CTX_new() : NULL;
  bool good = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(context, der, &size, (const unsigned char *)data.p, data.n) == 1 &&
              split_signature(signature, der, size);
  enum iot_status status = key ? outcome(good) : reason(sha256 ? IOT_ECREDENTIALS : IOT_ENOMEM);

  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return status;
}

double iot_random(void)
{
  uint32_t bits;

  if (outcome(RAND_bytes((unsigned char *)&bits, sizeof bits) == 1) != IOT_OK)
    return 0.5;
  return bits / 4294967296.0;
}

enum iot_status iot_uuid(char out[IOT_UUID_SIZE])
{
  unsigned char bytes[16];
  enum iot_status status = iot_crypto_initialize();
  size_t i;

  if (status == IOT_OK)
    status = outcome(RAND_bytes(bytes, sizeof bytes) == 1);
  if (status != IOT_OK)
    return status;
  bytes[6] = (unsigned char)(0x40 | (bytes[6] & 0x0f)); /* version 4 */
  bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f)); /* the RFC's variant */
  for (i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *out++ = '-';
    *out++ = hex_digits[bytes[i] >> 4];
    *out++ = hex_digits[bytes[i] & 15];
  }
  *out = '\0';
  return IOT_OK;
}

void iot_crypto_discard_errors(void)
{
  ERR_clear_error();
}
