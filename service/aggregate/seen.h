/*
 * Sources and what of them was counted, in state.seen. Nearly every source is new: those go by COPY, others are merged with
 * the rows that they have.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_SEEN_H
#define THRONG_AGGREGATE_SEEN_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Load what the database knows of the sources that the fold registered since the last call. */
enum result seen_look_up(struct db *db, struct shard *shard, struct failure *why);

/* Inside a transaction: add what the fold counted of its sources. */
enum result seen_write(struct db *db, const struct shard *shard, struct failure *why);

#endif
