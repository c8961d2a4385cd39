#include "service/aggregate/worker.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/close.h"
#include "service/aggregate/live.h"
#include "service/aggregate/notices.h"
#include "service/aggregate/recall.h"
#include "service/aggregate/requests.h"
#include "service/aggregate/shard.h"
#include "service/aggregate/store.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/metrics.h"

#define READ_ENTRIES 512       /* of at most ENTRY_MAX_BYTES each, over all shards */
#define READ_BLOCK_MS 100
#define LEASE_PERIOD_MS 1000
#define REPORT_PERIOD_MS 2000
#define EXPIRE_PERIOD_MS 3600000
#define SWEEP_PERIOD_MS 2000
#define IDLE_FACTOR 6          /* an offset alone may wait so many times longer than events */
#define RETRY_MS 500
#define GATHER_MS 100          /* after a small read: nobody waits for what is not flushed, and larger reads are cheaper */
#define UNKNOWN_APP_MS 10000   /* how long a new app may take to get from the catalogue's publisher to this process */

/* What one thread works with. */
struct bench {
    const struct config *config;
    unsigned index, count;
    struct db *db;
    struct stream *stream;
    struct shard *shards;
    size_t shard_count;
    const struct directory *directory;
    struct packet_erase erases[REQUESTS_TOGETHER]; /* of the shard whose entries are applied: to carry out with its next flush */
    size_t erase_count;
    int64_t next_lease_ms, next_report_ms, next_expire_ms, next_sweep_ms; /* steady clock */
    struct failure why;
};

/* A control packet to carry out with a flush, alone. */
struct control {
    enum packet_type type; /* 0: none */
    struct packet_purge purge;
    struct packet_notice notice;
    uint64_t node;
};

static void warn(struct bench *bench, const char *what, const struct shard *shard, enum result result)
{
    log_event(LOG_LEVEL_WARN, "aggregate.retry", LOG_NAME("what", what),
        LOG_INT("shard", shard == NULL ? -1 : shard->number), LOG_FAILURE(result, &bench->why));
    bench->why = (struct failure){0};
}

/* Leases */

static void lose_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->shard_count; i++)
        shard_reset(&bench->shards[i]);
}

/* Whether the stream is as old as the offset says: else it was rolled back, and is read from its start; the entries' n
 * tell which were applied before. */
static enum result verify(struct bench *bench, struct shard *shard)
{
    const char *marks[] = {shard->off, shard->read};
    for (size_t i = 0; i < 2; i++) {
        bool has = true;
        if (strcmp(marks[i], "0") == 0)
            continue;
        enum result result = stream_has(bench->stream, shard->number, marks[i], &has, &bench->why);
        if (result != RESULT_OK)
            return result;
        if (has)
            continue;
        metrics_add(METRIC_ROLLBACKS, 1);
        log_event(LOG_LEVEL_ERROR, "stream.rolled_back", LOG_INT("shard", shard->number));
        (void)strcpy(shard->read, "0");
        break;
    }
    shard->verified = true;
    return RESULT_OK;
}

/* Whether the database and Redis agree on whom to forget: a restored database forgets them again first. */
static enum result recall(struct bench *bench, struct shard *shard)
{
    size_t again = 0;
    enum result result =
        recall_compare(bench->db, bench->stream, shard, bench->config->backup_keep_days, &again, &bench->why);
    if (result == RESULT_OK && again > 0)
        log_event(LOG_LEVEL_WARN, "aggregate.forgotten_again", LOG_INT("shard", shard->number), LOG_INT("marks", (int64_t)again));
    shard->recalled = shard->recalled || result == RESULT_OK;
    return result;
}

static void take_shards(struct bench *bench)
{
    int64_t now = clock_steady_ms();
    if (now < bench->next_lease_ms)
        return;
    bench->next_lease_ms = now + LEASE_PERIOD_MS;
    for (size_t i = 0; i < bench->shard_count; i++) {
        struct shard *shard = &bench->shards[i];
        if (shard->held)
            continue;
        shard->directory = bench->directory;
        enum result result = store_take(bench->db, shard, &bench->why);
        if (result == RESULT_OK)
            continue;
        warn(bench, "lease", shard, result);
        store_give(bench->db, shard);
        return;
    }
}

/* Leave the shard to whoever takes it next, this worker perhaps. */
static void give_up(struct bench *bench, struct shard *shard, const char *what, enum result result)
{
    warn(bench, what, shard, result);
    store_give(bench->db, shard);
}

/* Flushing */

struct flush {
    struct bench *bench;
    struct shard *shard;
    const struct control *control;
    int64_t watermark_ms;
    uint64_t days;
};

static enum result purge(struct db *db, struct shard *shard, const struct packet_purge *packet, struct failure *why)
{
    struct forgotten_purge purge = {.app = packet->app, .since_ms = packet->at_ms};
    memcpy(purge.request, packet->request, sizeof purge.request);
    (void)forgotten_add_purge(&shard->fold.forgotten, &purge);
    return requests_purge(db, shard, &purge, why);
}

static enum result carry_out(struct db *db, const struct flush *flush, struct failure *why)
{
    const struct control *control = flush->control;
    const struct bench *bench = flush->bench;
    switch (control->type) {
    case PACKET_ERASE:
        return requests_apply(db, flush->shard, bench->erases, bench->erase_count, bench->config->backup_keep_days, why);
    case PACKET_PURGE:
        return purge(db, flush->shard, &control->purge, why);
    case PACKET_NOTICE:
        return notices_apply(db, flush->shard, control->node, &control->notice, why);
    case PACKET_EVENTS:
    case PACKET_WATERMARK:
    case PACKET_COUNTS:
        break;
    }
    return RESULT_OK;
}

static enum result flush_body(struct db *db, void *context, struct failure *why)
{
    struct flush *flush = context;
    enum result result = store_write(db, flush->shard, why);
    if (result == RESULT_OK)
        result = live_write(db, &flush->shard->live, why);
    if (result == RESULT_OK)
        result = carry_out(db, flush, why);
    if (result == RESULT_OK && close_is_due(flush->shard, flush->watermark_ms))
        result = close_due(db, flush->shard, flush->watermark_ms, &flush->days, why);
    if (result == RESULT_OK)
        result = recall_write(db, flush->shard, why);
    /* Last, so that Redis has it before the database, and nothing that fails comes after. */
    return result == RESULT_OK ? recall_tell(flush->bench->stream, flush->shard, why) : result;
}

static void count_flush(const struct shard *shard, const struct flush *flush, int64_t started_us)
{
    for (size_t i = 0; i < shard->fold.tallies_count; i++) {
        const struct fold_tally *tally = &shard->fold.tallies[i];
        metrics_add(METRIC_EVENTS_COUNTED, (uint64_t)tally->counted);
        metrics_add(METRIC_EVENTS_DUPLICATE, (uint64_t)tally->duplicate);
        metrics_add(METRIC_EVENTS_LATE, (uint64_t)tally->late);
    }
    metrics_add(METRIC_FLUSHES, 1);
    metrics_add(METRIC_FLUSH_US, (uint64_t)(clock_steady_us() - started_us));
    metrics_add(METRIC_DAYS_CLOSED, flush->days);
}

static void settle(struct shard *shard)
{
    (void)strcpy(shard->off, shard->read);
    for (size_t i = 0; i < shard->node_count; i++)
        shard->nodes[i].changed = false;
    for (size_t i = 0; i < shard->app_count; i++)
        shard->apps[i].epoch_changed = false;
    fold_clear(&shard->fold);
    live_clear(&shard->live);
    forgotten_settle(&shard->fold.forgotten);
    shard->entries = 0;
    shard->waiting_since_ms = 0;
}

/* Put the shard's fold, offset and whatever is due into the database. False: the shard was given up. */
static bool flush_shard(struct bench *bench, struct shard *shard, const struct control *control)
{
    static const struct control none;
    struct flush flush = {.bench = bench, .shard = shard, .control = control != NULL ? control : &none,
        .watermark_ms = shard_watermark(shard)};
    int64_t started_us = clock_steady_us();
    fold_digest(&shard->fold, shard_find_app, shard);
    enum result result = db_transaction(bench->db, flush_body, &flush, &bench->why);
    if (result != RESULT_OK) {
        give_up(bench, shard, "flush", result);
        return false;
    }
    count_flush(shard, &flush, started_us);
    settle(shard);
    /* The offset's own entry stays: it shows later that the stream was not rolled back. */
    if (strcmp(shard->off, "0") != 0 &&
        stream_trim(bench->stream, shard->number, shard->off, &bench->why) != RESULT_OK) {
        shard->verified = false;
        warn(bench, "trim", shard, RESULT_UNAVAILABLE);
    }
    return true;
}

static bool is_due(const struct bench *bench, struct shard *shard, bool over)
{
    if (close_is_due(shard, shard_watermark(shard)))
        return true;
    if (shard->entries == 0)
        return false;
    int64_t wait_ms = bench->config->aggregate_flush_ms * (fold_is_empty(&shard->fold) ? IDLE_FACTOR : 1);
    if (live_waits(&shard->live) && wait_ms > LIVE_FLUSH_MS)
        wait_ms = LIVE_FLUSH_MS;
    return over || clock_steady_ms() - shard->waiting_since_ms >= wait_ms;
}

static void flush_due(struct bench *bench, bool all)
{
    size_t bytes = 0;
    size_t events = 0;
    for (size_t i = 0; i < bench->shard_count; i++) {
        bytes += fold_bytes(&bench->shards[i].fold);
        events += bench->shards[i].fold.events_count;
    }
    bool over = all || bytes >= (size_t)bench->config->aggregate_flush_bytes ||
        events >= (size_t)bench->config->aggregate_flush_events;
    for (size_t i = 0; i < bench->shard_count; i++) {
        struct shard *shard = &bench->shards[i];
        if (shard->held && shard->recalled && is_due(bench, shard, over))
            (void)flush_shard(bench, shard, NULL);
    }
}

/* Applying */

static enum result set_aside(struct bench *bench, const struct stream_entry *entry, const char *reason)
{
    enum result result = stream_set_aside(bench->stream, entry, reason, &bench->why);
    if (result != RESULT_OK)
        return result;
    metrics_add(METRIC_DEAD_LETTERS, 1);
    log_event(LOG_LEVEL_ERROR, "stream.dead_letter", LOG_INT("shard", entry->shard), LOG_NAME("reason", reason));
    return RESULT_OK;
}

static void apply_watermark(struct shard_node *node, struct packet_reader *reader)
{
    struct packet_watermark watermark;
    enum result result = packet_read_watermark(reader, &watermark);
    assert(result == RESULT_OK);
    if (watermark.watermark_ms > node->watermark_ms)
        node->watermark_ms = watermark.watermark_ms;
    if (watermark.next_n != PACKET_NO_N && (int64_t)watermark.next_n > node->next_n)
        node->next_n = (int64_t)watermark.next_n;
    node->ended = node->ended || watermark.ended;
}

static void apply_counts(struct shard *shard, struct packet_reader *reader)
{
    static _Thread_local struct packet_count rows[ENTRY_MAX_BYTES / 6];
    size_t count = 0;
    int64_t at_ms = 0;
    enum result result = packet_read_counts(reader, &at_ms, rows, sizeof rows / sizeof rows[0], &count);
    assert(result == RESULT_OK);
    fold_refuse(&shard->fold, at_ms, rows, count);
    live_refuse(&shard->live, shard->directory, at_ms, rows, count);
}

/* Carry out a purge or notice packet: what came before it goes into the database with it. False: shard given up. */
static bool apply_control(struct bench *bench, struct shard *shard, const struct packet_header *header,
    struct packet_reader *reader)
{
    struct control control = {.type = header->type, .node = header->node};
    enum result result = header->type == PACKET_PURGE ? packet_read_purge(reader, &control.purge)
                                                      : packet_read_notice(reader, &control.notice);
    assert(result == RESULT_OK);
    return flush_shard(bench, shard, &control);
}

/* Carry out the erase packets that were taken, with what came before them. False: shard given up. */
static bool flush_erases(struct bench *bench, struct shard *shard)
{
    static const struct control erases = {.type = PACKET_ERASE};
    bool flushed = flush_shard(bench, shard, &erases);
    bench->erase_count = 0;
    return flushed;
}

/* Whether nothing but a flush may come between the erase packets that were taken and this entry: events of whom they are about
 * stay if they came later. */
static bool must_follow_erases(const struct bench *bench, const struct stream_entry *entry)
{
    struct packet_reader reader;
    struct packet_header header;
    if (bench->erase_count == 0 || entry->bytes == NULL ||
        packet_open(&reader, entry->bytes, entry->length, &header) != RESULT_OK)
        return false;
    return header.type != PACKET_ERASE && header.type != PACKET_WATERMARK && header.type != PACKET_COUNTS;
}

/* Take an erase packet: it waits for others that follow at once. False: shard given up. */
static bool take_erase(struct bench *bench, struct shard *shard, struct packet_reader *reader)
{
    enum result result = packet_read_erase(reader, &bench->erases[bench->erase_count++]);
    assert(result == RESULT_OK);
    return bench->erase_count < REQUESTS_TOGETHER || flush_erases(bench, shard);
}

static void note_read(struct shard *shard, const struct stream_entry *entry)
{
    (void)strncpy(shard->read, entry->id, sizeof shard->read - 1);
    if (shard->entries++ == 0)
        shard->waiting_since_ms = clock_steady_ms();
}

/* Whether the entry is a packet of this shard; if not, it is set aside, unless Redis is away (*result says). */
static bool is_sound(struct bench *bench, const struct shard *shard, const struct stream_entry *entry,
    struct packet_header *header, enum result *result)
{
    struct packet_reader reader;
    const char *reason = NULL;
    *result = RESULT_OK;
    if (entry->bytes == NULL)
        reason = "not_a_packet";
    else if (packet_check(entry->bytes, entry->length, NULL) != RESULT_OK)
        reason = "corrupt";
    else if (packet_open(&reader, entry->bytes, entry->length, header) != RESULT_OK || header->shard != shard->number)
        reason = "of_another_shard";
    else if (header->n >= INT64_MAX && header->n != PACKET_NO_N)
        reason = "corrupt";
    if (reason != NULL)
        *result = set_aside(bench, entry, reason);
    return reason == NULL;
}

/* Apply one entry. False: the shard was given up. */
static bool apply_entry(struct bench *bench, struct shard *shard, const struct stream_entry *entry)
{
    struct packet_header header = {0};
    enum result result;
    if (!is_sound(bench, shard, entry, &header, &result)) {
        if (result == RESULT_OK)
            note_read(shard, entry);
        else
            give_up(bench, shard, "set_aside", result);
        return result == RESULT_OK;
    }
    note_read(shard, entry);
    struct shard_node *node = shard_node(shard, header.node);
    node->heard_ms = clock_now_ms();
    node->changed = true;
    if (header.n != PACKET_NO_N && ranges_add(&node->applied, (int64_t)header.n, (int64_t)header.n + 1) == 0) {
        metrics_add(METRIC_ENTRIES_REPEATED, 1);
        return true;
    }
    metrics_add(METRIC_ENTRIES_APPLIED, 1);
    struct packet_reader reader;
    (void)packet_open(&reader, entry->bytes, entry->length, &header);
    switch (header.type) {
    case PACKET_EVENTS:
        fold_apply(&shard->fold, entry->bytes, entry->length, shard_find_app, shard);
        live_take(&shard->live, shard->directory, &shard->fold.forgotten, entry->bytes, entry->length);
        return true;
    case PACKET_WATERMARK:
        apply_watermark(node, &reader);
        return true;
    case PACKET_COUNTS:
        apply_counts(shard, &reader);
        return true;
    case PACKET_ERASE:
        return take_erase(bench, shard, &reader);
    case PACKET_PURGE:
    case PACKET_NOTICE:
        return apply_control(bench, shard, &header, &reader);
    }
    return true;
}

/* Register what a shard's new entries name, and look it up. */
static enum result prepare_entries(struct bench *bench, struct shard *shard, const struct stream_entry *entries,
    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct packet_reader reader;
        struct packet_header header;
        const struct stream_entry *entry = &entries[i];
        if (entry->bytes != NULL && packet_check(entry->bytes, entry->length, NULL) == RESULT_OK &&
            packet_open(&reader, entry->bytes, entry->length, &header) == RESULT_OK && header.type == PACKET_EVENTS)
            fold_prepare(&shard->fold, entry->bytes, entry->length, shard_find_app, shard);
    }
    return store_look_up(bench->db, shard, &bench->why);
}

/* Whether what was prepared names an app that the directory does not have yet: it is then read again later. */
static bool must_wait_for_app(struct shard *shard)
{
    bool unknown = shard->fold.met_unknown_app;
    shard->fold.met_unknown_app = false;
    if (!unknown) {
        shard->unknown_since_ms = 0;
        return false;
    }
    if (shard->unknown_since_ms == 0)
        shard->unknown_since_ms = clock_steady_ms();
    if (clock_steady_ms() - shard->unknown_since_ms < UNKNOWN_APP_MS)
        return true;
    log_event(LOG_LEVEL_ERROR, "aggregate.unknown_app", LOG_INT("shard", shard->number));
    return false;
}

/* One shard's run of entries. Control packets flush, and the fold forgets what was looked up: the rest is prepared anew. No
 * erase packet waits for the next run. */
static void apply_run(struct bench *bench, struct shard *shard, const struct stream_entry *entries, size_t count)
{
    size_t at = 0;
    bench->erase_count = 0;
    while (at < count) {
        enum result result = prepare_entries(bench, shard, entries + at, count - at);
        if (result != RESULT_OK) {
            give_up(bench, shard, "look_up", result);
            return;
        }
        if (must_wait_for_app(shard)) {
            (void)lifecycle_sleep_ms(GATHER_MS);
            return;
        }
        bool flushed = false;
        while (at < count && !flushed) {
            bool taken = must_follow_erases(bench, &entries[at]) ? flush_erases(bench, shard)
                                                                 : apply_entry(bench, shard, &entries[at++]);
            if (!taken)
                return;
            flushed = shard->entries == 0;
        }
    }
    if (bench->erase_count > 0)
        (void)flush_erases(bench, shard);
}

static struct shard *shard_numbered(struct bench *bench, uint16_t number)
{
    return &bench->shards[number / bench->count];
}

/* Returns how many entries of one shard there were at most. */
static size_t apply_batch(struct bench *bench, const struct stream_entry *entries, size_t count)
{
    size_t longest = 0;
    for (size_t i = 0; i < count;) {
        size_t first = i;
        while (i < count && entries[i].shard == entries[first].shard)
            i++;
        struct shard *shard = shard_numbered(bench, entries[first].shard);
        assert(shard->number == entries[first].shard);
        if (shard->held)
            apply_run(bench, shard, entries + first, i - first);
        longest = i - first > longest ? i - first : longest;
    }
    return longest;
}

/* The loop */

static size_t positions(struct bench *bench, struct stream_position *out)
{
    size_t count = 0;
    for (size_t i = 0; i < bench->shard_count; i++) {
        struct shard *shard = &bench->shards[i];
        if (!shard->held)
            continue;
        bool checked = shard->verified;
        if (!checked && verify(bench, shard) != RESULT_OK) {
            metrics_set(METRIC_REDIS_UP, 0);
            warn(bench, "verify", shard, RESULT_UNAVAILABLE);
            return 0;
        }
        enum result result = checked ? RESULT_OK : recall(bench, shard);
        if (result != RESULT_OK) {
            give_up(bench, shard, "recall", result);
            continue;
        }
        out[count].shard = shard->number;
        memcpy(out[count].after, shard->read, sizeof shard->read);
        count++;
    }
    return count;
}

static void read_and_apply(struct bench *bench)
{
    struct stream_position wanted[SHARDS_MAX];
    size_t count = positions(bench, wanted);
    if (count == 0) {
        (void)lifecycle_sleep_ms(RETRY_MS);
        return;
    }
    const struct stream_entry *entries = NULL;
    size_t entry_count = 0;
    size_t per_shard = READ_ENTRIES / count > 8 ? READ_ENTRIES / count : 8;
    enum result result = stream_read(bench->stream, wanted, count, per_shard, READ_BLOCK_MS, &entries, &entry_count,
        &bench->why);
    if (result != RESULT_OK) {
        /* Redis may come back older than it was. */
        for (size_t i = 0; i < bench->shard_count; i++)
            bench->shards[i].verified = false;
        warn(bench, "read", NULL, result);
        (void)lifecycle_sleep_ms(RETRY_MS);
        return;
    }
    size_t longest = apply_batch(bench, entries, entry_count);
    /* A full read of one shard means that more of it waits, however little the others have. */
    if (entry_count < READ_ENTRIES / 4 && longest < per_shard)
        (void)lifecycle_sleep_ms(GATHER_MS);
}

/* Whether a test app came to its end: no other app ever goes. */
static bool has_lost_apps(const struct directory *last, const struct directory *next)
{
    size_t before = 0;
    size_t after;
    if (last != NULL)
        (void)directory_apps(last, &before);
    (void)directory_apps(next, &after);
    return after < before;
}

static void follow_directory(struct bench *bench)
{
    const struct directory *next = directory_current();
    if (next == bench->directory) {
        directory_release(next);
        return;
    }
    const struct directory *last = bench->directory;
    bench->directory = next;
    if (has_lost_apps(last, next))
        bench->next_expire_ms = clock_steady_ms();
    for (size_t i = 0; i < bench->shard_count; i++) {
        struct shard *shard = &bench->shards[i];
        shard->directory = next;
        if (!shard->held)
            continue;
        enum result result = store_load_apps(bench->db, shard, &bench->why);
        if (result != RESULT_OK)
            give_up(bench, shard, "apps", result);
    }
    directory_release(last);
}

/* Totals over all workers: each keeps its share. */
static atomic_llong total_held, total_lost, total_lag, total_silent;

static void publish_share(atomic_llong *total, int64_t *share, int64_t now, enum metric_id metric)
{
    atomic_fetch_add(total, now - *share);
    *share = now;
    metrics_set(metric, atomic_load(total));
}

static int64_t silent_nodes(const struct bench *bench, const struct shard *shard)
{
    int64_t silent = 0;
    for (size_t i = 0; i < shard->node_count; i++) {
        const struct shard_node *node = &shard->nodes[i];
        silent += !node->ended && !directory_is_retired(bench->directory, node->node) &&
            clock_now_ms() - node->heard_ms > bench->config->aggregate_silent_node_s * 1000;
    }
    return silent;
}

static void report(struct bench *bench)
{
    static _Thread_local int64_t held_share, lost_share, lag_share, silent_share;
    if (clock_steady_ms() < bench->next_report_ms)
        return;
    bench->next_report_ms = clock_steady_ms() + REPORT_PERIOD_MS;
    int64_t held = 0;
    int64_t lost = 0;
    int64_t lag = 0;
    int64_t silent = 0;
    for (size_t i = 0; i < bench->shard_count; i++) {
        const struct shard *shard = &bench->shards[i];
        uint64_t length = 0;
        if (!shard->held)
            continue;
        held++;
        lost += shard_lost(shard);
        silent += shard->number == 0 ? silent_nodes(bench, shard) : 0; /* every node is known in every shard */
        if (stream_length(bench->stream, shard->number, &length, NULL) == RESULT_OK && length > shard->entries + 1)
            lag += (int64_t)(length - shard->entries - 1);
    }
    publish_share(&total_held, &held_share, held, METRIC_SHARDS_HELD);
    publish_share(&total_lost, &lost_share, lost, METRIC_ENTRIES_LOST);
    publish_share(&total_lag, &lag_share, lag, METRIC_LAG_ENTRIES);
    publish_share(&total_silent, &silent_share, silent, METRIC_SILENT_NODES);
}

static void expire(struct bench *bench)
{
    if (clock_steady_ms() < bench->next_expire_ms)
        return;
    bench->next_expire_ms = clock_steady_ms() + EXPIRE_PERIOD_MS;
    for (size_t i = 0; i < bench->shard_count; i++) {
        struct shard *shard = &bench->shards[i];
        if (!shard->held || !shard->recalled || (shard->entries > 0 && !flush_shard(bench, shard, NULL)))
            continue;
        enum result result = store_expire(bench->db, shard, clock_now_ms(), &bench->why);
        if (result == RESULT_OK)
            result = live_forget(bench->db, shard->number, &bench->why);
        if (result == RESULT_OK)
            result = recall_expire(bench->db, bench->stream, shard, (int32_t)(clock_now_ms() / 86400000), &bench->why);
        if (result != RESULT_OK)
            give_up(bench, shard, "expire", result);
    }
}

/* The live views are the whole installation's: who holds the first shard cleans them. */
static void sweep(struct bench *bench)
{
    if (bench->index != 0 || !bench->shards[0].held || clock_steady_ms() < bench->next_sweep_ms)
        return;
    bench->next_sweep_ms = clock_steady_ms() + SWEEP_PERIOD_MS;
    enum result result = live_sweep(bench->db, &bench->why);
    if (result != RESULT_OK)
        warn(bench, "sweep", NULL, result);
}

/* Statements take whole batches: planning each for its size costs little, and a plan made when the tables were empty
 * would walk an index by its first columns for ever. */
static bool set_up_session(struct bench *bench)
{
    enum result result = db_script(bench->db,
        "SET plan_cache_mode = force_custom_plan; SET work_mem = '32MB'; SET jit = off", &bench->why);
    if (result == RESULT_OK)
        return true;
    warn(bench, "session", NULL, result);
    db_disconnect(bench->db);
    return false;
}

static void turn(struct bench *bench)
{
    follow_directory(bench);
    if (bench->directory == NULL || db_connect(bench->db, &bench->why) != RESULT_OK) {
        if (bench->directory != NULL)
            warn(bench, "connect", NULL, RESULT_UNAVAILABLE);
        (void)lifecycle_sleep_ms(RETRY_MS);
        return;
    }
    /* A new connection holds no advisory lock: whatever is in memory belongs to leases that are gone. */
    if (db_was_reconnected(bench->db)) {
        lose_all(bench);
        if (!set_up_session(bench))
            return;
    }
    take_shards(bench);
    read_and_apply(bench);
    flush_due(bench, false);
    report(bench);
    expire(bench);
    sweep(bench);
}

void *worker_run(void *context)
{
    const struct worker *worker = context;
    struct bench bench = {.config = worker->config, .index = worker->index, .count = worker->count};
    bench.db = db_new(worker->config->postgres_conninfo, "throng-aggregate");
    bench.stream = stream_new(worker->config);
    unsigned shards = (unsigned)worker->config->stream_shards;
    bench.shards = calloc(shards / worker->count + 1, sizeof *bench.shards);
    assert(bench.shards != NULL);
    for (unsigned number = worker->index; number < shards; number += worker->count)
        bench.shards[bench.shard_count++].number = (uint16_t)number;
    bench.next_expire_ms = clock_steady_ms() + 60000;
    while (!lifecycle_ending())
        turn(&bench);
    if (bench.directory != NULL)
        flush_due(&bench, true);
    lose_all(&bench);
    for (size_t i = 0; i < bench.shard_count; i++)
        fold_free(&bench.shards[i].fold);
    free(bench.shards);
    directory_release(bench.directory);
    stream_free(bench.stream);
    db_free(bench.db);
    return NULL;
}
