/*
 * Entities: which of them a person's day touched is forgotten when the day closes; that somebody did stays, for the day,
 * its week and its month, until these are released.
 *
 * Sees:     pseudonyms, in the database only.
 * Uses:     libpq, service/db; anonymizer/release (how many entities of one person count).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_ENTITIES_H
#define THRONG_AGGREGATE_ENTITIES_H

#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Turn the stage's days of state.person_entity into state.entity and cells of people. */
enum result entities_close(const struct stage *stage, struct failure *why);

#endif
