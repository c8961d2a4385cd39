/*
 * The sessions of closed days: persons' fragments are read in pages, assembled and summed; what of a session lies on later
 * days is remembered in state.carry.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db; anonymizer/release (how many sessions of one person count).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_SESSIONS_H
#define THRONG_AGGREGATE_SESSIONS_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Turn the stage's days' fragments into state.session_sum, and what the app declares of sessions into state.cell and
 * state.person_period; the fragments go. */
enum result sessions_close(const struct stage *stage, struct failure *why);

#endif
