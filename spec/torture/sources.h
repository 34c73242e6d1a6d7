/*
 * Whose allocations can be made to fail, and what is counted of them: for host.c.
 */
#ifndef TORTURE_SOURCES_H
#define TORTURE_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

enum source { OF_LUA, OF_CORE, OF_CRYPTO, OF_CURL, SOURCES };

/* COLLECT: of Lua, the n-th fails, its retry after a collection does not. ONCE: the n-th does. ON: all from there on. */
enum mode { COLLECT, ONCE, ON };

/* What is to fail: requests of the main thread, while it is active. */
struct plan {
  bool active;
  enum source source;
  enum mode mode;
  long n, seen;
  bool failed;
  /* Of Lua: the request that failed last, which from 5.2 on is made again after a collection. */
  const void *again;
  size_t again_size;
};

struct counts {
  long blocks[SOURCES]; /* that are allocated */
  long bytes;           /* of them */
  long objects;         /* of OpenSSL and libcurl that the core holds */
  long freed_twice;     /* blocks, by libcurl */
  long others;          /* allocations of whoever else, while the plan is active */
  size_t largest_other;
};

extern struct plan plan;
extern struct counts counts;

/* Before anything else; false when OpenSSL has allocated already. */
bool sources_begin(void);

/* The bytes that are allocated by whoever else. */
long sources_rest(void);

/* Lua's allocator. */
void *lua_block(void *context, void *old, size_t old_size, size_t size);

/* Look for leaks now, and no more at the end of the process. */
void __lsan_do_leak_check(void);

#endif
