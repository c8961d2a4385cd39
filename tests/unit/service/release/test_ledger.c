/*
 * Differentially private releases against a private PostgreSQL: what is released, with which noise and at what cost; plans
 * that are frozen by the month while definitions and presets change; months that mix; what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/clock.h"
#include "service/release/ledger.h"
#include "tests/unit/service/release/closed.h"

static const char events[] =
    "{\"name\":\"view\",\"kind\":\"view\",\"properties\":[{\"name\":\"way\",\"type\":\"enum\",\"values\":[\"a\",\"b\"]},"
    "{\"name\":\"paid\",\"type\":\"boolean\"},{\"name\":\"page\",\"type\":\"enum\",\"values\":[\"x\",\"y\"]},"
    "{\"name\":\"kind\",\"type\":\"enum\",\"values\":[\"p\",\"q\"]},{\"name\":\"place\",\"type\":\"route\"}]},"
    "{\"name\":\"done\",\"properties\":[{\"name\":\"time\",\"type\":\"number\",\"min\":1,\"max\":9,\"step\":0.5}]}";
static const char features[] = "\"routes\":[\"/\"],\"features\":[{\"name\":\"viewing\",\"events\":[\"view\"]},{\"name\":\"doing\",\"events\":[\"done\"]}],";
static const char things[] =
    "\"dimensions\":[{\"name\":\"way\",\"property\":\"way\"},{\"name\":\"first\",\"property\":\"place\",\"at\":\"entry\"},"
    "{\"name\":\"paid\",\"property\":\"paid\"},{\"name\":\"page\",\"property\":\"page\"},{\"name\":\"kind\",\"property\":\"kind\"}],"
    "\"goals\":[{\"name\":\"bought\",\"event\":\"done\"}],\"segments\":[{\"name\":\"doers\",\"event\":\"done\"}],"
    "\"funnels\":[{\"name\":\"slow\",\"steps\":[\"view\",\"done\"],\"window_days\":14},"
    "{\"name\":\"quick\",\"steps\":[\"view\",\"done\"],\"window_days\":3},{\"name\":\"other\",\"steps\":[\"view\",\"done\"],"
    "\"window_days\":2}],\"measures\":[{\"name\":\"time\",\"event\":\"done\",\"property\":\"time\"}],"
    "\"outcomes\":[{\"name\":\"better\",\"measure\":\"time\",\"aggregate\":\"mean\",\"tiers\":[{\"name\":\"some\",\"sessions_from\":0},"
    "{\"name\":\"many\",\"sessions_from\":3}]},{\"name\":\"more\",\"measure\":\"time\",\"aggregate\":\"sum\"}],"
    "\"paths\":[{\"name\":\"walk\",\"property\":\"place\"}],";

#define PEOPLE 1000

/* What the aggregator would have told of a crowd of PEOPLE who come first on the day first and every day after. */
static void insert(int app, const char *first, const char *last)
{
    char text[4096];
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.triple SELECT 0, %d, d::date, '%s', CASE WHEN d::date > '%s' THEN d::date - 1 END, %d"
        " FROM generate_series('%s'::date, '%s'::date, interval '1 day') AS d;"
        "INSERT INTO state.day_sum SELECT 0, %d, d::date, %d, 5000, 5000, %d, 0, 0 FROM generate_series('%s'::date, '%s'::date,"
        " interval '1 day') AS d;"
        /* Unclamped: never to be seen under noise. */
        "INSERT INTO state.session_sum SELECT 1, %d, d::date, 1000000, 1000000, 1000000, 1000000, 1, 1, 1, 1, 1,"
        " array_fill(1000000::bigint, ARRAY[18]), array_fill(1000000::bigint, ARRAY[18])"
        " FROM generate_series('%s'::date, '%s'::date, interval '1 day') AS d",
        app, first, first, PEOPLE, first, last, app, PEOPLE, PEOPLE, first, last, app, first, last);
    cluster_sql(text);
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.cell SELECT shard, %d, due, number, interval, due, item, n, value, value"
        " FROM (VALUES ('dimension_users', 'week', 0, 0, 700), ('dimension_users', 'week', 0, 1, 3),"
        " ('dimension_users', 'day', 0, 0, 700), ('dimension_users', 'month', 4, 0, 900), ('feature_users', 'week', 0, -1, 600),"
        " ('feature_users', 'week', 1, -1, 500), ('goal_sessions', 'week', 0, -1, 400), ('goal_sessions', 'day', 0, -1, 400),"
        " ('sessions', 'week', 0, -1, 5000), ('engaged_sessions', 'week', 0, -1, 3000), ('session_durations', 'week', 0, 3, 800),"
        " ('segment_users', 'week', 0, -1, 300), ('outcome_users', 'month', 0, 0, 800), ('outcome_users', 'month', 0, 1, 2),"
        " ('outcome_sum', 'month', 0, 0, 4000000), ('outcome_sum', 'month', 0, 1, 9000), ('outcome_users', 'month', 1, 0, 800))"
        " AS c (number, interval, item, n, value) CROSS JOIN generate_series(0, 1) AS shard"
        " CROSS JOIN LATERAL (SELECT d::date AS due FROM generate_series('%s'::date, '%s'::date, interval '1 day') AS d"
        "   WHERE CASE interval WHEN 'week' THEN extract(isodow FROM d) = 7 WHEN 'month' THEN extract(day FROM d + interval '1 day') = 1"
        "   ELSE true END) AS d;"
        "INSERT INTO state.cell SELECT 0, %d, d::date, 'funnel_users', 'week', d::date - 10, item, n, 300 + 100 * n, 1"
        " FROM generate_series('%s'::date, '%s'::date, interval '1 day') AS d, generate_series(0, 2) AS item,"
        " generate_series(0, 1) AS n WHERE extract(isodow FROM d) = 4",
        app, first, last, app, first, last);
    cluster_sql(text);
}

static void publish_through(int app, int year, unsigned month, unsigned day)
{
    struct publish_count count = {0};
    closed_through(app, -1, clock_days_from_civil(year, month, day));
    struct schedule_due due = closed_due(app);
    assert_int_equal(due.app, app);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
}

/* The only value of query, in which $app is the app; its text is at most 1500 bytes. */
static int64_t number(int app, const char *query)
{
    char text[2048];
    const char *at = strstr(query, "$app");
    (void)snprintf(text, sizeof text, "%.*s%d%s", (int)(at - query), query, app, at + 4);
    return cluster_number(text);
}

static void same_rows(int app, const char *query, const char *want)
{
    char text[2048];
    const char *at = strstr(query, "$app");
    (void)snprintf(text, sizeof text, "%.*s%d%s", (int)(at - query), query, app, at + 4);
    char *rows = cluster_rows(text);
    assert_string_equal(rows, want);
    free(rows);
}

static void test_what_leaves_under_standard(void **state)
{
    (void)state;
    char more[4096];
    (void)snprintf(more, sizeof more, "%s%s", features, things);
    int app = closed_app_of("standard", "standard", "2025-01-19 23:30Z", events, more);
    insert(app, "2025-01-20", "2025-05-04");
    publish_through(app, 2025, 5, 4); /* both days are Mondays' neighbours: 15 whole weeks */
    same_rows(app, "SELECT metric || ' ' || item || ' ' || interval || ' ' || string_agg(DISTINCT n::text, ',') FROM release.value"
        " WHERE app = $app GROUP BY metric, item, interval ORDER BY metric COLLATE \"C\", item, interval",
        "active_users  day -1\nactive_users  month -1\nactive_users  week -1\n"
        "dimension_users page month 0,1\ndimension_users page week 0,1\n"
        "dimension_users paid month 0,1\ndimension_users paid week 0,1\n"
        "dimension_users way month 0,1\ndimension_users way week 0,1\n"
        "engaged_sessions  week -1\nfeature_users doing week -1\nfeature_users viewing week -1\nfunnel_users quick week 0,1\n"
        "goal_sessions bought week -1\nnew_users  day -1\nnew_users  month -1\nnew_users  week -1\n"
        "outcome_sum better month 0,1\noutcome_users better month 0,1\n"
        "retention  month 1,2,3\nretention  week 1,12,2,3,4,8\n"
        "session_durations  week 0,1,10,11,12,13,14,15,16,17,2,3,4,5,6,7,8,9\nsessions  week -1\n");
    assert_int_equal(number(app, "SELECT count(*) FROM release.release WHERE app = $app AND (protection, mechanism, preset, k)"
        " IS DISTINCT FROM ('dp', 'discrete_gaussian', 'standard', 11) OR sigma2 IS NULL OR rho IS NULL"
        " OR family NOT IN (SELECT family FROM release.ledger)"), 0);
    /* Everything is near what was put in, hardly anything is the same, and no day tells of its noise. */
    assert_int_equal(number(app, "SELECT count(*) FROM release.value JOIN release.release AS r USING (leaf) WHERE r.app = $app"
        " AND abs(value - CASE metric WHEN 'active_users' THEN 1000 WHEN 'retention' THEN 1000 WHEN 'new_users' THEN 1000"
        "   WHEN 'feature_users' THEN CASE value.item WHEN 'viewing' THEN 1200 ELSE 1000 END WHEN 'goal_sessions' THEN 800"
        "   WHEN 'sessions' THEN 10000 WHEN 'engaged_sessions' THEN 6000 WHEN 'session_durations' THEN 1600"
        "   WHEN 'dimension_users' THEN 1400 WHEN 'outcome_users' THEN 1600 WHEN 'outcome_sum' THEN 8000000"
        "   WHEN 'funnel_users' THEN 300 + 100 * n END) > 8 * sqrt(coalesce(value.sigma2, r.sigma2)::numeric)"), 0);
    assert_true(number(app, "SELECT count(DISTINCT value) FROM release.value WHERE app = $app AND metric = 'active_users'") > 20);
    assert_int_equal(number(app, "SELECT count(*) FROM release.value WHERE app = $app AND (value IS NULL) <> (low IS NULL)"
        " OR (value IS NULL) <> (reliability = 'suppressed') OR reliability = 'exact'"
        " AND leaf IN (SELECT leaf FROM release.release WHERE protection = 'dp')"), 0);
    /* Empty cells and small ones are there, and not shown. */
    assert_int_equal(number(app, "SELECT count(*) FROM release.value WHERE app = $app AND value IS NOT NULL AND ((metric ="
        " 'new_users' AND period > '2025-01-20') OR (metric = 'dimension_users' AND (item, n) <> ('way', 0)) OR (metric ="
        " 'outcome_sum' AND n = 1) OR (metric = 'session_durations' AND n <> 3))"), 0);
    assert_true(number(app, "SELECT count(*) FROM release.value WHERE app = $app AND value IS NULL") > 500);
    /* Of outcomes the sum has noise of its own, by the square of a person's range: 16 steps in thousandths. */
    assert_int_equal(number(app, "SELECT count(*) FROM release.value AS v JOIN release.release AS r USING (leaf) WHERE r.app = $app"
        " AND (v.sigma2 IS NOT NULL) <> (metric = 'outcome_sum') OR v.sigma2::numeric <> r.sigma2::numeric * 16000 * 16000"), 0);
    assert_int_equal(number(app, "SELECT count(*) FROM release.value AS v JOIN release.release AS r USING (leaf) JOIN release.plan"
        " AS p ON p.app = r.app AND p.family = r.family AND p.month = '2025-02-01' WHERE r.app = $app AND v.sigma2 IS NULL"
        " AND r.sigma2::numeric <> p.sigma2::numeric * CASE r.family WHEN 'sessions' THEN 49 ELSE 1 END OR r.rho::numeric <> p.rho"
        ), 0);
    closed_leaves();
}

static void test_debits(void **state)
{
    (void)state;
    same_rows(1, "SELECT month || ' ' || count(*) || ' ' || count(l.leaf) || ' ' || (sum(l.rho) <= min(rho_total))"
        " || ' ' || (sum(l.rho) > min(rho_total) * 0.979) FROM release.plan AS p LEFT JOIN release.ledger AS l"
        " USING (population, app, month, family) WHERE app = $app GROUP BY month ORDER BY month",
        "2025-01-01 11 11 true true\n2025-02-01 11 11 true true\n2025-03-01 11 11 true true\n2025-04-01 11 11 true true\n"
        "2025-05-01 11 11 true true\n");
    /* Each with its leaf, which says what was debited. */
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox AS o JOIN (SELECT leaf, jsonb_agg(jsonb_build_array(family,"
        " l2, sigma2, trim_scale(rho)::text, 1) ORDER BY family) AS families FROM release.plan GROUP BY leaf) AS p ON o.id = p.leaf"
        " WHERE act = 'month_planned' AND families = (SELECT jsonb_agg(f ORDER BY f->>0) FROM jsonb_array_elements("
        " convert_from(o.leaf, 'UTF8')::jsonb->'data'->'families') AS f)"), 5);
    struct failure why = {0};
    static const char *const more[] = {
        "INSERT INTO release.ledger SELECT population, month, app, 'events', 0.1, leaf FROM release.plan LIMIT 1",
        "WITH p AS (INSERT INTO release.plan SELECT population, month, app, 'events', definition, preset, k, 1, 1, '4', 0.1, rho_total,"
        " leaf FROM release.plan LIMIT 1 RETURNING *) INSERT INTO release.ledger SELECT population, month, app, family, rho, leaf FROM p"};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(db_script(closed.release, more[i], &why), RESULT_INVALID); /* not planned; over the budget */
    assert_int_equal(db_script(cluster.owner, "UPDATE release.plan SET k = 1", &why), RESULT_DENIED);
    assert_int_equal(db_script(cluster.owner, "DELETE FROM release.ledger", &why), RESULT_DENIED);
}

/* Stricter from the next month on; a week that lies in both has the noise and the threshold of the stricter one. */
static void test_a_stricter_preset(void **state)
{
    (void)state;
    int app = closed_app_of("stricter", "standard", "2025-01-19 23:30Z", events, "\"routes\":[\"/\"],");
    insert(app, "2025-01-20", "2025-03-31");
    publish_through(app, 2025, 2, 10);
    closed_version("stricter", 2, "strict", events, "\"routes\":[\"/\"],");
    publish_through(app, 2025, 3, 31);
    same_rows(app, "SELECT DISTINCT month || ' ' || definition || ' ' || preset || ' ' || k FROM release.plan WHERE app = $app ORDER BY 1",
        "2025-01-01 1 standard 11\n2025-02-01 1 standard 11\n2025-03-01 2 strict 20\n2025-04-01 2 strict 20\n");
    same_rows(app, "SELECT period || ' ' || r.preset || ' ' || r.k || ' ' || r.definition || ' ' || (r.sigma2 = p.sigma2)"
        " FROM release.release AS r JOIN release.plan AS p USING (app, family) WHERE app = $app AND interval = 'week'"
        " AND r.family = 'active' AND p.month = '2025-03-01' AND period BETWEEN '2025-02-17' AND '2025-03-03' ORDER BY period",
        "2025-02-17 standard 11 1 false\n2025-02-24 strict 20 2 true\n2025-03-03 strict 20 2 true\n");
    /* Sessions of February's last day may run into March. */
    assert_int_equal(number(app, "SELECT count(*) FROM release.release WHERE app = $app AND protection <> 'dp'"), 0);
    closed_leaves();
}

/* The month in which noise begins stays exact. What looks back from later months has noise, and is not called protected. */
static void test_noise_begins(void **state)
{
    (void)state;
    int app = closed_app_of("begins", "exact", "2025-01-19 23:30Z", events, features);
    insert(app, "2025-01-20", "2025-04-06");
    publish_through(app, 2025, 2, 10);
    closed_version("begins", 2, "standard", events, features);
    publish_through(app, 2025, 4, 6);
    same_rows(app, "SELECT DISTINCT p.month || ' ' || p.preset || ' ' || (rho IS NULL) || ' ' || EXISTS (SELECT FROM release.ledger"
        " AS l WHERE l.app = p.app AND l.month = p.month) FROM release.plan AS p WHERE app = $app ORDER BY 1",
        "2025-01-01 exact true false\n2025-02-01 exact true false\n2025-03-01 standard false true\n2025-04-01 standard false true\n");
    assert_int_equal(number(app, "SELECT count(*) FROM release.release WHERE app = $app AND (preset = 'exact') <> (sealed_at <"
        " '2025-03-01 12:00Z' AND NOT (family IN ('sessions', 'durations') AND period >= '2025-02-28'))"), 0);
    assert_int_equal(number(app, "SELECT count(*) FROM release.release WHERE app = $app AND (mechanism = 'none') <> (preset = 'exact')"
        " OR (mechanism = 'none') <> (sigma2 IS NULL)"), 0);
    same_rows(app, "SELECT family || ' ' || interval || ' ' || period || ' ' || protection FROM release.release WHERE app = $app AND"
        " mechanism <> 'none' AND interval <> 'day' AND family IN ('active', 'retention', 'sessions', 'features') ORDER BY 1",
        "active month 2025-03-01 dp\nactive week 2025-02-24 none\nactive week 2025-03-03 dp\nactive week 2025-03-10 dp\n"
        "active week 2025-03-17 dp\nactive week 2025-03-24 dp\nactive week 2025-03-31 dp\n"
        "features week 2025-02-24 none\nfeatures week 2025-03-03 dp\nfeatures week 2025-03-10 dp\nfeatures week 2025-03-17 dp\n"
        "features week 2025-03-24 dp\nfeatures week 2025-03-31 dp\nretention month 2025-03-01 none\n"
        "retention week 2025-02-24 none\nretention week 2025-03-03 none\nretention week 2025-03-10 none\n"
        "retention week 2025-03-17 none\nretention week 2025-03-24 none\nretention week 2025-03-31 none\n"
        "sessions week 2025-02-24 none\nsessions week 2025-03-03 dp\nsessions week 2025-03-10 dp\nsessions week 2025-03-17 dp\n"
        "sessions week 2025-03-24 dp\nsessions week 2025-03-31 dp\n");
    assert_int_equal(number(app, "SELECT count(*) FROM release.release WHERE app = $app AND interval = 'day' AND (protection = 'dp')"
        " <> (period >= '2025-03-01')"), 0);
    closed_leaves();
}

/* What begins to be declared in a month has no budget there: its first week that lies in it too is refused, once and visibly. */
static void test_what_was_not_reserved(void **state)
{
    (void)state;
    int app = closed_app_of("refusing", "standard", "2025-01-19 23:30Z", events, "\"routes\":[\"/\"],");
    insert(app, "2025-01-20", "2025-03-16");
    publish_through(app, 2025, 2, 20);
    closed_version("refusing", 2, "standard", events, features);
    publish_through(app, 2025, 3, 16);
    same_rows(app, "SELECT family || ' ' || item || ' ' || interval || ' ' || period || ' ' || reason || ' ' || (sealed_at::date - period)"
        " FROM release.refused WHERE app = $app", "features  week 2025-02-24 not_reserved 7\n");
    same_rows(app, "SELECT period FROM release.release WHERE app = $app AND family = 'features' ORDER BY 1", "2025-03-03\n2025-03-10\n");
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox AS o JOIN release.refused AS r ON r.leaf = o.id"
        " WHERE act = 'aggregates_refused' AND convert_from(o.leaf, 'UTF8')::jsonb->>'out' = 'denied'"
        " AND convert_from(o.leaf, 'UTF8')::jsonb->'data' @> '{\"family\":\"features\",\"period\":\"2025-02-24\",\"reason\":\"not_reserved\"}'"), 1);
}

/* A definition that someone made weaker behind our back does not weaken a plan. */
static void test_never_weaker(void **state)
{
    (void)state;
    int app = closed_app_of("weaker", "strict", "2025-01-19 23:30Z", events, "\"routes\":[\"/\"],");
    insert(app, "2025-01-20", "2025-03-31");
    publish_through(app, 2025, 1, 25);
    closed_version("weaker", 2, "exact", events, "\"routes\":[\"/\"],");
    publish_through(app, 2025, 3, 31);
    same_rows(app, "SELECT DISTINCT preset || ' ' || protection || ' ' || k || ' ' || definition FROM release.release WHERE app = $app",
        "strict dp 20 1\n");
}

/* The noise of a transaction that failed was seen by nobody, and neither plan nor debit stays. */
static void test_a_torn_day(void **state)
{
    (void)state;
    int app = closed_app_of("torn", "standard", "2025-01-19 23:30Z", events, "\"routes\":[\"/\"],");
    struct publish_count count = {0};
    closed_through(app, -1, clock_days_from_civil(2025, 2, 2));
    cluster_sql("ALTER TABLE release.value ADD CONSTRAINT planted CHECK (period <> '2025-02-01') NOT VALID");
    struct schedule_due due = closed_due(app);
    assert_int_equal(closed_publish(&due, &count), RESULT_INVALID);
    assert_int_equal(number(app, "SELECT count(*) FROM release.ledger WHERE app = $app AND month > '2025-01-01'"), 0);
    assert_int_equal(number(app, "SELECT count(*) FROM release.plan WHERE app = $app AND month > '2025-01-01'"), 0);
    cluster_sql("ALTER TABLE release.value DROP CONSTRAINT planted");
    due = closed_due(app);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    assert_int_equal(count.transactions, 2 * 14);
    closed_leaves();
}

/* What noise adds to the cost of a sealed day, of an app that declares everything. */
static void test_what_it_takes(void **state)
{
    (void)state;
    char more[4096], name[32];
    (void)snprintf(more, sizeof more, "%s%s", features, things);
    static const char *const presets[] = {"exact", "standard"};
    int64_t took_ms[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct publish_count count = {0};
        (void)snprintf(name, sizeof name, "timed_%s", presets[i]);
        int app = closed_app_of(name, presets[i], "2024-01-01 12:00Z", events, more);
        insert(app, "2024-01-01", "2024-12-31");
        closed_through(app, -1, clock_days_from_civil(2024, 12, 31));
        struct schedule_due due = closed_due(app);
        int64_t start_ms = clock_steady_ms();
        assert_int_equal(closed_publish(&due, &count), RESULT_OK);
        took_ms[i] = clock_steady_ms() - start_ms;
        print_message("preset %s: %.2f ms a sealed day, %.1f rows\n", presets[i], (double)took_ms[i] / 366,
            (double)count.rows / 366);
    }
    assert_true(took_ms[1] < 2 * took_ms[0] + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_leaves_under_standard),
        cmocka_unit_test(test_debits),
        cmocka_unit_test(test_a_stricter_preset),
        cmocka_unit_test(test_noise_begins),
        cmocka_unit_test(test_what_was_not_reserved),
        cmocka_unit_test(test_never_weaker),
        cmocka_unit_test(test_a_torn_day),
        cmocka_unit_test(test_what_it_takes),
    };
    return cmocka_run_group_tests(tests, closed_start, closed_stop);
}
