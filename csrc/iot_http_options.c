#include "iot_http_options.h"

#include <stdlib.h>
#include <string.h>

#include "iot_file.h"
#include "iot_uri.h"

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

enum iot_status iot_http_settings_copy(struct iot_http_settings *settings,
    const struct iot_http_options *options, struct iot_error *error)
{
  enum iot_status status;

  settings->allow_plain = options->allow_plain;
  settings->connect_timeout = options->connect_timeout;
  settings->read_timeout = options->read_timeout;
  settings->in_pieces = options->in_pieces;
  status = copy_text(&settings->ca_bundle, options->ca_bundle, IOT_ECABUNDLE, error);
  if (status == IOT_OK)
    status = copy_text(&settings->proxy, options->proxy, IOT_ECONFIGURATION, error);
  if (status == IOT_OK)
    status = copy_text(
        &settings->client_certificate, options->client_certificate, IOT_ECONFIGURATION, error);
  if (status == IOT_OK)
    status = copy_text(&settings->client_key, options->client_key, IOT_ECONFIGURATION, error);
  if (status == IOT_OK && options->proxy.n && !iot_url_is_proxy(options->proxy))
    status = iot_fail(error, IOT_ECONFIGURATION, "it is no URL of a proxy");
  if (status == IOT_OK && settings->ca_bundle)
    status = iot_file_check(settings->ca_bundle, true, "", IOT_ECABUNDLE, error);
  if (status == IOT_OK && settings->client_certificate)
    status = iot_file_check(settings->client_certificate, false, "the client's certificate ",
        IOT_ECONFIGURATION, error);
  if (status == IOT_OK && settings->client_key)
    status = iot_file_check(
        settings->client_key, false, "the client's key ", IOT_ECONFIGURATION, error);
  return status;
}

void iot_http_settings_free(struct iot_http_settings *settings)
{
  free(settings->ca_bundle);
  if (settings->proxy) /* it may hold a password */
    iot_wipe(settings->proxy, strlen(settings->proxy));
  free(settings->proxy);
  free(settings->client_certificate);
  free(settings->client_key);
  memset(settings, 0, sizeof *settings);
}
