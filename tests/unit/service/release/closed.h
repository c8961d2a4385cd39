/*
 * Apps whose days are closed, for the tests of the release job: a private PostgreSQL, a connection of the job's role, and
 * what the aggregator would have told. closed_start and closed_stop are a group's set-up and tear-down.
 */
#ifndef THRONG_TESTS_RELEASE_CLOSED_H
#define THRONG_TESTS_RELEASE_CLOSED_H

#include "service/catalogue/definition.h"
#include "service/release/period.h"
#include "service/release/publish.h"
#include "service/release/schedule.h"
#include "tests/unit/cluster.h"

#define CLOSED_SHARDS 4 /* let the last one have nobody: what is missing is zero */
#define CLOSED_DAYS 30  /* the largest N of retention */
#define CLOSED_WEEKS 12
#define CLOSED_MONTHS 12

static struct {
    struct db *release;
    struct publish_head head; /* what would be known outside the database */
} closed;

/* Add version `version` of app name's definition: its events, and more (members, each with a comma). */
static inline void closed_version(const char *name, int version, const char *preset, const char *events, const char *more)
{
    char text[8192];
    bool exact = strcmp(preset, "exact") == 0, strict = strcmp(preset, "strict") == 0;
    (void)snprintf(text, sizeof text,
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, %d, '{\"name\":\"%s\",\"population\":\"everyone\","
        "\"time_zone\":\"Europe/Berlin\",\"events\":[%s],%s"
        "\"retention\":{\"days\":%d,\"weeks\":%d,\"months\":%d},"
        "\"privacy\":{\"preset\":\"%s\",\"allow_unprotected\":%s,\"k\":%d}}',"
        " decode(repeat('00', 32), 'hex'), leaf FROM config.app WHERE name = '%s';"
        "UPDATE config.app SET version = %d WHERE name = '%s'",
        version, name, events, more, CLOSED_DAYS, CLOSED_WEEKS, CLOSED_MONTHS, preset,
        exact || strcmp(preset, "threshold-only") == 0 ? "true" : "false", exact ? 1 : strict ? 20 : 11, name, version, name);
    cluster_sql(text);
}

/* Add an app with such a definition; its number. */
static inline int closed_app_of(const char *name, const char *preset, const char *created, const char *events, const char *more)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
        "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}');"
        "INSERT INTO config.app (name, population, time_zone, created_at, leaf)"
        " SELECT '%s', 'everyone', 'Europe/Berlin', '%s', id FROM audit.outbox WHERE act = 'app_added' LIMIT 1", name, created);
    cluster_sql(text);
    closed_version(name, 1, preset, events, more);
    return (int)cluster_number("SELECT max(app)::bigint FROM config.app");
}

/* Add an app that has page views only, and more (as above); its number. */
static inline int closed_app(const char *name, const char *preset, const char *created, const char *more)
{
    return closed_app_of(name, preset, created, "{\"name\":\"page_view\",\"kind\":\"view\"}", more);
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

/* Release what is due of app. */
static inline enum result closed_publish(const struct schedule_due *due, struct publish_count *count)
{
    struct failure why = {0};
    struct app app;
    if (schedule_definition(closed.release, due, &app, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    enum result result = publish_app(closed.release, &app, due, &closed.head, count, &why);
    definition_free(&app);
    if (result != RESULT_OK)
        print_message("(%s)\n", why.text);
    return result;
}

/* Each leaf says what its release's rows say, and none is missing or alone. */
static inline void closed_leaves(void)
{
    assert_int_equal(cluster_number(
        "WITH written AS (SELECT leaf, jsonb_agg(e ORDER BY e) AS rows"
        "    FROM (SELECT leaf, jsonb_build_array(metric, item, n, value, sigma2) AS e FROM release.value) AS v GROUP BY leaf),"
        " said AS MATERIALIZED (SELECT id, convert_from(leaf, 'UTF8')::jsonb AS body, octet_length(leaf) AS length"
        "    FROM audit.outbox WHERE act = 'aggregates_released')"
        " SELECT count(*) FROM release.release AS r FULL JOIN said ON id = r.leaf FULL JOIN written AS w ON w.leaf = r.leaf"
        " LEFT JOIN config.app AS a USING (app)"
        " WHERE ((SELECT jsonb_agg(jsonb_build_array(g->0, g->1, e->0, e->1, g->3) ORDER BY jsonb_build_array(g->0, g->1, e->0,"
        "    e->1, g->3)) FROM jsonb_array_elements(body->'data'->'rows') AS g CROSS JOIN jsonb_array_elements(g->2) AS e) = w.rows"
        " AND body->'data'->>'family' = r.family AND body->'data'->>'interval' = r.interval AND length <= 65535"
        " AND body->'data'->>'period' = r.period::text AND body->'data'->>'preset' = r.preset"
        " AND body->'data'->>'protection' = r.protection AND (body->'data'->>'k')::int = r.k AND body->>'tenant' = a.name"
        " AND body->'data'->>'sigma_squared' IS NOT DISTINCT FROM r.sigma2 AND body->'data'->>'rho' IS NOT DISTINCT FROM r.rho"
        " AND (body->'data'->>'definition')::int = r.definition AND body->'data'->>'mechanism' = r.mechanism"
        " AND coalesce(body->'data'->>'item', '') = r.item AND (body->'data' ? 'item') = (r.family = ANY (ARRAY['funnels',"
        "    'dimensions', 'session_dimensions', 'measures', 'outcomes', 'paths'])))"
        " IS NOT TRUE"), 0);
    /* The head counts them, and its hash is over them in their order. */
    assert_int_equal(cluster_number(
        "WITH RECURSIVE chain AS (SELECT 0::bigint AS place, decode(repeat('00', 32), 'hex') AS hash UNION ALL"
        "   SELECT r.place, sha256(c.hash || o.leaf) FROM chain AS c JOIN release.release AS r ON r.place = c.place + 1"
        "   JOIN audit.outbox AS o ON o.id = r.leaf)"
        " SELECT count(*) FROM release.head AS h, chain AS c LEFT JOIN release.release AS r USING (place)"
        " WHERE c.place = h.count AND h.hash = c.hash AND r.hash = c.hash"
        " AND h.count = (SELECT count(*) FROM release.release)"), 1);
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
