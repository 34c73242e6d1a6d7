#include "iot_terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

int iot_terminal_width(int descriptor)
{
  struct winsize size;

  if (!isatty(descriptor))
    return 0;
  if (ioctl(descriptor, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
    return IOT_TERMINAL_COLUMNS;
  return size.ws_col;
}

static bool is_pending(int number)
{
  sigset_t pending;

  return sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
}

bool iot_terminal_write(FILE *stream, struct iot_view text)
{
  const bool was_pending = is_pending(SIGPIPE);
  sigset_t pipe_only, before;
  bool written;
  int number, reason;

  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  written = fwrite(text.p, 1, text.n, stream) == text.n && fflush(stream) == 0;
  reason = errno;
  /* A write's own SIGPIPE goes to its thread, and waits there. */
  if (!was_pending && is_pending(SIGPIPE))
    sigwait(&pipe_only, &number);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = reason;
  return written;
}
