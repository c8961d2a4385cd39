#include "service/cli/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/backups.h"
#include "service/cli/uuid.h"

#define OPEN_MS 60000 /* how long to wait for transactions to end */
#define POLL_MS 200
#define TABLES_MAX 64
#define TABLE_BYTES 160
#define EXPIRED_MAX 256

/* Run a statement without parameters that gives one value. */
static enum result ask(struct db *db, const char *name, const char *sql, PGresult **out, struct failure *why)
{
    return db_run(db, name, sql, NULL, out, why);
}

/* The server's clock: what is compared with its own times. */
static enum result read_moment(struct db *db, int64_t *ms, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(db, "retention_now", "SELECT clock_timestamp()", &rows, why);
    if (result == RESULT_OK)
        *ms = db_get_time(rows, 0, 0);
    PQclear(rows);
    return result;
}

/* Wait until every transaction that began before ms has ended. */
static enum result await_others(struct db *db, int64_t ms, struct failure *why)
{
    int64_t until_ms = clock_steady_ms() + OPEN_MS;
    for (;;) {
        PGresult *rows = NULL;
        struct db_params *params = db_params_new();
        db_time(params, ms);
        enum result result = db_run(db, "retention_open", "SELECT subject.open_since($1)", params, &rows, why);
        db_params_free(params);
        if (result != RESULT_OK)
            return result;
        int64_t open = db_get_int8(rows, 0, 0);
        PQclear(rows);
        if (open == 0)
            return RESULT_OK;
        if (clock_steady_ms() >= until_ms) {
            failure_set(why, "postgres", "a transaction stays open for over a minute: what it may see cannot be removed; trying again "
                "later works");
            return RESULT_UNAVAILABLE;
        }
        (void)usleep(POLL_MS * 1000);
    }
}

/* How far PostgreSQL is clean (0: never said), and whether a request or a purge deleted something later. */
static enum result read_state(struct db *db, struct retention_report *report, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(db, "retention_state",
        "WITH c AS (SELECT coalesce((SELECT clean_through FROM subject.retention WHERE store = 'postgres'), '1970-01-01Z') AS t)"
        " SELECT c.t, EXISTS (SELECT FROM subject.request WHERE purge_due_at IS NOT NULL AND applied_at >= c.t)"
        " OR EXISTS (SELECT FROM subject.purged_shard WHERE at >= c.t) FROM c",
        &rows, why);
    if (result == RESULT_OK) {
        report->clean_through_ms = db_get_time(rows, 0, 0);
        report->dirty = db_get_bool(rows, 0, 1);
    }
    PQclear(rows);
    return result;
}

/* The tables that hold a pseudonym. */
static enum result list_tables(struct db *db, char tables[TABLES_MAX][TABLE_BYTES], size_t *count, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(db, "retention_tables",
        "SELECT DISTINCT format('%I.%I', n.nspname, t.relname) FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = t.oid WHERE n.nspname IN ('state', 'live') AND t.relkind = 'r' AND a.attnum > 0"
        " AND NOT a.attisdropped AND a.atttypid = 'bytea'::regtype ORDER BY 1",
        &rows, why);
    if (result != RESULT_OK)
        return result;
    *count = 0;
    for (int row = 0; row < PQntuples(rows) && *count < TABLES_MAX; row++)
        (void)snprintf(tables[(*count)++], TABLE_BYTES, "%s", db_get_text(rows, row, 0));
    bool more = (size_t)PQntuples(rows) > *count;
    PQclear(rows);
    if (!more)
        return RESULT_OK;
    failure_set(why, "postgres", "has more tables than this program knows");
    return RESULT_FULL;
}

/* Write every table anew: the dead rows' bytes stay in the files after a plain vacuum, and in the indexes. */
static enum result rewrite_tables(struct db *db, struct retention_report *report, struct failure *why)
{
    static char tables[TABLES_MAX][TABLE_BYTES];
    char statement[TABLE_BYTES + 32];
    size_t count = 0;
    enum result result = list_tables(db, tables, &count, why);
    if (result == RESULT_OK)
        result = db_script(db, "SET lock_timeout = '30s'", why);
    for (size_t i = 0; i < count && result == RESULT_OK; i++) {
        (void)snprintf(statement, sizeof statement, "VACUUM (FULL) %.159s", tables[i]);
        result = db_script(db, statement, why);
        report->tables++;
    }
    return result;
}

static enum result end_wal(struct db *db, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(db, "retention_wal", "SELECT subject.end_wal()", &rows, why);
    if (result != RESULT_OK)
        return result;
    int64_t left = db_get_int8(rows, 0, 0);
    PQclear(rows);
    if (left == 0)
        return RESULT_OK;
    failure_set(why, "postgres", "%lld old segments of the write-ahead log stay: it needs wal_recycle = off, wal_keep_size = 0, no "
        "replication slot, and nothing that waits for an archive", (long long)left);
    return RESULT_DENIED;
}

static enum result set_clean(struct db *db, const char *store, int64_t ms, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_text(params, store);
    db_time(params, ms);
    enum result result = db_run(db, "retention_set",
        "INSERT INTO subject.retention AS r (store, clean_through) VALUES ($1, $2)"
        " ON CONFLICT (store) DO UPDATE SET clean_through = greatest(r.clean_through, excluded.clean_through)",
        params, NULL, why);
    db_params_free(params);
    return result;
}

/* The lock is "retain" in ASCII. */
enum result retention_hold(struct db *owner, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(owner, "retention_hold", "SELECT pg_try_advisory_lock(125780070688110)", &rows, why);
    bool held = result == RESULT_OK && db_get_bool(rows, 0, 0);
    PQclear(rows);
    if (result != RESULT_OK || held)
        return result;
    failure_set(why, "postgres", "a backup is being made, or another `throng retain` is at work: trying again later works");
    return RESULT_UNAVAILABLE;
}

/* A request's moment is the begin of the transaction that applies it: once all that began before `moment` have ended, what is
 * deleted before it is known, and no later one claims to be before it. */
static enum result clean_postgres(struct db *owner, bool now, struct retention_report *report, struct failure *why)
{
    int64_t moment_ms = 0;
    enum result result = read_moment(owner, &moment_ms, why);
    if (result == RESULT_OK)
        result = await_others(owner, moment_ms, why);
    if (result == RESULT_OK)
        result = read_state(owner, report, why);
    if (result != RESULT_OK)
        return result;
    bool due = now || moment_ms - report->clean_through_ms >= RETENTION_PAUSE_MS;
    if (report->dirty && !due)
        return RESULT_OK;
    if (report->dirty) {
        result = rewrite_tables(owner, report, why);
        if (result == RESULT_OK)
            result = end_wal(owner, why);
        report->rewritten = result == RESULT_OK;
    }
    if (result == RESULT_OK)
        result = set_clean(owner, "postgres", moment_ms, why);
    if (result == RESULT_OK)
        report->clean_through_ms = moment_ms;
    return result;
}

enum result retention_postgres(struct db *owner, bool now, struct retention_report *report, struct failure *why)
{
    enum result result = retention_hold(owner, why);
    if (result != RESULT_OK)
        return result;
    result = clean_postgres(owner, now, report, why);
    enum result released = ask(owner, "retention_release", "SELECT pg_advisory_unlock(125780070688110)", NULL, why);
    return result == RESULT_OK ? released : result;
}

/* End the row of a backup. Locks it. */
static enum result end_row(struct db *db, const uint8_t *id, const struct act *act, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    db_uuid(params, act->head.id);
    db_time(params, act->head.at_ms);
    enum result result = db_run(db, "retention_gone",
        "UPDATE subject.backup SET gone_at = $3, gone_leaf = $2 WHERE id = $1 AND gone_at IS NULL RETURNING 1", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK && PQntuples(rows) != 1) {
        failure_set(why, "ID", "there is no backup of that id that is not gone already; `throng backup list` shows them");
        result = RESULT_NOT_FOUND;
    }
    PQclear(rows);
    return result;
}

enum result retention_record_gone(struct db *db, const uint8_t *id, struct failure *why)
{
    char text[UUID_TEXT_BYTES];
    struct act act;
    enum result result = act_begin(db, "backup_gone", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "backup", uuid_format(id, text));
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = end_row(db, id, &act, why);
    act_free(&act);
    return result;
}

static enum result record_gone(struct db *db, void *context, struct failure *why)
{
    return retention_record_gone(db, context, why);
}

/* Expired backups that are not gone, as ids. */
static enum result list_expired(struct db *db, int64_t now_ms, uint8_t ids[EXPIRED_MAX][UUID_BYTES], size_t *count,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_time(params, now_ms);
    enum result result = db_run(db, "retention_expired",
        "SELECT uuid_send(id) FROM subject.backup WHERE gone_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT 256", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *count = (size_t)PQntuples(rows);
    for (size_t i = 0; i < *count; i++) {
        size_t length;
        memcpy(ids[i], db_get_bytes(rows, (int)i, 0, &length), UUID_BYTES);
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result expire_backups(struct command_context *context, struct db *db, struct retention_report *report, struct failure *why)
{
    static uint8_t ids[EXPIRED_MAX][UUID_BYTES];
    size_t count = 0;
    enum result result = list_expired(db, clock_now_ms(), ids, &count, why);
    for (size_t i = 0; i < count && result == RESULT_OK; i++) {
        struct failure unsaid = {0};
        if (backups_remove(context->config.up_data, ids[i], &unsaid) != RESULT_OK) {
            report->backups_unknown++;
            continue;
        }
        result = db_transaction(db, record_gone, ids[i], why);
        report->backups_gone++;
    }
    return result;
}

/* A backup holds whatever was deleted after it was made, and nothing that was deleted before. */
static enum result clean_backups(struct db *db, struct retention_report *report, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(db, "retention_backups",
        "SELECT coalesce(min(made_at), clock_timestamp()), count(*) FROM subject.backup WHERE gone_at IS NULL", &rows, why);
    if (result != RESULT_OK)
        return result;
    int64_t clean_ms = db_get_time(rows, 0, 0);
    report->backups_kept = db_get_int8(rows, 0, 1);
    PQclear(rows);
    return set_clean(db, "backup", clean_ms, why);
}

static enum result delete_answers(struct db *db, struct retention_report *report, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_time(params, clock_now_ms());
    enum result result = db_run(db, "retention_answers",
        "WITH d AS (DELETE FROM subject.answer WHERE expires_at <= $1 RETURNING 1) SELECT count(*) FROM d", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        report->answers = db_get_int8(rows, 0, 0);
    PQclear(rows);
    return result;
}

enum result retention_expire(struct command_context *context, struct db *owner, struct retention_report *report, struct failure *why)
{
    enum result result = delete_answers(owner, report, why);
    if (result == RESULT_OK)
        result = expire_backups(context, owner, report, why);
    return result == RESULT_OK ? clean_backups(owner, report, why) : result;
}
