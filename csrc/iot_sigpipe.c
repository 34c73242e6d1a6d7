#include "iot_sigpipe.h"

#include <errno.h>
#include <stddef.h>

static bool is_pending(int number)
{
  sigset_t pending;

  return sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
}

static sigset_t only(int number)
{
  sigset_t set;

  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}

void iot_sigpipe_hold(struct iot_sigpipe *held)
{
  const sigset_t pipe_only = only(SIGPIPE);

  held->was_pending = is_pending(SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &held->mask);
}

void iot_sigpipe_release(const struct iot_sigpipe *held)
{
  const sigset_t pipe_only = only(SIGPIPE);
  const int reason = errno;
  int number;

  /* A write's own SIGPIPE goes to its thread, and waits there. */
  if (!held->was_pending && is_pending(SIGPIPE))
    sigwait(&pipe_only, &number);
  pthread_sigmask(SIG_SETMASK, &held->mask, NULL);
  errno = reason;
}
