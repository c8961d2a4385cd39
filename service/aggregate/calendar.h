/*
 * The days of one time zone: where each begins, as PostgreSQL knows it. Days have 0, 23, 24 or 25 hours.
 *
 * Uses:     libc. Days are counted from 1970-01-01, times are ms since 1970.
 * Threads:  read-only after calendar_new.
 */
#ifndef THRONG_AGGREGATE_CALENDAR_H
#define THRONG_AGGREGATE_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

#define CALENDAR_FIRST_DAY (-1)    /* 1969-12-31: 1970-01-01T00:00Z lies in it west of Greenwich */
#define CALENDAR_LAST_DAY 47482    /* 2100-01-01 */
#define CALENDAR_DAYS (CALENDAR_LAST_DAY - CALENDAR_FIRST_DAY + 1)

struct calendar {
    char zone[64];
    int64_t start_ms[CALENDAR_DAYS]; /* of each day, ascending, equal where a day has no hours */
};

/* The day in which ms lies: the last that begins at or before it. ms is in [TS_MIN_MS, TS_MAX_MS). */
int32_t calendar_day(const struct calendar *calendar, int64_t ms);

/* The first ms of day, and of the day after; day is in [CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY). */
int64_t calendar_start_ms(const struct calendar *calendar, int32_t day);
/* See calendar_start_ms. */
int64_t calendar_end_ms(const struct calendar *calendar, int32_t day);

#endif
