/*
 * The fold's fragments into PostgreSQL: appended as they are. No row is read or written again before its sessions are
 * closed, where session.h makes of any fragments the sessions that merged ones would make: what a user does costs as much
 * as it is, however many sessions an hour it names.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_FRAGMENTS_H
#define THRONG_AGGREGATE_FRAGMENTS_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Inside a transaction: append the digested fold's fragments. */
enum result fragments_write(struct db *db, const struct shard *shard, struct failure *why);

#endif
