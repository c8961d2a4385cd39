/*
 * One shard as its owner keeps it: lease, position, nodes, apps, and the fold that waits for the next flush. Data only;
 * worker.c drives it, store.c and close.c put it into the database.
 *
 * Sees:     pseudonyms (in the fold).
 * Uses:     libc, schema/.
 * Threads:  a shard belongs to one worker.
 */
#ifndef THRONG_AGGREGATE_SHARD_H
#define THRONG_AGGREGATE_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/aggregate/directory.h"
#include "service/aggregate/fold.h"
#include "service/aggregate/live.h"
#include "service/aggregate/ranges.h"
#include "service/stream/stream.h"

#define SHARD_CLOCK_SLACK_MS 2000 /* nodes are within 1 s of Redis, so within 2 s of each other */

struct shard_node {
    uint64_t node;
    struct ranges applied;
    int64_t watermark_ms;
    int64_t next_n;   /* everything below is in the stream, -1: never said */
    int64_t heard_ms; /* this process's clock */
    bool ended;
    bool changed;     /* since the last flush */
};

struct shard {
    uint16_t number;
    bool held;
    int64_t token;
    char off[STREAM_ID_BYTES];  /* in the database */
    char read[STREAM_ID_BYTES]; /* folded so far */
    bool verified;              /* the entry at off was found in the stream since the lease was taken */
    bool recalled;              /* what Redis remembers of whom to forget is carried out, since then */
    struct fold fold;
    struct live live; /* what waits for the view of test apps */
    struct shard_node *nodes;
    size_t node_count;
    struct fold_app *apps;
    size_t app_count;
    uint64_t entries;         /* folded since the last flush */
    int64_t unknown_since_ms; /* steady clock, when an app that the directory lacks was met; 0: none is */
    int64_t waiting_since_ms; /* steady clock, when the first of them came; 0: none */
    const struct directory *directory; /* of this round: borrowed while the worker holds it */
};

/* The worker's knowledge of app in shard, NULL if the directory has no such app. A fold_find_app with the shard as its
 * context. */
struct fold_app *shard_find_app(void *shard, uint32_t app);

/* The node, added if new. */
struct shard_node *shard_node(struct shard *shard, uint64_t node);

/* Up to where everything received is applied: the least watermark over nodes that neither ended nor were retired, less
 * SHARD_CLOCK_SLACK_MS; INT64_MIN if there is none. */
int64_t shard_watermark(const struct shard *shard);

/* Entries that nodes say they sent and that never came. */
int64_t shard_lost(const struct shard *shard);

/* Forget everything but the number: the lease is gone. */
void shard_reset(struct shard *shard);

#endif
