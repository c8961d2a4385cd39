/*
 * Before anything is signed, the three that must agree are brought together: what was signed last, the copy of the log as
 * files, and the database. The database may be ahead of the copy (a crash between the two), or behind it (it was restored, or
 * lost entries: they are put back); whatever else does not fit is refused, and nothing is signed.
 *
 * Sees:     audit leaves.
 * Uses:     service/db, compliance/audit.
 * Threads:  one.
 * Failure:  RESULT_CORRUPT: the database is not what was signed. Else as db.h and mirror.h.
 */
#ifndef THRONG_SEQUENCER_RECOVER_H
#define THRONG_SEQUENCER_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "compliance/sequencer/growth.h"
#include "compliance/sequencer/mirror.h"
#include "compliance/sequencer/signer.h"
#include "compliance/sequencer/database.h"

/* What it works with; everything is borrowed. */
struct recover_parts {
    struct db *db;
    struct mirror *mirror;
    const struct signer *signer;
    struct database_batch *batch; /* room */
    bool adopt;                /* a database with checkpoints is taken although nothing was signed here */
};

/* Entries that were put back: [from, to). */
struct recover_outcome {
    uint64_t from, to;
};

/* Bring them together; *growth becomes the tree. The act of putting entries back is in the trail when it returns. */
enum result recover_agree(
    const struct recover_parts *parts, struct growth *growth, struct recover_outcome *outcome, struct failure *why);

#endif
