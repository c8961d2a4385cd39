/*
 * Totals and parts that were released with noise of their own, moved by weighted least squares so that they add up: each by its share
 * of the gap, in proportion to the variance of its noise, which no other way of closing the gap does with smaller steps, and which
 * leaves each of them with less noise than it was released with (M. Hay, V. Rastogi, G. Miklau, D. Suciu: Boosting the Accuracy of
 * Differentially Private Histograms Through Consistency, 2010).
 *
 * Of what is released with noise, one thing is a sum of others by its meaning: a week's new users are those of its seven days. (Active
 * users are not: the days of a week have people in common. Nor are classes, bins, tiers or steps parts of a released
 * number: who has no value, or no session that begins in the week, is in none. Months share weeks, so that they would tie all
 * periods to each other, and every new release would move all that were read before: they are left as they are.)
 *
 * Sees:     released numbers.
 * Uses:     libc, libm.
 * Threads:  pure functions; the same numbers give the same answer.
 * Failure:  none.
 */
#ifndef THRONG_SERIES_CONSISTENT_H
#define THRONG_SERIES_CONSISTENT_H

#include <stddef.h>
#include <stdint.h>

#include "api/series/series.h"

#define CONSISTENT_DAYS 7

/* The Monday of the ISO week that day is in. */
int32_t consistent_monday(int32_t day);

/* For every week of weeks[0 … week_count - 1] whose seven days are among days[0 … day_count - 1], ascending, all eight known
 * and noisy: move them so that they add up in whole numbers. Those that were moved say so, with what they were. */
void consistent_weeks(struct series_point *weeks, size_t week_count, struct series_point *days, size_t day_count);

#endif
