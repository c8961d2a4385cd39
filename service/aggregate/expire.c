#include "service/aggregate/expire.h"

#include "anonymizer/release/cohort.h"
#include "service/aggregate/activity.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/stage.h"

/* $1 shard, $2 app, $3 today (UTC), $4 the app's horizon in days, $5 its lateness in days, $6 importing, $7 today or the
 * watermark's day: what was received later may still be under way, and be a repetition or under an old name. Sums go 70
 * days after their release: a month's release reads 62. Those in daily_sql may look at all rows of the app. */
static const char *const daily_sql[][2] = {
    {"expire.seen",
        "DELETE FROM state.seen WHERE shard = $1 AND app = $2 AND day < $7::date - ($5::int + 2) AND NOT $6::bool"},
    {"expire.person",
        "WITH gone AS (DELETE FROM state.person WHERE shard = $1 AND app = $2 AND last_receipt < $3::date - $4::int"
        "   AND NOT $6::bool RETURNING usr),"
        " periods AS (DELETE FROM state.person_period p USING gone WHERE p.shard = $1 AND p.app = $2 AND p.usr = gone.usr),"
        " outcomes AS (DELETE FROM state.person_outcome o USING gone WHERE o.shard = $1 AND o.app = $2"
        "   AND o.usr = gone.usr),"
        " steps AS (DELETE FROM state.step s USING gone WHERE s.shard = $1 AND s.app = $2 AND s.usr = gone.usr),"
        " months AS (DELETE FROM state.person_month m USING gone WHERE m.shard = $1 AND m.app = $2 AND m.usr = gone.usr)"
        " INSERT INTO subject.expired AS e (shard, app, day, people) SELECT $1, $2, $3, count(*) FROM gone HAVING count(*) > 0"
        " ON CONFLICT (shard, app, day) DO UPDATE SET people = e.people + excluded.people"},
    {"expire.alias", "DELETE FROM state.alias WHERE shard = $1 AND app = $2 AND dies_on < $7"},
    /* Names of entities: nobody reads them once the period that ends with this day is released. */
    {"expire.entity_day",
        "DELETE FROM state.entity WHERE shard = $1 AND app = $2 AND interval = 'day'"
        " AND period < (SELECT activity_through FROM release.progress WHERE app = $2) - 7"},
    {"expire.entity_week",
        "DELETE FROM state.entity WHERE shard = $1 AND app = $2 AND interval = 'week'"
        " AND period < (SELECT activity_through FROM release.progress WHERE app = $2) - 7 - 6"},
    {"expire.entity_month",
        "DELETE FROM state.entity WHERE shard = $1 AND app = $2 AND interval = 'month' AND period <"
        " (SELECT date_trunc('month', (activity_through - 7)::timestamp)::date FROM release.progress WHERE app = $2)"},
};

static const char *const expire_sql[][2] = {
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
    {"expire.cell",
        "DELETE FROM state.cell WHERE shard = $1 AND app = $2"
        " AND due < (SELECT sessions_through FROM release.progress WHERE app = $2) - 70"},
};

/* $3: the first month of which days are looked at when the next day is closed; of each person's months before, the last one
 * stays, as a month without days: it tells when a cohort's persons were last active (cohorts.c). $4: the last closed day: what
 * is open may go on. $5: months before it are beyond the horizon, or told by nothing. */
static const char *const months_sql[][2] = {
    {"expire.month",
        "DELETE FROM state.person_month m WHERE m.shard = $1 AND m.app = $2 AND m.month < $3 AND (m.month < $5 OR EXISTS"
        "   (SELECT FROM state.person_month l WHERE l.shard = $1 AND l.app = $2 AND l.usr = m.usr AND l.month > m.month"
        "   AND l.month <= $4))"},
    {"expire.month_days",
        "UPDATE state.person_month SET days = 1 WHERE shard = $1 AND app = $2 AND month < $3 AND days <> 1"},
};

/* The first month that closing the next day may look at; FOLD_NO_DAY if none was closed. */
static int32_t first_month(int32_t activity_through)
{
    int32_t length;
    return activity_through == FOLD_NO_DAY ? FOLD_NO_DAY :
        stage_month(activity_through + 1 - ACTIVITY_LOOK_BACK_DAYS, &length);
}

static enum result run_all(struct db *db, const char *const sql[][2], size_t count, const struct db_params *params,
    struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < count; i++)
        result = db_run(db, sql[i][0], sql[i][1], params, NULL, why);
    return result;
}

/* Once a month: it looks at all months of the app. */
static enum result drop_months(struct db *db, const struct shard *shard, const struct fold_app *app, struct failure *why)
{
    int32_t first = first_month(app->activity_through);
    if (first == first_month(app->expired.through))
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app->app);
    db_date(params, first);
    db_date(params, app->activity_through);
    db_date(params, cohort_matures(app->definition) ? app->activity_through - (int32_t)app->definition->horizon_days - 31 :
        first);
    enum result result = run_all(db, months_sql, sizeof months_sql / sizeof months_sql[0], params, why);
    db_params_free(params);
    return result;
}

struct fold_expired expire_mark(const struct shard *shard, const struct fold_app *app, int64_t now_ms)
{
    int64_t watermark_ms = shard_watermark(shard);
    bool behind = watermark_ms != INT64_MIN && watermark_ms < now_ms;
    return (struct fold_expired){.through = app->activity_through, .today = (int32_t)(now_ms / 86400000),
        .reached = (int32_t)((behind ? watermark_ms : now_ms) / 86400000)};
}

enum result expire_app(struct db *db, const struct shard *shard, const struct fold_app *app, int64_t now_ms,
    struct failure *why)
{
    struct fold_expired now = expire_mark(shard, app, now_ms);
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app->app);
    db_date(params, now.today);
    db_int4(params, (int32_t)app->definition->horizon_days);
    db_int4(params, (int32_t)(app->definition->lateness_ms / 86400000) + 1);
    db_bool(params, app->definition->mode == APP_MODE_IMPORTING);
    db_date(params, now.reached);
    enum result result = RESULT_OK;
    if (now.today != app->expired.today || now.reached != app->expired.reached)
        result = run_all(db, daily_sql, sizeof daily_sql / sizeof daily_sql[0], params, why);
    if (result == RESULT_OK)
        result = run_all(db, expire_sql, sizeof expire_sql / sizeof expire_sql[0], params, why);
    db_params_free(params);
    return result == RESULT_OK ? drop_months(db, shard, app, why) : result;
}
