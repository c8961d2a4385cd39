#include "service/aggregate/marks.h"

#include "anonymizer/release/family.h"
#include "service/aggregate/weeks.h"

/* Persons with equal marks stand together before marks are looked into. CELLS continues a WITH clause with `met` (due,
 * span, period, marks, people). $5: positions of dimensions; a person is in the smallest class of each. $6: their number
 * ("dimension_users" …). $7, $8: how many features and segments there are; $9, $10: in how many of them a person counts,
 * the first ones. */
#define CELLS \
    " INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)" \
    " SELECT $1, $2, due, number, span, period, item, n, sum(people)::bigint, sum(people)::bigint FROM (" \
    "   SELECT due, span, period, people, $6::text AS number, d AS item," \
    "     nullif(position(B'1' IN substring(marks FROM 65 + 64 * d FOR 64)), 0) - 1 AS n" \
    "     FROM met CROSS JOIN unnest($5::int[]) AS d" \
    "   UNION ALL SELECT due, span, period, people, 'feature_users', i, -1 FROM met" \
    "     CROSS JOIN generate_series(0, $7::int - 1) AS i" \
    "     WHERE get_bit(marks, i) = 1 AND bit_count(substring(marks FROM 1 FOR i + 1)) <= $9::bigint" \
    "   UNION ALL SELECT due, span, period, people, 'segment_users', i, -1 FROM met" \
    "     CROSS JOIN generate_series(0, $8::int - 1) AS i" \
    "     WHERE get_bit(marks, 32 + i) = 1 AND bit_count(substring(marks FROM 33 FOR i + 1)) <= $10::bigint" \
    " ) c WHERE n IS NOT NULL GROUP BY due, number, span, period, item, n"

/* The last day of p, a row of state.person_period. */
#define LAST_DAY \
    "CASE p.interval WHEN 'week' THEN p.period + 6 ELSE (p.period + interval '1 month')::date - 1 END"

static const char days_sql[] =
    "WITH met AS MATERIALIZED (SELECT day AS due, 'day' AS span, day AS period, marks, count(*) AS people"
    "   FROM state.person_day WHERE shard = $1 AND app = $2 AND day <= $4 AND marks IS NOT NULL GROUP BY day, marks)"
    CELLS;

static const char periods_sql[] =
    "WITH met AS MATERIALIZED (SELECT e.due, p.interval AS span, p.period, p.marks, count(*) AS people"
    "   FROM state.person_period p CROSS JOIN LATERAL (SELECT " LAST_DAY " AS due) e"
    "   WHERE p.shard = $1 AND p.app = $2 AND p.marks IS NOT NULL AND e.due > $3 AND e.due <= $4"
    "   GROUP BY e.due, p.interval, p.period, p.marks)"
    CELLS;

/* A row is written only if something in it changes, new ones in the order of the key. Only the shard's owner writes here:
 * what is not there now will not be there when it is inserted. */
static const char fold_sql[] =
    "WITH w AS MATERIALIZED (SELECT d.usr, d.span, d.period, d.marks, p.usr IS NULL AS is_new FROM"
    "   (SELECT d.usr, s.span, s.period, bit_or(d.marks) AS marks FROM state.person_day d CROSS JOIN LATERAL"
    "     (VALUES ('week', date_trunc('week', d.day)::date), ('month', date_trunc('month', d.day)::date)) AS s (span, period)"
    "     WHERE d.shard = $1 AND d.app = $2 AND d.day <= $4 AND d.marks IS NOT NULL GROUP BY d.usr, s.span, s.period) d"
    "   LEFT JOIN state.person_period p ON p.shard = $1 AND p.app = $2 AND p.usr = d.usr AND p.interval = d.span"
    "     AND p.period = d.period"
    "   WHERE p.usr IS NULL OR p.marks IS NULL OR p.marks | d.marks <> p.marks),"
    " known AS (UPDATE state.person_period p SET marks = coalesce(p.marks | w.marks, w.marks) FROM w WHERE NOT w.is_new"
    "   AND p.shard = $1 AND p.app = $2 AND p.usr = w.usr AND p.interval = w.span AND p.period = w.period)"
    " INSERT INTO state.person_period (shard, app, usr, interval, period, marks)"
    " SELECT $1, $2, usr, span, period, marks FROM w WHERE is_new ORDER BY usr, span, period";

bool marks_has_session_dimensions(const struct app *app)
{
    for (size_t i = 0; i < app->dimension_count; i++) {
        if (app->dimensions[i].scope != APP_SCOPE_EVENTS)
            return true;
    }
    return false;
}

static bool has_event_marks(const struct app *app)
{
    for (size_t i = 0; i < app->dimension_count; i++) {
        if (app->dimensions[i].scope == APP_SCOPE_EVENTS)
            return true;
    }
    return app->feature_count > 0 || app->segment_count > 0;
}

/* Parameters of CELLS, for the marks of events or of sessions. */
static struct db_params *cell_params(const struct stage *stage, bool sessions)
{
    const struct app *app = stage->app->definition;
    struct db_params *params = stage_params(stage);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < app->dimension_count; i++) {
        if ((app->dimensions[i].scope != APP_SCOPE_EVENTS) == sessions)
            db_array_int(params, (int64_t)i);
    }
    db_array_end(params);
    db_text(params, family_number(sessions ? NUMBER_SESSION_DIMENSION_USERS : NUMBER_DIMENSION_USERS)->metric);
    db_int4(params, sessions ? 0 : (int32_t)app->feature_count);
    db_int4(params, sessions ? 0 : (int32_t)app->segment_count);
    db_int8(params, family_clamp(FAMILY_FEATURES, app->preset));
    db_int8(params, family_clamp(FAMILY_SEGMENTS, app->preset));
    return params;
}

static enum result count_periods(const struct stage *stage, bool sessions, struct failure *why)
{
    if (!stage_ends_week(stage) && !stage_ends_month(stage))
        return RESULT_OK;
    return stage_run(stage, "marks.periods", periods_sql, cell_params(stage, sessions), why);
}

enum result marks_close_activity(const struct stage *stage, struct failure *why)
{
    if (!has_event_marks(stage->app->definition))
        return RESULT_OK;
    enum result result = stage_run(stage, "marks.days", days_sql, cell_params(stage, false), why);
    if (result == RESULT_OK)
        result = stage_run(stage, "marks.fold", fold_sql, stage_params(stage), why);
    return result == RESULT_OK ? count_periods(stage, false, why) : result;
}

enum result marks_close_sessions(const struct stage *stage, struct failure *why)
{
    return marks_has_session_dimensions(stage->app->definition) ? count_periods(stage, true, why) : RESULT_OK;
}

enum result marks_drop_periods(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    bool any = has_event_marks(app) || marks_has_session_dimensions(app) || app->outcome_count > 0 ||
        weeks_count_sessions(app);
    if (!any || (!stage_ends_week(stage) && !stage_ends_month(stage)))
        return RESULT_OK;
    return stage_run(stage, "marks.drop", "DELETE FROM state.person_period AS p WHERE p.shard = $1 AND p.app = $2 AND "
        LAST_DAY " <= $4", stage_params(stage), why);
}
