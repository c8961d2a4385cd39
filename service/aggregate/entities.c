#include "service/aggregate/entities.h"

#include "anonymizer/release/family.h"

/* $5: how many entities of a class a person's day brings at most, the smallest. */
static const char close_sql[] =
    "WITH gone AS (DELETE FROM state.person_entity WHERE shard = $1 AND app = $2 AND day <= $4"
    "   RETURNING usr, day, class, entity),"
    " ranked AS MATERIALIZED (SELECT day, class, entity,"
    "   row_number() OVER (PARTITION BY day, usr, class ORDER BY entity) AS rank FROM gone),"
    " cells AS (INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
    "   SELECT $1, $2, day, 'entity_count', 'day', day, class, -1, 0, count(*) FROM ranked WHERE rank = 1"
    "   GROUP BY day, class)"
    " INSERT INTO state.entity (shard, app, class, interval, period, entity)"
    " SELECT DISTINCT $1, $2, t.class, s.span, s.period, t.entity FROM"
    "   (SELECT DISTINCT day, class, entity FROM ranked WHERE rank <= $5::bigint) t"
    " CROSS JOIN LATERAL (VALUES ('day', t.day), ('week', date_trunc('week', t.day)::date),"
    "   ('month', date_trunc('month', t.day)::date)) AS s (span, period)"
    " ORDER BY s.span, s.period, t.class, t.entity ON CONFLICT DO NOTHING";

enum result entities_close(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    if (app->entity_count == 0)
        return RESULT_OK;
    struct db_params *params = stage_params(stage);
    db_int8(params, family_clamp(FAMILY_ENTITIES, app->preset));
    return stage_run(stage, "entities.close", close_sql, params, why);
}
