/*
 * Replay: what was planned and released, and a restored database lacks, is put back from the leaves of the audit trail, which
 * carry the numbers and all that is said of them. Nothing is drawn, and nothing is charged anew: what was read once stays what
 * it is.
 *
 * The trail itself is put back before, by throng-audit. An app, or a version of its definition, that is younger than the
 * backup has to be added again by an operator: the trail has its hash, not its text.
 *
 * Sees:     leaves of plans, releases and refusals; nothing of a person.
 * Uses:     service/db, jansson, store.h, ledger.h, head.h.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND: an app or a definition is not there (why names it); RESULT_CORRUPT: a leaf is not what this
 *           version writes, or does not follow the database's head; or as db_run. What was put back before stays.
 */
#ifndef THRONG_RELEASE_REPLAY_H
#define THRONG_RELEASE_REPLAY_H

#include <stdint.h>

#include "schema/failure.h"
#include "service/db/db.h"

/* How much was put back. */
struct replay_count {
    uint64_t plans, releases, refused;
};

/* Put back all that the log has and the database lacks, in the log's order. Adds to *count what was committed. */
enum result replay_missing(struct db *db, struct replay_count *count, struct failure *why);

#endif
