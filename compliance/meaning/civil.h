/*
 * Civil time without a clock, locale or table of zones: dates of the Gregorian calendar and moments in UTC.
 *
 * Sees:     times.
 * Uses:     libc.
 * Threads:  every function may run anywhere.
 * Failure:  false; outputs are untouched then.
 */
#ifndef THRONG_MEANING_CIVIL_H
#define THRONG_MEANING_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CIVIL_DATE_BYTES 16
#define CIVIL_TIME_BYTES 32
#define CIVIL_DAY_MS INT64_C(86400000)

/* *day: days since 1970-01-01 of a date YYYY-MM-DD (years 1970 to 9999) that there is. */
bool civil_parse(const char *text, int32_t *day);
/* The date of a day, 1970-01-01 or later, as YYYY-MM-DD. Returns out. */
const char *civil_format(int32_t day, char out[CIVIL_DATE_BYTES]);
/* The first day of day's month. */
int32_t civil_month(int32_t day);
/* A moment, ms since 1970 (0 to the end of 9999), in UTC by RFC 3339: "2026-01-01T00:00:00.000Z". Returns out. */
const char *civil_time(int64_t at_ms, char out[CIVIL_TIME_BYTES]);
/* As civil_time for people: "2026-01-01 00:00". */
const char *civil_minute(int64_t at_ms, char out[CIVIL_TIME_BYTES]);

#endif
