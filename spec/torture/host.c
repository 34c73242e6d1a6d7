/*
 * A Lua interpreter in which any allocation can be made to fail.
 *
 *   host SCRIPT [ARGUMENT...]
 *
 * It is linked with the core, so that iot.core is preloaded and the core's own calls of malloc come here
 * (the linker's --wrap); OpenSSL and libcurl are told to allocate here, too. The preloaded module `torture`:
 *
 *   attempt(source, mode, n, fn, ...) -> whether a request failed, how many were made, then as pcall
 *     source: "lua", "core", "crypto" (OpenSSL), "curl"; those of this thread count
 *     mode: "collect" (of Lua: the n-th fails, its retry after a collection does not), "once" (the n-th), "on" (all
 *       from the n-th)
 *   fresh(source, mode, n, script) -> likewise, of the function that the script returns, called in a state
 *     of its own; then how the second call of it ended, without failures: ok, result; and the blocks of Lua left
 *   apart(source, mode, n, script) -> likewise, in a process of its own; nil and its status when that died
 *   blocks() -> the blocks that each source holds: a table; `objects` in it are those of OpenSSL and libcurl that the
 *     core holds
 *   others() -> how many allocations attempts made that none of these is asked for, the size of the largest, how many
 *     bytes of such are allocated, and how many blocks libcurl freed twice
 *   descriptors() -> how many are open
 *
 * TORTURE_STACK in the environment: print where the request was that failed.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "lua_binding.h"

/* Of the sanitizers, whose headers not every compiler's package has. */
int __sanitizer_install_malloc_and_free_hooks(
    void (*see_malloc)(const volatile void *, size_t), void (*see_free)(const volatile void *));
void __sanitizer_print_stack_trace(void);
size_t __sanitizer_get_current_allocated_bytes(void);
int __sanitizer_get_ownership(const volatile void *p);
size_t __sanitizer_get_allocated_size(const volatile void *p);
void __lsan_do_leak_check(void);
void __lsan_disable(void);
void __lsan_enable(void);
#define VISIBLE __attribute__((visibility("default")))
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

enum source { OF_LUA, OF_CORE, OF_CRYPTO, OF_CURL, SOURCES };
enum mode { COLLECT, ONCE, ON };

static const char *const source_names[] = { "lua", "core", "crypto", "curl", NULL };
static const char *const mode_names[] = { "collect", "once", "on", NULL };

static struct {
  bool active;
  enum source source;
  enum mode mode;
  long n, seen;
  bool failed;
  /* Of Lua: the request that failed last, which from 5.2 on is made again after a collection. */
  const void *again;
  size_t again_size;
} plan;

static long blocks[SOURCES], bytes;
static long objects;
static long freed_twice; /* by libcurl */
static long others;
static size_t largest_other;
static pthread_t main_thread;
static bool shows_stack;
static __thread bool is_ours; /* the allocation that is made */

static bool is_watched(void)
{
  return plan.active && pthread_equal(pthread_self(), main_thread);
}

static bool must_fail(enum source source)
{
  if (!is_watched() || plan.source != source)
    return false;
  plan.seen++;
  if (plan.mode == ON ? plan.seen < plan.n : plan.seen != plan.n)
    return false;
  if (shows_stack && !plan.failed)
    __sanitizer_print_stack_trace();
  plan.failed = true;
  return true;
}

static void add(enum source source, const void *p)
{
  if (!p)
    return;
  __atomic_add_fetch(&blocks[source], 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&bytes, (long)__sanitizer_get_allocated_size(p), __ATOMIC_RELAXED);
}

static void subtract(enum source source, const void *p)
{
  if (!p)
    return;
  __atomic_sub_fetch(&blocks[source], 1, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&bytes, (long)__sanitizer_get_allocated_size(p), __ATOMIC_RELAXED);
}

/* The real ones; what a macro or the linker calls malloc here would come back. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
CURLcode __real_curl_global_init_mem(long flags, curl_malloc_callback allocate,
    curl_free_callback give_back, curl_realloc_callback instead, curl_strdup_callback copy,
    curl_calloc_callback clean);

/* What OpenSSL leaves behind is measured, and no leak of the core: `objects` tells of those. */
static void begin(enum source source)
{
  is_ours = true;
  if (source == OF_CRYPTO)
    __lsan_disable();
}

static void end(enum source source)
{
  if (source == OF_CRYPTO)
    __lsan_enable();
  is_ours = false;
}

static void *take(enum source source, size_t size)
{
  void *p;

  if (must_fail(source))
    return NULL;
  begin(source);
  p = __real_malloc(size);
  end(source);
  add(source, p);
  return p;
}

static void *take_clean(enum source source, size_t n, size_t size)
{
  void *p;

  if (must_fail(source))
    return NULL;
  begin(source);
  p = __real_calloc(n, size);
  end(source);
  add(source, p);
  return p;
}

static void give_back(enum source source, void *old)
{
  subtract(source, old);
  __real_free(old);
}

static void *resize(enum source source, void *old, size_t size)
{
  void *p;

  subtract(source, old);
  begin(source);
  p = __real_realloc(old, size);
  end(source);
  add(source, p ? p : old);
  return p;
}

static void *take_instead(enum source source, void *old, size_t size)
{
  return must_fail(source) ? NULL : resize(source, old, size);
}

/* Lua, which cannot do with a smaller block that stays large (before 5.4). */

static bool is_retry(const void *old, size_t size)
{
  const bool same = LUA_VERSION_NUM >= 502 && plan.again_size && plan.again == old &&
                    plan.again_size == size;

  plan.again_size = 0;
  return same && plan.mode == ONCE && is_watched();
}

static void *lua_block(void *context, void *old, size_t old_size, size_t size)
{
  (void)context;
  if (size == 0) {
    give_back(OF_LUA, old);
    return NULL;
  }
  if (!old || size > old_size) {
    if (is_retry(old, size))
      return NULL;
    if (must_fail(OF_LUA)) {
      plan.again = old;
      plan.again_size = size;
      return NULL;
    }
  }
  return resize(OF_LUA, old, size);
}

/* The core, by the linker. */

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback allocate,
    curl_free_callback give_back, curl_realloc_callback instead, curl_strdup_callback copy,
    curl_calloc_callback clean);

void *__wrap_malloc(size_t size)
{
  return take(OF_CORE, size);
}

void *__wrap_calloc(size_t n, size_t size)
{
  return take_clean(OF_CORE, n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
  return take_instead(OF_CORE, old, size);
}

void __wrap_free(void *old)
{
  give_back(OF_CORE, old);
}

/* OpenSSL. */

static void *crypto_malloc(size_t size, const char *file, int line)
{
  (void)file;
  (void)line;
  return take(OF_CRYPTO, size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line)
{
  (void)file;
  (void)line;
  return take_instead(OF_CRYPTO, old, size);
}

static void crypto_free(void *old, const char *file, int line)
{
  (void)file;
  (void)line;
  give_back(OF_CRYPTO, old);
}

/* Libcurl. */

static void *curl_block(size_t size)
{
  return take(OF_CURL, size);
}

static void *curl_clean_block(size_t n, size_t size)
{
  return take_clean(OF_CURL, n, size);
}

static void *curl_block_instead(void *old, size_t size)
{
  return take_instead(OF_CURL, old, size);
}

/* Before 8.12 it frees the host's name of a TLS session twice when it has no memory for the rest of it. */
static void curl_give_back(void *old)
{
  if (!old || __sanitizer_get_ownership(old))
    give_back(OF_CURL, old);
  else
    freed_twice++;
}

static char *curl_copy(const char *text)
{
  const size_t size = strlen(text) + 1;
  char *copy = take(OF_CURL, size);

  return copy ? memcpy(copy, text, size) : NULL;
}

/* In the place of the core's own heap for it. */
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
    curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c)
{
  (void)m;
  (void)f;
  (void)r;
  (void)s;
  (void)c;
  return __real_curl_global_init_mem(
      flags, curl_block, curl_give_back, curl_block_instead, curl_copy, curl_clean_block);
}

/* What the core holds of them: counted, since they may leave blocks of their own behind. */

#define MAKES(type, name, parameters, arguments) \
  type *__real_##name parameters; \
  type *__wrap_##name parameters; \
  type *__wrap_##name parameters \
  { \
    type *made = __real_##name arguments; \
\
    objects += made != NULL; \
    return made; \
  }

#define FREES(result, name, type, give) \
  result __real_##name(type *object); \
  result __wrap_##name(type *object); \
  result __wrap_##name(type *object) \
  { \
    objects -= object != NULL; \
    give __real_##name(object); \
  }

MAKES(CURL, curl_easy_init, (void), ())
MAKES(CURLM, curl_multi_init, (void), ())
MAKES(BIO, BIO_new_mem_buf, (const void *p, int n), (p, n))
MAKES(EVP_MD_CTX, EVP_MD_CTX_new, (void), ())
MAKES(EVP_PKEY, PEM_read_bio_PrivateKey,
    (BIO * bio, EVP_PKEY **key, pem_password_cb *ask, void *context), (bio, key, ask, context))
MAKES(
    ECDSA_SIG, d2i_ECDSA_SIG, (ECDSA_SIG * *out, const unsigned char **der, long n), (out, der, n))
FREES(CURLMcode, curl_multi_cleanup, CURLM, return )
FREES(int, BIO_free, BIO, return )
FREES(void, curl_easy_cleanup, CURL, )
FREES(void, EVP_MD_CTX_free, EVP_MD_CTX, )
FREES(void, EVP_PKEY_free, EVP_PKEY, )
FREES(void, ECDSA_SIG_free, ECDSA_SIG, )

/* What none of them asked for: of lua-cjson and the C library. */

static void see_malloc(const volatile void *p, size_t size)
{
  (void)p;
  if (is_ours || !is_watched())
    return;
  others++;
  if (size > largest_other)
    largest_other = size;
}

static void see_free(const volatile void *p)
{
  (void)p;
}

/* A decoder of lua-cjson that Lua has no memory for leaves its buffer: in its code, not in the core's. */
VISIBLE const char *__lsan_default_suppressions(void)
{
  return "leak:cjson";
}

VISIBLE const char *__lsan_default_options(void)
{
  return "print_suppressions=0";
}

/* The module. */

static void read_plan(lua_State *L)
{
  memset(&plan, 0, sizeof plan);
  plan.source = (enum source)luaL_checkoption(L, 1, NULL, source_names);
  plan.mode = (enum mode)luaL_checkoption(L, 2, NULL, mode_names);
  plan.n = (long)luaL_checknumber(L, 3);
}

/* Call what is on the stack, with its arguments, under the plan. */
static bool call_tortured(lua_State *L, int arguments)
{
  int status;

  plan.active = true;
  status = lua_pcall(L, arguments, LUA_MULTRET, 0);
  plan.active = false;
  return status == 0;
}

static int attempt(lua_State *L)
{
  bool ok;

  read_plan(L);
  luaL_checkstack(L, LUA_MINSTACK, "no stack");
  ok = call_tortured(L, lua_gettop(L) - 4);
  lua_pushboolean(L, plan.failed);
  lua_replace(L, 1);
  lua_pushnumber(L, (lua_Number)plan.seen);
  lua_replace(L, 2);
  lua_pushboolean(L, ok);
  lua_replace(L, 3);
  return lua_gettop(L);
}

static lua_State *new_state(void);

/* What became of the two calls, each as text. */
struct outcome {
  bool failed, ok[2];
  long seen, left, freed_twice;
  char text[2][400];
};

static void keep(struct outcome *outcome, int which, bool ok, lua_State *S)
{
  const char *text = lua_tostring(S, -1);

  outcome->ok[which] = ok;
  snprintf(
      outcome->text[which], sizeof outcome->text[which], "%s", text ? text : luaL_typename(S, -1));
}

static void run_fresh(struct outcome *outcome, const char *script)
{
  const long before = blocks[OF_LUA], twice_before = freed_twice;
  lua_State *S = new_state();

  memset(outcome, 0, sizeof *outcome);
  if (luaL_loadfile(S, script) || lua_pcall(S, 0, 1, 0)) {
    fprintf(stderr, "%s\n", lua_tostring(S, -1));
    abort();
  }
  lua_pushvalue(S, -1);
  keep(outcome, 0, call_tortured(S, 0), S);
  outcome->failed = plan.failed;
  outcome->seen = plan.seen;
  lua_settop(S, 1);
  keep(outcome, 1, lua_pcall(S, 0, 1, 0) == 0, S);
  lua_close(S);
  outcome->freed_twice = freed_twice - twice_before;
  outcome->left = blocks[OF_LUA] - before;
}

static int push_outcome(lua_State *L, const struct outcome *outcome)
{
  lua_pushboolean(L, outcome->failed);
  lua_pushnumber(L, (lua_Number)outcome->seen);
  lua_pushboolean(L, outcome->ok[0]);
  lua_pushstring(L, outcome->text[0]);
  lua_pushboolean(L, outcome->ok[1]);
  lua_pushstring(L, outcome->text[1]);
  lua_pushnumber(L, (lua_Number)outcome->left);
  return 7;
}

static int fresh(lua_State *L)
{
  struct outcome outcome;

  read_plan(L);
  run_fresh(&outcome, luaL_checkstring(L, 4));
  return push_outcome(L, &outcome);
}

/* The child ends without the exit handlers, which are the parent's to run. */
static int apart(lua_State *L)
{
  const char *script = luaL_checkstring(L, 4);
  struct outcome outcome;
  int ends[2], status;
  ssize_t n;
  pid_t child;

  read_plan(L);
  if (pipe(ends) != 0 || (child = fork()) < 0)
    return luaL_error(L, "no process for it");
  if (child == 0) {
    run_fresh(&outcome, script);
    n = write(ends[1], &outcome, sizeof outcome);
    _exit(n != (ssize_t)sizeof outcome);
  }
  close(ends[1]);
  n = read(ends[0], &outcome, sizeof outcome);
  close(ends[0]);
  waitpid(child, &status, 0);
  if (n == (ssize_t)sizeof outcome && status == 0) {
    freed_twice += outcome.freed_twice;
    return push_outcome(L, &outcome);
  }
  lua_pushnil(L);
  lua_pushnumber(L, status);
  return 2;
}

static int push_blocks(lua_State *L)
{
  const long held = objects;
  long now[SOURCES];
  int i;

  memcpy(now, blocks, sizeof now);
  lua_newtable(L);
  lua_pushnumber(L, (lua_Number)held);
  lua_setfield(L, -2, "objects");
  for (i = 0; i < SOURCES; i++) {
    lua_pushnumber(L, (lua_Number)now[i]);
    lua_setfield(L, -2, source_names[i]);
  }
  return 1;
}

static int push_others(lua_State *L)
{
  const long left = (long)__sanitizer_get_current_allocated_bytes() - bytes;

  lua_pushnumber(L, (lua_Number)others);
  lua_pushnumber(L, (lua_Number)largest_other);
  lua_pushnumber(L, (lua_Number)left);
  lua_pushnumber(L, (lua_Number)freed_twice);
  return 4;
}

static int descriptors(lua_State *L)
{
  DIR *folder = opendir("/proc/self/fd");
  int open = -1; /* that of the folder itself */
  const struct dirent *entry;

  if (!folder)
    return luaL_error(L, "no /proc");
  while ((entry = readdir(folder)))
    open += entry->d_name[0] != '.';
  closedir(folder);
  lua_pushnumber(L, open);
  return 1;
}

static int open_torture(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "attempt", attempt },
    { "fresh", fresh },
    { "apart", apart },
    { "blocks", push_blocks },
    { "others", push_others },
    { "descriptors", descriptors },
    { NULL, NULL },
  };
  const luaL_Reg *function;

  lua_newtable(L);
  for (function = functions; function->name; function++) {
    lua_pushcfunction(L, function->func);
    lua_setfield(L, -2, function->name);
  }
  return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

static lua_State *new_state(void)
{
  lua_State *L = lua_newstate(lua_block, NULL);

  if (!L) {
    fprintf(stderr, "this Lua takes no allocator, or has no memory\n");
    exit(EXIT_FAILURE);
  }
  luaL_openlibs(L);
  preload(L, "iot.core", luaopen_iot_core);
  preload(L, "torture", open_torture);
  return L;
}

int main(int argc, char **argv)
{
  lua_State *L;
  int failed, i;

  main_thread = pthread_self();
  shows_stack = getenv("TORTURE_STACK") != NULL;
  if (argc < 2 || CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) {
    fprintf(stderr, "usage: %s SCRIPT [ARGUMENT...]\n", argv[0]);
    return EXIT_FAILURE;
  }
  __sanitizer_install_malloc_and_free_hooks(see_malloc, see_free);
  L = new_state();
  failed = luaL_loadfile(L, argv[1]);
  for (i = 2; !failed && i < argc; i++)
    lua_pushstring(L, argv[i]);
  failed = failed || lua_pcall(L, argc - 2, 0, 0);
  if (failed)
    fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
  if (!failed)
    __lsan_do_leak_check(); /* while lua-cjson is there, by whose name it knows it; then it looks no more */
  lua_close(L);
  if (!failed && blocks[OF_LUA] + blocks[OF_CORE] != 0) {
    fprintf(stderr, "left at the end: %ld blocks of Lua, %ld of the core\n", blocks[OF_LUA],
        blocks[OF_CORE]);
    failed = 1;
  }
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
