#include "service/ingest/replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/stream/stream.h"

#define PAUSE_MS 500
#define WATERMARK_BYTES 64
#define HOLES_AT_ONCE 64

struct replay {
    const struct config *config;
    struct node *node;
    struct spool *spool;
    struct stream *stream;
    struct spool_batch *batch;
    struct failure away; /* the last reason told */
    struct purges *purges;
    struct notices *notices;
    uint64_t replayed; /* entries of the segment that is read */
    atomic_bool up;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

bool replay_up(const struct replay *replay)
{
    return atomic_load(&replay->up);
}

static void set_up(struct replay *replay, bool up)
{
    if (atomic_exchange(&replay->up, up) == up)
        return;
    metrics_set(METRIC_REDIS_UP, up);
    if (up)
        log_event(LOG_LEVEL_INFO, "redis.answers");
    else
        log_event(LOG_LEVEL_WARN, "redis.away");
}

void replay_failed(struct replay *replay)
{
    set_up(replay, false);
}

static bool send_all(struct replay *replay, struct stream_append *entries, size_t count)
{
    struct failure why = {0};
    enum result result = stream_add(replay->stream, entries, count, &why);
    if (result == RESULT_OK)
        return true;
    log_event(LOG_LEVEL_DEBUG, "replay.waiting", LOG_FAILURE(result, &why));
    replay_failed(replay);
    return false;
}

/* Put an empty counts packet in the place of each n whose entry is lost or is already there. */
static bool fill_holes(struct replay *replay)
{
    struct node_hole holes[HOLES_AT_ONCE];
    struct stream_append entries[HOLES_AT_ONCE];
    uint8_t bytes[HOLES_AT_ONCE][WATERMARK_BYTES];
    size_t count = node_holes(replay->node, holes, HOLES_AT_ONCE);
    if (count == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        const struct packet_header header = {
            .type = PACKET_COUNTS, .node = node_id(replay->node), .shard = holes[i].shard, .n = holes[i].n};
        entries[i] = (struct stream_append){.shard = holes[i].shard, .bytes = bytes[i]};
        (void)packet_write_counts(&header, clock_now_ms(), NULL, 0, bytes[i], WATERMARK_BYTES, &entries[i].length);
    }
    if (!send_all(replay, entries, count))
        return false;
    node_fill_holes(replay->node, count);
    return true;
}

static void report(const struct spool_batch *batch)
{
    if (batch->torn)
        log_event(LOG_LEVEL_WARN, "spool.unfinished_record", LOG_UINT("segment", batch->segment));
    if (batch->damaged == 0)
        return;
    metrics_add(METRIC_SPOOL_DAMAGED, batch->damaged);
    log_event(LOG_LEVEL_ERROR, "spool.damaged_record", LOG_UINT("segment", batch->segment),
        LOG_UINT("records", batch->damaged));
}

/* The entries of batch, without the parts of purged apps; one that is whole and yet no packet counts as damaged. */
static size_t unpack(struct purges *purges, struct spool_batch *batch, struct stream_append *entries)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct packet_reader reader;
        struct packet_header header;
        if (packet_open(&reader, batch->records[i].bytes, batch->records[i].length, &header) != RESULT_OK) {
            batch->damaged++;
            continue;
        }
        purges_strip(purges, batch->records[i].bytes, &batch->records[i].length);
        entries[count++] = (struct stream_append){
            .shard = header.shard, .bytes = batch->records[i].bytes, .length = batch->records[i].length};
    }
    return count;
}

/* Count what was sent. A segment that ends is about to be deleted: what it had is noted before; until then a crash has it sent, and
 * counted, anew. */
static void count_replayed(struct replay *replay, size_t count)
{
    replay->replayed += count;
    metrics_add(METRIC_STREAM_ENTRIES, count);
    if (!replay->batch->ends || replay->replayed == 0)
        return;
    const struct packet_notice notice = {
        .act = PACKET_SPOOL_REPLAYED, .at_ms = clock_now_ms(), .count = replay->replayed};
    notices_add(replay->notices, &notice);
    replay->replayed = 0;
}

/* Send one batch of the spool. *more: there may be another. False if Redis or the disk refuses. */
static bool replay_some(struct replay *replay, bool *more)
{
    struct stream_append entries[SPOOL_READ_MAX];
    struct failure why = {0};
    *more = false;
    enum result result = spool_read(replay->spool, replay->batch, &why);
    if (result == RESULT_OK && !replay->batch->waiting)
        return true;
    if (result == RESULT_OK) {
        size_t count = unpack(replay->purges, replay->batch, entries);
        if (count > 0 && !send_all(replay, entries, count))
            return false;
        report(replay->batch);
        count_replayed(replay, count);
        result = spool_advance(replay->spool, replay->batch, &why);
    }
    metrics_set(METRIC_SPOOL_BYTES, (int64_t)spool_bytes(replay->spool));
    if (result != RESULT_OK)
        log_event(LOG_LEVEL_ERROR, "spool.replay_failed", LOG_FAILURE(result, &why));
    *more = result == RESULT_OK;
    return result == RESULT_OK;
}

/* Tell every shard that node has ended; next_n of each shard, or of none if `known` is false. */
static bool send_ended(struct replay *replay, uint64_t node, bool known)
{
    size_t shards = (size_t)replay->config->stream_shards;
    struct stream_append entries[SHARDS_MAX];
    uint8_t bytes[SHARDS_MAX][WATERMARK_BYTES];
    for (size_t s = 0; s < shards; s++) {
        const struct packet_header header = {
            .type = PACKET_WATERMARK, .node = node, .shard = (uint16_t)s, .n = PACKET_NO_N};
        const struct packet_watermark watermark = {.watermark_ms = clock_now_ms(),
            .next_n = known ? node_next_n(replay->node, (uint16_t)s) : PACKET_NO_N,
            .ended = true};
        entries[s] = (struct stream_append){.shard = (uint16_t)s, .bytes = bytes[s]};
        (void)packet_write_watermark(&header, &watermark, bytes[s], WATERMARK_BYTES, &entries[s].length);
    }
    return send_all(replay, entries, shards);
}

static bool end_node(struct replay *replay, uint64_t node, bool known)
{
    struct failure why = {0};
    if (!send_ended(replay, node, known))
        return false;
    enum result result = node_forget(replay->node, node, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "node.forget_failed", LOG_FAILURE(result, &why));
        return false;
    }
    log_event(LOG_LEVEL_INFO, "node.ended", LOG_UINT("node", node));
    return true;
}

/* What earlier processes left has been sent: end them, the oldest first. */
static bool end_earlier(struct replay *replay)
{
    if (spool_inherited(replay->spool) > 0)
        return true;
    for (uint64_t id; (id = node_earlier(replay->node, 0)) != 0;) {
        if (!end_node(replay, id, false))
            return false;
    }
    return true;
}

/* Whether Redis is there. If not, why: once for each reason. */
static bool reach(struct replay *replay)
{
    struct failure why = {0};
    enum result result = replay_up(replay) ? RESULT_OK : stream_connect(replay->stream, &why);
    if (result != RESULT_OK && strcmp(why.text, replay->away.text) != 0)
        log_event(LOG_LEVEL_WARN, "redis.away_because", LOG_FAILURE(result, &why));
    replay->away = why;
    return result == RESULT_OK;
}

/* One round; whether there is more to do at once. */
static bool step(struct replay *replay)
{
    bool more = false;
    if (!reach(replay))
        return false;
    if (!fill_holes(replay) || !replay_some(replay, &more) || !end_earlier(replay))
        return false;
    set_up(replay, true);
    return more;
}

static void *run(void *argument)
{
    struct replay *replay = argument;
    pthread_mutex_lock(&replay->lock);
    while (!replay->stopping) {
        pthread_mutex_unlock(&replay->lock);
        bool more = step(replay);
        pthread_mutex_lock(&replay->lock);
        if (more || replay->stopping)
            continue;
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PAUSE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&replay->wake, &replay->lock, &until);
    }
    pthread_mutex_unlock(&replay->lock);
    return NULL;
}

static void release(struct replay *replay)
{
    stream_free(replay->stream);
    pthread_mutex_destroy(&replay->lock);
    pthread_cond_destroy(&replay->wake);
    free(replay->batch);
    free(replay);
}

struct replay *replay_start(const struct config *config, struct node *node, struct spool *spool, struct purges *purges,
    struct notices *notices)
{
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return NULL;
    replay->config = config;
    replay->node = node;
    replay->spool = spool;
    replay->purges = purges;
    replay->notices = notices;
    replay->stream = stream_new(config);
    replay->batch = malloc(sizeof *replay->batch);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&replay->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&replay->lock, NULL);
    metrics_set(METRIC_REDIS_UP, 0);
    metrics_set(METRIC_SPOOL_BYTES, (int64_t)spool_bytes(spool));
    if (replay->stream == NULL || replay->batch == NULL) {
        release(replay);
        return NULL;
    }
    (void)step(replay);
    if (pthread_create(&replay->thread, NULL, run, replay) != 0) {
        release(replay);
        return NULL;
    }
    return replay;
}

void replay_stop(struct replay *replay, int64_t deadline_ms)
{
    if (replay == NULL)
        return;
    pthread_mutex_lock(&replay->lock);
    replay->stopping = true;
    pthread_cond_signal(&replay->wake);
    pthread_mutex_unlock(&replay->lock);
    (void)pthread_join(replay->thread, NULL);
    int64_t until_ms = clock_steady_ms() + deadline_ms;
    while (step(replay) && clock_steady_ms() < until_ms)
        continue;
    struct node_hole hole;
    if (replay_up(replay) && spool_bytes(replay->spool) == 0 && node_holes(replay->node, &hole, 1) == 0)
        (void)end_node(replay, node_id(replay->node), true);
    release(replay);
}
