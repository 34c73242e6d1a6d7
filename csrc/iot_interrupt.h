/*
 * Whether waiting should end early: what everything that waits asks after each wake-up.
 *
 * A signal makes poll() and the like return, but what it means is known to the host alone.
 */
#ifndef IOT_INTERRUPT_H
#define IOT_INTERRUPT_H

#include <stdbool.h>

/* Seconds to wait at a time: a signal that comes just before a system call does not end it. */
#define IOT_INTERRUPT_LOOK 0.5

struct iot_interrupt {
  bool (*happened)(void *context); /* is quick, and changes nothing */
  void *context;
};

/* Whether it happened. NULL: never. */
bool iot_interrupted(const struct iot_interrupt *interrupt);

/* Sleep for `seconds`, also when signals come; false when it was interrupted. */
bool iot_interrupt_sleep(double seconds, const struct iot_interrupt *interrupt);

/* End the process as an interrupt from the terminal does: what comes of it tells the shell. Returns where the signal
   is blocked. */
void iot_interrupt_die(void);

#endif
