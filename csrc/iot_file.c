#include "iot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iot_clock.h"

enum iot_status iot_file_check(const char *path, bool or_directory, const char *what,
    enum iot_status refusal, struct iot_error *error)
{
  const char *reason = NULL;
  struct stat info;

  if (access(path, R_OK) != 0 || stat(path, &info) != 0)
    reason = strerror(errno);
  else if (S_ISDIR(info.st_mode))
    reason = or_directory ? NULL : strerror(EISDIR);
  else if (!S_ISREG(info.st_mode))
    reason = "it is no plain file";
  else if (info.st_size > IOT_FILE_MAX_PEM)
    reason = "it is too large to be one";
  return reason ? iot_fail(error, refusal, "%s%s: %s", what, path, reason) : IOT_OK;
}

/* Read to the end. 0, or the reason as in errno. */
static int read_all(struct iot_buffer *out, int fd)
{
  const double deadline = iot_clock_monotonic() + IOT_FILE_PATIENCE;
  struct pollfd polled = { .fd = fd, .events = POLLIN };
  char room[4096];
  int reason = 0;
  ssize_t n;

  while (!reason && (n = read(fd, room, sizeof room)) != 0 && out->status == IOT_OK) {
    if (n > 0)
      iot_buffer_append(out, (struct iot_view){ room, (size_t)n });
    else if (errno != EAGAIN && errno != EINTR)
      reason = errno;
    else if (iot_clock_monotonic() >= deadline)
      reason = ETIMEDOUT;
    else
      poll(&polled, 1, 100);
  }
  iot_wipe(room, sizeof room);
  return reason;
}

enum iot_status iot_file_read(
    struct iot_buffer *out, const char *path, bool *missing, struct iot_error *error)
{
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int reason;

  *missing = fd < 0 && errno == ENOENT;
  if (fd < 0)
    return iot_fail(error, IOT_ECONFIGURATION, "%s", strerror(errno));
  reason = read_all(out, fd);
  close(fd);
  if (reason)
    return iot_fail(error, reason == ETIMEDOUT ? IOT_ETIMEOUT : IOT_ECONFIGURATION, "%s",
        reason == ETIMEDOUT ? "nobody writes to it" : strerror(reason));
  if (out->status == IOT_ETOOLARGE)
    return iot_fail(error, IOT_ETOOLARGE, "it is larger than %zu bytes", out->max);
  return out->status == IOT_OK ? IOT_OK
                               : iot_fail(error, out->status, "%s", iot_status_text(out->status));
}

static bool write_all(int fd, struct iot_view text)
{
  while (text.n) {
    const ssize_t n = write(fd, text.p, text.n);

    if (n < 0 && errno != EINTR)
      return false;
    if (n > 0) {
      text.p += n;
      text.n -= (size_t)n;
    }
  }
  return fsync(fd) == 0;
}

enum iot_status iot_file_replace(const char *path, struct iot_view text, struct iot_error *error)
{
  static const char suffix[] = ".XXXXXX";
  const size_t length = strlen(path);
  enum iot_status status = IOT_OK;
  char *temporary = malloc(length + sizeof suffix);
  int fd, reason;

  if (!temporary)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  memcpy(temporary, path, length);
  memcpy(temporary + length, suffix, sizeof suffix);
  fd = mkstemp(temporary); /* mode 0600 */
  if (fd < 0) {
    status = iot_fail(error, IOT_ECONFIGURATION, "%s: %s", path, strerror(errno));
    goto done;
  }
  reason = write_all(fd, text) ? 0 : errno;
  if (close(fd) != 0 && !reason)
    reason = errno;
  if (!reason && rename(temporary, path) != 0)
    reason = errno;
  if (reason) {
    unlink(temporary);
    status = iot_fail(error, IOT_ECONFIGURATION, "%s: %s", path, strerror(reason));
  }
done:
  free(temporary);
  return status;
}
