/*
 * What is computed of released cells of declared things: measures in their unit, funnels by the furthest step, outcomes by
 * tier. Nothing else than released values goes in; what needs a suppressed part is unknown.
 *
 * Sees:     released numbers.
 * Uses:     api/series/answer, series, items; libc.
 * Threads:  pure functions.
 * Failure:  RESULT_FAILED (memory).
 */
#ifndef THRONG_SERIES_COUNTED_H
#define THRONG_SERIES_COUNTED_H

#include "api/series/answer.h"
#include "schema/app.h"
#include "schema/failure.h"

#define COUNTED_MEASURE_DETAILS 5 /* count, sum, p50, p90, p99 */
#define COUNTED_FUNNEL_DETAILS 2  /* from_previous, from_first */
#define COUNTED_OUTCOME_DETAILS 2 /* users, difference to the first tier */

/* Released points of one number and item, ascending by period and n; borrowed. */
struct counted_points {
    const struct series_point *list;
    size_t count;
};

/* Give answer a point a period with the mean of measure, its details, and the histogram of all periods. sums, counts and bins
 * are measure_sum (in steps above the least value), measure_count and measure_bins. */
enum result counted_measure(const struct app_measure *measure, const struct counted_points *sums,
    const struct counted_points *counts, const struct counted_points *bins, struct answer *answer, struct failure *why);

/* Give answer a point a week and step: who came at least so far, with its details. furthest is funnel_users, by the furthest
 * step. */
enum result counted_funnel(const struct app_funnel *funnel, const struct counted_points *furthest, struct answer *answer,
    struct failure *why);

/* Give answer points of each month: n = -1 for all users, and one a tier if there are tiers; their details, and how the values
 * spread. sums, users and bins are outcome_sum (in thousandths of steps), outcome_users and outcome_bins. */
enum result counted_outcome(const struct app_outcome *outcome, const struct app_measure *measure,
    const struct counted_points *sums, const struct counted_points *users, const struct counted_points *bins,
    struct answer *answer, struct failure *why);

/* In the measure's unit: the least value that bin n holds, and the greatest (of whole steps above the least value). */
double counted_bin_from(const struct app_measure *measure, size_t n);
/* See counted_bin_from. */
double counted_bin_to(const struct app_measure *measure, size_t n);

#endif
