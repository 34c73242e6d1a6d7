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

struct list {
  struct iot_job *first, *last;
};

struct iot_multi {
  struct iot_http_multi *http;
  struct slot *slots; /* slot 1 is the first */
  size_t capacity;
  size_t free;
  struct list ready;
  struct list programs;  /* that run */
  struct list downloads; /* that someone waits for a piece of */
};

bool iot_job_is_download(const struct iot_job *job)
{
  return job->exchange && job->exchange->in_pieces;
}

void iot_job_free(struct iot_job *job)
{
  if (!job)
    return;
  iot_http_client_release(job->exchange);
  if (job->program)
    iot_process_free(&job->program->process);
  free(job->program);
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

static void append(struct list *list, struct iot_job *job)
{
  job->previous = list->last;
  job->next = NULL;
  if (list->last)
    list->last->next = job;
  else
    list->first = job;
  list->last = job;
}

static void unlink_job(struct list *list, struct iot_job *job)
{
  if (job->previous)
    job->previous->next = job->next;
  else
    list->first = job->next;
  if (job->next)
    job->next->previous = job->previous;
  else
    list->last = job->previous;
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
  if (iot_job_is_download(job))
    job->state = IOT_JOB_TOLD;
  status = iot_http_multi_add(multi->http, exchange, job, error);
  if (status != IOT_OK) {
    iot_job_free(job);
    return status;
  }
  put(multi, job);
  *slot = job->slot;
  return IOT_OK;
}

enum iot_status iot_multi_run(struct iot_multi *multi, char *const *arguments, double seconds,
    size_t *slot, struct iot_error *error)
{
  struct iot_job *job = reserve_slot(multi) ? calloc(1, sizeof *job) : NULL;
  enum iot_status status;

  if (job)
    job->program = malloc(sizeof *job->program);
  if (!job || !job->program) {
    free(job);
    return iot_fail(error, IOT_ENOMEM, "%s", iot_status_text(IOT_ENOMEM));
  }
  iot_process_init(&job->program->process);
  status = iot_process_start(&job->program->process, arguments, seconds, error);
  if (status != IOT_OK) {
    iot_job_free(job);
    return status;
  }
  append(&multi->programs, job);
  put(multi, job);
  *slot = job->slot;
  return IOT_OK;
}

static void become_ready(struct iot_multi *multi, struct iot_job *job)
{
  job->state = IOT_JOB_READY;
  append(&multi->ready, job);
}

/* What has ended. Who waits for a piece of a download is told; else it is noticed with the next read. */
static void finish(struct iot_multi *multi, struct iot_job *job)
{
  if (!iot_job_is_download(job)) {
    become_ready(multi, job);
    return;
  }
  job->ended = true;
  if (job->state == IOT_JOB_UNDER_WAY) {
    unlink_job(&multi->downloads, job);
    become_ready(multi, job);
  }
}

static void step_downloads(struct iot_multi *multi)
{
  struct iot_job *job, *next;

  for (job = multi->downloads.first; job; job = next) {
    next = job->next;
    if (job->exchange->reply->body.n) {
      unlink_job(&multi->downloads, job);
      become_ready(multi, job);
    }
  }
}

bool iot_multi_read(struct iot_multi *multi, size_t slot, struct iot_buffer *piece)
{
  struct iot_job *job = multi->slots[slot - 1].job;

  if (job->state != IOT_JOB_TOLD)
    return true;
  job->ended |= !iot_http_exchange_take(job->exchange, piece);
  if (piece->n)
    return true;
  if (job->ended)
    return false;
  job->state = IOT_JOB_UNDER_WAY;
  append(&multi->downloads, job);
  return true;
}

/* Look at each program. Returns the seconds after which to do so again, and what to watch for it. */
static double step_programs(struct iot_multi *multi, int fds[IOT_HTTP_MAX_WATCHED], size_t *count)
{
  double patience = IOT_INTERRUPT_LOOK;
  struct iot_job *job, *next;

  *count = 0;
  for (job = multi->programs.first; job; job = next) {
    struct iot_program *program = job->program;
    size_t more = 0;
    bool done;
    int open[2];

    next = job->next;
    program->status = iot_process_step(&program->process, &done, &program->error);
    if (done || program->status != IOT_OK) {
      iot_process_end(&program->process);
      unlink_job(&multi->programs, job);
      become_ready(multi, job);
      continue;
    }
    patience = fmin(patience, iot_process_patience(&program->process, open, &more));
    while (more > 0 && *count < IOT_HTTP_MAX_WATCHED)
      fds[(*count)++] = open[--more];
  }
  return patience;
}

void iot_multi_wait(struct iot_multi *multi, double seconds, const struct iot_interrupt *interrupt)
{
  const double end = iot_clock_monotonic() + seconds;
  int fds[IOT_HTTP_MAX_WATCHED];
  struct iot_job *job;
  double left, patience;
  size_t count;

  for (;;) {
    iot_http_multi_perform(multi->http);
    while ((job = iot_http_multi_next(multi->http)))
      finish(multi, job);
    step_downloads(multi);
    patience = step_programs(multi, fds, &count);
    if (multi->ready.first)
      return;
    left = end - iot_clock_monotonic();
    if (!(left > 0) || iot_interrupted(interrupt))
      return;
    iot_http_multi_poll(multi->http, fmin(left, patience), fds, count);
  }
}

size_t iot_multi_next(struct iot_multi *multi)
{
  struct iot_job *job = multi->ready.first;

  if (!job)
    return 0;
  unlink_job(&multi->ready, job);
  job->state = IOT_JOB_TOLD;
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
    unlink_job(&multi->ready, job);
  else if (job->state == IOT_JOB_UNDER_WAY && job->program)
    unlink_job(&multi->programs, job);
  else if (job->state == IOT_JOB_UNDER_WAY && iot_job_is_download(job))
    unlink_job(&multi->downloads, job);
  multi->slots[slot - 1] = (struct slot){ NULL, multi->free };
  multi->free = slot;
  return job;
}

struct iot_job *iot_multi_take(struct iot_multi *multi, size_t slot)
{
  const struct iot_job *job = iot_multi_find(multi, slot);

  if (!job || !(iot_job_is_download(job) ? job->ended : job->state != IOT_JOB_UNDER_WAY))
    return NULL;
  return take(multi, slot);
}

void iot_multi_cancel(struct iot_multi *multi, size_t slot)
{
  if (iot_multi_find(multi, slot))
    iot_job_free(take(multi, slot));
}
