/*
 * The last active month of cohorts that matured: when the last day of a month is closed, those who were first active in the
 * twelfth month before it are counted by how many months later they were last, up to and with that month.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (which cohorts are told).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_COHORTS_H
#define THRONG_AGGREGATE_COHORTS_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Put the cells last_active of the cohorts that mature with the stage's days into state.cell; none if the app's horizon is too
 * short (cohort_matures). Costs once a month a look at each person of the app, and at one month of each of the cohort's. */
enum result cohorts_close(const struct stage *stage, struct failure *why);

#endif
