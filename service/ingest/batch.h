/*
 * One group commit: the requests that gathered, their identifiers replaced by names, formed into one packet per shard
 * (more where one would exceed ENTRY_MAX_BYTES). Buffers are kept from one commit to the next.
 *
 * Sees:     requests (raw ids) and pseudonyms; writes pseudonyms only.
 * Uses:     schema/packet; memory.
 * Threads:  a struct batch belongs to one.
 * Failure:  RESULT_UNAVAILABLE when memory is short: the batch is then empty.
 */
#ifndef THRONG_INGEST_BATCH_H
#define THRONG_INGEST_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "service/ingest/request.h"

struct batch;

struct batch_entry {
    uint16_t shard;
    uint8_t *bytes; /* a finished packet; its n is set later */
    size_t length;
    int64_t received_at_ms; /* the oldest of its requests */
    bool failed;            /* set by the caller before batch_failed is asked */
};

/* A request of the batch and where its names lie: names[0..request->id_count-1], in the order of its ids. */
struct batch_request {
    const struct request *request;
    const struct keyd_name *names;
};

/* A batch for packets of node. NULL if memory is short. */
struct batch *batch_new(uint64_t node);
/* Free; NULL is allowed. */
void batch_free(struct batch *batch);

/* Empty the batch, then form requests[0..count-1], none without events. Every name's result is RESULT_OK. */
enum result batch_form(struct batch *batch, const struct batch_request *requests, size_t count, struct failure *why);

/* Append a finished packet that is not a request's (counts, watermark), copied. */
enum result batch_add(struct batch *batch, uint16_t shard, const uint8_t *bytes, size_t length, struct failure *why);

/* The entries, borrowed until the next batch_form, in the order of their n within a shard. */
struct batch_entry *batch_entries(struct batch *batch, size_t *count);

/* For each request: failed[i] is whether an entry that holds a part of it has failed. */
void batch_failed(const struct batch *batch, bool *failed, size_t count);

#endif
