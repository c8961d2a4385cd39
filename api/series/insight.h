/*
 * What a series of released numbers says of itself: its level, slope and season, what of it is out of the ordinary, and where it
 * goes. Additive exponential smoothing (C. C. Holt 1957, P. R. Winters 1960) with errors that are bounded before they are learned
 * from, and a bounded scale (S. Gelper, R. Fried, C. Croux: Robust Forecasting with Exponential and Holt-Winters Smoothing,
 * Journal of Forecasting 29, 2010), so that one odd day neither becomes the new level nor hides the next; a damped trend
 * (E. S. Gardner, E. McKenzie: Forecasting Trends in Time Series, Management Science 31, 1985), so that a crowd whose first days
 * were unlike all others is not expected to go on as it began; forecast variances as in R. J. Hyndman, A. B. Koehler, J. K. Ord,
 * R. D. Snyder: Prediction Intervals for Exponential Smoothing Using Two New Classes of State Space Models, Journal of Forecasting 24,
 * 2005 (class 1).
 *
 * A number is out of the ordinary by its distance from what was expected before it came, in standard deviations of two things
 * together: the noise it was released with, and how far such numbers used to lie off for other reasons. So a small audience,
 * whose numbers are mostly noise, raises few alarms, and a steady large one is watched closely. Suppressed numbers are passed over.
 *
 * Sees:     released numbers.
 * Uses:     libc, libm.
 * Threads:  pure functions; the same numbers give the same answer.
 * Failure:  false where there is too little to say anything; outputs are untouched then.
 */
#ifndef THRONG_SERIES_INSIGHT_H
#define THRONG_SERIES_INSIGHT_H

#include <stdbool.h>
#include <stddef.h>

#define INSIGHT_SEASON_MAX 7
#define INSIGHT_ALARM 3.0     /* a score of this or more, either way, is out of the ordinary */
#define INSIGHT_FIRST_ROUNDS 4 /* seasons that are learned from before anything is said; without a season, twice so many values */

/* A released number of one period; periods follow each other without gap. variance: of its noise. */
struct insight_value {
    bool known;
    double value, variance;
};

/* What was expected of a period before it came. score: how far off it was, in deviations. */
struct insight_step {
    bool scored; /* known, and not of the periods learned from first */
    double expected, deviation, score;
};

/* Where the series stands after its last value. */
struct insight_end {
    size_t season;  /* length; 1: none */
    double level;   /* without season */
    double drift;   /* what the next period is expected to move by; fades from period to period */
    double slope;   /* by period, of the newest values, as many as are learned from first: their median slope, not damped */
    double seasons[INSIGHT_SEASON_MAX]; /* of the periods that come next, in order */
    double history; /* variance of one step for other reasons than noise */
    double noise;   /* mean variance of the noise of late */
};

/* Go through values[0 … count - 1] with a season of that length (7, or 1 for none), in order. Writes steps[0 … count - 1]
 * and *end. false: there are fewer values than are learned from first, or less than two in three of those are known. */
bool insight_read(const struct insight_value *values, size_t count, size_t season, struct insight_step *steps,
    struct insight_end *end);

/* The released number that is expected `ahead` periods (1 …) after the last, and its 95 % interval; not below 0. */
void insight_forecast(const struct insight_end *end, size_t ahead, double *value, double *low, double *high);

#endif
