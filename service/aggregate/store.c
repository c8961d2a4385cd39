#include "service/aggregate/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/rows.h"
#include "service/base/clock.h"

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
            .folded_through = FOLD_NO_DAY, .epoch = -1};
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
            app->folded_through = last->folded_through;
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

static enum result look_up_sources(struct db *db, struct shard *shard, struct failure *why)
{
    struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = fold->sources_loaded; i < fold->sources_count; i++) {
        db_array_int(params, fold->sources[i].app);
        if (fold->sources[i].has_before)
            db_array_int(params, fold->sources[i].app);
    }
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = fold->sources_loaded; i < fold->sources_count; i++) {
        rows_add_name(params, &fold->sources[i].name);
        if (fold->sources[i].has_before)
            rows_add_name(params, &fold->sources[i].before);
    }
    db_array_end(params);
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.seen",
        "SELECT s.app, s.source, s.seqs::text FROM unnest($2::int[], $3::bytea[]) AS w (app, source)"
        " JOIN state.seen s ON s.shard = $1 AND s.app = w.app AND s.source = w.source",
        params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct pseudonym name = rows_get_name(rows, i, 1);
        uint32_t at = table_find(&fold->table, (uint32_t)db_get_int4(rows, i, 0), TABLE_SOURCE, &name);
        assert(at != TABLE_NONE);
        result = ranges_parse(&fold->sources[at].known, db_get_text(rows, i, 2));
    }
    PQclear(rows);
    if (result == RESULT_OK)
        fold->sources_loaded = fold->sources_count;
    return result;
}

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
        result = look_up_sources(db, shard, why);
    if (result == RESULT_OK && shard->fold.strangers_loaded < shard->fold.strangers_count)
        result = look_up_strangers(db, shard, why);
    return result;
}

/* Linking epochs */

/* Users that came under a new name and whose rows may still stand under an old one. */
static enum result find_unlinked(struct db *db, struct shard *shard, bool *linked, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < fold->users_count; i++)
        db_array_int(params, fold->users[i].app);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < fold->users_count; i++)
        rows_add_name(params, &fold->users[i].name);
    db_array_end(params);
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.unlinked",
        "SELECT p.app, p.usr FROM unnest($2::int[], $3::bytea[]) AS w (app, usr)"
        " JOIN state.person p ON p.shard = $1 AND p.app = w.app AND p.usr = w.usr",
        params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct pseudonym name = rows_get_name(rows, i, 1);
        uint32_t at = fold_find_user(fold, (uint32_t)db_get_int4(rows, i, 0), &name);
        if (at != FOLD_NONE)
            linked[at] = true;
    }
    PQclear(rows);
    return result;
}

/* $1 shard, $2 apps, $3 old names, $4 present names, $5 days on which the aliases die; null: no alias. */
static const char *const link_sql[][2] = {
    {"link.person",
        "WITH w AS (SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)),"
        " gone AS (DELETE FROM state.person p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.first_day, p.last_receipt)"
        " INSERT INTO state.person AS p (shard, app, usr, first_day, last_receipt)"
        " SELECT $1, app, usr, min(first_day), max(last_receipt) FROM gone GROUP BY app, usr"
        " ON CONFLICT (shard, app, usr) DO UPDATE SET first_day = least(p.first_day, excluded.first_day),"
        " last_receipt = greatest(p.last_receipt, excluded.last_receipt)"},
    {"link.person_month",
        "WITH w AS (SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)),"
        " gone AS (DELETE FROM state.person_month p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.month, p.days)"
        " INSERT INTO state.person_month AS p (shard, app, usr, month, days)"
        " SELECT $1, app, usr, month, bit_or(days) FROM gone GROUP BY app, usr, month"
        " ON CONFLICT (shard, app, usr, month) DO UPDATE SET days = p.days | excluded.days"},
    {"link.person_day",
        "WITH w AS (SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)),"
        " gone AS (DELETE FROM state.person_day p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.day, p.events, p.views)"
        " INSERT INTO state.person_day AS p (shard, app, usr, day, events, views)"
        " SELECT $1, app, usr, day, sum(events), sum(views) FROM gone GROUP BY app, usr, day"
        " ON CONFLICT (shard, app, day, usr) DO UPDATE SET events = p.events + excluded.events,"
        " views = p.views + excluded.views"},
    {"link.fragment",
        "UPDATE state.fragment f SET usr = w.usr"
        " FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)"
        " WHERE f.shard = $1 AND f.app = w.app AND f.usr = w.old"},
    {"link.carry",
        "WITH w AS (SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)),"
        " gone AS (DELETE FROM state.carry c USING w WHERE c.shard = $1 AND c.app = w.app AND c.usr = w.old"
        "   RETURNING w.app, w.usr, c.session, c.session_before, c.until_ms)"
        " INSERT INTO state.carry AS c (shard, app, usr, session, session_before, until_ms)"
        " SELECT DISTINCT ON (app, usr, session) $1, app, usr, session, session_before, until_ms FROM gone"
        " ORDER BY app, usr, session, until_ms DESC ON CONFLICT (shard, app, usr, session)"
        " DO UPDATE SET until_ms = greatest(c.until_ms, excluded.until_ms)"},
    {"link.forward",
        "UPDATE state.alias a SET usr = w.usr"
        " FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)"
        " WHERE a.shard = $1 AND a.app = w.app AND a.usr = w.old"},
    {"link.alias",
        "INSERT INTO state.alias AS a (shard, app, old, usr, dies_on)"
        " SELECT DISTINCT ON (app, old) $1, app, old, usr, dies"
        " FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)"
        " WHERE dies IS NOT NULL"
        " ON CONFLICT (shard, app, old) DO UPDATE SET usr = excluded.usr, dies_on = excluded.dies_on"},
};

/* Append the day on which user's aliases die: by receipt, as packets with old names are refused, not by the clock. */
static void add_death(struct db_params *params, struct shard *shard, const struct fold_user *user)
{
    const struct fold_app *app = shard_find_app(shard, user->app);
    int32_t day = app == NULL ? 0 : (int32_t)(app->epoch_since_ms / 86400000) + FOLD_ALIAS_DAYS;
    if (user->last_receipt_day > day)
        db_array_bytes(params, NULL, 0);
    else
        db_array_int(params, day);
}

/* The list of links: one for every old name of a user who has no row under the present one. */
static struct db_params *link_params(struct shard *shard, const bool *linked, size_t *count)
{
    const struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    *count = 0;
    for (int column = 0; column < 4; column++) {
        static const enum db_element elements[] = {DB_ELEMENT_INT4, DB_ELEMENT_BYTEA, DB_ELEMENT_BYTEA,
            DB_ELEMENT_DATE};
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < fold->users_count; i++) {
            const struct fold_user *user = &fold->users[i];
            for (size_t j = 0; !linked[i] && !user->anonymous && j < user->older; j++) {
                if (column == 0)
                    db_array_int(params, user->app);
                else if (column == 3)
                    add_death(params, shard, user);
                else
                    rows_add_name(params, column == 1 ? &user->old[j] : &user->name);
                *count += column == 0 ? 1 : 0;
            }
        }
        db_array_end(params);
    }
    return params;
}

static enum result link_users(struct db *db, struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    bool any = false;
    for (size_t i = 0; i < fold->users_count; i++)
        any = any || fold->users[i].older > 0;
    if (!any)
        return RESULT_OK;
    bool *linked = calloc(fold->users_count, sizeof *linked);
    assert(linked != NULL);
    enum result result = find_unlinked(db, shard, linked, why);
    size_t count = 0;
    struct db_params *params = link_params(shard, linked, &count);
    for (size_t i = 0; result == RESULT_OK && count > 0 && i < sizeof link_sql / sizeof link_sql[0]; i++)
        result = db_run(db, link_sql[i][0], link_sql[i][1], params, NULL, why);
    db_params_free(params);
    free(linked);
    return result;
}

/* Fragments: read and remove what stands in the hours touched, merge, write back. */

static int by_user(const void *left, const void *right)
{
    const struct fold_fragment *a = left;
    const struct fold_fragment *b = right;
    return (a->user > b->user) - (a->user < b->user);
}

static struct db_params *touched_hours(const struct shard *shard)
{
    const struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < fold->fragments_count; i++)
        db_array_int(params, fold->users[fold->fragments[i].user].app);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < fold->fragments_count; i++)
        rows_add_name(params, &fold->users[fold->fragments[i].user].name);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_INT8);
    for (size_t i = 0; i < fold->fragments_count; i++) {
        int64_t start = fold->fragments[i].piece.start_ms;
        db_array_int(params, start - start % SESSION_HOUR_MS);
    }
    db_array_end(params);
    return params;
}

/* Take the rows of the touched hours out of the table; *all is the fold's fragments and theirs, owned by the caller. */
static enum result collect_fragments(struct db *db, struct shard *shard, struct fold_fragment **all, size_t *count,
    struct failure *why)
{
    const struct fold *fold = &shard->fold;
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.take_fragments",
        "DELETE FROM state.fragment f USING (SELECT DISTINCT app, usr, hour FROM"
        "   unnest($2::int[], $3::bytea[], $4::bigint[]) AS u (app, usr, hour)) w"
        " WHERE f.shard = $1 AND f.app = w.app AND f.usr = w.usr AND f.start_ms >= w.hour AND f.start_ms < w.hour + 3600000"
        " RETURNING f.app, f.usr, session, session_before, start_ms, end_ms, events, views, goals, engaged_ms",
        touched_hours(shard), &rows, why);
    if (result != RESULT_OK)
        return result;
    size_t stored = (size_t)PQntuples(rows);
    *all = calloc(fold->fragments_count + stored + 1, sizeof **all);
    assert(*all != NULL);
    if (fold->fragments_count > 0)
        memcpy(*all, fold->fragments, fold->fragments_count * sizeof **all);
    *count = fold->fragments_count;
    for (int i = 0; i < (int)stored; i++) {
        struct pseudonym name = rows_get_name(rows, i, 1);
        uint32_t user = fold_find_user(fold, (uint32_t)db_get_int4(rows, i, 0), &name);
        assert(user != FOLD_NONE);
        (*all)[(*count)++] = (struct fold_fragment){.user = user, .piece = rows_get_fragment(rows, i, 2)};
    }
    PQclear(rows);
    return RESULT_OK;
}

/* Merge the fragments of each user in place; returns how many are left. */
static size_t merge_fragments(struct shard *shard, struct fold_fragment *all, size_t count)
{
    qsort(all, count, sizeof *all, by_user);
    struct session_fragment *pieces = calloc(count + 1, sizeof *pieces);
    assert(pieces != NULL);
    size_t kept = 0;
    for (size_t i = 0; i < count;) {
        size_t mine = 0;
        uint32_t user = all[i].user;
        for (; i < count && all[i].user == user; i++)
            pieces[mine++] = all[i].piece;
        const struct fold_app *app = shard_find_app(shard, shard->fold.users[user].app);
        mine = session_merge(pieces, mine, app == NULL ? 0 : app->definition->session_timeout_ms);
        for (size_t j = 0; j < mine; j++)
            all[kept++] = (struct fold_fragment){.user = user, .piece = pieces[j]};
    }
    free(pieces);
    return kept;
}

enum fragment_column { COLUMN_START, COLUMN_END, COLUMN_EVENTS, COLUMN_VIEWS, COLUMN_GOALS, COLUMN_ENGAGED };

static int64_t fragment_number(const struct session_fragment *piece, enum fragment_column column)
{
    switch (column) {
    case COLUMN_START:
        return piece->start_ms;
    case COLUMN_END:
        return piece->end_ms;
    case COLUMN_EVENTS:
        return piece->events;
    case COLUMN_VIEWS:
        return piece->views;
    case COLUMN_GOALS:
        return piece->goals;
    case COLUMN_ENGAGED:
        return piece->engaged_ms;
    }
    return 0;
}

static enum result put_fragments(struct db *db, const struct shard *shard, const struct fold_fragment *all, size_t count,
    struct failure *why)
{
    const struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < count; i++)
        db_array_int(params, fold->users[all[i].user].app);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        rows_add_name(params, &fold->users[all[i].user].name);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, all[i].piece.name.bytes, all[i].piece.named ? PSEUDONYM_BYTES : 0);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, all[i].piece.named_before ? all[i].piece.name_before.bytes : NULL, PSEUDONYM_BYTES);
    db_array_end(params);
    for (enum fragment_column column = COLUMN_START; column <= COLUMN_ENGAGED; column++) {
        bool wide = column == COLUMN_START || column == COLUMN_END || column == COLUMN_ENGAGED;
        db_array_begin(params, wide ? DB_ELEMENT_INT8 : DB_ELEMENT_INT4);
        for (size_t i = 0; i < count; i++)
            db_array_int(params, fragment_number(&all[i].piece, column));
        db_array_end(params);
    }
    return rows_run(db, "store.put_fragments",
        "INSERT INTO state.fragment (shard, app, usr, session, session_before, start_ms, end_ms, events, views, goals,"
        " engaged_ms) SELECT $1, * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[],"
        " $7::bigint[], $8::int[], $9::int[], $10::int[], $11::bigint[]) AS w (app, usr, session, before, start_ms, end_ms,"
        " events, views, goals, engaged_ms) ORDER BY app, usr, start_ms",
        params, NULL, why);
}

static enum result write_fragments(struct db *db, struct shard *shard, struct failure *why)
{
    if (shard->fold.fragments_count == 0)
        return RESULT_OK;
    struct fold_fragment *all = NULL;
    size_t count = 0;
    enum result result = collect_fragments(db, shard, &all, &count, why);
    if (result != RESULT_OK)
        return result;
    count = merge_fragments(shard, all, count);
    result = put_fragments(db, shard, all, count, why);
    free(all);
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
        " ON CONFLICT (shard, app, day, usr) DO UPDATE SET events = p.events + excluded.events,"
        " views = p.views + excluded.views"},
};

static enum result write_persons(struct db *db, const struct shard *shard, struct failure *why)
{
    size_t count;
    struct db_params *params = day_params(shard, false, &count);
    enum result result = RESULT_OK;
    for (size_t i = 0; count > 0 && result == RESULT_OK && i < sizeof person_sql / sizeof person_sql[0]; i++)
        result = db_run(db, person_sql[i][0], person_sql[i][1], params, NULL, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    params = day_params(shard, true, &count);
    if (count > 0)
        result = db_run(db, "store.visitor_day",
            "INSERT INTO state.visitor_day AS v (shard, app, visitor, day, events)"
            " SELECT $1, app, usr, day, events FROM " DAYS
            " ON CONFLICT (shard, app, day, visitor) DO UPDATE SET events = v.events + excluded.events",
            params, NULL, why);
    db_params_free(params);
    return result;
}

/* Sources, the account, nodes, epochs */

static void add_seen_names(struct db_params *params, const struct fold *fold)
{
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        if (source->added.count > 0) {
            rows_add_name(params, &source->name);
            if (source->has_before)
                rows_add_name(params, &source->before);
        }
    }
    db_array_end(params);
}

static void add_seen_numbers(struct db_params *params, const struct fold *fold, bool day)
{
    db_array_begin(params, day ? DB_ELEMENT_DATE : DB_ELEMENT_INT4);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        for (int names = source->added.count == 0 ? 0 : source->has_before ? 2 : 1; names > 0; names--)
            db_array_int(params, day ? (int64_t)source->receipt_day : (int64_t)source->app);
    }
    db_array_end(params);
}

static void add_seen_ranges(struct db_params *params, const struct fold *fold)
{
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        if (source->added.count == 0)
            continue;
        char *text = ranges_format(&source->added);
        for (int names = source->has_before ? 2 : 1; names > 0; names--)
            db_array_bytes(params, text, strlen(text));
        free(text);
    }
    db_array_end(params);
}

static enum result write_seen(struct db *db, const struct shard *shard, struct failure *why)
{
    if (shard->fold.sources_count == 0)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    add_seen_numbers(params, &shard->fold, false);
    add_seen_names(params, &shard->fold);
    add_seen_numbers(params, &shard->fold, true);
    add_seen_ranges(params, &shard->fold);
    return rows_run(db, "store.put_seen",
        "INSERT INTO state.seen AS s (shard, app, source, day, seqs)"
        " SELECT $1, app, source, day, range_agg(seqs::int8multirange)"
        " FROM unnest($2::int[], $3::bytea[], $4::date[], $5::text[]) AS w (app, source, day, seqs)"
        " GROUP BY app, source, day ORDER BY app, source, day"
        " ON CONFLICT (shard, app, source, day) DO UPDATE SET seqs = s.seqs + excluded.seqs",
        params, NULL, why);
}

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
    static enum result (*const before[])(struct db *, struct shard *, struct failure *) = {link_users, write_fragments};
    static enum result (*const after[])(struct db *, const struct shard *, struct failure *) = {write_persons,
        write_seen, write_tallies, write_refusals, write_nodes, write_epochs};
    enum result result = write_offset(db, shard, why);
    for (size_t i = 0; result == RESULT_OK && i < sizeof before / sizeof before[0]; i++)
        result = before[i](db, shard, why);
    for (size_t i = 0; result == RESULT_OK && i < sizeof after / sizeof after[0]; i++)
        result = after[i](db, shard, why);
    return result;
}

/* Control packets */

/* The names in the packet, and those to which the person's rows moved since the packet was made. */
#define ERASED "WHERE shard = $1 AND app = $2 AND usr = ANY ($3 || ARRAY(SELECT usr FROM state.alias" \
               " WHERE shard = $1 AND app = $2 AND old = ANY ($3)))"

enum result store_erase(struct db *db, struct shard *shard, const struct packet_erase *erase, struct failure *why)
{
    static const char *const statements[][2] = {
        {"erase.fragment", "DELETE FROM state.fragment " ERASED},
        {"erase.carry", "DELETE FROM state.carry " ERASED},
        {"erase.day", "DELETE FROM state.person_day " ERASED},
        {"erase.month", "DELETE FROM state.person_month " ERASED},
        {"erase.person", "DELETE FROM state.person " ERASED},
        {"erase.alias", "DELETE FROM state.alias " ERASED},
    };
    if (erase->kind == PACKET_ACCESS)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)erase->app);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < erase->names; i++)
        rows_add_name(params, &erase->name[i]);
    db_array_end(params);
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < sizeof statements / sizeof statements[0]; i++)
        result = db_run(db, statements[i][0], statements[i][1], params, NULL, why);
    db_params_free(params);
    return result;
}

enum result store_purge(struct db *db, struct shard *shard, uint32_t app, struct failure *why)
{
    static const char *const statements[][2] = {
        {"purge.fragment", "DELETE FROM state.fragment WHERE shard = $1 AND app = $2"},
        {"purge.carry", "DELETE FROM state.carry WHERE shard = $1 AND app = $2"},
        {"purge.day", "DELETE FROM state.person_day WHERE shard = $1 AND app = $2"},
        {"purge.visitor", "DELETE FROM state.visitor_day WHERE shard = $1 AND app = $2"},
        {"purge.month", "DELETE FROM state.person_month WHERE shard = $1 AND app = $2"},
        {"purge.person", "DELETE FROM state.person WHERE shard = $1 AND app = $2"},
        {"purge.seen", "DELETE FROM state.seen WHERE shard = $1 AND app = $2"},
        {"purge.alias", "DELETE FROM state.alias WHERE shard = $1 AND app = $2"},
    };
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < sizeof statements / sizeof statements[0]; i++) {
        struct db_params *params = rows_params(shard);
        db_int4(params, (int32_t)app);
        result = rows_run(db, statements[i][0], statements[i][1], params, NULL, why);
    }
    return result;
}

/* Lifetimes */

/* $1 shard, $2 app, $3 today (UTC), $4 the app's horizon in days, $5 its lateness in days, $6 importing, $7 today or the
 * watermark's day: what was received later may still be under way, and be a repetition or under an old name. Sums go 70
 * days after their release: a month's release reads 62. */
static const char *const expire_sql[][2] = {
    {"expire.seen",
        "DELETE FROM state.seen WHERE shard = $1 AND app = $2 AND day < $7::date - ($5::int + 2) AND NOT $6::bool"},
    {"expire.alias", "DELETE FROM state.alias WHERE shard = $1 AND app = $2 AND dies_on < $7"},
    {"expire.person",
        "WITH gone AS (DELETE FROM state.person WHERE shard = $1 AND app = $2 AND last_receipt < $3::date - $4::int"
        "   AND NOT $6::bool RETURNING usr)"
        " DELETE FROM state.person_month m USING gone WHERE m.shard = $1 AND m.app = $2 AND m.usr = gone.usr"},
    {"expire.tally", "DELETE FROM state.tally WHERE shard = $1 AND app = $2 AND day < $3::date - $4::int"},
    {"expire.refused", "DELETE FROM state.refused WHERE shard = $1 AND app IN ($2, 0) AND day < $3::date - $4::int"},
    {"expire.triple",
        "DELETE FROM state.triple WHERE shard = $1 AND app = $2"
        " AND day < (SELECT activity_through FROM release.progress WHERE app = $2) - 70"},
    {"expire.day_sum",
        "DELETE FROM state.day_sum WHERE shard = $1 AND app = $2"
        " AND day < (SELECT activity_through FROM release.progress WHERE app = $2) - 70"},
    {"expire.session_sum",
        "DELETE FROM state.session_sum WHERE shard = $1 AND app = $2"
        " AND day < (SELECT sessions_through FROM release.progress WHERE app = $2) - 70"},
};

/* Active days fold: in months that ended 35 days before the last closed day, one day an ISO week is kept, the first; in
 * those that ended 98 days before, one a month. x & -x is the lowest bit of x. $3: month, $4: masks of its weeks. */
#define KEPT "(SELECT bit_or((days & m) & -(days & m)) FROM unnest($4::int[]) AS m)"
static const char *const fold_sql[][2] = {
    {"expire.fold_weeks",
        "UPDATE state.person_month SET days = " KEPT " WHERE shard = $1 AND app = $2 AND month = $3 AND days <> " KEPT},
    {"expire.fold_months",
        "UPDATE state.person_month SET days = " KEPT " WHERE shard = $1 AND app = $2 AND month <= $3 AND days <> " KEPT},
    {"expire.month", "DELETE FROM state.person_month WHERE shard = $1 AND app = $2 AND month < $3"},
};

enum fold_rule { FOLD_WEEKS, FOLD_MONTHS, FOLD_AWAY };

/* Append masks of the bits of the days of month (its first day) that lie in one ISO week each. */
static void add_week_masks(struct db_params *params, int32_t month, int32_t length)
{
    int32_t mask = 0;
    for (int32_t day = 0; day < length; day++) {
        mask |= (int32_t)(1u << day);
        /* 1970-01-01 was a Thursday: weeks begin where (day + 3) mod 7 is 0. */
        if ((month + day + 4) % 7 != 0 && day != length - 1)
            continue;
        db_array_int(params, mask);
        mask = 0;
    }
}

static enum result fold_month(struct db *db, const struct shard *shard, uint32_t app, int32_t month, int32_t length,
    enum fold_rule rule, struct failure *why)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app);
    db_date(params, month);
    if (rule != FOLD_AWAY) {
        db_array_begin(params, DB_ELEMENT_INT4);
        if (rule == FOLD_WEEKS)
            add_week_masks(params, month, length);
        else
            db_array_int(params, INT32_MAX);
        db_array_end(params);
    }
    return rows_run(db, fold_sql[rule][0], fold_sql[rule][1], params, NULL, why);
}

static int32_t month_before(int32_t day, int32_t *length)
{
    int year;
    unsigned month;
    unsigned date;
    clock_civil_from_days(day, &year, &month, &date);
    int32_t next = clock_days_from_civil(year, month, 1);
    clock_civil_from_days(next - 1, &year, &month, &date);
    *length = (int32_t)date;
    return next - (int32_t)date;
}

/* Once after each close: every statement looks at all months of the app. Three months end within 35 to 98 days. */
static enum result fold_days(struct db *db, const struct shard *shard, const struct fold_app *app, struct failure *why)
{
    if (app->activity_through == FOLD_NO_DAY || app->activity_through == app->folded_through)
        return RESULT_OK;
    int32_t length = 0;
    int32_t month = month_before(app->activity_through - 98, &length);
    enum result result = fold_month(db, shard, app->app, month, length, FOLD_MONTHS, why);
    month = app->activity_through - 35;
    for (int i = 0; result == RESULT_OK && i < 3; i++) {
        month = month_before(month, &length);
        result = fold_month(db, shard, app->app, month, length, FOLD_WEEKS, why);
    }
    if (result == RESULT_OK)
        result = fold_month(db, shard, app->app,
            app->activity_through - (int32_t)app->definition->horizon_days - 31, 0, FOLD_AWAY, why);
    return result;
}

struct expiry {
    struct shard *shard;
    int64_t now_ms;
};

static enum result expire_app(struct db *db, const struct shard *shard, const struct fold_app *app, int64_t now_ms,
    struct failure *why)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app->app);
    db_date(params, (int32_t)(now_ms / 86400000));
    db_int4(params, (int32_t)app->definition->horizon_days);
    db_int4(params, (int32_t)(app->definition->lateness_ms / 86400000) + 1);
    db_bool(params, app->definition->mode == APP_MODE_IMPORTING);
    int64_t watermark_ms = shard_watermark(shard);
    bool behind = watermark_ms != INT64_MIN && watermark_ms < now_ms;
    db_date(params, (int32_t)((behind ? watermark_ms : now_ms) / 86400000));
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < sizeof expire_sql / sizeof expire_sql[0]; i++)
        result = db_run(db, expire_sql[i][0], expire_sql[i][1], params, NULL, why);
    db_params_free(params);
    return result == RESULT_OK ? fold_days(db, shard, app, why) : result;
}

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
        shard->apps[i].folded_through = shard->apps[i].activity_through;
    return result;
}
