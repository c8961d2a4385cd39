/*
 * Which state of the database answers about released numbers come from: two editions that are equal have the same released rows,
 * app definitions and places in the log. An edition is read as any row is, in a snapshot: whatever is visible to a reader has moved
 * the edition that this reader sees.
 *
 * Sees:     counts and a hash; no number.
 * Uses:     service/db (release.head, which moves on in each transaction that releases; config.installation, whose version
 *           triggers count up with each change of an app; the end of audit.entry).
 * Threads:  as struct db.
 * Failure:  as service/db; *out is untouched.
 */
#ifndef THRONG_API_EDITION_H
#define THRONG_API_EDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "service/db/db.h"

#define EDITION_HASH_BYTES 32

struct edition {
    int64_t releases;                 /* that were ever made */
    uint8_t hash[EDITION_HASH_BYTES]; /* over all of them, in order */
    int64_t catalogue;                /* of apps, definitions and keys */
    int64_t last_index;               /* of the log; -1: it is empty */
};

/* Read the edition of this moment to *out. */
enum result edition_read(struct db *db, struct edition *out, struct failure *why);

/* Whether nothing that an answer is made of has changed from one to the other. */
bool edition_equal(const struct edition *one, const struct edition *other);

#endif
