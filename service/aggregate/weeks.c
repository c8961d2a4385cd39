#include "service/aggregate/weeks.h"

#include "anonymizer/release/family.h"
#include "anonymizer/release/policy.h"

/* Persons with equal weeks stand together. $5: sessions of a person's week that count, $6: how many goals there are, $7: in
 * how many of them a person counts, the first ones. */
static const char weeks_sql[] =
    "WITH weeks AS MATERIALIZED (SELECT period, least(sessions, $5::bigint) AS sessions, least(engaged, $5::bigint) AS engaged,"
    "   first_bin, goal_bits & ((1::bigint << $6::int) - 1) AS goals, count(*) AS people FROM state.person_period"
    "   WHERE shard = $1 AND app = $2 AND interval = 'week' AND period + 6 > $3 AND period + 6 <= $4 AND sessions > 0"
    "   GROUP BY 1, 2, 3, 4, 5)"
    " INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
    " SELECT $1, $2, period + 6, number, 'week', period, item, n, sum(value * people)::bigint, sum(people)::bigint FROM ("
    "   SELECT period, 'sessions' AS number, 0 AS item, -1 AS n, sessions AS value, people FROM weeks"
    "   UNION ALL SELECT period, 'engaged_sessions', 0, -1, engaged, people FROM weeks WHERE engaged > 0"
    "   UNION ALL SELECT period, 'session_durations', 0, first_bin, 1, people FROM weeks WHERE first_bin IS NOT NULL"
    "   UNION ALL SELECT period, 'goal_sessions', goal, -1, 1, people FROM weeks"
    "     CROSS JOIN generate_series(0, $6::int - 1) AS goal"
    "     WHERE (goals >> goal & 1) = 1 AND bit_count((goals & ((2::bigint << goal) - 1))::bit(64)) <= $7::bigint"
    " ) c GROUP BY period, number, item, n";

bool weeks_count_sessions(const struct app *app)
{
    return policy_is_private(app->preset);
}

enum result weeks_close_sessions(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    if (!weeks_count_sessions(app) || !stage_ends_week(stage))
        return RESULT_OK;
    struct db_params *params = stage_params(stage);
    db_int8(params, family_clamp(FAMILY_SESSIONS, app->preset));
    db_int4(params, (int32_t)app->goal_count);
    db_int8(params, family_clamp(FAMILY_GOALS, app->preset));
    return stage_run(stage, "weeks.cells", weeks_sql, params, why);
}
