#include "service/ingest/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/status.h"

#define BEAT_MS 1000
#define TICK_EVERY_BEATS 10
#define CLOCK_APART_MAX_MS 1000
#define WATERMARK_BYTES 64

struct pulse {
    struct pulse_parts parts;
    struct stream *stream;
    pthread_t thread;
    atomic_bool stopping, failed;
    unsigned beats;
    enum result catalogue; /* of the last poll, so that a state is logged once */
};

/* The shift that a test gave our wall clock: Redis's has none. */
static int64_t test_offset_ms(void)
{
    const char *offset = getenv("THRONG_TEST_CLOCK_OFFSET_MS");
    return offset == NULL ? 0 : strtoll(offset, NULL, 10);
}

enum result pulse_check_redis(const struct config *config, struct stream *stream, struct failure *why)
{
    int64_t redis_ms, asked_ms = clock_now_ms() - test_offset_ms();
    enum result result = stream_time_ms(stream, &redis_ms, why);
    if (result != RESULT_OK)
        return result;
    int64_t answered_ms = clock_now_ms() - test_offset_ms();
    /* The answer may have been under way for long: only what lies outside of that time is a difference. */
    int64_t apart_ms = redis_ms < asked_ms ? asked_ms - redis_ms
        : redis_ms > answered_ms ? answered_ms - redis_ms : 0;
    if (apart_ms > CLOCK_APART_MAX_MS || apart_ms < -CLOCK_APART_MAX_MS) {
        failure_set(why, "clock", "is %lld ms ahead of Redis's; %d ms are allowed", (long long)apart_ms,
            CLOCK_APART_MAX_MS);
        return RESULT_INVALID;
    }
    return stream_check_durability(stream, config->ingest_durability, why);
}

static int64_t oldest_spooled(void *spool)
{
    return spool_oldest_ms(spool);
}

/* The n below which all of shard is in the stream: the node is asked before the spool, as entries move that way. */
static uint64_t safe_n(const struct pulse_parts *parts, uint16_t shard)
{
    uint64_t n = node_next_n(parts->node, shard);
    uint64_t spooled = spool_lowest_n(parts->spool, shard);
    return spooled < n ? spooled : n;
}

static void send_watermarks(struct pulse *pulse)
{
    const struct pulse_parts *parts = &pulse->parts;
    size_t shards = (size_t)parts->config->stream_shards;
    struct stream_append entries[SHARDS_MAX];
    uint8_t bytes[SHARDS_MAX][WATERMARK_BYTES];
    struct failure why = {0};
    int64_t watermark_ms = node_watermark(parts->node, oldest_spooled, parts->spool);
    for (size_t s = 0; s < shards; s++) {
        const struct packet_header header = {
            .type = PACKET_WATERMARK, .node = node_id(parts->node), .shard = (uint16_t)s, .n = PACKET_NO_N};
        const struct packet_watermark watermark = {
            .watermark_ms = watermark_ms, .next_n = safe_n(parts, (uint16_t)s)};
        entries[s] = (struct stream_append){.shard = (uint16_t)s, .bytes = bytes[s]};
        (void)packet_write_watermark(&header, &watermark, bytes[s], WATERMARK_BYTES, &entries[s].length);
    }
    if (stream_add(pulse->stream, entries, shards, &why) != RESULT_OK)
        replay_failed(parts->replay);
}

static void poll_catalogue(struct pulse *pulse)
{
    struct failure why = {0};
    enum result result = mirror_poll(pulse->parts.mirror, pulse->stream, &why);
    if (result != RESULT_OK && result != pulse->catalogue)
        log_event(result == RESULT_UNAVAILABLE ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "catalogue.refused",
            LOG_FAILURE(result, &why));
    pulse->catalogue = result;
    struct mirror_view *view = mirror_hold(pulse->parts.mirror);
    status_ready(view != NULL);
    mirror_release(view);
}

void pulse_tick_keys(struct keyd *keyd, struct stream *stream)
{
    int64_t redis_ms = -1;
    struct failure why = {0}, away = {0};
    struct keyd_tick tick = {0};
    if (stream != NULL && stream_time_ms(stream, &redis_ms, &away) == RESULT_OK)
        redis_ms += test_offset_ms();
    enum result result = keyd_tick(keyd, redis_ms, &tick, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "keys.tick_failed", LOG_FAILURE(result, &why));
        return;
    }
    if (tick.ratcheted > 0)
        log_event(LOG_LEVEL_INFO, "keys.ratcheted", LOG_UINT("apps", tick.ratcheted));
    if (tick.clocks_disagree && metrics_get(METRIC_KEYS_CLOCKS_DISAGREE) == 0)
        log_event(LOG_LEVEL_ERROR, "keys.clocks_disagree");
    metrics_set(METRIC_KEYS_CLOCKS_DISAGREE, tick.clocks_disagree);
}

static void check_late(struct pulse *pulse)
{
    struct failure why = {0};
    enum result result = pulse_check_redis(pulse->parts.config, pulse->stream, &why);
    if (result == RESULT_UNAVAILABLE)
        return;
    pulse->parts.checked = true;
    if (result == RESULT_OK)
        return;
    log_event(LOG_LEVEL_ERROR, "redis.unfit", LOG_FAILURE(result, &why));
    atomic_store(&pulse->failed, true);
    lifecycle_end();
}

static void tell(struct pulse *pulse)
{
    const struct pulse_parts *parts = &pulse->parts;
    struct failure why = {0};
    notices_set_replaying(parts->notices, spool_bytes(parts->spool) > 0);
    notices_check_clock(parts->notices, clock_now_ms(), clock_steady_ms());
    selftest_run_due(parts->selftest, clock_steady_ms());
    (void)notices_sync(parts->notices, &why);
    (void)purges_finish(
        parts->purges, parts->notices, parts->writer, (uint32_t)parts->config->stream_shards, &why);
}

static void beat(struct pulse *pulse)
{
    for (size_t i = 0; i < sizeof pulse->parts.servers / sizeof pulse->parts.servers[0]; i++) {
        if (pulse->parts.servers[i] != NULL)
            server_sweep(pulse->parts.servers[i]);
    }
    if (replay_up(pulse->parts.replay)) {
        if (!pulse->parts.checked)
            check_late(pulse);
        send_watermarks(pulse);
        poll_catalogue(pulse);
    }
    if (pulse->beats++ % TICK_EVERY_BEATS == 0)
        pulse_tick_keys(pulse->parts.keyd, replay_up(pulse->parts.replay) ? pulse->stream : NULL);
    tell(pulse);
}

static void *run(void *argument)
{
    struct pulse *pulse = argument;
    int64_t next_ms = clock_steady_ms();
    while (!atomic_load(&pulse->stopping)) {
        beat(pulse);
        next_ms += BEAT_MS;
        int64_t now_ms = clock_steady_ms();
        if (next_ms < now_ms)
            next_ms = now_ms;
        if (lifecycle_sleep_ms(next_ms - now_ms))
            break;
    }
    return NULL;
}

struct pulse *pulse_start(const struct pulse_parts *parts)
{
    struct pulse *pulse = calloc(1, sizeof *pulse);
    if (pulse == NULL)
        return NULL;
    pulse->parts = *parts;
    pulse->stream = stream_new(parts->config);
    if (pulse->stream == NULL || pthread_create(&pulse->thread, NULL, run, pulse) != 0) {
        stream_free(pulse->stream);
        free(pulse);
        return NULL;
    }
    return pulse;
}

bool pulse_failed(const struct pulse *pulse)
{
    return atomic_load(&pulse->failed);
}

void pulse_stop(struct pulse *pulse)
{
    if (pulse == NULL)
        return;
    atomic_store(&pulse->stopping, true);
    (void)pthread_join(pulse->thread, NULL);
    stream_free(pulse->stream);
    free(pulse);
}
