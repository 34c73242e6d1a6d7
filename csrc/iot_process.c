#include "iot_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iot_clock.h"

extern char **environ;

/* Seconds between two looks at whether it has ended: while it keeps its outputs open, and when it has
   closed them, which mostly is when it ends. */
static const double LOOK_AGAIN = 0.05, LOOK_SOON = 0.002;

void iot_process_init(struct iot_process *process)
{
  memset(process, 0, sizeof *process);
  iot_buffer_init(&process->output, IOT_PROCESS_MAX_OUTPUT);
  iot_buffer_init(&process->errors, IOT_PROCESS_MAX_OUTPUT);
  process->fd[0] = process->fd[1] = -1;
}

void iot_process_free(struct iot_process *process)
{
  iot_process_end(process);
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

/* The host's connections, say, which are not all closed by exec. */
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
/* <spawn.h> has it for _GNU_SOURCE alone. */
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

static int close_others(posix_spawn_file_actions_t *actions)
{
  return posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}
#else
static int close_others(posix_spawn_file_actions_t *actions)
{
  DIR *folder = opendir("/dev/fd"); /* where there is none, they stay */
  const struct dirent *entry;
  int failed = 0;

  while (folder && !failed && (entry = readdir(folder)) != NULL) {
    const int fd = (int)strtol(entry->d_name, NULL, 10);

    if (fd > STDERR_FILENO && fd != dirfd(folder))
      failed = posix_spawn_file_actions_addclose(actions, fd);
  }
  if (folder)
    closedir(folder);
  return failed;
}
#endif

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
      failed = close_others(&actions);
    if (!failed)
      failed = set_attributes(&attributes);
    if (!failed)
      failed = posix_spawnp(pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

enum iot_status iot_process_start(
    struct iot_process *process, char *const *arguments, double seconds, struct iot_error *error)
{
  int writing[2] = { -1, -1 }, failed;

  iot_buffer_clear(&process->output);
  iot_buffer_clear(&process->errors);
  process->owner = getpid();
  process->ended = false;
  process->deadline = iot_clock_monotonic() + seconds;
  if (make_pipe(&process->fd[0], &writing[0]) && make_pipe(&process->fd[1], &writing[1]))
    failed = spawn(&process->pid, arguments, writing);
  else
    failed = errno;
  close_descriptor(&writing[0]);
  close_descriptor(&writing[1]);
  if (!failed)
    return IOT_OK;
  process->pid = 0;
  iot_process_end(process);
  return iot_fail(error, IOT_ECONFIGURATION, "it cannot be started: %s", strerror(failed));
}

/* Take what is there; close at the end. IOT_ETOOLARGE past the limit of output. */
static enum iot_status read_output(int *fd, struct iot_buffer *bytes)
{
  char room[4096];
  ssize_t n;

  if (*fd < 0)
    return IOT_OK;
  n = read(*fd, room, sizeof room);
  if (n > 0)
    iot_buffer_append(bytes, (struct iot_view){ room, (size_t)n });
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    close_descriptor(fd);
  iot_wipe(room, sizeof room);
  return bytes->status;
}

/* Whether it has ended, and how. Where SIGCHLD is ignored the system keeps no status: 0, then. */
static bool has_ended(struct iot_process *process)
{
  int status;
  pid_t ended = waitpid(process->pid, &status, WNOHANG);

  if (ended == 0 || (ended < 0 && errno == EINTR))
    return false;
  if (ended < 0)
    status = 0;
  process->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return true;
}

static bool is_open(const struct iot_process *process)
{
  return process->fd[0] >= 0 || process->fd[1] >= 0;
}

enum iot_status iot_process_step(struct iot_process *process, bool *done, struct iot_error *error)
{
  enum iot_status status;
  size_t before;
  bool news;

  *done = false;
  do {
    before = process->output.n + process->errors.n;
    status = read_output(&process->fd[0], &process->output);
    if (status == IOT_OK)
      status = read_output(&process->fd[1], &process->errors);
    if (status == IOT_ETOOLARGE)
      return iot_fail(error, status, "it wrote more than %d bytes", (int)IOT_PROCESS_MAX_OUTPUT);
    if (status != IOT_OK)
      return iot_fail(error, status, "%s", iot_status_text(status));
    news = process->output.n + process->errors.n != before;
    if (process->ended && !(news && is_open(process))) {
      *done = true;
      return IOT_OK;
    }
    process->ended = process->ended || has_ended(process);
  } while (news || process->ended);
  if (iot_clock_monotonic() >= process->deadline)
    return iot_fail(error, IOT_ETIMEOUT, "it did not end in time");
  return IOT_OK;
}

double iot_process_patience(const struct iot_process *process, int fds[2], size_t *count)
{
  int i;

  *count = 0;
  for (i = 0; i < 2; i++)
    if (process->fd[i] >= 0)
      fds[(*count)++] = process->fd[i];
  return *count ? fmin(LOOK_AGAIN, process->deadline - iot_clock_monotonic()) : LOOK_SOON;
}

void iot_process_end(struct iot_process *process)
{
  const bool runs = process->pid > 0 && !process->ended && process->owner == getpid();
  int i;

  close_descriptor(&process->fd[0]);
  close_descriptor(&process->fd[1]);
  /* One that has become another user's may not be ended, and goes on by itself. */
  if (runs && kill(process->pid, SIGKILL) == 0)
    for (i = 0; i < 1000 && waitpid(process->pid, NULL, WNOHANG) == 0; i++)
      iot_clock_sleep(0.001);
  process->pid = 0;
}

enum iot_status iot_process_run(struct iot_process *process, char *const *arguments, double seconds,
    const struct iot_interrupt *interrupt, struct iot_error *error)
{
  enum iot_status status = iot_process_start(process, arguments, seconds, error);
  struct pollfd polled[2];
  double patience;
  int fds[2];
  size_t count, i;
  bool done;

  while (status == IOT_OK) {
    status = iot_process_step(process, &done, error);
    if (status != IOT_OK || done)
      break;
    if (iot_interrupted(interrupt)) {
      status = iot_fail(error, IOT_EINTERRUPTED, "%s", iot_status_text(IOT_EINTERRUPTED));
      break;
    }
    patience = iot_process_patience(process, fds, &count);
    for (i = 0; i < count; i++)
      polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    poll(polled, count, (int)iot_clock_milliseconds(patience));
  }
  iot_process_end(process);
  return status;
}
