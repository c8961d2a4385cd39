/*
 * A signed checkpoint of the audit log that a page prints or carries, so that its readers keep one: whoever has it can later tell
 * whether the log was changed since.
 *
 * Sees:     the log's public side.
 * Uses:     service/db (role throng_read), compliance/audit.
 * Threads:  as struct db.
 * Failure:  as service/db; RESULT_CORRUPT if what is stored is no checkpoint.
 */
#ifndef THRONG_PAPER_ANCHOR_H
#define THRONG_PAPER_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "service/db/db.h"

#define ANCHOR_ROOT_BYTES (TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1)

struct anchor {
    bool any; /* false: nothing is signed yet, the rest is empty */
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    uint64_t size;
    char root[ANCHOR_ROOT_BYTES]; /* base64 */
    int64_t signed_at_ms;
    char *note; /* the whole signed note, a string */
};

/* Read to *out the newest checkpoint, or if covers >= 0, the first that has the entry of this index and, where there are several of
 * its size, was signed first: always the same one. anchor_free afterwards. */
enum result anchor_read(struct db *db, int64_t covers, struct anchor *out, struct failure *why);
/* Free what anchor owns. */
void anchor_free(struct anchor *anchor);

#endif
