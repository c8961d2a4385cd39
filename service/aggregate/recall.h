/*
 * Whom a shard must forget, in the two places that remember it: subject.mark and subject.purged_shard, and Redis's copy,
 * which is written before the transaction commits. A database that was restored from a backup lacks what Redis knows: it is
 * carried out anew, by marks alone, before anything else is. A mark that Redis lacks is given to it, for it may have lost its copy:
 * so an objection that was withdrawn after the backup holds again, until it is withdrawn anew.
 *
 * Sees:     pseudonyms, and the key of the marks.
 * Uses:     libpq, hiredis, libsodium, through the layers below.
 * Threads:  as db.h.
 * Failure:  as db.h and stream.h.
 */
#ifndef THRONG_AGGREGATE_RECALL_H
#define THRONG_AGGREGATE_RECALL_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"
#include "service/stream/stream.h"

/* Load what the database remembers, and the key, into shard->fold.forgotten. */
enum result recall_load(struct db *db, struct shard *shard, struct failure *why);

/* Inside a transaction: write the marks that were not told yet. */
enum result recall_write(struct db *db, const struct shard *shard, struct failure *why);

/* At the end of a transaction: bring Redis's copy up to date. */
enum result recall_tell(struct stream *stream, const struct shard *shard, struct failure *why);

/* Compare both, in a transaction of its own if the database lacks something: what Redis has more is carried out anew, and
 * what it lacks it gets. keep_days: how long a backup may be kept. *again: how many marks were carried out anew. */
enum result recall_compare(struct db *db, struct stream *stream, struct shard *shard, int64_t keep_days, size_t *again,
    struct failure *why);

/* Delete the marks of erasures that died before today (UTC); one transaction of its own. */
enum result recall_expire(struct db *db, struct stream *stream, struct shard *shard, int32_t today, struct failure *why);

#endif
