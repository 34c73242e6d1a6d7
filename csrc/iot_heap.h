/*
 * A heap whose blocks are wiped before they are given back, for libraries that free what was secret without a thought.
 * The functions are those of the C library, by name and meaning; blocks of one heap are no blocks of the other.
 */
#ifndef IOT_HEAP_H
#define IOT_HEAP_H

#include <stddef.h>

void *iot_heap_malloc(size_t n);
void *iot_heap_calloc(size_t count, size_t n);
void *iot_heap_realloc(void *p, size_t n);
char *iot_heap_strdup(const char *s);
void iot_heap_free(void *p);

#endif
