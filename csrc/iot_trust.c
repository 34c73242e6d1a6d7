#include "iot_trust.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

static bool is_directory(const char *path)
{
  struct stat info;

  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A name such as "5ed36f99.0": the hash of a CA's subject, by which OpenSSL finds it. */
static bool is_hashed_name(const char *name)
{
  return strlen(name) > 9 && strspn(name, "0123456789abcdef") == 8 && name[8] == '.' &&
         name[9] >= '0' && name[9] <= '9';
}

/* Where a process that trusts the whole system need not parse a bundle. NULL: there is none. */
static const char *hashed_directory(const char *preferred)
{
  const char *path = preferred ? preferred : "/etc/ssl/certs";
  const struct dirent *entry;
  bool hashed = false;
  DIR *directory = opendir(path);

  if (!directory)
    return NULL;
  while (!hashed && (entry = readdir(directory)) != NULL)
    hashed = is_hashed_name(entry->d_name);
  closedir(directory);
  return hashed ? path : NULL;
}

struct iot_trust iot_trust_choose(const char *ca_bundle, const char *preferred)
{
  if (!ca_bundle)
    return (struct iot_trust){ NULL, hashed_directory(preferred) };
  if (is_directory(ca_bundle))
    return (struct iot_trust){ NULL, ca_bundle };
  return (struct iot_trust){ ca_bundle, NULL };
}
