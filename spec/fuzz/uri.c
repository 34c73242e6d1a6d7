/*
 * Fuzzes csrc/iot_uri.c. The input: a path, a query and a URL, a line each.
 */
#include "fuzz.h"
#include "iot_uri.h"
#include "plain.h"

enum { MAX = 1 << 20 };

static void check_encode(struct iot_view text)
{
  struct plain_text plain = { 0 }, back = { 0 };
  struct iot_buffer out;

  iot_buffer_init(&out, MAX);
  iot_uri_encode(&out, text);
  MUST(out.status == IOT_OK && fuzz_holds_only(iot_buffer_view(&out), PLAIN_UNRESERVED "%"));
  plain_append(&plain, "", 0);
  plain_encode(&plain, text, false);
  MUST(iot_view_equal(iot_buffer_view(&out), (struct iot_view){ plain.p, plain.n }));
  plain_decode(&back, iot_buffer_view(&out));
  MUST(iot_view_equal((struct iot_view){ back.p, back.n }, text));
  free(plain.p);
  free(back.p);
  iot_buffer_free(&out);
}

static void check_path(struct iot_view path, bool normalize, bool double_encode)
{
  struct plain_text plain = { 0 };
  struct iot_buffer once, twice;

  iot_buffer_init(&once, MAX);
  iot_buffer_init(&twice, MAX);
  iot_uri_canonical_path(&once, path, normalize, double_encode);
  MUST(once.status == IOT_OK && once.n > 0);
  MUST(fuzz_holds_only(iot_buffer_view(&once), PLAIN_UNRESERVED "%/"));
  MUST(!normalize || once.p[0] == '/');
  plain_path(&plain, path, normalize, !double_encode);
  MUST(iot_view_equal(iot_buffer_view(&once), (struct iot_view){ plain.p, plain.n }));
  iot_uri_canonical_path(&twice, iot_buffer_view(&once), normalize, false);
  MUST(iot_view_equal(iot_buffer_view(&once), iot_buffer_view(&twice)));
  MUST(iot_uri_is_path(iot_buffer_view(&once)));
  free(plain.p);
  iot_buffer_free(&once);
  iot_buffer_free(&twice);
}

static void check_query(struct iot_view query)
{
  struct plain_text plain = { 0 };
  struct iot_buffer once, twice;

  iot_buffer_init(&once, MAX);
  iot_buffer_init(&twice, MAX);
  iot_uri_canonical_query(&once, query);
  MUST(once.status == IOT_OK && fuzz_holds_only(iot_buffer_view(&once), PLAIN_UNRESERVED "%&="));
  plain_query(&plain, query);
  MUST(iot_view_equal(iot_buffer_view(&once), (struct iot_view){ plain.p, plain.n }));
  iot_uri_canonical_query(&twice, iot_buffer_view(&once));
  MUST(iot_view_equal(iot_buffer_view(&once), iot_buffer_view(&twice)));
  free(plain.p);
  iot_buffer_free(&once);
  iot_buffer_free(&twice);
}

/* What was taken apart, put together again, comes apart the same way. */
static void check_again(const struct iot_url *url)
{
  struct iot_buffer text;
  struct iot_error error;
  struct iot_url again;

  iot_buffer_init(&text, MAX);
  iot_buffer_append(&text, iot_view_of(url->https ? "HTTPS://" : "http://"));
  iot_url_append_host(&text, url);
  iot_buffer_append(&text, url->path);
  if (url->query.n) {
    iot_buffer_append_byte(&text, '?');
    iot_buffer_append(&text, url->query);
  }
  MUST(iot_url_parse(&again, iot_buffer_view(&text), &error) == IOT_OK);
  MUST(again.https == url->https && again.port == url->port);
  MUST(iot_view_same_name(again.host, url->host));
  MUST(iot_view_equal(again.path, url->path) && iot_view_equal(again.query, url->query));
  iot_buffer_clear(&text);
  iot_url_append_host(&text, url);
  MUST(iot_url_is_proxy(iot_buffer_view(&text)));
  iot_buffer_free(&text);
}

static void check_url(struct iot_view text)
{
  struct iot_error error = { "" };
  struct iot_url url;

  (void)iot_url_is_proxy(text);
  if (iot_url_parse(&url, text, &error) != IOT_OK) {
    MUST(error.message[0] != '\0' && strlen(error.message) < sizeof error.message);
    return;
  }
  MUST(url.port >= 1 && url.port <= 65535 && url.host.n >= 1 && url.host.n <= 255);
  MUST(fuzz_holds_only(url.host, PLAIN_UNRESERVED "[]:"));
  MUST(url.path.n == 0 || url.path.p[0] == '/');
  MUST(!memchr(text.p, '#', text.n) && !iot_view_breaks_line(text));
  check_again(&url);
}

/* Behind each "://" nothing but "*" stands before the last "@" of a word. */
static void check_hidden(struct iot_view text)
{
  char *shown = iot_view_duplicate(text), *before = iot_view_duplicate(text), *start, *at;
  size_t i;

  MUST(shown && before);
  iot_url_hide_user_information(shown);
  MUST(strlen(shown) == strlen(before));
  for (i = 0; shown[i]; i++)
    MUST(shown[i] == before[i] || shown[i] == '*');
  for (start = strstr(shown, "://"); start; start = strstr(start, "://")) {
    start += 3;
    for (at = start + strcspn(start, " '\""); at > start && *at != '@'; at--)
      ;
    MUST(*at != '@' || strspn(start, "*") == (size_t)(at - start));
  }
  free(shown);
  free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct iot_view rest = { (const char *)data, size };
  const struct iot_view path = fuzz_copy(iot_view_cut(&rest, '\n'));
  const struct iot_view query = fuzz_copy(iot_view_cut(&rest, '\n'));
  const struct iot_view url = fuzz_copy(rest);
  int form;

  check_encode(path);
  for (form = 0; form < 4; form++)
    check_path(path, form & 1, form & 2);
  check_query(query);
  check_url(url);
  check_hidden(url);
  fuzz_free(path);
  fuzz_free(query);
  fuzz_free(url);
  return 0;
}
