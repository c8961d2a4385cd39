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
#include "schema/packet.h"
#include "service/base/config.h"
#include "service/ingest/counts.h"
#include "service/ingest/node.h"
#include "service/ingest/replay.h"
#include "service/ingest/request.h"
#include "service/ingest/spool.h"

struct writer;

#define WRITER_PACKET_BYTES 256 /* the longest packet that is not of events */

/* A finished packet; the writer sets its n. */
struct writer_packet {
    uint16_t shard;
    size_t length;
    uint8_t bytes[WRITER_PACKET_BYTES];
};

/* What an item brings instead of events. */
struct writer_control {
    struct packet_erase *erase;          /* a person's request: the writer fills in the names of the one id in
                                          * item.request, whose app is set, and sends it to the person's shard */
    const struct writer_packet *packets; /* or packets that are ready, item.request being empty */
    size_t packet_count;
    size_t first_entry, entry_count;     /* the writer's own */
};

/* A request that waits for its commit, embedded in its owner. */
struct writer_item {
    struct writer_item *next;
    struct request request;    /* with at least one event, unless there is control */
    struct writer_control *control; /* or NULL; borrowed until done */
    struct node_ticket ticket; /* received, settled by the writer */
    bool safe;                 /* out: all of it is in Redis or in the spool */
    enum result named;         /* out: what keyd said of the ids: RESULT_OK, or why an item is not safe */
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

/* Write the start of a packet that the writer is to send to shard: node and shard, n open. */
struct packet_header writer_header(const struct writer *writer, enum packet_type type, uint16_t shard);

/* Commit packets[0..count-1] and wait for it, at most some seconds. Not in the writer's thread. RESULT_OK: all of them are
 * safe. RESULT_UNAVAILABLE: they may or may not be, try again. */
enum result writer_send(struct writer *writer, const struct writer_packet *packets, size_t count);

/* Take no more, and wait until all that was handed over has been handed back. */
void writer_close(struct writer *writer);

/* Commit what waits, send the last counts, end the thread and free. NULL is allowed. */
void writer_stop(struct writer *writer);

#endif
