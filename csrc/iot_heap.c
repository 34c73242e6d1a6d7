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

void *iot_heap_malloc(size_t n)
{
  union head *head = n <= (size_t)-1 - sizeof *head ? malloc(sizeof *head + n) : NULL;

  if (!head)
    return NULL;
  head->n = n;
  return head + 1;
}

void *iot_heap_calloc(size_t count, size_t n)
{
  void *p = n == 0 || count <= (size_t)-1 / n ? iot_heap_malloc(count * n) : NULL;

  if (p)
    memset(p, 0, count * n);
  return p;
}

/* Not the C library's: it would free the old bytes unwiped. */
void *iot_heap_realloc(void *p, size_t n)
{
  void *moved;

  if (p && n <= head_of(p)->n && n > head_of(p)->n / 2)
    return p;
  moved = iot_heap_malloc(n);
  if (moved && p) {
    memcpy(moved, p, n < head_of(p)->n ? n : head_of(p)->n);
    iot_heap_free(p);
  }
  return moved;
}

char *iot_heap_strdup(const char *s)
{
  const size_t n = strlen(s) + 1;
  char *copy = iot_heap_malloc(n);

  return copy ? memcpy(copy, s, n) : NULL;
}

void iot_heap_free(void *p)
{
  if (!p)
    return;
  iot_wipe(p, head_of(p)->n);
  free(head_of(p));
}
