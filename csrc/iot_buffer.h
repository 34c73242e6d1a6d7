/*
 * Bytes: borrowed views, growable buffers with a hard limit, and wiping.
 *
 * A view never owns what it points to and may hold any byte, NUL included. A buffer owns its bytes.
 * Both are inert when all zero: an empty view, and a buffer that may be freed but not appended to.
 */
#ifndef IOT_BUFFER_H
#define IOT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "iot_status.h"

struct iot_view {
  const char *p; /* may be NULL when n is 0 */
  size_t n;
};

/* A header of HTTP; its views are borrowed like any other. */
struct iot_header {
  struct iot_view name;
  struct iot_view value;
};

/* The view of a string literal, its terminator left out. */
#define IOT_LITERAL(s) ((struct iot_view){ "" s, sizeof(s) - 1 })

/* The view of a NUL-terminated string; NULL gives the empty view. */
struct iot_view iot_view_of(const char *s);

/* A NUL-terminated copy, which the caller frees; NULL without memory. */
IOT_NODISCARD char *iot_view_duplicate(struct iot_view v);

/* Same bytes; `iot_view_same_name` takes ASCII letters of either case for the same. */
bool iot_view_equal(struct iot_view a, struct iot_view b);
bool iot_view_same_name(struct iot_view a, struct iot_view b);

/* Without the spaces, tabs, carriage returns and line feeds at both ends. */
struct iot_view iot_view_trim(struct iot_view v);

/* What stands before the first `c` in *rest, which moves behind it; all of *rest if there is none. */
struct iot_view iot_view_cut(struct iot_view *rest, char c);

/* Whether v holds a carriage return, a line feed or a NUL: bytes that would end a header line. */
bool iot_view_breaks_line(struct iot_view v);

/* Whether v holds any control character of ASCII, tabs and line ends included. */
bool iot_view_has_control(struct iot_view v);

/* Whether v holds no NUL, and line ends only where the next line is folded: starts with a space or a
   tab. */
bool iot_view_is_header_value(struct iot_view v);

/* Whether v is a token of RFC 9110 section 5.6.2: what a method and a header name are made of. */
bool iot_view_is_token(struct iot_view v);

/* The number of bytes in the well-formed UTF-8 character (RFC 3629) that v starts with; 0 if none. */
size_t iot_view_utf8_character(struct iot_view v);

/* Whether v is well-formed UTF-8 throughout. */
bool iot_view_is_utf8(struct iot_view v);

/* Whether v, well-formed JSON otherwise, holds a control character within a string, or a NUL anywhere: RFC 8259 allows
   neither, but not every parser minds. */
bool iot_view_has_raw_control(struct iot_view v);

/* ASCII only, whatever the locale. */
char iot_lower(char c);
char iot_upper(char c);
bool iot_is_alphanumeric(char c);
bool iot_is_space(char c); /* space, tab, carriage return, line feed */

/*
 * A buffer that grows up to `max` bytes. Failure sticks: the append that does not fit sets `status`
 * (IOT_ENOMEM, or IOT_ETOOLARGE past the limit), it and all later ones change nothing, so a run of
 * appends is checked once at its end. Growth wipes the storage that it leaves.
 */
struct iot_buffer {
  char *p;
  size_t n;
  size_t capacity;
  size_t max;
  enum iot_status status;
};

/* Make an empty buffer of at most `max` bytes. Allocates nothing. */
void iot_buffer_init(struct iot_buffer *b, size_t max);

/* Wipe and free the bytes. The limit stays: the buffer may be used again. Safe to call twice. */
void iot_buffer_free(struct iot_buffer *b);

/* Forget contents and failure, keep the storage. The bytes are not wiped. */
void iot_buffer_clear(struct iot_buffer *b);

/* The same, and wipe the bytes. */
void iot_buffer_forget(struct iot_buffer *b);

/* v must not point into b. */
void iot_buffer_append(struct iot_buffer *b, struct iot_view v);
void iot_buffer_append_byte(struct iot_buffer *b, char c);
void iot_buffer_append_lower(struct iot_buffer *b, struct iot_view v);

/* Append v trimmed, with each run of white space as one space. */
void iot_buffer_append_folded(struct iot_buffer *b, struct iot_view v);

/* A NUL behind the contents, not counted in n: b->p is a C string until the next append. */
void iot_buffer_terminate(struct iot_buffer *b);

/* The contents, valid until the next append, clear or free. */
struct iot_view iot_buffer_view(const struct iot_buffer *b);

/* Overwrite n bytes with zeros in a way that compilers do not drop. p may be NULL when n is 0. */
void iot_wipe(void *p, size_t n);

#endif
