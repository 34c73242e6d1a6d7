#include "iot_trust.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

bool iot_trust_is_directory(const char *path)
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

const char *iot_trust_hashed_directory(const char *preferred)
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
