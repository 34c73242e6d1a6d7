#include "iot_http.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "iot_clock.h"
#include "iot_crypto.h"
#include "iot_trust.h"
#include "iot_uri.h"

enum {
  URL_MAX = 1 << 17,
  HEADER_TEXT_MAX = 1 << 17,
  SUPPRESSED_HEADERS = 3, /* those that libcurl would add by itself */
  POLL_MAX_MS = 60 * 1000
};

struct iot_http {
  CURLM *multi;
  CURL *easy;
  pid_t owner; /* the process that made the handles */

  bool allow_plain;
  char *ca_bundle; /* NULL for the system's */
  char *proxy;     /* NULL for the environment's */
  char *client_certificate;
  char *client_key;
  double connect_timeout;
  double read_timeout;

  /* The exchange at hand. */
  struct iot_buffer url;
  struct iot_buffer header_text;
  struct curl_slist header_lines[IOT_REQUEST_MAX_HEADERS + SUPPRESSED_HEADERS];
  struct iot_reply *reply;
  double last_activity; /* monotonic; 0 before the request is on its way */
  curl_off_t sent;      /* bytes of the body, when last looked at */
  bool head_complete;   /* the empty line behind the headers has come */
  char words[CURL_ERROR_SIZE];
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void initialize_libcurl(void)
{
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

const char *iot_http_library_version(void)
{
  return curl_version_info(CURLVERSION_NOW)->version;
}

/* Where this libcurl was told, when it was built, that the system keeps its CAs by hash. */
static const char *built_in_directory(void)
{
#if LIBCURL_VERSION_NUM >= 0x074600
  return curl_version_info(CURLVERSION_NOW)->capath;
#else
  return NULL;
#endif
}

/* Options are set in a row and checked at its end: the first refusal counts. */
static void keep_first(CURLcode *first, CURLcode code)
{
  if (*first == CURLE_OK)
    *first = code;
}

static CURLcode set_trust_store(const struct iot_http *http)
{
  const char *file = http->ca_bundle, *directory = NULL;
  CURLcode code = CURLE_OK;

  if (!http->ca_bundle)
    directory = iot_trust_hashed_directory(built_in_directory());
  else if (iot_trust_is_directory(http->ca_bundle))
    directory = http->ca_bundle;
  if (!http->ca_bundle && !directory)
    return CURLE_OK; /* libcurl's own default: a bundle file */
  file = directory ? NULL : file;
  keep_first(&code, curl_easy_setopt(http->easy, CURLOPT_CAINFO, file));
  keep_first(&code, curl_easy_setopt(http->easy, CURLOPT_CAPATH, directory));
  keep_first(&code, curl_easy_setopt(http->easy, CURLOPT_PROXY_CAINFO, file));
  keep_first(&code, curl_easy_setopt(http->easy, CURLOPT_PROXY_CAPATH, directory));
  return code;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
  struct iot_http *http = context;
  const size_t n = size * count;

  http->last_activity = iot_clock_monotonic();
  if (iot_reply_is_status_line((struct iot_view){ line, n })) { /* after a 1xx comes another */
    iot_buffer_clear(&http->reply->head);
    http->head_complete = false;
  }
  http->head_complete |= iot_view_trim((struct iot_view){ line, n }).n == 0;
  iot_buffer_append(&http->reply->head, (struct iot_view){ line, n });
  return http->reply->head.status == IOT_OK ? n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
  struct iot_http *http = context;
  const size_t n = size * count;

  http->last_activity = iot_clock_monotonic();
  iot_buffer_append(&http->reply->body, (struct iot_view){ bytes, n });
  return http->reply->body.status == IOT_OK ? n : 0;
}

static CURLcode set_protocols(const struct iot_http *http)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  return curl_easy_setopt(
      http->easy, CURLOPT_PROTOCOLS_STR, http->allow_plain ? "http,https" : "https");
#else
  return curl_easy_setopt(http->easy, CURLOPT_PROTOCOLS,
      (long)(http->allow_plain ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_HTTPS));
#endif
}

/* What holds for every exchange. */
static CURLcode set_constants(struct iot_http *http)
{
  CURL *easy = http->easy;
  CURLcode code = CURLE_OK;

  keep_first(&code, set_protocols(http));
  keep_first(&code, set_trust_store(http));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
#if LIBCURL_VERSION_NUM >= 0x075700 /* before, a name that takes long outlasts every time limit */
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
#endif
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
  keep_first(
      &code, curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
  keep_first(&code,
      curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
          http->connect_timeout > 0 ? iot_clock_milliseconds(http->connect_timeout) : INT_MAX));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->words));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HEADERDATA, http));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_WRITEDATA, http));
  if (http->proxy)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy));
  if (http->client_certificate)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSLCERT, http->client_certificate));
  if (http->client_certificate) /* or OpenSSL asks the terminal for the key's passphrase */
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""));
  if (http->client_key)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSLKEY, http->client_key));
  return code;
}

static void close_handles(struct iot_http *http)
{
  curl_easy_cleanup(http->easy);
  curl_multi_cleanup(http->multi);
  http->easy = NULL;
  http->multi = NULL;
}

static enum iot_status refused(CURLcode code, struct iot_error *error)
{
  if (code == CURLE_OUT_OF_MEMORY)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  return iot_fail(
      error, IOT_ECONFIGURATION, "libcurl cannot do this: %s", curl_easy_strerror(code));
}

/* Make the handles with the first exchange of this process. After fork() the parent's stay as they
   are: to close them would say goodbye on connections that the parent goes on using. Their memory
   is the price. */
static enum iot_status own_handles(struct iot_http *http, struct iot_error *error)
{
  CURLcode code = CURLE_OUT_OF_MEMORY;

  if (http->owner == getpid())
    return IOT_OK;
  http->easy = curl_easy_init();
  http->multi = curl_multi_init();
  if (http->easy && http->multi)
    code = set_constants(http);
  if (code != CURLE_OK) {
    close_handles(http);
    return refused(code, error);
  }
  http->owner = getpid();
  return IOT_OK;
}

static enum iot_status copy_text(
    char **out, struct iot_view text, enum iot_status refusal, struct iot_error *error)
{
  if (!text.p)
    return IOT_OK;
  if (text.n && memchr(text.p, '\0', text.n))
    return iot_fail(error, refusal, "%s: it holds a NUL", iot_status_text(refusal));
  *out = iot_view_duplicate(text);
  return *out ? IOT_OK : iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
}

enum iot_status iot_http_open(
    struct iot_http **http, const struct iot_http_options *options, struct iot_error *error)
{
  struct iot_http *h = calloc(1, sizeof *h);
  enum iot_status status;

  *http = NULL;
  if (!h)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  pthread_once(&global_once, initialize_libcurl);
  iot_buffer_init(&h->url, URL_MAX);
  iot_buffer_init(&h->header_text, HEADER_TEXT_MAX);
  h->allow_plain = options->allow_plain;
  h->connect_timeout = options->connect_timeout;
  h->read_timeout = options->read_timeout;
  status = copy_text(&h->ca_bundle, options->ca_bundle, IOT_ECABUNDLE, error);
  if (status == IOT_OK)
    status = copy_text(&h->proxy, options->proxy, IOT_ECONFIGURATION, error);
  if (status == IOT_OK)
    status = copy_text(
        &h->client_certificate, options->client_certificate, IOT_ECONFIGURATION, error);
  if (status == IOT_OK)
    status = copy_text(&h->client_key, options->client_key, IOT_ECONFIGURATION, error);
  if (status == IOT_OK && options->proxy.n && !iot_url_is_proxy(options->proxy))
    status = iot_fail(error, IOT_ECONFIGURATION, "it is no URL of a proxy");
  if (status == IOT_OK && h->ca_bundle && access(h->ca_bundle, R_OK) != 0)
    status = iot_fail(error, IOT_ECABUNDLE, "%s: %s", h->ca_bundle, strerror(errno));
  if (status != IOT_OK) {
    iot_http_close(h);
    return status;
  }
  *http = h;
  return IOT_OK;
}

void iot_http_close(struct iot_http *http)
{
  if (!http)
    return;
  if (http->owner == getpid())
    close_handles(http);
  iot_crypto_discard_errors();
  iot_buffer_free(&http->url);
  iot_buffer_free(&http->header_text);
  free(http->ca_bundle);
  free(http->proxy);
  free(http->client_certificate);
  free(http->client_key);
  free(http);
}

static void append_line(struct iot_http *http, size_t *starts, size_t i, struct iot_header header)
{
  struct iot_buffer *text = &http->header_text;

  starts[i] = text->n;
  iot_buffer_append(text, header.name);
  iot_buffer_append(text, header.value.n ? IOT_LITERAL(": ") : IOT_LITERAL(":"));
  iot_buffer_append(text, header.value);
  iot_buffer_append_byte(text, '\0');
}

/* The header lines as libcurl's list, in nodes of our own: it reads the list and frees nothing.
   A name with a bare colon takes away what libcurl would add by itself. */
static enum iot_status write_header_lines(struct iot_http *http, const struct iot_request *request)
{
  const struct iot_view suppressed[SUPPRESSED_HEADERS] = { IOT_LITERAL("Accept"),
    IOT_LITERAL("Expect"), IOT_LITERAL("Content-Type") };
  size_t starts[IOT_REQUEST_MAX_HEADERS + SUPPRESSED_HEADERS], count = 0, i;
  bool has_type = false;

  iot_buffer_clear(&http->header_text);
  for (i = 0; i < request->header_count; i++) {
    append_line(http, starts, count++, request->headers[i]);
    has_type |= iot_view_same_name(request->headers[i].name, IOT_LITERAL("Content-Type"));
  }
  for (i = 0; i < SUPPRESSED_HEADERS - (has_type ? 1u : 0u); i++)
    append_line(http, starts, count++, (struct iot_header){ suppressed[i], { NULL, 0 } });
  if (http->header_text.status != IOT_OK)
    return http->header_text.status;
  for (i = 0; i < count; i++) {
    http->header_lines[i].data = http->header_text.p + starts[i];
    http->header_lines[i].next = i + 1 < count ? &http->header_lines[i + 1] : NULL;
  }
  return IOT_OK;
}

static CURLcode set_request(
    struct iot_http *http, const struct iot_request *request, double timeout)
{
  const bool has_length = iot_request_has_length(request);
  CURL *easy = http->easy;
  CURLcode code = CURLE_OK;

  keep_first(&code, curl_easy_setopt(easy, CURLOPT_URL, http->url.p));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->header_lines));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, iot_clock_milliseconds(timeout)));
  if (has_length) {
    keep_first(
        &code, curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n));
    keep_first(
        &code, curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.n ? request->body.p : ""));
  } else {
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L));
  }
  keep_first(
      &code, curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, has_length ? request->method : NULL));
  return code;
}

/* Write URL and header lines, and hand the request to libcurl. */
static enum iot_status prepare(struct iot_http *http, struct iot_view origin,
    const struct iot_request *request, double timeout, struct iot_error *error)
{
  enum iot_status status = write_header_lines(http, request);
  CURLcode code;

  iot_buffer_clear(&http->url);
  iot_buffer_append(&http->url, origin);
  iot_buffer_append(&http->url, iot_buffer_view(&request->target));
  iot_buffer_terminate(&http->url);
  if (status == IOT_OK)
    status = http->url.status;
  if (status != IOT_OK)
    return iot_fail(error, status, "%s", iot_status_text(status));
  code = set_request(http, request, timeout);
  return code == CURLE_OK ? IOT_OK : refused(code, error);
}

/* How long the server may stay silent from now on, in milliseconds; negative when it was too long.
   The count starts when the connection stands (until then the connect timeout rules), and again
   while it takes more of the body. */
static int silence_left(struct iot_http *http)
{
  const double now = iot_clock_monotonic();
  curl_off_t sending = 0, sent = 0;
  double left;

  if (http->read_timeout <= 0)
    return POLL_MAX_MS;
  curl_easy_getinfo(http->easy, CURLINFO_PRETRANSFER_TIME_T, &sending);
  curl_easy_getinfo(http->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  if (sending <= 0)
    return POLL_MAX_MS;
  if (http->last_activity <= 0 || sent > http->sent)
    http->last_activity = now;
  http->sent = sent;
  left = http->last_activity + http->read_timeout - now;
  if (left <= 0)
    return -1;
  return left * 1000 < POLL_MAX_MS ? (int)iot_clock_milliseconds(left) : POLL_MAX_MS;
}

/* Drive the exchange to its end. *silent tells a read timeout, which libcurl does not know of. */
static CURLcode drive(struct iot_http *http, bool *silent)
{
  int running, pending, wait;
  const CURLMsg *message;

  *silent = false;
  for (;;) {
    if (curl_multi_perform(http->multi, &running) != CURLM_OK)
      return CURLE_FAILED_INIT;
    message = curl_multi_info_read(http->multi, &pending);
    if (message)
      return message->data.result;
    wait = silence_left(http);
    if (wait < 0) {
      *silent = true;
      return CURLE_OPERATION_TIMEDOUT;
    }
    if (curl_multi_poll(http->multi, NULL, 0, wait, NULL) != CURLM_OK)
      return CURLE_FAILED_INIT;
  }
}

static bool proxy_refused(const struct iot_http *http)
{
  long status = 0;

  curl_easy_getinfo(http->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  return status >= 300;
}

/* libcurl says "out of memory" for a header line beyond its own limit, too; later, "too large". */
static enum iot_status memory_status(const struct iot_http *http)
{
  curl_off_t sent = 0;

  curl_easy_getinfo(http->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
  return sent > 0 && !http->head_complete ? IOT_ETOOLARGE : IOT_ENOMEM;
}

static enum iot_status status_of(const struct iot_http *http, CURLcode code)
{
  switch (code) {
  case CURLE_OK: return http->head_complete ? IOT_OK : IOT_ELOST;
  case CURLE_OUT_OF_MEMORY: return memory_status(http);
#if LIBCURL_VERSION_NUM >= 0x080600
  case CURLE_TOO_LARGE: return IOT_ETOOLARGE;
#endif
  case CURLE_COULDNT_RESOLVE_HOST: return IOT_ERESOLVE;
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_PROXY: return IOT_EPROXY;
  case CURLE_OPERATION_TIMEDOUT: return IOT_ETIMEOUT;
  case CURLE_PEER_FAILED_VERIFICATION: return IOT_ECERTIFICATE;
  case CURLE_SSL_CACERT_BADFILE: return IOT_ECABUNDLE;
  case CURLE_SSL_CERTPROBLEM: return IOT_ECONFIGURATION;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CIPHER:
  case CURLE_USE_SSL_FAILED: return IOT_ETLS;
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_BAD_CONTENT_ENCODING: return IOT_ERESPONSE;
  case CURLE_WRITE_ERROR:
    if (http->reply->head.status != IOT_OK)
      return http->reply->head.status;
    return http->reply->body.status != IOT_OK ? http->reply->body.status : IOT_ERESPONSE;
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
  case CURLE_SEND_ERROR: return IOT_ELOST;
  case CURLE_RECV_ERROR:
    if (strstr(http->words, "chunk")) /* the one word that tells bad framing from a lost peer */
      return IOT_ERESPONSE;
    return proxy_refused(http) ? IOT_EPROXY : IOT_ELOST;
  default: /* libcurl does not tell, before 8.7, whether a proxy of the environment was in use */
    return http->proxy && http->proxy[0] ? IOT_EPROXY : IOT_ECONNECT;
  }
}

static enum iot_status describe_failure(
    struct iot_http *http, CURLcode code, bool silent, struct iot_error *error)
{
  const enum iot_status status = status_of(http, code);

  iot_crypto_discard_errors(); /* libcurl leaves OpenSSL's where they are */
  if (status == IOT_OK)
    return IOT_OK;
  if (silent)
    return iot_fail(error, status, "the server sent nothing for %g seconds", http->read_timeout);
  if (code == CURLE_OK)
    return iot_fail(error, status, "%s: it ended in the headers", iot_status_text(status));
  iot_url_hide_user_information(http->words); /* libcurl quotes the URL of a proxy */
  return iot_fail(error, status, "%s: %s", iot_status_text(status),
      http->words[0] ? http->words : curl_easy_strerror(code));
}

enum iot_status iot_http_perform(struct iot_http *http, struct iot_view origin,
    const struct iot_request *request, double timeout, struct iot_reply *reply,
    struct iot_error *error)
{
  enum iot_status status;
  bool silent = false;
  long http_status = 0;
  CURLcode code;

  iot_reply_clear(reply);
  if (!(timeout > 0))
    return iot_fail(error, IOT_ETIMEOUT, "no time was left for the request");
  status = own_handles(http, error);
  if (status == IOT_OK)
    status = prepare(http, origin, request, timeout, error);
  if (status != IOT_OK)
    return status;
  http->reply = reply;
  http->last_activity = 0;
  http->head_complete = false;
  http->sent = 0;
  http->words[0] = '\0';
  if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
    return refused(CURLE_OUT_OF_MEMORY, error);
  code = drive(http, &silent);
  curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http_status);
  reply->status = (int)http_status;
  curl_multi_remove_handle(http->multi, http->easy);
  return describe_failure(http, code, silent, error);
}
