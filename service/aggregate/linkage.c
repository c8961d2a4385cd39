#include "service/aggregate/linkage.h"

#include <assert.h>
#include <stdlib.h>

#include "service/aggregate/facts.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/weeks.h"

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

#define LINKS \
    "WITH w AS (SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)),"

/* $1 shard, $2 apps, $3 old names, $4 present names, $5 days on which the aliases die; null: no alias. */
static const char *const link_sql[][2] = {
    {"link.person",
        LINKS " gone AS (DELETE FROM state.person p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.first_day, p.last_receipt)"
        " INSERT INTO state.person AS p (shard, app, usr, first_day, last_receipt)"
        " SELECT $1, app, usr, min(first_day), max(last_receipt) FROM gone GROUP BY app, usr"
        " ON CONFLICT (shard, app, usr) DO UPDATE SET first_day = least(p.first_day, excluded.first_day),"
        " last_receipt = greatest(p.last_receipt, excluded.last_receipt)"},
    {"link.person_month",
        LINKS " gone AS (DELETE FROM state.person_month p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.month, p.days)"
        " INSERT INTO state.person_month AS p (shard, app, usr, month, days)"
        " SELECT $1, app, usr, month, bit_or(days) FROM gone GROUP BY app, usr, month"
        " ON CONFLICT (shard, app, usr, month) DO UPDATE SET days = p.days | excluded.days"},
    {"link.person_day",
        LINKS " gone AS (DELETE FROM state.person_day p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.day, p.events, p.views, p.marks)"
        " INSERT INTO state.person_day AS p (shard, app, usr, day, events, views, marks)"
        " SELECT $1, app, usr, day, least(sum(events), 2147483647), least(sum(views), 2147483647), bit_or(marks)"
        " FROM gone GROUP BY app, usr, day ON CONFLICT (shard, app, day, usr) DO UPDATE SET"
        " events = least(p.events::bigint + excluded.events, 2147483647)::int,"
        " views = least(p.views::bigint + excluded.views, 2147483647)::int,"
        " marks = coalesce(p.marks | excluded.marks, p.marks, excluded.marks)"},
    {"link.person_period",
        LINKS " gone AS (DELETE FROM state.person_period p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.interval, p.period, p.marks, p.sessions, p.engaged, p.first_ms, p.first_bin,"
        "   p.goal_bits)"
        " INSERT INTO state.person_period AS p (shard, app, usr, interval, period, marks, sessions, engaged, first_ms,"
        " first_bin, goal_bits)"
        " SELECT $1, app, usr, interval, period, bit_or(marks), sum(sessions), sum(engaged), min(first_ms),"
        " (array_agg(first_bin ORDER BY first_ms, first_bin))[1], bit_or(goal_bits) FROM gone"
        " GROUP BY app, usr, interval, period"
        " ON CONFLICT (shard, app, usr, interval, period) DO UPDATE SET " WEEKS_ADD_PERIOD},
    {"link.step",
        "UPDATE state.step s SET usr = w.usr"
        " FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)"
        " WHERE s.shard = $1 AND s.app = w.app AND s.usr = w.old"},
    {"link.person_measure",
        LINKS " gone AS (DELETE FROM state.person_measure p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.day, p.measure, p.bin, p.count, p.sum, p.most, p.last_ms, p.last)"
        " INSERT INTO state.person_measure AS p (shard, app, usr, day, measure, bin, count, sum, most, last_ms, last)"
        " SELECT $1, app, usr, day, measure, bin, sum(count), sum(sum), max(most), max(last_ms),"
        " (array_agg(last ORDER BY last_ms DESC, last DESC))[1] FROM gone GROUP BY app, usr, day, measure, bin"
        " ON CONFLICT (shard, app, day, usr, measure, bin) DO UPDATE SET " FACTS_ADD_SAMPLES},
    {"link.person_outcome",
        LINKS " gone AS (DELETE FROM state.person_outcome p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.month, p.measure, p.count, p.sum, p.most, p.last_ms, p.last)"
        " INSERT INTO state.person_outcome AS p (shard, app, usr, month, measure, count, sum, most, last_ms, last)"
        " SELECT $1, app, usr, month, measure, sum(count), sum(sum), max(most), max(last_ms),"
        " (array_agg(last ORDER BY last_ms DESC, last DESC))[1] FROM gone GROUP BY app, usr, month, measure"
        " ON CONFLICT (shard, app, usr, month, measure) DO UPDATE SET " FACTS_ADD_SAMPLES},
    {"link.person_entity",
        LINKS " gone AS (DELETE FROM state.person_entity p USING w WHERE p.shard = $1 AND p.app = w.app AND p.usr = w.old"
        "   RETURNING w.app, w.usr, p.day, p.class, p.entity)"
        " INSERT INTO state.person_entity (shard, app, usr, day, class, entity)"
        " SELECT DISTINCT $1, app, usr, day, class, entity FROM gone ON CONFLICT DO NOTHING"},
    {"link.fragment",
        "UPDATE state.fragment f SET usr = w.usr"
        " FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::date[]) AS w (app, old, usr, dies)"
        " WHERE f.shard = $1 AND f.app = w.app AND f.usr = w.old"},
    {"link.carry",
        LINKS " gone AS (DELETE FROM state.carry c USING w WHERE c.shard = $1 AND c.app = w.app AND c.usr = w.old"
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

enum result linkage_write(struct db *db, struct shard *shard, struct failure *why)
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
