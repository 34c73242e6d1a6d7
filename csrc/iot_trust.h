/*
 * Where the system keeps the certificates of its authorities.
 */
#ifndef IOT_TRUST_H
#define IOT_TRUST_H

#include <stdbool.h>

bool iot_trust_is_directory(const char *path);

/*
 * The system's directory of CAs by hash, in which OpenSSL opens the one file that a chain needs, while
 * a bundle file costs each process some 20 ms to parse, whole. `preferred` is looked at instead of
 * /etc/ssl/certs when it is not NULL. Returns NULL when there is no such directory, or no hash in it;
 * else a text that lives as long as `preferred`.
 */
const char *iot_trust_hashed_directory(const char *preferred);

#endif
