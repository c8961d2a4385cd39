/*
 * What the main thread looks after about once a minute: requests whose copies are gone everywhere, purges that every shard carried
 * out, Redis's files, the day's leaves (account, expiry, self-tests), answers that nobody fetched. Of several aggregators
 * one does it at a time.
 *
 * Sees:     nothing of a person: counts and requests' ids.
 * Uses:     libpq, hiredis, libsodium, through the layers below.
 * Threads:  belongs to the main thread.
 * Failure:  as db.h and stream.h; the next turn tries again.
 */
#ifndef THRONG_AGGREGATE_CARETAKER_H
#define THRONG_AGGREGATE_CARETAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/aggregate/directory.h"
#include "service/db/db.h"
#include "service/stream/stream.h"

/* Nothing is under way but what the first two say. */
struct caretaker {
    int64_t period_ms;         /* between two looks at requests and days */
    int64_t rewrite_period_ms; /* at least so long between two rewritings of Redis's files */
    int64_t next_ms;           /* steady clock: of the next look */
    int64_t next_rewrite_ms;   /* steady clock */
    int64_t rewriting_ms;      /* what was applied before this moment (database's clock) is in no file once the rewriting
                                * under way is done; 0: none is */
    bool snapshot;             /* of the rewriting under way: the snapshot's turn */
};

/* Do what is due at now_ms (steady clock). Called about each second. */
enum result caretaker_turn(struct caretaker *caretaker, struct db *db, struct stream *stream, const struct directory *directory,
    int64_t now_ms, struct failure *why);

/* The parts, for tests. Each is a transaction of its own; today: UTC day. */
enum result caretaker_finish_purges(struct db *db, const struct directory *directory, struct failure *why);
/* See caretaker_finish_purges. */
enum result caretaker_finish_requests(struct db *db, const struct directory *directory, struct failure *why);
/* See caretaker_finish_purges. */
enum result caretaker_tell_days(struct db *db, const struct directory *directory, int32_t today, struct failure *why);

#endif
