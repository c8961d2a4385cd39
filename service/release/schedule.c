#include "service/release/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"

/* An app starts on the first day that has anything, or on the day it was made if that is closed and earlier: an app that
 * nobody uses yet has zeros, and an import reaches back. Once it has a release, its first day is fixed. Test apps are
 * never released. */
static const char due_sql[] =
    "WITH shard AS MATERIALIZED (SELECT shards, ARRAY(SELECT generate_series(0, shards - 1)) AS shard"
    "    FROM config.installation),"
    " closed AS ("
    "  SELECT a.app, a.version, s.shards, s.shard, a.created_at, a.time_zone, p.activity_through, p.sessions_through"
    "  FROM shard AS s CROSS JOIN config.app AS a CROSS JOIN LATERAL ("
    "    SELECT CASE WHEN count(activity_through) = s.shards THEN min(activity_through) END AS activity_through,"
    "      CASE WHEN count(sessions_through) = s.shards THEN min(sessions_through) END AS sessions_through"
    "    FROM state.progress AS p WHERE p.app = a.app AND p.shard = ANY (s.shard)) AS p"
    "  WHERE a.twin_of IS NULL AND NOT EXISTS (SELECT FROM unnest($1::int[], $2::int[]) AS r (app, version)"
    "    WHERE r.app = a.app AND r.version = a.version)),"
    " open AS ("
    "  SELECT c.*, r.first_day, r.activity_through AS activity_done, r.sessions_through AS sessions_done"
    "  FROM closed AS c LEFT JOIN release.progress AS r USING (app)"
    "  WHERE c.activity_through > coalesce(r.activity_through, '-infinity')"
    "    OR c.sessions_through > coalesce(r.sessions_through, '-infinity')),"
    " started AS ("
    "  SELECT o.*, coalesce(o.first_day, f.day) AS start"
    "  FROM open AS o LEFT JOIN LATERAL ("
    "    SELECT least("
    "      (SELECT min(day) FROM unnest(o.shard) AS s (shard) CROSS JOIN LATERAL (SELECT min(d.day) AS day"
    "        FROM state.day_sum AS d WHERE d.shard = s.shard AND d.app = o.app AND d.day <= o.activity_through) AS d),"
    "      (SELECT min(day) FROM unnest(o.shard) AS s (shard) CROSS JOIN LATERAL (SELECT min(t.day) AS day"
    "        FROM state.triple AS t WHERE t.shard = s.shard AND t.app = o.app AND t.day <= o.activity_through) AS t),"
    "      CASE WHEN (o.created_at AT TIME ZONE o.time_zone)::date <= o.activity_through"
    "        THEN (o.created_at AT TIME ZONE o.time_zone)::date END) AS day) AS f ON o.first_day IS NULL),"
    /* Between the end of an import and the day the app was made nobody looked: those days are passed over. */
    " dated AS (SELECT s.*, (created_at AT TIME ZONE time_zone)::date AS made FROM started AS s WHERE start IS NOT NULL),"
    " seen AS ("
    "  SELECT s.*, greatest(start - 1, (SELECT max(through) FROM config.seal_request AS q WHERE q.app = s.app),"
    "    (SELECT max(day) FROM unnest(s.shard) AS u (shard) CROSS JOIN LATERAL (SELECT max(d.day) AS day"
    "      FROM state.day_sum AS d WHERE d.shard = u.shard AND d.app = s.app AND d.day < s.made) AS d)) AS imported"
    "  FROM dated AS s),"
    " stages AS ("
    "  SELECT app, version, shards, start, made, imported,"
    "    coalesce(activity_done + 1, start) AS a, coalesce(activity_through, start - 1) AS a_to,"
    "    coalesce(sessions_done + 1, start) AS s, coalesce(sessions_through, start - 1) AS s_to FROM seen)"
    " SELECT app, version, shards, start,"
    "   CASE WHEN a > imported THEN greatest(a, made) ELSE a END,"
    "   CASE WHEN a <= imported AND imported < made THEN least(a_to, imported) ELSE a_to END,"
    "   CASE WHEN s > imported THEN greatest(s, made) ELSE s END,"
    "   CASE WHEN s <= imported AND imported < made THEN least(s_to, imported) ELSE s_to END"
    " FROM stages ORDER BY app";

static enum result read_rows(struct db *db, const struct schedule *schedule, PGresult **out, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < schedule->refused_count; i++)
        db_array_int(params, schedule->refused[i].app);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = 0; i < schedule->refused_count; i++)
        db_array_int(params, schedule->refused[i].version);
    db_array_end(params);
    enum result code = db_run(db, "release_due", due_sql, params, out, why);
    db_params_free(params);
    return code;
}

enum result schedule_read(struct db *db, struct schedule *schedule, struct failure *why)
{
    PGresult *result = NULL;
    enum result code = read_rows(db, schedule, &result, why);
    if (code != RESULT_OK)
        return code;
    size_t count = (size_t)PQntuples(result);
    struct schedule_due *due = calloc(count + 1, sizeof *due);
    if (due == NULL) {
        failure_set(why, "", "no memory for the schedule of %zu apps", count);
        PQclear(result);
        return RESULT_FULL;
    }
    for (size_t i = 0; i < count; i++) {
        int row = (int)i;
        due[i].app = (uint32_t)db_get_int4(result, row, 0);
        due[i].version = (uint32_t)db_get_int4(result, row, 1);
        due[i].shards = (uint32_t)db_get_int4(result, row, 2);
        due[i].first_day = db_get_date(result, row, 3);
        due[i].activity = (struct schedule_days){db_get_date(result, row, 4), db_get_date(result, row, 5)};
        due[i].sessions = (struct schedule_days){db_get_date(result, row, 6), db_get_date(result, row, 7)};
    }
    PQclear(result);
    free(schedule->due);
    schedule->due = due;
    schedule->count = count;
    return RESULT_OK;
}

enum result schedule_refuse(struct schedule *schedule, const struct schedule_due *due, struct failure *why)
{
    struct schedule_refused *refused = realloc(schedule->refused, (schedule->refused_count + 1) * sizeof *refused);
    if (refused == NULL) {
        failure_set(why, "", "no memory for a refused app");
        return RESULT_FULL;
    }
    refused[schedule->refused_count++] = (struct schedule_refused){(int32_t)due->app, (int32_t)due->version};
    schedule->refused = refused;
    return RESULT_OK;
}

void schedule_free(struct schedule *schedule)
{
    free(schedule->due);
    free(schedule->refused);
    *schedule = (struct schedule){0};
}

enum result schedule_definition(struct db *db, const struct schedule_due *due, struct app *out, struct failure *why)
{
    static const char sql[] = "SELECT d.body::text, a.mode FROM config.definition AS d JOIN config.app AS a USING (app)"
                              " WHERE d.app = $1 AND d.version = $2";
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)due->app);
    db_int4(params, (int32_t)due->version);
    PGresult *result = NULL;
    enum result code = db_run(db, "release_definition", sql, params, &result, why);
    db_params_free(params);
    if (code != RESULT_OK)
        return code;
    if (PQntuples(result) != 1) {
        failure_set(why, "", "the app has no definition of its version");
        PQclear(result);
        return RESULT_NOT_FOUND;
    }
    const char *body = db_get_text(result, 0, 0);
    struct app app = {0};
    code = definition_parse(body, strlen(body), &app, why);
    if (code == RESULT_OK) {
        app.id = due->app;
        app.version = due->version;
        app.mode = strcmp(db_get_text(result, 0, 1), "importing") == 0 ? APP_MODE_IMPORTING : APP_MODE_LIVE;
        *out = app;
    }
    PQclear(result);
    return code;
}
