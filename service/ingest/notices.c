#include "service/ingest/notices.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/ingest/keep.h"
#include "service/ingest/writer.h"

#define NOTICES_SHARD 0
#define HASH_BYTES 32
#define TOLD_MAX (2 * KEYD_APPS_MAX * NAMES_MAX)
#define ORDERS_MAX KEYD_APPS_MAX
#define WAITING_MAX 32
#define LINE_MAX_BYTES 112
#define STEP_BACK_MS 1000
#define DAY_MS (24LL * 3600 * 1000)

struct told {
    uint32_t app, epoch;
    uint8_t hash[HASH_BYTES];
};

struct order {
    uint32_t app, epoch;
    enum packet_notice_act act;
    uint8_t request[16];
};

struct list {
    size_t count;
    struct told rows[TOLD_MAX];
};

struct notices {
    pthread_mutex_t lock;
    struct keyd *keyd;
    struct writer *writer;
    char directory[512];
    struct list told, next, joined;
    size_t order_count;
    struct order orders[ORDERS_MAX];
    int64_t passed_day; /* as the file says */
    size_t waiting_count;
    struct packet_notice waiting[WAITING_MAX];
    bool replaying; /* the spool is not empty: what is replayed is not told yet */
    bool clocks_known;
    int64_t apart_ms; /* wall clock minus steady clock */
    uint8_t ring[KEYD_RING_BYTES];
    size_t app_count;
    struct keyd_status apps[KEYD_APPS_MAX];
    size_t out_count, out_capacity; /* of one sync */
    struct writer_packet *out;
    bool silent; /* the last sync failed: said once */
    atomic_bool begun; /* that this process started is told */
};

/* Files */

static bool parse_hex(const char *hex, uint8_t *out, size_t length)
{
    size_t got;
    return sodium_hex2bin(out, length, hex, strlen(hex), NULL, &got, NULL) == 0 && got == length;
}

static bool parse_told(const char *line, struct list *list)
{
    char hex[2 * HASH_BYTES + 1];
    struct told *row = &list->rows[list->count];
    if (list->count == TOLD_MAX || sscanf(line, "told %" SCNu32 " %" SCNu32 " %64[0-9a-f]", &row->app, &row->epoch, hex) != 3)
        return false;
    list->count++;
    return parse_hex(hex, row->hash, sizeof row->hash);
}

static bool parse_order(const char *line, struct notices *notices)
{
    char hex[33];
    unsigned act;
    struct order *order = &notices->orders[notices->order_count];
    if (notices->order_count == ORDERS_MAX ||
        sscanf(line, "order %" SCNu32 " %u %" SCNu32 " %32[0-9a-f]", &order->app, &act, &order->epoch, hex) != 4 ||
        act < PACKET_KEY_BORN || act > PACKET_KEY_DESTROYED)
        return false;
    order->act = (enum packet_notice_act)act;
    notices->order_count++;
    return parse_hex(hex, order->request, sizeof order->request);
}

/* Whether a notice is in the file while it waits. A start is told before anything is acknowledged, a passed self-test is one of
 * many, and an end is seen from the start that follows. */
static bool is_kept(enum packet_notice_act act)
{
    return act == PACKET_SPOOL_REPLAYED || act == PACKET_CLOCK_STEPPED_BACK || act == PACKET_SELF_TEST_FAILED;
}

static bool parse_waiting(const char *line, struct notices *notices)
{
    unsigned act;
    struct packet_notice *notice = &notices->waiting[notices->waiting_count];
    if (notices->waiting_count == WAITING_MAX ||
        sscanf(line, "waiting %u %" SCNd64 " %" SCNu64, &act, &notice->at_ms, &notice->count) != 3 ||
        !is_kept((enum packet_notice_act)act))
        return false;
    notice->act = (enum packet_notice_act)act;
    notices->waiting_count++;
    return true;
}

static bool parse_line(const char *line, struct notices *notices)
{
    if (strncmp(line, "order ", 6) == 0)
        return parse_order(line, notices);
    if (strncmp(line, "waiting ", 8) == 0)
        return parse_waiting(line, notices);
    if (strncmp(line, "passed ", 7) == 0)
        return sscanf(line, "passed %" SCNd64, &notices->passed_day) == 1;
    return parse_told(line, &notices->told);
}

static enum result read_told(struct notices *notices, struct failure *why)
{
    char *text = NULL, *rest = NULL;
    enum result result =
        keep_load(notices->directory, "told", (TOLD_MAX + ORDERS_MAX + WAITING_MAX + 1) * LINE_MAX_BYTES, &text, why);
    if (result != RESULT_OK)
        return result == RESULT_NOT_FOUND ? RESULT_OK : result;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && result == RESULT_OK; line = strtok_r(NULL, "\n", &rest)) {
        if (parse_line(line, notices))
            continue;
        failure_set(why, "ingest.state", "holds a file `told` that is damaged");
        result = RESULT_CORRUPT;
    }
    free(text);
    return result;
}

/* The file is in told's form, its epochs included. */
static enum result read_joined(struct notices *notices, struct failure *why)
{
    char *text = NULL, *rest = NULL;
    enum result result = keep_load(notices->directory, "joined", TOLD_MAX * LINE_MAX_BYTES, &text, why);
    if (result != RESULT_OK)
        return result == RESULT_NOT_FOUND ? RESULT_OK : result;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && result == RESULT_OK; line = strtok_r(NULL, "\n", &rest)) {
        if (parse_told(line, &notices->joined))
            continue;
        failure_set(why, "ingest.state", "holds a file `joined` that is damaged");
        result = RESULT_CORRUPT;
    }
    free(text);
    return result;
}

static size_t print_rows(const struct list *list, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < list->count; i++) {
        char hex[2 * HASH_BYTES + 1];
        const struct told *row = &list->rows[i];
        sodium_bin2hex(hex, sizeof hex, row->hash, sizeof row->hash);
        length += (size_t)snprintf(text + length, size - length, "told %" PRIu32 " %" PRIu32 " %s\n", row->app, row->epoch, hex);
    }
    return length;
}

static enum result store(const struct notices *notices, struct failure *why)
{
    size_t size = (notices->told.count + notices->order_count + notices->waiting_count + 2) * LINE_MAX_BYTES;
    char *text = malloc(size);
    if (text == NULL) {
        failure_set(why, "told", "memory is short");
        return RESULT_FAILED;
    }
    size_t length = print_rows(&notices->told, text, size);
    for (size_t i = 0; i < notices->order_count; i++) {
        char hex[33];
        const struct order *order = &notices->orders[i];
        sodium_bin2hex(hex, sizeof hex, order->request, sizeof order->request);
        length += (size_t)snprintf(text + length, size - length, "order %" PRIu32 " %d %" PRIu32 " %s\n", order->app,
            (int)order->act, order->epoch, hex);
    }
    for (size_t i = 0; i < notices->waiting_count; i++) {
        const struct packet_notice *notice = &notices->waiting[i];
        if (is_kept(notice->act))
            length += (size_t)snprintf(text + length, size - length, "waiting %d %" PRId64 " %" PRIu64 "\n", (int)notice->act,
                notice->at_ms, notice->count);
    }
    length += (size_t)snprintf(text + length, size - length, "passed %" PRId64 "\n", notices->passed_day);
    enum result result = keep_store(notices->directory, "told", text, length, why);
    free(text);
    return result;
}

/* What keyd holds */

static enum result read_keys(struct notices *notices, struct failure *why)
{
    return keyd_read_status(
        notices->keyd, notices->apps, KEYD_APPS_MAX, &notices->app_count, notices->ring, why);
}

static const struct keyd_status *status_of(const struct notices *notices, uint32_t app)
{
    for (size_t i = 0; i < notices->app_count; i++) {
        if (notices->apps[i].app == app)
            return &notices->apps[i];
    }
    return NULL;
}

/* The keys of an app, oldest first; returns their number. */
static size_t list_keys(const struct keyd_status *status, struct told out[NAMES_MAX])
{
    size_t count = 0;
    for (uint32_t i = status->linked_epochs; i-- > 0;) {
        out[count] = (struct told){.app = status->app, .epoch = status->linked[i].epoch};
        memcpy(out[count++].hash, status->linked[i].commitment, HASH_BYTES);
    }
    out[count] = (struct told){.app = status->app, .epoch = status->epoch};
    memcpy(out[count++].hash, status->commitment, HASH_BYTES);
    return count;
}

static bool has(const struct told *rows, size_t count, const struct told *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].app == wanted->app && memcmp(rows[i].hash, wanted->hash, HASH_BYTES) == 0)
            return true;
    }
    return false;
}

static bool holds(const struct notices *notices, const struct told *row)
{
    struct told keys[NAMES_MAX];
    const struct keyd_status *status = status_of(notices, row->app);
    return status != NULL && has(keys, list_keys(status, keys), row);
}

static bool is_carried_out(const struct notices *notices, const struct order *order)
{
    const struct keyd_status *status = status_of(notices, order->app);
    if (order->act == PACKET_KEY_BORN)
        return status != NULL;
    if (order->act != PACKET_KEY_DESTROYED)
        return status != NULL && status->epoch >= order->epoch;
    for (size_t i = 0; i < notices->told.count; i++) {
        if (notices->told.rows[i].app == order->app && holds(notices, &notices->told.rows[i]))
            return false;
    }
    return true;
}

enum result notices_open(const char *directory, struct keyd *keyd, struct notices **out, struct failure *why)
{
    struct notices *notices = calloc(1, sizeof *notices);
    if (notices == NULL || strlen(directory) >= sizeof notices->directory) {
        failure_set(why, "ingest.state", "is too long, or memory is short");
        free(notices);
        return RESULT_FAILED;
    }
    (void)snprintf(notices->directory, sizeof notices->directory, "%s", directory);
    notices->keyd = keyd;
    notices->passed_day = -1;
    notices->replaying = true; /* until it is known */
    pthread_mutex_init(&notices->lock, NULL);
    enum result result = read_told(notices, why);
    if (result == RESULT_OK)
        result = read_joined(notices, why);
    if (result == RESULT_OK)
        result = read_keys(notices, why);
    if (result != RESULT_OK) {
        notices_close(notices);
        return result;
    }
    size_t kept = 0;
    for (size_t i = 0; i < notices->order_count; i++) {
        if (is_carried_out(notices, &notices->orders[i]))
            notices->orders[kept++] = notices->orders[i];
    }
    notices->order_count = kept;
    *out = notices;
    return RESULT_OK;
}

void notices_close(struct notices *notices)
{
    if (notices == NULL)
        return;
    pthread_mutex_destroy(&notices->lock);
    free(notices->out);
    free(notices);
}

enum result notices_note_joined(const char *directory, struct keyd *keyd, struct failure *why)
{
    struct notices *notices = NULL;
    enum result result = notices_open(directory, keyd, &notices, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < notices->app_count; i++)
        notices->next.count += list_keys(&notices->apps[i], &notices->next.rows[notices->next.count]);
    size_t size = (notices->next.count + 1) * LINE_MAX_BYTES;
    char *text = malloc(size);
    if (text == NULL) {
        failure_set(why, "joined", "memory is short");
        result = RESULT_FAILED;
    } else {
        result = keep_store(directory, "joined", text, print_rows(&notices->next, text, size), why);
    }
    free(text);
    notices_close(notices);
    return result;
}

void notices_begin(struct notices *notices, struct writer *writer)
{
    pthread_mutex_lock(&notices->lock);
    notices->writer = writer;
    pthread_mutex_unlock(&notices->lock);
}

bool notices_have_begun(const struct notices *notices)
{
    return atomic_load(&notices->begun);
}

/* What is told */

static bool put(struct notices *notices, const struct packet_notice *notice)
{
    if (notices->out_count == notices->out_capacity) {
        size_t capacity = 2 * notices->out_capacity + 16;
        struct writer_packet *more = reallocarray(notices->out, capacity, sizeof *more);
        if (more == NULL)
            return false;
        notices->out = more;
        notices->out_capacity = capacity;
    }
    struct writer_packet *packet = &notices->out[notices->out_count++];
    const struct packet_header header = writer_header(notices->writer, PACKET_NOTICE, NOTICES_SHARD);
    packet->shard = NOTICES_SHARD;
    enum result result = packet_write_notice(&header, notice, packet->bytes, sizeof packet->bytes, &packet->length);
    assert(result == RESULT_OK);
    return true;
}

static const struct order *order_for(const struct notices *notices, uint32_t app, enum packet_notice_act act)
{
    for (size_t i = 0; i < notices->order_count; i++) {
        if (notices->orders[i].app == app && notices->orders[i].act == act)
            return &notices->orders[i];
    }
    return NULL;
}

static bool put_key(struct notices *notices, enum packet_notice_act act, const struct told *row,
    const struct told *former, const struct order *order)
{
    struct packet_notice notice = {.act = act, .app = row->app, .at_ms = clock_now_ms(), .epoch = row->epoch};
    memcpy(notice.ring, notices->ring, sizeof notice.ring);
    memcpy(notice.hash, row->hash, sizeof notice.hash);
    if (former != NULL)
        memcpy(notice.former, former->hash, sizeof notice.former);
    if (order != NULL)
        memcpy(notice.request, order->request, sizeof notice.request);
    return put(notices, &notice);
}

/* One app's keys, and those told of. */
struct comparison {
    struct told keys[NAMES_MAX], gone[NAMES_MAX * 2];
    size_t key_count, gone_count, used; /* used: of gone, as the former key of a step */
    bool known;                         /* something was told of the app */
    bool linked;                        /* and some of it is still held */
};

static void compare(const struct notices *notices, const struct keyd_status *status, struct comparison *found)
{
    *found = (struct comparison){.known = false};
    found->key_count = list_keys(status, found->keys);
    for (size_t i = 0; i < notices->told.count; i++) {
        const struct told *row = &notices->told.rows[i];
        if (row->app != status->app)
            continue;
        found->known = true;
        if (has(found->keys, found->key_count, row))
            found->linked = true;
        else if (found->gone_count < sizeof found->gone / sizeof found->gone[0])
            found->gone[found->gone_count++] = *row;
    }
}

static bool put_gone(struct notices *notices, const struct told *row)
{
    return put_key(notices, PACKET_KEY_DESTROYED, row, NULL, order_for(notices, row->app, PACKET_KEY_DESTROYED));
}

/* A key that came by a step: by whose order, and in the place of which one. */
static bool put_step(struct notices *notices, struct comparison *found, const struct told *key)
{
    const struct order *order = order_for(notices, key->app, PACKET_KEY_ROTATED);
    if (order == NULL || order->epoch != key->epoch)
        order = order_for(notices, key->app, PACKET_KEY_RATCHETED);
    if (order != NULL && order->epoch != key->epoch)
        order = NULL;
    const struct told *former = found->used < found->gone_count ? &found->gone[found->used++] : NULL;
    return put_key(notices, order == NULL ? PACKET_KEY_RATCHETED : order->act, key, former, order);
}

static bool put_new(struct notices *notices, struct comparison *found, const struct told *key)
{
    if (has(notices->joined.rows, notices->joined.count, key))
        return put_key(notices, PACKET_KEYS_JOINED, key, NULL, NULL);
    if (found->known)
        return put_step(notices, found, key);
    return put_key(notices, PACKET_KEY_BORN, key, NULL, order_for(notices, key->app, PACKET_KEY_BORN));
}

/* Tell what is new and what is gone of an app that has keys, and note all of them in next. */
static bool tell_app(struct notices *notices, const struct keyd_status *status)
{
    struct comparison found;
    bool done = true;
    compare(notices, status, &found);
    /* A step leaves the key before it linked: a lone key that follows nothing told of is a new root. */
    bool restarted = found.known && !found.linked && status->linked_epochs == 0;
    for (; restarted && done && found.used < found.gone_count; found.used++)
        done = put_gone(notices, &found.gone[found.used]);
    found.known = found.known && !restarted;
    for (size_t i = 0; i < found.key_count && done; i++) {
        if (!has(notices->told.rows, notices->told.count, &found.keys[i]))
            done = put_new(notices, &found, &found.keys[i]);
        found.known = true;
        notices->next.rows[notices->next.count++] = found.keys[i];
    }
    for (; done && found.used < found.gone_count; found.used++)
        done = put_gone(notices, &found.gone[found.used]);
    return done;
}

/* A replay is told of as one, when it is over. */
static bool is_over(const struct notices *notices, const struct packet_notice *notice)
{
    return notice->act != PACKET_SPOOL_REPLAYED || !notices->replaying;
}

static bool tell_all(struct notices *notices)
{
    bool done = true;
    notices->out_count = notices->next.count = 0;
    for (size_t i = 0; i < notices->waiting_count && done; i++) {
        if (is_over(notices, &notices->waiting[i]))
            done = put(notices, &notices->waiting[i]);
    }
    for (size_t i = 0; i < notices->app_count && done; i++)
        done = tell_app(notices, &notices->apps[i]);
    for (size_t i = 0; i < notices->told.count && done; i++) {
        const struct told *row = &notices->told.rows[i];
        if (status_of(notices, row->app) == NULL)
            done = put_gone(notices, row);
    }
    return done;
}

static void note_epoch_end(const struct notices *notices)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < notices->app_count; i++) {
        if (notices->apps[i].next_ratchet_ms < next_ms)
            next_ms = notices->apps[i].next_ratchet_ms;
    }
    if (next_ms != INT64_MAX)
        metrics_set(METRIC_KEY_EPOCH_END, next_ms / 1000);
}

/* All of notices->out is safe: so much is told. */
static enum result note_told(struct notices *notices, struct failure *why)
{
    size_t kept = 0;
    for (size_t i = 0; i < notices->waiting_count; i++) {
        const struct packet_notice *notice = &notices->waiting[i];
        if (!is_over(notices, notice))
            notices->waiting[kept++] = *notice;
        if (notice->act == PACKET_SELF_TEST_PASSED)
            notices->passed_day = notice->at_ms / DAY_MS;
        if (notice->act == PACKET_STARTED)
            atomic_store(&notices->begun, true);
    }
    notices->waiting_count = kept;
    notices->told = notices->next;
    notices->order_count = 0;
    return store(notices, why);
}

static enum result sync_locked(struct notices *notices, struct failure *why)
{
    if (notices->writer == NULL)
        return RESULT_UNAVAILABLE;
    enum result result = read_keys(notices, why);
    if (result != RESULT_OK)
        return result;
    note_epoch_end(notices);
    if (!tell_all(notices)) {
        failure_set(why, "notices", "memory is short");
        return RESULT_UNAVAILABLE;
    }
    if (notices->out_count == 0)
        return RESULT_OK;
    result = writer_send(notices->writer, notices->out, notices->out_count);
    if (result == RESULT_OK)
        return note_told(notices, why);
    failure_set(why, "notices", "neither Redis nor the spool takes what happened to the keys; it is tried again");
    return result;
}

enum result notices_sync(struct notices *notices, struct failure *why)
{
    struct failure said = {0};
    pthread_mutex_lock(&notices->lock);
    enum result result = sync_locked(notices, &said);
    if (result != RESULT_OK && !notices->silent)
        log_event(LOG_LEVEL_WARN, "notices.wait", LOG_FAILURE(result, &said));
    notices->silent = result != RESULT_OK;
    pthread_mutex_unlock(&notices->lock);
    if (result != RESULT_OK)
        failure_set(why, said.field, "%s", said.text);
    return result;
}

static void add_waiting(struct notices *notices, const struct packet_notice *notice)
{
    for (size_t i = 0; i < notices->waiting_count; i++) {
        if (notices->waiting[i].act == notice->act) {
            if (notice->act != PACKET_SELF_TEST_PASSED)
                notices->waiting[i].count += notice->count;
            return;
        }
    }
    if (notices->waiting_count < WAITING_MAX)
        notices->waiting[notices->waiting_count++] = *notice;
}

static void add_locked(struct notices *notices, const struct packet_notice *notice)
{
    struct failure why = {0};
    add_waiting(notices, notice);
    enum result result = is_kept(notice->act) ? store(notices, &why) : RESULT_OK;
    if (result != RESULT_OK)
        log_event(LOG_LEVEL_WARN, "notices.keep", LOG_FAILURE(result, &why));
}

void notices_add(struct notices *notices, const struct packet_notice *notice)
{
    pthread_mutex_lock(&notices->lock);
    if (notice->act != PACKET_SELF_TEST_PASSED || notice->at_ms / DAY_MS != notices->passed_day)
        add_locked(notices, notice);
    pthread_mutex_unlock(&notices->lock);
}

void notices_set_replaying(struct notices *notices, bool replaying)
{
    pthread_mutex_lock(&notices->lock);
    notices->replaying = replaying;
    pthread_mutex_unlock(&notices->lock);
}

void notices_check_clock(struct notices *notices, int64_t wall_ms, int64_t steady_ms)
{
    pthread_mutex_lock(&notices->lock);
    int64_t back_ms = notices->apart_ms - (wall_ms - steady_ms);
    if (notices->clocks_known && back_ms > STEP_BACK_MS) {
        const struct packet_notice notice = {
            .act = PACKET_CLOCK_STEPPED_BACK, .at_ms = wall_ms, .count = (uint64_t)back_ms};
        log_event(LOG_LEVEL_WARN, "clock.stepped_back", LOG_INT("ms", back_ms));
        add_locked(notices, &notice);
    }
    /* A clock that is slewed back little by little is no step; one that runs ahead is none either. */
    notices->apart_ms = wall_ms - steady_ms;
    notices->clocks_known = true;
    pthread_mutex_unlock(&notices->lock);
}

/* Orders */

static enum result carry_out(struct notices *notices, const struct notices_change *change, struct failure *why)
{
    switch (change->act) {
    case PACKET_KEY_RATCHETED:
        return keyd_ratchet(notices->keyd, change->app, why);
    case PACKET_KEY_ROTATED:
        return keyd_rotate(notices->keyd, change->app, why);
    case PACKET_KEY_DESTROYED:
        return keyd_destroy(notices->keyd, change->app, why);
    case PACKET_KEY_BORN:
        return keyd_declare(notices->keyd, change->app, change->epoch_days, change->link_epochs, why);
    case PACKET_KEYS_JOINED:
    case PACKET_SPOOL_REPLAYED:
    case PACKET_CLOCK_STEPPED_BACK:
    case PACKET_STARTED:
    case PACKET_STOPPED:
    case PACKET_SELF_TEST_FAILED:
    case PACKET_SELF_TEST_PASSED:
        break;
    }
    return RESULT_INVALID;
}

/* Write down that the next change of app is the order's. */
static enum result note_order(struct notices *notices, const struct notices_change *change, struct failure *why)
{
    const struct keyd_status *status = status_of(notices, change->app);
    if (notices->order_count == ORDERS_MAX)
        return RESULT_FULL;
    struct order *order = &notices->orders[notices->order_count++];
    *order = (struct order){.app = change->app, .act = change->act, .epoch = status == NULL ? 0 : status->epoch + 1};
    memcpy(order->request, change->request, sizeof order->request);
    return store(notices, why);
}

enum result notices_change_key(struct notices *notices, const struct notices_change *change, struct failure *why)
{
    struct failure told = {0};
    bool destroys = change->act == PACKET_KEY_DESTROYED;
    pthread_mutex_lock(&notices->lock);
    enum result result = sync_locked(notices, &told);
    size_t orders = notices->order_count;
    if (result == RESULT_OK || destroys)
        result = note_order(notices, change, &told);
    if (result == RESULT_OK || destroys)
        result = carry_out(notices, change, why);
    else
        failure_set(why, told.field, "%s", told.text);
    if (result != RESULT_OK)
        notices->order_count = orders;
    else if (sync_locked(notices, &told) == RESULT_OK) /* or the next beat does it */
        notices->order_count = 0;
    (void)store(notices, &told); /* an order that stays by a crash is looked at when notices open */
    pthread_mutex_unlock(&notices->lock);
    return result;
}
