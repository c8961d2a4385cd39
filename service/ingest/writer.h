/*
 * The writer: group commit. One thread takes whatever requests have gathered, asks keyd for all their names in one
 * call, forms one packet per shard, sends them to Redis in one pipeline, or what Redis does not take to the spool in
 * one sync, and tells every request whether all of it is safe.
 *
 * Sees:     requests (raw ids), handed to keyd; packets.
 * Uses:     keyd, batch, node, spool, replay, counts, service/stream; one thread of its own.
 * Threads:  writer_submit in any.
 * Failure:  a request that is not safe says so; it is never half forgotten: its retry counts once by (source, seq).
 */
#ifndef THRONG_INGEST_WRITER_H
#define THRONG_INGEST_WRITER_H

#include <stdbool.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "service/base/config.h"
#include "service/ingest/counts.h"
#include "service/ingest/node.h"
#include "service/ingest/replay.h"
#include "service/ingest/request.h"
#include "service/ingest/spool.h"

struct writer;

/* A request that waits for its commit, embedded in its owner. */
struct writer_item {
    struct writer_item *next;
    struct request request;    /* with at least one event */
    struct node_ticket ticket; /* received, settled by the writer */
    bool safe;                 /* out: all of it is in Redis or in the spool */
    void (*done)(struct writer_item *item); /* called once by the writer's thread, which never touches item again */
};

struct writer_parts {
    const struct config *config;
    struct keyd *keyd;
    struct node *node;
    struct spool *spool;
    struct replay *replay;
    struct counts *counts;
};

/* Start the thread and announce the node. parts are borrowed for its life. NULL if the system refuses. */
struct writer *writer_start(const struct writer_parts *parts);

/* Hand over item until its done() is called. RESULT_FULL, and nothing taken, if ingest.suspended items wait already,
 * or the writer is closed. */
enum result writer_submit(struct writer *writer, struct writer_item *item);

/* Take no more, and wait until all that was handed over has been handed back. */
void writer_close(struct writer *writer);

/* Commit what waits, send the last counts, end the thread and free. NULL is allowed. */
void writer_stop(struct writer *writer);

#endif
