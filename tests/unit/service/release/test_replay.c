/*
 * Replay against a private PostgreSQL: three apps are released, under noise, a threshold and neither; then the database
 * loses parts of it, as a restored one has, and everything comes back as it was, value for value, from the leaves.
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
#include "service/release/replay.h"
#include "tests/unit/service/release/closed.h"

#define FIRST "2025-01-20"
#define LAST "2025-04-06"

/* Everything that releasing wrote, as text. */
static char *snapshot(void)
{
    return cluster_rows("SELECT string_agg(t.line, E'\\n' ORDER BY t.line) FROM ("
                        " SELECT 'release ' || r::text AS line FROM release.release AS r UNION ALL"
                        " SELECT 'value ' || v::text FROM release.value AS v UNION ALL"
                        " SELECT 'plan ' || p::text FROM release.plan AS p UNION ALL"
                        " SELECT 'ledger ' || l::text FROM release.ledger AS l UNION ALL"
                        " SELECT 'refused ' || f::text FROM release.refused AS f UNION ALL"
                        " SELECT 'progress ' || p::text FROM release.progress AS p UNION ALL"
                        " SELECT 'head ' || h::text FROM release.head AS h) AS t");
}

static void publish(int app)
{
    struct publish_count count = {0};
    char text[1024];
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.triple SELECT 0, %d, d, d, NULL::date, 300 FROM generate_series('" FIRST "'::date, '" LAST "', '1 day') AS d;"
        "INSERT INTO state.triple SELECT 1, %d, d, '" FIRST "', d - 1, 900"
        " FROM (SELECT d::date FROM generate_series('" FIRST "'::date + 1, '" LAST "', '1 day') AS d) AS d",
        app, app);
    cluster_sql(text);
    closed_through(app, -1, clock_days_from_civil(2025, 4, 6));
    struct schedule_due due = closed_due(app);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    assert_true(count.rows > 100);
}

/* What the sequencer does, without the tree. */
static void sequence(void)
{
    cluster_sql("SELECT audit.sequence(0, array_agg(id ORDER BY written_at, id), '{}', '{}', '{}') FROM audit.pending");
}

/* The database is that of the moment when `count` releases were made. */
static void lose_after(int64_t count)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
        "SET session_replication_role = replica;"
        "DROP TABLE IF EXISTS lost; CREATE TEMPORARY TABLE lost AS SELECT id, index FROM audit.entry WHERE index >"
        " (SELECT coalesce(max(e.index), -1) FROM audit.entry AS e JOIN release.release AS r ON r.leaf = e.id WHERE r.place <= %lld);"
        "DELETE FROM release.value WHERE leaf IN (SELECT id FROM lost);"
        "DELETE FROM release.release WHERE leaf IN (SELECT id FROM lost);"
        "DELETE FROM release.refused WHERE leaf IN (SELECT id FROM lost);"
        "DELETE FROM release.ledger WHERE leaf IN (SELECT id FROM lost);"
        "DELETE FROM release.plan WHERE leaf IN (SELECT id FROM lost);"
        "DELETE FROM release.progress;"
        "INSERT INTO release.progress SELECT a.app, min((d->>'first_day')::date),"
        " max((d->>'day')::date) FILTER (WHERE d->>'stage' = 'activity'), max((d->>'day')::date) FILTER (WHERE d->>'stage' = 'sessions')"
        " FROM release.release AS r JOIN config.app AS a USING (app) JOIN audit.outbox AS o ON o.id = r.leaf"
        " CROSS JOIN LATERAL (SELECT convert_from(o.leaf, 'UTF8')::jsonb->'data' AS d) AS l GROUP BY a.app;"
        "UPDATE release.head SET count = %lld, hash = coalesce((SELECT hash FROM release.release WHERE place = %lld),"
        " decode(repeat('00', 32), 'hex'));",
        (long long)count, (long long)count, (long long)count);
    cluster_sql(text);
}

static void check(int64_t kept, const char *before)
{
    struct replay_count count = {0};
    struct failure why = {0};
    lose_after(kept);
    if (replay_missing(closed.release, &count, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    assert_true(count.releases > 0);
    char *after = snapshot();
    if (strcmp(after, before) != 0) {
        size_t at = 0;
        while (after[at] == before[at])
            at++;
        while (at > 0 && before[at - 1] != '\n')
            at--;
        fail_msg("from place %lld\nwas %.300s\nis  %.300s", (long long)kept, before + at, after + at);
    }
    free(after);
    assert_int_equal(head_check(closed.release, &closed.head.known, &why), RESULT_OK);
    /* Nothing is missing any more. */
    count = (struct replay_count){0};
    assert_int_equal(replay_missing(closed.release, &count, &why), RESULT_OK);
    assert_int_equal(count.plans + count.releases + count.refused, 0);
}

static void test_put_back(void **unused)
{
    (void)unused;
    publish(closed_app("open", "exact", FIRST, ""));
    publish(closed_app("private", "standard", FIRST, ""));
    publish(closed_app("rounded", "threshold-only", FIRST, ""));
    sequence();
    closed_leaves();
    char *before = snapshot();
    assert_true(cluster_number("SELECT count(*) FROM release.value WHERE reliability = 'high' AND sigma2 IS NULL") > 10);
    assert_true(cluster_number("SELECT count(*) FROM release.value WHERE value IS NULL") > 10);
    int64_t all = cluster_number("SELECT count FROM release.head");
    check(0, before);
    check(1, before);
    check(all / 2, before);
    check(all - 1, before);
    free(before);
}

static void test_what_cannot_be(void **unused)
{
    (void)unused;
    struct replay_count count = {0};
    struct failure why = {0};
    /* An app that is younger than the backup. */
    int64_t all = cluster_number("SELECT count FROM release.head");
    lose_after(all - 1);
    cluster_sql("SET session_replication_role = replica; UPDATE config.app SET name = 'gone' WHERE name = 'rounded'");
    assert_int_equal(replay_missing(closed.release, &count, &why), RESULT_NOT_FOUND);
    assert_string_equal(why.field, "rounded");
    assert_int_equal(count.releases, 0);
    cluster_sql("SET session_replication_role = replica; UPDATE config.app SET name = 'rounded' WHERE name = 'gone'");
    assert_int_equal(replay_missing(closed.release, &count, &why), RESULT_OK);
    /* A release in the middle is gone: it does not follow the head. */
    cluster_sql("SET session_replication_role = replica; DELETE FROM release.value WHERE leaf = (SELECT leaf FROM release.release"
                " WHERE place = 3); DELETE FROM release.release WHERE place = 3");
    why = (struct failure){0};
    assert_int_equal(replay_missing(closed.release, &count, &why), RESULT_CORRUPT);
    assert_string_equal(why.field, "release.head");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_back),
        cmocka_unit_test(test_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, closed_start, closed_stop);
}
