/*
 * The trail as a program writes it: one act's leaf, put together and appended in the transaction that is open.
 *
 * Sees:     what the act says: never a user id, pseudonym, address or free text.
 * Uses:     compliance/audit/leaf, libsodium, service/db.
 * Threads:  as struct db.
 * Failure:  as db.h and compliance/audit/leaf.h.
 */
#ifndef THRONG_DB_TRAIL_H
#define THRONG_DB_TRAIL_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/leaf.h"
#include "service/db/db.h"

/* An act under way. head.id is the leaf's id, for the act's own row. */
struct trail {
    struct leaf_head head;
    struct leaf *leaf; /* append its data with leaf_* */
};

/* Begin the leaf of an act by a daemon, now. act (of compliance/audit/acts.def), tenant (an app's name or "") and daemon
 * ("aggregate") are borrowed until trail_append; so is ref, the id of the intent that it completes, or NULL. Whatever is
 * returned, trail_free is needed. RESULT_FAILED without memory. */
enum result trail_begin(
    const char *act, const char *tenant, const char *daemon, enum leaf_out out, const uint8_t *ref, struct trail *trail);

/* Append the finished leaf, inside the caller's transaction (or as one of its own). */
enum result trail_append(struct db *db, struct trail *trail, struct failure *why);

/* Append the finished leaves of trails[0..count-1], in that order, inside the caller's transaction. */
enum result trail_append_all(struct db *db, struct trail *trails, size_t count, struct failure *why);

/* Free what trail owns. */
void trail_free(struct trail *trail);

/* As one transaction: daemon_started with the two hashes (SHA-256; see service/catalogue/fingerprint.h), daemon_stopped. */
enum result trail_started(struct db *db, const char *daemon, const uint8_t binary[32], const uint8_t configuration[32],
    struct failure *why);
/* See trail_started. */
enum result trail_stopped(struct db *db, const char *daemon, struct failure *why);

#endif
