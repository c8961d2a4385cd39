/*
 * Periods: days, ISO weeks and calendar months on the calendar of an app's own zone, counted in days since 1970-01-01.
 *
 * Sees:     nothing of a person.
 * Uses:     service/base/clock (civil dates), anonymizer/release/family (intervals); no time zone is needed.
 * Threads:  pure functions.
 */
#ifndef THRONG_RELEASE_PERIOD_H
#define THRONG_RELEASE_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

#include "anonymizer/release/family.h"

#define PERIOD_TEXT_BYTES 16

/* The day that names the period of interval in which day lies: its first (a Monday, the first of a month, the day
 * itself); of a rolling window that ends on day: day. */
int32_t period_of(enum family_interval interval, int32_t day);

/* The period n (which may be negative) after the one that period names. Not for rolling windows. */
int32_t period_add(enum family_interval interval, int32_t period, int32_t n);

/* How many periods lie from period `from` to period `to`. Not for rolling windows. */
int32_t period_distance(enum family_interval interval, int32_t from, int32_t to);

/* Whether day is the last of its period (of a rolling window: always). */
bool period_ends_on(enum family_interval interval, int32_t day);

/* Write day as "2026-04-01" to out; returns out. */
char *period_format(int32_t day, char out[PERIOD_TEXT_BYTES]);

#endif
