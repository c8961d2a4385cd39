/*
 * Apps whose days are closed, for the tests of the release job: a private PostgreSQL, a connection of the job's role, and
 * what the aggregator would have told. closed_start and closed_stop are a group's set-up and tear-down.
 */
#ifndef THRONG_TESTS_RELEASE_CLOSED_H
#define THRONG_TESTS_RELEASE_CLOSED_H

#include "service/catalogue/definition.h"
#include "service/release/period.h"
#include "service/release/schedule.h"
#include "tests/unit/cluster.h"

#define CLOSED_SHARDS 4 /* let the last one have nobody: what is missing is zero */
#define CLOSED_DAYS 30  /* the largest N of retention */
#define CLOSED_WEEKS 12
#define CLOSED_MONTHS 12

static struct {
    struct db *release;
} closed;

/* Add an app whose definition has more (members, each with a comma); its number. */
static inline int closed_app(const char *name, const char *preset, const char *created, const char *more)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
        "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}');"
        "INSERT INTO config.app (name, population, time_zone, created_at, leaf)"
        " SELECT '%s', 'everyone', 'Europe/Berlin', '%s', id FROM audit.outbox LIMIT 1;"
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, 1, '{\"name\":\"%s\",\"population\":\"everyone\","
        "\"time_zone\":\"Europe/Berlin\",\"events\":[{\"name\":\"page_view\",\"kind\":\"view\"}],%s"
        "\"retention\":{\"days\":%d,\"weeks\":%d,\"months\":%d},"
        "\"privacy\":{\"preset\":\"%s\",\"allow_unprotected\":%s,\"k\":%d}}',"
        " decode(repeat('00', 32), 'hex'), leaf FROM config.app WHERE name = '%s'",
        name, created, name, more, CLOSED_DAYS, CLOSED_WEEKS, CLOSED_MONTHS, preset,
        strcmp(preset, "standard") == 0 ? "false" : "true", strcmp(preset, "exact") == 0 ? 1 : 11, name);
    cluster_sql(text);
    return (int)cluster_number("SELECT max(app)::bigint FROM config.app");
}

/* Every shard's progress, both stages, or one shard's (>= 0). */
static inline void closed_through(int app, int shard, int32_t through)
{
    char text[512], date[PERIOD_TEXT_BYTES];
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.progress SELECT s, %d, '%s', '%s' FROM generate_series(0, %d) AS s WHERE %d < 0 OR s = %d"
        " ON CONFLICT (shard, app) DO UPDATE SET activity_through = excluded.activity_through,"
        " sessions_through = excluded.sessions_through",
        app, period_format(through, date), date, CLOSED_SHARDS - 1, shard, shard);
    cluster_sql(text);
}

/* One look at the schedule, app's part only; *out is 0 if nothing is due. */
static inline struct schedule_due closed_due(int app)
{
    struct schedule schedule = {0};
    struct failure why = {0};
    struct schedule_due due = {0};
    if (schedule_read(closed.release, &schedule, &why) != RESULT_OK)
        fail_msg("%s", why.text);
    for (size_t i = 0; i < schedule.count; i++)
        if (schedule.due[i].app == (uint32_t)app)
            due = schedule.due[i];
    schedule_free(&schedule);
    return due;
}

/* Each leaf says what its release's rows say, and none is missing or alone. */
static inline void closed_leaves(void)
{
    assert_int_equal(cluster_number(
        "WITH written AS (SELECT leaf, jsonb_agg(e ORDER BY e) AS rows"
        "    FROM (SELECT leaf, jsonb_build_array(metric, item, n, value) AS e FROM release.value) AS v GROUP BY leaf),"
        " said AS MATERIALIZED (SELECT id, convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox"
        "    WHERE act = 'aggregates_released')"
        " SELECT count(*) FROM release.release AS r FULL JOIN said ON id = r.leaf FULL JOIN written AS w ON w.leaf = r.leaf"
        " LEFT JOIN config.app AS a USING (app)"
        " WHERE ((SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(body->'data'->'rows') AS e) = w.rows"
        " AND body->'data'->>'family' = r.family AND body->'data'->>'interval' = r.interval"
        " AND body->'data'->>'period' = r.period::text AND body->'data'->>'preset' = r.preset"
        " AND body->'data'->>'protection' = r.protection AND (body->'data'->>'k')::int = r.k AND body->>'tenant' = a.name"
        " AND coalesce(body->'data'->>'item', '') = r.item AND (body->'data' ? 'item') = (r.family = 'funnels'))"
        " IS NOT TRUE"), 0);
}

static inline int closed_start(void **state)
{
    if (cluster_start(state) != 0)
        return -1;
    closed.release = cluster_connect("throng_release", "throng-release");
    char text[128];
    (void)snprintf(text, sizeof text, "INSERT INTO config.installation (shards) VALUES (%d)", CLOSED_SHARDS);
    cluster_sql(text);
    return 0;
}

static inline int closed_stop(void **state)
{
    db_free(closed.release);
    return cluster_stop(state);
}

#endif
