/*
 * What persons did of the things that their app declares, into PostgreSQL: steps of funnels and paths, measures, entities.
 * A list that is empty costs no statement.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_FACTS_H
#define THRONG_AGGREGATE_FACTS_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* SQL: add the samples of `excluded` to those of row p, of state.person_measure or state.person_outcome. */
#define FACTS_ADD_SAMPLES \
    "count = p.count + excluded.count, sum = p.sum + excluded.sum, most = greatest(p.most, excluded.most)," \
    " last_ms = greatest(p.last_ms, excluded.last_ms), last = CASE WHEN p.last_ms > excluded.last_ms THEN p.last" \
    " WHEN p.last_ms < excluded.last_ms THEN excluded.last ELSE greatest(p.last, excluded.last) END"

/* Inside a transaction: add the digested fold's steps, measures and entities to the database. */
enum result facts_write(struct db *db, const struct shard *shard, struct failure *why);

#endif
