#include "service/aggregate/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/expire.h"
#include "service/aggregate/facts.h"
#include "service/aggregate/fragments.h"
#include "service/aggregate/linkage.h"
#include "service/aggregate/recall.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/seen.h"

#define LOCK_CLASS 0x7468726f /* "thro": the advisory locks of shards */

/* Lease */

static enum result load_nodes(struct db *db, struct shard *shard, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.nodes",
        "SELECT node, applied::text, watermark_ms, next_n, heard_ms, ended FROM state.node WHERE shard = $1",
        rows_params(shard), &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct shard_node *node = shard_node(shard, (uint64_t)db_get_int8(rows, i, 0));
        result = ranges_parse(&node->applied, db_get_text(rows, i, 1));
        node->watermark_ms = db_get_int8(rows, i, 2);
        node->next_n = db_is_null(rows, i, 3) ? -1 : db_get_int8(rows, i, 3);
        node->heard_ms = db_get_int8(rows, i, 4);
        node->ended = db_get_bool(rows, i, 5);
        if (result != RESULT_OK)
            failure_set(why, "state.node", "a set of applied entries cannot be read");
    }
    PQclear(rows);
    return result;
}

enum result store_load_apps(struct db *db, struct shard *shard, struct failure *why)
{
    size_t count;
    const struct directory_app *known = directory_apps(shard->directory, &count);
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.apps",
        "SELECT app, p.activity_through, p.sessions_through, e.epoch, e.since_ms FROM"
        " (SELECT * FROM state.progress WHERE shard = $1) p FULL JOIN"
        " (SELECT * FROM state.app_epoch WHERE shard = $1) e USING (app) ORDER BY app",
        rows_params(shard), &rows, why);
    if (result != RESULT_OK)
        return result;
    struct fold_app *apps = calloc(count + 1, sizeof *apps);
    assert(apps != NULL);
    int row = 0;
    for (size_t i = 0; i < count; i++) {
        struct fold_app *app = &apps[i];
        *app = (struct fold_app){.app = known[i].definition->id, .definition = known[i].definition,
            .calendar = known[i].calendar, .activity_through = FOLD_NO_DAY, .sessions_through = FOLD_NO_DAY,
            .expired = {FOLD_NO_DAY, FOLD_NO_DAY, FOLD_NO_DAY}, .epoch = -1};
        while (row < PQntuples(rows) && (uint32_t)db_get_int4(rows, row, 0) < app->app)
            row++;
        if (row < PQntuples(rows) && (uint32_t)db_get_int4(rows, row, 0) == app->app) {
            if (!db_is_null(rows, row, 1))
                app->activity_through = db_get_date(rows, row, 1);
            if (!db_is_null(rows, row, 2))
                app->sessions_through = db_get_date(rows, row, 2);
            if (!db_is_null(rows, row, 3)) {
                app->epoch = db_get_int8(rows, row, 3);
                app->epoch_since_ms = db_get_int8(rows, row, 4);
            }
        }
        const struct fold_app *last = shard_find_app(shard, app->app);
        if (last != NULL)
            app->expired = last->expired;
        /* An epoch met since the last flush is not in the database yet. */
        if (last != NULL && last->epoch > app->epoch) {
            app->epoch = last->epoch;
            app->epoch_since_ms = last->epoch_since_ms;
            app->epoch_changed = last->epoch_changed;
        }
    }
    PQclear(rows);
    free(shard->apps);
    shard->apps = apps;
    shard->app_count = count;
    return RESULT_OK;
}

enum result store_take(struct db *db, struct shard *shard, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, LOCK_CLASS);
    db_int4(params, shard->number);
    enum result result = rows_run(db, "store.lock", "SELECT pg_try_advisory_lock($1, $2)", params, &rows, why);
    if (result != RESULT_OK)
        return result;
    bool locked = db_get_bool(rows, 0, 0);
    PQclear(rows);
    if (!locked)
        return RESULT_OK;
    result = rows_run(db, "store.token",
        "INSERT INTO state.shard AS s (shard, token) VALUES ($1, 1)"
        " ON CONFLICT (shard) DO UPDATE SET token = s.token + 1 RETURNING token, off",
        rows_params(shard), &rows, why);
    if (result != RESULT_OK)
        return result;
    shard->token = db_get_int8(rows, 0, 0);
    (void)snprintf(shard->off, sizeof shard->off, "%s", db_get_text(rows, 0, 1));
    memcpy(shard->read, shard->off, sizeof shard->read);
    PQclear(rows);
    result = load_nodes(db, shard, why);
    if (result == RESULT_OK)
        result = store_load_apps(db, shard, why);
    if (result == RESULT_OK)
        result = recall_load(db, shard, why);
    shard->held = result == RESULT_OK;
    return result;
}

void store_give(struct db *db, struct shard *shard)
{
    struct db_params *params = db_params_new();
    db_int4(params, LOCK_CLASS);
    db_int4(params, shard->number);
    (void)rows_run(db, "store.unlock", "SELECT pg_advisory_unlock($1, $2)", params, NULL, NULL);
    shard_reset(shard);
}

/* Looking up */

static enum result look_up_strangers(struct db *db, struct shard *shard, struct failure *why)
{
    struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = fold->strangers_loaded; i < fold->strangers_count; i++)
        db_array_int(params, fold->strangers[i].app);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = fold->strangers_loaded; i < fold->strangers_count; i++)
        rows_add_name(params, &fold->strangers[i].name);
    db_array_end(params);
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.aliases",
        "SELECT a.app, a.old, a.usr FROM unnest($2::int[], $3::bytea[]) AS w (app, old)"
        " JOIN state.alias a ON a.shard = $1 AND a.app = w.app AND a.old = w.old",
        params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct pseudonym old = rows_get_name(rows, i, 1);
        uint32_t at = table_find(&fold->table, (uint32_t)db_get_int4(rows, i, 0), TABLE_STRANGER, &old);
        assert(at != TABLE_NONE);
        fold->strangers[at].known = true;
        fold->strangers[at].usr = rows_get_name(rows, i, 2);
    }
    PQclear(rows);
    if (result == RESULT_OK)
        fold->strangers_loaded = fold->strangers_count;
    return result;
}

enum result store_look_up(struct db *db, struct shard *shard, struct failure *why)
{
    enum result result = RESULT_OK;
    if (shard->fold.sources_loaded < shard->fold.sources_count)
        result = seen_look_up(db, shard, why);
    if (result == RESULT_OK && shard->fold.strangers_loaded < shard->fold.strangers_count)
        result = look_up_strangers(db, shard, why);
    return result;
}

/* Persons */

/* Whose days: persons, or visitors of a day. Appends app, name, day, events and views arrays of their fold days. */
static struct db_params *day_params(const struct shard *shard, bool anonymous, size_t *count)
{
    const struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    static const enum db_element elements[] = {DB_ELEMENT_INT4, DB_ELEMENT_BYTEA, DB_ELEMENT_DATE, DB_ELEMENT_INT4,
        DB_ELEMENT_INT4, DB_ELEMENT_DATE};
    *count = 0;
    for (int column = 0; column < 6; column++) {
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < fold->days_count; i++) {
            const struct fold_day *day = &fold->days[i];
            const struct fold_user *user = &fold->users[day->user];
            if (user->anonymous != anonymous)
                continue;
            if (column == 1)
                rows_add_name(params, &user->name);
            else
                db_array_int(params, column == 0 ? (int64_t)user->app : column == 2 ? day->day :
                    column == 3 ? day->events : column == 4 ? day->views : user->last_receipt_day);
            *count += column == 0 ? 1 : 0;
        }
        db_array_end(params);
    }
    return params;
}

/* $1 shard, $2 apps, $3 names, $4 days, $5 events, $6 views, $7 UTC day of the last receipt. A row is written only if
 * something in it changes; in the order of the key, so that neighbours in the index are written together. */
#define DAYS "unnest($2::int[], $3::bytea[], $4::date[], $5::int[], $6::int[], $7::date[])" \
             " AS d (app, usr, day, events, views, receipt)"
/* What a table adds to a count of a day, whatever a client sends in it: one that does not fit fails every flush from then on. */
#define ADDED(table, count) count " = least(" table "." count "::bigint + excluded." count ", 2147483647)::int"
static const char *const person_sql[][2] = {
    {"store.person",
        "INSERT INTO state.person AS p (shard, app, usr, first_day, last_receipt)"
        " SELECT $1, d.app, d.usr, d.first_day, d.receipt FROM"
        "   (SELECT app, usr, min(day) AS first_day, max(receipt) AS receipt FROM " DAYS " GROUP BY app, usr) d"
        " LEFT JOIN state.person p ON p.shard = $1 AND p.app = d.app AND p.usr = d.usr"
        " WHERE p.usr IS NULL OR p.first_day > d.first_day OR p.last_receipt < d.receipt ORDER BY d.app, d.usr"
        " ON CONFLICT (shard, app, usr) DO UPDATE SET first_day = least(p.first_day, excluded.first_day),"
        " last_receipt = greatest(p.last_receipt, excluded.last_receipt)"},
    {"store.person_month",
        "INSERT INTO state.person_month AS m (shard, app, usr, month, days)"
        " SELECT $1, d.app, d.usr, d.month, d.days FROM"
        "   (SELECT app, usr, date_trunc('month', day)::date AS month,"
        "     bit_or(1 << (extract(day FROM day)::int - 1)) AS days FROM " DAYS " GROUP BY 1, 2, 3) d"
        " LEFT JOIN state.person_month m ON m.shard = $1 AND m.app = d.app AND m.usr = d.usr AND m.month = d.month"
        " WHERE m.usr IS NULL OR m.days & d.days <> d.days ORDER BY d.app, d.usr, d.month"
        " ON CONFLICT (shard, app, usr, month) DO UPDATE SET days = m.days | excluded.days"},
    {"store.person_day",
        "INSERT INTO state.person_day AS p (shard, app, usr, day, events, views)"
        " SELECT $1, app, usr, day, events, views FROM " DAYS " ORDER BY app, day, usr"
        " ON CONFLICT (shard, app, day, usr) DO UPDATE SET " ADDED("p", "events") ", " ADDED("p", "views")},
};

/* The last of them where days have marks, $8. */
static const char marked_sql[] =
    "INSERT INTO state.person_day AS p (shard, app, usr, day, events, views, marks)"
    " SELECT $1, app, usr, day, events, views, marks FROM unnest($2::int[], $3::bytea[], $4::date[], $5::int[], $6::int[],"
    "   $7::date[], $8::varbit[]) AS d (app, usr, day, events, views, receipt, marks) ORDER BY app, day, usr"
    " ON CONFLICT (shard, app, day, usr) DO UPDATE SET " ADDED("p", "events") ", " ADDED("p", "views") ","
    " marks = coalesce(p.marks | excluded.marks, p.marks, excluded.marks)";

/* Append the marks of the days that day_params takes. */
static void add_marks(struct db_params *params, const struct fold *fold)
{
    db_array_begin(params, DB_ELEMENT_BITS);
    for (size_t i = 0; i < fold->days_count; i++) {
        const struct fold_day *day = &fold->days[i];
        if (fold->users[day->user].anonymous)
            continue;
        db_array_bytes(params, day->marks == FOLD_NONE ? NULL : fold->marks[day->marks].bits, FOLD_MARKS_BYTES);
    }
    db_array_end(params);
}

static enum result write_persons(struct db *db, const struct shard *shard, struct failure *why)
{
    enum { LAST = sizeof person_sql / sizeof person_sql[0] - 1 };
    size_t count;
    struct db_params *params = day_params(shard, false, &count);
    bool marked = shard->fold.marks_count > 0;
    enum result result = RESULT_OK;
    for (size_t i = 0; count > 0 && result == RESULT_OK && i < (marked ? LAST : LAST + 1); i++)
        result = db_run(db, person_sql[i][0], person_sql[i][1], params, NULL, why);
    if (count > 0 && result == RESULT_OK && marked) {
        add_marks(params, &shard->fold);
        result = db_run(db, "store.marked_day", marked_sql, params, NULL, why);
    }
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    params = day_params(shard, true, &count);
    if (count > 0)
        result = db_run(db, "store.visitor_day",
            "INSERT INTO state.visitor_day AS v (shard, app, visitor, day, events)"
            " SELECT $1, app, usr, day, events FROM " DAYS
            " ON CONFLICT (shard, app, day, visitor) DO UPDATE SET " ADDED("v", "events"),
            params, NULL, why);
    db_params_free(params);
    return result;
}

/* The account, nodes, epochs */

static enum result write_tallies(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->tallies_count == 0)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    for (int column = 0; column < 5; column++) {
        db_array_begin(params, column == 0 ? DB_ELEMENT_INT4 : column == 1 ? DB_ELEMENT_DATE : DB_ELEMENT_INT8);
        for (size_t i = 0; i < fold->tallies_count; i++) {
            const struct fold_tally *tally = &fold->tallies[i];
            db_array_int(params, column == 0 ? (int64_t)tally->app : column == 1 ? tally->day :
                column == 2 ? tally->counted : column == 3 ? tally->duplicate : tally->late);
        }
        db_array_end(params);
    }
    return rows_run(db, "store.tally",
        "INSERT INTO state.tally AS t (shard, app, day, counted, duplicate, late)"
        " SELECT $1, * FROM unnest($2::int[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[])"
        " ON CONFLICT (shard, app, day) DO UPDATE SET counted = t.counted + excluded.counted,"
        " duplicate = t.duplicate + excluded.duplicate, late = t.late + excluded.late",
        params, NULL, why);
}

static enum result write_refusals(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->refusals_count == 0)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    static const enum db_element elements[] = {DB_ELEMENT_INT4, DB_ELEMENT_DATE, DB_ELEMENT_TEXT, DB_ELEMENT_INT8};
    for (int column = 0; column < 4; column++) {
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < fold->refusals_count; i++) {
            const struct fold_refusal *refusal = &fold->refusals[i];
            const char *reason = packet_reason_name(refusal->reason);
            if (column == 2)
                db_array_bytes(params, reason, strlen(reason));
            else
                db_array_int(params, column == 0 ? (int64_t)refusal->app : column == 1 ? refusal->day : refusal->count);
        }
        db_array_end(params);
    }
    return rows_run(db, "store.refused",
        "INSERT INTO state.refused AS t (shard, app, day, reason, count)"
        " SELECT $1, app, day, reason, sum(count) FROM"
        "   unnest($2::int[], $3::date[], $4::text[], $5::bigint[]) AS w (app, day, reason, count) GROUP BY 2, 3, 4"
        " ON CONFLICT (shard, app, day, reason) DO UPDATE SET count = t.count + excluded.count",
        params, NULL, why);
}

static enum result write_node(struct db *db, const struct shard *shard, const struct shard_node *node,
    struct failure *why)
{
    struct db_params *params = rows_params(shard);
    char *applied = ranges_format(&node->applied);
    db_int8(params, (int64_t)node->node);
    db_text(params, applied);
    db_int8(params, node->watermark_ms);
    if (node->next_n < 0)
        db_null(params);
    else
        db_int8(params, node->next_n);
    db_int8(params, node->heard_ms);
    db_bool(params, node->ended);
    enum result result = rows_run(db, node->next_n < 0 ? "store.node_unsaid" : "store.node",
        "INSERT INTO state.node (shard, node, applied, watermark_ms, next_n, heard_ms, ended)"
        " VALUES ($1, $2, $3::text::int8multirange, $4, $5::bigint, $6, $7)"
        " ON CONFLICT (shard, node) DO UPDATE SET applied = excluded.applied, watermark_ms = excluded.watermark_ms,"
        " next_n = excluded.next_n, heard_ms = excluded.heard_ms, ended = excluded.ended",
        params, NULL, why);
    free(applied);
    return result;
}

static enum result write_nodes(struct db *db, const struct shard *shard, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < shard->node_count; i++) {
        if (shard->nodes[i].changed)
            result = write_node(db, shard, &shard->nodes[i], why);
    }
    return result;
}

static enum result write_epochs(struct db *db, const struct shard *shard, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < shard->app_count; i++) {
        const struct fold_app *app = &shard->apps[i];
        if (!app->epoch_changed)
            continue;
        struct db_params *params = rows_params(shard);
        db_int4(params, (int32_t)app->app);
        db_int8(params, app->epoch);
        db_int8(params, app->epoch_since_ms);
        result = rows_run(db, "store.epoch",
            "INSERT INTO state.app_epoch (shard, app, epoch, since_ms) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (shard, app) DO UPDATE SET epoch = excluded.epoch, since_ms = excluded.since_ms",
            params, NULL, why);
    }
    return result;
}

/* The offset moves first: it takes the row's lock, so that a fenced-off owner learns it before it writes anything. */
static enum result write_offset(struct db *db, const struct shard *shard, struct failure *why)
{
    struct db_params *params = rows_params(shard);
    PGresult *rows = NULL;
    db_text(params, shard->read);
    db_text(params, shard->off);
    db_int8(params, shard->token);
    enum result result = rows_run(db, "store.offset",
        "UPDATE state.shard SET off = $2 WHERE shard = $1 AND off = $3 AND token = $4 RETURNING 1", params, &rows, why);
    if (result == RESULT_OK && PQntuples(rows) != 1) {
        failure_set(why, "state.shard", "another process owns this shard now");
        result = RESULT_DENIED;
    }
    PQclear(rows);
    return result;
}

enum result store_write(struct db *db, struct shard *shard, struct failure *why)
{
    static enum result (*const parts[])(struct db *, const struct shard *, struct failure *) = {fragments_write,
        write_persons, facts_write, seen_write, write_tallies, write_refusals, write_nodes, write_epochs};
    enum result result = write_offset(db, shard, why);
    if (result == RESULT_OK)
        result = linkage_write(db, shard, why);
    for (size_t i = 0; result == RESULT_OK && i < sizeof parts / sizeof parts[0]; i++)
        result = parts[i](db, shard, why);
    return result;
}

/* Lifetimes */

struct expiry {
    struct shard *shard;
    int64_t now_ms;
};

static enum result expire_body(struct db *db, void *context, struct failure *why)
{
    const struct expiry *expiry = context;
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < expiry->shard->app_count; i++)
        result = expire_app(db, expiry->shard, &expiry->shard->apps[i], expiry->now_ms, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = rows_params(expiry->shard);
    db_int8(params, expiry->now_ms);
    return rows_run(db, "expire.node",
        "DELETE FROM state.node WHERE shard = $1 AND ended AND heard_ms < $2 - 30 * 86400000::bigint", params, NULL, why);
}

enum result store_expire(struct db *db, struct shard *shard, int64_t now_ms, struct failure *why)
{
    struct expiry expiry = {.shard = shard, .now_ms = now_ms};
    enum result result = db_transaction(db, expire_body, &expiry, why);
    for (size_t i = 0; result == RESULT_OK && i < shard->app_count; i++)
        shard->apps[i].expired = expire_mark(shard, &shard->apps[i], now_ms);
    return result;
}
