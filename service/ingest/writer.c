#include "service/ingest/writer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/ingest/batch.h"
#include "service/stream/stream.h"

#define COMMIT_ITEMS_MAX 4096u
#define COMMIT_IDS_MAX 65536u /* what keyd_map takes */
#define COUNTS_EVERY_MS 10000
/* While requests come in company, a commit begins no sooner than this after the one before: a batch of many costs keyd,
 * Redis and the aggregator little more than one of few. A request that comes alone waits for nothing. */
#define COMMIT_PACE_US 500
#define COUNTS_SHARD 0
#define WATERMARK_BYTES 64

struct writer {
    struct writer_parts parts;
    struct stream *stream;
    struct batch *batch;
    bool announced;
    bool spool_refuses; /* as of the last append, so that a state is logged once */
    int64_t counts_at_ms; /* steady: when counts are sent next */

    /* of one commit, kept for the next */
    struct writer_item *items[COMMIT_ITEMS_MAX];
    struct batch_request requests[COMMIT_ITEMS_MAX];
    bool failed[COMMIT_ITEMS_MAX];
    struct keyd_id *ids;
    struct keyd_name *names;
    struct stream_append *appends;
    struct spool_entry *spooled;
    size_t *spooled_from; /* index of the entry */
    size_t entry_capacity;

    bool company;        /* the last commit had several requests */
    int64_t begun_us;    /* steady: when it began */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    bool waiting, closed, stopping;
    size_t outstanding; /* handed over and not yet handed back */
    struct writer_item *first, **last;
};

/* Storing */

static bool reserve(struct writer *writer, size_t count)
{
    if (count <= writer->entry_capacity)
        return true;
    size_t capacity = count * 2;
    struct stream_append *appends = reallocarray(writer->appends, capacity, sizeof *appends);
    if (appends != NULL)
        writer->appends = appends;
    struct spool_entry *spooled = reallocarray(writer->spooled, capacity, sizeof *spooled);
    if (spooled != NULL)
        writer->spooled = spooled;
    size_t *from = reallocarray(writer->spooled_from, capacity, sizeof *from);
    if (from != NULL)
        writer->spooled_from = from;
    if (appends == NULL || spooled == NULL || from == NULL)
        return false;
    writer->entry_capacity = capacity;
    return true;
}

/* Try Redis with appends[0..count-1]. Whether it was tried at all. */
static bool send_live(struct writer *writer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        writer->appends[i].done = false;
    if (!replay_up(writer->parts.replay))
        return false;
    struct failure why = {0};
    enum result result = stream_add(writer->stream, writer->appends, count, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_WARN, "stream.refused", LOG_FAILURE(result, &why));
        replay_failed(writer->parts.replay);
    }
    return true;
}

/* Spool what Redis did not take. RESULT_FULL: nothing of it is kept. RESULT_FAILED: it may turn up nevertheless. */
static enum result spool_rest(struct writer *writer, const struct batch_entry *entries, const uint64_t *numbers,
    size_t count, size_t *kept)
{
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        if (writer->appends[i].done)
            continue;
        writer->spooled[waiting] = (struct spool_entry){.shard = entries[i].shard,
            .n = numbers[i],
            .bytes = entries[i].bytes,
            .length = entries[i].length,
            .received_at_ms = entries[i].received_at_ms};
        writer->spooled_from[waiting++] = i;
    }
    *kept = waiting;
    metrics_add(METRIC_STREAM_ENTRIES, count - waiting);
    if (waiting == 0)
        return RESULT_OK;
    struct failure why = {0};
    enum result result = spool_append(writer->parts.spool, writer->spooled, waiting, &why);
    metrics_set(METRIC_SPOOL_BYTES, (int64_t)spool_bytes(writer->parts.spool));
    if (result == RESULT_OK)
        metrics_add(METRIC_SPOOL_ENTRIES, waiting);
    else if (!writer->spool_refuses)
        log_event(LOG_LEVEL_ERROR, "spool.refused", LOG_FAILURE(result, &why));
    writer->spool_refuses = result != RESULT_OK;
    return result;
}

/* Neither Redis nor the spool took them. What nobody saw gives its n back; what may still turn up leaves a hole. */
static void give_up(struct writer *writer, struct batch_entry *entries, const uint64_t *numbers, size_t waiting,
    bool seen)
{
    for (size_t w = waiting; w-- > 0;) {
        size_t i = writer->spooled_from[w];
        entries[i].failed = true;
        if (seen)
            node_add_hole(writer->parts.node, entries[i].shard, numbers[i]);
        else
            node_unassign(writer->parts.node, entries[i].shard, numbers[i]);
    }
}

static void store(struct writer *writer, struct batch_entry *entries, size_t count)
{
    uint64_t *numbers = calloc(count, sizeof *numbers);
    if (numbers == NULL || !reserve(writer, count)) {
        for (size_t i = 0; i < count; i++)
            entries[i].failed = true;
        free(numbers);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        numbers[i] = node_assign(writer->parts.node, entries[i].shard);
        packet_set_n(entries[i].bytes, numbers[i]);
        writer->appends[i] = (struct stream_append){
            .shard = entries[i].shard, .bytes = entries[i].bytes, .length = entries[i].length};
    }
    size_t waiting;
    bool tried = send_live(writer, count);
    enum result result = spool_rest(writer, entries, numbers, count, &waiting);
    if (result != RESULT_OK)
        give_up(writer, entries, numbers, waiting, tried || result == RESULT_FAILED);
    node_arrived(writer->parts.node);
    free(numbers);
}

/* Announcing */

static size_t write_announcement(struct writer *writer, uint16_t shard, int64_t watermark_ms, uint8_t *bytes)
{
    const struct packet_header header = {
        .type = PACKET_WATERMARK, .node = node_id(writer->parts.node), .shard = shard, .n = PACKET_NO_N};
    const struct packet_watermark watermark = {.watermark_ms = watermark_ms, .next_n = 0};
    size_t length = 0;
    (void)packet_write_watermark(&header, &watermark, bytes, WATERMARK_BYTES, &length);
    return length;
}

static int64_t oldest_spooled(void *spool)
{
    return spool_oldest_ms(spool);
}

/* Tell every shard of this node: no 202 is given before that is safe. */
static bool announce(struct writer *writer)
{
    size_t shards = (size_t)writer->parts.config->stream_shards;
    struct batch_entry entries[SHARDS_MAX];
    uint64_t numbers[SHARDS_MAX];
    uint8_t bytes[SHARDS_MAX][WATERMARK_BYTES];
    if (!reserve(writer, shards))
        return false;
    int64_t watermark_ms = node_watermark(writer->parts.node, oldest_spooled, writer->parts.spool);
    for (size_t s = 0; s < shards; s++) {
        entries[s] = (struct batch_entry){.shard = (uint16_t)s, .bytes = bytes[s], .received_at_ms = INT64_MAX};
        entries[s].length = write_announcement(writer, (uint16_t)s, watermark_ms, bytes[s]);
        numbers[s] = PACKET_NO_N;
        writer->appends[s] =
            (struct stream_append){.shard = (uint16_t)s, .bytes = bytes[s], .length = entries[s].length};
    }
    size_t waiting;
    (void)send_live(writer, shards);
    /* While an incarnation before this one has not ended, its watermark holds every shard back, and the spool will
     * do. A node that nobody knows of must be known first: else a day could close over what its spool holds. */
    for (size_t s = 0; node_earlier(writer->parts.node, 0) == 0 && s < shards; s++) {
        if (!writer->appends[s].done)
            return false;
    }
    writer->announced = spool_rest(writer, entries, numbers, shards, &waiting) == RESULT_OK;
    return writer->announced;
}

/* Counts */

/* Add counts packets to the batch when they are due. Returns the number of rows taken; *at is their entry. */
static size_t add_counts(struct writer *writer, bool due, struct packet_count *rows, size_t *at)
{
    uint8_t bytes[ENTRY_MAX_BYTES];
    size_t length;
    struct failure why = {0};
    if (!due)
        return 0;
    writer->counts_at_ms = clock_steady_ms() + COUNTS_EVERY_MS;
    size_t count = counts_take(writer->parts.counts, rows);
    if (count == 0)
        return 0;
    const struct packet_header header = {
        .type = PACKET_COUNTS, .node = node_id(writer->parts.node), .shard = COUNTS_SHARD};
    (void)batch_entries(writer->batch, at);
    if (packet_write_counts(&header, clock_now_ms(), rows, count, bytes, sizeof bytes, &length) == RESULT_OK &&
        batch_add(writer->batch, COUNTS_SHARD, bytes, length, &why) == RESULT_OK)
        return count;
    counts_return(writer->parts.counts, rows, count);
    return 0;
}

/* Committing */

/* Ask keyd for the names of all items' ids, and leave in requests those that have them all. Returns their number;
 * items of the others stay marked failed. */
static size_t name_items(struct writer *writer, size_t count)
{
    size_t ids = 0, named = 0;
    for (size_t i = 0; i < count; i++) {
        const struct request *request = &writer->items[i]->request;
        for (size_t k = 0; k < request->id_count; k++)
            writer->ids[ids++] = (struct keyd_id){request->app->id, request->ids[k].kind, request->ids[k].id};
    }
    struct failure why = {0};
    enum result result = keyd_map(writer->parts.keyd, clock_now_ms(), writer->ids, ids, writer->names, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "keys.map_failed", LOG_FAILURE(result, &why));
        return 0;
    }
    const struct keyd_name *names = writer->names;
    for (size_t i = 0; i < count; i++) {
        struct writer_item *item = writer->items[i];
        item->named = RESULT_OK;
        for (size_t k = 0; k < item->request.id_count && item->named == RESULT_OK; k++)
            item->named = names[k].result;
        if (item->named == RESULT_OK) {
            writer->items[i] = writer->items[named];
            writer->items[named] = item;
            writer->requests[named++] = (struct batch_request){&item->request, names};
        }
        names += item->request.id_count;
    }
    return named;
}

/* Move items of events before those of control, in the order in which they came. Returns the number of the former. */
static size_t part_items(struct writer *writer, size_t named)
{
    size_t events = 0;
    for (size_t i = 0; i < named; i++) {
        if (writer->items[i]->control != NULL)
            continue;
        const struct batch_request request = writer->requests[i];
        struct writer_item *item = writer->items[i];
        memmove(&writer->items[events + 1], &writer->items[events], (i - events) * sizeof writer->items[0]);
        memmove(&writer->requests[events + 1], &writer->requests[events], (i - events) * sizeof writer->requests[0]);
        writer->items[events] = item;
        writer->requests[events++] = request;
    }
    return events;
}

static bool add_packet(
    struct writer *writer, uint16_t shard, const uint8_t *bytes, size_t length, int64_t received_at_ms)
{
    struct failure why = {0};
    size_t count;
    if (batch_add(writer->batch, shard, bytes, length, &why) != RESULT_OK)
        return false;
    struct batch_entry *entries = batch_entries(writer->batch, &count);
    entries[count - 1].received_at_ms = received_at_ms;
    return true;
}

static bool add_erase(struct writer *writer, const struct writer_item *item, const struct keyd_name *name)
{
    struct packet_erase *erase = item->control->erase;
    uint8_t bytes[WRITER_PACKET_BYTES];
    size_t length;
    erase->names = name->names;
    memcpy(erase->name, name->name, sizeof erase->name);
    const struct packet_header header = writer_header(writer, PACKET_ERASE, name->shard);
    return packet_write_erase(&header, erase, bytes, sizeof bytes, &length) == RESULT_OK &&
        add_packet(writer, name->shard, bytes, length, item->ticket.received_at_ms);
}

/* Add what item brings to the batch. */
static bool add_control(struct writer *writer, const struct writer_item *item, const struct keyd_name *names)
{
    struct writer_control *control = item->control;
    size_t count;
    bool added = true;
    (void)batch_entries(writer->batch, &control->first_entry);
    if (control->erase != NULL)
        added = add_erase(writer, item, names);
    for (size_t i = 0; i < control->packet_count && added; i++) {
        const struct writer_packet *packet = &control->packets[i];
        added = add_packet(writer, packet->shard, packet->bytes, packet->length, item->ticket.received_at_ms);
    }
    (void)batch_entries(writer->batch, &count);
    control->entry_count = count - control->first_entry;
    return added;
}

static bool is_control_safe(const struct writer_control *control, const struct batch_entry *entries)
{
    for (size_t i = 0; i < control->entry_count; i++) {
        if (entries[control->first_entry + i].failed)
            return false;
    }
    return true;
}

/* Commit items[0..count-1] and the counts if due; sets each item's safe. */
static void commit(struct writer *writer, size_t count, bool counts_due)
{
    struct packet_count rows[COUNTS_ROWS_MAX];
    struct failure why = {0};
    size_t named = 0, entry_count, counts_at = 0;
    for (size_t i = 0; i < count; i++) {
        writer->items[i]->safe = false;
        writer->items[i]->named = RESULT_UNAVAILABLE;
    }
    if (!writer->announced && !announce(writer))
        return;
    if (count > 0)
        named = name_items(writer, count);
    size_t events = part_items(writer, named);
    enum result result = batch_form(writer->batch, writer->requests, events, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "commit.failed", LOG_FAILURE(result, &why));
        return;
    }
    for (size_t i = events; i < named; i++)
        writer->items[i]->safe = add_control(writer, writer->items[i], writer->requests[i].names);
    size_t row_count = add_counts(writer, counts_due, rows, &counts_at);
    struct batch_entry *entries = batch_entries(writer->batch, &entry_count);
    if (entry_count == 0)
        return;
    store(writer, entries, entry_count);
    metrics_add(METRIC_COMMIT_BATCHES, 1);
    if (row_count > 0 && entries[counts_at].failed)
        counts_return(writer->parts.counts, rows, row_count);
    batch_failed(writer->batch, writer->failed, events);
    for (size_t i = 0; i < events; i++)
        writer->items[i]->safe = !writer->failed[i];
    for (size_t i = events; i < named; i++)
        writer->items[i]->safe = writer->items[i]->safe && is_control_safe(writer->items[i]->control, entries);
}

/* Settle and hand back items[0..count-1]. */
static void hand_back(struct writer *writer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct writer_item *item = writer->items[i];
        node_settle(writer->parts.node, &item->ticket);
        item->done(item);
    }
    pthread_mutex_lock(&writer->lock);
    writer->outstanding -= count;
    if (writer->outstanding == 0)
        pthread_cond_broadcast(&writer->idle);
    pthread_mutex_unlock(&writer->lock);
}

/* Commit the list from item on, in as few commits as the bounds allow. */
static void commit_list(struct writer *writer, struct writer_item *item)
{
    while (item != NULL) {
        size_t count = 0, ids = 0;
        while (item != NULL && count < COMMIT_ITEMS_MAX && ids + item->request.id_count <= COMMIT_IDS_MAX) {
            ids += item->request.id_count;
            writer->items[count++] = item;
            item = item->next;
        }
        commit(writer, count, clock_steady_ms() >= writer->counts_at_ms);
        hand_back(writer, count);
    }
}

/* The thread */

static int64_t steady_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void wait_until_us(int64_t at_us)
{
    const struct timespec until = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static struct writer_item *wait_for_items(struct writer *writer, bool *stopping)
{
    pthread_mutex_lock(&writer->lock);
    if (writer->first == NULL && !writer->stopping) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        writer->waiting = true;
        (void)pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
        writer->waiting = false;
    }
    if (writer->first != NULL && writer->company) {
        pthread_mutex_unlock(&writer->lock);
        wait_until_us(writer->begun_us + COMMIT_PACE_US);
        pthread_mutex_lock(&writer->lock);
    }
    struct writer_item *items = writer->first;
    writer->first = NULL;
    writer->last = &writer->first;
    *stopping = writer->stopping && items == NULL;
    pthread_mutex_unlock(&writer->lock);
    return items;
}

static void *run(void *argument)
{
    struct writer *writer = argument;
    bool stopping = false;
    while (!stopping) {
        struct writer_item *items = wait_for_items(writer, &stopping);
        writer->begun_us = steady_us();
        writer->company = items != NULL && items->next != NULL;
        commit_list(writer, items);
        if (items == NULL && (stopping || clock_steady_ms() >= writer->counts_at_ms))
            commit(writer, 0, true);
    }
    return NULL;
}

static void release(struct writer *writer)
{
    stream_free(writer->stream);
    batch_free(writer->batch);
    free(writer->ids);
    free(writer->names);
    free(writer->appends);
    free(writer->spooled);
    free(writer->spooled_from);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->wake);
    pthread_cond_destroy(&writer->idle);
    free(writer);
}

struct writer *writer_start(const struct writer_parts *parts)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    writer->parts = *parts;
    writer->last = &writer->first;
    writer->counts_at_ms = clock_steady_ms() + COUNTS_EVERY_MS;
    writer->stream = stream_new(parts->config);
    writer->batch = batch_new(node_id(parts->node));
    writer->ids = calloc(COMMIT_IDS_MAX, sizeof *writer->ids);
    writer->names = calloc(COMMIT_IDS_MAX, sizeof *writer->names);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->wake, &attributes);
    pthread_cond_init(&writer->idle, NULL);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&writer->lock, NULL);
    if (writer->stream == NULL || writer->batch == NULL || writer->ids == NULL || writer->names == NULL) {
        release(writer);
        return NULL;
    }
    (void)announce(writer);
    if (pthread_create(&writer->thread, NULL, run, writer) != 0) {
        release(writer);
        return NULL;
    }
    return writer;
}

enum result writer_submit(struct writer *writer, struct writer_item *item)
{
    item->next = NULL;
    pthread_mutex_lock(&writer->lock);
    bool full = writer->closed || writer->outstanding >= (size_t)writer->parts.config->ingest_suspended;
    bool wake = false;
    if (!full) {
        *writer->last = item;
        writer->last = &item->next;
        writer->outstanding++;
        wake = writer->waiting;
    }
    pthread_mutex_unlock(&writer->lock);
    if (wake)
        pthread_cond_signal(&writer->wake);
    return full ? RESULT_FULL : RESULT_OK;
}

struct packet_header writer_header(const struct writer *writer, enum packet_type type, uint16_t shard)
{
    return (struct packet_header){.type = type, .node = node_id(writer->parts.node), .shard = shard};
}

/* An item whose owner waits for it. */
struct awaited {
    struct writer_item item; /* first: the writer gives this back */
    sem_t done;
};

static void wake_owner(struct writer_item *item)
{
    (void)sem_post(&((struct awaited *)(void *)item)->done);
}

enum result writer_send(struct writer *writer, const struct writer_packet *packets, size_t count)
{
    struct writer_control control = {.packets = packets, .packet_count = count};
    struct awaited awaited = {.item = {.control = &control, .done = wake_owner}};
    (void)sem_init(&awaited.done, 0, 0);
    (void)node_receive(writer->parts.node, &awaited.item.ticket);
    enum result result = writer_submit(writer, &awaited.item);
    if (result != RESULT_OK)
        node_settle(writer->parts.node, &awaited.item.ticket);
    while (result == RESULT_OK && sem_wait(&awaited.done) != 0)
        continue;
    (void)sem_destroy(&awaited.done);
    return result == RESULT_OK && awaited.item.safe ? RESULT_OK : RESULT_UNAVAILABLE;
}

void writer_close(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->closed = true;
    while (writer->outstanding > 0)
        pthread_cond_wait(&writer->idle, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
}

void writer_stop(struct writer *writer)
{
    if (writer == NULL)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->closed = writer->stopping = true;
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_signal(&writer->wake);
    (void)pthread_join(writer->thread, NULL);
    release(writer);
}
