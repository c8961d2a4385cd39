#include "api/journal.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compliance/audit/leaf.h"
#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/status.h"

#define HOUR_MS 3600000LL
#define ENTRIES_MAX 100000 /* far more than keys times apps: a bound against surprises */

/* What one actor did with one app in one hour. */
struct entry {
    int64_t hour; /* since 1970 */
    enum journal_kind kind;
    char type[12], actor[40], what[NAME_MAX_BYTES + 1];
    uint64_t count;
};

struct journal {
    struct db *db;
    pthread_t thread;
    pthread_mutex_t lock; /* of entries */
    pthread_cond_t wake;
    struct entry *entries;
    size_t count, capacity;
    struct failure away; /* the last reason told */
    bool ending;
    atomic_bool up;
};

/* The act that a kind is counted under. */
static const char *act_of(enum journal_kind kind)
{
    return kind == JOURNAL_READ ? "aggregates_read" : kind == JOURNAL_TRAIL ? "trail_read" : "access_denied";
}

static bool is_denial(enum journal_kind kind)
{
    return kind != JOURNAL_READ && kind != JOURNAL_TRAIL;
}

/* Entries are kept in order of leaves: those of one leaf stand together. */
static int compare_leaf(const struct entry *a, const struct entry *b)
{
    if (a->hour != b->hour)
        return a->hour < b->hour ? -1 : 1;
    int act = strcmp(act_of(a->kind), act_of(b->kind));
    if (act != 0)
        return act;
    int type = strcmp(a->type, b->type);
    return type != 0 ? type : strcmp(a->actor, b->actor);
}

static int compare(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;
    int order = compare_leaf(a, b);
    if (order != 0)
        return order;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return strcmp(a->what, b->what);
}

/* Room for one more entry. */
static bool grow(struct journal *journal)
{
    if (journal->count < journal->capacity)
        return true;
    size_t capacity = journal->capacity == 0 ? 64 : journal->capacity * 2;
    if (capacity > ENTRIES_MAX)
        return false;
    struct entry *entries = realloc(journal->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    journal->entries = entries;
    journal->capacity = capacity;
    return true;
}

void journal_count(struct journal *journal, const struct access_identity *identity, enum journal_kind kind, const char *what)
{
    struct entry entry = {.hour = clock_now_ms() / HOUR_MS, .kind = kind, .count = 1};
    (void)snprintf(entry.type, sizeof entry.type, "%s", identity == NULL ? "daemon" : identity->type);
    (void)snprintf(entry.actor, sizeof entry.actor, "%s", identity == NULL ? "throng_read" : identity->actor);
    (void)snprintf(entry.what, sizeof entry.what, "%s", what);
    metrics_add(!is_denial(kind)                                             ? METRIC_READS
                : kind == JOURNAL_NO_KEY || kind == JOURNAL_UNKNOWN_KEY ? METRIC_AUTH_FAILURES
                                                                             : METRIC_ACCESS_DENIED,
        1);
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < journal->count; i++) {
        if (compare(&journal->entries[i], &entry) == 0) {
            journal->entries[i].count++;
            pthread_mutex_unlock(&journal->lock);
            return;
        }
    }
    if (grow(journal))
        journal->entries[journal->count++] = entry;
    metrics_set(METRIC_READS_UNWRITTEN, (int64_t)journal->count);
    pthread_mutex_unlock(&journal->lock);
}

static const char *kind_name(enum journal_kind kind)
{
    static const char *const names[] = {"read", "trail", "no_key", "unknown_key", "scope", "app"};
    return names[kind];
}

/* The leaf of entries[0..count-1], all of one actor, hour and act. */
static struct leaf *make_leaf(const struct entry *entries, size_t count, struct leaf_head *head)
{
    bool denied = is_denial(entries->kind);
    int64_t reads = 0;
    *head = (struct leaf_head){
        .at_ms = clock_now_ms(),
        .act = act_of(entries->kind),
        .actor_type = entries->type,
        .actor_id = entries->actor,
        .tenant = "",
        .out = denied ? LEAF_DENIED : LEAF_OK,
    };
    randombytes_buf(head->id, sizeof head->id);
    randombytes_buf(head->nonce, sizeof head->nonce);
    struct leaf *leaf = leaf_begin(head);
    if (leaf == NULL)
        return NULL;
    leaf_array(leaf, "counts");
    for (size_t i = 0; i < count; i++) {
        leaf_array(leaf, NULL);
        leaf_text(leaf, NULL, denied ? kind_name(entries[i].kind) : entries[i].what);
        leaf_int(leaf, NULL, (int64_t)entries[i].count);
        leaf_close(leaf);
        reads += (int64_t)entries[i].count;
    }
    leaf_close(leaf);
    leaf_int(leaf, "hour_ms", entries->hour * HOUR_MS);
    if (entries->kind == JOURNAL_TRAIL)
        leaf_int(leaf, "reads", reads);
    return leaf;
}

static enum result write_leaf(struct db *db, const struct entry *entries, size_t count, struct failure *why)
{
    struct leaf_head head;
    struct leaf *leaf = make_leaf(entries, count, &head);
    struct db_params *params = db_params_new();
    const char *bytes = NULL;
    size_t length = 0;
    enum result result = leaf == NULL ? RESULT_FAILED : leaf_finish(leaf, &bytes, &length, why);
    if (result == RESULT_OK) {
        db_uuid(params, head.id);
        db_text(params, head.act);
        db_bytes(params, bytes, length);
        result = db_run(db, "journal_append", "SELECT audit.append($1, $2, $3)", params, NULL, why);
    }
    db_params_free(params);
    leaf_free(leaf);
    return result;
}

/* What was taken out of the journal to be written. */
struct batch {
    struct entry *entries;
    size_t count;
};

static enum result write_batch(struct db *db, void *context, struct failure *why)
{
    const struct batch *batch = context;
    enum result result = RESULT_OK;
    for (size_t first = 0, next; first < batch->count && result == RESULT_OK; first = next) {
        for (next = first + 1; next < batch->count && compare_leaf(&batch->entries[first], &batch->entries[next]) == 0;)
            next++;
        result = write_leaf(db, &batch->entries[first], next - first, why);
    }
    return result;
}

/* Take out the entries of hours before `before`, in order. */
static struct batch take(struct journal *journal, int64_t before)
{
    struct batch batch = {NULL, 0};
    pthread_mutex_lock(&journal->lock);
    if (journal->count > 1)
        qsort(journal->entries, journal->count, sizeof *journal->entries, compare);
    while (batch.count < journal->count && journal->entries[batch.count].hour < before)
        batch.count++;
    if (batch.count > 0)
        batch.entries = malloc(batch.count * sizeof *batch.entries);
    if (batch.entries == NULL) {
        batch.count = 0;
    } else {
        memcpy(batch.entries, journal->entries, batch.count * sizeof *batch.entries);
        journal->count -= batch.count;
        memmove(journal->entries, journal->entries + batch.count, journal->count * sizeof *journal->entries);
        metrics_set(METRIC_READS_UNWRITTEN, (int64_t)journal->count);
    }
    pthread_mutex_unlock(&journal->lock);
    return batch;
}

/* What could not be written waits again. */
static void put_back(struct journal *journal, const struct batch *batch)
{
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < batch->count && grow(journal); i++)
        journal->entries[journal->count++] = batch->entries[i];
    metrics_set(METRIC_READS_UNWRITTEN, (int64_t)journal->count);
    pthread_mutex_unlock(&journal->lock);
}

/* A commit whose answer was lost may be written twice: two leaves with the same counts and hour, rather than none. */
static void write_before(struct journal *journal, int64_t hour)
{
    struct failure why = {0};
    struct batch batch = take(journal, hour);
    if (batch.count > 0 && db_transaction(journal->db, write_batch, &batch, &why) != RESULT_OK) {
        log_event(LOG_LEVEL_WARN, "journal.not_written", LOG_UINT("entries", batch.count), LOG_NAME("why", why.text));
        put_back(journal, &batch);
    }
    free(batch.entries);
}

static void look(struct journal *journal)
{
    struct failure why = {0};
    enum result result = db_run(journal->db, "journal_ping", "SELECT 1", NULL, NULL, &why);
    bool up = result == RESULT_OK;
    if (!up && strcmp(why.text, journal->away.text) != 0)
        log_event(LOG_LEVEL_WARN, "postgres.away", LOG_FAILURE(result, &why));
    journal->away = why;
    atomic_store(&journal->up, up);
    metrics_set(METRIC_POSTGRES_UP, up);
    status_ready(up);
    if (up)
        write_before(journal, clock_now_ms() / HOUR_MS);
}

static void *run(void *context)
{
    struct journal *journal = context;
    pthread_mutex_lock(&journal->lock);
    while (!journal->ending) {
        pthread_mutex_unlock(&journal->lock);
        look(journal);
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_mutex_lock(&journal->lock);
        if (!journal->ending)
            (void)pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
    }
    pthread_mutex_unlock(&journal->lock);
    return NULL;
}

struct journal *journal_start(const struct config *config)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return NULL;
    journal->db = db_new(config->postgres_conninfo, "throng-api journal");
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->wake, NULL);
    if (pthread_create(&journal->thread, NULL, run, journal) == 0)
        return journal;
    db_free(journal->db);
    free(journal);
    return NULL;
}

bool journal_database_up(const struct journal *journal)
{
    return atomic_load(&journal->up);
}

void journal_stop(struct journal *journal)
{
    if (journal == NULL)
        return;
    pthread_mutex_lock(&journal->lock);
    journal->ending = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    (void)pthread_join(journal->thread, NULL);
    write_before(journal, INT64_MAX);
    if (journal->count > 0)
        log_event(LOG_LEVEL_ERROR, "journal.lost", LOG_UINT("entries", journal->count));
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->lock);
    db_free(journal->db);
    free(journal->entries);
    free(journal);
}
