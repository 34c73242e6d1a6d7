/*
 * Fuzzes csrc/iot_sigv4.c. The input, a line each: a byte of options and the method, the path, the query, the region,
 * the service, the token, the headers up to an empty line; then the body.
 */
#include "fuzz.h"
#include "iot_sigv4.h"
#include "plain.h"

enum {
  PRESIGN = 1,
  NORMALIZE = 2,
  DOUBLE_ENCODE = 4,
  SIGN_BODY = 8,
  OMIT_TOKEN = 16,
  ALL_BYTES = 31
};

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

static struct iot_view take_line(struct iot_view *rest)
{
  return iot_view_cut(rest, '\n');
}

static size_t take_headers(struct iot_view *rest, struct iot_header *headers)
{
  size_t count = 0;

  while (rest->n && count < IOT_SIGV4_MAX_HEADERS) {
    struct iot_view value = take_line(rest);

    if (value.n == 0)
      break;
    headers[count].name = iot_view_cut(&value, ':');
    headers[count++].value = value;
  }
  return count;
}

static struct iot_view text_of(const struct iot_sigv4 *signer, enum iot_sigv4_text which)
{
  return iot_buffer_view(&signer->text[which]);
}

/* The lines of the canonical request up to the headers are those of a plain implementation. */
static void check_canonical(const struct iot_sigv4 *signer, const struct iot_sigv4_request *request,
    const struct iot_sigv4_options *options, struct iot_view sent_query)
{
  struct iot_view rest = text_of(signer, IOT_SIGV4_CANONICAL_REQUEST), line;
  struct plain_text path = { 0 }, query = { 0 };
  size_t signature;

  line = take_line(&rest);
  MUST(iot_view_same_name(line, request->method) && iot_view_is_token(line));
  plain_path(&path, request->path, options->normalize_path, !options->double_encode_path);
  MUST(iot_view_equal(take_line(&rest), (struct iot_view){ path.p, path.n }));
  if (options->presign) { /* all but the signature, and a token that is not signed */
    for (signature = 0; signature < sent_query.n; signature++)
      if (sent_query.n - signature == strlen("&X-Amz-Signature=") + 64)
        break;
    sent_query.n = signature;
    if (options->omit_session_token && options->credentials.session_token.n)
      while (sent_query.n && sent_query.p[--sent_query.n] != '&')
        ;
  }
  plain_query(&query, sent_query);
  MUST(iot_view_equal(take_line(&rest), (struct iot_view){ query.p, query.n }));
  free(path.p);
  free(query.p);
}

/* A header is a line, in order, and named in the list; behind them stands the hash. */
static void check_headers(const struct iot_sigv4 *signer)
{
  struct iot_view rest = text_of(signer, IOT_SIGV4_CANONICAL_REQUEST), line;
  struct iot_view names = text_of(signer, IOT_SIGV4_SIGNED_HEADERS), last = { NULL, 0 };
  const struct iot_view all = names;
  int i;

  for (i = 0; i < 3; i++)
    take_line(&rest);
  while (names.n) {
    const struct iot_view name = iot_view_cut(&names, ';');
    const size_t shorter = name.n < last.n ? name.n : last.n;
    const int order = shorter ? memcmp(last.p, name.p, shorter) : 0;

    line = take_line(&rest);
    MUST(line.n > name.n && memcmp(line.p, name.p, name.n) == 0 && line.p[name.n] == ':');
    MUST(order < 0 || (order == 0 && last.n < name.n));
    last = name;
  }
  MUST(take_line(&rest).n == 0);
  MUST(iot_view_equal(take_line(&rest), all));
  MUST(rest.n > 0 && iot_view_is_token(rest));
}

/* What is made of the canonical request, by the rules and without the signer's memory. */
static void check_signature(const struct iot_sigv4 *signer, const struct iot_sigv4_options *options)
{
  struct iot_view lines = text_of(signer, IOT_SIGV4_STRING_TO_SIGN);
  const struct iot_view chain[] = { { signer->amz_date, 8 }, options->region, options->service,
    IOT_LITERAL("aws4_request"), text_of(signer, IOT_SIGV4_STRING_TO_SIGN) };
  unsigned char key[IOT_SHA256_SIZE];
  char hex[IOT_HEX_SIZE];
  size_t i;

  MUST(iot_hmac_sha256(key, IOT_LITERAL("AWS4" SECRET), chain[0]) == IOT_OK);
  for (i = 1; i < 5; i++)
    MUST(iot_hmac_sha256(key, (struct iot_view){ (char *)key, sizeof key }, chain[i]) == IOT_OK);
  iot_hex(hex, key, sizeof key);
  MUST(strcmp(hex, signer->signature) == 0);
  MUST(iot_view_equal(take_line(&lines), IOT_LITERAL("AWS4-HMAC-SHA256")));
  MUST(iot_view_equal(take_line(&lines), iot_view_of(signer->amz_date)));
  MUST(iot_view_equal(take_line(&lines), text_of(signer, IOT_SIGV4_SCOPE)));
  MUST(iot_sha256(key, text_of(signer, IOT_SIGV4_CANONICAL_REQUEST)) == IOT_OK);
  iot_hex(hex, key, sizeof key);
  MUST(iot_view_equal(lines, iot_view_of(hex)));
}

static void check(struct iot_sigv4 *signer, const struct iot_sigv4_request *request,
    const struct iot_sigv4_options *options)
{
  struct iot_error error = { "" };
  const enum iot_status status = iot_sigv4_sign(signer, request, options, &error);
  struct iot_sigv4 fresh;

  MUST(!strstr(error.message, SECRET));
  if (status != IOT_OK) {
    MUST((status == IOT_EPARAMETER || status == IOT_ECREDENTIALS) && error.message[0]);
    return;
  }
  MUST(!iot_view_breaks_line(text_of(signer, IOT_SIGV4_AUTHORIZATION)));
  check_canonical(signer, request, options,
      options->presign ? text_of(signer, IOT_SIGV4_QUERY) : request->query);
  check_headers(signer);
  check_signature(signer, options);
  iot_sigv4_init(&fresh);
  MUST(iot_sigv4_sign(&fresh, request, options, &error) == IOT_OK);
  MUST(strcmp(fresh.signature, signer->signature) == 0);
  MUST(iot_view_equal(text_of(&fresh, IOT_SIGV4_QUERY), text_of(signer, IOT_SIGV4_QUERY)));
  iot_sigv4_free(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct iot_sigv4
      signer; /* kept: the key of the last scope must not be taken for another's */
  static bool is_ready;
  struct iot_view rest = { (const char *)data, size };
  const unsigned flags = fuzz_byte(&rest) & ALL_BYTES;
  struct iot_header headers[IOT_SIGV4_MAX_HEADERS];
  struct iot_sigv4_request request = { .method = take_line(&rest) };
  struct iot_sigv4_options options = { .time = 1440938160, .expires_in = 60 };

  if (!is_ready)
    iot_sigv4_init(&signer);
  is_ready = true;
  request.path = take_line(&rest);
  request.query = take_line(&rest);
  options.region = take_line(&rest);
  options.service = take_line(&rest);
  options.credentials.access_key_id = IOT_LITERAL("AKIDEXAMPLE");
  options.credentials.secret_access_key = IOT_LITERAL(SECRET);
  options.credentials.session_token = take_line(&rest);
  options.presign = flags & PRESIGN;
  options.normalize_path = flags & NORMALIZE;
  options.double_encode_path = flags & DOUBLE_ENCODE;
  options.sign_body = flags & SIGN_BODY;
  options.omit_session_token = flags & OMIT_TOKEN;
  request.headers = headers;
  request.header_count = take_headers(&rest, headers);
  request.body = rest;
  check(&signer, &request, &options);
  return 0;
}
