/*
 * An emergency purge, step by step: the order is a file first, then its intent in the trail, then ingest's; the rest is the
 * aggregator's. Each step may be tried again, in any state of the stores.
 *
 * Sees:     an operator's words (the reason), of which the trail gets a keyed hash.
 * Uses:     service/cli/orders, ask, act; service/db.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE: what is missing is named, and the order stays to be finished later.
 */
#ifndef THRONG_CLI_PURGING_H
#define THRONG_CLI_PURGING_H

#include <stdbool.h>

#include "service/cli/command.h"
#include "service/cli/orders.h"

/* How far a purge is. */
struct purging_progress {
    int64_t shards, purged; /* of how many; shards 0: the database cannot tell */
    bool done;              /* its outcome is in the trail */
    int64_t others;         /* ingest nodes that are announced, beside one: they are not told by this */
};

/* Try what is left of *order, which follows, and say in *progress how far it is; done orders are removed. RESULT_NOT_FOUND: there
 * is no such app (the order is removed). RESULT_UNAVAILABLE: at least one of PostgreSQL and ingest is away. */
enum result purging_advance(struct command_context *context, struct orders_purge *order, struct purging_progress *progress,
    struct failure *why);

/* Whether a purge of app that is recorded is not done. RESULT_UNAVAILABLE: the database is away. */
enum result purging_is_open(struct command_context *context, const char *app, bool *open, struct failure *why);

/* Write the HMAC-SHA-256 of reason under key[0..15] as 64 hexadecimal digits and a NUL. */
void purging_blind(const char *reason, const uint8_t key[16], char out[65]);

#endif
