/*
 * Where the certificates of the authorities to trust are.
 */
#ifndef IOT_TRUST_H
#define IOT_TRUST_H

/* A bundle file, or a directory of CAs by hash; the other is NULL. */
struct iot_trust {
  const char *file;
  const char *directory;
};

/*
 * What the user's bundle, which may be such a directory, comes to. When `ca_bundle` is NULL it is the system's
 * directory of CAs by hash, in which OpenSSL opens the one file that a chain needs, while a bundle file
 * costs each process some 20 ms to parse, whole: `preferred`, or /etc/ssl/certs when that is NULL. Both
 * are NULL when there is no such directory, or no hash in it. The texts are the arguments or constant.
 */
struct iot_trust iot_trust_choose(const char *ca_bundle, const char *preferred);

#endif
