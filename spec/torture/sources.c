#include "sources.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <lua.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* Of the sanitizers, whose headers not every compiler's package has. */
int __sanitizer_install_malloc_and_free_hooks(
    void (*see_malloc)(const volatile void *, size_t), void (*see_free)(const volatile void *));
void __sanitizer_print_stack_trace(void);
size_t __sanitizer_get_current_allocated_bytes(void);
int __sanitizer_get_ownership(const volatile void *p);
size_t __sanitizer_get_allocated_size(const volatile void *p);
void __lsan_disable(void);
void __lsan_enable(void);
#define VISIBLE __attribute__((visibility("default")))
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

struct plan plan;
struct counts counts;
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
  __atomic_add_fetch(&counts.blocks[source], 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&counts.bytes, (long)__sanitizer_get_allocated_size(p), __ATOMIC_RELAXED);
}

static void subtract(enum source source, const void *p)
{
  if (!p)
    return;
  __atomic_sub_fetch(&counts.blocks[source], 1, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&counts.bytes, (long)__sanitizer_get_allocated_size(p), __ATOMIC_RELAXED);
}

/* The real ones; what a macro or the linker calls malloc here would come back. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
CURLcode __real_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
    curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);

/* No leaks are looked for in what OpenSSL leaves behind, which is measured, while `objects` tells of the core's; and in
   Lua's blocks, which must all be gone at the end, and to which LuaJIT's pointers are none for others. */
static void begin(enum source source)
{
  is_ours = true;
  if (source == OF_CRYPTO || source == OF_LUA)
    __lsan_disable();
}

static void end(enum source source)
{
  if (source == OF_CRYPTO || source == OF_LUA)
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

void *lua_block(void *context, void *old, size_t old_size, size_t size)
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
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
    curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);

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
    counts.freed_twice++;
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
    counts.objects += made != NULL; \
    return made; \
  }

#define FREES(result, name, type, give) \
  result __real_##name(type *object); \
  result __wrap_##name(type *object); \
  result __wrap_##name(type *object) \
  { \
    counts.objects -= object != NULL; \
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
  counts.others++;
  if (size > counts.largest_other)
    counts.largest_other = size;
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

long sources_rest(void)
{
  return (long)__sanitizer_get_current_allocated_bytes() - counts.bytes;
}

bool sources_begin(void)
{
  main_thread = pthread_self();
  shows_stack = getenv("TORTURE_STACK") != NULL;
  if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
    return false;
  __sanitizer_install_malloc_and_free_hooks(see_malloc, see_free);
  return true;
}
