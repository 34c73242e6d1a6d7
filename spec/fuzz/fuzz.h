/*
 * What the fuzzers have in common. Each is a libFuzzer program; a promise that does not hold ends it as a
 * crash does, so that the input is kept.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iot_buffer.h"

#define MUST(promise) ((promise) ? (void)0 : fuzz_broken(#promise, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void fuzz_broken(
    const char *promise, const char *file, int line)
{
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, promise);
  abort();
}

/* The input as a view of bytes on the heap, exactly as long as they are: a read beyond them is seen. */
static inline struct iot_view fuzz_copy(struct iot_view v)
{
  char *p = malloc(v.n ? v.n : 1);

  MUST(p);
  if (v.n)
    memcpy(p, v.p, v.n);
  return (struct iot_view){ p, v.n };
}

static inline void fuzz_free(struct iot_view v)
{
  free((void *)(size_t)v.p);
}

/* The next byte of the input; 0 at its end. */
static inline unsigned fuzz_byte(struct iot_view *rest)
{
  if (rest->n == 0)
    return 0;
  rest->n--;
  return (unsigned char)*rest->p++;
}

/* Whether every byte of v is one of `set`. */
static inline bool fuzz_holds_only(struct iot_view v, const char *set)
{
  size_t i;

  for (i = 0; i < v.n; i++)
    if (v.p[i] == '\0' || !strchr(set, v.p[i]))
      return false;
  return true;
}

/* Whether v holds `part`, which is not empty. */
static inline bool fuzz_holds(struct iot_view v, struct iot_view part)
{
  size_t i;

  for (i = 0; part.n && i + part.n <= v.n; i++)
    if (memcmp(v.p + i, part.p, part.n) == 0)
      return true;
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
