/*
 * Kept answers in the course of a request: an answer that was made for the same question, as far as its reader may see, and from
 * the edition that is there now, is sent again; one that is made anew is kept. Who asks, and whether they may, was settled
 * before; each answer counts as a read, kept or not.
 *
 * Sees:     requests while they last; keeps a hash of them.
 * Uses:     kept, edition, journal, libsodium, service/db.
 * Threads:  a call belongs to its HTTP thread; the table is shared.
 * Failure:  an edition that cannot be read means nothing is kept.
 */
#ifndef THRONG_API_KEEPER_H
#define THRONG_API_KEEPER_H

#include <stdbool.h>

#include "api/call.h"
#include "api/edition.h"
#include "api/kept.h"

/* An answer that is being made. */
struct keeper_making {
    struct kept_key key;
    struct edition edition; /* before it was begun */
    struct kept_answer answer;
};

/* True: call, which was admitted, is answered by a kept answer or because the database is away, and *answer is to be returned.
 * False: it is to be answered now, with keeper_finish afterwards; *making (any content) has to last until then. */
bool keeper_serve(struct call *call, struct keeper_making *making, enum MHD_Result *answer);

/* Keep what call was answered with, if that was a number of the edition that still is. */
void keeper_finish(struct call *call, struct keeper_making *making);

#endif
