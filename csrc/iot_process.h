/*
 * Run a program to its end, without a shell and within a time limit.
 */
#ifndef IOT_PROCESS_H
#define IOT_PROCESS_H

#include <sys/types.h>

#include "iot_buffer.h"
#include "iot_interrupt.h"

enum {
  IOT_PROCESS_MAX_ARGUMENTS = 256,
  IOT_PROCESS_MAX_OUTPUT = 1 << 20 /* bytes of standard output, and of standard error */
};

struct iot_process {
  struct iot_buffer output; /* may hold secrets: wiped when freed */
  struct iot_buffer errors;
  int exit_status; /* 0 to 255, or -1 when a signal ended it */
  int signal;      /* the signal that did; else 0 */

  /* While it runs. */
  pid_t pid;       /* 0 for none */
  pid_t owner;     /* the process that started it */
  int fd[2];       /* the reading ends of its outputs; -1 once they are at their end */
  bool ended;      /* it has, but its outputs may not be read */
  double deadline; /* monotonic */
};

void iot_process_init(struct iot_process *process);

/* End it, if it runs, and free. Safe to call twice. */
void iot_process_free(struct iot_process *process);

/*
 * Start the program arguments[0], looked up in PATH unless it has a "/", with the arguments, which
 * end with NULL. It inherits standard input, environment, process group and terminal, so that it may ask
 * the user, but no other file or connection, and has the default handling of signals.
 *   process  one that runs nothing; what it read before is forgotten
 *   seconds  time limit
 * Returns IOT_OK, or IOT_ECONFIGURATION when it cannot be started; `error` says why, without the
 * arguments: they may be secret.
 */
IOT_NODISCARD enum iot_status iot_process_start(
    struct iot_process *process, char *const *arguments, double seconds, struct iot_error *error);

/*
 * Read what it has written, and see whether it has ended; waits for nothing. It is done when it has
 * ended and its outputs are read: to their end, or as far as they are written when a child of its own
 * keeps them open.
 * Returns IOT_OK whatever its exit status, which is 0 where SIGCHLD is ignored; IOT_ETIMEOUT, IOT_ETOOLARGE
 * past the limit of output, or IOT_ENOMEM, with the reason in `error`. Then, and when it is done, the
 * caller ends it.
 */
IOT_NODISCARD enum iot_status iot_process_step(
    struct iot_process *process, bool *done, struct iot_error *error);

/* When to step again: after so many seconds, or when one of its `count` open outputs, put into `fds`,
   can be read. */
double iot_process_patience(const struct iot_process *process, int fds[2], size_t *count);

/* Kill it, unless it has ended, and close its outputs; what it started itself goes on. Another process's,
   from before fork(), goes on too. What was read stays. Safe to call twice. */
void iot_process_end(struct iot_process *process);

/*
 * Start a program and wait until it is done.
 *   interrupt  may be NULL; the program is ended when it happens
 * Returns what iot_process_start and iot_process_step do, or IOT_EINTERRUPTED.
 */
IOT_NODISCARD enum iot_status iot_process_run(struct iot_process *process, char *const *arguments,
    double seconds, const struct iot_interrupt *interrupt, struct iot_error *error);

#endif
