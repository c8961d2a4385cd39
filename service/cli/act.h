/*
 * An operator's act: its audit leaf, written in the act's own transaction, and the random texts that acts make.
 *
 * Sees:     API keys and write keys while they are made.
 * Uses:     compliance/audit/leaf, libsodium, service/db.
 * Threads:  as struct db.
 * Failure:  as service/db and compliance/audit/leaf.
 */
#ifndef THRONG_CLI_ACT_H
#define THRONG_CLI_ACT_H

#include <stddef.h>

#include "compliance/audit/leaf.h"
#include "service/db/db.h"

#define ACT_KEY_CHARACTERS 32

/* An act under way. head.id is the leaf's id for the act's own row. */
struct act {
    struct leaf_head head;
    struct leaf *leaf; /* append its data with leaf_* */
    char role[64];     /* the actor: the database role in use */
};

/* Begin the leaf of act (of compliance/audit/acts.def) about tenant, an app's name or "" (both borrowed). Whatever is
 * returned, act_free is needed. */
enum result act_begin(struct db *db, const char *act, const char *tenant, struct act *out, struct failure *why);

/* As act_begin, for the outcome of an act outside the database: ref is the id of the intent's leaf (borrowed until
 * act_append), or NULL. */
enum result act_begin_outcome(struct db *db, const char *act, const char *tenant, enum leaf_out out, const uint8_t *ref,
    struct act *to, struct failure *why);

/* As act_begin, for an act whose id was told elsewhere before: the leaf's id is id (copied). */
enum result act_begin_known(struct db *db, const char *act, const char *tenant, const uint8_t id[16], struct act *out,
    struct failure *why);

/* Append the finished leaf to the trail, inside the caller's transaction. */
enum result act_append(struct db *db, struct act *act, struct failure *why);

/* Free what act owns. */
void act_free(struct act *act);

/* Write prefix and ACT_KEY_CHARACTERS random characters of [0-9A-Za-z] to out[0..size-1]. */
void act_make_key(const char *prefix, char *out, size_t size);

#endif
