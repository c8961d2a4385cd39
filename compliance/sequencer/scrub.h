/*
 * Reads the log in the database again, a little at a time, for ever: a leaf, an index or a tile that was changed there by
 * somebody who may do anything is noticed, though the end of the tree is as it was.
 *
 * Sees:     audit leaves.
 * Uses:     service/db, compliance/audit.
 * Threads:  one.
 * Failure:  RESULT_CORRUPT: the database is not what the copy of the log says. Else as db.h.
 */
#ifndef THRONG_SEQUENCER_SCRUB_H
#define THRONG_SEQUENCER_SCRUB_H

#include <stdint.h>

#include "compliance/sequencer/mirror.h"
#include "compliance/sequencer/database.h"

/* Compare 256 entries, their tile and what the tile above says of it with the copy. The log has size entries. *next: which
 * 256, downwards, and round again from the end; it stays where something is wrong. batch is room. */
enum result scrub_step(struct db *db, struct mirror *mirror, uint64_t size, struct database_batch *batch, uint64_t *next,
    struct failure *why);

#endif
