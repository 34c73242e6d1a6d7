/*
 * Run a program to its end, without a shell and within a time limit.
 */
#ifndef IOT_PROCESS_H
#define IOT_PROCESS_H

#include "iot_buffer.h"
#include "iot_interrupt.h"

enum {
  IOT_PROCESS_MAX_ARGUMENTS = 256,
  IOT_PROCESS_MAX_OUTPUT = 1 << 20 /* bytes of standard output, and of standard error */
};

/* All zero is the inert state. */
struct iot_process {
  struct iot_buffer output; /* may hold secrets: wiped when freed */
  struct iot_buffer errors;
  int exit_status; /* 0 to 255, or -1 when a signal ended it */
  int signal;      /* the signal that did; else 0 */
};

void iot_process_init(struct iot_process *process);
void iot_process_free(struct iot_process *process);

/*
 * Start the program arguments[0], looked up in PATH unless it has a "/", with the arguments, which
 * end with NULL. It inherits standard input, environment, process group and terminal, so that it may ask
 * the user, and has the default handling of signals. Waits until it has ended, and reads what it wrote.
 *   seconds    time limit; it is killed when that has passed, what it started itself is not
 *   interrupt  may be NULL; it is killed when it happens
 * Returns IOT_OK whatever its exit status, which is 0 where SIGCHLD is ignored; IOT_ECONFIGURATION when
 * it cannot be started, IOT_ETIMEOUT, IOT_EINTERRUPTED, IOT_ETOOLARGE past the limit of
 * output (it is killed), or IOT_ENOMEM; `error` says why, without the arguments: they may be secret.
 */
IOT_NODISCARD enum iot_status iot_process_run(struct iot_process *process, char *const *arguments,
    double seconds, const struct iot_interrupt *interrupt, struct iot_error *error);

#endif
