/*
 * Writing to what nobody reads any more, without the signal that ends a process.
 */
#ifndef IOT_SIGPIPE_H
#define IOT_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct iot_sigpipe {
  sigset_t mask; /* of the thread, before */
  bool was_pending;
};

/* Hold SIGPIPE back from the calling thread until iot_sigpipe_release: no handler of the process is touched. */
void iot_sigpipe_hold(struct iot_sigpipe *held);

/* Drop the SIGPIPE that has come since, and go on as before. Does not change errno. */
void iot_sigpipe_release(const struct iot_sigpipe *held);

#endif
