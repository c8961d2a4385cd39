/*
 * Dimensions, features and segments: what of them each person's day, week and month has, as bit masks (schema/sql/0008).
 * Activity counts those of events, sessions those of entries and exits; both fold days into state.person_period, which
 * lives until the sessions of its week or month are closed.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (in how many features or segments one person counts).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_MARKS_H
#define THRONG_AGGREGATE_MARKS_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* The bit of class (0 to DIMENSION_VALUES_MAX) of a dimension; bit 0 is the highest of the first byte. */
#define MARKS_BIT(dimension, class) (64u + 64u * (unsigned)(dimension) + (unsigned)(class))

/* Whether the app has dimensions of entries or exits. */
bool marks_has_session_dimensions(const struct app *app);

/* Count the marks of the stage's days, of state.person_day, fold them, and count the weeks and months that end. */
enum result marks_close_activity(const struct stage *stage, struct failure *why);

/* Count the dimensions of entries and exits of the weeks and months that end; their days are folded. */
enum result marks_close_sessions(const struct stage *stage, struct failure *why);

/* Delete what of weeks and months is done: their sessions are closed. */
enum result marks_drop_periods(const struct stage *stage, struct failure *why);

#endif
