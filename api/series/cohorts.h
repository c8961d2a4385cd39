/*
 * What is computed of new users, of those who came back, and of when they came last. A cohort's size is the new users of its period;
 * where it was released with noise, that is the only number of it, so that shares of the cohort are of that.
 *
 * Sees:     released numbers.
 * Uses:     api/series/answer, series; libc.
 * Threads:  pure functions.
 * Failure:  RESULT_FAILED (memory); the answer is to be freed all the same.
 */
#ifndef THRONG_SERIES_COHORTS_H
#define THRONG_SERIES_COHORTS_H

#include "api/series/answer.h"
#include "schema/failure.h"

#define COHORTS_DETAILS 1 /* share */

/* Released points of one number, ascending by period and n; borrowed. */
struct cohorts_points {
    const struct series_point *list;
    size_t count;
};

/* To the answer's returning users, as far as they were released, add active less fresh users of the periods in which these were
 * released with noise; below 0 is shown as 0. */
enum result cohorts_returning(const struct cohorts_points *active, const struct cohorts_points *fresh, struct answer *answer,
    struct failure *why);

/* To the answer's retention add the size, as n = 0, of cohorts whose new users were released with noise, and to every number of
 * those who came back its share. */
enum result cohorts_retention(const struct cohorts_points *fresh, struct answer *answer, struct failure *why);

/* Replace the answer's last active periods of whole cohorts by who was active in the n-th or a later one (n = 0: the cohort's
 * size), with shares. */
enum result cohorts_on_or_after(const struct cohorts_points *fresh, struct answer *answer, struct failure *why);

#endif
