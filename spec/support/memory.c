/*
 * What of some texts is left in a process's memory that is not Lua's: see memory.lua. Preloaded into an interpreter
 * it gives what that asks of realloc(), which is its Lua's memory, a place of its own, so that what C owns can be
 * told from Lua's strings, which nobody can wipe. It needs no headers of Lua: these functions are the same in every
 * version.
 */
#define _GNU_SOURCE /* dl_iterate_phdr, RTLD_NEXT */

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct lua_State;

int lua_toboolean(struct lua_State *L, int index);
const char *lua_tolstring(struct lua_State *L, int index, size_t *n);
void lua_pushlstring(struct lua_State *L, const char *p, size_t n);
void lua_pushnumber(struct lua_State *L, double number);

int spec_unmask(struct lua_State *L);
int spec_look(struct lua_State *L);
int spec_look_at_end(struct lua_State *L);

/* Texts are masked wherever this program holds them itself. */
enum { MASK = 0x55, CLASSES = 40, MAX_TEXT = 4096, MAX_TEXTS = 16 };

static const size_t ARENA_SIZE = (size_t)1 << 30;

static char *arena; /* NULL: the program itself never asked for memory in a way that can be seen */
static size_t arena_used;
static void *unused[CLASSES]; /* blocks that were freed, by the power of two of their size */
static uintptr_t program_start, program_end;

static struct {
  unsigned char p[MAX_TEXT];
  size_t n;
} at_end[MAX_TEXTS];
static int at_end_count;

/* The first object is the program itself. */
static int find_program(struct dl_phdr_info *object, size_t size, void *data)
{
  int i;

  (void)size;
  (void)data;
  program_start = UINTPTR_MAX;
  for (i = 0; i < object->dlpi_phnum; i++) {
    const uintptr_t from = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;

    if (object->dlpi_phdr[i].p_type != PT_LOAD)
      continue;
    program_start = from < program_start ? from : program_start;
    if (from + object->dlpi_phdr[i].p_memsz > program_end)
      program_end = from + object->dlpi_phdr[i].p_memsz;
  }
  return 1;
}

static bool is_program(const void *caller)
{
  if (!program_end)
    dl_iterate_phdr(find_program, NULL);
  return (uintptr_t)caller >= program_start && (uintptr_t)caller < program_end;
}

static bool is_lua(const void *p)
{
  return arena && (const char *)p >= arena && (const char *)p < arena + ARENA_SIZE;
}

/* Each block begins with its class. */
static void *take(size_t n)
{
  int class = 5;
  char *p;
  void *next;

  while (((size_t)1 << class) - 16 < n)
    class ++;
  p = unused[class];
  if (p) {
    memcpy(&next, p + 16, sizeof next);
    unused[class] = next;
  } else {
    p = arena + arena_used;
    arena_used += (size_t)1 << class;
    if (arena_used > ARENA_SIZE)
      abort();
    memcpy(p, &class, sizeof class);
  }
  return p + 16;
}

static int class_of(const void *p)
{
  int class;

  memcpy(&class, (const char *)p - 16, sizeof class);
  return class;
}

static void give_back(void *p)
{
  const int class = class_of(p);
  void *const next = unused[class];

  memcpy(p, &next, sizeof next);
  unused[class] = (char *)p - 16;
}

static void real_free(void *p)
{
  static void (*next)(void *);

  if (!next)
    *(void **)&next = dlsym(RTLD_NEXT, "free");
  next(p);
}

static void *real_realloc(void *p, size_t n)
{
  static void *(*next)(void *, size_t);

  if (!next)
    *(void **)&next = dlsym(RTLD_NEXT, "realloc");
  return next(p, n);
}

void free(void *p)
{
  if (is_lua(p))
    give_back(p);
  else
    real_free(p);
}

void *realloc(void *p, size_t n)
{
  void *moved;

  if ((p && !is_lua(p)) || (!p && !is_program(__builtin_return_address(0))))
    return real_realloc(p, n);
  if (!arena) {
    arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
      abort();
  }
  if (p && ((size_t)1 << class_of(p)) - 16 >= n)
    return p;
  moved = take(n);
  if (p) {
    memcpy(moved, p, ((size_t)1 << class_of(p)) - 16);
    give_back(p);
  }
  return moved;
}

/* How often the text, which is given masked, is in so many bytes. */
static long count(const unsigned char *from, size_t size, const unsigned char *masked, size_t n)
{
  const unsigned char *p = from, *end = from + size;
  long found = 0;
  size_t i;

  while (p < end && (size_t)(end - p) >= n &&
         (p = memchr(p, masked[0] ^ MASK, (size_t)(end - p) - n + 1)) != NULL) {
    for (i = 1; i < n && p[i] == (masked[i] ^ MASK); i++)
      ;
    if (i == n && getenv("SPEC_MEMORY_SHOW"))
      fprintf(stderr, "  at %p\n", (const void *)p);
    found += i == n;
    p++;
  }
  return found;
}

/* In all that can be written: Lua's arena, too, or not. */
static long count_everywhere(const unsigned char *masked, size_t n, bool with_lua)
{
  const uintptr_t lua = (uintptr_t)arena, lua_end = lua + ARENA_SIZE;
  FILE *maps = fopen("/proc/self/maps", "r");
  unsigned long from, to;
  char line[512], rights[8];
  long found = with_lua ? count((unsigned char *)arena, arena_used, masked, n) : 0;

  if (!maps)
    return -1;
  while (fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || strncmp(rights, "rw", 2) != 0 ||
        strstr(line, "/dev/"))
      continue;
    if (from < lua_end && to > lua) { /* mappings that touch are one */
      if (from < lua)
        found += count((unsigned char *)from, lua - from, masked, n);
      from = lua_end;
    }
    if (from < to)
      found += count((unsigned char *)from, to - from, masked, n);
  }
  fclose(maps);
  return found;
}

/* unmask(masked) -> the text; nothing but Lua has it */
int spec_unmask(struct lua_State *L)
{
  unsigned char room[MAX_TEXT];
  volatile unsigned char *wiped = room;
  const char *masked;
  size_t n, i;

  masked = lua_tolstring(L, 1, &n);
  if (!masked || n > sizeof room)
    return 0;
  for (i = 0; i < n; i++)
    room[i] = (unsigned char)masked[i] ^ MASK;
  lua_pushlstring(L, (const char *)room, n);
  for (i = 0; i < n; i++)
    wiped[i] = 0;
  return 1;
}

/* look(masked, with_lua) -> how often the text is in memory that is not Lua's, or in all; nothing when these cannot be
   told apart */
int spec_look(struct lua_State *L)
{
  size_t n;
  const char *masked = lua_tolstring(L, 1, &n);

  if (!arena || !masked)
    return 0;
  lua_pushnumber(
      L, (double)count_everywhere((const unsigned char *)masked, n, lua_toboolean(L, 2)));
  return 1;
}

/* look_at_end(masked): look when the state has been closed, and write the count, a line, to standard output */
int spec_look_at_end(struct lua_State *L)
{
  size_t n;
  const char *masked = lua_tolstring(L, 1, &n);

  if (masked && n <= MAX_TEXT && at_end_count < MAX_TEXTS) {
    memcpy(at_end[at_end_count].p, masked, n);
    at_end[at_end_count++].n = n;
  }
  return 0;
}

__attribute__((destructor)) static void end(void)
{
  int i;

  for (i = 0; i < at_end_count; i++)
    printf("at end %ld\n", count_everywhere(at_end[i].p, at_end[i].n, true));
}
