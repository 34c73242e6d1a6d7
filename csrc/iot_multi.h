/*
 * Exchanges and programs that go on at once, each a job in a numbered slot: whoever starts one waits for
 * any, and asks by number. A job is ready when it has finished; a download, whose reply comes in pieces, whenever
 * it was asked for a piece and there is one.
 */
#ifndef IOT_MULTI_H
#define IOT_MULTI_H

#include "iot_http_client.h"
#include "iot_interrupt.h"
#include "iot_operations.h"
#include "iot_process.h"

enum iot_job_state {
  IOT_JOB_UNDER_WAY,
  IOT_JOB_READY, /* and not told by iot_multi_next */
  IOT_JOB_TOLD   /* a download: nobody waits for a piece */
};

/* A program, and how it went once it has ended. */
struct iot_program {
  struct iot_process process;
  enum iot_status status;
  struct iot_error error; /* unless that is IOT_OK */
};

/* An exchange or a program; the other one is NULL. */
struct iot_job {
  enum iot_job_state state;
  struct iot_http_exchange *exchange;
  struct iot_program *program;
  const struct iot_operation *operation; /* that it is an attempt of, for who decodes; else NULL */
  bool ended;                            /* a download has, and pieces of it may be left */
  size_t slot;
  struct iot_job *previous,
      *next; /* while it is ready, or a program that runs, or a download waited for */
};

/* Whether its reply comes in pieces: iot_multi_read. */
bool iot_job_is_download(const struct iot_job *job);

/* Give its exchange back, or end its program, and free it. NULL is accepted. */
void iot_job_free(struct iot_job *job);

struct iot_multi;

/*
 * Make a multi, which the caller closes.
 *   max_connections  idle ones that are kept, from 1
 * Returns IOT_OK or IOT_ENOMEM; *multi is then NULL.
 */
IOT_NODISCARD enum iot_status iot_multi_open(
    struct iot_multi **multi, long max_connections, struct iot_error *error);

/* Cancel all that is in a slot, close connections and free. What another process made before fork() is
   left as it is, but for its memory. NULL is accepted. */
void iot_multi_close(struct iot_multi *multi);

/* Whether this process made it; if not, it may only be closed. */
bool iot_multi_is_own(const struct iot_multi *multi);

/*
 * Begin an exchange that iot_http_client_prepare made ready. It is the multi's from here on, after a
 * failure too. Returns IOT_OK and *slot, 1 or more, or what iot_http_multi_add does.
 */
IOT_NODISCARD enum iot_status iot_multi_start(struct iot_multi *multi,
    struct iot_http_exchange *exchange, const struct iot_operation *operation, size_t *slot,
    struct iot_error *error);

/*
 * Take a piece of a download, if there is one, into `piece`, an empty buffer with the limit of a reply's body.
 * Returns true when it is worth to ask again: at once with a piece, else once the job is told. False when the
 * download has ended and nothing is left: it can be taken.
 */
IOT_NODISCARD bool iot_multi_read(struct iot_multi *multi, size_t slot, struct iot_buffer *piece);

/*
 * Start a program; arguments and failures as for iot_process_start, and IOT_ENOMEM. It is killed when its
 * job is freed before it has ended. Returns IOT_OK and *slot.
 */
IOT_NODISCARD enum iot_status iot_multi_run(struct iot_multi *multi, char *const *arguments,
    double seconds, size_t *slot, struct iot_error *error);

/*
 * Drive everything until a job is ready, `seconds` have passed (HUGE_VAL: no limit; 0 or less: what can
 * be done without waiting), or an interrupt happened. Without jobs it sleeps.
 */
void iot_multi_wait(struct iot_multi *multi, double seconds, const struct iot_interrupt *interrupt);

/* The slot of the job that became ready first, which is told with that; 0 when there is none. */
size_t iot_multi_next(struct iot_multi *multi);

/* The job in a slot; NULL when it is not in use. */
const struct iot_job *iot_multi_find(const struct iot_multi *multi, size_t slot);

/* Take the finished job, or the download that has ended, out of its slot, which is free then. The caller frees the job. */
IOT_NODISCARD struct iot_job *iot_multi_take(struct iot_multi *multi, size_t slot);

/* End the job in a slot whatever its state, and free the slot. Without one nothing happens. */
void iot_multi_cancel(struct iot_multi *multi, size_t slot);

#endif
