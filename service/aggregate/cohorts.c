#include "service/aggregate/cohorts.h"

#include "anonymizer/release/cohort.h"
#include "anonymizer/release/plan.h"
#include "service/base/clock.h"

/* $5 and $6: the first day of the first cohort that matures, and of the first that does not yet; $7: how many months after. Of
 * a person's months the last one that is closed is always there (expire.c); of later ones there may be some already. */
static const char last_active_sql[] =
    "INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
    " SELECT $1, $2, matured - 1, 'last_active', 'month', cohort, 0, n, count(*), count(*) FROM ("
    "   SELECT c.cohort, c.matured, coalesce((extract(year FROM l.month) - extract(year FROM c.cohort)) * 12"
    "     + extract(month FROM l.month) - extract(month FROM c.cohort), 0)::int AS n"
    "   FROM state.person p"
    "   CROSS JOIN LATERAL (SELECT date_trunc('month', p.first_day::timestamp)::date AS cohort,"
    "     (date_trunc('month', p.first_day::timestamp) + make_interval(months => $7::int + 1))::date AS matured) c"
    "   LEFT JOIN LATERAL (SELECT m.month FROM state.person_month m WHERE m.shard = $1 AND m.app = $2 AND m.usr = p.usr"
    "     AND m.month < c.matured ORDER BY m.month DESC LIMIT 1) l ON true"
    "   WHERE p.shard = $1 AND p.app = $2 AND p.first_day >= $5 AND p.first_day < $6) w"
    " GROUP BY matured, cohort, n";

/* The first day of the month that lies so many months before that of day. */
static int32_t month_before(int32_t day, int months)
{
    int year;
    unsigned month;
    unsigned date;
    clock_civil_from_days(day, &year, &month, &date);
    int index = year * 12 + (int)month - 1 - months;
    return clock_days_from_civil(index / 12, (unsigned)(index % 12) + 1, 1);
}

enum result cohorts_close(const struct stage *stage, struct failure *why)
{
    if (!stage_ends_month(stage) || !cohort_matures(stage->app->definition))
        return RESULT_OK;
    struct db_params *params = stage_params(stage);
    db_date(params, month_before(stage->before + 1, PLAN_LAST_ACTIVE_MAX));
    db_date(params, month_before(stage->through + 1, PLAN_LAST_ACTIVE_MAX));
    db_int4(params, PLAN_LAST_ACTIVE_MAX);
    return stage_run(stage, "cohorts.last_active", last_active_sql, params, why);
}
