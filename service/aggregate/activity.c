#include "service/aggregate/activity.h"

#include "anonymizer/release/family.h"

/* A day costs its active users: each one's first day, and the last active day before, from the bit masks of at most three
 * months ($6: days to look back); usually the first one met has it. $5: most events of a person and day that count. */
static const char active_sql[] =
    "WITH gone AS (DELETE FROM state.person_day WHERE shard = $1 AND app = $2 AND day <= $4"
    "   RETURNING usr, day, events, views),"
    " active AS MATERIALIZED (SELECT g.day, g.events, g.views, p.first_day, CASE WHEN p.first_day < g.day THEN"
    "     (SELECT m.month + (32 - position(B'1' IN b.earlier::bit(32))) FROM state.person_month m CROSS JOIN LATERAL"
    "       (SELECT m.days & ((1::bigint << least(g.day - m.month, 31)) - 1) AS earlier) b"
    "     WHERE m.shard = $1 AND m.app = $2 AND m.usr = g.usr AND m.month <= g.day"
    "       AND m.month >= date_trunc('month', (g.day - $6::int)::timestamp)::date AND b.earlier <> 0"
    "     ORDER BY m.month DESC LIMIT 1) END AS previous_day"
    "   FROM gone g JOIN state.person p ON p.shard = $1 AND p.app = $2 AND p.usr = g.usr),"
    " triples AS (INSERT INTO state.triple (shard, app, day, first_day, previous_day, people)"
    "   SELECT $1, $2, day, first_day, previous_day, count(*) FROM active GROUP BY day, first_day, previous_day)"
    " INSERT INTO state.day_sum (shard, app, day, people, events, views, viewers, visitors, visitor_events)"
    " SELECT $1, $2, day, count(*), sum(least(events, $5::bigint)), sum(least(views, $5::bigint)),"
    " count(*) FILTER (WHERE views > 0), 0, 0 FROM active GROUP BY day";

static const char visitors_sql[] =
    "WITH gone AS (DELETE FROM state.visitor_day WHERE shard = $1 AND app = $2 AND day <= $4 RETURNING day, events)"
    " INSERT INTO state.day_sum AS s (shard, app, day, people, events, views, viewers, visitors, visitor_events)"
    " SELECT $1, $2, day, 0, 0, 0, 0, count(*), sum(least(events, $5::bigint)) FROM gone GROUP BY day"
    " ON CONFLICT (shard, app, day) DO UPDATE SET visitors = excluded.visitors,"
    " visitor_events = excluded.visitor_events";

static enum result run(const struct stage *stage, const char *name, const char *sql, struct failure *why)
{
    struct db_params *params = stage_params(stage);
    db_int8(params, family_clamp(FAMILY_EVENTS, stage->app->definition->preset));
    db_int4(params, ACTIVITY_LOOK_BACK_DAYS);
    return stage_run(stage, name, sql, params, why);
}

enum result activity_close(const struct stage *stage, struct failure *why)
{
    enum result result = run(stage, "activity.active", active_sql, why);
    return result == RESULT_OK ? run(stage, "activity.visitors", visitors_sql, why) : result;
}
