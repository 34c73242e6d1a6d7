#include "iot_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iot_clock.h"

extern char **environ;

/* Seconds between two looks at whether it has ended while it keeps its outputs open. */
static const double LOOK_AGAIN = 0.05;

/* The reading ends of the program's two outputs, -1 once they are at their end. */
struct outputs {
  int fd[2];
  struct iot_buffer *bytes[2];
};

void iot_process_init(struct iot_process *process)
{
  iot_buffer_init(&process->output, IOT_PROCESS_MAX_OUTPUT);
  iot_buffer_init(&process->errors, IOT_PROCESS_MAX_OUTPUT);
  process->exit_status = 0;
  process->signal = 0;
}

void iot_process_free(struct iot_process *process)
{
  iot_buffer_free(&process->output);
  iot_buffer_free(&process->errors);
}

static void close_descriptor(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static bool make_pipe(int *reading, int *writing)
{
  int fds[2];

  if (pipe(fds) != 0)
    return false;
  *reading = fds[0];
  *writing = fds[1];
  return fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(fds[1], F_SETFD, FD_CLOEXEC) == 0 &&
         fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0;
}

/* The child gets default signal handling and an empty mask, whatever the host program does. */
static int set_attributes(posix_spawnattr_t *attributes)
{
  sigset_t all, none;
  int failed = 0;

  sigfillset(&all);
  sigemptyset(&none);
  failed |= posix_spawnattr_setsigdefault(attributes, &all);
  failed |= posix_spawnattr_setsigmask(attributes, &none);
  failed |= posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  return failed;
}

/* 0, or the reason as in errno. */
static int spawn(pid_t *pid, char *const *arguments, const int writing[2])
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int failed = posix_spawn_file_actions_init(&actions);

  if (failed)
    return failed;
  failed = posix_spawnattr_init(&attributes);
  if (!failed) {
    failed = posix_spawn_file_actions_adddup2(&actions, writing[0], STDOUT_FILENO);
    if (!failed)
      failed = posix_spawn_file_actions_adddup2(&actions, writing[1], STDERR_FILENO);
    if (!failed)
      failed = set_attributes(&attributes);
    if (!failed)
      failed = posix_spawnp(pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

/* Take what is there; close at the end. False past the limit of output, or without memory. */
static bool read_output(struct outputs *outputs, int i)
{
  char room[4096];
  const ssize_t n = read(outputs->fd[i], room, sizeof room);

  if (n > 0)
    iot_buffer_append(outputs->bytes[i], (struct iot_view){ room, (size_t)n });
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    close_descriptor(&outputs->fd[i]);
  iot_wipe(room, sizeof room);
  return outputs->bytes[i]->status == IOT_OK;
}

/* Whether it has ended, and how. Where SIGCHLD is ignored the system keeps no status: 0, then. */
static bool has_ended(struct iot_process *process, pid_t pid)
{
  int status;
  pid_t ended = waitpid(pid, &status, WNOHANG);

  if (ended == 0 || (ended < 0 && errno == EINTR))
    return false;
  if (ended < 0)
    status = 0;
  process->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return true;
}

/* Read what there is, waiting at most `seconds` for it. */
static bool read_outputs(struct outputs *outputs, double seconds)
{
  struct pollfd polled[2];
  bool good = true;
  int i;

  for (i = 0; i < 2; i++)
    polled[i] = (struct pollfd){ .fd = outputs->fd[i], .events = POLLIN };
  if (poll(polled, 2, (int)iot_clock_milliseconds(seconds)) <= 0)
    return true;
  for (i = 0; i < 2; i++)
    if (polled[i].revents)
      good = read_output(outputs, i) && good;
  return good;
}

/* Until it has ended and its outputs are read: to their end, or as far as they are written when a child
   of its own keeps them open. */
static enum iot_status attend(struct iot_process *process, struct outputs *outputs, pid_t pid,
    double deadline, const struct iot_interrupt *interrupt, struct iot_error *error)
{
  bool ended = false;
  size_t before;

  for (;;) {
    const double left = deadline - iot_clock_monotonic();
    const bool open = outputs->fd[0] >= 0 || outputs->fd[1] >= 0;

    before = process->output.n + process->errors.n;
    if (!read_outputs(outputs, ended ? 0 : left < LOOK_AGAIN || !open ? 0.002 : LOOK_AGAIN))
      return iot_fail(
          error, IOT_ETOOLARGE, "it wrote more than %d bytes", (int)IOT_PROCESS_MAX_OUTPUT);
    if (ended && (!open || process->output.n + process->errors.n == before))
      return IOT_OK;
    ended = ended || has_ended(process, pid);
    if (!ended && left <= 0)
      return iot_fail(error, IOT_ETIMEOUT, "it did not end in time");
    if (!ended && iot_interrupted(interrupt))
      return iot_fail(error, IOT_EINTERRUPTED, "%s", iot_status_text(IOT_EINTERRUPTED));
  }
}

/* End it, unless it may not be ended: one that has become another user's goes on by itself. */
static void end_process(pid_t pid)
{
  int i;

  if (kill(pid, SIGKILL) != 0)
    return;
  for (i = 0; i < 1000 && waitpid(pid, NULL, WNOHANG) == 0; i++)
    iot_clock_sleep(0.001);
}

enum iot_status iot_process_run(struct iot_process *process, char *const *arguments, double seconds,
    const struct iot_interrupt *interrupt, struct iot_error *error)
{
  const double deadline = iot_clock_monotonic() + seconds;
  struct outputs outputs = { { -1, -1 }, { &process->output, &process->errors } };
  int writing[2] = { -1, -1 }, failed;
  enum iot_status status = IOT_OK;
  pid_t pid = 0;

  iot_buffer_clear(&process->output);
  iot_buffer_clear(&process->errors);
  if (make_pipe(&outputs.fd[0], &writing[0]) && make_pipe(&outputs.fd[1], &writing[1]))
    failed = spawn(&pid, arguments, writing);
  else
    failed = errno;
  close_descriptor(&writing[0]);
  close_descriptor(&writing[1]);
  if (failed) {
    status = iot_fail(error, IOT_ECONFIGURATION, "it cannot be started: %s", strerror(failed));
    goto done;
  }
  status = attend(process, &outputs, pid, deadline, interrupt, error);
  if (status != IOT_OK)
    end_process(pid);
done:
  close_descriptor(&outputs.fd[0]);
  close_descriptor(&outputs.fd[1]);
  return status;
}
