/*
 * Intervals of a ratio of two released values whose noise is known (E. C. Fieller: Some Problems in Interval Estimation, Journal
 * of the Royal Statistical Society B 16, 1954): of all R for which a - R·b is within what the noise of both explains. Dividing
 * bounds by bounds would be wider than it says. Where the noise explains b = 0 there is no bound, and no interval is given.
 *
 * Sees:     released values.
 * Uses:     libm.
 * Threads:  pure functions.
 * Failure:  none; false where there is no interval.
 */
#ifndef THRONG_API_SERIES_INTERVAL_H
#define THRONG_API_SERIES_INTERVAL_H

#include <stdbool.h>

/* A released value and the variance of its noise, 0 for none. The noises of two of them are independent. */
struct interval_value {
    double value, variance;
};

/* Write the ends of the 95 % interval of above/below to *low <= *high. false if it is unbounded, or not a number; both are
 * untouched then. Ends may lie outside of what a ratio can be: who shows them clamps them. */
bool interval_of_ratio(struct interval_value above, struct interval_value below, double *low, double *high);

/* The same of part/(part + rest), whose noises are independent of each other: what above and below have in common counts once. */
bool interval_of_part(struct interval_value part, struct interval_value rest, double *low, double *high);

/* The same of above - below, always bounded for finite values. */
bool interval_of_difference(struct interval_value above, struct interval_value below, double *low, double *high);

#endif
