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

/* A person's previous active day is told if it lies in the month of the day so long before, or later: of an earlier one
 * nothing depends on which it was. Of months before no days are kept. */
#define ACTIVITY_LOOK_BACK_DAYS 31

/* Turn the stage's days into state.triple and state.day_sum. What else is counted of state.person_day comes before. */
enum result activity_close(const struct stage *stage, struct failure *why);

#endif
