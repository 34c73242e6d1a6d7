#include "iot_clock.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static double seconds_of(struct timespec t)
{
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double iot_clock_now(void)
{
  struct timespec t = { 0, 0 };

  clock_gettime(CLOCK_REALTIME, &t);
  return seconds_of(t);
}

double iot_clock_monotonic(void)
{
  struct timespec t = { 0, 0 };

  clock_gettime(CLOCK_MONOTONIC, &t);
  return seconds_of(t);
}

long iot_clock_milliseconds(double seconds)
{
  if (seconds <= 0)
    return 0;
  return seconds < INT_MAX / 1000 ? (long)ceil(seconds * 1000) : INT_MAX;
}

void iot_clock_sleep(double seconds)
{
  struct timespec t;

  if (!(seconds > 0))
    return;
  if (seconds > 1e9)
    seconds = 1e9;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  nanosleep(&t, NULL);
}

enum iot_status iot_clock_format_amz(char out[IOT_AMZ_DATE_SIZE], int64_t time)
{
  time_t t = (time_t)time;
  struct tm tm;

  if (t != time || !gmtime_r(&t, &tm) || tm.tm_year < 1 - 1900 || tm.tm_year > 9999 - 1900)
    return IOT_EPARAMETER;
  /* The casts bound each number for the compiler, which warns of a text cut short otherwise. */
  snprintf(out, IOT_AMZ_DATE_SIZE, "%04u%02u%02uT%02u%02u%02uZ",
      (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
      (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
      (unsigned)tm.tm_sec % 100);
  return IOT_OK;
}

/* Read exactly `digits` digits and the byte `after` (none when 0), and move behind them. */
static bool read_number(struct iot_view *text, size_t digits, char after, int *value)
{
  size_t i;

  if (text->n < digits + (after ? 1 : 0) || (after && text->p[digits] != after))
    return false;
  *value = 0;
  for (i = 0; i < digits; i++) {
    if (text->p[i] < '0' || text->p[i] > '9')
      return false;
    *value = *value * 10 + (text->p[i] - '0');
  }
  digits += after ? 1 : 0;
  text->p += digits;
  text->n -= digits;
  return true;
}

/* ".123" is 0.123; no point is 0. A point without digits is left for the caller to stumble on. */
static double read_fraction(struct iot_view *text)
{
  double fraction = 0, unit = 0.1;
  size_t i;

  if (text->n < 2 || text->p[0] != '.' || text->p[1] < '0' || text->p[1] > '9')
    return 0;
  for (i = 1; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++, unit /= 10)
    fraction += unit * (text->p[i] - '0');
  text->p += i;
  text->n -= i;
  return fraction;
}

/* "Z", or an offset in seconds to the east. */
static bool read_offset(struct iot_view *text, int *offset)
{
  int hours, minutes, sign;

  if (text->n == 1 && (text->p[0] == 'Z' || text->p[0] == 'z')) {
    *offset = 0;
    return true;
  }
  if (text->n != 6 || (text->p[0] != '+' && text->p[0] != '-'))
    return false;
  sign = text->p[0] == '-' ? -1 : 1;
  text->p++;
  text->n--;
  if (!read_number(text, 2, ':', &hours) || !read_number(text, 2, 0, &minutes))
    return false;
  *offset = sign * (hours * 3600 + minutes * 60);
  return hours < 24 && minutes < 60;
}

/* Days from 1970-01-01 in the Gregorian calendar, by counting years from March, so that the leap
   day is a year's last day. */
static int64_t days_since_epoch(int year, int month, int day)
{
  int64_t y = month > 2 ? year : year - 1;
  int64_t months_since_march = (month + 9) % 12;

  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * months_since_march + 2) / 5 + day - 1 -
         719468;
}

static int days_in_month(int year, int month)
{
  static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

  return month == 2 && leap ? 29 : days[month - 1];
}

enum iot_status iot_clock_parse_rfc3339(double *time, struct iot_view text)
{
  int year, month, day, hour, minute, second, offset;
  double fraction;

  if (!read_number(&text, 4, '-', &year) || !read_number(&text, 2, '-', &month) ||
      !read_number(&text, 2, 'T', &day) || !read_number(&text, 2, ':', &hour) ||
      !read_number(&text, 2, ':', &minute) || !read_number(&text, 2, 0, &second))
    return IOT_EPARAMETER;
  fraction = read_fraction(&text);
  if (!read_offset(&text, &offset) || year < 1 || month < 1 || month > 12 || day < 1 ||
      day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
    return IOT_EPARAMETER;
  *time = (double)(days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                   offset) +
          fraction;
  return IOT_OK;
}
