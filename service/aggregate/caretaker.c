#include "service/aggregate/caretaker.h"

#include <string.h>

#include "service/aggregate/accounts.h"
#include "service/aggregate/acts.h"
#include "service/aggregate/rows.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"

#define SLACK_MS 2000     /* between the clocks of Redis and PostgreSQL */
#define LINGER_MS 600000  /* a node's watermarks fill what stands together in so long, many times over */
#define LOCK_SQL "SELECT pg_try_advisory_xact_lock(1953002095, -1)" /* the class of the shards' locks, none of a shard */

/* One kind of work, in a transaction of its own. */
struct work {
    enum result (*body)(struct db *db, const struct work *work, struct failure *why);
    const struct directory *directory;
    int32_t today;
};

/* Whether this process is the one that does it now. */
static enum result lock(struct db *db, bool *mine, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "caretaker.lock", LOCK_SQL, NULL, &rows, why);
    *mine = result == RESULT_OK && db_get_bool(rows, 0, 0);
    PQclear(rows);
    return result;
}

/* Do the work, unless another process is at it. */
static enum result alone(struct db *db, void *context, struct failure *why)
{
    const struct work *work = context;
    bool mine = false;
    enum result result = lock(db, &mine, why);
    return result == RESULT_OK && mine ? work->body(db, work, why) : result;
}

static void get_uuid(const PGresult *rows, int row, int column, uint8_t out[16])
{
    size_t length;
    memcpy(out, db_get_bytes(rows, row, column, &length), 16);
}

/* Purges */

static enum result finish_purge(struct db *db, const struct directory *directory, const PGresult *rows, int row,
    struct failure *why)
{
    uint8_t id[16];
    uint8_t intent[16];
    struct trail trail;
    get_uuid(rows, row, 0, id);
    get_uuid(rows, row, 2, intent);
    enum result result = acts_begin("purge_done", directory, (uint32_t)db_get_int4(rows, row, 1), LEAF_OK, intent, &trail);
    if (result == RESULT_OK) {
        leaf_int(trail.leaf, "shards", db_get_int4(rows, row, 3));
        result = trail_append(db, &trail, why);
    }
    if (result == RESULT_OK) {
        struct db_params *params = db_params_new();
        db_uuid(params, id);
        db_uuid(params, trail.head.id);
        result = rows_run(db, "caretaker.purged", "UPDATE subject.purge SET done_at = now(), done_leaf = $2 WHERE id = $1", params,
            NULL, why);
    }
    trail_free(&trail);
    return result;
}

static enum result purges(struct db *db, const struct work *work, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "caretaker.purges",
        "SELECT p.id, p.app, p.intent_leaf, i.shards FROM subject.purge AS p, config.installation AS i WHERE p.done_at IS NULL"
        " AND (SELECT count(*) FROM subject.purged_shard AS s WHERE s.purge = p.id) >= i.shards ORDER BY p.ordered_at",
        NULL, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++)
        result = finish_purge(db, work->directory, rows, i, why);
    PQclear(rows);
    return result;
}

enum result caretaker_finish_purges(struct db *db, const struct directory *directory, struct failure *why)
{
    struct work work = {.body = purges, .directory = directory};
    return db_transaction(db, alone, &work, why);
}

/* Requests */

static enum result finish_request(struct db *db, const struct directory *directory, const PGresult *rows, int row,
    struct failure *why)
{
    uint8_t id[16];
    uint8_t applied[16];
    struct trail trail;
    get_uuid(rows, row, 0, id);
    get_uuid(rows, row, 2, applied);
    enum result result = acts_begin("request_purged", directory, (uint32_t)db_get_int4(rows, row, 1), LEAF_OK, applied, &trail);
    if (result == RESULT_OK) {
        acts_uuid(trail.leaf, "request", id);
        result = trail_append(db, &trail, why);
    }
    if (result == RESULT_OK) {
        struct db_params *params = db_params_new();
        db_uuid(params, id);
        db_uuid(params, trail.head.id);
        result = rows_run(db, "caretaker.finished",
            "UPDATE subject.request SET purged_at = now(), purged_leaf = $2 WHERE id = $1", params, NULL, why);
    }
    trail_free(&trail);
    return result;
}

/* Of backups, what was deleted before the oldest of them was begun is in none. */
static const char backup_sql[] =
    "INSERT INTO subject.retention (store, clean_through)"
    " SELECT 'backup', coalesce((SELECT min(made_at) FROM subject.backup WHERE gone_at IS NULL), now())"
    " ON CONFLICT (store) DO UPDATE SET clean_through = excluded.clean_through";

static enum result requests(struct db *db, const struct work *work, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "caretaker.backup", backup_sql, NULL, NULL, why);
    if (result == RESULT_OK)
        result = db_run(db, "caretaker.answers", "DELETE FROM subject.answer WHERE expires_at < now()", NULL, NULL, why);
    if (result == RESULT_OK)
        result = db_run(db, "caretaker.requests",
            "SELECT id, app, applied_leaf FROM subject.request WHERE purged_at IS NULL AND purge_due_at IS NOT NULL"
            " AND (SELECT count(*) = 3 FROM subject.retention WHERE clean_through > applied_at) ORDER BY applied_at LIMIT 1000",
            NULL, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++)
        result = finish_request(db, work->directory, rows, i, why);
    PQclear(rows);
    return result;
}

enum result caretaker_finish_requests(struct db *db, const struct directory *directory, struct failure *why)
{
    struct work work = {.body = requests, .directory = directory};
    return db_transaction(db, alone, &work, why);
}

static enum result measure(struct db *db, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "caretaker.open",
        "SELECT count(*), min(purge_due_at) FROM subject.request WHERE purged_at IS NULL AND purge_due_at IS NOT NULL", NULL, &rows,
        why);
    if (result == RESULT_OK) {
        metrics_set(METRIC_SUBJECT_REQUESTS_OPEN, db_get_int8(rows, 0, 0));
        metrics_set(METRIC_SUBJECT_REQUEST_OLDEST_DEADLINE, db_is_null(rows, 0, 1) ? 0 : db_get_time(rows, 0, 1) / 1000);
    }
    PQclear(rows);
    return result;
}

/* Redis's files */

/* Whether something waits for Redis, as of *moment: before it no transaction under way began. *trimmed: no packet of a request
 * or of an app's purge that was applied before is in a stream. */
static enum result look_for_requests(struct db *db, struct stream *stream, bool lingers, int64_t *moment_ms, bool *wait,
    bool *trimmed, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "caretaker.moment",
        "SELECT coalesce(min(xact_start), now()) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
        " AND xact_start IS NOT NULL", NULL, &rows, why);
    *moment_ms = result == RESULT_OK ? db_get_time(rows, 0, 0) : 0;
    PQclear(rows);
    rows = NULL;
    if (result == RESULT_OK)
        result = db_run(db, "caretaker.waiting",
            "SELECT shard, max(at) FROM (SELECT shard, applied_at AS at FROM subject.request"
            " WHERE purged_at IS NULL AND purge_due_at IS NOT NULL UNION ALL SELECT shard, at FROM subject.purged_shard) AS d"
            " WHERE at > coalesce((SELECT clean_through FROM subject.retention WHERE store = 'redis'), '-infinity')"
            " GROUP BY shard", NULL, &rows, why);
    *wait = result == RESULT_OK && PQntuples(rows) > 0;
    *trimmed = true;
    for (int i = 0; result == RESULT_OK && *trimmed && i < PQntuples(rows); i++) {
        int64_t first_ms = 0;
        result = stream_first_ms(stream, (uint16_t)db_get_int4(rows, i, 0), &first_ms, why);
        *trimmed = first_ms > db_get_time(rows, i, 1) + SLACK_MS + (lingers ? LINGER_MS : 0);
    }
    PQclear(rows);
    return result;
}

static enum result note_clean(struct db *db, int64_t moment_ms, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_time(params, moment_ms);
    return rows_run(db, "caretaker.clean",
        "INSERT INTO subject.retention AS r (store, clean_through) VALUES ('redis', $1) ON CONFLICT (store)"
        " DO UPDATE SET clean_through = greatest(r.clean_through, excluded.clean_through)", params, NULL, why);
}

/* One step of the rewriting under way. */
static enum result go_on_rewriting(struct caretaker *caretaker, struct db *db, struct stream *stream,
    const struct stream_disk *disk, struct failure *why)
{
    if (caretaker->snapshot ? disk->saving : disk->rewriting)
        return RESULT_OK;
    if (caretaker->snapshot ? disk->save_failed : disk->appends && disk->rewrite_failed) {
        log_event(LOG_LEVEL_ERROR, "redis.rewrite_failed", LOG_INT("snapshot", caretaker->snapshot));
        caretaker->rewriting_ms = 0;
        return RESULT_OK;
    }
    if (!caretaker->snapshot && disk->saves) {
        caretaker->snapshot = true;
        return stream_rewrite(stream, true, why);
    }
    enum result result = note_clean(db, caretaker->rewriting_ms, why);
    if (result == RESULT_OK)
        caretaker->rewriting_ms = 0;
    return result;
}

static enum result rewrite(struct caretaker *caretaker, struct db *db, struct stream *stream, int64_t now_ms, struct failure *why)
{
    struct stream_disk disk;
    int64_t moment_ms = 0;
    bool wait = false;
    bool trimmed = false;
    if (caretaker->rewriting_ms == 0 && now_ms < caretaker->next_rewrite_ms)
        return RESULT_OK;
    enum result result = stream_disk(stream, &disk, why);
    if (result != RESULT_OK || caretaker->rewriting_ms != 0)
        return result == RESULT_OK ? go_on_rewriting(caretaker, db, stream, &disk, why) : result;
    result = look_for_requests(db, stream, disk.lingers, &moment_ms, &wait, &trimmed, why);
    if (result != RESULT_OK || !wait || !trimmed || disk.rewriting || disk.saving)
        return result;
    if (disk.appends)
        result = stream_rewrite(stream, false, why);
    if (result != RESULT_OK)
        return result;
    caretaker->rewriting_ms = moment_ms;
    caretaker->snapshot = false;
    caretaker->next_rewrite_ms = now_ms + caretaker->rewrite_period_ms;
    return RESULT_OK;
}

/* Days */

static enum result days(struct db *db, const struct work *work, struct failure *why)
{
    enum result result = accounts_tell_ingestion(db, work->directory, work->today, why);
    if (result == RESULT_OK)
        result = accounts_tell_expiry(db, work->directory, work->today, why);
    return result == RESULT_OK ? accounts_tell_tests(db, work->today, why) : result;
}

enum result caretaker_tell_days(struct db *db, const struct directory *directory, int32_t today, struct failure *why)
{
    struct work work = {.body = days, .directory = directory, .today = today};
    return db_transaction(db, alone, &work, why);
}

enum result caretaker_turn(struct caretaker *caretaker, struct db *db, struct stream *stream, const struct directory *directory,
    int64_t now_ms, struct failure *why)
{
    enum result result = caretaker_finish_purges(db, directory, why);
    if (result == RESULT_OK && caretaker->rewriting_ms != 0)
        result = rewrite(caretaker, db, stream, now_ms, why);
    if (result != RESULT_OK || now_ms < caretaker->next_ms)
        return result;
    caretaker->next_ms = now_ms + caretaker->period_ms;
    result = caretaker_finish_requests(db, directory, why);
    if (result == RESULT_OK)
        result = caretaker_tell_days(db, directory, (int32_t)(clock_now_ms() / 86400000), why);
    if (result == RESULT_OK)
        result = measure(db, why);
    return result == RESULT_OK ? rewrite(caretaker, db, stream, now_ms, why) : result;
}
