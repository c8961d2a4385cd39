/*
 * A shard's state in PostgreSQL: lease, what a fold must know beforehand, and the flush: state and offset in one
 * transaction, set-wise.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  one db belongs to one thread.
 * Failure:  RESULT_DENIED: the lease is lost (another owner, or the connection broke): reset the shard and take it again.
 *           RESULT_UNAVAILABLE likewise: what was in memory is read again from the offset in the database.
 */
#ifndef THRONG_AGGREGATE_STORE_H
#define THRONG_AGGREGATE_STORE_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Try to become shard's owner: an advisory lock of this connection and the next fencing token. On RESULT_OK shard->held
 * says whether; if so, offset, nodes, the apps of shard->directory and whom to forget are loaded. */
enum result store_take(struct db *db, struct shard *shard, struct failure *why);

/* Give the lease back. */
void store_give(struct db *db, struct shard *shard);

/* Bring shard->apps in line with shard->directory: new apps come in with their progress and epoch. */
enum result store_load_apps(struct db *db, struct shard *shard, struct failure *why);

/* Load what the database knows of sources and strangers that the fold has registered since the last call. */
enum result store_look_up(struct db *db, struct shard *shard, struct failure *why);

/* Inside a transaction: move the offset to shard->read (RESULT_DENIED if another owner did), and write the digested fold,
 * nodes and epochs. */
enum result store_write(struct db *db, struct shard *shard, struct failure *why);

/* Delete and fold what has outlived its purpose in this shard; one transaction of its own. now_ms: wall clock. All that was
 * read must have been flushed: what is read again after a failure is judged by what this leaves. */
enum result store_expire(struct db *db, struct shard *shard, int64_t now_ms, struct failure *why);

#endif
