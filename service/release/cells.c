#include "service/release/cells.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/release/declared.h"

#define SQL_BYTES 8192
#define VALUE_MAX "9007199254740991" /* what a leaf can say: sums of measures may come to more */

struct row {
    struct cells_key key;
    struct cell cell;
};

struct cells {
    size_t count;
    struct row rows[];
};

/* A person counts in a period on its first active day there: the day whose previous active day lies before the period.
 * `closes` is the period's last day, `before` the first day of the period before, `n` the periods since the person's
 * first. A rolling window that ends on E holds the people of its days whose previous day lies before it: for a gap g
 * between a person's active days, E is any of day + max(0, N - g) … day + N - 1. */
static const char activity_sums[] =
    "WITH triple AS MATERIALIZED ("
    "  SELECT day, first_day, previous_day, sum(people)::bigint AS people"
    "  FROM state.triple WHERE shard = ANY ($2) AND app = $1 AND day BETWEEN $3 - 31 AND $4"
    "  GROUP BY day, first_day, previous_day),"
    " day AS MATERIALIZED ("
    "  SELECT day, sum(people)::bigint AS people, sum(events)::bigint AS events, sum(views)::bigint AS views,"
    "    sum(viewers)::bigint AS viewers, sum(visitors)::bigint AS visitors"
    "  FROM state.day_sum WHERE shard = ANY ($2) AND app = $1 AND day BETWEEN $3 - 31 AND $4"
    "  GROUP BY day),"
    " calendar AS MATERIALIZED ("
    "  SELECT d AS day, k.*"
    "  FROM (SELECT $3 + i AS d FROM generate_series(-31, $4 - $3) AS i) AS days"
    "  CROSS JOIN LATERAL (SELECT d - (extract(isodow FROM d)::int - 1) AS monday,"
    "    date_trunc('month', d::timestamp)::date AS first) AS c"
    "  CROSS JOIN LATERAL (VALUES ('day', d, d, d - 1), ('week', monday, monday + 6, monday - 7),"
    "    ('month', first, (first + interval '1 month')::date - 1, (first - interval '1 month')::date))"
    "    AS k (interval, starts, closes, before)"
    "  WHERE closes BETWEEN $3 AND $4),"
    " counted AS ("
    "  SELECT interval, closes, CASE interval WHEN 'day' THEN starts - first_day"
    "      WHEN 'week' THEN (starts - (first_day - (extract(isodow FROM first_day)::int - 1))) / 7"
    "      ELSE (extract(year FROM starts) * 12 + extract(month FROM starts)"
    "        - extract(year FROM first_day) * 12 - extract(month FROM first_day))::int END AS n,"
    "    sum(people)::bigint AS people,"
    "    coalesce(sum(people) FILTER (WHERE first_day < starts"
    "      AND coalesce(previous_day, '-infinity') < before), 0)::bigint AS resurrected"
    "  FROM triple JOIN calendar USING (day)"
    "  WHERE previous_day IS NULL OR previous_day < starts"
    "  GROUP BY 1, 2, 3),"
    " gap AS ("
    "  SELECT day, coalesce(least(day - previous_day, 31), 31) AS gap, sum(people)::bigint AS people"
    "  FROM triple WHERE $6 GROUP BY 1, 2),";

static const char activity_rows[] =
    " SELECT closes AS day, 'active_users' AS metric, interval, -1 AS n, sum(people)::bigint AS value,"
    "   sum(people)::bigint AS people FROM counted GROUP BY closes, interval"
    " UNION ALL SELECT closes, 'new_users', interval, -1, people, people FROM counted WHERE n = 0"
    " UNION ALL SELECT closes, 'returning_users', interval, -1, sum(people)::bigint, sum(people)::bigint"
    "   FROM counted WHERE n > 0 GROUP BY closes, interval"
    " UNION ALL SELECT closes, 'resurrected_users', interval, -1, sum(resurrected)::bigint, sum(resurrected)::bigint"
    "   FROM counted GROUP BY closes, interval"
    " UNION ALL SELECT closes, 'retention', interval, n, people, people FROM counted WHERE n BETWEEN 0 AND $5"
    " UNION ALL SELECT closes, metric, interval, -1, sum(value)::bigint, max(who)"
    "   FROM day JOIN calendar USING (day) CROSS JOIN LATERAL"
    "   (VALUES ('events', events, people), ('page_views', views, viewers)) AS m (metric, value, who)"
    "   GROUP BY closes, metric, interval"
    " UNION ALL SELECT day, 'visitors', 'day', -1, visitors, visitors FROM day WHERE day BETWEEN $3 AND $4"
    " UNION ALL SELECT day + i, 'active_users', 'rolling_' || width, -1, sum(people)::bigint, sum(people)::bigint"
    "   FROM gap CROSS JOIN (VALUES (7), (28), (30)) AS w (width)"
    "   CROSS JOIN LATERAL generate_series(greatest(0, width - gap), width - 1) AS i"
    "   WHERE day + i BETWEEN $3 AND $4 GROUP BY day + i, width";

/* The release job learns how many entities there are, from a function, and none of them. */
static const char activity_entities[] =
    " UNION ALL SELECT e.due, 'entity_count', e.interval, -1, e.value, coalesce(d.people, 0), e.item::int"
    "   FROM state.count_entities($1, $2, $3, $4) AS e LEFT JOIN declared AS d ON d.number = 'entity_count'"
    "     AND d.closes = e.due AND d.interval = e.interval AND d.item = e.item AND d.n = -1"
    "   WHERE 'entity_count' = ANY ($9)";

/* Distinct people of a week or month of sessions are not known: its days' maximum is a lower bound, so that a threshold
 * errs towards suppression. $5 and $6 are those of activity_sums. */
static const char sessions_sums[] =
    "WITH day AS MATERIALIZED ("
    "  SELECT day, sum(people)::bigint AS people, sum(sessions) AS sessions, sum(engaged) AS engaged,"
    "    sum(engaged_people)::bigint AS engaged_people, sum(single_event) AS single_event,"
    "    sum(single_event_people)::bigint AS single_event_people, sum(duration_ms) AS duration_ms, sum(engaged_ms) AS engaged_ms,"
    "    sum(events) AS events"
    "  FROM state.session_sum WHERE shard = ANY ($2) AND app = $1 AND day BETWEEN $3 - 31 AND $4"
    "  GROUP BY day),"
    " bin AS MATERIALIZED ("
    "  SELECT day, (place - 1)::int AS n, sum(count) AS count, sum(who)::bigint AS who"
    "  FROM state.session_sum"
    "  CROSS JOIN LATERAL unnest(durations, duration_people) WITH ORDINALITY AS u (count, who, place)"
    "  WHERE shard = ANY ($2) AND app = $1 AND day BETWEEN $3 - 31 AND $4 AND $5 >= 0 AND $6 IS NOT NULL"
    "  GROUP BY 1, 2),"
    " calendar AS MATERIALIZED ("
    "  SELECT d AS day, k.*"
    "  FROM (SELECT $3 + i AS d FROM generate_series(-31, $4 - $3) AS i) AS days"
    "  CROSS JOIN LATERAL (SELECT d - (extract(isodow FROM d)::int - 1) AS monday,"
    "    date_trunc('month', d::timestamp)::date AS first) AS c"
    "  CROSS JOIN LATERAL (VALUES ('day', d), ('week', monday + 6), ('month', (first + interval '1 month')::date - 1))"
    "    AS k (interval, closes)"
    "  WHERE closes BETWEEN $3 AND $4),";

static const char sessions_rows[] =
    " SELECT closes AS day, metric, interval, -1 AS n, sum(value)::bigint AS value, max(who) AS people"
    "   FROM day JOIN calendar USING (day)"
    "   CROSS JOIN LATERAL (VALUES ('sessions', sessions, people), ('engaged_sessions', engaged, engaged_people),"
    "     ('single_event_sessions', single_event, single_event_people), ('session_duration_ms', duration_ms, people),"
    "     ('engaged_ms', engaged_ms, people), ('session_events', events, people)) AS m (metric, value, who)"
    "   GROUP BY closes, metric, interval"
    " UNION ALL SELECT closes, 'session_durations', interval, n, sum(count)::bigint, max(who)"
    "   FROM bin JOIN calendar USING (day) GROUP BY closes, interval, n";

/* What is due of declared things. $7 and $8 name the numbers and intervals wanted; those in $9 are summed by the day.
 * calendar is the days of the periods that close in the range. */
static const char declared_sums[] =
    " declared_day AS MATERIALIZED ("
    "  SELECT due, number, interval, item, n, least(sum(value), " VALUE_MAX ")::bigint AS value, sum(people)::bigint AS people"
    "  FROM state.cell WHERE shard = ANY ($2) AND app = $1 AND due BETWEEN (SELECT min(day) FROM calendar) AND $4"
    "    AND CASE WHEN number = ANY ($9) THEN interval = 'day' ELSE due >= $3 AND number = ANY ($7) END"
    "  GROUP BY due, number, interval, item, n),"
    " wanted AS (SELECT * FROM unnest($7::text[], $8::text[]) AS w (number, interval)),"
    " declared AS ("
    "  SELECT due AS closes, number, interval, item, n, value, people"
    "  FROM declared_day JOIN wanted USING (number, interval) WHERE due >= $3"
    "  UNION ALL SELECT closes, d.number, w.interval, item, n, least(sum(value), " VALUE_MAX ")::bigint, max(people)"
    "  FROM declared_day AS d JOIN calendar AS k ON k.day = d.due AND k.interval <> 'day'"
    "    JOIN wanted AS w ON w.number = d.number AND w.interval = k.interval"
    "  WHERE d.number = ANY ($9) GROUP BY closes, d.number, w.interval, item, n),";

static const char declared_rows[] =
    " SELECT day, metric, interval, n, value, people, -1 AS item FROM plain"
    " UNION ALL SELECT closes, number, interval, n, value, people, item::int FROM declared WHERE number <> 'entity_count'";

/* Of sessions what is made for the noise: each person's week or month clamped. $5, $6 and $9 are those of the other one. */
static const char private_sessions[] =
    "SELECT due AS day, number, interval, n, least(sum(value), " VALUE_MAX ")::bigint, sum(people)::bigint, item::int"
    " FROM state.cell JOIN unnest($7::text[], $8::text[]) AS w (number, interval) USING (number, interval)"
    " WHERE shard = ANY ($2) AND app = $1 AND due BETWEEN $3 AND $4"
    "   AND $5::int IS NOT NULL AND $6::boolean IS NOT NULL AND $9::text[] IS NOT NULL"
    " GROUP BY due, number, interval, item, n";

/* One statement of parts, each of which is within what C promises of the length of a string. */
static const char *whole(char sql[SQL_BYTES], const char *sums, const char *rows, const char *more)
{
    int length = snprintf(sql, SQL_BYTES, "%s%s plain AS (%s)%s%s", sums, declared_sums, rows, declared_rows, more);
    assert(length > 0 && length < SQL_BYTES);
    return sql;
}

/* Rows begin with their key. */
static int compare(const void *a, const void *b)
{
    const struct cells_key *x = a;
    const struct cells_key *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->interval != y->interval)
        return x->interval < y->interval ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static enum result take(const PGresult *result, struct cells *cells, struct failure *why)
{
    for (size_t i = 0; i < cells->count; i++) {
        struct row *row = &cells->rows[i];
        int at = (int)i;
        row->key.day = db_get_date(result, at, 0);
        row->key.interval = family_interval_named(db_get_text(result, at, 2));
        row->key.number = family_number_named(db_get_text(result, at, 1), row->key.interval);
        if (row->key.number == NUMBER_COUNT) {
            failure_set(why, "", "a sum names no number of families.def");
            return RESULT_CORRUPT;
        }
        row->key.n = db_get_int4(result, at, 3);
        /* What is about no declared thing has item 0 in state.cell. */
        row->key.item = declared_has_items(row->key.number) ? db_get_int4(result, at, 6) : -1;
        row->cell = (struct cell){.value = db_get_int8(result, at, 4), .people = db_get_int8(result, at, 5)};
    }
    qsort(cells->rows, cells->count, sizeof *cells->rows, compare);
    return RESULT_OK;
}

/* Whether the weeks and months of a declared number are sums of its days: not where people are counted, who have days in
 * common, nor what is only made by the month, nor what is clamped by the week. */
static bool is_summed(const struct cells_range *range, const struct family_number_row *row)
{
    return range->policy->protection != PROTECTION_DP && row->rule != RULE_DISTINCT &&
        (row->intervals >> INTERVAL_WEEK & 1u) != 0;
}

/* Whether number is in state.cell. */
static bool is_declared(const struct cells_range *range, enum family_number number)
{
    if (declared_has_items(number))
        return declared_items(range->app, number) > 0;
    bool by_week = range->policy->protection == PROTECTION_DP && family_number(number)->stage == STAGE_SESSIONS;
    return by_week || number == NUMBER_LAST_ACTIVE;
}

/* Those numbers of stage in the intervals in which they may leave, as parallel arrays; then those that are summed. */
static void bind_declared(struct db_params *params, enum family_stage stage, const struct cells_range *range)
{
    enum { NUMBERS, INTERVALS, SUMMED, ARRAYS };
    for (int array = 0; array < ARRAYS; array++) {
        db_array_begin(params, DB_ELEMENT_TEXT);
        for (size_t i = 0; i < (size_t)NUMBER_COUNT * INTERVAL_COUNT; i++) {
            enum family_number number = (enum family_number)(i / INTERVAL_COUNT);
            enum family_interval interval = (enum family_interval)(i % INTERVAL_COUNT);
            const struct family_number_row *row = family_number(number);
            bool wanted = row->stage == stage && is_declared(range, number) &&
                policy_allows(range->policy, number, interval) && (array != SUMMED || is_summed(range, row));
            const char *text = array == INTERVALS ? family_interval_name(interval) : row->metric;
            if (wanted)
                db_array_bytes(params, text, strlen(text));
        }
        db_array_end(params);
    }
}

static void bind(struct db_params *params, enum family_stage stage, const struct cells_range *range)
{
    const struct app *app = range->app;
    uint32_t n_max = app->retention_days;
    n_max = app->retention_weeks > n_max ? app->retention_weeks : n_max;
    n_max = app->retention_months > n_max ? app->retention_months : n_max;
    db_int4(params, (int32_t)app->id);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (uint32_t shard = 0; shard < range->shards; shard++)
        db_array_int(params, shard);
    db_array_end(params);
    db_date(params, range->from);
    db_date(params, range->to);
    db_int4(params, n_max > INT16_MAX ? INT16_MAX : (int32_t)n_max);
    db_bool(params, range->policy->rolling);
    bind_declared(params, stage, range);
}

static enum result run(struct db *db, enum family_stage stage, const struct cells_range *range, const struct db_params *params,
    PGresult **out, struct failure *why)
{
    char sql[SQL_BYTES];
    if (stage == STAGE_ACTIVITY)
        return db_run(db, "release_activity", whole(sql, activity_sums, activity_rows, activity_entities), params, out, why);
    if (range->policy->protection == PROTECTION_DP)
        return db_run(db, "release_private_sessions", private_sessions, params, out, why);
    return db_run(db, "release_sessions", whole(sql, sessions_sums, sessions_rows, ""), params, out, why);
}

enum result cells_read(struct db *db, enum family_stage stage, const struct cells_range *range, struct cells **out,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    bind(params, stage, range);
    PGresult *result = NULL;
    enum result code = run(db, stage, range, params, &result, why);
    db_params_free(params);
    if (code != RESULT_OK)
        return code;
    size_t count = (size_t)PQntuples(result);
    struct cells *cells = malloc(sizeof *cells + count * sizeof *cells->rows);
    if (cells == NULL) {
        failure_set(why, "", "no memory for %zu cells", count);
        PQclear(result);
        return RESULT_FULL;
    }
    cells->count = count;
    code = take(result, cells, why);
    PQclear(result);
    if (code == RESULT_OK)
        *out = cells;
    else
        cells_free(cells);
    return code;
}

void cells_free(struct cells *cells)
{
    free(cells);
}

struct cell cells_get(const struct cells *cells, const struct cells_key *key)
{
    const struct row *row = bsearch(key, cells->rows, cells->count, sizeof *row, compare);
    return row == NULL ? (struct cell){0} : row->cell;
}
