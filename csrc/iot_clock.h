/*
 * Time: the clocks, sleep, and the texts of time that AWS uses.
 *
 * Seconds everywhere; points in time are seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
 */
#ifndef IOT_CLOCK_H
#define IOT_CLOCK_H

#include <stdint.h>

#include "iot_buffer.h"

enum { IOT_AMZ_DATE_SIZE = 17 }; /* "20150830T123600Z" with a terminator */

/* The wall clock, to the microsecond or so. */
double iot_clock_now(void);

/* A clock that is never set: for deadlines and durations only. */
double iot_clock_monotonic(void);

/* Whole milliseconds, rounded up, so that only no time is 0; at most INT_MAX. */
long iot_clock_milliseconds(double seconds);

/* Wait for `seconds` (0 to 1e9), or less when a signal handler ran: the caller looks at the clock. */
void iot_clock_sleep(double seconds);

/*
 * "YYYYMMDDTHHMMSSZ", NUL-terminated: the time of an AWS signature (reference 3.3).
 * Returns IOT_OK, or IOT_EPARAMETER for a time outside the years 1 to 9999.
 */
IOT_NODISCARD enum iot_status iot_clock_format_amz(char out[IOT_AMZ_DATE_SIZE], int64_t time);

/*
 * Read an RFC 3339 time, "2018-01-18T09:18:06.123Z" with "Z" or an offset such as "+01:00".
 * Returns IOT_OK, or IOT_EPARAMETER for any other text; *time is then unchanged.
 */
IOT_NODISCARD enum iot_status iot_clock_parse_rfc3339(double *time, struct iot_view text);

/*
 * Read a date of HTTP (RFC 9110 section 5.6.7), which is in GMT, in any of its forms:
 *   Sun, 06 Nov 1994 08:49:37 GMT
 *   Sunday, 06-Nov-94 08:49:37 GMT   the last such year that is not more than 50 years after `now`
 *   Sun Nov  6 08:49:37 1994
 * Case, spaces and digits must be as above. The day of the week must be one, but is not held against the
 * date. `now`: seconds since the epoch, of the years 1 to 9000.
 * Returns IOT_OK, or IOT_EPARAMETER for any other text; *time is then unchanged.
 */
IOT_NODISCARD enum iot_status iot_clock_parse_http_date(
    int64_t *time, struct iot_view text, int64_t now);

#endif
