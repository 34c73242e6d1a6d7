#include "iot_clock.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
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

/* In as many digits; returns the place behind them. */
static char *write_number(char *out, int number, size_t digits)
{
  size_t i;

  for (i = digits; i > 0; i--, number /= 10)
    out[i - 1] = (char)('0' + number % 10);
  return out + digits;
}

enum iot_status iot_clock_format_amz(char out[IOT_AMZ_DATE_SIZE], int64_t time)
{
  time_t t = (time_t)time;
  struct tm tm;

  if (t != time || !gmtime_r(&t, &tm) || tm.tm_year < 1 - 1900 || tm.tm_year > 9999 - 1900)
    return IOT_EPARAMETER;
  out = write_number(out, tm.tm_year + 1900, 4);
  out = write_number(out, tm.tm_mon + 1, 2);
  out = write_number(out, tm.tm_mday, 2);
  *out++ = 'T';
  out = write_number(out, tm.tm_hour, 2);
  out = write_number(out, tm.tm_min, 2);
  out = write_number(out, tm.tm_sec, 2);
  *out++ = 'Z';
  *out = '\0';
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

/* A date and a time of day as they were written, in no zone yet. */
struct date {
  int year, month, day, hour, minute, second;
  bool short_year; /* the year has only its last two digits */
};

/* Seconds since the epoch, in UTC; false for a date that is none. */
static bool seconds_since_epoch(int64_t *time, const struct date *date)
{
  if (date->year < 1 || date->month < 1 || date->month > 12 || date->day < 1 ||
      date->day > days_in_month(date->year, date->month) || date->hour > 23 || date->minute > 59 ||
      date->second > 60)
    return false;
  *time = days_since_epoch(date->year, date->month, date->day) * 86400 + date->hour * 3600 +
          date->minute * 60 + date->second;
  return true;
}

enum iot_status iot_clock_parse_rfc3339(double *time, struct iot_view text)
{
  struct date date;
  double fraction;
  int64_t local;
  int offset;

  if (!read_number(&text, 4, '-', &date.year) || !read_number(&text, 2, '-', &date.month) ||
      !read_number(&text, 2, 'T', &date.day) || !read_number(&text, 2, ':', &date.hour) ||
      !read_number(&text, 2, ':', &date.minute) || !read_number(&text, 2, 0, &date.second))
    return IOT_EPARAMETER;
  fraction = read_fraction(&text);
  if (!read_offset(&text, &offset) || !seconds_since_epoch(&local, &date))
    return IOT_EPARAMETER;
  *time = (double)(local - offset) + fraction;
  return IOT_OK;
}

/* Read the one of `count` names that the text starts with, of which the first `size` bytes count (all
   when 0), and move behind it. */
static bool read_name(
    struct iot_view *text, const char *const *names, int count, size_t size, int *index)
{
  for (*index = 0; *index < count; ++*index) {
    const size_t n = size ? size : strlen(names[*index]);

    if (text->n >= n && memcmp(text->p, names[*index], n) == 0) {
      text->p += n;
      text->n -= n;
      return true;
    }
  }
  return false;
}

static bool read_month(struct iot_view *text, int *month)
{
  static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec" };
  int index;

  if (!read_name(text, months, 12, 0, &index))
    return false;
  *month = index + 1;
  return true;
}

/* Two digits, or a space and one. */
static bool read_padded(struct iot_view *text, int *value)
{
  if (text->n == 0 || text->p[0] != ' ')
    return read_number(text, 2, 0, value);
  text->p++;
  text->n--;
  return read_number(text, 1, 0, value);
}

/* Read what a letter of a form stands for. */
static bool read_part(struct iot_view *text, char part, struct date *date)
{
  static const char *const weekdays[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
    "Friday", "Saturday" };
  int weekday;

  switch (part) {
  case 'a': return read_name(text, weekdays, 7, 3, &weekday);
  case 'A': return read_name(text, weekdays, 7, 0, &weekday);
  case 'b': return read_month(text, &date->month);
  case 'd': return read_number(text, 2, 0, &date->day);
  case 'e': return read_padded(text, &date->day);
  case 'T':
    return read_number(text, 2, ':', &date->hour) && read_number(text, 2, ':', &date->minute) &&
           read_number(text, 2, 0, &date->second);
  case 'Y': return read_number(text, 4, 0, &date->year);
  case 'y': date->short_year = true; return read_number(text, 2, 0, &date->year);
  default: return false;
  }
}

/* Whether the whole text has a form: "%" and a letter for a part, other bytes for themselves. */
static bool read_form(struct iot_view text, const char *form, struct date *date)
{
  for (; *form; form++) {
    if (*form == '%') {
      if (!read_part(&text, *++form, date))
        return false;
    } else {
      if (text.n == 0 || text.p[0] != *form)
        return false;
      text.p++;
      text.n--;
    }
  }
  return text.n == 0;
}

/* Give a year its century. */
static bool complete_year(struct date *date, int64_t now)
{
  const int64_t year = 31556952; /* seconds of a Gregorian year, on average */
  const int digits = date->year;
  int64_t time;

  /* Two centuries ahead is too late for sure; a leap day may be missing from some of the years. */
  for (date->year = (int)((1970 + now / year) / 100 + 2) * 100 + digits; date->year > 0;
       date->year -= 100)
    if (seconds_since_epoch(&time, date) && time <= now + 50 * year)
      return true;
  return false;
}

enum iot_status iot_clock_parse_http_date(int64_t *time, struct iot_view text, int64_t now)
{
  static const char *const forms[] = { "%a, %d %b %Y %T GMT", "%A, %d-%b-%y %T GMT",
    "%a %b %e %T %Y" };
  struct date date = { 0 };
  size_t i;

  for (i = 0; i < sizeof forms / sizeof *forms; i++) {
    date.short_year = false;
    if (read_form(text, forms[i], &date) && (!date.short_year || complete_year(&date, now)) &&
        seconds_since_epoch(time, &date))
      return IOT_OK;
  }
  return IOT_EPARAMETER;
}
