/*
 * The activity of closed days: who was active, since when and when before, becomes sums; the persons' and visitors' days
 * go.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (how much of one person counts).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_ACTIVITY_H
#define THRONG_AGGREGATE_ACTIVITY_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Turn the stage's days into state.triple and state.day_sum. What else is counted of state.person_day comes before. */
enum result activity_close(const struct stage *stage, struct failure *why);

#endif
