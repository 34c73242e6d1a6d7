/*
 * Canonical URIs once more, as plainly as can be: what iot_uri.c gives is held against it.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "fuzz.h"

#define PLAIN_UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

/* A NUL-terminated text of what was appended to it. */
struct plain_text {
  char *p;
  size_t n, capacity;
};

static inline void plain_append(struct plain_text *text, const char *p, size_t n)
{
  if (text->n + n + 1 > text->capacity) {
    char *grown = malloc(2 * (text->n + n + 32));

    MUST(grown);
    if (text->n)
      memcpy(grown, text->p, text->n);
    free(text->p);
    text->p = grown;
    text->capacity = 2 * (text->n + n + 32);
  }
  if (n)
    memcpy(text->p + text->n, p, n);
  text->n += n;
  text->p[text->n] = '\0';
}

static inline int plain_hex(int c)
{
  const char *digits = "0123456789abcdef0123456789ABCDEF";
  const char *at = c ? strchr(digits, c) : NULL;

  return at ? (int)(at - digits) % 16 : -1;
}

/* The byte of an escape at v.p[i], or -1. */
static inline int plain_escape(struct iot_view v, size_t i)
{
  if (i + 2 >= v.n || v.p[i] != '%' || plain_hex(v.p[i + 1]) < 0 || plain_hex(v.p[i + 2]) < 0)
    return -1;
  return plain_hex(v.p[i + 1]) * 16 + plain_hex(v.p[i + 2]);
}

static inline void plain_encode_byte(struct plain_text *out, int byte)
{
  char escape[4];
  const char c = (char)byte;

  if (byte && strchr(PLAIN_UNRESERVED, byte)) {
    plain_append(out, &c, 1);
  } else {
    snprintf(escape, sizeof escape, "%%%02X", (unsigned)byte);
    plain_append(out, escape, 3);
  }
}

/* With `keep`, what is an escape already stays as it is. */
static inline void plain_encode(struct plain_text *out, struct iot_view v, bool keep)
{
  size_t i;

  for (i = 0; i < v.n; i++) {
    if (keep && plain_escape(v, i) >= 0) {
      plain_append(out, v.p + i, 3);
      i += 2;
    } else {
      plain_encode_byte(out, (unsigned char)v.p[i]);
    }
  }
}

static inline void plain_decode(struct plain_text *out, struct iot_view v)
{
  size_t i;

  plain_append(out, "", 0);
  for (i = 0; i < v.n; i++) {
    const int byte = plain_escape(v, i);
    const char c = byte < 0 ? v.p[i] : (char)byte;

    plain_append(out, &c, 1);
    i += byte < 0 ? 0 : 2;
  }
}

/* The segments between slashes; with `normalize`, what RFC 3986 section 5.2.4 leaves of them. */
static inline void plain_path(
    struct plain_text *out, struct iot_view path, bool normalize, bool keep)
{
  struct iot_view *segments = calloc(path.n + 1, sizeof *segments);
  size_t count = 0, i, start = 0;

  MUST(segments);
  plain_append(out, "", 0);
  for (i = 0; i <= path.n; i++) {
    const struct iot_view segment = { path.p + start, i - start };

    if (i < path.n && path.p[i] != '/')
      continue;
    start = i + 1;
    if (normalize && (segment.n == 0 || (segment.n == 1 && segment.p[0] == '.')))
      continue;
    if (normalize && segment.n == 2 && memcmp(segment.p, "..", 2) == 0)
      count -= count > 0;
    else
      segments[count++] = segment;
  }
  for (i = 0; i < count; i++) {
    if (normalize || i)
      plain_append(out, "/", 1);
    plain_encode(out, segments[i], keep);
  }
  if (path.n == 0 || (normalize && (count == 0 || path.p[path.n - 1] == '/')))
    plain_append(out, "/", 1);
  free(segments);
}

struct plain_pair {
  struct plain_text name, value;
};

static inline int plain_compare(const void *a, const void *b)
{
  const struct plain_pair *x = a, *y = b;
  const int order = strcmp(x->name.p, y->name.p);

  return order ? order : strcmp(x->value.p, y->value.p);
}

static inline void plain_encode_part(struct plain_text *out, struct iot_view part)
{
  struct plain_text bytes = { 0 };

  plain_decode(&bytes, part);
  plain_append(out, "", 0);
  plain_encode(out, (struct iot_view){ bytes.p, bytes.n }, false);
  free(bytes.p);
}

static inline void plain_query(struct plain_text *out, struct iot_view query)
{
  struct plain_pair *pairs = calloc(query.n + 1, sizeof *pairs);
  size_t count = 0, i;

  MUST(pairs);
  plain_append(out, "", 0);
  while (query.n) {
    struct iot_view value = iot_view_cut(&query, '&');
    struct iot_view name;

    if (value.n == 0)
      continue;
    name = iot_view_cut(&value, '=');
    plain_encode_part(&pairs[count].name, name);
    plain_encode_part(&pairs[count++].value, value);
  }
  qsort(pairs, count, sizeof *pairs, plain_compare);
  for (i = 0; i < count; i++) {
    if (i)
      plain_append(out, "&", 1);
    plain_append(out, pairs[i].name.p, pairs[i].name.n);
    plain_append(out, "=", 1);
    plain_append(out, pairs[i].value.p, pairs[i].value.n);
    free(pairs[i].name.p);
    free(pairs[i].value.p);
  }
  free(pairs);
}

#endif
