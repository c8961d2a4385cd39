/*
 * Linking epochs: what stands under a passed epoch's name of a person who came under the present one moves there, with
 * whatever the rows of both say, and an alias is left for packets that still bear the old name.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_LINKAGE_H
#define THRONG_AGGREGATE_LINKAGE_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Inside a transaction: move the rows of the fold's users that are not known by their present names yet. */
enum result linkage_write(struct db *db, struct shard *shard, struct failure *why);

#endif
