/*
 * A worker: one thread that owns shards by lease, reads their streams, folds, flushes state with its offset, closes days
 * and trims. Worker `index` of `count` tries the shards whose number leaves `index` when divided by `count`.
 *
 * Sees:     pseudonyms.
 * Uses:     hiredis and libpq through the layers below; a connection of its own to each.
 * Threads:  worker_run is the thread's body.
 * Failure:  none leaves it: whatever happens, shards are given up, and taken again from the offset in the database.
 */
#ifndef THRONG_AGGREGATE_WORKER_H
#define THRONG_AGGREGATE_WORKER_H

#include "service/base/config.h"

struct worker {
    const struct config *config; /* borrowed for the thread's life */
    unsigned index, count;
};

/* Run until lifecycle_ending(), then flush what is folded. worker: a struct worker, borrowed. Returns NULL. */
void *worker_run(void *worker);

#endif
