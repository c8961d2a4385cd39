/*
 * The pulse: what ingest does each second beside requests. A watermark to every shard, a look at the catalogue, the
 * keys' clock, notices for the audit trail, purges to finish, the self-test, connections that read for too long, and once
 * Redis is there the checks that its settings and time allow.
 *
 * Sees:     times, counters, the catalogue.
 * Uses:     service/stream, keyd, mirror, node, spool, replay, notices, purges, selftest, server; one thread of its own.
 * Threads:  pulse_failed in any.
 * Failure:  a beat that fails is repeated a second later; Redis found unfit ends the process.
 */
#ifndef THRONG_INGEST_PULSE_H
#define THRONG_INGEST_PULSE_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/ingest/exchange.h"
#include "service/ingest/server.h"

struct pulse;

struct pulse_parts {
    const struct config *config;
    struct keyd *keyd;
    struct node *node;
    struct spool *spool;
    struct replay *replay;
    struct mirror *mirror;
    struct writer *writer;
    struct notices *notices;
    struct purges *purges;
    struct selftest *selftest;
    struct server *servers[3]; /* NULL: none */
    bool checked; /* Redis's fitness is known already */
};

/* Whether Redis's time and durability are as configured. RESULT_UNAVAILABLE if it is away: ask again later.
 * RESULT_INVALID: this process must not run. */
enum result pulse_check_redis(const struct config *config, struct stream *stream, struct failure *why);

/* Let keyd ratchet what has passed by the wall clock and Redis's (stream; NULL: it is away, and nothing is
 * ratcheted). Once before the first request, and each few beats. */
void pulse_tick_keys(struct keyd *keyd, struct stream *stream);

/* Start the thread; what parts name is borrowed. NULL if the system refuses. */
struct pulse *pulse_start(const struct pulse_parts *parts);

/* Whether Redis was found unfit after the start. */
bool pulse_failed(const struct pulse *pulse);

/* End the thread and free; NULL is allowed. */
void pulse_stop(struct pulse *pulse);

#endif
