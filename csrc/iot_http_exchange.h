/*
 * One HTTP exchange as data: a request in the texts that libcurl takes, and its reply as it comes.
 * Sending it is iot_http's and iot_http_multi's; giving it out for another use is iot_http_client's.
 */
#ifndef IOT_HTTP_EXCHANGE_H
#define IOT_HTTP_EXCHANGE_H

#include <stdint.h>
#include <sys/types.h>

#include "iot_http_options.h"
#include "iot_reply.h"
#include "iot_request.h"

enum {
  IOT_HTTP_MAX_LINES = IOT_REQUEST_MAX_HEADERS + 4,
  IOT_HTTP_PIECE =
      1 << 18, /* bytes of a body that comes in pieces, from which on the server has to wait */
  IOT_HTTP_WORDS = 256 /* CURL_ERROR_SIZE */
};

struct iot_http_client;
struct iot_http_multi;
struct curl_slist;

struct iot_http_exchange {
  pid_t owner;                               /* the process that made it */
  struct iot_http_client *home;              /* whose it is */
  struct iot_http_multi *multi;              /* that it is under way on; else NULL */
  struct iot_http_exchange *previous, *next; /* under way, finished or idle */
  void *context;                             /* of who waits for it */
  bool has_proxy;                            /* a URL of one was given */
  double read_timeout;                       /* seconds; 0: none */
  double deadline;                           /* monotonic */

  /* The request. What libcurl only borrows stays here until it is forgotten. */
  struct iot_buffer url;            /* with a terminator */
  struct iot_buffer header_text;    /* the lines, each with a terminator; may hold secrets */
  size_t lines[IOT_HTTP_MAX_LINES]; /* their starts in it */
  size_t line_count;
  struct iot_buffer body; /* a copy, where the request is gone before the exchange has ended */
  size_t body_size;

  /* The reply. */
  struct iot_buffer secret; /* a copy of its own_reply.secret */
  struct iot_reply own_reply;
  struct iot_reply *reply; /* that one, or its caller's */
  size_t head_size;        /* bytes of all heads, of interim replies (1xx) as well */
  bool head_complete;      /* the empty line behind the headers has come */
  bool in_pieces;          /* whoever waits for it takes the body piece by piece */
  bool paused;             /* nobody did for too long */

  double last_activity; /* monotonic; 0 before the request is on its way */
  int64_t sent;         /* bytes of the body, when last looked at */
  bool silent;          /* it was ended because the server was */
  bool started_anew;    /* libcurl had found too many dead connections */

  /* libcurl's. */
  void *easy;
  struct curl_slist *nodes; /* IOT_HTTP_MAX_LINES of them */
  int code;                 /* a CURLcode, once it has ended; 0: no error */
  char words[IOT_HTTP_WORDS];
};

void iot_http_exchange_init(
    struct iot_http_exchange *exchange, const struct iot_http_settings *settings);

/* Wipe and free the buffers. */
void iot_http_exchange_free_buffers(struct iot_http_exchange *exchange);

/* Wipe what the last use left, and keep the storage. */
void iot_http_exchange_forget(struct iot_http_exchange *exchange);

/* Put it at the start of a list, and take it off the list that it is on. */
void iot_http_exchange_link(struct iot_http_exchange **list, struct iot_http_exchange *exchange);
void iot_http_exchange_unlink(struct iot_http_exchange **list, struct iot_http_exchange *exchange);

/*
 * Take a request: write its URL and header lines, and expect its reply in `reply`, NULL for the
 * exchange's own. A line is a name with a bare colon for Accept, Expect, Accept-Encoding where
 * libcurl would send it and, where the request has none, Content-Type: by that libcurl adds none by itself. A header whose value is empty is a name with a
 * semicolon: by that libcurl sends it so. The body is not copied.
 * Returns IOT_OK, IOT_ENOMEM or IOT_ETOOLARGE.
 */
IOT_NODISCARD enum iot_status iot_http_exchange_write(struct iot_http_exchange *exchange,
    struct iot_view origin, const struct iot_request *request, struct iot_reply *reply);

/* Take a line of the head, and a piece of the body. False when there is no room for it: then the
   status of the reply's buffer tells why; also at the end of the head of a reply that comes in pieces and is
   encoded, but not as gzip. */
bool iot_http_exchange_take_line(struct iot_http_exchange *exchange, struct iot_view line);
bool iot_http_exchange_take_body(struct iot_http_exchange *exchange, struct iot_view bytes);

/* Whether it has to pause before it takes more of the body; then it counts as paused. */
bool iot_http_exchange_must_pause(struct iot_http_exchange *exchange);

/* Move the body into `piece`, and take the status. Returns whether it was paused; then it no longer is, and the
   server's silence counts from now on. */
bool iot_http_exchange_take_piece(
    struct iot_http_exchange *exchange, struct iot_buffer *piece, int status);

/*
 * Say why an exchange that has ended failed: in libcurl's words, without the user information of a proxy's
 * URL that they may quote, or where it gave none in its `standard` ones. Returns the status.
 */
enum iot_status iot_http_exchange_fail(struct iot_http_exchange *exchange, enum iot_status status,
    const char *standard, struct iot_error *error);

/*
 * When to look again whether the server has been silent for too long: a time of the monotonic clock,
 * `now` or before when it has been. Silence counts from when the connection stands (until then the connect
 * timeout rules), from each line of the head and piece of the body, and from each look at which the server has
 * taken more of the request's body. A line of which a byte comes now and then is silence, and so is the time of
 * a second connection, where libcurl finds that the first was dead. While it is paused, the server waits.
 *   sending  whether the request is on its way
 *   sent     bytes of the body so far
 */
double iot_http_exchange_next_look(
    struct iot_http_exchange *exchange, double now, bool sending, int64_t sent);

#endif
