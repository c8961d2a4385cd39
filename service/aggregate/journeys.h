/*
 * Funnels and paths: persons' steps are read in pages, in order of person and time, and counted by tracks.h.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db; anonymizer/release (how many pairs of one person count).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_JOURNEYS_H
#define THRONG_AGGREGATE_JOURNEYS_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Count the path pairs of the stage's days and the funnels of the weeks whose windows end on them; steps that no later
 * day and no open week can need go. */
enum result journeys_close(const struct stage *stage, struct failure *why);

#endif
