#include "iot_heap.h"

#include <stdlib.h>
#include <string.h>

#include "iot_buffer.h"

/* What stands in front of each block, as large as keeps the block aligned for anything. */
union head {
  size_t n;
  long double number;
  void *pointer;
  char room[16];
};

static union head *head_of(void *p)
{
  return (union head *)p - 1;
}

/* The block behind a head, which is NULL without memory. */
static void *block_behind(union head *head, size_t n)
{
  if (!head)
    return NULL;
  head->n = n;
  return head + 1;
}

void *iot_heap_malloc(size_t n)
{
  return block_behind(
      n <= (size_t)-1 - sizeof(union head) ? malloc(sizeof(union head) + n) : NULL, n);
}

void *iot_heap_calloc(size_t count, size_t n)
{
  if (n && count > ((size_t)-1 - sizeof(union head)) / n)
    return NULL;
  return block_behind(calloc(1, sizeof(union head) + count * n), count * n);
}

/* Not the C library's: it would free the old bytes unwiped. */
void *iot_heap_realloc(void *p, size_t n)
{
  const size_t old = p ? head_of(p)->n : 0;
  void *moved;

  if (p && n <= old && n > old / 2)
    return p;
  moved = iot_heap_malloc(n);
  if (moved && p) {
    memcpy(moved, p, n < old ? n : old);
    iot_heap_free(p);
  }
  return moved;
}

char *iot_heap_strdup(const char *s)
{
  const size_t n = strlen(s) + 1;
  char *copy = iot_heap_malloc(n);

  if (copy)
    memcpy(copy, s, n);
  return copy;
}

void iot_heap_free(void *p)
{
  if (!p)
    return;
  iot_wipe(p, head_of(p)->n);
  free(head_of(p));
}
