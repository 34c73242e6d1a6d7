#include "iot_multi.h"

#include <math.h>
#include <stdlib.h>

#include "iot_clock.h"

enum { FIRST_CAPACITY = 16 };

/* In use, or the number of the next one that is free; 0 ends that list. */
struct slot {
  struct iot_job *job;
  size_t next_free;
};

struct iot_multi {
  struct iot_http_multi *http;
  struct slot *slots; /* slot 1 is the first */
  size_t capacity;
  size_t free;
  struct iot_job *ready, *last_ready;
};

void iot_job_free(struct iot_job *job)
{
  if (!job)
    return;
  iot_http_client_release(job->exchange);
  free(job);
}

enum iot_status iot_multi_open(
    struct iot_multi **multi, long max_connections, struct iot_error *error)
{
  struct iot_multi *m = calloc(1, sizeof *m);
  enum iot_status status;

  *multi = NULL;
  if (!m)
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  status = iot_http_multi_open(&m->http, max_connections, error);
  if (status != IOT_OK) {
    free(m);
    return status;
  }
  *multi = m;
  return IOT_OK;
}

void iot_multi_close(struct iot_multi *multi)
{
  size_t i;

  if (!multi)
    return;
  for (i = 0; i < multi->capacity; i++)
    iot_job_free(multi->slots[i].job);
  iot_http_multi_close(multi->http);
  free(multi->slots);
  free(multi);
}

bool iot_multi_is_own(const struct iot_multi *multi)
{
  return iot_http_multi_is_own(multi->http);
}

/* Make room when there is none; the new slots are free. */
static bool reserve_slot(struct iot_multi *multi)
{
  const size_t capacity = multi->capacity ? 2 * multi->capacity : FIRST_CAPACITY;
  struct slot *slots;
  size_t i;

  if (multi->free)
    return true;
  if (multi->capacity > (size_t)-1 / 4 / sizeof *slots)
    return false;
  slots = realloc(multi->slots, capacity * sizeof *slots);
  if (!slots)
    return false;
  multi->slots = slots;
  for (i = capacity; i > multi->capacity; i--) {
    slots[i - 1] = (struct slot){ NULL, multi->free };
    multi->free = i;
  }
  multi->capacity = capacity;
  return true;
}

static void put(struct iot_multi *multi, struct iot_job *job)
{
  struct slot *slot = &multi->slots[multi->free - 1];

  job->slot = multi->free;
  multi->free = slot->next_free;
  slot->job = job;
}

enum iot_status iot_multi_start(struct iot_multi *multi, struct iot_http_exchange *exchange,
    const struct iot_operation *operation, size_t *slot, struct iot_error *error)
{
  struct iot_job *job = reserve_slot(multi) ? calloc(1, sizeof *job) : NULL;
  enum iot_status status;

  if (!job) {
    iot_http_client_release(exchange);
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  }
  job->exchange = exchange;
  job->operation = operation;
  status = iot_http_multi_add(multi->http, exchange, job, error);
  if (status != IOT_OK) {
    iot_job_free(job);
    return status;
  }
  put(multi, job);
  *slot = job->slot;
  return IOT_OK;
}

static void append_ready(struct iot_multi *multi, struct iot_job *job)
{
  job->state = IOT_JOB_READY;
  job->previous = multi->last_ready;
  job->next = NULL;
  if (multi->last_ready)
    multi->last_ready->next = job;
  else
    multi->ready = job;
  multi->last_ready = job;
}

static void remove_ready(struct iot_multi *multi, struct iot_job *job)
{
  if (job->previous)
    job->previous->next = job->next;
  else
    multi->ready = job->next;
  if (job->next)
    job->next->previous = job->previous;
  else
    multi->last_ready = job->previous;
  job->state = IOT_JOB_TOLD;
}

void iot_multi_wait(struct iot_multi *multi, double seconds, const struct iot_interrupt *interrupt)
{
  const double end = iot_clock_monotonic() + seconds;
  struct iot_job *job;
  double left;

  for (;;) {
    iot_http_multi_perform(multi->http);
    while ((job = iot_http_multi_next(multi->http)))
      append_ready(multi, job);
    if (multi->ready)
      return;
    left = end - iot_clock_monotonic();
    if (!(left > 0) || iot_interrupted(interrupt))
      return;
    iot_http_multi_poll(multi->http, fmin(left, IOT_INTERRUPT_LOOK), NULL, 0);
  }
}

size_t iot_multi_next(struct iot_multi *multi)
{
  struct iot_job *job = multi->ready;

  if (!job)
    return 0;
  remove_ready(multi, job);
  return job->slot;
}

const struct iot_job *iot_multi_find(const struct iot_multi *multi, size_t slot)
{
  return slot >= 1 && slot <= multi->capacity ? multi->slots[slot - 1].job : NULL;
}

static struct iot_job *take(struct iot_multi *multi, size_t slot)
{
  struct iot_job *job = multi->slots[slot - 1].job;

  if (job->state == IOT_JOB_READY)
    remove_ready(multi, job);
  multi->slots[slot - 1] = (struct slot){ NULL, multi->free };
  multi->free = slot;
  return job;
}

struct iot_job *iot_multi_take(struct iot_multi *multi, size_t slot)
{
  const struct iot_job *job = iot_multi_find(multi, slot);

  return job && job->state != IOT_JOB_UNDER_WAY ? take(multi, slot) : NULL;
}

void iot_multi_cancel(struct iot_multi *multi, size_t slot)
{
  if (iot_multi_find(multi, slot))
    iot_job_free(take(multi, slot));
}
