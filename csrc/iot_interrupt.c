#include "iot_interrupt.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>

#include "iot_clock.h"

bool iot_interrupted(const struct iot_interrupt *interrupt)
{
  return interrupt && interrupt->happened(interrupt->context);
}

bool iot_interrupt_sleep(double seconds, const struct iot_interrupt *interrupt)
{
  const double end = iot_clock_monotonic() + seconds;

  while (seconds > 0 && !iot_interrupted(interrupt)) {
    iot_clock_sleep(fmin(seconds, IOT_INTERRUPT_LOOK));
    seconds = end - iot_clock_monotonic();
  }
  return !iot_interrupted(interrupt);
}

void iot_interrupt_die(void)
{
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}
