#include "iot_sigv4.h"

#include <stdio.h>
#include <string.h>

#include "iot_uri.h"

enum { TEXT_MAX = 1 << 24 };

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TERMINATOR "aws4_request"

/* One signature in the making. */
struct signing {
  struct iot_sigv4 *signer;
  const struct iot_sigv4_request *request;
  const struct iot_sigv4_options *options;
  struct iot_error *error;
  struct iot_header headers[IOT_SIGV4_MAX_HEADERS]; /* those to sign, sorted by lower-case name */
  size_t header_count;
  struct iot_view payload_hash;
};

static struct iot_view text_of(const struct signing *s, enum iot_sigv4_text which)
{
  return iot_buffer_view(&s->signer->text[which]);
}

static void append_text(struct iot_buffer *out, const char *text)
{
  iot_buffer_append(out, iot_view_of(text));
}

void iot_sigv4_init(struct iot_sigv4 *signer)
{
  size_t i;

  memset(signer, 0, sizeof *signer);
  for (i = 0; i < IOT_SIGV4_TEXT_COUNT; i++)
    iot_buffer_init(&signer->text[i], TEXT_MAX);
}

void iot_sigv4_forget_results(struct iot_sigv4 *signer)
{
  size_t i;

  for (i = 0; i < IOT_SIGV4_TEXT_COUNT; i++)
    iot_buffer_forget(&signer->text[i]);
}

void iot_sigv4_free(struct iot_sigv4 *signer)
{
  size_t i;

  for (i = 0; i < IOT_SIGV4_TEXT_COUNT; i++)
    iot_buffer_free(&signer->text[i]);
  iot_wipe(signer, sizeof *signer);
  iot_sigv4_init(signer);
}

static bool is_one_of(struct iot_view name, const char *const *names, size_t count)
{
  size_t i;

  for (i = 0; i < count; i++)
    if (iot_view_same_name(name, iot_view_of(names[i])))
      return true;
  return false;
}

bool iot_sigv4_replaces_header(struct iot_view name)
{
  static const char *const names[] = { "authorization", "x-amz-date", "x-amz-security-token" };

  return is_one_of(name, names, sizeof names / sizeof *names);
}

/* Reference 3.2: what a proxy or the HTTP layer may add, drop or rewrite on the way. */
static bool is_never_signed(struct iot_view name)
{
  static const char *const names[] = { "connection", "expect", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    "x-amzn-trace-id" };

  return is_one_of(name, names, sizeof names / sizeof *names);
}

/* A part of the credential scope: one path segment. */
static bool is_scope_part(struct iot_view text)
{
  return text.n && !iot_view_has_control(text) && !memchr(text.p, ' ', text.n) &&
         !memchr(text.p, '/', text.n) && !memchr(text.p, ',', text.n);
}

static enum iot_status check_credentials(
    const struct iot_credentials *credentials, struct iot_error *error)
{
  if (credentials->access_key_id.n == 0 || credentials->secret_access_key.n == 0)
    return iot_fail(error, IOT_ECREDENTIALS, "the credentials have no %s",
        credentials->access_key_id.n ? "secret_access_key" : "access_key_id");
  if (credentials->secret_access_key.n > IOT_SIGV4_MAX_SECRET)
    return iot_fail(error, IOT_ECREDENTIALS, "the secret access key is longer than %d bytes",
        (int)IOT_SIGV4_MAX_SECRET);
  if (credentials->access_key_id.n > IOT_SIGV4_MAX_TOKEN ||
      credentials->session_token.n > IOT_SIGV4_MAX_TOKEN)
    return iot_fail(error, IOT_ECREDENTIALS, "the %s is longer than %d bytes",
        credentials->session_token.n > IOT_SIGV4_MAX_TOKEN ? "session token" : "access key id",
        (int)IOT_SIGV4_MAX_TOKEN);
  if (!is_scope_part(credentials->access_key_id))
    return iot_fail(error, IOT_ECREDENTIALS, "the access key id holds an invalid character");
  if (iot_view_has_control(credentials->session_token))
    return iot_fail(error, IOT_ECREDENTIALS, "the session token holds a control character");
  return IOT_OK;
}

static enum iot_status check_headers(const struct signing *s)
{
  size_t i;

  for (i = 0; i < s->request->header_count; i++) {
    const struct iot_header *header = &s->request->headers[i];

    if (!iot_view_is_token(header->name))
      return iot_fail(s->error, IOT_EPARAMETER, "header %d has an invalid name", (int)i + 1);
    if (!iot_view_is_header_value(header->value))
      return iot_fail(s->error, IOT_EPARAMETER,
          "the value of header %.*s holds a line break or a NUL", (int)header->name.n,
          header->name.p);
  }
  return IOT_OK;
}

static enum iot_status check_request(const struct signing *s)
{
  const int expires_in = s->options->expires_in;

  if (!iot_view_is_token(s->request->method))
    return iot_fail(s->error, IOT_EPARAMETER, "the method is not an HTTP method");
  if (!is_scope_part(s->options->region))
    return iot_fail(s->error, IOT_EPARAMETER, "the region is empty or holds an invalid character");
  if (!is_scope_part(s->options->service))
    return iot_fail(s->error, IOT_EPARAMETER, "the service is empty or holds an invalid character");
  if (s->options->presign && (expires_in < 1 || expires_in > IOT_SIGV4_MAX_EXPIRES))
    return iot_fail(
        s->error, IOT_EPARAMETER, "expires_in must be 1 to %d seconds", (int)IOT_SIGV4_MAX_EXPIRES);
  return check_headers(s);
}

static int compare_names(struct iot_view a, struct iot_view b)
{
  size_t i;

  for (i = 0; i < a.n && i < b.n; i++) {
    const unsigned char x = (unsigned char)iot_lower(a.p[i]);
    const unsigned char y = (unsigned char)iot_lower(b.p[i]);

    if (x != y)
      return x < y ? -1 : 1;
  }
  return (a.n > b.n) - (a.n < b.n);
}

/* Insert behind all that sort before it or alike: values of one name keep their order. */
static enum iot_status add_header(struct signing *s, struct iot_view name, struct iot_view value)
{
  size_t at = s->header_count;

  if (at == IOT_SIGV4_MAX_HEADERS)
    return iot_fail(s->error, IOT_EPARAMETER, "more than %d headers", (int)IOT_SIGV4_MAX_HEADERS);
  for (; at > 0 && compare_names(s->headers[at - 1].name, name) > 0; at--)
    s->headers[at] = s->headers[at - 1];
  s->headers[at] = (struct iot_header){ name, value };
  s->header_count++;
  return IOT_OK;
}

static bool signs_token(const struct iot_sigv4_options *options)
{
  return options->credentials.session_token.n && !options->omit_session_token;
}

/* A hash that is given must be one word, so that the header and the hash line cannot differ. */
static enum iot_status use_given_hash(struct signing *s, struct iot_view value)
{
  value = iot_view_trim(value);
  if (s->payload_hash.n || !iot_view_is_token(value))
    return iot_fail(
        s->error, IOT_EPARAMETER, "x-amz-content-sha256 must be given once, as one word");
  s->payload_hash = value;
  return IOT_OK;
}

static const char hash_of_nothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static enum iot_status compute_hash(struct signing *s)
{
  unsigned char digest[IOT_SHA256_SIZE];

  if (s->request->body.n == 0) { /* as of most */
    memcpy(s->signer->payload_hash, hash_of_nothing, sizeof hash_of_nothing);
  } else {
    if (iot_sha256(digest, s->request->body) != IOT_OK)
      return IOT_ECRYPTO;
    iot_hex(s->signer->payload_hash, digest, sizeof digest);
  }
  s->payload_hash = iot_view_of(s->signer->payload_hash);
  if (s->options->sign_body && !s->options->presign)
    return add_header(s, IOT_LITERAL("x-amz-content-sha256"), s->payload_hash);
  return IOT_OK;
}

/* The hash line of the canonical request: given, waived, or computed. */
static enum iot_status find_payload_hash(struct signing *s)
{
  enum iot_status status = IOT_OK;
  size_t i;

  for (i = 0; status == IOT_OK && i < s->request->header_count; i++)
    if (iot_view_same_name(s->request->headers[i].name, IOT_LITERAL("x-amz-content-sha256")))
      status = use_given_hash(s, s->request->headers[i].value);
  if (status != IOT_OK || s->payload_hash.n)
    return status;
  if (!s->options->presign || !iot_view_equal(s->options->service, IOT_LITERAL("s3")))
    return compute_hash(s);
  s->payload_hash = IOT_LITERAL("UNSIGNED-PAYLOAD");
  return IOT_OK;
}

static enum iot_status collect_headers(struct signing *s)
{
  const struct iot_view token = s->options->credentials.session_token;
  enum iot_status status = IOT_OK;
  size_t i;

  for (i = 0; status == IOT_OK && i < s->request->header_count; i++) {
    const struct iot_header *header = &s->request->headers[i];

    if (!iot_sigv4_replaces_header(header->name) && !is_never_signed(header->name))
      status = add_header(s, header->name, header->value);
  }
  if (status == IOT_OK && !s->options->presign)
    status = add_header(s, IOT_LITERAL("x-amz-date"), iot_view_of(s->signer->amz_date));
  if (status == IOT_OK && !s->options->presign && signs_token(s->options))
    status = add_header(s, IOT_LITERAL("x-amz-security-token"), token);
  return status == IOT_OK ? find_payload_hash(s) : status;
}

static bool repeats_name(const struct signing *s, size_t i)
{
  return i > 0 && iot_view_same_name(s->headers[i].name, s->headers[i - 1].name);
}

/* Values trimmed and folded, also inside quotes (reference 3.1). */
static void append_canonical_headers(struct iot_buffer *out, const struct signing *s)
{
  size_t i;

  for (i = 0; i < s->header_count; i++) {
    if (repeats_name(s, i)) {
      iot_buffer_append_byte(out, ',');
    } else {
      append_text(out, i ? "\n" : "");
      iot_buffer_append_lower(out, s->headers[i].name);
      iot_buffer_append_byte(out, ':');
    }
    iot_buffer_append_folded(out, s->headers[i].value);
  }
  append_text(out, s->header_count ? "\n" : "");
}

static void append_signed_headers(struct iot_buffer *out, const struct signing *s)
{
  size_t i;

  for (i = 0; i < s->header_count; i++) {
    if (repeats_name(s, i))
      continue;
    append_text(out, i ? ";" : "");
    iot_buffer_append_lower(out, s->headers[i].name);
  }
}

/* The query of a presigned URL without its signature: the given one, then the parameters. */
static void build_presigned_query(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_QUERY];
  char middle[96];

  iot_buffer_append(out, s->request->query);
  append_text(out, s->request->query.n ? "&" : "");
  append_text(out, "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
  iot_uri_encode(out, s->options->credentials.access_key_id);
  append_text(out, "%2F");
  iot_uri_encode(out, text_of(s, IOT_SIGV4_SCOPE));
  snprintf(middle, sizeof middle,
      "&X-Amz-Date=%s&X-Amz-Expires=%d&X-Amz-SignedHeaders=", s->signer->amz_date,
      s->options->expires_in);
  append_text(out, middle);
  iot_uri_encode(out, text_of(s, IOT_SIGV4_SIGNED_HEADERS));
  if (signs_token(s->options)) {
    append_text(out, "&X-Amz-Security-Token=");
    iot_uri_encode(out, s->options->credentials.session_token);
  }
}

static void finish_presigned_query(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_QUERY];

  if (s->options->credentials.session_token.n && s->options->omit_session_token) {
    append_text(out, "&X-Amz-Security-Token=");
    iot_uri_encode(out, s->options->credentials.session_token);
  }
  append_text(out, "&X-Amz-Signature=");
  append_text(out, s->signer->signature);
}

static void build_canonical_request(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_CANONICAL_REQUEST];
  size_t i;

  for (i = 0; i < s->request->method.n; i++)
    iot_buffer_append_byte(out, iot_upper(s->request->method.p[i]));
  iot_buffer_append_byte(out, '\n');
  iot_uri_canonical_path(
      out, s->request->path, s->options->normalize_path, s->options->double_encode_path);
  iot_buffer_append_byte(out, '\n');
  iot_uri_canonical_query(
      out, s->options->presign ? text_of(s, IOT_SIGV4_QUERY) : s->request->query);
  iot_buffer_append_byte(out, '\n');
  append_canonical_headers(out, s);
  iot_buffer_append_byte(out, '\n');
  iot_buffer_append(out, text_of(s, IOT_SIGV4_SIGNED_HEADERS));
  iot_buffer_append_byte(out, '\n');
  iot_buffer_append(out, s->payload_hash);
}

/* DATE/REGION/SERVICE/aws4_request */
static void build_scope(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_SCOPE];

  iot_buffer_append(out, (struct iot_view){ s->signer->amz_date, 8 });
  iot_buffer_append_byte(out, '/');
  iot_buffer_append(out, s->options->region);
  iot_buffer_append_byte(out, '/');
  iot_buffer_append(out, s->options->service);
  append_text(out, "/" TERMINATOR);
}

static enum iot_status build_string_to_sign(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_STRING_TO_SIGN];
  unsigned char digest[IOT_SHA256_SIZE];
  char hex[IOT_HEX_SIZE];
  enum iot_status status = iot_sha256(digest, text_of(s, IOT_SIGV4_CANONICAL_REQUEST));

  if (status != IOT_OK)
    return status;
  iot_hex(hex, digest, sizeof digest);
  append_text(out, ALGORITHM "\n");
  append_text(out, s->signer->amz_date);
  iot_buffer_append_byte(out, '\n');
  iot_buffer_append(out, text_of(s, IOT_SIGV4_SCOPE));
  iot_buffer_append_byte(out, '\n');
  append_text(out, hex);
  return out->status;
}

/* The chain of MACs over date, region, service and terminator (reference 3.3). */
static enum iot_status derive_key(unsigned char key[IOT_SHA256_SIZE], const struct signing *s)
{
  const struct iot_view secret = s->options->credentials.secret_access_key;
  const struct iot_view chain[] = { s->options->region, s->options->service,
    IOT_LITERAL(TERMINATOR) };
  char seed[4 + IOT_SIGV4_MAX_SECRET];
  enum iot_status status;
  size_t i;

  memcpy(seed, "AWS4", 4);
  memcpy(seed + 4, secret.p, secret.n);
  status = iot_hmac_sha256(
      key, (struct iot_view){ seed, 4 + secret.n }, (struct iot_view){ s->signer->amz_date, 8 });
  iot_wipe(seed, sizeof seed);
  for (i = 0; status == IOT_OK && i < sizeof chain / sizeof *chain; i++)
    status = iot_hmac_sha256(key, (struct iot_view){ (char *)key, IOT_SHA256_SIZE }, chain[i]);
  return status;
}

/* Leave the signing key in the signer, derived only when the last one was another's. */
static enum iot_status find_key(const struct signing *s)
{
  struct iot_sigv4 *signer = s->signer;
  unsigned char id[IOT_SHA256_SIZE];
  enum iot_status status = iot_sha256_of_two(
      id, text_of(s, IOT_SIGV4_SCOPE), s->options->credentials.secret_access_key);

  if (status != IOT_OK || (signer->has_key && memcmp(id, signer->key_id, sizeof id) == 0))
    return status;
  signer->has_key = false;
  status = derive_key(signer->key, s);
  if (status == IOT_OK) {
    memcpy(signer->key_id, id, sizeof id);
    signer->has_key = true;
  }
  return status;
}

static enum iot_status build_signature(const struct signing *s)
{
  struct iot_sigv4 *signer = s->signer;
  unsigned char mac[IOT_SHA256_SIZE];
  enum iot_status status = find_key(s);

  if (status == IOT_OK)
    status = iot_hmac_sha256(mac, (struct iot_view){ (char *)signer->key, IOT_SHA256_SIZE },
        text_of(s, IOT_SIGV4_STRING_TO_SIGN));
  if (status == IOT_OK)
    iot_hex(signer->signature, mac, sizeof mac);
  return status;
}

static void build_authorization(const struct signing *s)
{
  struct iot_buffer *out = &s->signer->text[IOT_SIGV4_AUTHORIZATION];

  append_text(out, ALGORITHM " Credential=");
  iot_buffer_append(out, s->options->credentials.access_key_id);
  iot_buffer_append_byte(out, '/');
  iot_buffer_append(out, text_of(s, IOT_SIGV4_SCOPE));
  append_text(out, ", SignedHeaders=");
  iot_buffer_append(out, text_of(s, IOT_SIGV4_SIGNED_HEADERS));
  append_text(out, ", Signature=");
  append_text(out, s->signer->signature);
}

static enum iot_status first_failure(const struct iot_sigv4 *signer)
{
  enum iot_status status = IOT_OK;
  size_t i;

  for (i = 0; status == IOT_OK && i < IOT_SIGV4_TEXT_COUNT; i++)
    status = signer->text[i].status;
  return status;
}

static enum iot_status run_stages(struct signing *s)
{
  enum iot_status status = check_credentials(&s->options->credentials, s->error);

  if (status == IOT_OK)
    status = check_request(s);
  if (status == IOT_OK && iot_clock_format_amz(s->signer->amz_date, s->options->time) != IOT_OK)
    status = iot_fail(s->error, IOT_EPARAMETER, "the time is not in the years 1 to 9999");
  if (status == IOT_OK)
    status = collect_headers(s);
  if (status != IOT_OK)
    return status;
  build_scope(s);
  append_signed_headers(&s->signer->text[IOT_SIGV4_SIGNED_HEADERS], s);
  if (s->options->presign)
    build_presigned_query(s);
  build_canonical_request(s);
  status = first_failure(s->signer);
  if (status == IOT_OK)
    status = build_string_to_sign(s);
  if (status == IOT_OK)
    status = build_signature(s);
  if (status != IOT_OK)
    return status;
  if (s->options->presign)
    finish_presigned_query(s);
  else
    build_authorization(s);
  return first_failure(s->signer);
}

enum iot_status iot_sigv4_sign(struct iot_sigv4 *signer, const struct iot_sigv4_request *request,
    const struct iot_sigv4_options *options, struct iot_error *error)
{
  struct signing s;
  enum iot_status status;
  size_t i;

  s.signer = signer;
  s.request = request;
  s.options = options;
  s.error = error;
  s.header_count = 0;
  s.payload_hash = (struct iot_view){ NULL, 0 };
  error->message[0] = '\0';
  for (i = 0; i < IOT_SIGV4_TEXT_COUNT; i++)
    iot_buffer_clear(&signer->text[i]);
  status = run_stages(&s);
  if (status != IOT_OK && !error->message[0])
    status = iot_fail_request(error, status);
  return status;
}
