/*
 * The numbers of sessions that a differentially private preset releases by the ISO week, each person's week clamped as
 * families.def says: sessions and engaged sessions up to the clamp, the duration of the first session, and of the goals that
 * its sessions reached the first ones. Unprotected presets have none of it: their weeks are sums of days.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (how much of one person counts).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_WEEKS_H
#define THRONG_AGGREGATE_WEEKS_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* SQL: add the sessions and marks of `excluded` to those of row p, of state.person_period. The right sides see p as it was. */
#define WEEKS_ADD_PERIOD \
    "marks = coalesce(p.marks | excluded.marks, p.marks, excluded.marks), sessions = p.sessions + excluded.sessions," \
    " engaged = p.engaged + excluded.engaged, goal_bits = p.goal_bits | excluded.goal_bits," \
    " first_ms = least(p.first_ms, excluded.first_ms), first_bin = CASE WHEN p.first_ms IS NULL" \
    " OR (excluded.first_ms, excluded.first_bin) < (p.first_ms, p.first_bin) THEN excluded.first_bin ELSE p.first_bin END"

/* Whether a person's sessions are counted by the week. */
bool weeks_count_sessions(const struct app *app);

/* Count the weeks that end, of state.person_period, into state.cell. */
enum result weeks_close_sessions(const struct stage *stage, struct failure *why);

#endif
