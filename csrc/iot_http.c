#include "iot_http.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "iot_clock.h"
#include "iot_crypto.h"
#include "iot_heap.h"
#include "iot_http_multi.h"
#include "iot_trust.h"

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

/* Its buffers have held session tokens, its copies of a proxy's URL the password. Where the process has initialised
   it before, its memory stays as it is. */
static void initialize_libcurl(void)
{
  curl_global_init_mem(CURL_GLOBAL_DEFAULT, iot_heap_malloc, iot_heap_free, iot_heap_realloc,
      iot_heap_strdup, iot_heap_calloc);
}

void iot_http_initialize(void)
{
  pthread_once(&global_once, initialize_libcurl);
}

const char *iot_http_library_version(void)
{
  return curl_version_info(CURLVERSION_NOW)->version;
}

/* From 7.87 on it writes for OpenSSL itself, and asks for no signal where a peer is gone. */
enum { RAISES_SIGPIPE = LIBCURL_VERSION_NUM < 0x075700 };

void iot_http_enter(struct iot_sigpipe *held)
{
  if (RAISES_SIGPIPE)
    iot_sigpipe_hold(held);
}

void iot_http_leave(const struct iot_sigpipe *held)
{
  if (RAISES_SIGPIPE)
    iot_sigpipe_release(held);
}

/* Where this libcurl was told, when it was built, that the system keeps its CAs by hash. */
static const char *built_in_directory(void)
{
  return curl_version_info(CURLVERSION_NOW)->capath;
}

/* Options are set in a row and checked at its end: the first refusal counts. */
static void keep_first(CURLcode *first, CURLcode code)
{
  if (*first == CURLE_OK)
    *first = code;
}

static CURLcode set_trust_store(CURL *easy, const char *ca_bundle)
{
  const struct iot_trust trust = iot_trust_choose(ca_bundle, built_in_directory());
  CURLcode code = CURLE_OK;

  if (!trust.file && !trust.directory)
    return CURLE_OK; /* libcurl's own default: a bundle file */
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_CAINFO, trust.file));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_CAPATH, trust.directory));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, trust.file));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, trust.directory));
  return code;
}

static size_t on_header(char *line, size_t size, size_t count, void *exchange)
{
  const size_t n = size * count;

  return iot_http_exchange_take_line(exchange, (struct iot_view){ line, n }) ? n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *exchange)
{
  const size_t n = size * count;

  if (iot_http_exchange_must_pause(exchange))
    return CURL_WRITEFUNC_PAUSE; /* it gives the same bytes again when iot_http_exchange_take lets it */
  return iot_http_exchange_take_body(exchange, (struct iot_view){ bytes, n }) ? n : 0;
}

/* Not for programs that anyone starts: they would keep the connection open. New versions of libcurl see to it. */
static int on_socket(void *context, curl_socket_t socket, curlsocktype purpose)
{
  (void)context;
  (void)purpose;
  return fcntl(socket, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static CURLcode set_protocols(CURL *easy, bool allow_plain)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, allow_plain ? "http,https" : "https");
#else
  return curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
      (long)(allow_plain ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_HTTPS));
#endif
}

/* What holds for every exchange, of whatever client. */
static CURLcode set_rules(CURL *easy)
{
  static const struct {
    CURLoption option;
    long value;
  } rules[] = {
    { CURLOPT_NOSIGNAL, 1 },
#if LIBCURL_VERSION_NUM >= 0x075700 /* before, a name that takes long outlasts every time limit */
    { CURLOPT_QUICK_EXIT, 1 },
#endif
    { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
    { CURLOPT_PATH_AS_IS, 1 },
    { CURLOPT_FOLLOWLOCATION, 0 },
    { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    { CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    { CURLOPT_SSL_VERIFYPEER, 1 },
    { CURLOPT_SSL_VERIFYHOST, 2 },
    { CURLOPT_TCP_KEEPALIVE, 1 },
    { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
  };
  CURLcode code = CURLE_OK;
  size_t i;

  for (i = 0; i < sizeof rules / sizeof *rules; i++)
    keep_first(&code, curl_easy_setopt(easy, rules[i].option, rules[i].value));
  return code;
}

/* libcurl knows connections and TLS sessions by the names of the files: none is used again, since by then
   another certificate may be there. */
static CURLcode set_client_certificate(CURL *easy, const struct iot_http_settings *settings)
{
  CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->client_certificate);

  if (settings->client_key)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSLKEY, settings->client_key));
  /* Or OpenSSL asks the terminal for the key's passphrase. */
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L));
  return code;
}

/* What holds for every use of an exchange. */
static CURLcode set_constants(
    struct iot_http_exchange *exchange, const struct iot_http_settings *settings)
{
  CURL *easy = exchange->easy;
  CURLcode code = set_rules(easy);

  keep_first(&code, set_protocols(easy, settings->allow_plain));
  keep_first(&code, set_trust_store(easy, settings->ca_bundle));
  keep_first(
      &code, curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                 settings->connect_timeout > 0 ? iot_clock_milliseconds(settings->connect_timeout)
                                               : INT_MAX));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->words));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange));
  if (settings->proxy)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy));
  if (settings->in_pieces)
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip"));
  if (settings->client_certificate)
    keep_first(&code, set_client_certificate(easy, settings));
  return code;
}

static enum iot_status refused(CURLcode code, struct iot_error *error)
{
  if (code == CURLE_OUT_OF_MEMORY)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  return iot_fail(
      error, IOT_ECONFIGURATION, "libcurl cannot do this: %s", curl_easy_strerror(code));
}

enum iot_status iot_http_exchange_new(struct iot_http_exchange **exchange,
    const struct iot_http_settings *settings, struct iot_error *error)
{
  struct iot_http_exchange *x = malloc(sizeof *x);
  CURLcode code = CURLE_OUT_OF_MEMORY;

  *exchange = NULL;
  if (!x || iot_crypto_initialize() != IOT_OK) {
    free(x);
    return refused(CURLE_OUT_OF_MEMORY, error);
  }
  iot_http_initialize();
  iot_http_exchange_init(x, settings);
  x->owner = getpid();
  x->nodes = calloc(IOT_HTTP_MAX_LINES, sizeof *x->nodes);
  x->easy = x->nodes ? curl_easy_init() : NULL;
  if (x->easy)
    code = set_constants(x, settings);
  if (code != CURLE_OK) {
    iot_http_exchange_free(x);
    return refused(code, error);
  }
  *exchange = x;
  return IOT_OK;
}

void iot_http_exchange_free(struct iot_http_exchange *exchange)
{
  struct iot_sigpipe held;

  if (!exchange)
    return;
  iot_http_exchange_cancel(exchange);
  iot_http_enter(&held);
  if (exchange->owner == getpid())
    curl_easy_cleanup(exchange->easy);
  iot_http_leave(&held);
  iot_crypto_discard_errors();
  iot_http_exchange_free_buffers(exchange);
  free(exchange->nodes);
  free(exchange);
}

/* The header lines as libcurl's list, in nodes of our own: it reads the list and frees nothing. */
static struct curl_slist *link_lines(struct iot_http_exchange *exchange)
{
  size_t i;

  for (i = 0; i < exchange->line_count; i++) {
    exchange->nodes[i].data = exchange->header_text.p + exchange->lines[i];
    exchange->nodes[i].next = i + 1 < exchange->line_count ? &exchange->nodes[i + 1] : NULL;
  }
  return exchange->nodes;
}

/* The target byte for byte, as signatures may be: libcurl's own has no bare "?", and from 8.20 on no escapes in
   lower case. NULL: its own, in the clear, where a proxy may be in between that is sent a whole URL. */
static const char *exact_target(
    const struct iot_http_exchange *exchange, const struct iot_request *request)
{
  const bool is_private = strncmp(exchange->url.p, "https:", 6) == 0;

  return is_private && request->target.n ? exchange->url.p + (exchange->url.n - request->target.n)
                                         : NULL;
}

static CURLcode set_request(struct iot_http_exchange *exchange, const struct iot_request *request,
    struct iot_view body, double timeout)
{
  const bool has_length = iot_request_has_length(request);
  CURL *easy = exchange->easy;
  CURLcode code = CURLE_OK;

  keep_first(&code, curl_easy_setopt(easy, CURLOPT_URL, exchange->url.p));
  keep_first(
      &code, curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, exact_target(exchange, request)));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_HTTPHEADER, link_lines(exchange)));
  keep_first(&code, curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, iot_clock_milliseconds(timeout)));
  if (has_length) {
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n));
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.n ? body.p : ""));
  } else {
    keep_first(&code, curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L));
  }
  keep_first(
      &code, curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, has_length ? request->method : NULL));
  return code;
}

enum iot_status iot_http_exchange_set(struct iot_http_exchange *exchange, struct iot_view origin,
    const struct iot_request *request, double timeout, struct iot_reply *reply,
    struct iot_error *error)
{
  struct iot_view body = iot_buffer_view(&request->body);
  enum iot_status status = iot_http_exchange_write(exchange, origin, request, reply);
  CURLcode code;

  if (status == IOT_OK && !reply) {
    iot_buffer_append(&exchange->body, body);
    body = iot_buffer_view(&exchange->body);
    status = exchange->body.status;
  }
  if (status != IOT_OK)
    return iot_fail_request(error, status);
  exchange->deadline = iot_clock_monotonic() + timeout;
  exchange->started_anew = false;
  code = set_request(exchange, request, body, timeout);
  return code == CURLE_OK ? IOT_OK : refused(code, error);
}

static bool proxy_refused(const struct iot_http_exchange *exchange)
{
  long status = 0;

  curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  return status >= 300;
}

bool iot_http_exchange_is_sending(const struct iot_http_exchange *exchange)
{
  curl_off_t since = 0;

  curl_easy_getinfo(exchange->easy, CURLINFO_PRETRANSFER_TIME_T, &since);
  return since > 0;
}

/* Before 8.6 libcurl says "out of memory" for a header line beyond its own limit, too. */
static enum iot_status memory_status(const struct iot_http_exchange *exchange)
{
  const bool may_be_line = LIBCURL_VERSION_NUM < 0x080600;

  return may_be_line && iot_http_exchange_is_sending(exchange) && !exchange->head_complete
             ? IOT_ETOOLARGE
             : IOT_ENOMEM;
}

/* Old versions of libcurl take whatever number stands in the status line. */
static bool speaks_http_1(const struct iot_http_exchange *exchange)
{
  long version = CURL_HTTP_VERSION_NONE;

  curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_VERSION, &version);
  return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

static enum iot_status status_of(const struct iot_http_exchange *exchange)
{
  switch ((CURLcode)exchange->code) {
  case CURLE_OK:
    if (!exchange->head_complete)
      return IOT_ELOST;
    return speaks_http_1(exchange) ? IOT_OK : IOT_ERESPONSE;
  case CURLE_OUT_OF_MEMORY: return memory_status(exchange);
  case CURLE_FAILED_INIT: return IOT_ENOMEM;
#if LIBCURL_VERSION_NUM >= 0x080600
  case CURLE_TOO_LARGE: return IOT_ETOOLARGE;
#endif
  case CURLE_COULDNT_RESOLVE_HOST: return IOT_ERESOLVE;
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_PROXY: return IOT_EPROXY;
  case CURLE_OPERATION_TIMEDOUT: return IOT_ETIMEOUT;
  case CURLE_PEER_FAILED_VERIFICATION: return IOT_ECERTIFICATE;
  case CURLE_SSL_CACERT_BADFILE: return IOT_ECABUNDLE;
  case CURLE_BAD_FUNCTION_ARGUMENT: /* in 8.23, of a key */
  case CURLE_SSL_CERTPROBLEM: return IOT_ECONFIGURATION;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CIPHER:
  case CURLE_USE_SSL_FAILED: return IOT_ETLS;
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_BAD_CONTENT_ENCODING: return IOT_ERESPONSE;
  case CURLE_WRITE_ERROR:
    if (exchange->reply->head.status != IOT_OK)
      return exchange->reply->head.status;
    return exchange->reply->body.status != IOT_OK ? exchange->reply->body.status : IOT_ERESPONSE;
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
  case CURLE_SEND_ERROR: return IOT_ELOST;
  case CURLE_RECV_ERROR:
    if (strstr(exchange->words, "chunk")) /* the one word that tells bad framing from a lost peer */
      return IOT_ERESPONSE;
    return proxy_refused(exchange) ? IOT_EPROXY : IOT_ELOST;
  default: /* libcurl does not tell, before 8.7, whether a proxy of the environment was in use */
    return exchange->has_proxy ? IOT_EPROXY : IOT_ECONNECT;
  }
}

enum iot_status iot_http_exchange_result(
    struct iot_http_exchange *exchange, struct iot_error *error)
{
  const enum iot_status status = status_of(exchange);
  const char *standard = curl_easy_strerror((CURLcode)exchange->code);

  if (status == IOT_OK)
    return IOT_OK;
  if (exchange->code == CURLE_OK && status == IOT_ERESPONSE)
    standard = "it has an unknown version of HTTP";
  if (exchange->code == CURLE_WRITE_ERROR &&
      status == IOT_ERESPONSE) { /* libcurl says what it could not do */
    exchange->words[0] = '\0';
    standard = "it goes on behind the end of what is compressed";
  }
  return iot_http_exchange_fail(exchange, status, standard, error);
}
