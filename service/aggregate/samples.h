/*
 * Measures and outcomes: samples of persons' days become sums, and persons' months of some measures are folded in
 * state.person_outcome until the month's sessions are closed.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (how many samples of one person count).
 * Threads:  as db.h.
 * Failure:  as db.h. A sum beyond 2^63 - 1 stands as that.
 */
#ifndef THRONG_AGGREGATE_SAMPLES_H
#define THRONG_AGGREGATE_SAMPLES_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Count the measures of the stage's days; the days go. */
enum result samples_close_activity(const struct stage *stage, struct failure *why);

/* Count the outcomes of the months that end; the months go. The months' sessions are in state.person_period. */
enum result samples_close_sessions(const struct stage *stage, struct failure *why);

#endif
