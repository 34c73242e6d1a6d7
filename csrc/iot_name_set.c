#include "iot_name_set.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64, SEED_SIZE = IOT_UUID_SIZE - 1 };

void iot_name_set_init(struct iot_name_set *set)
{
  memset(set, 0, sizeof *set);
}

enum iot_status iot_name_set_open(struct iot_name_set *set)
{
  const enum iot_status status = iot_uuid(set->seed);

  if (status != IOT_OK)
    set->seed[0] = '\0';
  return status;
}

void iot_name_set_clear(struct iot_name_set *set)
{
  free(set->slots);
  set->slots = NULL;
  set->capacity = 0;
  set->count = 0;
}

static enum iot_status take_fingerprint(
    struct iot_name_slot *slot, const struct iot_name_set *set, struct iot_view name)
{
  char text[SEED_SIZE + IOT_NAME_SET_MAX_NAME];
  unsigned char digest[IOT_SHA256_SIZE];
  enum iot_status status;

  if (set->seed[0] == '\0')
    return IOT_ECRYPTO;
  memcpy(text, set->seed, SEED_SIZE);
  if (name.n)
    memcpy(text + SEED_SIZE, name.p, name.n);
  status = iot_sha256(digest, (struct iot_view){ text, SEED_SIZE + name.n });
  if (status == IOT_OK)
    memcpy(slot->fingerprint, digest, sizeof slot->fingerprint);
  return status;
}

/* The place of a fingerprint, or the free one where it belongs. There is one: the table is never full. */
static struct iot_name_slot *find(
    struct iot_name_slot *slots, size_t capacity, const uint32_t fingerprint[3])
{
  const uint64_t start = (uint64_t)fingerprint[1] << 32 | fingerprint[0];
  size_t i = (size_t)(start & (capacity - 1));

  while (
      slots[i].line && memcmp(slots[i].fingerprint, fingerprint, sizeof slots[i].fingerprint) != 0)
    i = (i + 1) & (capacity - 1);
  return &slots[i];
}

/* Room for one name more. */
static enum iot_status reserve(struct iot_name_set *set)
{
  const size_t capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
  struct iot_name_slot *slots;
  size_t i;

  if (set->slots && set->count < set->capacity / 4 * 3)
    return IOT_OK;
  if (set->capacity > (size_t)-1 / 2 / sizeof *slots)
    return IOT_ENOMEM;
  slots = calloc(capacity, sizeof *slots);
  if (!slots)
    return IOT_ENOMEM;
  for (i = 0; set->slots && i < set->capacity; i++)
    if (set->slots[i].line)
      *find(slots, capacity, set->slots[i].fingerprint) = set->slots[i];
  free(set->slots);
  set->slots = slots;
  set->capacity = capacity;
  return IOT_OK;
}

enum iot_status iot_name_set_add(
    struct iot_name_set *set, uint32_t *earlier, struct iot_view name, uint32_t line)
{
  struct iot_name_slot added = { { 0, 0, 0 }, line };
  enum iot_status status;

  *earlier = 0;
  if (name.n > IOT_NAME_SET_MAX_NAME || line == 0)
    return IOT_EPARAMETER;
  status = take_fingerprint(&added, set, name);
  if (status != IOT_OK)
    return status;
  if (set->slots)
    *earlier = find(set->slots, set->capacity, added.fingerprint)->line;
  if (*earlier)
    return IOT_OK;
  status = reserve(set);
  if (status != IOT_OK)
    return status;
  *find(set->slots, set->capacity, added.fingerprint) = added;
  set->count++;
  return IOT_OK;
}
