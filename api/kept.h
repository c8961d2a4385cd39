/*
 * Answers that are kept as they were sent, until what they tell of has changed or their room is needed: a table of bounded bytes,
 * from which the one goes that was not asked for longest. An answer that is being sent outlives its place in it.
 *
 * Who may have an answer is no question of this table: its keys have to tell apart what different readers may see.
 *
 * Sees:     answers with released numbers; of requests a hash.
 * Uses:     libmicrohttpd (answers are counted there by who holds them), edition.
 * Threads:  any; a lock is held for a look-up, not while an answer is made or sent.
 * Failure:  what cannot be kept is not.
 */
#ifndef THRONG_API_KEPT_H
#define THRONG_API_KEPT_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "api/edition.h"
#include "schema/limits.h"

#define KEPT_KEY_BYTES 32
#define KEPT_TAG_BYTES 64
#define KEPT_ROOM_BYTES 2048 /* that an answer is taken to need beside its body */

/* A hash of all that tells one question from another, and of what its reader may see. */
struct kept_key {
    uint8_t bytes[KEPT_KEY_BYTES];
};

/* One answer; all zero: there is none. */
struct kept_answer {
    struct MHD_Response *full;      /* 200 */
    struct MHD_Response *unchanged; /* 304, for who has the tag; NULL: the answer has no tag */
    char tag[KEPT_TAG_BYTES];       /* strong, quotes and all; "": none */
    char app[NAME_MAX_BYTES + 1];   /* whose numbers it tells, as reads are counted; "": it is no such read */
    size_t bytes;                   /* of the body */
};

struct kept;
struct kept_entry;

/* A table for `bytes` (1 or more) in all. Owned by the caller; NULL if memory is short. */
struct kept *kept_new(size_t bytes);
/* Free; NULL is allowed. Nothing that was taken may be left. */
void kept_free(struct kept *kept);

/* Take the answer kept for key and exactly this edition, to be given back with kept_give_back; NULL: there is none. */
struct kept_entry *kept_take(struct kept *kept, const struct kept_key *key, const struct edition *edition);
/* What was taken, borrowed until it is given back. */
const struct kept_answer *kept_answer(const struct kept_entry *entry);
/* See kept_take. */
void kept_give_back(struct kept_entry *entry);

/* Keep *answer (taken, also when it has no room: then all zero is left) for key and edition, in place of an older one. */
void kept_put(struct kept *kept, const struct kept_key *key, const struct edition *edition, struct kept_answer *answer);

/* Keep nothing of what is kept now. */
void kept_clear(struct kept *kept);

/* Destroy what an answer that is not kept holds, and make it all zero. */
void kept_drop(struct kept_answer *answer);

/* The bytes that are kept now, KEPT_ROOM_BYTES an answer included. */
size_t kept_bytes(struct kept *kept);

#endif
