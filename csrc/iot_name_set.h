/*
 * Which line a name was first seen on: a set of names that holds fingerprints instead of their bytes.
 *
 * A name costs 16 bytes of a table that is at most three quarters full, whatever its length. Fingerprints are 96
 * bits of SHA-256, behind a random seed of the set's own: among a million names two that differ are taken for
 * the same with a probability below 1e-17, and nobody can choose names that are, or that crowd the table.
 */
#ifndef IOT_NAME_SET_H
#define IOT_NAME_SET_H

#include <stdint.h>

#include "iot_crypto.h"

enum { IOT_NAME_SET_MAX_NAME = 1024 }; /* bytes of a name */

struct iot_name_slot {
  uint32_t fingerprint[3];
  uint32_t line; /* 0: nothing is here */
};

struct iot_name_set {
  char seed[IOT_UUID_SIZE];
  struct iot_name_slot *slots; /* NULL while there is no name */
  size_t capacity;             /* a power of two, or 0 */
  size_t count;
};

/* Make an empty set, which has no seed and takes no names yet. Allocates nothing. */
void iot_name_set_init(struct iot_name_set *set);

/* Give an empty set its seed. Returns IOT_OK or IOT_ECRYPTO. */
IOT_NODISCARD enum iot_status iot_name_set_open(struct iot_name_set *set);

/*
 * Note that a name is on a line, unless it was on one before.
 *   earlier  out: that line; 0 when the name is new, and on failure
 *   name     at most IOT_NAME_SET_MAX_NAME bytes; not kept
 *   line     from 1
 * Returns IOT_OK; IOT_EPARAMETER for another name or line; IOT_ECRYPTO, also of a set that was not opened; or
 * IOT_ENOMEM. The set is unchanged on failure.
 */
IOT_NODISCARD enum iot_status iot_name_set_add(
    struct iot_name_set *set, uint32_t *earlier, struct iot_view name, uint32_t line);

/* Forget all names and free their memory. The seed stays: the set may be used again. Safe to call twice. */
void iot_name_set_clear(struct iot_name_set *set);

#endif
