#include "iot_status.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
  const char *name;
  const char *text;
} statuses[IOT_STATUS_COUNT] = {
  [IOT_OK] = { "Ok", "no failure" },
  [IOT_ENOMEM] = { "OutOfMemory", "not enough memory" },
  [IOT_EPARAMETER] = { "InvalidParameter", "a parameter is not valid" },
  [IOT_ECREDENTIALS] = { "InvalidCredentials", "the credentials are not valid" },
  [IOT_EENDPOINT] = { "InvalidEndpoint", "the endpoint is not a valid URL" },
  [IOT_ECONFIGURATION] = { "InvalidConfiguration", "an option cannot be used" },
  [IOT_ECABUNDLE] = { "InvalidCABundle", "the CA bundle cannot be used" },
  [IOT_ECRYPTO] = { "CryptoFailed", "the cryptographic library refused an operation" },
  [IOT_ERESOLVE] = { "NameResolutionFailed", "the host name was not found" },
  [IOT_ECONNECT] = { "ConnectionFailed", "no connection could be made" },
  [IOT_EPROXY] = { "ProxyFailed", "the proxy could not be used" },
  [IOT_ETLS] = { "TLSHandshakeFailed", "the TLS handshake failed" },
  [IOT_ECERTIFICATE] = { "CertificateInvalid", "the server's certificate was not accepted" },
  [IOT_ELOST] = { "ConnectionLost", "the connection ended before the whole reply had come" },
  [IOT_ETIMEOUT] = { "Timeout", "a time limit passed" },
  [IOT_ERESPONSE] = { "MalformedResponse", "the reply could not be understood" },
  [IOT_ETOOLARGE] = { "ResponseTooLarge", "the reply exceeds the size limit" },
  [IOT_EINTERRUPTED] = { "Interrupted", "a signal, such as Ctrl-C, ended the waiting" },
};

const char *iot_status_name(enum iot_status status)
{
  return statuses[(unsigned)status < IOT_STATUS_COUNT ? status : IOT_ERESPONSE].name;
}

const char *iot_status_text(enum iot_status status)
{
  return statuses[(unsigned)status < IOT_STATUS_COUNT ? status : IOT_ERESPONSE].text;
}

enum iot_status iot_fail(struct iot_error *error, enum iot_status status, const char *format, ...)
{
  va_list arguments;
  char *c;

  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  for (c = error->message; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f)
      *c = ' ';
  return status;
}

enum iot_status iot_fail_request(struct iot_error *error, enum iot_status status)
{
  if (status == IOT_ETOOLARGE)
    return iot_fail(error, IOT_EPARAMETER, "the request is too large");
  return iot_fail(error, status, "%s", iot_status_text(status));
}
