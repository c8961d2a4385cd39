/*
 * Time: milliseconds since 1970 by the wall clock, and of a clock that only goes forward.
 *
 * Uses:     libc.
 * Threads:  any.
 */
#ifndef THRONG_BASE_CLOCK_H
#define THRONG_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Wall clock, ms since 1970-01-01T00:00:00Z, shifted by the environment's THRONG_TEST_CLOCK_OFFSET_MS (read once; tests
 * use it to live on another day). */
int64_t clock_now_ms(void);

/* A clock that never goes back and counts while the machine sleeps (CLOCK_BOOTTIME), ms from an arbitrary start. */
int64_t clock_steady_ms(void);

/* As clock_steady_ms, in microseconds. */
int64_t clock_steady_us(void);

/* Write ms as "2026-04-01T10:00:00.123Z" to out[0..size-1]; size >= 25. Returns out. */
char *clock_format(int64_t ms, char *out, size_t size);

#define CLOCK_DATE_BYTES 12 /* "2026-04-01" with its NUL */

/* Write days since 1970 as YYYY-MM-DD to out (years 0 to 9999). Returns out. */
char *clock_format_date(int32_t days, char out[CLOCK_DATE_BYTES]);

/* Read YYYY-MM-DD, a day of the calendar from 1900 to 2199, as days since 1970. False, and *days untouched, if it is none. */
bool clock_parse_date(const char *text, int32_t *days);

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
int32_t clock_days_from_civil(int year, unsigned month, unsigned day);
/* See clock_days_from_civil. */
void clock_civil_from_days(int32_t days, int *year, unsigned *month, unsigned *day);

#endif
