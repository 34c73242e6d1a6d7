#include "iot_buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

struct iot_view iot_view_of(const char *s)
{
  return (struct iot_view){ s, s ? strlen(s) : 0 };
}

char *iot_view_duplicate(struct iot_view v)
{
  char *copy = malloc(v.n + 1);

  if (!copy)
    return NULL;
  if (v.n)
    memcpy(copy, v.p, v.n);
  copy[v.n] = '\0';
  return copy;
}

bool iot_view_equal(struct iot_view a, struct iot_view b)
{
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool iot_view_same_name(struct iot_view a, struct iot_view b)
{
  size_t i;

  if (a.n != b.n)
    return false;
  for (i = 0; i < a.n; i++)
    if (iot_lower(a.p[i]) != iot_lower(b.p[i]))
      return false;
  return true;
}

struct iot_view iot_view_trim(struct iot_view v)
{
  while (v.n && iot_is_space(v.p[0])) {
    v.p++;
    v.n--;
  }
  while (v.n && iot_is_space(v.p[v.n - 1]))
    v.n--;
  return v;
}

struct iot_view iot_view_cut(struct iot_view *rest, char c)
{
  const char *found = rest->n ? memchr(rest->p, c, rest->n) : NULL;
  struct iot_view head = *rest;

  if (!found) {
    *rest = (struct iot_view){ NULL, 0 };
    return head;
  }
  head.n = (size_t)(found - head.p);
  rest->p = found + 1;
  rest->n -= head.n + 1;
  return head;
}

bool iot_view_breaks_line(struct iot_view v)
{
  return v.n && (memchr(v.p, '\n', v.n) || memchr(v.p, '\r', v.n) || memchr(v.p, '\0', v.n));
}

bool iot_view_has_control(struct iot_view v)
{
  size_t i;

  for (i = 0; i < v.n; i++)
    if ((unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f)
      return true;
  return false;
}

bool iot_view_is_header_value(struct iot_view v)
{
  size_t i;

  for (i = 0; i < v.n; i++) {
    const char next = i + 1 < v.n ? v.p[i + 1] : '\0';

    if (v.p[i] == '\0' || (v.p[i] == '\n' && next != ' ' && next != '\t') ||
        (v.p[i] == '\r' && next != '\n'))
      return false;
  }
  return true;
}

bool iot_view_is_token(struct iot_view v)
{
  size_t i;

  for (i = 0; i < v.n; i++)
    if (!iot_is_alphanumeric(v.p[i]) && (v.p[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", v.p[i])))
      return false;
  return v.n > 0;
}

/* RFC 3629 section 4: the second byte's range depends on the first, which excludes overlong forms,
   surrogates and what lies beyond U+10FFFF; all further bytes are 80..BF. */
size_t iot_view_utf8_character(struct iot_view v)
{
  const unsigned char *s = (const unsigned char *)v.p;
  unsigned char low = 0x80, high = 0xbf;
  size_t n, i;

  if (v.n == 0)
    return 0;
  if (s[0] < 0x80)
    return 1;
  if (s[0] < 0xc2 || s[0] > 0xf4)
    return 0;
  n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  if (v.n < n)
    return 0;
  if (s[0] == 0xe0)
    low = 0xa0;
  else if (s[0] == 0xed)
    high = 0x9f;
  else if (s[0] == 0xf0)
    low = 0x90;
  else if (s[0] == 0xf4)
    high = 0x8f;
  if (s[1] < low || s[1] > high)
    return 0;
  for (i = 2; i < n; i++)
    if (s[i] < 0x80 || s[i] > 0xbf)
      return 0;
  return n;
}

/* How many bytes v starts with that are ASCII, counted in words: most of what is checked is nothing else. */
static size_t ascii_words(struct iot_view v)
{
  uint64_t word;
  size_t n = 0;

  while (v.n - n >= sizeof word) {
    memcpy(&word, v.p + n, sizeof word);
    if (word & UINT64_C(0x8080808080808080))
      break;
    n += sizeof word;
  }
  return n;
}

bool iot_view_is_utf8(struct iot_view v)
{
  size_t n;

  while (v.n) {
    n = ascii_words(v);
    if (n == 0)
      n = iot_view_utf8_character(v);
    if (n == 0)
      return false;
    v.p += n;
    v.n -= n;
  }
  return true;
}

bool iot_view_has_raw_control(struct iot_view v)
{
  bool in_string = false;
  size_t i;

  for (i = 0; i < v.n && (unsigned char)v.p[i] >= ' '; i++)
    ;
  if (i == v.n)
    return false; /* most are so, and this is quick */
  for (i = 0; i < v.n; i++) {
    if (v.p[i] == '\0' || (in_string && (unsigned char)v.p[i] < ' '))
      return true;
    if (v.p[i] == '"')
      in_string = !in_string;
    else if (in_string && v.p[i] == '\\')
      i++;
  }
  return false;
}

char iot_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char iot_upper(char c)
{
  return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

bool iot_is_alphanumeric(char c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool iot_is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void iot_buffer_init(struct iot_buffer *b, size_t max)
{
  *b = (struct iot_buffer){ NULL, 0, 0, max, IOT_OK };
}

void iot_buffer_free(struct iot_buffer *b)
{
  iot_wipe(b->p, b->capacity);
  free(b->p);
  iot_buffer_init(b, b->max);
}

void iot_buffer_clear(struct iot_buffer *b)
{
  b->n = 0;
  b->status = IOT_OK;
}

void iot_buffer_forget(struct iot_buffer *b)
{
  iot_wipe(b->p, b->n);
  iot_buffer_clear(b);
}

/* Not realloc: it would free the old bytes unwiped. */
static bool grow(struct iot_buffer *b, size_t extra)
{
  size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
  char *p;

  while (capacity - b->n <= extra) {
    if (capacity > (size_t)-1 / 2) {
      b->status = IOT_ENOMEM;
      return false;
    }
    capacity *= 2;
  }
  p = malloc(capacity);
  if (!p) {
    b->status = IOT_ENOMEM;
    return false;
  }
  if (b->n)
    memcpy(p, b->p, b->n);
  iot_wipe(b->p, b->capacity);
  free(b->p);
  b->p = p;
  b->capacity = capacity;
  return true;
}

/* Room for `extra` more bytes and a terminator. */
static inline bool reserve(struct iot_buffer *b, size_t extra)
{
  if (b->status != IOT_OK)
    return false;
  if (b->n > b->max || extra > b->max - b->n) {
    b->status = IOT_ETOOLARGE;
    return false;
  }
  return extra < b->capacity - b->n || grow(b, extra);
}

void iot_buffer_append(struct iot_buffer *b, struct iot_view v)
{
  if (!reserve(b, v.n) || v.n == 0)
    return;
  memcpy(b->p + b->n, v.p, v.n);
  b->n += v.n;
}

void iot_buffer_append_byte(struct iot_buffer *b, char c)
{
  if (reserve(b, 1))
    b->p[b->n++] = c;
}

void iot_buffer_append_lower(struct iot_buffer *b, struct iot_view v)
{
  size_t i;

  if (!reserve(b, v.n))
    return;
  for (i = 0; i < v.n; i++)
    b->p[b->n++] = iot_lower(v.p[i]);
}

void iot_buffer_append_folded(struct iot_buffer *b, struct iot_view v)
{
  bool after_space = false;
  size_t i;

  v = iot_view_trim(v);
  if (!reserve(b, v.n))
    return;
  for (i = 0; i < v.n; i++) {
    if (!iot_is_space(v.p[i]))
      b->p[b->n++] = v.p[i];
    else if (!after_space)
      b->p[b->n++] = ' ';
    after_space = iot_is_space(v.p[i]);
  }
}

void iot_buffer_terminate(struct iot_buffer *b)
{
  if (reserve(b, 0))
    b->p[b->n] = '\0';
}

struct iot_view iot_buffer_view(const struct iot_buffer *b)
{
  return (struct iot_view){ b->p, b->n };
}

/* Called through a volatile pointer, so that no compiler can prove the stores dead. */
static void *(*const volatile overwrite)(void *, int, size_t) = memset;

void iot_wipe(void *p, size_t n)
{
  if (n)
    overwrite(p, 0, n);
}
