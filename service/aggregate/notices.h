/*
 * What ingest nodes tell for the trail: each notice becomes its leaf, once, in the transaction that moves the offset over it;
 * births and deaths of keys become rows of subject.key_life.
 *
 * Sees:     commitments to keys, never keys; nothing of a person.
 * Uses:     libpq, libsodium, through the layers below.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_NOTICES_H
#define THRONG_AGGREGATE_NOTICES_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Inside a transaction: record notice, which node sent. What is known of a key's life already is not told again. */
enum result notices_apply(struct db *db, const struct shard *shard, uint64_t node, const struct packet_notice *notice,
    struct failure *why);

#endif
