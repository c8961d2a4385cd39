#include "service/aggregate/samples.h"

#include "anonymizer/release/family.h"

#define BIGGEST "9223372036854775807"

/* Months of the measures in $5. Before the days go. Only the shard's owner writes here: what is not there now will not be
 * there when it is inserted. */
static const char fold_sql[] =
    "WITH w AS MATERIALIZED (SELECT usr, date_trunc('month', day)::date AS month, measure, sum(count)::bigint AS count,"
    "     least(sum(sum), " BIGGEST ")::bigint AS sum, max(most) AS most, max(last_ms) AS last_ms,"
    "     (max(ARRAY[last_ms, last]))[2] AS last FROM state.person_measure"
    "   WHERE shard = $1 AND app = $2 AND day <= $4 AND measure = ANY ($5::int[]) GROUP BY usr, 2, measure),"
    " known AS (UPDATE state.person_outcome p SET count = p.count + w.count,"
    "     sum = least(p.sum::numeric + w.sum, " BIGGEST ")::bigint, most = greatest(p.most, w.most),"
    "     last_ms = greatest(p.last_ms, w.last_ms),"
    "     last = CASE WHEN (w.last_ms, w.last) > (p.last_ms, p.last) THEN w.last ELSE p.last END"
    "   FROM w WHERE p.shard = $1 AND p.app = $2 AND p.usr = w.usr AND p.month = w.month AND p.measure = w.measure"
    "   RETURNING p.usr, p.month, p.measure)"
    " INSERT INTO state.person_outcome (shard, app, usr, month, measure, count, sum, most, last_ms, last)"
    " SELECT $1, $2, w.* FROM w WHERE NOT EXISTS (SELECT FROM known k WHERE k.usr = w.usr AND k.month = w.month"
    "   AND k.measure = w.measure) ORDER BY w.usr, w.month, w.measure";

/* $5: the most samples of a person's day that count. A day with more, of which there are few, keeps its mean and spread:
 * `total` samples become $5, `upto` of them in this bin and those below. */
static const char days_sql[] =
    "WITH gone AS (DELETE FROM state.person_measure WHERE shard = $1 AND app = $2 AND day <= $4"
    "   RETURNING usr, day, measure, bin, count, sum),"
    " person AS MATERIALIZED (SELECT day, measure, usr, sum(count)::bigint AS total, sum(sum) AS whole FROM gone"
    "   GROUP BY day, measure, usr),"
    " many AS MATERIALIZED (SELECT day, measure, usr, total FROM person WHERE total > $5::bigint),"
    " cut AS (SELECT day, measure, bin, upto * $5::bigint / total - (upto - count) * $5::bigint / total AS count FROM"
    "   (SELECT g.day, g.measure, g.bin, g.count, o.total, (sum(g.count) OVER (PARTITION BY g.day, g.measure, g.usr"
    "     ORDER BY g.bin))::bigint AS upto FROM many o JOIN gone g USING (day, measure, usr)) g),"
    " kept AS (SELECT day, measure, bin, count FROM gone g WHERE NOT EXISTS (SELECT FROM many o WHERE o.day = g.day"
    "     AND o.measure = g.measure AND o.usr = g.usr) UNION ALL SELECT day, measure, bin, count FROM cut)"
    " INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
    " SELECT $1, $2, day, number, 'day', day, measure, n, least(value, " BIGGEST ")::bigint, people FROM ("
    "   SELECT 'measure_bins' AS number, day, measure, bin AS n, sum(count) AS value, count(*) AS people FROM kept"
    "     WHERE count > 0 GROUP BY day, measure, bin"
    "   UNION ALL SELECT number, day, measure, -1, CASE number WHEN 'measure_sum' THEN sum ELSE count END, people FROM"
    "     (SELECT day, measure, sum(least(total, $5::bigint)) AS count, sum(CASE WHEN total > $5::bigint THEN"
    "       div(whole * $5::bigint, total) ELSE whole END) AS sum, count(*) AS people FROM person GROUP BY day, measure) p"
    "     CROSS JOIN (VALUES ('measure_count'), ('measure_sum')) AS v (number)) c";

/* $5 … $8, an outcome each: position, measure, aggregate, most thousandths of a step that count; $9, $10, a tier each:
 * outcome, sessions a week. Persons below the first tier are in none. */
static const char months_sql[] =
    "WITH ended AS (SELECT p.*, m.last_day, extract(day FROM m.last_day)::int AS days FROM state.person_outcome p"
    "   CROSS JOIN LATERAL (SELECT (p.month + interval '1 month')::date - 1 AS last_day) m"
    "   WHERE p.shard = $1 AND p.app = $2 AND m.last_day > $3 AND m.last_day <= $4),"
    " valued AS (SELECT e.usr, e.month, e.last_day, e.days, o.item, least(o.most, CASE o.aggregate"
    "     WHEN 0 THEN div(2000 * e.sum::numeric + e.count, 2 * e.count::numeric) WHEN 1 THEN 1000 * e.sum::numeric"
    "     WHEN 2 THEN 1000 * e.most::numeric ELSE 1000 * e.last::numeric END)::bigint AS value"
    "   FROM ended e JOIN unnest($5::int[], $6::int[], $7::int[], $8::bigint[]) AS o (item, measure, aggregate, most)"
    "   ON o.measure = e.measure),"
    " placed AS MATERIALIZED (SELECT v.month, v.last_day, v.item, v.value, CASE WHEN t.any THEN t.tier ELSE 0 END AS tier,"
    "     CASE WHEN v.value < 1000 THEN 0 ELSE 65 - position(B'1' IN (v.value / 1000)::bit(64)) END AS bin"
    "   FROM valued v LEFT JOIN state.person_period p ON p.shard = $1 AND p.app = $2 AND p.usr = v.usr"
    "     AND p.interval = 'month' AND p.period = v.month"
    "   CROSS JOIN LATERAL (SELECT count(*) > 0 AS any, max(w.tier) FILTER (WHERE coalesce(p.sessions, 0)::bigint * 7 >="
    "     w.sessions_from::bigint * v.days) AS tier FROM (SELECT item, sessions_from,"
    "       row_number() OVER (PARTITION BY item ORDER BY i) - 1 AS tier"
    "       FROM unnest($9::int[], $10::bigint[]) WITH ORDINALITY AS x (item, sessions_from, i)) w WHERE w.item = v.item) t)"
    " INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
    " SELECT $1, $2, last_day, number, 'month', month, item, n, least(value, " BIGGEST ")::bigint, people FROM ("
    "   SELECT 'outcome_users' AS number, month, last_day, item, tier AS n, count(*) AS value, count(*) AS people"
    "     FROM placed GROUP BY month, last_day, item, tier"
    "   UNION ALL SELECT 'outcome_sum', month, last_day, item, tier, sum(value), count(*) FROM placed"
    "     GROUP BY month, last_day, item, tier"
    "   UNION ALL SELECT 'outcome_bins', month, last_day, item, tier * 64 + bin, count(*), count(*) FROM placed"
    "     GROUP BY month, last_day, item, tier, bin) c WHERE n IS NOT NULL";

static enum result fold_months(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    struct db_params *params = stage_params(stage);
    bool any = false;
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < app->measure_count; i++) {
        if (!app->measures[i].of_outcome)
            continue;
        db_array_int(params, (int64_t)i);
        any = true;
    }
    db_array_end(params);
    if (any)
        return stage_run(stage, "samples.fold", fold_sql, params, why);
    db_params_free(params);
    return RESULT_OK;
}

enum result samples_close_activity(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    if (app->measure_count == 0)
        return RESULT_OK;
    enum result result = fold_months(stage, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = stage_params(stage);
    db_int8(params, family_clamp(FAMILY_MEASURES, app->preset));
    return stage_run(stage, "samples.days", days_sql, params, why);
}

/* The most thousandths of a step that one person's month of an outcome may be. */
static int64_t most_thousandths(const struct app *app, const struct app_outcome *outcome)
{
    const struct app_measure *measure = &app->measures[outcome->measure];
    if (outcome->aggregate != APP_AGGREGATE_SUM)
        return INT64_MAX;
    double steps = (measure->max - measure->min) / measure->step + 0.5;
    return steps >= 9e12 ? INT64_MAX : (int64_t)steps * 1000000;
}

static void add_outcomes(struct db_params *params, const struct app *app)
{
    for (int column = 0; column < 4; column++) {
        db_array_begin(params, column == 3 ? DB_ELEMENT_INT8 : DB_ELEMENT_INT4);
        for (size_t i = 0; i < app->outcome_count; i++) {
            const struct app_outcome *outcome = &app->outcomes[i];
            db_array_int(params, column == 0 ? (int64_t)i : column == 1 ? (int64_t)outcome->measure :
                column == 2 ? (int64_t)outcome->aggregate : most_thousandths(app, outcome));
        }
        db_array_end(params);
    }
}

static void add_tiers(struct db_params *params, const struct app *app, bool bound)
{
    db_array_begin(params, bound ? DB_ELEMENT_INT8 : DB_ELEMENT_INT4);
    for (size_t i = 0; i < app->outcome_count; i++) {
        for (uint32_t tier = 0; tier < app->outcomes[i].tier_count; tier++)
            db_array_int(params, bound ? (int64_t)app->outcomes[i].tiers[tier].sessions_from : (int64_t)i);
    }
    db_array_end(params);
}

enum result samples_close_sessions(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    if (app->outcome_count == 0 || !stage_ends_month(stage))
        return RESULT_OK;
    struct db_params *params = stage_params(stage);
    add_outcomes(params, app);
    add_tiers(params, app, false);
    add_tiers(params, app, true);
    enum result result = stage_run(stage, "samples.months", months_sql, params, why);
    if (result != RESULT_OK)
        return result;
    return stage_run(stage, "samples.drop", "DELETE FROM state.person_outcome WHERE shard = $1 AND app = $2"
        " AND (month + interval '1 month')::date - 1 <= $4", stage_params(stage), why);
}
