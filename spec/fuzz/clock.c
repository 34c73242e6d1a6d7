/*
 * Fuzzes the texts of time of csrc/iot_clock.c. The input: a text of a line, then 8 bytes of a number. What a text
 * stands for is held against the C library's calendar.
 */
#include <limits.h>
#include <math.h>
#include <time.h>

#include "fuzz.h"
#include "iot_clock.h"

static const int64_t year_seconds = 31556952, last_second = 253402300799; /* of the year 9999 */

static bool is_writable(int64_t time)
{
  return time >= -62135596800 && time <= last_second;
}

static void write_time(char *out, size_t size, const char *form, int64_t time)
{
  const time_t t = (time_t)time;
  struct tm tm;

  MUST(gmtime_r(&t, &tm));
  MUST(strftime(out, size, form, &tm) > 0);
}

/* "20150830T123600Z" tells the same second. */
static void check_amz(int64_t time)
{
  char text[IOT_AMZ_DATE_SIZE], expected[64];
  const time_t t = (time_t)time;
  struct tm tm;

  if (!is_writable(time)) {
    MUST(iot_clock_format_amz(text, time) == IOT_EPARAMETER);
    return;
  }
  MUST(iot_clock_format_amz(text, time) == IOT_OK);
  MUST(gmtime_r(&t, &tm));
  snprintf(expected, sizeof expected, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900,
      tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
  MUST(strcmp(text, expected) == 0);
}

static void check_rfc3339(struct iot_view text)
{
  double time = 0.5, again, whole;
  char written[32], amz[IOT_AMZ_DATE_SIZE];

  if (iot_clock_parse_rfc3339(&time, text) != IOT_OK) {
    MUST(time == 0.5);
    return;
  }
  MUST(isfinite(time) && text.n >= 20);
  whole = floor(time);
  check_amz((int64_t)whole);
  if (iot_clock_format_amz(amz, (int64_t)whole) != IOT_OK)
    return;
  snprintf(written, sizeof written, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", amz, amz + 4, amz + 6,
      amz + 9, amz + 11, amz + 13);
  MUST(iot_clock_parse_rfc3339(&again, iot_view_of(written)) == IOT_OK && again == whole);
}

/* Its other forms stand for the same. */
static void check_forms(int64_t time, int64_t now)
{
  char text[64];
  int64_t again;

  if (!is_writable(time) || time < -30610224000) /* strftime writes the years before 1000 short */
    return;
  write_time(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", time);
  MUST(iot_clock_parse_http_date(&again, iot_view_of(text), now) == IOT_OK && again == time);
  write_time(text, sizeof text, "%a %b %e %H:%M:%S %Y", time);
  MUST(iot_clock_parse_http_date(&again, iot_view_of(text), now) == IOT_OK && again == time);
  write_time(text, sizeof text, "%A, %d-%b-%y %H:%M:%S GMT", time);
  if (iot_clock_parse_http_date(&again, iot_view_of(text), now) == IOT_OK)
    MUST(again <= now + 50 * year_seconds && (again > now - 60 * year_seconds || again == time));
}

static void check_http_date(struct iot_view text, int64_t now)
{
  int64_t time = -7, again = 0;

  if (iot_clock_parse_http_date(&time, text, now) != IOT_OK) {
    MUST(time == -7);
    return;
  }
  MUST(is_writable(time) || time == last_second + 1); /* a leap second */
  MUST(iot_clock_parse_http_date(&again, text, now) == IOT_OK && again == time);
  check_forms(time, now);
}

static void check_milliseconds(double seconds)
{
  const long milliseconds = iot_clock_milliseconds(seconds);

  MUST(milliseconds >= 0 && milliseconds <= INT_MAX);
  MUST((milliseconds == 0) == (seconds <= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct iot_view rest = { (const char *)data, size };
  const struct iot_view text = fuzz_copy(iot_view_cut(&rest, '\n'));
  int64_t number = 0;
  double seconds = 0;

  if (rest.n)
    memcpy(&number, rest.p, rest.n < sizeof number ? rest.n : sizeof number);
  memcpy(&seconds, &number, sizeof seconds);
  check_amz(number);
  check_amz(number % last_second);
  check_milliseconds(seconds);
  check_rfc3339(text);
  check_http_date(text, 1640439000);
  check_http_date(text, llabs(number % (7000 * year_seconds)));
  fuzz_free(text);
  return 0;
}
