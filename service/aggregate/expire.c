#include "service/aggregate/expire.h"

#include "service/aggregate/rows.h"
#include "service/base/clock.h"

/* $1 shard, $2 app, $3 today (UTC), $4 the app's horizon in days, $5 its lateness in days, $6 importing, $7 today or the
 * watermark's day: what was received later may still be under way, and be a repetition or under an old name. Sums go 70
 * days after their release: a month's release reads 62. */
static const char *const expire_sql[][2] = {
    {"expire.seen",
        "DELETE FROM state.seen WHERE shard = $1 AND app = $2 AND day < $7::date - ($5::int + 2) AND NOT $6::bool"},
    {"expire.alias", "DELETE FROM state.alias WHERE shard = $1 AND app = $2 AND dies_on < $7"},
    {"expire.person",
        "WITH gone AS (DELETE FROM state.person WHERE shard = $1 AND app = $2 AND last_receipt < $3::date - $4::int"
        "   AND NOT $6::bool RETURNING usr),"
        " periods AS (DELETE FROM state.person_period p USING gone WHERE p.shard = $1 AND p.app = $2 AND p.usr = gone.usr),"
        " outcomes AS (DELETE FROM state.person_outcome o USING gone WHERE o.shard = $1 AND o.app = $2"
        "   AND o.usr = gone.usr),"
        " steps AS (DELETE FROM state.step s USING gone WHERE s.shard = $1 AND s.app = $2 AND s.usr = gone.usr)"
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
    {"expire.cell",
        "DELETE FROM state.cell WHERE shard = $1 AND app = $2"
        " AND due < (SELECT sessions_through FROM release.progress WHERE app = $2) - 70"},
    /* Names of entities: nobody reads them once the period that ends with this day is released. */
    {"expire.entity",
        "DELETE FROM state.entity WHERE shard = $1 AND app = $2"
        " AND CASE interval WHEN 'day' THEN period WHEN 'week' THEN period + 6"
        "   ELSE (period + interval '1 month')::date - 1 END"
        "   < (SELECT activity_through FROM release.progress WHERE app = $2) - 7"},
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

enum result expire_app(struct db *db, const struct shard *shard, const struct fold_app *app, int64_t now_ms,
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
